"""Quotes in delimited text: which of them begin and end a cell, and which are part of it.

A cell is quoted if its first character is a quote; a quote later in it, such as an inch mark, is a character like any
other. This is how Python's csv module reads. Where every quote begins or ends a cell, or is doubled within one, quotes
in pairs are all there is to know, and the text can be cut and read at the speed of the machine.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class OpenQuoteError(ValueError):
    """A quote opens a cell and is never closed; `line` is its number, from 0."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Rows that were split one by one.

    Parameters
    ----------
    cells
        Cells of each row; a line of blanks has none.
    lines
        Line on which each row begins, from 0.
    used
        Number of characters of the rows.
    """

    cells: list[list[str]]
    lines: list[int]
    used: int


def quotes_are_pairs(text: bytes, separator: str, *, open_at_end: bool = False) -> bool:
    r"""Whether every quote of some rows begins or ends a cell, or is doubled within one.

    Parameters
    ----------
    text
        Text from the beginning of a row.
    separator
        The separator of the cells.
    open_at_end
        Whether the text may end within quotes, since more of it follows.

    Examples
    --------
    >>> quotes_are_pairs(b'1,"a ""b"", c"\n', ","), quotes_are_pairs(b'1,a 12" TV\n', ",")
    (True, False)
    """
    if b'"' not in text:
        return True
    places = np.flatnonzero(np.frombuffer(text, np.uint8) == ord('"'))
    if len(places) % 2 and not open_at_end:
        return False
    around = np.frombuffer(b"\n" + text.translate(_around(separator)) + b"\n", np.uint8) == ord("\n")
    return bool(around[places[::2]].all() and around[places[1::2] + 2].all())


@lru_cache
def _around(separator: str) -> bytes:
    """For `translate`: a line end for what may stand next to a quote, and 0 for the rest."""
    return bytes(ord("\n") if chr(one) in (separator, "\n", "\r", '"') else 0 for one in range(256))


def outside_quotes(text: bytes) -> NDArray[np.bool_]:
    """Of each byte of text whose quotes are pairs: whether it lies outside of them."""
    return ~np.logical_xor.accumulate(np.frombuffer(text, np.uint8) == ord('"'))


def widths(text: bytes, separator: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    r"""Of each row, where quotes are pairs: its cells, the line that it ends on, from 0, and whether it is blank.

    Examples
    --------
    >>> cells, lines, blank = widths(b'1,2\n"a\nb",4,5\n \n6', ",")
    >>> cells.tolist(), lines.tolist(), blank.tolist()
    ([2, 3, 1, 1], [0, 2, 3, 4], [False, False, True, False])
    """
    if not text.endswith(b"\n"):
        text += b"\n"
    signs, plain = np.frombuffer(text, np.uint8), outside_quotes(text)
    ends = np.flatnonzero((signs == ord("\n")) & plain)
    separators = np.flatnonzero((signs == ord(separator)) & plain)
    cells = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    lines = np.searchsorted(np.flatnonzero(signs == ord("\n")), ends)
    blank, begins = np.zeros(len(ends), np.bool_), np.concatenate([[0], ends[:-1] + 1])
    for place in np.flatnonzero(cells == 1):
        blank[place] = not text[begins[place] : ends[place]].strip()
    return cells, lines, blank


def end_of_rows(text: bytes, quoted: bool = False) -> tuple[int, bool]:
    r"""Where the last row ends within some text, after its line end (0: nowhere), and whether a quote is open at last.

    Each byte is looked at once, however the quotes lie.

    Parameters
    ----------
    text
        A part of a file, with more to follow.
    quoted
        Whether a quote is open where it begins: a line end within quotes ends no row.

    Examples
    --------
    >>> end_of_rows(b'1,"a"\n2,"b\n'), end_of_rows(b'c"\n3', quoted=True)
    ((6, True), (3, False))
    """
    if b'"' not in text:
        return (0 if quoted else text.rfind(b"\n") + 1), quoted
    quotes = np.count_nonzero(np.frombuffer(text, np.uint8) == ord('"'))  # five times as fast as bytes.count
    open_at_last = quoted != bool(quotes % 2)
    end = text.rfind(b"\n") + 1
    if open_at_last == bool(text.count(b'"', end) % 2):  # as nearly always: no quote is open at the last line end
        return end, open_at_last
    signs = np.frombuffer(text, np.uint8)
    within = np.logical_xor.accumulate(signs == ord('"')) != quoted
    ends = np.flatnonzero((signs == ord("\n")) & ~within)
    return (int(ends[-1]) + 1 if len(ends) else 0), open_at_last


def split(text: str, separator: str, *, whole: bool, most: int | None = None) -> SplitRows:
    r"""Split rows cell by cell, as Python's csv module does.

    Parameters
    ----------
    text
        Text from the beginning of a row.
    separator
        The separator of the cells.
    whole
        Whether nothing follows; otherwise a row that is not complete is left.
    most
        Largest number of rows to split; None for all.

    Raises
    ------
    OpenQuoteError
        If a quote opens and nothing follows that closes it.

    Examples
    --------
    >>> split('1,12" TV\n2,"a ""b"" c"\n\n', ",", whole=True).cells
    [['1', '12" TV'], ['2', 'a "b" c'], []]
    """
    field = _field(separator)
    cells: list[list[str]] = []
    lines: list[int] = []
    row: list[str] = []
    used = place = line = begun = 0
    while place < len(text) or row:
        if most is not None and len(cells) == most:
            break
        found = field.match(text, place)
        if found is None:
            if whole:
                raise OpenQuoteError(line)
            break
        quoted, tail, plain, end = found.groups()
        if not whole and found.end() == len(text) and not end.endswith("\n"):  # if only the rest of it follows
            break
        row.append(plain if quoted is None else quoted.replace('""', '"') + tail)
        place = found.end()
        line += _ends_in(found[0])
        if end == separator:
            continue
        cells.append([] if len(row) == 1 and quoted is None and not plain.strip(" \t") else row)
        lines.append(begun)
        row, used, begun = [], place, line
    return SplitRows(cells, lines, used)


@lru_cache
def _field(separator: str) -> re.Pattern[str]:
    """A cell and what ends it; nothing where a quote opens that does not close."""
    other = rf"[^{re.escape(separator)}\r\n]"
    plain = rf"(?!\")({other}*)"
    return re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"(?!")({other}*)|{plain})({re.escape(separator)}|\r\n|\r|\n|\Z)')


def _ends_in(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
