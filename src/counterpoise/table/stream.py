"""A table in blocks of rows, in order, however large its file: what is in memory is one block.

A CSV is read by the schema of a model, not by what a whole column looks like, which a block cannot know: so a cell
means the same in every block. A cell that the model cannot use is left empty, and told.
"""

import codecs
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from polars import selectors

from counterpoise.errors import UserError
from counterpoise.table.date_columns import as_learned
from counterpoise.table.delimited import (
    Header,
    first_line,
    header_of,
    in_utf8,
    no_utf_16,
    numbers,
    too_long,
    unpacked,
    warn_of_short_rows,
    without_blank_lines,
)
from counterpoise.table.features import DATE, DATES, FLAG, NUMBER, Column, Schema, kind_in_words
from counterpoise.table.missing import MISSING, MISSING_NUMBER, without_marks
from counterpoise.table.read import NO_PARQUET, Table, check_columns, is_parquet, parquet_files, parquet_schema, quoted

ROWS = 65_536
INFINITE = "is infinite"
_BYTES = 16_000_000
_LONGEST_ROW = 256_000_000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_DECIMAL_COMMA = r"^[+-]?\d+,\d+(e[+-]?\d+)?$"


@dataclass(frozen=True, slots=True)
class Problem:
    """A cell that the model cannot use.

    Parameters
    ----------
    row
        Of the block, from 0.
    column
        Its name.
    reason
        What was found, and what was expected.
    """

    row: int
    column: str
    reason: str

    @property
    def why(self) -> str:
        """The same for somebody who knows the row."""
        return f"column {self.column!r}" + (f" {INFINITE}" if self.reason == INFINITE else f": {self.reason}")

    def said(self, row: int) -> str:
        """A sentence that names the column and a row as people count it.

        Examples
        --------
        >>> Problem(0, "size", "'many' is not a number").said(7)
        "column 'size', data row 7: 'many' is not a number"
        """
        if self.reason == INFINITE:
            return f"column {self.column!r} is infinite in data row {row}"
        return f"column {self.column!r}, data row {row}: {self.reason}"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of a table, the model's columns in the types that it was trained on.

    Parameters
    ----------
    first
        How many rows of the table come before.
    table
        The rows.
    problems
        The cells that could not be used and are empty there.
    """

    first: int
    table: Table
    problems: list[Problem]


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns, without its rows.

    Raises
    ------
    UserError
        As `read_table`.
    """
    if is_parquet(path):
        return list(parquet_schema(parquet_files(path)[0]))
    with unpacked(path) as (file, name):
        return header_of(next(_lines(file, path), b""), name, path).names


def blocks(path: Path, schema: Schema) -> Iterator[Block]:
    r"""The rows of a CSV or Parquet file, or of a folder of the latter, in order.

    Parameters
    ----------
    path
        As for `read_table`.
    schema
        Which columns are read, and as what.

    Raises
    ------
    UserError
        As `read_table`; and if a column of the schema is absent.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "t.csv")
    ...     _ = path.write_text("size\n1\nmany\n")
    ...     (block,) = blocks(path, Schema((Column("size", "number"),)))
    >>> block.table.frame["size"].to_list(), block.problems
    ([1.0, None], [Problem(row=1, column='size', reason="'many' is not a number")])
    """
    typed = is_parquet(path)
    first = 0
    for frame, decimal_comma in _of_parquet(path, schema) if typed else _of_delimited(path, schema):
        if frame.height:
            yield Block(first, *usable(Table(frame, path, typed), schema, decimal_comma=decimal_comma))
        first += frame.height
    if first == 0:
        raise UserError(f"{path} has no rows")


def ahead(found: Iterator[Block]) -> Iterator[Block]:
    """The same blocks; while one is worked on, a thread reads the next.

    Examples
    --------
    >>> list(ahead(iter([])))
    []
    """
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, found, None)
        while (block := following.result()) is not None:
            following = pool.submit(next, found, None)
            yield block


