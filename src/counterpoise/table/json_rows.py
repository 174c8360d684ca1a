"""Rows as they come in a request: JSON that a client wrote, checked cell by cell."""

import difflib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from counterpoise.table.features import CATEGORY, TEXT, Column, Schema
from counterpoise.table.read import Table, quoted
from counterpoise.table.stream import usable

_MOST_MISTAKES = 20


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a request that cannot be used.

    Parameters
    ----------
    place
        The way to it: "rows", the number of the row from 0, the name of the column.
    message
        What was found, and what to do; rows are counted from 1 there.
    """

    place: tuple[str | int, ...]
    message: str


class RefusedError(Exception):
    """A request that cannot be answered, with its first mistakes."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes[0].message)
        self.mistakes = mistakes[:_MOST_MISTAKES]


def rows_of(body: bytes) -> list[Any]:
    """The rows of {"rows": [{column: value}]}, not yet looked at.

    Raises
    ------
    RefusedError
        If it is something else.

    Examples
    --------
    >>> rows_of(b'{"rows": [{"size": 1.5}]}')
    [{'size': 1.5}]
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError([Mistake((), f"the body is no JSON: {error}")]) from None
    if not (isinstance(found, dict) and isinstance(found.get("rows"), list)):
        raise RefusedError([Mistake(("rows",), 'the body must be {"rows": [{column: value, ...}, ...]}')])
    if not found["rows"]:
        raise RefusedError([Mistake(("rows",), "rows is empty; send at least one row")])
    rows: list[Any] = found["rows"]
    return rows


def table_of_rows(rows: list[Any], schema: Schema) -> Table:
    """The model's columns of the rows; columns that it does not know are ignored, as `counterpoise predict` does.

    Parameters
    ----------
    rows
        Of `rows_of`.
    schema
        Of the model; every row must have each of its columns, if only as null.

    Raises
    ------
    RefusedError
        With every row and column (up to 20) that cannot be used.

    Examples
    --------
    >>> schema = Schema((Column("size", "number"), Column("kind", "category", ("oak", "fir"))))
    >>> table_of_rows([{"size": "1.5", "kind": None}], schema).frame.row(0)
    (1.5, None)
    >>> table_of_rows([{"size": "big", "kind": "oak"}], schema)
    Traceback (most recent call last):
    ...
    counterpoise.table.json_rows.RefusedError: row 1, column 'size': 'big' is not a number; send a number or null
    """
    mistakes = [mistake for place, row in enumerate(rows) for mistake in _shape(row, place, schema)]
    if mistakes:
        raise RefusedError(mistakes)
    held = [(column, [row[column.name] for row in rows]) for column in schema.columns]
    for column, cells in held:
        mistakes += [Mistake(("rows", place, column.name), why) for place, why in _odd(cells, column)]
    if not mistakes:
        columns = [
            pl.Series(column.name, [_spelled(cell, column) for cell in cells], dtype=pl.String)
            for column, cells in held
        ]
        table, problems = usable(Table(pl.DataFrame(columns), Path("the request"), typed=True), schema)
        kinds = {column.name: column.kind for column in schema.columns}
        mistakes = [
            Mistake(
                ("rows", one.row, one.column),
                f"row {one.row + 1}, column {one.column!r}: {one.reason}; send {_WANTED[kinds[one.column]]} or null",
            )
            for one in problems
        ]
    if mistakes:
        raise RefusedError(sorted(mistakes, key=lambda one: int(one.place[1])))
    return table


_WANTED = {
    "number": "a number",
    "flag": "true, false",
    "date": 'a date such as "2024-01-31"',
    "datetime": 'a time such as "2024-01-31T09:30:00"',
    "calendar": 'a date such as "2024-01-31"',
    "category": "text",
    "text": "text",
}


def row_schema(schema: Schema) -> dict[str, Any]:
    """What a row must be, as JSON Schema.

    Examples
    --------
    >>> row_schema(Schema((Column("size", "number"),)))["properties"]
    {'size': {'type': ['number', 'null']}}
    """
    kinds: dict[str, dict[str, Any]] = {
        "number": {"type": ["number", "null"]},
        "flag": {"type": ["boolean", "null"]},
        "date": {"type": ["string", "null"], "format": "date"},
        "datetime": {"type": ["string", "null"], "format": "date-time"},
        "calendar": {"type": ["string", "null"]},
        "category": {"type": ["string", "null"]},
        "text": {"type": ["string", "null"]},
    }
    return {
        "type": "object",
        "properties": {column.name: kinds[column.kind] for column in schema.columns},
        "required": [column.name for column in schema.columns],
    }


def _shape(row: Any, place: int, schema: Schema) -> list[Mistake]:
    where = ("rows", place)
    if not isinstance(row, dict):
        return [Mistake(where, f"row {place + 1} is no object; send {{column: value, ...}}")]
    absent = [column.name for column in schema.columns if column.name not in row]
    if not absent:
        return []
    close = difflib.get_close_matches(absent[0], [name for name in row if name not in schema.features], n=1)
    hint = f"; is {close[0]!r} meant to be {absent[0]!r}?" if close else "; send null where a value is missing"
    listed = ", ".join(map(repr, absent[:10])) + (f" and {len(absent) - 10} more" if len(absent) > 10 else "")
    plural = "s" if len(absent) > 1 else ""
    return [Mistake((*where, absent[0]), f"row {place + 1} lacks the column{plural} {listed}{hint}")]


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _odd(cells: list[Any], column: Column) -> list[tuple[int, str]]:
    """Cells that are no cell: a list, an object, NaN, half of a character."""
    found = []
    for place, cell in enumerate(cells):
        where = f"row {place + 1}, column {column.name!r}"
        if isinstance(cell, list | dict):
            kind = "a list" if isinstance(cell, list) else "an object"
            found.append((place, f"{where}: {quoted(json.dumps(cell))} is {kind}; send {_WANTED[column.kind]} or null"))
        elif isinstance(cell, float) and math.isnan(cell):
            found.append((place, f"{where}: NaN is no JSON; send null for a missing value"))
        elif isinstance(cell, str) and not cell.isprintable() and _LONE_SURROGATE.search(cell):
            found.append((place, f"{where}: {cell!a} holds half of a character; send text in UTF-8"))
    return found


def _spelled(cell: Any, column: Column) -> str | None:
    """As text, which is read like the cells of a file."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if column.kind in (CATEGORY, TEXT) and isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # 3.0 is the category "3", as in a file
    return repr(cell)
