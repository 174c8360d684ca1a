"""Columns as the numbers that trees split on, by a schema learned on the training rows.

Numbers and flags stay as they are; a date becomes its day number, month and weekday (a time its hour
too); text becomes the code of its category. What training rows never showed, a new category or an
empty cell, is missing, which LightGBM's trees handle; but a column in which nothing is known any
more was renamed, retyped or coded anew, and is refused. The schema is plain data and travels with
the model.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.read import Table, check_columns, numbers, quoted

_MOST_SHOWN = 1_000
NUMBER, FLAG, DATE, DATETIME, CATEGORY = "number", "flag", "date", "datetime", "category"
_PARTS = {
    NUMBER: ("",),
    FLAG: ("",),
    CATEGORY: ("",),
    DATE: (" day", " month", " weekday"),
    DATETIME: (" day", " month", " weekday", " hour"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """How one column becomes numbers.

    Parameters
    ----------
    name
        The column.
    kind
        "number", "flag", "date", "datetime" or "category".
    categories
        Of a category: its values; the place in this list is the code.
    rare
        Of a category: the share of the training values that occur once, and so are no category.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    rare: float = 0.0


@dataclass(frozen=True, slots=True)
class Schema:
    """All columns that the model uses, in order, and those it does not, with the reason.

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

    @property
    def features(self) -> list[str]:
        """The name of each column of the matrix."""
        return [column.name + part for column in self.columns for part in _PARTS[column.kind]]

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
        columns = [column for column in self.columns for _ in _PARTS[column.kind]]
        return {place: column.categories for place, column in enumerate(columns) if column.kind == CATEGORY}

    @property
    def features_of(self) -> dict[str, list[int]]:
        """The places of each column's features in the matrix."""
        found: dict[str, list[int]] = {}
        for column in self.columns:
            begun = sum(map(len, found.values()))
            found[column.name] = list(range(begun, begun + len(_PARTS[column.kind])))
        return found

    @property
    def text(self) -> frozenset[str]:
        """Columns to be read as text."""
        return frozenset(column.name for column in self.columns if column.kind == CATEGORY)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dropped": [list(pair) for pair in self.dropped],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Schema":
        """The schema that `to_dict` described."""
        return cls(
            tuple(Column(**one | {"categories": tuple(one["categories"])}) for one in data["columns"]),
            tuple((name, reason) for name, reason in data["dropped"]),
        )


def learn_schema(table: Table, target: str, rows: NDArray[np.int64]) -> Schema:
    """Decide what each column is, from the training rows.

    Parameters
    ----------
    table
        The whole table: a cell that cannot be used is an error wherever it is.
    target
        The column that is no feature.
    rows
        The training rows; categories are learned on these.

    Examples
    --------
    >>> from pathlib import Path
    >>> frame = pl.DataFrame({"size": [1, 2, 3], "kind": ["a", "b", "a"], "none": [None] * 3})
    >>> frame = frame.with_columns(y=pl.Series([0, 1, 0]))
    >>> schema = learn_schema(Table(frame, Path("t.parquet"), typed=True), "y", np.arange(3))
    >>> [(column.name, column.kind) for column in schema.columns], schema.dropped
    ([('size', 'number'), ('kind', 'category')], (('none', 'empty'),))
    """
    columns: list[Column] = []
    dropped: list[tuple[str, str]] = []
    for name in table.frame.columns:
        if name == target:
            continue
        whole = table.frame[name]
        kind = _kind(whole)
        if kind is None:
            dropped.append((name, "empty" if whole.null_count() == len(whole) else f"type {whole.dtype}"))
            continue
        if kind == CATEGORY and not table.typed:
            _refuse_stray_text(whole)
        if kind == NUMBER:
            whole = _number(whole, table)
        seen = whole.gather(rows).drop_nulls()
        if len(seen) == 0:
            dropped.append((name, "empty"))
        elif seen.n_unique() == 1 and len(seen) == len(rows):
            dropped.append((name, "constant"))
        elif kind != CATEGORY:
            columns.append(Column(name, kind))
        else:
            counted = seen.cast(pl.String).value_counts(sort=False)
            categories = tuple(sorted(counted.filter(pl.col("count") > 1)[name].to_list()))
            if categories:
                columns.append(Column(name, kind, categories, float((counted["count"] == 1).sum() / len(seen))))
            else:
                dropped.append((name, "text that never repeats"))
    if not columns:
        raise UserError(
            f"{table.path} has no column to learn from besides {target!r}"
            + ("".join(f"; {name!r} is {reason}" for name, reason in dropped[:5]))
        )
    return Schema(tuple(columns), tuple(dropped))


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
    parts = [_encode(table.frame[column.name], column, table) for column in schema.columns]
    return np.ascontiguousarray(np.column_stack([part for group in parts for part in group]))


