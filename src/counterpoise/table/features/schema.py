"""Columns as the numbers that trees split on, by a schema learned on the training rows.

Numbers and flags stay as they are; a date becomes its age, its distance from other dates, its month, weekday and
hour (`ages`); a value that repeats becomes the code of its category; free text becomes its length and the
components that `text` finds. What training rows never showed, a new category or an empty cell, is
missing, which trees handle; but a column in which nothing is known any more was renamed, retyped or
coded anew, and is refused. The schema is plain data and travels with the model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.ages import SINCE, Dated, date_parts, learn_dates
from counterpoise.table.features.identifiers import Identifier, find_identifier, tells_classes
from counterpoise.table.features.reference_day import Reference, newest_day
from counterpoise.table.features.text import Text, text_unit
from counterpoise.table.reading.date_columns import as_learned, cell_of
from counterpoise.table.reading.kinds import MOSTLY_ONCE
from counterpoise.table.reading.numbers import PLAIN, Figures
from counterpoise.table.reading.table import Table, check_columns, refuse_doubtful
from counterpoise.wording import quoted

NUMBER, FLAG, DATE, DATETIME, CATEGORY, TEXT = "number", "flag", "date", "datetime", "category", "text"
CALENDAR = "calendar"  # of the time column: an ever-growing day number says nothing of rows to come
DATES = (DATE, DATETIME, CALENDAR)
_PLAIN_KINDS = {CALENDAR: "date"}
IGNORED = "ignored on request"
_ONLY_NAMES = "numbers that only name rows"
_NEVER_REPEATS = "text that never repeats"


@dataclass(frozen=True, slots=True)
class Column:
    """How one column becomes numbers.

    Parameters
    ----------
    name
        The column.
    kind
        "number", "flag", "date", "datetime", "calendar" (a date of which only month, weekday and hour count),
        "category" or "text".
    categories
        Of a category: its values; the place in this list is the code.
    rare
        Of a category: the share of the training values that occur once, and so are no category.
    unit
        Of text: "words" or "characters".
    found
        Of text: what is added to the name for each number that it becomes besides its length.
    form
        Of dates and times that were text in training: how they were written.
    zone
        Of times that had a zone in training: the one in which month, weekday and hour are taken.
    figures
        Of numbers: how they were written.
    dated
        Of dates: what is added to the name for each feature, such as " age", " month" or " since joined".
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    rare: float = 0.0
    unit: str = ""
    found: tuple[str, ...] = ()
    form: str = ""
    zone: str = ""
    figures: Figures = PLAIN
    dated: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What is added to the name for each column of the matrix."""
        if self.kind == TEXT:
            return (" length", *self.found)
        return self.dated if self.kind in DATES else ("",)


@dataclass(frozen=True, slots=True)
class Schema:
    """All columns that the model uses, in order, and those it does not, with the reason.

    Parameters
    ----------
    columns
        Those that it uses.
    dropped
        Name and reason of the others.
    texts
        What was learned of each column of text, by name: arrays, which `arrays` gives.
    reference
        What the ages of dates count to; None where nothing is an age.
    said
        What the reader of the training should know, in sentences.

    Examples
    --------
    >>> when = Column("when", "date", dated=(" month", " weekday"))
    >>> schema = Schema((Column("size", "number"), when), (("id", "constant"),))
    >>> schema.features
    ['size', 'when month', 'when weekday']
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, Text] = field(default_factory=dict, compare=False)
    reference: Reference | None = None
    said: tuple[str, ...] = field(default=(), compare=False)

    @property
    def names(self) -> list[str]:
        """Of the columns that it uses."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """The name of each column of the matrix."""
        return [column.name + part for column in self.columns for part in column.parts]

    @property
    def model_names(self) -> list[str]:
        """The same, without the characters that LightGBM's file format reserves, and distinct."""
        found: dict[str, int] = {}  # and how often the name was wanted
        for name in self.features:
            wanted = plain = re.sub(r"[^\w.+-]+", "_", name) or "_"
            while plain in found:
                found[wanted] += 1
                plain = f"{wanted}_{found[wanted]}"
            found[plain] = 1
        return list(found)

    @property
    def categorical(self) -> list[int]:
        """Places of the categorical columns of the matrix."""
        return list(self.categories)

    @property
    def categories(self) -> dict[int, tuple[str, ...]]:
        """Of each categorical column of the matrix, by place: what its codes stand for."""
        columns = [column for column in self.columns for _ in column.parts]
        return {place: column.categories for place, column in enumerate(columns) if column.kind == CATEGORY}

    @property
    def features_of(self) -> dict[str, list[int]]:
        """The places of each column's features in the matrix; a distance between two dates is of both."""
        found: dict[str, list[int]] = {column.name: [] for column in self.columns}
        place = 0
        for column in self.columns:
            for part in column.parts:
                found[column.name].append(place)
                if column.kind in DATES and part.startswith(SINCE):
                    found[part.removeprefix(SINCE)].append(place)
                place += 1
        return {name: sorted(places) for name, places in found.items()}

    @property
    def day(self) -> date | None:
        """The day that the ages of the training rows count to; None where nothing depends on one."""
        return date.fromisoformat(self.reference.day) if self.reference is not None and self.reference.day else None

    @property
    def needs_day(self) -> bool:
        """Whether a row's answer depends on the day that the ages of its dates count to."""
        return self.reference is not None and not self.reference.own

    @property
    def text(self) -> frozenset[str]:
        """Columns to be read as text."""
        return frozenset(column.name for column in self.columns if column.kind in (CATEGORY, TEXT))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; the arrays of text columns are in `arrays`."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dropped": [list(pair) for pair in self.dropped],
            "reference": None if self.reference is None else self.reference.to_dict(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned of text columns, each array under "place of the column/name of the array"."""
        return {
            f"{place}/{name}": array
            for place, column in enumerate(self.columns)
            if column.kind == TEXT
            for name, array in self.texts[column.name].arrays().items()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> "Schema":
        """The schema that `to_dict` and `arrays` described."""
        lists = ("categories", "found", "dated")
        columns = tuple(
            Column(**one | {name: tuple(one[name]) for name in lists} | {"figures": Figures(**one["figures"])})
            for one in data["columns"]
        )
        held: dict[str, dict[str, NDArray[Any]]] = {}
        for key, array in (arrays or {}).items():
            place, name = key.split("/")
            held.setdefault(place, {})[name] = array
        texts = {
            column.name: Text.from_arrays(column.unit, held[str(place)])
            for place, column in enumerate(columns)
            if column.kind == TEXT
        }
        reference = None if data["reference"] is None else Reference.from_dict(data["reference"])
        return cls(columns, tuple((name, reason) for name, reason in data["dropped"]), texts, reference)


def learn_schema(
    table: Table,
    target: str | tuple[str, ...],
    rows: NDArray[np.int64],
    *,
    leave_out: Sequence[str] = (),
    time: str | None = None,
    as_of: date | None = None,
    absolute: bool = False,
) -> Schema:
    """Decide what each column is, from the training rows.

    Parameters
    ----------
    table
        The whole table: a cell that cannot be used is an error wherever it is.
    target
        The column that is no feature, or all of them.
    rows
        The training rows; categories and words are learned on these.
    leave_out
        Columns that are no features although they are no target either: groups, weights.
    time
        The column that orders the rows. Of a date only month, weekday and hour are used, of a number nothing: what
        always grows says nothing of later rows. The ages of other dates count to it.
    as_of
        The day that ages count to; None: the newest date of a column.
    absolute
        Whether dates themselves are features too.

    Examples
    --------
    >>> from pathlib import Path
    >>> frame = pl.DataFrame({"size": [1, 2, 3], "kind": ["a", "b", "a"], "none": [None] * 3})
    >>> frame = frame.with_columns(y=pl.Series([0, 1, 0]))
    >>> schema = learn_schema(Table(frame, Path("t.parquet"), typed=True), "y", np.arange(3))
    >>> [(column.name, column.kind) for column in schema.columns], schema.dropped
    ([('size', 'number'), ('kind', 'category')], (('none', 'empty'),))
    """
    targets = (target,) if isinstance(target, str) else target
    check_columns(table, [*targets, *leave_out, *([] if time is None else [time])])
    columns: list[Column] = []
    dropped = [(name, IGNORED) for name in table.ignored]
    texts: dict[str, Text] = {}
    for whole in table.frame.get_columns():
        name = whole.name
        if name in targets or name in leave_out or name in table.ignored:
            continue
        found = _learn_column(table, whole, rows, targets, in_time=name == time)
        if isinstance(found, str):
            dropped.append((name, found))
        elif isinstance(found, Column):
            columns.append(found)
        else:
            texts[name] = found
            columns.append(Column(name, TEXT, unit=found.unit, found=found.names))
    values = {one.name: _dates(table.frame[one.name], one, table) for one in columns if one.kind in DATES}
    classes = table.frame.select(targets)[rows]
    dated = learn_dates(values, rows, classes, time=time, as_of=as_of, absolute=absolute)
    columns = _with_parts(columns, dated, dropped)
    if not columns:  # a table holds more than names: what seems to count its rows is a measurement
        measured = [name for name, reason in dropped if reason.startswith(_ONLY_NAMES)]
        columns = [Column(name, NUMBER) for name in measured]
        dropped = [pair for pair in dropped if pair[0] not in measured]
    if not any(column.parts for column in columns):
        raise UserError(
            f"{table.path} has no column to learn from besides {', '.join(map(repr, targets))}"
            + ("".join(f"; {name!r} is {reason}" for name, reason in dropped[:5]))
        )
    return Schema(tuple(columns), tuple(dropped), texts, dated.reference, dated.said)


def to_matrix(table: Table, schema: Schema, day: date | None = None) -> NDArray[np.float64]:
    """The feature matrix (N, F) of a table, by a schema learned before.

    Parameters
    ----------
    table
        The rows.
    schema
        What columns become.
    day
        The day that ages count to, where they count to one; None: as told by the newest date of these rows.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"kind": ["b", "new", None]}), Path("t.parquet"), typed=True)
    >>> to_matrix(table, Schema((Column("kind", "category", ("a", "b")),)))
    array([[ 1.],
           [nan],
           [nan]])
    """
    check_columns(table, [column.name for column in schema.columns])
    matrix = np.empty((table.frame.height, len(schema.features)))
    place = 0
    held = {column.name: column for column in table.frame.get_columns()}
    dates = {column.name: _dates(held[column.name], column, table) for column in schema.columns if column.kind in DATES}
    if day is None and schema.needs_day:
        day = newest_day(dates, schema.reference)
    for column in schema.columns:
        if column.kind in DATES:
            parts = date_parts(column.name, column.dated, dates, schema.reference, day)
        else:
            parts = _encode(held[column.name], column, schema, table)
        for part in parts:
            matrix[:, place] = part
            place += 1
    return matrix


def refused_cells(table: Table, column: pl.Series) -> str | None:
    """Why training would refuse a column as it is, or None.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"size": [1.5, float("inf")]}), Path("t.parquet"), typed=True)
    >>> refused_cells(table, table.frame["size"])
    "column 'size' is infinite in data row 2; put a number there, or leave it empty"
    """
    try:
        refuse_doubtful(table, column.name)
        if _kind(column) == NUMBER:
            _number(column, table)
    except UserError as error:
        return str(error).removeprefix(f"{table.path}: ")
    return None


def _learn_column(
    table: Table, whole: pl.Series, rows: NDArray[np.int64], targets: tuple[str, ...], *, in_time: bool
) -> Column | Text | str:
    """What a column is; or why it is not used."""
    name = whole.name
    kind = _kind(whole)
    if kind is None:
        return "empty" if whole.null_count() == len(whole) else f"type {whole.dtype}"
    if in_time and kind not in (DATE, DATETIME):
        return "the order in time"
    refuse_doubtful(table, name)
    trained = whole.gather(rows)
    named = None
    if kind in (NUMBER, CATEGORY) and not in_time:
        named = find_identifier(whole, lambda: _tells(trained, table.frame.select(targets)[rows]))
        if named is not None and named.certain:
            return _left_out(named, kind)
    if kind == NUMBER:
        return _learn_number(_number(whole, table)[rows], Column(name, NUMBER, figures=table.figures.get(name, PLAIN)))
    seen = trained.drop_nulls()
    if len(seen) == 0:
        return "empty"
    if seen.n_unique() == 1 and len(seen) == len(rows) and kind not in DATES:
        return "constant"
    if kind == FLAG:
        return Column(name, kind)
    if kind != CATEGORY:
        zone = getattr(whole.dtype, "time_zone", None) or ""
        return Column(name, CALENDAR if in_time else kind, form=table.forms.get(name, ""), zone=zone)
    return _learn_words(trained.cast(pl.String), table.frame.select(targets)[rows], named)


def _tells(trained: pl.Series, targets: pl.DataFrame) -> bool:
    """Whether the column tells a class of any target, on the rows where that is known."""
    for target in targets:
        known = target.is_not_null()
        codes = target.filter(known).rank("dense").to_numpy().astype(np.int64) - 1
        if tells_classes(trained.filter(known), codes):
            return True
    return False


def _with_parts(columns: list[Column], dated: Dated, dropped: list[tuple[str, str]]) -> list[Column]:
    """The columns with what their dates become; those of which nothing is used are added to the dropped."""
    needed = {part.removeprefix(SINCE) for parts in dated.parts.values() for part in parts if part.startswith(SINCE)}
    needed |= {dated.reference.column} if dated.reference is not None else set()
    kept = []
    for one in columns:
        if one.kind in DATES and not dated.parts[one.name] and one.name not in needed:
            dropped.append((one.name, "dates that tell nothing but when it was"))
        else:
            kept.append(replace(one, dated=dated.parts[one.name]) if one.kind in DATES else one)
    return kept


def _dates(column: pl.Series, one: Column, table: Table) -> pl.Series:
    values, why = as_learned(column, timed=one.kind != DATE, form=one.form, zone=one.zone)
    if why.null_count() < len(why):
        place = int(why.is_not_null().arg_max() or 0)
        raise UserError(
            f"{table.path}: column {one.name!r}, data row {place + 1}: {quoted(cell_of(column, place))} {why[place]}"
        )
    return values


def _learn_number(trained: NDArray[np.float64], column: Column) -> Column | str:
    seen = trained[~np.isnan(trained)]
    if len(seen) == 0:
        return "empty"
    return "constant" if len(seen) == len(trained) and seen.min() == seen.max() else column


def _learn_words(trained: pl.Series, targets: pl.DataFrame, named: Identifier | None) -> Column | Text | str:
    """A category or free text, by whether values repeat; short names are text where a word in them tells a class."""
    seen = trained.drop_nulls()
    counted = seen.value_counts(sort=False)
    once = float((counted["count"] == 1).sum() / len(seen))
    unit = text_unit(seen) if once > MOSTLY_ONCE else None
    text = Text.learn(trained, unit, targets) if unit else None
    if text is not None:
        return text if named is None or len(text.telling) else _left_out(named, CATEGORY)
    categories = tuple(sorted(counted.filter(pl.col("count") > 1)[seen.name].to_list()))
    return Column(seen.name, CATEGORY, categories, once) if categories else _NEVER_REPEATS


def _left_out(named: Identifier, kind: str) -> str:
    """Why a column of names is not used."""
    if kind == NUMBER:
        return f"{_ONLY_NAMES}: {named.why}"
    return f"text that hardly repeats: {named.why}" if named.repeats else _NEVER_REPEATS


def kind_in_words(kind: str) -> str:
    """As people say it.

    Examples
    --------
    >>> kind_in_words("calendar")
    'date'
    """
    return _PLAIN_KINDS.get(kind, kind)


def _kind(column: pl.Series) -> str | None:
    dtype = column.dtype
    if column.null_count() == len(column):
        return None
    if dtype == pl.Boolean:
        return FLAG
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return NUMBER
    if dtype == pl.Date:
        return DATE
    if dtype == pl.Datetime:
        return DATETIME
    return CATEGORY if dtype in (pl.String, pl.Categorical, pl.Enum) else None


def _number(column: pl.Series, table: Table) -> NDArray[np.float64]:
    """As floats, NaN where missing; in NumPy, since thousands of columns add up each call to Polars."""
    values = spans(column).cast(pl.Float64).to_numpy()
    endless = np.isinf(values)
    if endless.any():
        place = int(endless.argmax())
        raise UserError(
            f"{table.path}: column {column.name!r} is infinite in data row {place + 1}; "
            "put a number there, or leave it empty"
        )
    return values


def spans(column: pl.Series) -> pl.Series:
    """Durations in microseconds, in whatever unit they are stored, and times of day in nanoseconds; the rest as it is.

    Examples
    --------
    >>> from datetime import timedelta
    >>> spans(pl.Series([timedelta(seconds=1)], dtype=pl.Duration("ms"))).to_list()
    [1000000]
    """
    if column.dtype == pl.Duration:
        return column.dt.total_microseconds()
    return column.cast(pl.Int64) if column.dtype == pl.Time else column


def _encode(column: pl.Series, one: Column, schema: Schema, table: Table) -> list[NDArray[np.float64]]:
    if column.null_count() == len(column):
        return [np.full(len(column), np.nan) for _ in one.parts]
    found = _kind(column)
    if one.kind in (NUMBER, FLAG) and found in (NUMBER, FLAG):
        return [_number(column, table)]
    if one.kind == CATEGORY and found == CATEGORY:
        places = {value: float(place) for place, value in enumerate(one.categories)}
        text = column.cast(pl.String)
        return [_floats(text.replace_strict(places, default=None, return_dtype=pl.Float64))]
    if one.kind == TEXT and found == CATEGORY:
        text = column.cast(pl.String)
        return [_floats(text.str.len_chars()), *schema.texts[one.name].apply(text).T]
    raise UserError(
        f"{table.path}: column {one.name!r} is of type {column.dtype}, which is not a {kind_in_words(one.kind)}, but "
        "the model was trained on that"
    )


def _floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
