"""Dates and times as text: the forms in which people and programs write them.

An unambiguous cell is read by itself, such as 2024-01-31, 31.01.2024, 31 Jan 2024 or 2024-01-31T09:30:00+02:00. For
03/04/2024 the rest of the column shows which is the day, and digits alone (20240131, 2024-01) are a date only where all
cells of the column are. A year has four digits.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from counterpoise.table.reading.epochs import EPOCHS, from_epoch, without_never

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
ORDERS = (DAY_FIRST, MONTH_FIRST)
DIGITS, MONTHS, MONTH_YEARS = "digits", "months", "month-years"
UTC = "UTC"
OUTSIDE = "lies outside the years 1 to 9999 in UTC or in the time zone {}"
NO_INSTANT = "is a day that the time zone {} skips"
NO_ZONE = "has no time zone, and {} one; write it as {}"
SOME_ZONE = "has a time zone, and {} none; write it without"

_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS = {short: str(month) for month, name in enumerate(_NAMES, 1) for short in (name, name[:3])} | {"sept": "9"}
_ZONE = r"(?: ?(?P<utc>[Zz]|UTC|GMT)| ?(?:UTC|GMT)?(?P<offset>[+\-−]\d\d(?::?\d\d)?)(?: UTC)?)?"
_ZONE += r"(?:\[[\w/+-]+\]| ?\([^)]*\))?"
_TIME = r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_CLOCK = rf"(?:(?:[Tt:]|,? +){_TIME}(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?{_ZONE})?$"
_WEEKDAY = r"^(?:(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)[a-z]*,? +)?"
_WORD, _DAY, _YEAR = r"(?P<word>[A-Za-z]{3,9})", r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
_SURE = (
    *(
        _WEEKDAY + day + _CLOCK
        for day in (
            rf"{_YEAR}[-/._ ](?P<month>\d{{1,2}})[-/._ ](?P<day>\d{{1,2}})",
            rf"(?P<day>\d{{1,2}})\. ?(?P<month>\d{{1,2}})\. ?{_YEAR}",
            rf"{_DAY}(?:[-/ ]|\.? )?{_WORD}\.?,?[-/ ]?{_YEAR}",
            rf"{_WORD}\.? {_DAY},? {_YEAR}",
            rf"{_YEAR}[-/ ]{_WORD}[-/ ](?P<day>\d{{1,2}})",
            rf"{_YEAR} ?[年년] ?(?P<month>\d{{1,2}}) ?[月월] ?(?P<day>\d{{1,2}}) ?[日일]",
        )
    ),
    rf"{_WEEKDAY}{_WORD} +(?P<day>\d{{1,2}}) +{_TIME}{_ZONE} {_YEAR}$",
)
_THIS_CENTURY = 69
"""Years of two digits below it are of this century, as in POSIX."""
_CENTURY = r"(?P<year>(?:19|20)\d\d)"
_ORDERED = {
    DAY_FIRST: rf"{_WEEKDAY}(?P<day>\d{{1,2}})[-/_ ](?P<month>\d{{1,2}})[-/_ ]{_YEAR}{_CLOCK}",
    MONTH_FIRST: rf"{_WEEKDAY}(?P<month>\d{{1,2}})[-/_ ](?P<day>\d{{1,2}})[-/_ ]{_YEAR}{_CLOCK}",
}
_WHOLE = {
    DIGITS: (
        rf"^{_CENTURY}(?P<month>\d\d)(?P<day>\d\d)"
        rf"(?:[Tt ](?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?{_ZONE})?$",
    ),
    MONTHS: (
        rf"^{_CENTURY}[-/]?(?P<month>\d\d)$",
        rf"^(?P<month>\d{{1,2}})[-/]{_CENTURY}$",
        rf"^{_WORD}[- ]{_CENTURY}$",
    ),
    MONTH_YEARS: (rf"^{_WORD}\.?[-/ ]?['’]?(?P<short>\d\d)$", rf"^{_WORD}\.?[-/ ]?{_CENTURY}$"),
}
_NEVER = (
    r"^(?:0000[-/.]00[-/.]00|00[-/.]00[-/.]0000|1/0/1900|0/1/1900|1900-01-00)"
    r"(?:[T ]0?0:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)?)?$|^NaT$"
)
_ODD_BLANK = r"[^\S ]"
"""A blank of another width, or one at which no line breaks."""
_MARKS = ("-", "--", ".", "N.A.", "n.a.", "n/a", "na", "None", "none", "#N/A", "unknown", "missing")
_QUICK = (r"^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:Z|[+-]\d\d(?::?\d\d)?)?)?$",)
_LOOKED_AT = 1000
_FARTHEST_OFFSET = 18 * 60
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 and 9999, since 1970
_PARTS = ("year", "short", "month", "word", "day", "hour", "minute", "second", "fraction", "half", "utc", "offset")
_LOCAL = pl.Datetime("us")


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Cells of text as times, before anything is said of their zone; null where a cell is not a date.

    Parameters
    ----------
    local
        Times as written, without a zone.
    offset
        Minutes by which local time is ahead of UTC; null if none is written.
    clock
        Whether a time of day is written.
    """

    local: pl.Series
    offset: pl.Series
    clock: pl.Series

    @property
    def timed(self) -> bool:
        """Whether a time of day other than midnight is written somewhere."""
        return bool((self.local.dt.time().cast(pl.Int64) != 0).any())


