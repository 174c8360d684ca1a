"""Columns as the numbers that trees split on, by a schema learned on the training rows.

Numbers and flags stay as they are; a date becomes its day number, month and weekday (a time its hour
too); a value that repeats becomes the code of its category; free text becomes its length and the
components that `text` finds. What training rows never showed, a new category or an empty cell, is
missing, which trees handle; but a column in which nothing is known any more was renamed, retyped or
coded anew, and is refused. The schema is plain data and travels with the model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.date_columns import as_learned
from counterpoise.table.identifiers import Identifier, find_identifier, tells_classes
from counterpoise.table.read import Table, check_columns, numbers, quoted
from counterpoise.table.text import Text, text_unit

_MOST_SHOWN = 1_000
NUMBER, FLAG, DATE, DATETIME, CATEGORY, TEXT = "number", "flag", "date", "datetime", "category", "text"
CALENDAR = "calendar"  # of the time column: an ever-growing day number says nothing of rows to come
_PARTS = {
    DATE: (" day", " month", " weekday"),
    DATETIME: (" day", " month", " weekday", " hour"),
    CALENDAR: (" month", " weekday", " hour"),
}
DATES = (DATE, DATETIME, CALENDAR)
_PLAIN_KINDS = {CALENDAR: "date"}
_MOSTLY_ONCE = 0.5
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
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    rare: float = 0.0
    unit: str = ""
    found: tuple[str, ...] = ()
    form: str = ""
    zone: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """What is added to the name for each column of the matrix."""
        if self.kind == TEXT:
            return (" length", *self.found)
        return _PARTS.get(self.kind, ("",))


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

    Examples
    --------
    >>> schema = Schema((Column("size", "number"), Column("when", "date")), (("id", "constant"),))
    >>> schema.features
    ['size', 'when day', 'when month', 'when weekday']
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, Text] = field(default_factory=dict, compare=False)

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
        """The places of each column's features in the matrix."""
        found: dict[str, list[int]] = {}
        begun = 0
        for column in self.columns:
            found[column.name] = list(range(begun, begun + len(column.parts)))
            begun += len(column.parts)
        return found

    @property
    def text(self) -> frozenset[str]:
        """Columns to be read as text."""
        return frozenset(column.name for column in self.columns if column.kind in (CATEGORY, TEXT))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; the arrays of text columns are in `arrays`."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dropped": [list(pair) for pair in self.dropped],
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
        columns = tuple(
            Column(**one | {"categories": tuple(one["categories"]), "found": tuple(one.get("found", ()))})
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
        return cls(columns, tuple((name, reason) for name, reason in data["dropped"]), texts)


def learn_schema(
    table: Table,
    target: str | tuple[str, ...],
    rows: NDArray[np.int64],
    *,
    leave_out: Sequence[str] = (),
    time: str | None = None,
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
        always grows says nothing of later rows.

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
    if not columns:  # a table holds more than names: what seems to count its rows is a measurement
        measured = [name for name, reason in dropped if reason.startswith(_ONLY_NAMES)]
        columns = [Column(name, NUMBER) for name in measured]
        dropped = [pair for pair in dropped if pair[0] not in measured]
    if not columns:
        raise UserError(
            f"{table.path} has no column to learn from besides {', '.join(map(repr, targets))}"
            + ("".join(f"; {name!r} is {reason}" for name, reason in dropped[:5]))
        )
    return Schema(tuple(columns), tuple(dropped), texts)


def to_matrix(table: Table, schema: Schema) -> NDArray[np.float64]:
    """The feature matrix (N, F) of a table, by a schema learned before.

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
    for column in schema.columns:
        for part in _encode(held[column.name], column, schema, table):
            matrix[:, place] = part
            place += 1
    return matrix


class Categories:
    """What to say of values that are no category of the model; a column of nothing else is refused, as is strange text.

    A few new values are to be expected where training rows showed many that occur once: such values
    come with about the same share again (Good and Turing). A column is refused if by that share even
    one known value was to be expected, or if its type is no longer text and nothing in it is known.

    Parameters
    ----------
    schema
        Of the model.

    Examples
    --------
    >>> from pathlib import Path
    >>> categories = Categories(Schema((Column("kind", "category", ("a", "b")),)))
    >>> categories.add(Table(pl.DataFrame({"kind": ["b", "new", None]}), Path("t.parquet"), typed=True))
    >>> categories.said(Path("t.parquet"))
    ["column 'kind': 1 of 2 values are no category that the model knows, and count as missing: 'new'"]
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._begun = False
        self._columns = [one for one in schema.columns if one.kind == CATEGORY]
        self._held = dict.fromkeys([one.name for one in self._columns], 0)
        self._new = dict(self._held)
        self._shown: dict[str, dict[str, None]] = {name: {} for name in self._held}
        self._strange: dict[str, Any] = {}

    def add(self, table: Table) -> None:
        """Look at some rows.

        Raises
        ------
        UserError
            If the first ones hold text of which the model knows nothing.
        """
        for one in self._schema.columns if not self._begun else ():
            if one.kind == TEXT:
                _check_text(table.frame[one.name], one, self._schema, table)
        self._begun = True
        for one in self._columns:
            column = table.frame[one.name]
            text = _as_text(column, one, table).drop_nulls()
            new = text.filter(~text.is_in(one.categories))
            self._held[one.name] += len(text)
            self._new[one.name] += len(new)
            if _kind(column) not in (CATEGORY, None):
                self._strange[one.name] = column.dtype
            if len(new) and len(self._shown[one.name]) < _MOST_SHOWN:
                self._shown[one.name] |= dict.fromkeys(new.unique(maintain_order=True).to_list())

    def said(self, path: Path) -> list[str]:
        """A sentence for each column with new values.

        Raises
        ------
        UserError
            If a column holds nothing else.
        """
        sentences = []
        for one in self._columns:
            new, held, strange = self._new[one.name], self._held[one.name], self._strange.get(one.name)
            if new == 0:
                continue
            shown = _listed(list(self._shown[one.name]))
            if new == held and (strange is not None or _surely_wrong(one.rare, held)):
                kind = "" if strange is None else f", of type {strange} here and text in training,"
                raise UserError(
                    f"{path}: column {one.name!r}{kind} holds nothing that the model knows: {shown}; it knows "
                    f"{_listed(list(one.categories))}. Write the values as in training, or empty the column to do "
                    "without"
                )
            sentences.append(
                f"column {one.name!r}: {new:,} of {held:,} values are no category that the model knows, "
                f"and count as missing: {shown}"
            )
        return sentences


def refused_cells(table: Table, column: pl.Series) -> str | None:
    """Why training would refuse a column as it is, or None.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"size": ["1.5", "2.5", "big"]}), Path("t.csv"), typed=False)
    >>> refused_cells(table, table.frame["size"])
    "column 'size' holds numbers, but data row 3 holds 'big'; correct it, or leave it empty if it is missing"
    """
    kind = _kind(column)
    try:
        if kind == CATEGORY and not table.typed:
            _refuse_stray_text(column)
        if kind == NUMBER:
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
    if kind == CATEGORY and not table.typed:
        _refuse_stray_text(whole)
    trained = whole.gather(rows)
    named = None
    if kind in (NUMBER, CATEGORY) and not in_time:
        named = find_identifier(whole, lambda: _tells(trained, table.frame.select(targets)[rows]))
        if named is not None and named.certain:
            return _left_out(named, kind)
    if kind == NUMBER:
        return _learn_number(name, _number(whole, table)[rows])
    seen = trained.drop_nulls()
    if len(seen) == 0:
        return "empty"
    if seen.n_unique() == 1 and len(seen) == len(rows):
        return "constant"
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


def _learn_number(name: str, trained: NDArray[np.float64]) -> Column | str:
    seen = trained[~np.isnan(trained)]
    if len(seen) == 0:
        return "empty"
    return "constant" if len(seen) == len(trained) and seen.min() == seen.max() else Column(name, NUMBER)


def _learn_words(trained: pl.Series, targets: pl.DataFrame, named: Identifier | None) -> Column | Text | str:
    """A category or free text, by whether values repeat; short names are text where a word in them tells a class."""
    seen = trained.drop_nulls()
    counted = seen.value_counts(sort=False)
    once = float((counted["count"] == 1).sum() / len(seen))
    unit = text_unit(seen) if once > _MOSTLY_ONCE else None
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


def _check_text(column: pl.Series, one: Column, schema: Schema, table: Table, most: int = 1000) -> None:
    text = _as_text(column, one, table).drop_nulls().head(most)
    if len(text) >= 10 and not schema.texts[one.name].known(text):
        raise UserError(
            f"{table.path}: column {one.name!r} holds no {one.unit} that the model knows: {_listed(text.to_list())}. "
            "Write the text as in training, or empty the column to do without"
        )


def kind_in_words(kind: str) -> str:
    """As people say it.

    Examples
    --------
    >>> kind_in_words("calendar")
    'date'
    """
    return _PLAIN_KINDS.get(kind, kind)


def _surely_wrong(rare: float, values: int) -> bool:
    """Whether so many values, all of them new, are less likely than 1 in 1,000."""
    return max(rare, 0.01) ** values < 0.001


def _listed(values: list[str], most: int = 3) -> str:
    return ", ".join(map(quoted, values[:most])) + (f" and {len(values) - most:,} more" if len(values) > most else "")


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


def _refuse_stray_text(column: pl.Series) -> None:
    """Words among numbers are mistakes, not categories, where they are few or the numbers are measurements."""
    held = column.drop_nulls()
    figures = numbers(held)
    stray = held.filter(figures.is_null())
    counted = len(held) - len(stray)
    few = len(stray) <= max(3, 0.01 * len(held)) and counted >= 2 * len(stray)
    fractions = int((figures.drop_nulls() % 1 != 0).sum())  # whole numbers among words may be ticket numbers or codes
    measured = counted >= len(stray) and fractions > 0.5 * counted
    if len(stray) and (few or measured):
        place = int((column == stray[0]).arg_max() or 0)
        raise UserError(
            f"column {column.name!r} holds numbers, but data row {place + 1} holds {quoted(stray[0])}"
            + (f" (and {len(stray) - 1} other cells are no numbers)" if len(stray) > 1 else "")
            + "; correct it, or leave it empty if it is missing"
        )


def _number(column: pl.Series, table: Table) -> NDArray[np.float64]:
    """As floats, NaN where missing; in NumPy, since thousands of columns add up each call to Polars."""
    if column.dtype in (pl.Duration, pl.Time):
        column = column.cast(pl.Int64)
    values = column.cast(pl.Float64).to_numpy()
    endless = np.isinf(values)
    if endless.any():
        place = int(endless.argmax())
        raise UserError(
            f"{table.path}: column {column.name!r} is infinite in data row {place + 1}; "
            "put a number there, or leave it empty"
        )
    return values


def _encode(column: pl.Series, one: Column, schema: Schema, table: Table) -> list[NDArray[np.float64]]:
    if column.null_count() == len(column):
        return [np.full(len(column), np.nan) for _ in one.parts]
    found = _kind(column)
    if one.kind in (NUMBER, FLAG) and found in (NUMBER, FLAG):
        return [_number(column, table)]
    if one.kind == NUMBER and found == CATEGORY:
        column = column.cast(pl.String)
        values = numbers(column)
        bad = column.is_not_null() & values.is_null()
        if bad.any():
            _refuse(column, int(bad.arg_max() or 0), one, table)
        return [_number(values, table)]
    if one.kind == CATEGORY:
        text = _as_text(column, one, table)
        places = {value: float(place) for place, value in enumerate(one.categories)}
        return [_floats(text.replace_strict(places, default=None, return_dtype=pl.Float64))]
    if one.kind == TEXT:
        text = _as_text(column, one, table)
        return [_floats(text.str.len_chars()), *schema.texts[one.name].apply(text).T]
    if one.kind in DATES:
        values, why = as_learned(column, timed=one.kind != DATE, form=one.form, zone=one.zone)
        if why.null_count() < len(why):
            place = int(why.is_not_null().arg_max() or 0)
            raise UserError(
                f"{table.path}: column {one.name!r}, data row {place + 1}: {quoted(column[place])} {why[place]}"
            )
        return _date_parts(values, one)
    return _refuse(column, int(column.is_not_null().arg_max() or 0), one, table)


def _date_parts(column: pl.Series, one: Column) -> list[NDArray[np.float64]]:
    timed = column.dtype != pl.Date
    day = _floats(column.dt.epoch("s") if timed else column.dt.epoch("d") * 86400) / 86400
    held = {
        " day": day if one.kind == DATETIME else np.floor(day),
        " month": _floats(column.dt.month()),
        " weekday": _floats(column.dt.weekday()),
        " hour": _floats(column.dt.hour()) if timed else _floats(column.dt.day() * 0),
    }
    return [held[part] for part in one.parts]


def _as_text(column: pl.Series, one: Column, table: Table) -> pl.Series:
    """The values of a category as text; whole numbers without the ".0" that an empty cell gives them elsewhere."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise UserError(
            f"{table.path}: column {one.name!r} is of type {column.dtype}, but the model was trained on text"
        )
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.cast(pl.Int64, strict=False)
        if ((whole == column) | column.is_null()).fill_null(False).all():
            column = whole
    return column.cast(pl.String)


def _refuse(column: pl.Series, place: int, one: Column, table: Table) -> list[NDArray[np.float64]]:
    raise UserError(
        f"{table.path}: column {one.name!r}, data row {place + 1}: {quoted(column[place])} is not a "
        f"{kind_in_words(one.kind)}, but the model was trained on that"
    )


def _floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
