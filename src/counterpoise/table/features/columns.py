"""The content of a table's column: its kind, numbers and dates; and the reasons for refusing it."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.schema import CATEGORY, DATE, DATETIME, FLAG, NUMBER, Column
from counterpoise.table.reading.date_columns import as_learned, cell_of
from counterpoise.table.reading.table import Table, refuse_doubtful
from counterpoise.wording import quoted


def refused_cells(table: Table, column: pl.Series) -> str | None:
    """Why training would refuse a column as it is, or None.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"size": [1.5, float("inf")]}), Path("t.parquet"), typed=True)
    >>> refused_cells(table, table.frame["size"])
    "column 'size' is infinite in data row 2; put a number there, or leave it empty"
    """
    try:
        refuse_doubtful(table, column.name)
        if kind_of(column) == NUMBER:
            numbers_of(column, table)
    except UserError as error:
        return str(error).removeprefix(f"{table.path}: ")
    return None


def dates_of(column: pl.Series, one: Column, table: Table) -> pl.Series:
    """The dates or times of a column, read as they were written in training."""
    values, why = as_learned(column, timed=one.kind != DATE, form=one.form, zone=one.zone)
    if why.null_count() < len(why):
        place = int(why.is_not_null().arg_max() or 0)
        raise UserError(
            f"{table.path}: column {one.name!r}, data row {place + 1}: {quoted(cell_of(column, place))} {why[place]}"
        )
    return values


def kind_of(column: pl.Series) -> str | None:
    """The kind of a column by its type; None if it is empty, or if no model accepts it."""
    dtype = column.dtype
    if column.null_count() == len(column):
        return None
    if dtype == pl.Boolean:
        return FLAG
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return NUMBER
    if dtype == pl.Date:
        return DATE
    if dtype == pl.Datetime:
        return DATETIME
    return CATEGORY if dtype in (pl.String, pl.Categorical, pl.Enum) else None


def spans(column: pl.Series) -> pl.Series:
    """Durations in microseconds, in whatever unit they are stored, and times of day in nanoseconds; the rest as it is.

    Examples
    --------
    >>> from datetime import timedelta
    >>> spans(pl.Series([timedelta(seconds=1)], dtype=pl.Duration("ms"))).to_list()
    [1000000]
    """
    if column.dtype == pl.Duration:
        return column.dt.total_microseconds()
    return column.cast(pl.Int64) if column.dtype == pl.Time else column


def numbers_of(column: pl.Series, table: Table) -> NDArray[np.float64]:
    """As floats, NaN where missing; in NumPy, since thousands of columns add up each call to Polars."""
    values = spans(column).cast(pl.Float64).to_numpy()
    endless = np.isinf(values)
    if endless.any():
        place = int(endless.argmax())
        raise UserError(
            f"{table.path}: column {column.name!r} is infinite in data row {place + 1}; "
            "put a number there, or leave it empty"
        )
    return values
