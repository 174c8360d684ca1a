"""The day up to which the ages of a table's dates are counted: given, or the newest date of one column.

A model that has learned how long ago a customer was last seen also works on next month's customers, although the date
itself lies outside the training range. The newest day comes from the column whose dates lie closest to their newest
one, as is typical of dates recorded up to the day of the table. A few dates far beyond all others (a typing error,
9999-12-31) are not the newest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.reading.date_columns import as_learned
from counterpoise.wording import plural, quoted

Days = NDArray[np.int64]

_NEVER = date(2200, 1, 1)
_RARE = 0.01
_FEWEST_ROWS, _MANY_ROWS = 5, 100
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Of how many rows `Reference.short` tells."""
_SURE = 0.95
_NOTABLE = 0.1
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Reference:
    """The day that the ages of a model's dates are counted up to.

    Parameters
    ----------
    column
        The column whose newest date is the day of a table.
    own
        Whether ages are counted up to the row's own date in that column instead.
    day
        Day of the training table, as 2024-01-31; "" where `own`.
    ahead
        Number of days from the newest date of the column in training to the reference day: 0 unless the day was given.
    short
        Number of days by which the newest date of 1, 2, 5, 10, … 1000 such rows may lie before that of many (95 %).
    """

    column: str
    own: bool = False
    day: str = ""
    ahead: int = 0
    short: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Reference":
        """The reference that `to_dict` described."""
        return cls(**{**data, "short": tuple(data["short"])})

    def day_from(self, newest: "NewestDay") -> date:
        """The day of a table, from the newest date of the column there.

        Raises
        ------
        UserError
            If there is none.
        """
        if newest.day is None:
            raise UserError(
                f"column {self.column!r} holds no date, but ages are counted up to its newest one; give the day: "
                "--as-of 2024-01-31 (as_of)"
            )
        try:
            return newest.day + timedelta(days=self.ahead)
        except OverflowError:
            raise UserError(
                f"the newest date of {self.column!r} is {newest.day}, and ages are counted up to {self.ahead:,} days "
                "after it, where there is no calendar; give the day: --as-of 2024-01-31 (as_of)"
            ) from None


class NewestDay:
    """The newest day of a column whose cells come in blocks.

    Examples
    --------
    >>> newest = NewestDay()
    >>> newest.add(pl.Series([date(2024, 1, 31), date(2024, 1, 30), date(9999, 12, 31), None]))
    >>> newest.day, newest.rows
    (datetime.date(2024, 1, 31), 3)
    """

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def add(self, values: pl.Series) -> None:
        """Look at some dates or times; the day of a time is that of its own zone."""
        days, rows = np.unique(days_of(values), return_counts=True)
        for day, n in zip(days.tolist(), rows.tolist(), strict=True):
            self._rows[day] = self._rows.get(day, 0) + n

    @property
    def rows(self) -> int:
        """How many dates there were."""
        return sum(self._rows.values())

    @property
    def day(self) -> date | None:
        """The newest one that is not far beyond all others; None where there is not a date."""
        days = np.array(sorted(self._rows), np.int64)
        return None if not len(days) else as_date(newest_of(days, np.array([self._rows[one] for one in days.tolist()])))


def days_of(values: pl.Series) -> Days:
    """The days since 1970 of dates or times that are not missing.

    Examples
    --------
    >>> days_of(pl.Series([date(1970, 1, 2), None]))
    array([1])
    """
    return values.drop_nulls().dt.date().to_physical().cast(pl.Int64).to_numpy()


def as_date(day: int) -> date:
    """A day since 1970.

    Examples
    --------
    >>> as_date(1)
    datetime.date(1970, 1, 2)
    """
    return _EPOCH + timedelta(days=day)


