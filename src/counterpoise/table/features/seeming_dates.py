"""Columns that seem to hold dates or periods in a form that is not read as dates: 45323, 240201, 2024.5, W05-2024.

Nothing is read on such evidence. The column is reported with its likely meaning, since in later rows its values lie
outside the training range or are new names.
"""

import re
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.reading.epochs import is_named_a_time
from counterpoise.table.reading.sample import sample_of
from counterpoise.wording import quoted

INSTEAD = "write dates as 2024-01-31"
_MOSTLY = 0.95
_FEWEST = 6
_MANY = 20
_DENSELY = 0.5
_MOST_PERIODS = 1_000
_FEWEST_PERIODS = 2

_YEAR, _YY = "(?:19[5-9]|20[0-5])[0-9]", "(?:[0-3]|9)[0-9]"
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_WRITTEN = {
    "days such as {} (year, month, day)": rf"{_YEAR}{_MONTH}{_DAY}|{_YY}{_MONTH}{_DAY}",
    "days such as {} (day, month, year)": rf"{_DAY}{_MONTH}(?:{_YEAR}|{_YY})",
    "days such as {} (month, day, year)": rf"{_MONTH}{_DAY}(?:{_YEAR}|{_YY})",
    "days such as {} (year, day of the year)": (
        rf"{_YEAR}[-/. ]?(?:00[1-9]|0[1-9][0-9]|[12][0-9]{{2}}|3[0-5][0-9]|36[0-6])"
    ),
    "weeks or months such as {}": rf"{_YEAR}[-/. ]?(?:0[1-9]|[1-4][0-9]|5[0-3])",
    "quarters such as {}": rf"{_YEAR}[-/. ]?[1-4]",
    "months such as {}": rf"{_MONTH}[-/. ](?:{_YEAR}|{_YY})|{_YY}[-/]{_MONTH}",
    "times such as {}": r"/Date\([0-9]{9,14}(?:[+-][0-9]{4})?\)/",
}
_DAY_COUNTS = (20_000, 60_000)
"""1954 to 2064 as Excel counts days."""
_COUNTED = {
    "Julian day numbers": (2_430_000, 2_475_000),
    "ticks of .NET": (6.2e17, 6.6e17),
    "times of Windows, in 100 ns since 1601": (1.2e17, 1.4e17),
}
_DECIMAL_YEARS = (1950, 2060)
_DAY_WORDS = {
    *("begin", "birth", "birthday", "booked", "bought", "day", "dob", "due", "end", "expiry", "first", "hired", "last"),
    *("month", "ordered", "paid", "period", "start", "until", "visit", "week", "year", "yr"),
}
_PART = r"(?:Q(?:TR|UARTER)? ?[1-4]|[HS] ?[12]|(?:[KC]?W|WK|WEEK) ?[0-5]?[0-9])"
_FISCAL, _GAP = "(?:FY|CY|SY)", r"[ _/.,'’-]"
_PERIOD = "(?i)" + "|".join(
    f"^{form}$"
    for form in (
        rf"(?:{_FISCAL}|{_PART})?{_GAP}*(?:19|20)\d\d(?:{_GAP}*{_PART}(?:-[0-7])?)?",
        rf"{_FISCAL} ?['’]?\d\d(?:{_GAP}*{_PART})?",
        rf"{_PART}{_GAP}+\d\d",
        rf"['’]?\d\d{_GAP}?{_PART}",
        r"[1-4]Q ?['’]?(?:20)?\d\d",
        r"(?:19|20)\d\d[-/](?:(?:19|20)\d\d|\d\d)",
        r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)\p{L}*\.?[-/ ]?['’]?\d\d?",
        r"\d\d?\.?[-/ ](?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)\p{L}*\.?",
    )
)


