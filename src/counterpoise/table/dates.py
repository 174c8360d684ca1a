"""Dates and times as text: the forms in which people write them."""

import polars as pl

DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y")
DATETIMES = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
)
UNMISTAKABLE = DATES + DATETIMES
"""A cell of these tells its date alone; one with slashes needs the rest of its column."""
_SLASHED = r"^(\d{1,2})/(\d{1,2})/\d{4}( |$)"
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
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
    forms = [form for form in UNMISTAKABLE if len(few) and _all_are(few, form)]
    if len(few) and few.str.contains(_SLASHED).all():
        day = _with_slashes(held)
        forms = [] if day is None else [day, *(f"{day} {clock}" for clock in _CLOCKS)]
    return next((form for form in forms if _all_are(held, form)), None)


def moments(text: pl.Series, form: str) -> pl.Series:
    """The values as dates, or as times where the form has a clock; missing where they are neither.

    Examples
    --------
    >>> moments(pl.Series(["31/01/2024", "soon"]), "%d/%m/%Y").to_list()
    [datetime.date(2024, 1, 31), None]
    """
    if is_date(form):
        return text.str.to_date(form, strict=False)
    return text.str.to_datetime(form, strict=False, time_unit="us")


def read_moments(text: pl.Series, form: str, *, timed: bool) -> pl.Series:
    """The values as times, or else as dates: in a form, or "" for none, or in one that cannot be mistaken.

    Examples
    --------
    >>> read_moments(pl.Series(["1/31/2024", "2024-02-01", "31/1/2024"]), "%m/%d/%Y", timed=False).to_list()
    [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1), None]
    """
    wanted = pl.Datetime("us") if timed else pl.Date()
    found = pl.Series(text.name, [None], dtype=wanted).new_from_index(0, len(text))
    for one in dict.fromkeys((*([form] if form else []), *UNMISTAKABLE)):
        if found.null_count() == text.null_count():
            break
        found = found.zip_with(found.is_not_null(), moments(text, one).cast(wanted))
    return found


def is_date(form: str) -> bool:
    """Whether a form has no clock.

    Examples
    --------
    >>> is_date("%d.%m.%Y"), is_date("%Y-%m-%d %H:%M")
    (True, False)
    """
    return "%H" not in form and "%I" not in form


def _all_are(held: pl.Series, form: str) -> bool:
    return moments(held, form).null_count() == 0


def _with_slashes(held: pl.Series) -> str | None:
    first, second = (held.str.extract(_SLASHED, group).cast(pl.Int64, strict=False).max() for group in (1, 2))
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    if first > _MONTHS and second <= _MONTHS:
        return "%d/%m/%Y"
    return "%m/%d/%Y" if second > _MONTHS and first <= _MONTHS else None
