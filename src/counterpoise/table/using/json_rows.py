"""The rows of a request: JSON from a client, checked cell by cell."""

import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.features.cells import unclear_numbers, usable
from counterpoise.table.features.novelty import holds_numbers
from counterpoise.table.features.reference_day import day_of
from counterpoise.table.features.schema import CATEGORY, NUMBER, TEXT, Column, Schema
from counterpoise.table.plain_data import repeated_name
from counterpoise.table.reading.dates import DIGITS, MONTHS
from counterpoise.table.reading.epochs import EPOCHS
from counterpoise.table.reading.table import Table
from counterpoise.table.reading.words import spelled_number
from counterpoise.wording import listed, quoted

_MEMBERS = ("rows", "as_of")
"""Of the body of a request."""
_MOST_MISTAKES = 20
_MOST_CONTAINERS = 100_000
_LONGEST_COMPARED, _MOST_COMPARED = 100, 200


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a request that cannot be used.

    Parameters
    ----------
    place
        Path to the mistake: "rows", the number of the row from 0, the name of the column.
    message
        What was found, and what to do; it counts rows from 1.
    """

    place: tuple[str | int, ...]
    message: str


class RefusedError(Exception):
    """A request that cannot be answered, with its first mistakes."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes[0].message)
        self.mistakes = mistakes[:_MOST_MISTAKES]


class TooLargeError(Exception):
    """A request of more rows than may be sent at a time."""


def request_of(body: bytes | bytearray, most_rows: int) -> tuple[list[Any], date | None]:
    """The rows of {"rows": [{column: value}], "as_of": "2024-01-31"}, not yet looked at, and the day that it names.

    Parameters
    ----------
    body
        Body of the request.
    most_rows
        Largest number of rows in one request.

    Raises
    ------
    TooLargeError
        If there are more of them.
    RefusedError
        If the body is something else.

    Examples
    --------
    >>> request_of(b'{"rows": [{"size": 1.5}], "as_of": "2024-01-31"}', 100)
    ([{'size': 1.5}], datetime.date(2024, 1, 31))
    """
    most = max(_MOST_CONTAINERS, 10 * most_rows)
    if len(body) > most and _containers(body) > most:
        raise TooLargeError(f"the body holds more than {most:,} objects and lists; send fewer rows at a time")
    found = _json_of(body)
    if not (isinstance(found, dict) and isinstance(found.get("rows"), list)):
        raise RefusedError([Mistake(("rows",), 'the body must be {"rows": [{column: value, ...}, ...]}')])
    strange = next((name for name in found if name not in _MEMBERS), None)
    if strange is not None:
        close = _alike(strange, _MEMBERS)
        hint = f"is {strange!r} meant to be {close[0]!r}?" if close else "leave it out"
        known = " and ".join(map(repr, _MEMBERS))
        said = f"the body holds {quoted(strange)}, which is unknown; it may hold {known}: {hint}"
        raise RefusedError([Mistake((strange,), said)])
    if not found["rows"]:
        raise RefusedError([Mistake(("rows",), "rows is empty; send at least one row")])
    rows: list[Any] = found["rows"]
    if len(rows) > most_rows:
        raise TooLargeError(f"rows holds {len(rows):,} rows; send at most {most_rows:,} at a time")
    try:
        return rows, day_of(found.get("as_of"))
    except UserError as error:
        raise RefusedError([Mistake(("as_of",), str(error))]) from None


def _json_of(body: bytes | bytearray) -> Any:
    """What a JSON text holds; an object that has a name twice is refused, as a file with a column twice is."""
    repeated: list[tuple[dict[str, Any], str]] = []

    def collected(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and (twice := repeated_name(pairs)) is not None:
            repeated.append((found, twice))
        return found

    try:
        found = json.loads(body.decode("utf-8-sig"), object_pairs_hook=collected)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        said = f"the body is not JSON: {error}"
    except RecursionError:
        said = "the body is nested too deeply: a row is {column: value}, and no value is a list or an object"
    except ValueError:  # of a number that Python does not read
        said = f"a number in the body has more than {sys.get_int_max_str_digits():,} digits; send fewer, or 1e300"
    else:
        if not repeated:
            return found
        where, name = repeated[0]
        rows = found.get("rows") if isinstance(found, dict) else None
        row = next((k for k, one in enumerate(rows) if one is where), None) if isinstance(rows, list) else None
        place: tuple[str | int, ...] = () if row is None else ("rows", row)
        whose = "an object of the body" if row is None and where is not found else "the body"
        whose = whose if row is None else f"row {row + 1}"
        raise RefusedError([Mistake((*place, name), f"{whose} holds {quoted(name)} twice; send it once")])
    raise RefusedError([Mistake((), said)])


def table_of_rows(rows: list[Any], schema: Schema) -> Table:
    """The model's columns of the rows; columns that it does not know are ignored, as `counterpoise predict` does.

    Parameters
    ----------
    rows
        Rows that `request_of` returned.
    schema
        Schema of the model; every row must have each of its columns, if only as null.

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
    counterpoise.table.using.json_rows.RefusedError: row 1, column 'size': 'big' is not a number; send a number or null
    """
    mistakes = _first(mistake for place, row in enumerate(rows) for mistake in _shape(row, place, schema))
    if mistakes:
        raise RefusedError(mistakes)
    held = [(column, [row[column.name] for row in rows]) for column in schema.columns]
    for column, cells in held:
        mistakes += _first(Mistake(("rows", place, column.name), why) for place, why in _odd(cells, column))
    if not mistakes:
        columns = [_series(cells, column) for column, cells in held]
        request = Table(pl.DataFrame(columns), Path("the request"), typed=True)
        table, problems = usable(request, schema, most_problems=_MOST_MISTAKES)
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
        "flag": {"enum": [True, False, 0, 1, None]},
        "date": {"type": ["string", "null"], "format": "date"},
        "datetime": {"type": ["string", "null"], "format": "date-time"},
        "calendar": {"type": ["string", "null"]},
        "category": {"type": ["string", "number", "boolean", "null"]},
        "text": {"type": ["string", "number", "boolean", "null"]},
    }
    figures = {"type": ["number", "string", "null"]}  # dates that were numbers, such as 20240131
    words = {"type": ["string", "boolean", "null"]}

    def kind_of(one: Column) -> dict[str, Any]:
        if one.form in (DIGITS, MONTHS, *EPOCHS):
            return figures
        return words if one.kind == CATEGORY and not holds_numbers(one) else kinds[one.kind]

    return {
        "type": "object",
        "properties": {one.name: kind_of(one) for one in schema.columns},
        "required": [column.name for column in schema.columns],
    }


