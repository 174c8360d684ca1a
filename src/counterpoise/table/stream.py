"""A table in blocks of rows, in order, however large its file: what is in memory is one block.

A CSV is read by the schema of a model, not by what a whole column looks like, which a block cannot know: so a cell
means the same in every block.
"""

import codecs
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.cells import Problem, usable
from counterpoise.table.delimited import (
    Header,
    first_line,
    header_of,
    in_utf8,
    no_utf_16,
    too_long,
    unpacked,
    warn_of_short_rows,
    without_blank_lines,
)
from counterpoise.table.features import NUMBER, Schema
from counterpoise.table.figures import PLAIN
from counterpoise.table.read import NO_PARQUET, Table, check_columns, is_parquet, parquet_files, parquet_schema

ROWS = 65_536
_BYTES = 16_000_000
_LONGEST_ROW = 256_000_000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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
    >>> from counterpoise.table.features import Column
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "t.csv")
    ...     _ = path.write_text("size\n1\nmany\n")
    ...     (block,) = blocks(path, Schema((Column("size", "number"),)))
    >>> block.table.frame["size"].to_list(), block.problems
    ([1.0, None], [Problem(row=1, column='size', reason="'many' is not a number")])
    """
    typed = is_parquet(path)
    first = 0
    for frame in _of_parquet(path, schema) if typed else _of_delimited(path, schema):
        if frame.height:
            yield Block(first, *usable(Table(frame, path, typed), schema))
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


def _of_parquet(path: Path, schema: Schema) -> Iterator[pl.DataFrame]:
    wanted = [column.name for column in schema.columns]
    for file in parquet_files(path):
        check_columns(Table(pl.DataFrame(schema=parquet_schema(file)), path, typed=True), wanted)
        try:
            rows = pl.scan_parquet(file, glob=False).select(wanted)
            for frame in rows.collect_batches(chunk_size=ROWS, maintain_order=True):
                yield from frame.iter_slices(ROWS)
        except NO_PARQUET as error:
            raise UserError(f"{file} is not a readable Parquet file ({first_line(error)})") from None


def _of_delimited(path: Path, schema: Schema) -> Iterator[pl.DataFrame]:
    figures = {one.name for one in schema.columns if one.kind == NUMBER and one.figures == PLAIN}
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
                yield from frame.iter_slices(ROWS)
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
