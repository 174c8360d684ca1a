"""Columns of dates: found in a table that is to be learned from, and read later as they were then.

The whole column decides; the other columns of the table help with the order of day and month. A column of dates with a
cell that is not a date is refused with that cell, like a column of numbers. A column that nothing decides is refused
with the option that does.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.reading.dates import (
    DAY_FIRST,
    DIGITS,
    MONTH_FIRST,
    MONTH_YEARS,
    MONTHS,
    ORDERS,
    UTC,
    Moments,
    beyond_calendar,
    fixed_zone,
    in_zone,
    moments,
    within_calendar,
    without_date_marks,
)
from counterpoise.table.reading.epochs import EPOCHS, epoch_unit, is_named_a_time
from counterpoise.table.reading.missing import without_marks
from counterpoise.table.reading.sample import sample_of
from counterpoise.table.reading.table import Table
from counterpoise.wording import quoted

_LOOKED_AT = 200
_FEWEST_DISTINCT = 6
_UNDECIDED = "undecided"
_WITH = {
    DAY_FIRST: " with the day first",
    MONTH_FIRST: " with the month first",
    **{unit: f" in {unit} since 1970" for unit in EPOCHS},
}
_SLASHED = r"^(?P<one>\d{1,2})[-/_ ](?P<two>\d{1,2})[-/_ ](?P<year>\d{4})"
_MONTH_AND_YEAR = r"^[A-Za-z]{3,9}\.?[-/ ]?['’]?(?:(?:19|20)\d\d|(?P<short>\d\d))$"
_HAS_A_YEAR = r"\d{4}|^[A-Za-z]{3,9}\.?[-/ ]?['’]?\d\d$"
_MOST_SHORT_YEARS, _MOST_DAYS = 12, 31
_WHOLE_LIKE = {
    DIGITS: r"^(?:19|20)\d{6}(?:[T ]\d{4}|$)",
    MONTHS: r"^(?:(?:19|20)\d\d[-/]?\d\d|(?:\d{1,2}[-/]|[A-Za-z]{3,9}[- ])(?:19|20)\d\d)$",
    MONTH_YEARS: _MONTH_AND_YEAR,
}


def with_dates(table: Table, leave_out: Collection[str], order: str | None = None) -> Table:
    """The same with dates for text that is nothing else, and how they were written.

    Parameters
    ----------
    table
        The table to learn from.
    leave_out
        Columns that stay unchanged: targets, whose values are names.
    order
        "day-first" or "month-first", for columns of dates such as 03/04/2024 where nothing else decides.

    Raises
    ------
    UserError
        If a column of dates has a cell that is none, or day and month cannot be told apart.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"when": ["1/31/2024", None], "kind": ["a", "b"]}), Path("t.parquet"), typed=True)
    >>> found = with_dates(table, ["kind"])
    >>> found.frame.dtypes, found.forms
    ([Date, String], {'when': 'month-first'})
    """
    found, refused = dates_of(table, leave_out, order)
    for why in refused.values():
        raise UserError(f"{table.path}: {why}")
    return found


def dates_of(table: Table, leave_out: Collection[str], order: str | None = None) -> tuple[Table, dict[str, str]]:
    """As `with_dates`; columns that it refuses stay as they are, with the reason of each."""
    check_order(order)
    columns = [column for column in table.frame.get_columns() if column.name not in leave_out]
    texts = {column.name: text for column in columns if (text := _text_of(column)) is not None}
    forms = {name: form for name, text in texts.items() if (form := _form_of(text)) is not None}
    told = {form for form in forms.values() if form in ORDERS}
    known = order or (told.pop() if len(told) == 1 else None)
    changed, refused, said = [], {}, []
    for column in columns:
        beyond = beyond_calendar(column)
        if beyond is not None and beyond.any():
            refused[column.name] = _beyond(column, int(beyond.arg_max() or 0))
        elif column.dtype == pl.Datetime:
            changed.append(_days(column))
    for name, form in forms.items():
        if form == _UNDECIDED and known is None:
            refused[name] = _doubt(name, texts[name])
            continue
        forms[name] = known if form == _UNDECIDED and known is not None else form
        texts[name] = without_date_marks(texts[name], forms[name])
        values, why, more = _typed(texts[name], moments(texts[name], forms[name]))
        if why.null_count() < len(why):
            refused[name] = _refusal(table.frame[name], forms[name], why)
            continue
        changed.append(values.alias(name))
        said += more
        if forms[name] in (DIGITS, MONTHS, MONTH_YEARS):
            cell, day = texts[name].drop_nulls()[0], values.drop_nulls()[0]
            meant = f"; {cell} is {day}" if forms[name] == MONTH_YEARS else ""
            said.append(f"Column {name!r} was read as dates: all of its cells look like {cell}{meant}.")
        elif forms[name] in EPOCHS:
            cell, time = texts[name].drop_nulls()[0], values.drop_nulls()[0]
            said.append(f"Column {name!r} was read as times in {forms[name]} since 1970: {cell} is {time} (UTC).")
    read = {name: form for name, form in forms.items() if name not in refused}
    return replace(table, frame=table.frame.with_columns(changed), forms=read, said=(*table.said, *said)), refused


def cell_of(column: pl.Series, row: int) -> object:
    """A cell for a message, also where it is no day that could be said.

    Examples
    --------
    >>> cell_of(pl.Series([5_000_000], dtype=pl.Int32).cast(pl.Date), 0)
    'day 5000000 since 1970'
    """
    one = column.slice(row, 1)
    beyond = beyond_calendar(one)
    if beyond is None or not beyond.any():
        return column[row]
    return f"{'day' if column.dtype == pl.Date else 'time'} {one.to_physical()[0]} since 1970"


def check_order(order: str | None) -> None:
    """Raise `UserError` if it is no order of day and month."""
    if order not in (None, *ORDERS):
        raise UserError(f"dates is {order!r}; write {DAY_FIRST} or {MONTH_FIRST}")


def as_learned(cells: pl.Series, *, timed: bool, form: str = "", zone: str = "") -> tuple[pl.Series, pl.Series]:
    """Cells as the days or times that a model learned, and the reason for each cell that cannot be one.

    Parameters
    ----------
    cells
        Cells of any type.
    timed
        Whether the model learned times; otherwise it learned days.
    form
        Written form of dates that were text in training, as for `moments`.
    zone
        The time zone of the times in training, or "" if they had none.

    Examples
    --------
    >>> values, why = as_learned(pl.Series(["31.01.2024", "soon", None]), timed=False)
    >>> values.to_list(), why.to_list()
    ([datetime.date(2024, 1, 31), None, None], [None, 'is not a date', None])
    >>> values, why = as_learned(pl.Series(["2024-01-31T23:30:00+02:00"]), timed=True, zone="UTC")
    >>> values.dt.hour().to_list()
    [21]
    """
    found, held = _moments_of(cells, form)
    if timed:
        values, why = in_zone(found, zone, "the model learned times with")
    else:
        odd = (found.offset.is_not_null() & (found.local.dt.time().cast(pl.Int64) != 0)).fill_null(False)
        values = found.local.set(odd, None).dt.date()
        why = _where(odd, "has a time zone, and the model learned days without; write the day alone")
    unread = held & found.local.is_null()
    why = why.zip_with(~unread, _where(unread, f"is not a {'datetime' if timed else 'date'}"))
    if form not in ORDERS and cells.dtype == pl.String and unread.any():
        slashed = without_date_marks(cells.set(~unread, None))
        both = moments(slashed, DAY_FIRST).local.is_not_null() & moments(slashed, MONTH_FIRST).local.is_not_null()
        why = why.zip_with(~both, _where(both, "leaves open which is the day and which the month; write 2024-01-31"))
    return values.alias(cells.name), why.alias(cells.name)


def _text_of(column: pl.Series) -> pl.Series | None:
    """The cells of a column that may be dates: of text, or of whole numbers such as 20240131."""
    text = None
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = without_date_marks(without_marks(column.cast(pl.String)))
    elif column.dtype.is_integer() or column.dtype.is_float():
        text = _digits(column)
    if text is None:
        return None
    held = text.drop_nulls()
    few = sample_of(held, _LOOKED_AT)
    if int(few.str.contains(_HAS_A_YEAR).sum()) < max(1, 0.5 * len(few)):
        return None
    return text


def _digits(column: pl.Series) -> pl.Series | None:
    """Numbers as text where all of them could be days (20240131), months (202401) or times since 1970."""
    values = column.cast(pl.Float64).to_numpy()  # the missing ones are NaN, and compare as false
    if is_named_a_time(column.name) and (unit := epoch_unit(values)) is not None:
        return without_date_marks(_spelled(column), unit)
    low, high = (
        (float(found) for found in (np.nanmin(values), np.nanmax(values))) if not np.isnan(values).all() else (0.0, 0.0)
    )
    if not (190_001 <= low <= high <= 209_912 or 19_000_101 <= low <= high <= 20_991_231):
        return None
    whole = column.cast(pl.Int64, strict=False)
    return whole.cast(pl.String) if bool(((whole == column) | (column.cast(pl.Float64).is_nan())).all()) else None


def _spelled(column: pl.Series) -> pl.Series:
    """Numbers as text, whole ones without a fraction."""
    held = column.fill_nan(None) if column.dtype.is_float() else column
    return held.cast(pl.Int64, strict=False).cast(pl.String).zip_with(held % 1 == 0, held.cast(pl.String))


def _form_of(text: pl.Series) -> str | None:
    """How the dates of a column are written; None where it holds no dates, which is so of less than a half."""
    held = text.drop_nulls()
    few = sample_of(held, _LOOKED_AT)
    if is_named_a_time(text.name) and not few.cast(pl.Float64, strict=False).null_count():
        figures = held.cast(pl.Float64, strict=False)
        unit = None if figures.null_count() else epoch_unit(figures.to_numpy())
        if unit is not None and figures.n_unique() >= _FEWEST_DISTINCT:
            return unit
    for form, like in _WHOLE_LIKE.items():
        if few.str.contains(like).all():
            enough = held.n_unique() >= _FEWEST_DISTINCT and (form != MONTH_YEARS or _are_years(held))
            return form if enough and moments(held, form).local.null_count() == 0 else None
    if moments(few, DAY_FIRST).local.null_count() > 0.7 * len(few) < moments(few, MONTH_FIRST).local.null_count():
        return None
    slashed = held.filter(held.str.contains(_SLASHED))
    if slashed.is_empty():
        return "" if moments(held).local.null_count() <= 0.5 * len(held) else None
    day, month = (moments(held, order).local.is_not_null() for order in ORDERS)
    if max(int(day.sum()), int(month.sum())) < 0.5 * len(held):
        return None
    if not (day | month).filter(held.str.contains(_SLASHED)).any():
        return ""  # 31/02/2024 among others is not a date in either order
    by_day, by_month = int((day & ~month).sum()), int((month & ~day).sum())
    if by_day == by_month == 0:
        return _first_days(slashed)
    return DAY_FIRST if by_day > by_month else MONTH_FIRST


def _are_years(text: pl.Series) -> bool:
    """Whether the numbers of Jan-24, Feb-24 … are years: no days, or a few in a row, each with several months."""
    cells = text.unique()
    short = cells.str.extract(_MONTH_AND_YEAR).cast(pl.Int32, strict=False)
    numbers = short.drop_nulls().unique().sort()
    if numbers.is_empty() or short.null_count():
        return True
    if numbers[0] == 0 or numbers[-1] > _MOST_DAYS:
        return True
    in_a_row = numbers[-1] - numbers[0] + 1 == len(numbers) <= _MOST_SHORT_YEARS
    return in_a_row and len(cells) >= 2 * len(numbers)


def _first_days(slashed: pl.Series) -> str:
    """Dates that are all the first of a month, over several years: the other number would be the month."""
    parts = slashed.str.extract_groups(_SLASHED).struct.unnest()
    distinct = {name: parts[name].n_unique() for name in parts.columns}
    for first, other, form in (("one", "two", DAY_FIRST), ("two", "one", MONTH_FIRST)):
        if distinct[first] == 1 and distinct[other] >= _FEWEST_DISTINCT and distinct["year"] > 1:
            return form
    return _UNDECIDED


def _typed(text: pl.Series, found: Moments) -> tuple[pl.Series, pl.Series, list[str]]:
    """The values of a column, of each cell that is none what is wrong with it, and what is to be said of the column."""
    unread = text.is_not_null() & found.local.is_null()
    said: list[str] = []
    if not found.timed:
        values, why = found.local.dt.date(), _where(unread, None)
    else:
        aware = found.offset.drop_nulls()
        plain = int((found.clock & found.offset.is_null()).sum())
        zone = (
            "" if len(aware) <= plain and plain else _zone(text.name, aware.unique().sort(), said) if len(aware) else ""
        )
        values, why = in_zone(found, zone, "the others have")
    return values, why.zip_with(~unread, _where(unread, "is not a date")), said


def _zone(name: str, offsets: pl.Series, said: list[str]) -> str:
    """Where month, weekday and hour are taken: in the one zone that all cells have, else in UTC."""
    zone = fixed_zone(int(offsets[0])) if len(offsets) == 1 else UTC
    if len(offsets) > 1 or (zone == UTC and offsets[0]):
        shown = ", ".join(_ahead(int(one)) for one in offsets.head(4)) + (", …" if len(offsets) > 4 else "")
        said.append(f"Column {name!r} has times {shown} from UTC; their month, weekday and hour are taken in UTC.")
    return zone


def _ahead(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _days(column: pl.Series) -> pl.Series:
    """Times that are all midnight are days, as they would be as text."""
    return column.dt.date() if column.null_count() < len(column) and not _has_clock(column) else column


def _has_clock(column: pl.Series) -> bool:
    return bool((column.dt.time().cast(pl.Int64) != 0).any())


def _moments_of(cells: pl.Series, form: str) -> tuple[Moments, pl.Series]:
    """Cells of any type as moments, and which of them hold something."""
    nothing = pl.Series([None]).new_from_index(0, len(cells))
    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
    if cells.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = without_date_marks(without_marks(cells.cast(pl.String)), form)
    elif cells.dtype in (pl.Date, pl.Datetime):
        return _of_typed(cells), cells.is_not_null()
    elif form in (DIGITS, MONTHS, *EPOCHS) and (cells.dtype.is_integer() or cells.dtype.is_float()):
        text = without_date_marks(_spelled(cells), form)
    else:
        return Moments(
            nothing.cast(pl.Datetime("us")), nothing.cast(pl.Int32), nothing.cast(pl.Boolean)
        ), cells.is_not_null()
    return moments(text, form), text.is_not_null()


def _of_typed(cells: pl.Series) -> Moments:
    cells = within_calendar(cells)
    clock = pl.Series([cells.dtype == pl.Datetime]).new_from_index(0, len(cells))
    zone = getattr(cells.dtype, "time_zone", None)
    local = cells.dt.replace_time_zone(None) if zone else cells
    local = local.cast(pl.Datetime("us"))
    offset = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(cells))
    if zone:
        plain = cells.dt.convert_time_zone(UTC).dt.replace_time_zone(None).cast(pl.Datetime("us"))
        offset = (local - plain).dt.total_minutes().cast(pl.Int32)
    return Moments(local, offset, clock)


def _where(places: pl.Series, why: str | None) -> pl.Series:
    return pl.Series([None, why], dtype=pl.String).gather(places.fill_null(False).cast(pl.UInt32))


def _beyond(column: pl.Series, row: int) -> str:
    return (
        f"column {column.name!r}, data row {row + 1}: {quoted(cell_of(column, row))} is beyond the years 1 to 9999; "
        "correct it, or leave it empty if it is missing"
    )


def _refusal(cells: pl.Series, form: str, why: pl.Series) -> str:
    row = int(why.is_not_null().arg_max() or 0)
    more = len(why) - why.null_count() - 1
    others = f" (and {more:,} other {'cell is not a date' if more == 1 else 'cells are not dates'})" if more else ""
    if why[row] == "is not a date":
        start = (
            f"column {cells.name!r} holds dates{_WITH.get(form, '')}, but data row {row + 1} holds {quoted(cells[row])}"
        )
        return f"{start}{others}; correct it, or leave it empty if it is missing"
    return f"column {cells.name!r}, data row {row + 1}: {quoted(cells[row])} {why[row]}" + (
        f" ({more:,} other cells likewise)" if more else ""
    )


def _doubt(name: str, text: pl.Series) -> str:
    held = text.drop_nulls()
    example = held.filter(held.str.contains(_SLASHED))[0]
    return (
        f"column {name!r} holds dates such as {quoted(example)}, but neither it nor another column shows which is "
        f"the day and which the month; add --dates {DAY_FIRST} or {MONTH_FIRST} (in Python dates={DAY_FIRST!r}), "
        "or write 2024-01-31"
    )
