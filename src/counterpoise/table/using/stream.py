"""A table in blocks of rows, in order, however large its file: only one block is in memory.

A CSV is read by the schema of a model, because a block does not show the whole column. So a cell means the same in
every block.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.features.cells import Problem, usable
from counterpoise.table.features.schema import NUMBER, Schema
from counterpoise.table.reading.files.delimited import opened
from counterpoise.table.reading.files.table_files import NO_PARQUET, no_parquet, parquet_schema, table_files
from counterpoise.table.reading.numbers import PLAIN
from counterpoise.table.reading.table import Table, check_columns

ROWS = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of a table, the model's columns in the types that it was trained on.

    Parameters
    ----------
    first
        Number of rows of the table before this block.
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
    return table_files(path).columns


def blocks(path: Path, schema: Schema) -> Iterator[Block]:
    r"""The rows of a table, in order.

    Parameters
    ----------
    path
        As for `read_table`.
    schema
        The columns to read, and their kinds.

    Raises
    ------
    UserError
        As `read_table`; and if a column of the schema is absent.

    Examples
    --------
    >>> import tempfile
    >>> from counterpoise.table.features.schema import Column
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "t.csv")
    ...     _ = path.write_text("size\n1\nmany\n")
    ...     (block,) = blocks(path, Schema((Column("size", "number"),)))
    >>> block.table.frame["size"].to_list(), block.problems
    ([1.0, None], [Problem(row=1, column='size', reason="'many' is not a number")])
    """
    found = table_files(path)
    first = 0
    for frame in (_of_parquet if found.typed else _of_delimited)(found.files, schema):
        if frame.height:
            yield Block(first, *usable(Table(frame, path, found.typed), schema))
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


def _of_parquet(files: Sequence[Path], schema: Schema) -> Iterator[pl.DataFrame]:
    wanted = [column.name for column in schema.columns]
    for file in files:
        check_columns(Table(pl.DataFrame(schema=parquet_schema(file)), file, typed=True), wanted)
        try:
            rows = pl.scan_parquet(file, glob=False).select(wanted)
            for frame in rows.collect_batches(chunk_size=ROWS, maintain_order=True):
                yield from frame.iter_slices(ROWS)
        except NO_PARQUET as error:
            raise no_parquet(file, error) from None


def _of_delimited(files: Sequence[Path], schema: Schema) -> Iterator[pl.DataFrame]:
    figures = {one.name for one in schema.columns if one.kind == NUMBER and one.figures == PLAIN}
    for file in files:
        with opened(file) as source:
            names = [one.name for one in schema.columns]
            check_columns(Table(pl.DataFrame(schema=source.names), file, typed=False), names)
            for frame in source.blocks(figures):
                yield from frame.select(names).iter_slices(ROWS)
