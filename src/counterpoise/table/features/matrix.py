"""The matrix that a table becomes, by a schema learned before."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.columns import dates_of, kind_of, numbers_of
from counterpoise.table.features.date_parts import date_parts
from counterpoise.table.features.reference_day import newest_day
from counterpoise.table.features.schema import CATEGORY, DATES, FLAG, NUMBER, TEXT, Column, Schema, kind_in_words
from counterpoise.table.reading.table import Table, check_columns


def to_matrix(table: Table, schema: Schema, day: date | None = None) -> NDArray[np.float64]:
    """The feature matrix (N, F) of a table, by a schema learned before.

    Parameters
    ----------
    table
        The rows.
    schema
        The features that columns become.
    day
        Day up to which ages are counted, if there are any; None: the newest date of these rows.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"kind": ["b", "new", None]}), Path("t.parquet"), typed=True)
    >>> to_matrix(table, Schema((Column("kind", "category", ("a", "b")),)))
    array([[ 1.],
           [nan],
           [nan]])
    """
    check_columns(table, [column.name for column in schema.columns])
    matrix = np.empty((table.frame.height, len(schema.features)))
    place = 0
    held = {column.name: column for column in table.frame.get_columns()}
    dates = {
        column.name: dates_of(held[column.name], column, table) for column in schema.columns if column.kind in DATES
    }
    if day is None and schema.needs_day:
        day = newest_day(dates, schema.reference)
    for column in schema.columns:
        if column.kind in DATES:
            parts = date_parts(column.name, column.dated, dates, schema.reference, day)
        else:
            parts = _encode(held[column.name], column, schema, table)
        for part in parts:
            matrix[:, place] = part
            place += 1
    return matrix


def _encode(column: pl.Series, one: Column, schema: Schema, table: Table) -> list[NDArray[np.float64]]:
    if column.null_count() == len(column):
        return [np.full(len(column), np.nan) for _ in one.parts]
    found = kind_of(column)
    if one.kind in (NUMBER, FLAG) and found in (NUMBER, FLAG):
        return [numbers_of(column, table)]
    if one.kind == CATEGORY and found == CATEGORY:
        places = {value: float(place) for place, value in enumerate(one.categories)}
        text = column.cast(pl.String)
        return [_floats(text.replace_strict(places, default=None, return_dtype=pl.Float64))]
    if one.kind == TEXT and found == CATEGORY:
        text = column.cast(pl.String)
        return [_floats(text.str.len_chars()), *schema.texts[one.name].apply(text).T]
    raise UserError(
        f"{table.path}: column {one.name!r} is of type {column.dtype}, which is not a {kind_in_words(one.kind)}, but "
        "the model was trained on that"
    )


def _floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
