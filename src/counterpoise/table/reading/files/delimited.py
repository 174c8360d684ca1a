"""CSV and its relatives: from the text of a file to its cells, in blocks of rows.

Polars reads regular files. The rest (a quote inside an unquoted cell, a line end of another kind, empty cells beyond
the header) is split cell by cell, as Python's csv module does; what neither can read is refused with its line.
"""

import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.reading.files.dialect import dialect_of
from counterpoise.table.reading.files.quoting import (
    OpenQuoteError,
    SplitRows,
    end_of_rows,
    outside_quotes,
    quotes_are_pairs,
    split,
    widths,
)
from counterpoise.table.reading.files.unpacked import Letters, pieces, unpacked
from counterpoise.table.reading.memory import Room
from counterpoise.table.reading.named_columns import ignored_columns

PIECE = 16_000_000
SAMPLE = 65_536
"""So much of a file tells how it is written."""
LONGEST_ROW = 256_000_000
_AFTER_A_LINE_END = (b"\n", b"\r\n", b" ", b"\t")
_MOST_BEFORE_A_LINE_END = 1_000_000
_BLANK_LINES = re.compile(rb"(?m)^[ \t]*\r?\n"), re.compile(rb"(?m)^ *\r?\n")


def read_delimited(
    files: Sequence[Path], path: Path, *, ignore: Sequence[str] = (), keep: Collection[str] = ()
) -> tuple[pl.DataFrame, tuple[str, ...], str]:
    """Read the cells of .csv, .tsv or .txt files, also within .gz or .zip, as they are spelled.

    Parameters
    ----------
    files
        The files, which have the same columns.
    path
        Path of the table, for messages.
    ignore, keep
        As in `read_table`.

    Returns
    -------
    tuple
        The columns, the names of those that are ignored, and the separator of the cells.

    Raises
    ------
    UserError
        If the file is not text, or not a table, or nothing matches what is to be ignored.

    Warns
    -----
    UserWarning
        If it is not UTF-8 and was read as Windows-1252, has a title, or rows that are too short or hold nothing.
    """
    ignored: tuple[str, ...] = ()
    kept: list[str] = []
    frames: list[pl.DataFrame] = []
    separators: dict[str, Path] = {}
    for file in files:
        with opened(file) as source:
            if not separators:
                ignored = ignored_columns(source.names, ignore, path)
                kept = [name for name in source.names if name not in ignored or name in keep]
                room = Room(path, len(kept))
                frames.append(pl.DataFrame(schema=dict.fromkeys(kept, pl.String)))
            separators.setdefault(source.separator, file)
            for frame in source.blocks():
                frames.append(frame.select(kept))
                room.take(frames[-1].height, int(frames[-1].estimated_size()))
    return pl.concat(frames), ignored, one_separator(separators)


def names_of(file: Path) -> list[str]:
    """The names of the columns of a file."""
    with opened(file) as source:
        return source.names


def one_separator(separators: Mapping[str, Path]) -> str:
    """The separator of the cells of all files: with semicolons, 1,5 is a number, and with commas it is not.

    Raises
    ------
    UserError
        If files have different ones.
    """
    if len(separators) > 1:
        (one, file), (other, later) = list(separators.items())[:2]
        raise UserError(f"{file} separates cells by {one!r}, but {later} by {other!r}; write both in one way")
    return next(iter(separators))


@contextmanager
def opened(path: Path) -> Iterator["Source"]:
    """Open a file of delimited text: its first lines are read."""
    with unpacked(path) as (file, name):
        yield Source(file, name, path)


