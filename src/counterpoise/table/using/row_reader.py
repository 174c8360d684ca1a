"""A few rows as features, without a table: the features of a cell are read by way of a table once, and remembered.

A table costs milliseconds however small it is. But the features of a cell depend only on the cell, and those of a row's
dates only on these and the day, so they are known for a cell that was seen before. A JSON number in a column of numbers
is itself. There is one way to read cells; this is only its memory.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.novelty import FEWEST_TEXTS
from counterpoise.table.features.reference_day import NewestDay
from counterpoise.table.features.schema import CATEGORY, DATES, NUMBER, TEXT, Column, Schema
from counterpoise.table.reading.numbers import SCALES
from counterpoise.table.reading.table import Table
from counterpoise.table.using.json_rows import RefusedError, table_of_rows

MOST_ROWS = 16
"""Of more rows a table costs less."""
_MOST_CELLS = 10_000
_LONGEST = 100
_UNKNOWN = (None, False)
_LARGEST = float(np.finfo(np.float64).max)

Features = Sequence[float]
JsonRows = Sequence[Mapping[str, Any]]


class RowReader:
    """The features of rows as they come in requests.

    Parameters
    ----------
    schema
        Schema of the model.

    Examples
    --------
    >>> reader = RowReader(Schema((Column("size", "number"), Column("kind", "category", ("oak", "fir")))))
    >>> matrix, table = reader.read([{"size": 1.5, "kind": " fir"}, {"size": None, "kind": None}], date(2024, 1, 31))
    >>> matrix
    array([[1.5, 1. ],
           [nan, nan]])
    >>> table is None  # no category is new to the model
    True
    """

    def __init__(self, schema: Schema) -> None:
        self._schema, self._width = schema, len(schema.features)
        self._most = min(MOST_ROWS, FEWEST_TEXTS - 1) if schema.texts else MOST_ROWS  # the texts of more are looked at
        places: dict[str, list[int]] = {}
        begun = 0
        for column in schema.columns:
            places[column.name] = list(range(begun, begun + len(column.parts)))
            begun += len(column.parts)
        dates = tuple(column for column in schema.columns if column.kind in DATES)
        cells = [_Cells(column, places[column.name]) for column in schema.columns if column.kind not in DATES]
        self._readers: list[_Cells | _Dates] = list(cells)
        self._dates = _Dates(dates, schema, list(chain(*(places[column.name] for column in dates)))) if dates else None
        if self._dates is not None:
            self._readers.append(self._dates)

    def read(self, rows: Sequence[Any], day: date) -> tuple[NDArray[np.float64], Table | None]:
        """Features (N, F), as `to_matrix` gives them of a table; and the table, where it may hold what is new.

        Parameters
        ----------
        rows
            Rows of a request.
        day
            Day up to which ages of dates are counted.

        Raises
        ------
        RefusedError
            As `table_of_rows`.
        """
        if len(rows) > self._most or not all(type(row) is dict for row in rows):
            table = table_of_rows(list(rows), self._schema)
            return to_matrix(table, self._schema, day), table
        found = np.empty((len(rows), self._width))
        try:
            told = [reader.fill(found, rows, day) for reader in self._readers]
        except KeyError:  # a row lacks a column
            told = [None] * len(self._readers)
        unknown = [reader for reader, new in zip(self._readers, told, strict=True) if new is None]
        if unknown:
            told += self._learn(unknown, found, rows, day)
        return found, table_of_rows(list(rows), self._schema) if any(told) else None

    def newest(self, rows: Sequence[Any], table: Table | None) -> NewestDay:
        """The dates of rows that `read` has read, in the column whose newest one is the day of a table.

        Parameters
        ----------
        rows
            Rows of a request.
        table
            The table that `read` gave of them, or None.
        """
        reference, newest = self._schema.reference, NewestDay()
        if reference is not None and self._dates is not None:
            held = None if table is not None else self._dates.cells(rows, reference.column)
            if held is None:
                part = Schema(tuple(one for one in self._schema.columns if one.name == reference.column))
                held = (table or table_of_rows(list(rows), part)).frame[reference.column]
            newest.add(held)
        return newest

    def _learn(
        self, readers: Sequence["_Cells | _Dates"], found: NDArray[np.float64], rows: JsonRows, day: date
    ) -> list[bool]:
        """Fill in what was not known, by a table of these columns alone; whether each holds a new category."""
        names = {name for reader in readers for name in reader.names}
        own = tuple(column for column in self._schema.columns if column.name in names)
        part = Schema(own, (), self._schema.texts, self._schema.reference)
        try:
            table = table_of_rows(list(rows), part)
        except RefusedError:
            table_of_rows(list(rows), self._schema)  # says all that is wrong with the rows
            raise
        places = [place for column in own for reader in readers for place in reader.places_of(column)]
        found[:, places] = to_matrix(table, part, day)
        return [reader.remember(found, rows, day, table) for reader in readers]


class _Memory(dict[Any, Any]):
    """What was found of so many keys at most."""

    def add(self, key: Any, value: Any) -> None:
        if len(self) >= _MOST_CELLS:
            self.clear()
        self[key] = value


def _key(cell: Any) -> Any:
    """A cell as the key of a memory, None for one that is not kept: true, 1 and 1.0 are three."""
    kind = type(cell)
    if kind is str:
        return cell if len(cell) <= _LONGEST else None
    return (kind, cell) if kind in (int, float, bool, type(None)) else None


class _Cells:
    """The cells of one column that is not a date."""

    def __init__(self, column: Column, places: list[int]) -> None:
        self.names, self._column = (column.name,), column
        self._is_category, self._is_text = column.kind == CATEGORY, column.kind == TEXT
        self._first, self._last = places[0], places[-1] + 1
        self._plain = column.kind == NUMBER and column.figures.unit not in SCALES
        self._known = _Memory()

    def places_of(self, column: Column) -> range:
        """Where the features of a column are, if it is this one."""
        return range(self._first, self._last) if column is self._column else range(0)

    def fill(self, found: NDArray[np.float64], rows: JsonRows, _: date) -> bool | None:
        """Write the features of the rows: whether a category is new to the model, or None if not all is known."""
        name, plain, known, new = self.names[0], self._plain, self._known, False
        for place, row in enumerate(rows):
            cell = row[name]
            kind = type(cell)
            if plain and (kind is float or kind is int) and -_LARGEST <= cell <= _LARGEST:
                found[place, self._first] = cell
                continue
            features, is_new = known.get(cell if kind is str else _key(cell), _UNKNOWN)
            if features is None:
                return None
            found[place, self._first : self._last] = features
            new = new or is_new
        return new

    def remember(self, found: NDArray[np.float64], rows: JsonRows, _: date, table: Table) -> bool:
        """Keep what the reading of tables made of the cells, and tell as `fill` does."""
        own = found[:, self._first : self._last].tolist()
        said = table.frame[self.names[0]].is_not_null().to_list()
        new = [
            self._is_category and told and features[0] != features[0] for told, features in zip(said, own, strict=True)
        ]
        for row, features, is_new in zip(rows, own, new, strict=True):
            key = _key(row[self.names[0]])
            if key is not None and not (self._is_text and type(key) is str):  # which hardly ever comes again
                self._known.add(key, (features, is_new))
        return any(new)


class _Dates:
    """The dates of a row, whose features may be of two of them and depend on the day."""

    def __init__(self, columns: tuple[Column, ...], schema: Schema, places: list[int]) -> None:
        self.names = tuple(column.name for column in columns)
        self._schema = Schema(columns, (), {}, schema.reference)
        self._columns, self._places = columns, places
        self._known = _Memory()
        self._values = {name: _Memory() for name in self.names}
        self._types: dict[str, pl.DataType] = {}

    def places_of(self, column: Column) -> list[int]:
        """Where the features of a column are, if it is one of these."""
        begun = 0
        for one in self._columns:
            if one is column:
                return self._places[begun : begun + len(one.parts)]
            begun += len(one.parts)
        return []

    def fill(self, found: NDArray[np.float64], rows: JsonRows, day: date) -> bool | None:
        """Write the features of the rows; None if not all dates are known."""
        keys = self._keys(rows)
        if keys is None:
            return None
        known = [self._known.get((day, *key)) for key in keys]
        if None not in known:
            found[:, self._places] = known
            return False
        try:
            columns = [
                pl.Series(name, [self._values[name][key[place]] for key in keys], dtype=self._types[name])
                for place, name in enumerate(self.names)
            ]
        except KeyError:
            return None
        table = Table(pl.DataFrame(columns), Path("the request"), typed=True)
        found[:, self._places] = to_matrix(table, self._schema, day)
        self._keep(found, keys, day)
        return False

    def remember(self, found: NDArray[np.float64], rows: JsonRows, day: date, table: Table) -> bool:
        """Keep what the reading of tables made of the cells; no date is new."""
        keys = self._keys(rows)
        if keys is None:
            return False
        self._keep(found, keys, day)
        for place, (name, memory) in enumerate(self._values.items()):
            column = table.frame[name]
            self._types[name] = column.dtype
            for key, value in zip(keys, column.to_list(), strict=True):
                memory.add(key[place], value)
        return False

    def cells(self, rows: JsonRows, name: str) -> pl.Series | None:
        """The dates of one column, if all of them are remembered."""
        try:
            return pl.Series(name, [self._values[name][_key(row[name])] for row in rows], dtype=self._types[name])
        except KeyError:
            return None

    def _keys(self, rows: JsonRows) -> list[tuple[Any, ...]] | None:
        keys = [tuple(_key(row[name]) for name in self.names) for row in rows]
        return None if any(None in key for key in keys) else keys

    def _keep(self, found: NDArray[np.float64], keys: list[tuple[Any, ...]], day: date) -> None:
        for key, features in zip(keys, found[:, self._places].tolist(), strict=True):
            self._known.add((day, *key), tuple(features))