def without_date_marks(text: pl.Series, form: str = "") -> pl.Series:
    """The cells with plain blanks, and none around them; missing where a cell says that it is no date: 0000-00-00.

    Parameters
    ----------
    text
        Cells.
    form
        As for `moments`: among times since 1970, 0 is also a mark of a missing value.

    Examples
    --------
    >>> without_date_marks(pl.Series(["0000-00-00 00:00:00", "n/a", " 2024-01-31", "NaT"])).to_list()
    [None, None, '2024-01-31', None]
    """
    bare = text.str.strip_chars()
    if bare.str.contains(_ODD_BLANK).any():
        bare = bare.str.replace_all(_ODD_BLANK, " ")
    bare = bare.set(bare.is_in(_MARKS) | bare.str.contains(_NEVER), None)
    return without_never(bare) if form in EPOCHS else bare


def moments(text: pl.Series, form: str = "") -> Moments:
    """Read cells.

    Parameters
    ----------
    text
        Cells, stripped of blanks.
    form
        "day-first" or "month-first" for 03/04/2024; "digits" for 20240131, "months" for 2024-01 and "month-years" for
        Jan-24, which are then dates as well; "seconds" (milliseconds, …) for numbers since 1970; "" for none of these.

    Examples
    --------
    >>> moments(pl.Series(["31.01.2024", "Jan 31, 2024 9:30 PM", "2024-02-30", "3/4/2024"])).local.dt.day().to_list()
    [31, 31, None, None]
    >>> moments(pl.Series(["3/4/2024"]), "day-first").local.to_list()
    [datetime.datetime(2024, 4, 3, 0, 0)]
    """
    sample = text.head(_LOOKED_AT)
    if sample.n_unique() > len(sample) / 2:
        return _read(text, form)
    cells = text.unique().drop_nulls().alias("cell")  # days repeat, and reading a cell costs more than finding it again
    known = _read(cells, form)
    each = pl.DataFrame({"cell": cells, "local": known.local, "offset": known.offset, "clock": known.clock})
    rows = pl.DataFrame({"cell": text}).join(each, on="cell", how="left", maintain_order="left")
    return Moments(rows["local"].alias(text.name), rows["offset"], rows["clock"])


def _read(text: pl.Series, form: str) -> Moments:
    left = text.is_not_null().arg_true()
    local, offset, clock = (
        pl.Series(name, [None], dtype=dtype).new_from_index(0, len(text))
        for name, dtype in ((text.name, _LOCAL), ("offset", pl.Int32), ("clock", pl.Boolean))
    )
    for one in (*_QUICK, *_SURE, *((_ORDERED[form],) if form in _ORDERED else ()), *_WHOLE.get(form, ())):
        if left.is_empty():
            break
        cells = text.gather(left)
        fitting = cells.str.contains(one)
        if not fitting.any():
            continue
        at = left.filter(fitting)
        found = _quickly(cells.filter(fitting)) if one in _QUICK else _parsed(cells.filter(fitting), one)
        local.scatter(at, found.local)
        offset.scatter(at, found.offset)
        clock.scatter(at, found.clock)
        left = left.filter(~fitting)  # what has the shape of a date and is none, as 2024-02-30, has no other shape
    if form in EPOCHS and not left.is_empty():
        times = from_epoch(text.gather(left), form)
        local.scatter(left, times)
        clock.scatter(left, times.is_not_null())
    impossible = (offset.abs() > _FARTHEST_OFFSET).fill_null(False)
    return Moments(within_calendar(local).set(impossible, None), offset.set(impossible, None), clock)


