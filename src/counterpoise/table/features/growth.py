"""Columns that only grow with time: a year, a quarter, a running number, a counter that is never reset.

In later rows they lie outside the training range, as dates do.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.seeming_dates import time_in_numbers, time_in_text
from counterpoise.table.reading.epochs import epoch_unit

_CLOSELY = 0.95
_FEWEST_VALUES = 20
_FEWEST_YEARS = 3
_MOST_ROWS = 20_000
_YEARS = (1900, 2100)
_YEARLY = re.compile(r"year|(^|[^a-z])yr", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Growing:
    """A column that grows with time.

    Parameters
    ----------
    column
        Name of the column.
    why
        The evidence, in words.
    seems
        Whether its cells seem to be dates or periods in a form that is not read as dates.
    """

    column: str
    why: str
    seems: bool = False


def growing_columns(frame: pl.DataFrame, names: Iterable[str], time: str | None = None) -> tuple[Growing, ...]:
    """The columns that grow with a date of the row or from row to row, or hold years, times or periods.

    Parameters
    ----------
    frame
        The table; its dates are typed.
    names
        The columns to look at.
    time
        The column that orders the rows, if there is one.

    Examples
    --------
    >>> frame = pl.DataFrame({"year": [2019 + k % 5 for k in range(100)], "batch": [7 * k for k in range(100)]})
    >>> [(one.column, one.why) for one in growing_columns(frame, frame.columns)]
    [('year', 'years 2019 to 2023'), ('batch', 'it grows from row to row')]
    """
    few = frame.gather_every(max(1, frame.height // _MOST_ROWS))
    clocks = {one.name: _ranks(one.to_physical()) for one in few.get_columns() if one.dtype in (pl.Date, pl.Datetime)}
    if time is not None and few[time].dtype.is_numeric():
        clocks[time] = _ranks(few[time])
    order = np.arange(few.height, dtype=np.float64)
    found = []
    for name in names:
        column = few[name]
        if column.dtype in (pl.String, pl.Categorical, pl.Enum) and name != time:
            meant = time_in_text(column.cast(pl.String))
            found += [] if meant is None else [Growing(name, meant, seems=True)]
        if not column.dtype.is_numeric() or name == time:
            continue
        values = column.cast(pl.Float64).to_numpy()
        distinct = np.unique(values[np.isfinite(values)])
        if (
            len(distinct) >= (_FEWEST_YEARS if _YEARLY.search(name) is None else 2)
            and _YEARS[0] <= distinct[0] <= distinct[-1] <= _YEARS[1]
            and _whole(distinct)
        ):
            found.append(Growing(name, f"years {distinct[0]:.0f} to {distinct[-1]:.0f}"))
        elif (meant := time_in_numbers(name, distinct)) is not None:
            found.append(Growing(name, meant, seems=True))
        elif len(distinct) >= _FEWEST_VALUES:
            ranks = _ranks(column)
            clock = next((one for one, when in clocks.items() if _alike(ranks, when) >= _CLOSELY), None)
            if clock is not None:
                found.append(Growing(name, f"it grows with {clock!r}"))
            elif _alike(ranks, order) >= _CLOSELY and _whole(distinct) and _counts(distinct, len(values)):
                found.append(Growing(name, "it grows from row to row"))
            elif (unit := epoch_unit(values)) is not None:
                found.append(Growing(name, f"it may hold times in {unit} since 1970", seems=True))
    return tuple(found)


def row_order(frame: pl.DataFrame, names: Iterable[str]) -> tuple[str, ...]:
    """A sentence for each column of dates by which the rows are ordered: it may be the time of each row.

    Examples
    --------
    >>> at = pl.Series("at", range(19_000, 19_040)).cast(pl.Date)
    >>> row_order(pl.DataFrame([at]), ["at"])[0][:48]
    "The rows are in the order of 'at': if that is th"
    """
    few = frame.gather_every(max(1, frame.height // _MOST_ROWS))
    order = np.arange(few.height, dtype=np.float64)
    dated = [name for name in names if few[name].dtype in (pl.Date, pl.Datetime)]
    return tuple(
        f"The rows are in the order of {name!r}: if that is the time of each row, --time {shlex.quote(name)} counts "
        "ages to it and tests on the latest rows."
        for name in dated
        if few[name].n_unique() >= _FEWEST_VALUES and abs(_alike(_ranks(few[name].to_physical()), order)) >= _CLOSELY
    )


def _counts(distinct: NDArray[np.float64], rows: int) -> bool:
    """Whether numbers in order are a count: hardly one repeats, or hardly one is left out."""
    return len(distinct) > rows / 2 or len(distinct) > _CLOSELY * (distinct[-1] - distinct[0] + 1)


def _whole(values: NDArray[np.float64]) -> bool:
    return bool((values % 1 == 0).all())


def _ranks(column: pl.Series) -> NDArray[np.float64]:
    held = column.fill_nan(None) if column.dtype.is_float() else column
    return held.rank("average").cast(pl.Float64).to_numpy()


def _alike(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rank correlation on the rows that have both."""
    both = ~np.isnan(first) & ~np.isnan(second)
    if both.sum() < _FEWEST_VALUES or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return 0.0
    return float(np.corrcoef(first[both], second[both])[0, 1])