class Source:
    """A file of delimited text that is read once, from its beginning.

    Parameters
    ----------
    file, name
        Text of the file, and its name without its compression.
    path
        Path of the table, for messages.
    """

    def __init__(self, file: BinaryIO, name: str, path: Path) -> None:
        self._path, self._letters, self._warned = path, Letters(path), False
        self._pieces = pieces(file, path, PIECE)
        begun, whole = next(self._pieces)
        while not whole and b"\n" not in begun and len(begun) < _MOST_BEFORE_A_LINE_END:
            more, whole = next(self._pieces)
            begun += more
        self._macintosh = b"\n" not in begun  # whose line ends Excel still offers
        begun = self._with_line_ends(begun)
        while not whole and (len(begun) < SAMPLE or not end_of_rows(begun)[0]) and len(begun) <= LONGEST_ROW:
            more, whole = next(self._pieces)
            begun += self._with_line_ends(more)
        self._whole = whole
        known = begun[: end_of_rows(begun[:_MOST_BEFORE_A_LINE_END])[0]] or begun
        if len(begun) <= _MOST_BEFORE_A_LINE_END and whole:
            known = begun
        text = self._letters.in_utf8(known, 1).decode()
        self._dialect = dialect_of(text, name, path, whole=known is begun and whole)
        self._begun = begun[self._letters.length(text[: self._dialect.used]) :]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return self._dialect.names

    @property
    def separator(self) -> str:
        """What lies between two cells."""
        return self._dialect.separator

    def blocks(self, figures: Collection[str] = ()) -> Iterator[pl.DataFrame]:
        """The rows, in order, as text.

        Parameters
        ----------
        figures
            Columns that are numbers in a block if all of their cells there are plain ones.

        Raises
        ------
        UserError
            If a row has more cells than the header, or a quote is never closed.
        """
        for part, line in self._parts():
            yield self._split(part, line) if isinstance(part, SplitRows) else self._parsed(part, line, figures)

    def _with_line_ends(self, text: bytes) -> bytes:
        return text.replace(b"\r", b"\n") if self._macintosh else text

    def _parts(self) -> Iterator[tuple[bytes | SplitRows, int]]:
        """Whole rows in UTF-8, or split where quotes and line ends do not come as they should; and their first line."""
        rest, quoted, line = b"", False, self._dialect.line
        more = ((self._with_line_ends(text), last) for text, last in self._pieces)
        for text, last in chain([(self._begun, self._whole)], more):
            end, quoted = end_of_rows(text, quoted)
            cut = len(rest) + (len(text) if last else end)
            rest += text
            if last or end:
                rows = self._letters.in_utf8(rest[:cut], line)
                if self._is_plain(rows):
                    yield rows, line
                    line, rest = line + rows.count(b"\n"), rest[cut:]
                    continue
            elif quotes_are_pairs(rest, self.separator, open_at_end=True):
                self._refuse_endless(rest, quoted, line)
                continue
            split_rows, used = self._split_off(rest, line, last=last)
            yield split_rows, line
            line, rest = line + rest.count(b"\n", 0, used), rest[used:]
            self._refuse_endless(rest, True, line)
            quoted = rest.count(b'"') % 2 == 1

    def _is_plain(self, rows: bytes) -> bool:
        ends = b"\r" not in rows or rows.count(b"\r") == rows.count(b"\r\n")
        return ends and quotes_are_pairs(rows, self.separator)

    def _refuse_endless(self, rest: bytes, quoted: bool, line: int) -> None:
        if len(rest) > LONGEST_ROW:
            what = "a quote is never closed" if quoted else "no line ends"
            raise UserError(f"{self._path}, line {line}: {what} within {len(rest):,} bytes; is this a table?")

    def _split_off(self, rest: bytes, line: int, *, last: bool) -> tuple[SplitRows, int]:
        """The whole rows of some text, split, and how many bytes these are."""
        known = rest if last else rest[: rest.rfind(b"\n") + 1]
        text = self._letters.in_utf8(known, line).decode()
        try:
            rows = split(text, self.separator, whole=last)
        except OpenQuoteError as error:
            raise UserError(f"{self._path}, line {line + error.line}: a quote is never closed; close it") from None
        return rows, self._letters.length(text[: rows.used])

    def _parsed(self, text: bytes, line: int, figures: Collection[str]) -> pl.DataFrame:
        names = {str(place): name for place, name in enumerate(self.names)}
        # a first line that names the columns by their places: Polars has its own ideas of quoted names
        rows = self.separator.join(names).encode() + b"\n" + without_blank_lines(text, len(names), self.separator)
        kinds = {place: pl.Float64 if name in figures else pl.String for place, name in names.items()}
        for types in (kinds, dict.fromkeys(names, pl.String)):
            try:
                read = pl.read_csv(
                    rows, separator=self.separator, infer_schema=False, schema_overrides=types, null_values=[""]
                )
            except (pl.exceptions.PolarsError, OSError):
                continue
            frame = read.rename(names)
            self._tell_short_rows(text, frame, line)
            return frame
        return self._split(split(text.decode(), self.separator, whole=True), line)

    def _split(self, rows: SplitRows, line: int) -> pl.DataFrame:
        wide, short, found = len(self.names), [], []
        for row, place in zip(rows.cells, rows.lines, strict=True):
            if wide > 1 and not row:
                continue  # a blank line
            if len(row) > wide and any(cell.strip() for cell in row[wide:]):
                raise UserError(
                    f"{self._path} is not a readable CSV file (line {line + place} has {len(row)} fields, the header "
                    f"{wide})"
                )
            if 0 < len(row) < wide:
                short.append((line + place, len(row)))
            found.append([cell or None for cell in row[:wide]] + [None] * (wide - len(row)))
        self._warn_of_short_rows(short)
        columns = zip(*found, strict=True) if found else [()] * wide
        return pl.DataFrame([pl.Series(*one, dtype=pl.String) for one in zip(self.names, columns, strict=True)])

    def _tell_short_rows(self, text: bytes, frame: pl.DataFrame, line: int) -> None:
        """Warn of rows with fewer cells than the header, if there are some."""
        wide = len(self.names)
        if self._warned or wide < 2 or not frame.to_series(wide - 1).null_count():
            return
        if b'"' not in text and text.count(self.separator.encode()) >= (wide - 1) * frame.height:
            return
        cells, lines, blank = widths(text, self.separator)
        short = np.flatnonzero((cells < wide) & ~blank)
        self._warn_of_short_rows([(line + int(lines[place]), int(cells[place])) for place in short])

    def _warn_of_short_rows(self, short: list[tuple[int, int]]) -> None:
        """Some programs omit empty cells at the end of a row; a file that was cut short looks the same."""
        if short and not self._warned:
            self._warned = True
            more = f" and {len(short) - 1:,} other lines" if len(short) > 1 else ""
            warnings.warn(
                f"{self._path}, line {short[0][0]}{more}: {short[0][1]} fields where the header has {len(self.names)}; "
                "the others count as missing. Is the file complete?",
                stacklevel=2,
            )


def without_blank_lines(text: bytes, columns: int, separator: str) -> bytes:
    r"""A blank line is not a row, but for one column, where it is an empty cell; within quotes it is text.

    Examples
    --------
    >>> without_blank_lines(b'1,2\n\n3,"\n\n4"\n', 2, ",")
    b'1,2\n3,"\n\n4"\n'
    """
    if columns < 2 or not (text.startswith(_AFTER_A_LINE_END) or any(b"\n" + one in text for one in _AFTER_A_LINE_END)):
        return text  # found a hundred times as fast as by the pattern
    lines = _BLANK_LINES[separator == "\t"]
    if b'"' not in text:
        return lines.sub(b"", text)
    plain = outside_quotes(text)
    return lines.sub(lambda found: b"" if plain[found.start()] else found[0], text)