def beyond_calendar(column: pl.Series) -> pl.Series | None:
    """Which days or times lie before the year 1 or after 9999, in UTC or as clocks show them; Python has none of these.

    None if the column holds neither days nor times.

    Examples
    --------
    >>> beyond_calendar(pl.Series([0, 2_932_896, 2_932_897], dtype=pl.Int32).cast(pl.Date)).to_list()
    [False, False, True]
    >>> from datetime import datetime
    >>> last = pl.Series([datetime(9999, 12, 31, 23)]).dt.replace_time_zone("UTC")
    >>> beyond_calendar(last.dt.convert_time_zone("Asia/Tokyo")).to_list()
    [True]
    """
    if column.dtype not in (pl.Date, pl.Datetime):
        return None
    beyond = _beyond(column)
    if getattr(column.dtype, "time_zone", None) is None:
        return beyond
    return beyond | _beyond(column.set(beyond, None).dt.replace_time_zone(None)).fill_null(False)


def _beyond(column: pl.Series) -> pl.Series:
    unit = getattr(column.dtype, "time_unit", None)
    in_a_day = 1 if unit is None else 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    plain = column.to_physical().cast(pl.Float64)
    return (plain < _FIRST_DAY * float(in_a_day)) | (plain >= (_LAST_DAY + 1) * float(in_a_day))


def within_calendar(column: pl.Series) -> pl.Series:
    """The same days or times; null where they lie outside the years 1 to 9999."""
    beyond = beyond_calendar(column)
    return column if beyond is None or not beyond.any() else column.set(beyond.fill_null(False), None)


def fixed_zone(minutes: int) -> str:
    """The name of the zone that is always so far ahead of UTC; UTC itself where there is none, as of half hours.

    Examples
    --------
    >>> fixed_zone(120), fixed_zone(0), fixed_zone(330)
    ('Etc/GMT-2', 'UTC', 'UTC')
    """
    hours, rest = divmod(minutes, 60)
    return UTC if rest or not hours or not -12 <= hours <= 14 else f"Etc/GMT{-hours:+d}"


def in_zone(found: Moments, zone: str, whose: str) -> tuple[pl.Series, pl.Series]:
    """Times in a zone, and why a cell is none; without a zone ("") as they are written.

    A date without a clock is the midnight of its day there. A time without a zone among times that have one is refused,
    and the other way round: their distance is unknown.

    Parameters
    ----------
    found
        Result of `moments`.
    zone
        "" or the name of a time zone.
    whose
        "the others have" or "the model learned", for the reason.

    Examples
    --------
    >>> found = moments(pl.Series(["2024-01-31T23:30:00Z", "2024-02-01 00:30:00"]))
    >>> times, why = in_zone(found, "UTC", "the others have")
    >>> times.to_list()[1], why.to_list()
    (None, [None, 'has no time zone, and the others have one; write it as 2024-02-01 00:30:00+00:00'])
    """
    local, offset, name = found.local, found.offset, found.local.name
    if not zone:
        bad = offset.is_not_null()
        return local.set(bad, None), _reasons(bad, SOME_ZONE.format(whose)).alias(name)
    bare = local.is_not_null() & found.clock & offset.is_null()
    instants = (
        local - pl.Series(name, offset.cast(pl.Int64) * 60_000_000).cast(pl.Duration("us"))
    ).dt.replace_time_zone(UTC)
    days = local.set(found.clock | offset.is_not_null(), None)
    midnights = _midnights(days, zone)
    every = instants.dt.convert_time_zone(zone)
    every = every.zip_with(midnights.is_null(), midnights)
    times = within_calendar(every)
    written = local.dt.strftime("%Y-%m-%d %H:%M:%S").filter(bare).head(1)
    example = f"{written[0]}+00:00" if len(written) else ""
    why = _reasons(bare, NO_ZONE.format(whose, example))
    for bad, reason in (
        (every.is_not_null() & times.is_null(), OUTSIDE),
        (days.is_not_null() & midnights.is_null(), NO_INSTANT),
    ):
        why = why.zip_with(~bad, _reasons(bad, reason.format(zone)))
    return times, why.alias(name)