def _shape(row: Any, place: int, schema: Schema) -> list[Mistake]:
    where = ("rows", place)
    if not isinstance(row, dict):
        return [Mistake(where, f"row {place + 1} is not an object; send {{column: value, ...}}")]
    absent = [column.name for column in schema.columns if column.name not in row]
    if not absent:
        return []
    known = frozenset(schema.names)
    close = _alike(absent[0], (name for name in row if name not in known))
    hint = f"; is {close[0]!r} meant to be {absent[0]!r}?" if close else "; send null where a value is missing"
    columns = ("column " if len(absent) == 1 else "columns ") + listed(map(repr, absent), 10)
    return [Mistake((*where, absent[0]), f"row {place + 1} lacks the {columns}{hint}")]


def _alike(name: str, others: Iterable[str]) -> list[str]:
    """The name that was meant, if any; the comparison takes the square of their lengths, so it has bounds."""
    some = [one for one in islice(others, _MOST_COMPARED) if len(one) <= _LONGEST_COMPARED]
    return difflib.get_close_matches(name, some, n=1) if len(name) <= _LONGEST_COMPARED else []


def _first(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """The first mistakes; the others are not looked for."""
    return list(islice(mistakes, _MOST_MISTAKES))


def _containers(body: bytes | bytearray) -> int:
    r"""How many objects and lists a JSON text has: each takes twenty times its length in memory when it is read.

    Examples
    --------
    >>> _containers(rb'[{}, "[\"{"]')
    2
    """
    plain = body.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in body else body
    text = np.frombuffer(plain, np.uint8)
    within = np.cumsum(text == ord('"'), dtype=np.uint8) & 1  # after an odd number of quotes; 256 is even
    return int(np.count_nonzero(((text == ord("[")) | (text == ord("{"))) & (within == 0)))


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _odd(cells: list[Any], column: Column) -> Iterator[tuple[int, str]]:
    """Cells that are no cell: a list, an object, NaN, half of a character."""
    for place, cell in enumerate(cells):
        where = f"row {place + 1}, column {column.name!r}"
        if isinstance(cell, list | dict):
            kind = "a list" if isinstance(cell, list) else "an object"
            yield place, f"{where}: {quoted(_beginning(cell))} is {kind}; send {_WANTED[column.kind]} or null"
        elif isinstance(cell, float) and math.isnan(cell):
            yield place, f"{where}: NaN is not JSON; send null for a missing value"
        elif isinstance(cell, str) and not cell.isprintable() and _LONE_SURROGATE.search(cell):
            yield place, f"{where}: {cell[:40]!a} holds half of a character; send text in UTF-8"
        elif column.kind == CATEGORY and isinstance(cell, int | float) and not isinstance(cell, bool):
            for one in unclear_numbers(pl.Series([_spelled(cell, column)]), column):
                yield place, f"{where}: {one} is more than one category of the model; send its text"


def _beginning(cell: Any, most: int = 100) -> str:
    """A list or an object as it was sent, up to about so many characters."""
    text = ""
    for piece in json.JSONEncoder().iterencode(cell):
        text += piece[:most]
        if len(text) > most:
            break
    return text


def _series(cells: list[Any], column: Column) -> pl.Series:
    """Numbers as such, and all else as text, which is read like the cells of a file."""
    if column.kind == NUMBER and all(type(cell) in (int, float, NoneType) for cell in cells):
        try:
            return pl.Series(column.name, [None if cell is None else float(cell) for cell in cells], dtype=pl.Float64)
        except OverflowError:
            pass
    return pl.Series(column.name, [_spelled(cell, column) for cell in cells], dtype=pl.String)


def _spelled(cell: Any, column: Column) -> str | None:
    """As text, which is read like the cells of a file."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if column.kind in (CATEGORY, TEXT) and isinstance(cell, float):
        return spelled_number(cell)
    return repr(cell).replace(".", column.figures.decimal) if column.kind == NUMBER else repr(cell)