def usable(
    table: Table, schema: Schema, *, decimal_comma: bool = False, most_problems: int | None = None
) -> tuple[Table, list[Problem]]:
    """The table with its text read as what the model was trained on, and the cells that are no such thing.

    Parameters
    ----------
    table
        Rows with every column of the schema.
    schema
        What the columns are to be.
    decimal_comma
        Whether 0,5 is a half.
    most_problems
        So many cells of each column are told, the first ones; None for all.
    """
    problems: list[Problem] = []
    columns = []
    ready = _ready(table.frame)
    for column in schema.columns:
        if column.kind in (NUMBER, FLAG) and column.name in ready:
            continue
        cells = table.frame[column.name]
        if column.kind in DATES:
            values, why = as_learned(cells, timed=column.kind != DATE, form=column.form, zone=column.zone)
            columns.append(values)
            for row in why.is_not_null().arg_true():
                problems.append(Problem(row, column.name, f"{quoted(cells[row])} {why[row]}"))
            continue
        values, wrong = _values(cells, column, table, decimal_comma)
        columns.append(values)
        if wrong.any():
            rows = wrong.arg_true().head(len(wrong) if most_problems is None else most_problems).to_list()
            problems += [Problem(row, column.name, _reason(cells[row], column)) for row in rows]
    return Table(table.frame.with_columns(columns), table.path, table.typed), problems


def _ready(frame: pl.DataFrame) -> set[str]:
    """Columns of finite numbers, all looked at in one call."""
    figures = frame.select(selectors.float())
    finite = figures.select(pl.all().is_finite().all())
    whole = frame.select(selectors.integer() | selectors.boolean()).columns
    return {*whole, *(name for name, good in finite.to_dicts()[0].items() if good)} if figures.width else set(whole)


def _reason(cell: object, column: Column) -> str:
    spelled = quoted(cell)
    try:
        if math.isinf(float(spelled.strip("'"))):
            return INFINITE
    except ValueError:
        pass
    return f"{spelled} is not a {kind_in_words(column.kind)}"


def _values(cells: pl.Series, column: Column, table: Table, decimal_comma: bool) -> tuple[pl.Series, pl.Series]:
    """What the cells are worth, and which of them nothing."""
    if column.kind in (NUMBER, FLAG):
        values, held = _numbers(cells, decimal_comma) if cells.dtype == pl.String else (cells, cells.is_not_null())
        if values.dtype.is_float():
            held = held & values.is_not_nan().fill_null(True)
            values = values.set(values.is_infinite() | values.is_nan(), None)
    else:
        values = cells if table.typed else without_marks(cells)
        held = values.is_not_null()
    return values, held & values.is_null()


def _numbers(cells: pl.Series, decimal_comma: bool) -> tuple[pl.Series, pl.Series]:
    text = without_marks(cells, MISSING + MISSING_NUMBER)
    if decimal_comma:
        comma = text.str.contains(_DECIMAL_COMMA)
        text = text.zip_with(~comma.fill_null(False), text.str.replace(",", ".", literal=True))
    values = numbers(text)
    if values.null_count() > text.null_count():
        low = text.str.to_lowercase()
        flag = (low == "true").cast(pl.Float64)
        values = values.zip_with(~low.is_in(["true", "false"]).fill_null(False), flag)
    return values.alias(cells.name), text.is_not_null()


def _of_parquet(path: Path, schema: Schema) -> Iterator[tuple[pl.DataFrame, bool]]:
    wanted = [column.name for column in schema.columns]
    for file in parquet_files(path):
        check_columns(Table(pl.DataFrame(schema=parquet_schema(file)), path, typed=True), wanted)
        try:
            rows = pl.scan_parquet(file, glob=False).select(wanted)
            for frame in rows.collect_batches(chunk_size=ROWS, maintain_order=True):
                yield from ((piece, False) for piece in frame.iter_slices(ROWS))
        except NO_PARQUET as error:
            raise UserError(f"{file} is not a readable Parquet file ({first_line(error)})") from None


