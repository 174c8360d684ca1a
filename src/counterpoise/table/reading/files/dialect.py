"""The first lines of delimited text: the separator of its cells, and the names of its columns.

Excel may write `sep=;` before anything else, and a person a title above the table. The separator is the one by which
most of the first rows have the same number of cells.
"""

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from counterpoise.errors import UserError
from counterpoise.table.reading.files.quoting import OpenQuoteError, SplitRows, split
from counterpoise.wording import listed, quoted

_SEPARATORS = ",;\t|"
_SEP_LINE = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_LOOKED_AT = 20
_LONG = 1_000_000
"""Characters of the first rows, beyond which they have so many cells that two of them tell enough."""
_NUMBER = re.compile(r"[-+]?[.,]*[0-9][0-9.,]*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file of delimited text is written.

    Parameters
    ----------
    names
        Names of the columns; a column without a name is named by its index from 0, "Unnamed: 2", as in pandas.
    separator
        The separator of the cells.
    used
        Number of characters before the first row.
    line
        The number of the line on which the first row begins.
    """

    names: list[str]
    separator: str
    used: int
    line: int


def dialect_of(text: str, name: str, path: Path, *, whole: bool) -> Dialect:
    r"""Read what comes before the first row.

    Parameters
    ----------
    text
        The beginning of the file.
    name
        Name of the file without its compression.
    path
        Path of the table, for messages.
    whole
        Whether the text is the whole file.

    Raises
    ------
    UserError
        If no line names columns, or two columns have one name.

    Warns
    -----
    UserWarning
        Of lines that were taken for a title.

    Examples
    --------
    >>> dialect_of("size;kind\n1;oak\n", "t.csv", Path("t.csv"), whole=True)
    Dialect(names=['size', 'kind'], separator=';', used=10, line=2)
    """
    start, separators = 0, "\t" if name.lower().endswith(".tsv") else _SEPARATORS
    if said := _SEP_LINE.match(text):
        start, separators = said.end(), said[1]
    before = _line_ends(text[:start])
    if not text[start:].strip():
        raise UserError(f"{path} has an empty first line; a CSV starts with its column names")
    most = _LOOKED_AT if len(text) <= _LONG else 2
    tried, opened = {}, []
    for one in separators:
        try:
            rows = split(text[start:], one, whole=whole, most=most)
        except OpenQuoteError as error:  # of those before it the reader will say the same
            opened.append(before + error.line + 1)
            rows = split(text[start:], one, whole=False, most=most)
        tried[one] = _Beginning(rows)
    separator = _separator(tried)
    begun = tried[separator]
    if not begun.filled or (begun.width == 1 and opened):
        line = opened[0] if opened else before + 1
        raise UserError(f"{path}, line {line}: a quote is never closed; close it")
    header = begun.header
    names = [cell or f"Unnamed: {place}" for place, cell in enumerate(begun.rows.cells[header])]
    _tell_title(begun, before, path)
    refuse_twice(names, path)
    whole_header = split(text[start:], separator, whole=whole, most=header + 1)
    used = start + whole_header.used
    return Dialect(names, separator, used, 1 + _line_ends(text[:used]))


def _separator(tried: "dict[str, _Beginning]") -> str:
    """What separates the first row into as many cells as the others; or these, where it is a title."""
    best = max(tried, key=lambda one: tried[one].rank)
    titled = [one for one, begun in tried.items() if begun.has_title]
    return max(titled, key=lambda one: tried[one].alike) if titled and tried[best].rank[0] < 2 else best


class _Beginning:
    """The first rows by one separator."""

    def __init__(self, rows: SplitRows) -> None:
        self.rows = rows
        self.filled = [place for place, row in enumerate(rows.cells) if any(cell.strip() for cell in row)]
        widths = Counter(len(rows.cells[place]) for place in self.filled)
        self.width, self.alike = max(widths.items(), key=lambda one: (one[1], one[0]), default=(0, 0))
        self._first = len(rows.cells[self.filled[0]]) if self.filled else 0
        self._as_first = widths[self._first]

    @property
    def rank(self) -> tuple[int, int]:
        """The better the more rows have as many cells as the first, and the more these are; or else, as each other."""
        return (self._as_first, self._first) if self._first > 1 else (0, self.alike if self.width > 1 else 0)

    @property
    def has_title(self) -> bool:
        """Whether a title stands above the names of the columns."""
        return bool(self.filled) and self.header != self.filled[0]

    @cached_property
    def header(self) -> int:
        """The place of the row that names the columns: the first, or the first of many cells below titles.

        It holds no number, and a row below does: where all is text, nothing tells names from values.
        """
        titles = list(takewhile(self._is_title, self.filled))
        following = [self.rows.cells[place] for place in self.filled[len(titles) :]]
        if not titles or not following:
            return self.filled[0]
        names, *others = following
        alike = [row for row in others if len(row) == len(names) == self.width]
        if all(map(_is_name, names)) and any(_NUMBER.fullmatch(cell.strip()) for row in alike for cell in row):
            return self.filled[len(titles)]
        return self.filled[0]

    def _is_title(self, place: int) -> bool:
        """Whether a row has one cell where others have several; of two columns the second may have no name."""
        row = self.rows.cells[place]
        return bool(row[0].strip()) and not any(cell.strip() for cell in row[1:]) and (len(row) == 1 or self.width > 2)


def _is_name(cell: str) -> bool:
    return bool(cell.strip()) and not _NUMBER.fullmatch(cell.strip())


def _tell_title(begun: _Beginning, before: int, path: Path) -> None:
    titles = [place for place in begun.filled if place < begun.header]
    if not titles:
        return
    first, header = (before + 1 + begun.rows.lines[place] for place in (titles[0], begun.header))
    more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    text = next(cell for cell in begun.rows.cells[titles[0]] if cell.strip())
    warnings.warn(
        f"{path}, line {first} ({quoted(text)}){more} was read as a title; line {header} has the column names",
        stacklevel=2,
    )


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def refuse_twice(names: list[str], path: Path) -> None:
    """Refuse column names that occur twice, with their places.

    Examples
    --------
    >>> refuse_twice(["x", "y", "x"], Path("t.csv"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: t.csv has more than one column named 'x' (columns 1, 3); rename one
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not twice:
        return
    if len(twice) > 1:
        raise UserError(f"{path} has more than one column named {listed(map(repr, twice))}; rename them")
    places = ", ".join(str(place + 1) for place, name in enumerate(names) if name == twice[0])
    raise UserError(f"{path} has more than one column named {twice[0]!r} (columns {places}); rename one")