class Categories:
    """What to say of values that are no category of the model; a column of nothing else is refused.

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
        self._columns = [one for one in schema.columns if one.kind == CATEGORY]
        self._held = dict.fromkeys([one.name for one in self._columns], 0)
        self._new = dict(self._held)
        self._shown: dict[str, dict[str, None]] = {name: {} for name in self._held}
        self._strange: dict[str, Any] = {}

    def add(self, table: Table) -> None:
        """Look at some rows."""
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


def _number(column: pl.Series, table: Table) -> pl.Series:
    if column.dtype in (pl.Duration, pl.Time):
        column = column.cast(pl.Int64)
    values = column.cast(pl.Float64).fill_nan(None)
    endless = values.is_infinite().fill_null(False)
    if endless.any():
        place = int(endless.arg_max() or 0)
        raise UserError(
            f"{table.path}: column {column.name!r} is infinite in data row {place + 1}; "
            "put a number there, or leave it empty"
        )
    return values


def _encode(column: pl.Series, schema: Column, table: Table) -> list[NDArray[np.float64]]:
    if column.null_count() == len(column):
        return [np.full(len(column), np.nan) for _ in _PARTS[schema.kind]]
    found = _kind(column)
    if schema.kind in (NUMBER, FLAG) and found in (NUMBER, FLAG):
        return [_floats(_number(column, table))]
    if schema.kind == NUMBER and found == CATEGORY:
        column = column.cast(pl.String)
        values = numbers(column)
        bad = column.is_not_null() & values.is_null()
        if bad.any():
            _refuse(column, int(bad.arg_max() or 0), schema, table)
        return [_floats(_number(values, table))]
    if schema.kind == CATEGORY:
        text = _as_text(column, schema, table)
        places = {value: float(place) for place, value in enumerate(schema.categories)}
        return [_floats(text.replace_strict(places, default=None, return_dtype=pl.Float64))]
    if schema.kind in (DATE, DATETIME) and found in (DATE, DATETIME):
        day = column.dt.epoch("d") if found == DATE else column.dt.epoch("s") / 86400
        parts = [day, column.dt.month(), column.dt.weekday()]
        if schema.kind == DATETIME:
            parts.append(column.dt.hour() if found == DATETIME else column.dt.day() * 0)
        else:
            parts[0] = parts[0].floor() if found == DATETIME else parts[0]
        return [_floats(part) for part in parts]
    place = int(column.is_not_null().arg_max() or 0)
    return _refuse(column, place, schema, table)


def _as_text(column: pl.Series, schema: Column, table: Table) -> pl.Series:
    """The values of a category as text; whole numbers without the ".0" that an empty cell gives them elsewhere."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise UserError(
            f"{table.path}: column {schema.name!r} is of type {column.dtype}, but the model was trained on text"
        )
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.cast(pl.Int64, strict=False)
        if ((whole == column) | column.is_null()).fill_null(False).all():
            column = whole
    return column.cast(pl.String)


def _refuse(column: pl.Series, place: int, schema: Column, table: Table) -> list[NDArray[np.float64]]:
    raise UserError(
        f"{table.path}: column {schema.name!r}, data row {place + 1}: {quoted(column[place])} is not a "
        f"{schema.kind}, but the model was trained on that"
    )


def _floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