def time_in_numbers(name: str, distinct: NDArray[np.float64]) -> str | None:
    """What the numbers of a column may be instead: a count of days, or a date in digits.

    Parameters
    ----------
    name
        Name of the column.
    distinct
        Its distinct finite values (N,), sorted.

    Examples
    --------
    >>> days = np.arange(40.0)
    >>> time_in_numbers("last_seen", 45_300 + days), time_in_numbers("income", 45_300 + 100 * days)
    ('it may hold days as Excel counts them, such as 45339', None)
    >>> time_in_numbers("d", 240_201 + days[:28])
    'it may hold days such as 240228 (year, month, day)'
    >>> time_in_numbers("x", 2023 + days / 40)
    'it may hold decimal years such as 2023.975'
    """
    named = _named(name)
    if len(distinct) < (2 if named else _FEWEST):
        return None
    low, high = float(distinct[0]), float(distinct[-1])
    for what, (least, most) in _COUNTED.items():
        if least <= low and high < most:
            return f"it may hold {what}, such as {high:.15g}"
    if _DAY_COUNTS[0] <= low and high < _DAY_COUNTS[1]:
        dense = len(distinct) >= _MANY and len(distinct) > _DENSELY * (high - low + 1)
        if named or dense:
            return f"it may hold days as Excel counts them, such as {high:.15g}"
    fractions = distinct % 1 != 0
    if _DECIMAL_YEARS[0] <= low and high < _DECIMAL_YEARS[1] and fractions.any() and (named or len(distinct) >= _MANY):
        return f"it may hold decimal years such as {distinct[fractions][-1]:.15g}"
    if fractions.any() or low < 0 or high >= 1e8:
        return None
    return _written(pl.Series(distinct.astype(np.int64)).cast(pl.String))


def time_in_text(text: pl.Series) -> str | None:
    """What the words of a column may be instead: a date in another form, or a period.

    Examples
    --------
    >>> time_in_text(pl.Series(["W05-2024", "W06-2024", "W07-2024"])), time_in_text(pl.Series(["a1", "b2", "c3"]))
    ('periods such as W07-2024', None)
    """
    held = text.drop_nulls().unique().sort()
    if len(held) < _FEWEST_PERIODS:
        return None
    if (written := _written(held)) is not None:
        return written
    if len(held) > _MOST_PERIODS:
        return None
    fitting = held.filter(held.str.contains(_PERIOD))
    rows = int(text.is_in(fitting.implode()).sum())  # one bad cell among many is no reason to keep quiet
    return f"periods such as {fitting[-1]}" if rows and rows >= _MOSTLY * (len(text) - text.null_count()) else None


def _written(distinct: pl.Series) -> str | None:
    """The form that nearly all digits have, of numbers also without a leading zero."""
    if len(distinct) < _FEWEST:
        return None
    padded = pl.select(
        pl.when(distinct.str.contains("^[0-9]{5}$|^[0-9]{7}$")).then("0" + distinct).otherwise(distinct)
    ).to_series()
    for what, form in _WRITTEN.items():
        for cells in (distinct, padded):
            fits = cells.str.contains(f"^(?:{form})$")
            if int(fits.sum()) >= _MOSTLY * len(distinct):
                return f"it may hold {what.format(distinct.filter(fits)[-1])}"
    return None


def _named(name: str) -> bool:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return is_named_a_time(name) or bool(words & _DAY_WORDS)


_LIKE = (
    (
        r"^\s*(?:\d{1,4}[-/. ]+(?:\d{1,2}|\p{L}{3,10})[-/., ]+['’]?\d{2,4}(?:T|\b)"
        r"|\p{L}{3,10}\.?[-/ ]\d{1,2}(?:st|nd|rd|th)?,?[-/ ]+['’]?\d{2,4}\b)",
        "dates",
        INSTEAD,
    ),
    (
        r"^\s*\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?\s*$",
        "times of day",
        "write 9:30 as hours (9.5)",
    ),
)
_LOOKED_AT = 100
_LIKELY = 0.9


def read_as_text(columns: Iterable[pl.Series]) -> tuple[str, ...]:
    """A sentence on each column of text that seems to hold dates or times of day.

    Examples
    --------
    >>> read_as_text([pl.Series("when", ["03/04/24", "11/07/24"])])
    ("Column 'when' seems to hold dates, such as '03/04/24', but is read as text; write dates as 2024-01-31.",)
    """
    found = []
    for column in columns:
        if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
            continue
        held = column.drop_nulls().cast(pl.String)
        few = sample_of(held, _LOOKED_AT)
        for like, what, instead in _LIKE:
            if int(few.str.contains(like).sum()) > _LIKELY * len(few):
                example = held.filter(held.str.contains(like))[0]
                found.append(
                    f"Column {column.name!r} seems to hold {what}, such as {quoted(example)}, but is read "
                    f"as text; {instead}."
                )
    return tuple(found)
