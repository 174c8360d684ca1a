"""What is remembered of cells is what the reading of tables made of them, at the first time and at all others."""

import itertools
import random
from datetime import date

import numpy as np
import polars as pl
import pytest

from counterpoise.table.features import schema as features
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.reference_day import SIZES, Reference
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.features.text import Text
from counterpoise.table.reading.numbers import NumberFormat
from counterpoise.table.using import row_reader
from counterpoise.table.using.json_rows import RefusedError, table_of_rows
from counterpoise.table.using.row_reader import RowReader

DAY, OTHER_DAY = date(2024, 6, 30), date(2024, 7, 1)

SAID = Text.learn(
    pl.Series(["the red car", "a red car", "the blue sky", "a blue sky"] * 20),
    "words",
    pl.DataFrame({"y": [0, 0, 1, 1] * 20}),
)
COLUMNS = {
    "size": Column("size", "number"),
    "share": Column("share", "number", figures=NumberFormat(unit="%")),
    "amount": Column("amount", "number", figures=NumberFormat(",", ".")),
    "wet": Column("wet", "flag"),
    "kind": Column("kind", "category", ("007", "12", "7", "Elm", "True", "oak", "x y")),
    "said": Column("said", "text", unit="words", found=SAID.names),
    "seen": Column("seen", "date", dated=(" age", " month", " weekday", " since joined")),
    "joined": Column("joined", "date", form="day-first", dated=(" age",)),
    "at": Column("at", "datetime", zone="Europe/Berlin", dated=(" age", " hour", " day")),
    "when": Column("when", "calendar", dated=(" month", " hour")),
    "unused": Column("unused", "date", dated=()),
}
REFERENCE = Reference("seen", day="2024-06-30", short=(0,) * len(SIZES))
SCHEMA = Schema(tuple(COLUMNS.values()), (), {"said": SAID}, REFERENCE)

NUMBERS = [
    0,
    1,
    -1,
    7,
    12,
    1.5,
    -0.0,
    0.1,
    1e-310,
    1e308,
    10**15,
    2**53 + 1,
    10**400,
    float("inf"),
    float("nan"),
    20240131,
]
WORDS = [
    "",
    " ",
    "NA",
    "n/a",
    "?",
    "-",
    "None",
    "oak",
    " oak ",
    "OAK",
    "Elm",
    "elm",
    "007",
    "7",
    "7.0",
    " 12",
    "true",
    "True",
]
WORDS += [
    "yes",
    "no",
    "x y",
    "x  y",
    "new",
    "1.5",
    " 1.5 ",
    "1,5",
    "1.234,5",
    "2.591",
    "22.7%",
    "$ 5",
    "(5)",
    "5-",
    "1e3",
]
WORDS += ["inf", "nan", "٣", "the red car", "blue", "x" * 200, "\ud800", "a\0b", "🙂"]
DATES = [
    "2024-05-10",
    " 2024-05-10 ",
    "2024-02-30",
    "31.01.2024",
    "03/04/2024",
    "10 May 2024",
    "0000-00-00",
    "20240131",
]
DATES += ["2024-05-10T21:38:00Z", "2024-05-10T21:38:00+02:00", "2024-05-10 21:38", "2024-05-10T21:38:00.123456789Z"]
DATES += ["2024-03-31T02:30:00+01:00", "1969-12-31", "9999-12-31", "soon"]
ODD = [None, True, False, [], {"a": 1}]
CELLS = [*ODD, *NUMBERS, *WORDS, *DATES[::4]]
CELLS_AMONG_DATES = [*ODD, *NUMBERS[::3], *WORDS[::4], *DATES]

PLAIN = {
    "size": 1.5,
    "share": "22.7%",
    "amount": "1.234,5",
    "wet": True,
    "kind": "oak",
    "said": "the red car",
    "seen": "2024-05-10",
    "joined": "31/01/2020",
    "at": "2024-05-10T21:38:00+02:00",
    "when": "2024-05-10 21:38",
    "unused": None,
}


def as_a_table(rows, day, schema=SCHEMA):
    return to_matrix(table_of_rows(rows, schema), schema, day)


def reading_of(reader):
    """The features alone."""
    return lambda rows, day: reader.read(rows, day)[0]


def outcome(read, rows, day):
    """The features, bit by bit, or all that is said."""
    try:
        return read(rows, day).tobytes()
    except RefusedError as refused:
        return refused.mistakes


@pytest.mark.parametrize("name", COLUMNS)
def test_a_cell_is_read_as_in_a_table(name):
    """At the first time, when it is remembered, and beside other rows."""
    with_it = [column for column in SCHEMA.columns if column.name in (name, "seen", "joined")]
    schema = Schema(tuple(with_it), (), {"said": SAID}, REFERENCE)
    reader, rng = RowReader(schema), random.Random(0)
    cells = CELLS_AMONG_DATES if COLUMNS[name].kind in features.DATES else CELLS
    for cell in cells:
        expected = outcome(lambda rows, day: as_a_table(rows, day, schema), [PLAIN | {name: cell}], DAY)
        for _ in range(2):
            assert outcome(reading_of(reader), [PLAIN | {name: cell}], DAY) == expected, cell
    for _ in range(4):
        rows = [PLAIN | {name: rng.choice(cells)} for _ in range(rng.randint(2, row_reader.MOST_ROWS))]
        expected = outcome(lambda rows, day: as_a_table(rows, day, schema), rows, DAY)
        assert outcome(reading_of(reader), rows, DAY) == expected