def _midnights(days: pl.Series, zone: str) -> pl.Series:
    """The beginning of days in a zone: an hour late where clocks skip midnight; null where they skip the whole day."""
    if days.null_count() == len(days):
        return days.dt.replace_time_zone(zone)
    found = days.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    later = (days + timedelta(hours=1)).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return found.zip_with(found.is_not_null(), later)


def _reasons(bad: pl.Series, why: str) -> pl.Series:
    return pl.Series([None, why], dtype=pl.String).gather(bad.fill_null(False).cast(pl.UInt32))


def _quickly(text: pl.Series) -> Moments:
    """Cells as 2024-01-31 or 2024-01-31 09:30:00, with or without +02:00 or Z: most files hold these."""
    clocked = text.str.len_bytes() > len("2024-01-31")
    spelled = text.str.slice(0, 10) + " " + text.str.slice(11, 8).replace("", "00:00:00")
    tail = text.str.slice(19)
    zones = pl.Series(tail.unique())
    minutes = zones.replace_strict({"": None, "Z": 0}, default=None, return_dtype=pl.Int32).zip_with(
        zones.is_in(["", "Z"]), _minutes(zones)
    )
    offset = tail.replace_strict(zones, minutes, return_dtype=pl.Int32)
    return Moments(spelled.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"), offset, clocked)


def _minutes(offset: pl.Series) -> pl.Series:
    """Of +02:00, +0200 or +02; too many of +02:75."""
    digits = offset.str.replace(":", "", literal=True)
    minutes = digits.str.slice(3, 2).replace("", "0").cast(pl.Int32, strict=False)
    ahead = digits.str.slice(1, 2).cast(pl.Int32, strict=False) * 60 + minutes
    ahead = ahead.set((minutes > 59).fill_null(False), 2 * _FARTHEST_OFFSET)
    return ahead.zip_with(~digits.str.contains("^[-−]"), -ahead)


def _parsed(text: pl.Series, shape: str) -> Moments:
    """What a regular expression finds in the cells, as times; 2024-02-30 and 13 o'clock in the afternoon are none."""
    groups = text.str.extract_groups(shape).struct.unnest()
    parts = groups.with_columns(pl.lit(None, pl.String).alias(one) for one in _PARTS if one not in groups.columns)
    hour, half = pl.col("hour").cast(pl.Int32, strict=False), pl.col("half").str.to_lowercase()
    word = pl.col("word").str.to_lowercase().replace_strict(_MONTHS, default=None, return_dtype=pl.String)
    noon = hour % 12 + pl.when(half == "p").then(12).otherwise(0)
    century = pl.when(pl.col("short").cast(pl.Int32) < _THIS_CENTURY).then(pl.lit("20")).otherwise(pl.lit("19"))
    parts = parts.with_columns(
        year=pl.coalesce("year", century + pl.col("short")),
        month=pl.coalesce("month", word),
        day=pl.col("day").fill_null("1"),
        hour=pl.when(half.is_null()).then(hour).when(hour.is_between(1, 12)).then(noon).cast(pl.String),
        clock=pl.col("hour").is_not_null(),
    )
    local = parts.select(
        pl.format(
            "{}-{}-{} {}:{}:{}.{}",
            *("year", "month", "day"),
            pl.when("clock").then("hour").otherwise(pl.lit("0")),
            *(pl.col(one).fill_null("0") for one in ("minute", "second", "fraction")),
        ).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    ).to_series()
    offset = _minutes(parts["offset"])
    return Moments(local, offset.zip_with(parts["utc"].is_null(), pl.Series([0], dtype=pl.Int32)), parts["clock"])
