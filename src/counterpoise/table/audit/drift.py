"""What changes over time: the share of each class, and the columns.

A random split puts the same days into training and test; new rows come after both. The difference of later rows is
measured by how well one column alone separates them from the earlier ones.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.decide.measured import share
from counterpoise.errors import UserError

_PERIODS = 10
_LATE = 0.2
_LEAST_RATIO = 1.5
MOVED_AUC = 0.75
"""From here on a column is said to have moved."""


@dataclass(frozen=True, slots=True)
class Period:
    """Rows that follow each other in time.

    Parameters
    ----------
    first, last
        Earliest and latest time of the rows, as text.
    rows
        Number of rows.
    shares
        Share of each class, in [0, 1].
    """

    first: str
    last: str
    rows: int
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A column that separates later rows from earlier ones.

    Parameters
    ----------
    column
        Name of the column.
    auc
        Out-of-fold AUC of the column alone: 0.5 if nothing has changed, 1 if everything has.
    """

    column: str
    auc: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What changes over time.

    Parameters
    ----------
    time
        The column that orders the rows.
    since
        Time from which rows are the later ones, about the last fifth.
    late
        Number of late rows.
    periods
        Up to ten periods of about equal size, in order.
    class_moved
        The class whose share varies most between two periods, if by more than chance; else None.
    lowest, highest
        Its smallest and largest share; 0 where `class_moved` is None.
    columns
        All examined columns, the most changed first.
    """

    time: str
    since: str
    late: int
    periods: tuple[Period, ...]
    class_moved: str | None
    lowest: float
    highest: float
    columns: tuple[Moved, ...]

    @property
    def moved(self) -> tuple[Moved, ...]:
        """The columns that changed much."""
        return tuple(one for one in self.columns if one.auc >= MOVED_AUC)


def time_places(column: pl.Series) -> NDArray[np.int64]:
    """(N,), the place in time of each row: equal for equal times.

    Raises
    ------
    UserError
        If the column is neither date, time nor number, is missing in a row, or never changes.

    Examples
    --------
    >>> time_places(pl.Series("year", [2020, 2019, 2020]))
    array([1, 0, 1])
    """
    name = column.name
    if not (column.dtype.is_temporal() or column.dtype.is_numeric()):
        example = column.drop_nulls().head(1).to_list()
        raise UserError(
            f"time {name!r} holds {column.dtype}{f', such as {example[0]!r}' if example else ''}; write all dates as "
            "2024-01-31, all times as 2024-01-31 10:30, or name a column of numbers"
        )
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if missing := column.null_count():
        place = int(column.is_null().arg_max() or 0)
        raise UserError(f"time {name!r} is missing in {missing:,} rows, first in data row {place + 1}; drop these rows")
    places = column.rank("dense").to_numpy().astype(np.int64) - 1
    if places.max(initial=0) == 0:
        raise UserError(f"time {name!r} is {column[0]} in every row; name another column, or none")
    return places


def late_rows(places: NDArray[np.int64], wanted: float = _LATE) -> NDArray[np.bool_]:
    """(N,), whether a row is of about the last fifth; rows of one time stay together, and neither side is empty.

    Examples
    --------
    >>> late_rows(np.array([0, 1, 2, 3, 4])).tolist(), late_rows(np.array([0, 1, 1, 1])).tolist()
    ([False, False, False, False, True], [False, True, True, True])
    """
    after = 1 - np.cumsum(np.bincount(places))[:-1] / len(places)
    if len(after) == 0:  # one time only
        return np.zeros(len(places), np.bool_)
    return places > int(np.argmin(np.abs(after - wanted)))


def spelled(time: object) -> str:
    """A time as text, without a midnight that only means a day.

    Examples
    --------
    >>> from datetime import datetime
    >>> spelled(datetime(2024, 1, 31)), spelled(2024)
    ('2024-01-31', '2024')
    """
    return str(time).removesuffix(" 00:00:00")


def periods_of(
    column: pl.Series, places: NDArray[np.int64], codes: NDArray[np.int64], classes: int
) -> tuple[tuple[Period, ...], NDArray[np.int64]]:
    """Up to ten periods of about equal size, and the rows of each class in each, (periods, classes)."""
    upto = np.cumsum(np.bincount(places)) / len(places)
    period_of_place = np.minimum((upto - 1e-12) * _PERIODS, _PERIODS - 1).astype(np.int64)
    _, period_of_place = np.unique(period_of_place, return_inverse=True)
    period = period_of_place[places]
    size = int(period.max(initial=0)) + 1
    counted = np.bincount(period * classes + codes, minlength=size * classes).reshape(size, classes)
    frame = pl.DataFrame({"period": period, "time": column})
    bounds = frame.group_by("period").agg(first=pl.col("time").min(), last=pl.col("time").max()).sort("period")
    rows = counted.sum(axis=1)
    return tuple(
        Period(spelled(first), spelled(last), int(n), tuple((one / n).tolist()))
        for first, last, n, one in zip(bounds["first"], bounds["last"], rows, counted, strict=True)
    ), counted


def most_moved_class(counted: NDArray[np.int64]) -> tuple[int, float, float] | None:
    """The class whose share varies most between periods, and its smallest and largest share.

    None where the exact intervals of the two shares overlap, or where they differ by less than half.

    Examples
    --------
    >>> most_moved_class(np.array([[990, 10], [900, 100]]))
    (1, 0.01, 0.1)
    >>> most_moved_class(np.array([[99, 1], [98, 2]])) is None
    True
    """
    rows = counted.sum(axis=1)
    found: list[tuple[float, int, float, float]] = []
    for one in range(counted.shape[1]):
        shares = counted[:, one] / rows
        low, high = int(np.argmin(shares)), int(np.argmax(shares))
        below, above = (share(float(counted[place, one]), float(rows[place])) for place in (low, high))
        if below.high < above.low and shares[high] >= _LEAST_RATIO * shares[low]:
            found.append((above.low / below.high, one, float(shares[low]), float(shares[high])))
    return max(found)[1:] if found else None