def newest_of(days: Days, rows: Days) -> int:
    """The newest day that is not far beyond all others.

    Days beyond a gap are cut off: days of at most one row in a hundred, where the gap is twice as wide as the newest
    tenth of the other rows (of fewer than a hundred rows: twice as wide as all others); and one day of many rows (a day
    that stands for "never"), where it is as wide as all others.

    Parameters
    ----------
    days
        Distinct days, sorted.
    rows
        Number of rows that have each day.

    Examples
    --------
    >>> newest_of(np.arange(100), np.ones(100, int)), newest_of(np.array([*range(100), 900]), np.ones(101, int))
    (99, 99)
    >>> newest_of(np.array([*range(100), 900]), np.array([*[1] * 100, 80]))
    99
    """
    kept = days < (_NEVER - _EPOCH).days
    if not kept.any():
        return int(days[-1])
    days, rows = days[kept], rows[kept]
    while (cut := _cut(days, rows)) < len(days):
        days, rows = days[:cut], rows[:cut]
    return int(days[-1])


def _cut(days: Days, rows: Days) -> int:
    """How many of the days are left."""
    upto = np.cumsum(rows)
    total = int(upto[-1])
    for place in range(len(days) - 1, 0, -1):
        below = int(upto[place - 1])
        rare = total - below <= max(1, _RARE * total)
        if below < _FEWEST_ROWS or not (rare or place == len(days) - 1):
            break
        oldest, times, more = (0.9, 2, 7) if rare and total >= _MANY_ROWS else (0.05, 2, 365) if rare else (0.05, 1, 31)
        spread = int(days[place - 1] - days[np.searchsorted(upto[:place], oldest * below)])
        if days[place] - days[place - 1] > times * spread + more:
            return place
    return len(days)


def reference_of(columns: Mapping[str, pl.Series], as_of: date | None) -> Reference:
    """The column that determines the day of a table, and that day.

    Parameters
    ----------
    columns
        Dates or times of the training table, by column, all rows; at least one column holds some.
    as_of
        Day up to which ages are counted; None: the newest date of the column.

    Examples
    --------
    >>> joined = pl.Series([date(2020 + k % 4, 1, 1) for k in range(40)])
    >>> seen = pl.Series([date(2023, 12, 1 + k % 31) for k in range(40)])
    >>> found = reference_of({"joined": joined, "seen": seen}, None)
    >>> found.column, found.day
    ('seen', '2023-12-31')
    """
    gaps: list[tuple[bool, float, str, Days, int]] = []
    for name, values in columns.items():
        days, rows = np.unique(days_of(values), return_counts=True)
        if not len(days):
            continue
        newest = newest_of(days, rows)
        ages = np.repeat(newest - days, rows)
        ages = ages[ages >= 0]
        gaps.append((len(ages) < len(values) / 2, float(ages.mean()), name, ages, newest))
    _, _, name, ages, newest = min(gaps, key=lambda one: one[:2])
    day = as_date(newest) if as_of is None else as_of
    sure = [1 - (1 - _SURE) ** (1 / n) for n in SIZES]
    short = np.quantile(ages, sure, method="inverted_cdf").astype(int).tolist()
    return Reference(name, day=day.isoformat(), ahead=(day - as_date(newest)).days, short=tuple(short))


def day_of(as_of: Any) -> date | None:
    """The given day: a date or a time of Python, NumPy or pandas, or text such as 2024-01-31, in any unambiguous form.

    Raises
    ------
    UserError
        If it is none.

    Examples
    --------
    >>> day_of("31.01.2024"), day_of(np.datetime64("2024-01-31T12:00"))
    (datetime.date(2024, 1, 31), datetime.date(2024, 1, 31))
    >>> day_of("soon")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: as_of is 'soon'; write a day such as 2024-01-31
    """
    if as_of is None:
        return None
    given = as_of
    if isinstance(as_of, np.datetime64) and not np.isnat(as_of):
        as_of = as_of.astype("datetime64[D]").astype(object)
    if isinstance(as_of, date) and as_of == as_of:  # pandas' NaT is a datetime, and not equal to itself
        return as_of.date() if isinstance(as_of, datetime) else as_of
    if isinstance(as_of, str):
        values, _ = as_learned(pl.Series([as_of]), timed=False)
        if values[0] is not None:
            return values[0]  # type: ignore[no-any-return]
    raise UserError(f"as_of is {quoted(given)}; write a day such as 2024-01-31")