def test_dates_that_were_seen_apart_are_known_together(monkeypatch):
    schema = Schema(tuple(COLUMNS[name] for name in ("seen", "joined", "at", "unused")), (), {}, REFERENCE)
    reader = RowReader(schema)
    good = ["2024-05-10T21:38:00Z", "2024-05-10T21:38:00.123456789Z", "2024-03-31T02:30:00+01:00", None]
    days = ["2024-05-10", "31.01.2024", None]
    for cell in good:
        reading_of(reader)([PLAIN | {"at": cell}], DAY)
    for cell in days:
        reading_of(reader)([PLAIN | {"seen": cell}], DAY)
        reading_of(reader)([PLAIN | {"joined": cell}], DAY)
    rows = [
        PLAIN | {"at": at, "seen": seen, "joined": joined} for at, seen, joined in itertools.product(good, days, days)
    ]
    expected = {day: [as_a_table([row], day, schema) for row in rows] for day in (DAY, OTHER_DAY)}
    monkeypatch.setattr(row_reader, "table_of_rows", lambda *_: pytest.fail("it was read anew"))
    for day in (DAY, OTHER_DAY, DAY):
        for row, own in zip(rows, expected[day], strict=True):
            np.testing.assert_array_equal(reading_of(reader)([row], day), own)


def test_nothing_is_read_twice(monkeypatch):
    reader = RowReader(SCHEMA)
    reading_of(reader)([PLAIN], DAY)
    calls, real = [], table_of_rows
    monkeypatch.setattr(
        row_reader, "table_of_rows", lambda rows, schema: calls.append(len(schema.columns)) or real(rows, schema)
    )
    reading_of(reader)([PLAIN | {"size": 2.5, "said": None}], DAY)
    assert calls == [1]  # no missing text was seen before
    reading_of(reader)([PLAIN | {"size": 3.5, "said": None}] * 3, DAY)
    assert calls == [1]
    reading_of(reader)([PLAIN], DAY)  # free text is not kept
    assert calls == [1, 1]


@pytest.mark.parametrize(
    "rows",
    [
        [7],
        [None, PLAIN],
        [{}],
        [PLAIN, {name: cell for name, cell in PLAIN.items() if name != "kind"}],
        [PLAIN | {"sise": 1}],
        [{**{name: cell for name, cell in PLAIN.items() if name != "size"}, "sise": 1}],
        [PLAIN | {"size": "big", "wet": "maybe", "at": "soon"}, PLAIN | {"share": 0.5}],
        [PLAIN | {"size": "big"}] * 25,
        [PLAIN] * 40,
    ],
)
def test_what_is_wrong_is_told_as_of_a_table(rows):
    reader = RowReader(SCHEMA)
    reading_of(reader)([PLAIN], DAY)
    assert outcome(reading_of(reader), rows, DAY) == outcome(as_a_table, rows, DAY)


def test_the_table_comes_along_where_it_may_hold_what_is_new():
    reader = RowReader(SCHEMA)
    for _ in range(2):
        for cell in ("oak", " 12", None, "NA", "n/a"):
            assert reader.read([PLAIN | {"kind": cell}], DAY)[1] is None
        for cell in ("baobab", "x  y", "x" * 200, 13):
            _, table = reader.read([PLAIN, PLAIN | {"kind": cell}], DAY)
            assert table.frame["kind"].to_list() == ["oak", str(cell)]
    assert reader.read([PLAIN] * 9, DAY)[1] is None
    assert reader.read([PLAIN] * 10, DAY)[1] is not None  # so many texts are looked at


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(row_reader, "_MOST_CELLS", 10)
    reader = RowReader(SCHEMA)
    for place in range(24):
        row = PLAIN | {"kind": f"new {place}", "seen": f"2024-01-{place % 28 + 1:02d}"}
        np.testing.assert_array_equal(reading_of(reader)([row], DAY), as_a_table([row], DAY))
        assert all(len(one._known) <= 10 for one in reader._readers)


def test_models_without_dates_or_with_one_column():
    for columns in (("size",), ("kind",), ("seen", "joined"), ("at",)):
        schema = Schema(tuple(COLUMNS[name] for name in columns), (), {}, REFERENCE if "seen" in columns else None)
        schema = schema if columns != ("at",) else Schema((Column("at", "datetime", dated=(" hour",)),))
        reader = RowReader(schema)
        row = {name: PLAIN[name] for name in columns} | ({"at": "2024-05-10 21:38"} if columns == ("at",) else {})
        for _ in range(2):
            expected = to_matrix(table_of_rows([row], schema), schema, DAY)
            np.testing.assert_array_equal(reading_of(reader)([row], DAY), expected)
