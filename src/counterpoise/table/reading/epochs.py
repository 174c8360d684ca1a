"""Times as numbers since 1970: seconds, or thousandths, millionths or billionths of them, as computers keep them.

An amount may be as large, so the name of the column must show that it is a time; otherwise the column is only reported.
"""

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

EPOCHS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_LIKELY = (631_152_000, 2_208_988_800)
"""1990 to 2040: numbers are taken for times if nearly all of them lie there."""
_POSSIBLE = (157_766_400, 253_402_300_800)
"""1975 to the end of 9999: what a cell may hold; in another unit a time of our days lies far outside."""
_TICKS = (6.31e17, 6.45e17)
"""2001 to 2044 as .NET counts time since the year 1; as nanoseconds they would be months of 1990."""
_MOSTLY = 0.9
_NEVER = (0.0, -1.0)
_TIME_WORDS = {
    *("closed", "created", "ended", "expires", "joined", "login", "modified", "opened", "registered", "seen"),
    *("signup", "since", "started", "timestamps", "ts", "unix", "updated", "visited", "when"),
}
_LAST_WORDS = {"at", "on"}  # created_at, but not cash_on_hand
_TIME_ENDS = ("time", "date", "stamp", "epoch")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def epoch_unit(values: NDArray[np.float64]) -> str | None:
    """The unit in which nearly all numbers (N,) are times of our days; 0 and -1 are none, and NaN is missing.

    Examples
    --------
    >>> epoch_unit(np.array([1.7e9, 0.0, np.nan])), epoch_unit(np.array([1.7e12, 1.71e12])), epoch_unit(np.array([7.0]))
    ('seconds', 'milliseconds', None)
    """
    times = values[~np.isnan(values) & ~np.isin(values, _NEVER)]
    if not len(times):
        return None
    middle = float(np.median(times))
    unit = next((name for name, one in EPOCHS.items() if _LIKELY[0] * one <= middle < _LIKELY[1] * one), None)
    if unit is None or _TICKS[0] <= middle < _TICKS[1]:
        return None
    likely = (times >= _LIKELY[0] * EPOCHS[unit]) & (times < _LIKELY[1] * EPOCHS[unit])
    parts = unit != "seconds" and bool((times % 1 != 0).any())
    return unit if likely.mean() >= _MOSTLY and not parts else None


def is_named_a_time(name: str) -> bool:
    """Whether the name of a column says that it holds times.

    Examples
    --------
    >>> [is_named_a_time(name) for name in ("lastLogin", "paid_at", "STARTTIME", "cash_on_hand")]
    [True, True, True, False]
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    said = any(word in _TIME_WORDS or word.endswith(_TIME_ENDS) for word in words)
    return said or (len(words) > 1 and words[-1] in _LAST_WORDS)


def without_never(text: pl.Series) -> pl.Series:
    """The cells without 0 and -1, which stand for a missing time."""
    return text.set(text.cast(pl.Float64, strict=False).is_in(_NEVER).fill_null(False), None)


def from_epoch(text: pl.Series, unit: str) -> pl.Series:
    """The times (UTC, and without a zone, as programs make them) that numbers in text are; null for what is none.

    Examples
    --------
    >>> from_epoch(pl.Series(["1700000000", "1.7e9", "1700000000000", "soon"]), "seconds").dt.year().to_list()
    [2023, 2023, None, None]
    """
    figures = text.cast(pl.Float64, strict=False)
    one = EPOCHS[unit]
    fits = ((figures >= _POSSIBLE[0] * one) & (figures < _POSSIBLE[1] * one)).fill_null(False)
    # whole numbers of 19 digits are exact as such only
    whole = text.cast(pl.Int64, strict=False)
    exact = whole // (one // 10**6) if one > 10**6 else whole * (10**6 // one)
    about = (figures.set(~fits, None) * (10**6 / one)).round().cast(pl.Int64)
    return exact.set(~fits, None).zip_with(whole.is_not_null(), about).cast(pl.Datetime("us"))
