"""Dates and times as text: the forms in which people write them."""

import polars as pl

UNMISTAKABLE = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%b-%Y",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
)
"""A cell of these tells its date alone; one with slashes needs the rest of its column."""
_DAY_FIRST, _MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_SLASHED = r"^(\d{1,2})/(\d{1,2})/\d{4}(?: |$)"
# the parser takes any number of digits for a year, so 1.2.3 and 1/2/24 would be dates of the first century
_SHAPES = {
    "%Y": r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}(?:[ T]|$)",
    "%d.%m": r"^\d{1,2}\.\d{1,2}\.\d{4}(?: |$)",
    "%d-%b": r"^\d{1,2}-[A-Za-z]{3}-\d{4}$",
    "%d/%m": _SLASHED,
    "%m/%d": _SLASHED,
}
_LOOKED_AT = 100
_MONTHS = 12


def form_of(text: pl.Series) -> str | None:
    """The form in which every value of a column is a date or a time, or None.

    Of dates with slashes the day comes first in some countries and the month in others. Where no value tells, such as
    31/01/2024 does, the column is none.

    Examples
    --------
    >>> form_of(pl.Series(["2024-01-31", None])), form_of(pl.Series(["1/31/2024 9:30", "2/1/2024 17:05"]))
    ('%Y-%m-%d', '%m/%d/%Y %H:%M')
    >>> form_of(pl.Series(["03/04/2024"])), form_of(pl.Series(["2024-01-31", "soon"]))
    (None, None)
    """
    held = text.drop_nulls()
    few = held.head(_LOOKED_AT)
    if few.is_empty() or not few.str.contains(r"^\d").all():  # most text is told by this alone
        return None
    forms: list[str] = [form for form in UNMISTAKABLE if _all_are(few, form)]
    if not forms and few.str.contains(_SLASHED).all() and (day := _with_slashes(held)):
        forms = [day, *_clocked(day)]
    return next((form for form in forms if _all_are(held, form)), None)


def moments(text: pl.Series, form: str) -> pl.Series:
    """The values as dates, or as times where the form has a clock; missing where they are neither.

    Examples
    --------
    >>> moments(pl.Series(["31/01/2024", "soon", "31/01/24"]), "%d/%m/%Y").to_list()
    [datetime.date(2024, 1, 31), None, None]
    """
    shape = next(shape for start, shape in _SHAPES.items() if form.startswith(start))
    text = text.set(~text.str.contains(shape), None)
    if "%H" in form or "%I" in form:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    return text.str.to_date(form, strict=False)


def read_moments(text: pl.Series, form: str, *, timed: bool) -> pl.Series:
    """The values as times, or else as dates: in a form, or "" for none, or in another that cannot be mistaken.

    With slashes the order of day and month is that of the form.

    Examples
    --------
    >>> read_moments(pl.Series(["1/31/2024", "2024-02-01", "31/1/2024"]), "%m/%d/%Y", timed=False).to_list()
    [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1), None]
    """
    wanted = pl.Datetime("us") if timed else pl.Date()
    found = pl.Series(text.name, [None], dtype=wanted).new_from_index(0, len(text))
    day = form.partition(" ")[0]
    alike = [form, day, *_clocked(day)] if "/%" in form and not form.startswith("%Y") else [form] if form else []
    for one in dict.fromkeys((*alike, *UNMISTAKABLE)):
        if found.null_count() == text.null_count():
            break
        found = found.zip_with(found.is_not_null(), moments(text, one).cast(wanted))
    return found


def _clocked(day: str) -> list[str]:
    return [f"{day} {clock}" for clock in _CLOCKS]


def _all_are(held: pl.Series, form: str) -> bool:
    return moments(held, form).null_count() == 0


def _with_slashes(held: pl.Series) -> str | None:
    first, second = (held.str.extract(_SLASHED, group).cast(pl.Int64, strict=False).max() for group in (1, 2))
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    if first > _MONTHS >= second:
        return _DAY_FIRST
    return _MONTH_FIRST if second > _MONTHS >= first else None