def few_rows(reference: Reference, rows: int, day: date) -> str | None:
    """A sentence if so few rows do not determine the day of their table.

    Examples
    --------
    >>> reference = Reference("x", short=(90, 60, 30, 10, 5, 2, 1, 0, 0, 0))
    >>> few_rows(reference, 1, date(2024, 1, 31)).partition("; ")[2]
    'the true day may be up to 90 days later: give as_of'
    """
    short = _short(reference, rows)
    if short <= _NOTABLE * reference.short[0]:
        return None
    return (
        f"ages are counted up to {day}, the newest date of {reference.column!r} in {plural(rows, 'row')}; "
        f"the true day may be up to {short:,} days later: give as_of"
    )


def odd_day(reference: Reference, newest: NewestDay, day: date, *, today: bool = False) -> str | None:
    """A sentence if the day is surely not that of the rows, judging by their newest date.

    Parameters
    ----------
    reference
        The day that the ages of the model's dates are counted up to.
    newest
        The rows' dates in its column.
    day
        The day up to which their ages are counted.
    today
        Whether nobody gave that day, so today was taken.

    Examples
    --------
    >>> newest = NewestDay()
    >>> newest.add(pl.Series([date(2024, 1, 31)] * 10))
    >>> print(odd_day(Reference("seen", short=(90, 60, 30, 10, 5, 2, 1, 0, 0, 0)), newest, date(2024, 6, 30)))
    as_of is 2024-06-30, but the newest date of 'seen' is 2024-01-31; by the training rows it should be near 2024-06-30
    """
    if newest.day is None:
        return None
    expected = min(max(day.toordinal() - reference.ahead, date.min.toordinal()), date.max.toordinal())
    later = expected - newest.day.toordinal()
    margin = _NOTABLE * reference.short[0] + 7
    rows = newest.rows
    older = _short(reference, rows) * (2 if rows < _FEWEST_ROWS else 1)  # one honest row in twenty is older than short
    if -margin <= later <= older + margin:
        return None
    start = f"ages are counted up to today, {day}" if today else f"as_of is {day}"
    said = (
        f"{start}, but the newest date of {reference.column!r} is {newest.day}; by the training rows it should be "
        f"near {date.fromordinal(expected)}"
    )
    return f"{said}: give as_of" if today else said


def far_day(reference: Reference) -> str | None:
    """A sentence if the day that was given for the training table lies far from its dates.

    Examples
    --------
    >>> short = (90, 60, 30, 10, 5, 2, 1, 0, 0, 0)
    >>> print(far_day(Reference("seen", day="2014-01-31", ahead=-3652, short=short)))
    as_of is 2014-01-31, but the newest date of 'seen' is 2024-01-31, 3,652 days later
    >>> far_day(Reference("seen", day="2024-02-03", ahead=3, short=short)) is None
    True
    """
    if -_NOTABLE * reference.short[0] - 7 <= reference.ahead <= reference.short[0] + 7:
        return None
    newest = date.fromisoformat(reference.day) - timedelta(days=reference.ahead)
    return (
        f"as_of is {reference.day}, but the newest date of {reference.column!r} is {newest}, "
        f"{abs(reference.ahead):,} days {'later' if reference.ahead < 0 else 'earlier'}"
    )


def _short(reference: Reference, rows: int) -> int:
    return reference.short[max((k for k, n in enumerate(SIZES) if n <= rows), default=0)]


def newest_day(dates: Mapping[str, pl.Series], reference: Reference | None) -> date | None:
    """The day of a table by its dates; None if nothing depends on it.

    Raises
    ------
    UserError
        If the column that tells it holds no date.
    """
    if reference is None or reference.own:
        return None
    newest = NewestDay()
    newest.add(dates[reference.column])
    return reference.day_from(newest)
