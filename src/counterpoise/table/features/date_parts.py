"""The parts of a date that are features: how old it is, how far another one is, its month, weekday and hour."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.reference_day import Reference

AGE, DAY, MONTH, WEEKDAY, HOUR, KNOWN, SINCE = " age", " day", " month", " weekday", " hour", " known", " since "
CALENDAR_PARTS = (MONTH, WEEKDAY, HOUR)
PARTS = f"(?s)({'|'.join((AGE, DAY, MONTH, WEEKDAY, HOUR, KNOWN))}|{SINCE}.*)"
"""What dates become, as a regular expression."""

Floats = NDArray[np.float64]

_MICROSECONDS = 86_400_000_000


def date_parts(
    name: str,
    parts: Sequence[str],
    values: Mapping[str, pl.Series],
    reference: Reference | None = None,
    day: date | None = None,
) -> list[Floats]:
    """The features of one column of dates, each (N,), NaN where a date is missing.

    Parameters
    ----------
    name
        The column.
    parts
        Suffixes of its features, as in `Dated`.
    values
        The dates and times of the rows, by column.
    reference
        The day that ages are counted up to.
    day
        Day of the table, if ages are counted up to it: an age is 0 on the day itself; for a time it is the time to the
        end of the day.

    Examples
    --------
    >>> seen, joined = pl.Series([date(2024, 1, 30)]), pl.Series([date(2023, 12, 31)])
    >>> values = {"seen": seen, "joined": joined}
    >>> date_parts("seen", (" age", " month", " since joined"), values, Reference("seen"), date(2024, 1, 31))
    [array([1.]), array([1.]), array([30.])]
    """
    column = values[name]
    found = []
    for part in parts:
        if part == AGE and reference is not None and reference.own:
            found.append(instant(values[reference.column]) - instant(column))
        elif part == AGE:
            assert day is not None  # whoever calls has looked for it
            timed = column.dtype != pl.Date
            found.append((day - _EPOCH).days + timed - local_days(column))
        elif part == DAY:
            found.append(local_days(column))
        elif part == KNOWN:
            found.append(local_days(column) * 0 + 1)
        elif part.startswith(SINCE):
            found.append(instant(column) - instant(values[part.removeprefix(SINCE)]))
        else:
            found.append(_floats(CYCLES[part][0](column)))
    return found


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _hour(column: pl.Series) -> pl.Series:
    return column.dt.hour() if column.dtype != pl.Date else column.dt.day() * 0


_EPOCH = date(1970, 1, 1)
# what recurs, and what tells one time round from another
CYCLES: dict[str, tuple[Callable[[pl.Series], pl.Series], Callable[[Floats], Floats] | None]] = {
    MONTH: (lambda column: column.dt.month(), None),
    WEEKDAY: (lambda column: column.dt.weekday(), lambda days: np.floor((days + 3) / 7)),
    HOUR: (_hour, np.floor),
}


def local_days(column: pl.Series) -> Floats:
    """Days since 1970, as clocks and calendars showed them."""
    if column.dtype == pl.Date:
        return _floats(column.dt.epoch("d"))
    return _floats(column.dt.replace_time_zone(None).dt.epoch("us")) / _MICROSECONDS


def instant(column: pl.Series) -> Floats:
    """The same in UTC, for times that have a zone: how far apart two of them are no clock changes."""
    return local_days(column) if column.dtype == pl.Date else _floats(column.dt.epoch("us")) / _MICROSECONDS
