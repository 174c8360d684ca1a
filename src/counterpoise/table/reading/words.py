"""Cells of any type as the words that a file would hold."""

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.reading.missing import without_marks

_SAFE = 2**63


def as_words(cells: pl.Series) -> pl.Series:
    """Cells of any type as text without blanks around it; missing where a mark stands. 7.0 is "7".

    Examples
    --------
    >>> as_words(pl.Series([7.0, None, 7.25])).to_list(), as_words(pl.Series([True])).to_list()
    (['7', None, '7.25'], ['true'])
    """
    if cells.dtype == pl.String:
        return without_marks(cells)
    if cells.dtype.is_float():
        held = cells.fill_nan(None).cast(pl.Float64)
        values = held.drop_nulls().unique()
        spelled = pl.Series([spelled_number(one) for one in values], dtype=pl.String)
        return held.replace_strict(values, spelled).cast(pl.String)  # of nothing it keeps the type
    if cells.dtype.is_nested() or cells.dtype in (pl.Binary, pl.Object):
        raise UserError(f"column {cells.name!r} is of type {cells.dtype}, but the model was trained on text")
    return cells.cast(pl.String)


def spelled_number(value: float) -> str:
    """A number as the text that a file would have.

    Examples
    --------
    >>> spelled_number(7.0), spelled_number(0.25)
    ('7', '0.25')
    """
    return str(int(value)) if value.is_integer() and abs(value) < _SAFE else repr(value)