def _of_delimited(path: Path, schema: Schema) -> Iterator[tuple[pl.DataFrame, bool]]:
    figures = {column.name for column in schema.columns if column.kind in (NUMBER, FLAG)}
    with unpacked(path) as (file, name):
        header, line, warned = None, 1, False
        for raw in _lines(file, path):
            if header is None:
                header = header_of(raw, name, path)
                check_columns(Table(pl.DataFrame(schema=header.names), path, False), [c.name for c in schema.columns])
                raw, line = raw[header.length :], 2
            if raw:
                text = without_blank_lines(_numbered(header) + raw, len(header.names))
                frame = _parsed(text, header, figures, path, line - 1)
                warned = warned or warn_of_short_rows(text, frame, header.separator, path, line=line - 1)
                yield from ((piece, header.separator != ",") for piece in frame.iter_slices(ROWS))
            line += raw.count(b"\n")


def _numbered(header: Header) -> bytes:
    """A first line that names the columns by their places: Polars has its own ideas of quoted names."""
    return header.separator.join(map(str, range(len(header.names)))).encode() + b"\n"


def _parsed(text: bytes, header: Header, figures: set[str], path: Path, line: int) -> pl.DataFrame:
    """The rows, figures as numbers where all are such, the rest as text."""
    names = {str(place): name for place, name in enumerate(header.names)}
    kinds = {place: pl.Float64 if name in figures else pl.String for place, name in names.items()}
    for types in (kinds, dict.fromkeys(names, pl.String)):
        try:
            frame = pl.read_csv(
                text, separator=header.separator, infer_schema=False, schema_overrides=types, null_values=[""]
            )
            return frame.rename(names)
        except (pl.exceptions.PolarsError, OSError) as error:
            problem = first_line(error)
    problem = too_long(text, header.separator, len(names), line=line) or problem
    raise UserError(f"{path} is not a readable CSV file ({problem})")


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Whole lines in UTF-8, about 16 MB at a time; a line end within quotes ends no line."""
    rest, line, macintosh, quoted = b"", 1, False, False
    for place, (chunk, last) in enumerate(_chunks(file, path)):
        if place == 0:
            macintosh = b"\n" not in chunk
        text = chunk.replace(b"\r", b"\n") if macintosh else chunk  # which Excel still offers
        end, quoted = end_of_rows(text, quoted)
        cut = len(rest) + (len(text) if last else end)
        rest += text
        if not last and end == 0:
            if len(rest) > _LONGEST_ROW:
                what = "a quote opens that closes nowhere" if quoted else "no line ends"
                raise UserError(f"{path}, line {line}: {what} in {len(rest):,} bytes; is this a table?")
            continue
        if cut:
            yield in_utf8(rest[:cut], path, line=line)
            line += rest.count(b"\n", 0, cut)
            rest = rest[cut:]


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, bool]]:
    """Pieces of the file, and whether each is the last one; UTF-16 becomes UTF-8."""
    chunk = file.read(_BYTES)
    decoder = codecs.getincrementaldecoder("utf-16")() if chunk.startswith(_UTF_16) else None
    while True:
        following = file.read(_BYTES)
        try:
            yield (chunk if decoder is None else decoder.decode(chunk, not following).encode()), not following
        except UnicodeError:
            raise no_utf_16(path) from None
        if not following:
            return
        chunk = following


def end_of_rows(text: bytes, quoted: bool = False) -> tuple[int, bool]:
    r"""Where the last row ends within some text, after its line end (0: nowhere), and whether a quote is open at last.

    Each byte is looked at once, however the quotes lie.

    Parameters
    ----------
    text
        Some of a file, to be followed by more.
    quoted
        Whether a quote is open where it begins: a line end within quotes ends no row.

    Examples
    --------
    >>> end_of_rows(b'1,"a"\n2,"b\n'), end_of_rows(b'c"\n3', quoted=True)
    ((6, True), (3, False))
    """
    if b'"' not in text:
        return (0 if quoted else text.rfind(b"\n") + 1), quoted
    open_at_last = quoted != bool(text.count(b'"') % 2)
    end = text.rfind(b"\n") + 1
    if open_at_last == bool(text.count(b'"', end) % 2):  # as nearly always: no quote is open at the last line end
        return end, open_at_last
    signs = np.frombuffer(text, np.uint8)
    within = np.logical_xor.accumulate(signs == ord('"')) != quoted
    ends = np.flatnonzero((signs == ord("\n")) & ~within)
    return (int(ends[-1]) + 1 if len(ends) else 0), open_at_last
