"""One row gets one answer at every door: the command, CSV, Parquet, frames and the service; training reads alike."""

import datetime as dt
import io
import json
import random
import re
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table
from counterpoise.table.features.cells import usable
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.reading.files import delimited
from counterpoise.table.reading.frames import table_of
from counterpoise.table.reading.numbers import NumberFormat
from counterpoise.table.reading.table import Table, with_numbers
from counterpoise.table.using.json_rows import table_of_rows
from counterpoise.table.using.row_reader import RowReader
from counterpoise.table.using.serve import answer

pytestmark = pytest.mark.slow

ROWS = 600
PLAIN = {
    "size": "0.25",
    "amount": "$1,250.50",
    "share": "22.5%",
    "weight": "1'250",
    "wet": "true",
    "colour": "red",
    "code": "007",
    "answer": "yes",
    "day": "2024-03-01",
}
"""A row that every door takes; each test changes one of its cells."""


def table() -> pl.DataFrame:
    """Text as a file has it; every column says something about the class."""
    rng = np.random.default_rng(0)
    size, amount, share, weight = (
        rng.normal(size=ROWS),
        rng.gamma(2, 900, ROWS),
        rng.random(ROWS),
        rng.gamma(2, 900, ROWS),
    )
    wet, answered = rng.random(ROWS) < 0.4, rng.random(ROWS) < 0.4
    colour, code = rng.choice(["red", "blue", "True"], ROWS), rng.choice(["007", "010", "250", "V57"], ROWS)
    day = [dt.date(2024, 1, 1) + dt.timedelta(days=int(k)) for k in rng.integers(0, 300, ROWS)]
    score = (
        2 * size
        + amount / 900
        + 3 * share
        + weight / 900
        + wet
        + answered
        + 2 * (colour == "red")
        + 2 * (code == "007")
    )
    bad = score + rng.logistic(size=ROWS) > np.quantile(score, 0.8)
    return pl.DataFrame(
        {
            "size": [f"{one:.3g}" for one in size],
            "amount": [f"${one:,.2f}" for one in amount],
            "share": [f"{100 * one:.1f}%" for one in share],
            "weight": [f"{one:,.0f}".replace(",", "'") for one in weight],
            "wet": ["true" if one else "false" for one in wet],
            "colour": colour,
            "code": code,
            "answer": ["yes" if one else "no" for one in answered],
            "day": [str(one) for one in day],
            "bad": ["yes" if one else "no" for one in bad],
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place = tmp_path_factory.mktemp("doors")
    table().write_csv(place / "t.csv")
    cp.train(place / "t.csv", target="bad", learners=["logistic"], budget=5).save(place / "model")
    return place / "model"


JsonRows = list[dict[str, Any]]
Answers = list[float | None]


def predicted(model: Path, path: Path, out: Path) -> Answers:
    predict_table(model, path, out)
    return pl.read_parquet(out)["probability_yes"].to_list()


def by_csv(model: Path, rows: JsonRows, place: Path) -> Answers:
    pl.DataFrame(rows, infer_schema_length=None).write_csv(place / "t.csv", separator=";")
    return predicted(model, place / "t.csv", place / "p.parquet")


def by_command(model: Path, rows: JsonRows, place: Path) -> Answers:
    pl.DataFrame(rows, infer_schema_length=None).write_csv(place / "t.csv", quote_style="always")
    if main(["predict", str(model), str(place / "t.csv"), "-o", str(place / "p.parquet")]):
        raise UserError("the command")
    return pl.read_parquet(place / "p.parquet")["probability_yes"].to_list()


def by_parquet(model: Path, rows: JsonRows, place: Path) -> Answers:
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(place / "t.parquet")
    return predicted(model, place / "t.parquet", place / "p.parquet")


def by_folder(model: Path, rows: JsonRows, place: Path) -> Answers:
    (place / "parts").mkdir()
    for part in range(4):
        pl.DataFrame(rows[part::4]).write_parquet(place / "parts" / f"{part}.parquet")
    found = iter(predicted(model, place / "parts", place / "p.parquet"))
    order = [place for part in range(4) for place in range(part, len(rows), 4)]
    return [value for _, value in sorted(zip(order, found, strict=True))]


def by_frame(make: Callable[[JsonRows], Any]) -> Callable[[Path, JsonRows, Path], Answers]:
    def door(model: Path, rows: JsonRows, _: Path) -> Answers:
        loaded, left = load(model), list(range(len(rows)))
        while left:  # a frame answers all of its rows, or names one that it cannot
            try:
                values = loaded.predict_proba(make([rows[place] for place in left]))[:, 1]
            except UserError as error:
                del left[int(re.search(r"data row (\d+)", str(error))[1]) - 1]
            else:
                found = dict(zip(left, values, strict=True))
                return [found.get(place) for place in range(len(rows))]
        return [None] * len(rows)

    return door


def by_request(model: Path, rows: JsonRows, _: Path) -> Answers:
    found, loaded = [], load(model)
    for row in rows:
        reply = answer(loaded, json.dumps({"rows": [row]}).encode(), 100)
        assert reply.status in (200, 422)
        said = json.loads(reply.body)
        found.append(said["predictions"][0]["probability"]["yes"] if reply.status == 200 else None)
    return found


DOORS = {
    "command": by_command,
    "csv": by_csv,
    "parquet": by_parquet,
    "folder": by_folder,
    "polars": by_frame(lambda rows: pl.DataFrame(rows)),
    "pandas": by_frame(lambda rows: pd.DataFrame(rows)),
    "pandas strings": by_frame(lambda rows: pd.DataFrame(rows, dtype="string")),
    "pandas categories": by_frame(lambda rows: pd.DataFrame(rows).astype("category")),
    "request": by_request,
}
WRONG = object()
CELLS = [
    ("size", " 0.25", "0.25"),
    ("size", "0.25\u00a0", "0.25"),
    ("size", "+0.25", "0.25"),
    ("size", "2.5e-1", "0.25"),
    ("size", "0,25", "0.25"),
    ("size", "\u22121.5", "-1.5"),
    ("size", "(1.5)", "-1.5"),
    ("size", "1.5-", "-1.5"),
    ("size", "1,234,567", "1234567"),
    ("size", "1,234", WRONG),
    ("size", "big", WRONG),
    ("size", "$1", WRONG),
    ("size", "5%", WRONG),
    ("size", "true", "1"),
    ("size", "yes", WRONG),
    ("size", "2024-03-01", WRONG),
    ("size", "inf", WRONG),
    *(
        ("size", mark, None)
        for mark in ("", " ", "NA", "N/A", "n/a", "NaN", "null", "None", "-", "?", "#N/A", "Unknown", "\\N")
    ),
    ("amount", "1250.5", "$1,250.50"),
    ("amount", "USD 1250.50", "$1,250.50"),
    ("amount", "$ 1,250.5", "$1,250.50"),
    ("amount", "($12)", "-$12.00"),
    ("amount", "$12-", "-$12.00"),
    ("amount", "\u20ac1,250.50", WRONG),
    ("amount", "1.250,50", WRONG),
    ("amount", "$12,50", WRONG),
    ("amount", "unknown", None),
    ("share", "22.50 %", "22.5%"),
    ("share", "0.225", WRONG),
    ("share", "0", "0%"),
    ("share", "22,5%", WRONG),
    ("weight", "1250", "1'250"),
    ("weight", "1\u2019250", "1'250"),
    ("weight", "1,250", WRONG),
    ("wet", "TRUE", "true"),
    ("wet", " True ", "true"),
    ("wet", "yes", "true"),
    ("wet", "Y", "true"),
    ("wet", "f", "false"),
    ("wet", "0", "false"),
    ("wet", "1.0", "true"),
    ("wet", "2", WRONG),
    ("wet", "maybe", WRONG),
    ("wet", "n/a", None),
    ("colour", " red", "red"),
    ("colour", "red\u2003", "red"),
    ("colour", "\tblue ", "blue"),
    ("colour", "Red", "green"),  # another word: unknown, as green is
    ("colour", "true", "True"),
    ("colour", "TRUE", "True"),
    *(("colour", mark, None) for mark in ("", " NA ", "N/A", "None", "nan", "NULL", "?", "#N/A", "<NA>")),
    ("colour", "unknown", "green"),
    ("colour", "-", "green"),
    ("code", "7", "007"),
    ("code", "7.0", "007"),
    ("code", "010", "10"),
    ("code", "250.0", "250"),
    ("code", "v57", "V58"),
    ("answer", "yes ", "yes"),
    ("answer", "YES", "maybe"),
    ("day", " 2024-03-01 ", "2024-03-01"),
    ("day", "01.03.2024", "2024-03-01"),
    ("day", "NA", None),
    ("day", "soon", WRONG),
]


@pytest.mark.filterwarnings("ignore:.*are unknown to the model:UserWarning")
@pytest.mark.parametrize("door", DOORS)
def test_a_cell_means_the_same_at_every_door(door, model, tmp_path):
    found = DOORS[door](model, [PLAIN | {column: cell} for column, cell, _ in CELLS], tmp_path)
    right = [(column, twin) for column, _, twin in CELLS if twin is not WRONG]
    expected = iter(load(model).predict_proba(pl.DataFrame([PLAIN | {column: twin} for column, twin in right]))[:, 1])
    for (column, cell, twin), value in zip(CELLS, found, strict=True):
        if twin is WRONG:
            assert value is None, (column, cell)
        else:
            assert value == pytest.approx(next(expected), rel=1e-5), (column, cell)


TYPED = [
    ("size", 1, "1"),
    ("size", 0.25, "0.25"),
    ("size", True, "1"),
    ("size", Decimal("0.25"), "0.25"),
    ("size", np.float32(0.25), "0.25"),
    ("size", np.int64(1), "1"),
    ("size", 2**70, str(2**70)),
    ("size", float("nan"), None),
    ("size", float("inf"), WRONG),
    ("size", dt.date(2024, 3, 1), WRONG),
    ("amount", 1250.5, "$1,250.50"),
    ("share", 0.225, WRONG),
    ("share", 0, "0%"),
    ("weight", 1250, "1'250"),
    ("wet", True, "true"),
    ("wet", np.bool_(False), "false"),
    ("wet", 1, "true"),
    ("wet", 0.5, WRONG),
    ("colour", True, "True"),
    *((column, float("nan"), None) for column in ("colour", "code", "wet", "answer", "day")),  # all that pandas knows
    *((column, None, None) for column in ("colour", "code", "wet", "answer", "share")),
    ("code", 7, "007"),
    ("code", 7.0, "007"),
    ("code", Decimal("250"), "250"),
    ("code", 250, "250"),
    ("code", np.int8(7), "007"),
    ("day", dt.date(2024, 3, 1), "2024-03-01"),
    ("day", None, None),
]


@pytest.mark.filterwarnings("ignore:.*are unknown to the model:UserWarning")
@pytest.mark.parametrize(
    "door, column, cell, twin",
    [(door, *one) for one in TYPED for door in ("polars", "pandas", "parquet")]
    + [("request", *one) for one in TYPED if type(one[1]) in (bool, int, float, type(None)) and one[1] == one[1]],
    ids=lambda one: repr(one)[:20],
)
def test_a_cell_of_another_type_means_what_its_text_means(door, column, cell, twin, model, tmp_path):
    try:
        (found,) = DOORS[door](model, [PLAIN | {column: cell}], tmp_path)
    except UserError as error:  # a file of one row that is wrong is wrong as a whole
        assert door == "parquet" and "data row 1" in str(error)
        found = None
    if twin is WRONG:
        assert found is None
        return
    expected = load(model).predict_proba(pl.DataFrame([PLAIN | {column: twin}]))[0, 1]
    assert found == pytest.approx(expected, rel=1e-5)


def generated(count: int) -> JsonRows:
    """Rows as JSON may hold them, up to three of whose cells are odd."""
    rng = random.Random(0)
    sent = [(column, cell) for column, cell, _ in CELLS] + [
        (column, cell)
        for column, cell, _ in TYPED
        if type(cell) in (bool, int, float, type(None)) and str(cell) not in ("nan", "inf")
    ]
    return [PLAIN | dict(rng.choices(sent, k=rng.randint(0, 3))) for _ in range(count)]


def spelled(rows: JsonRows) -> JsonRows:
    """The same as text, for a file."""
    return [
        {name: cell if cell is None or isinstance(cell, str) else json.dumps(cell) for name, cell in row.items()}
        for row in rows
    ]


def of_categories(said: list[str]) -> list[str]:
    return [one for one in said if "known to the model" in one]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_service_that_has_seen_the_cells_before_answers_as_a_file(model, tmp_path):
    """Row by row and a few at a time, at the first time and later; and it warns of the same."""
    rows, loaded = generated(300), load(model)
    expected = by_csv(model, spelled(rows), tmp_path)
    assert 30 < expected.count(None) < 200
    reader = RowReader(loaded.schema)

    def asked(some):
        reply = answer(loaded, json.dumps({"rows": some}).encode(), 100, reader=reader)
        return (reply.status == 200, json.loads(reply.body))

    for row, value in [*zip(rows, expected, strict=True)] * 2:
        answered, said = asked([row])
        assert answered == (value is not None), row
        if answered:
            assert said["predictions"][0]["probability"]["yes"] == pytest.approx(value, rel=1e-5), row
    good = [place for place, value in enumerate(expected) if value is not None]
    for begun in range(0, 70, 7):
        some = good[begun : begun + 7]
        _, said = asked([rows[place] for place in some])
        found = [one["probability"]["yes"] for one in said["predictions"]]
        np.testing.assert_allclose(found, [expected[place] for place in some], rtol=1e-5)
        own = tmp_path / str(begun)
        own.mkdir()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            by_csv(model, spelled([rows[place] for place in some]), own)
        assert said.get("warnings", []) == of_categories([str(one.message) for one in told])


NEW = {"colour": ["green", "red", "violet", "NA"] * 30, "code": ["7", "V58", "250.0", "007"] * 30}


LATER = [  # what training held; a later cell; what it is
    (["12,50", "7,25", "0,5"], "1.200,50", 1200.5),
    (["12,50", "7,25", "0,5"], "1.5", 1.5),
    (["12,50", "7,25", "0,5"], "2.591", None),
    (["$12.50", "$7.25", "$99.10"], "$1,200.50", 1200.5),
    (["$12.50", "$7.25", "$99.10"], "$1,200", None),
    (["12,50 \u20ac", "7,25 \u20ac", "0,5 \u20ac"], "1.200.000 \u20ac", 1200000.0),
    (["5,5 %", "7,2 %", "9 %"], "7.2 %", None),
]


@pytest.mark.parametrize("held, later, number", LATER)
def test_the_first_number_over_a_thousand_may_come_later(held, later, number):
    read = with_numbers(Table(pl.DataFrame({"x": held}), Path("t.csv"), typed=False, separator=";"))
    schema = Schema((Column("x", "number", figures=read.figures["x"]),))
    new = Table(pl.DataFrame({"x": [held[0], later]}), Path("t.csv"), typed=False)
    found, problems = usable(new, schema)
    assert found.frame["x"][1] == number
    assert len(problems) == (number is None)


@pytest.mark.parametrize("cell", [1.125, -2.591, 12.5, 3.0, 1e-7])
def test_a_number_beside_text_is_never_another_number(cell):
    """1.125 in a request, or in a column of objects, is not text that may be 1125."""
    schema = Schema((Column("x", "number", figures=NumberFormat(",", ".")),))
    found = table_of_rows([{"x": cell}, {"x": "2.591,5"}], schema).frame["x"]
    assert found.to_list() == pytest.approx([cell, 2591.5])
    frame = table_of(pd.DataFrame({"x": [cell, "2.591,5"]}))
    found, problems = usable(frame, schema)
    assert problems or found.frame["x"][0] == pytest.approx(cell)
    assert found.frame["x"][1] == 2591.5


@pytest.mark.parametrize("door", ["csv", "parquet", "polars", "pandas"])
def test_every_door_warns_alike(door, model, tmp_path):
    rows = [PLAIN | {name: cells[k] for name, cells in NEW.items()} | {"size": "9.5"} for k in range(120)]
    frame = pl.DataFrame(rows)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if door in ("csv", "parquet"):
            DOORS[door](model, rows, tmp_path)
        else:
            load(model).predict_proba(frame if door == "polars" else pd.DataFrame(rows))
    said = [str(one.message) for one in told]
    assert said[0] == (
        "column 'colour': 60 of 90 values are unknown to the model and count as missing: 'green', 'violet'"
    )
    assert said[1].startswith("column 'code': 30 of 120 values are unknown to the model")
    assert any(one.startswith("column 'size' lies outside the training range: its mean is 9.5") for one in said)
    assert {Path(one.filename).name for one in told} <= {"test_doors.py"} or door in ("csv", "parquet")


def test_numbers_that_may_be_two_codes_are_refused():
    """pandas reads 007 and 7 as the same number; a model that knows both cannot tell which is meant."""
    rng = np.random.default_rng(0)
    code = rng.choice(["007", "7", "A9"], 300)
    frame = pl.DataFrame({"code": code, "x": rng.normal(size=300), "y": (code == "007") & (rng.random(300) < 0.8)})
    trained = cp.train(frame, target="y", learners=["logistic"], budget=3)
    both = trained.predict_proba(pl.DataFrame({"code": ["007", "7"], "x": [0.0, 0.0]}))[:, 1]
    assert both[0] > both[1]
    with pytest.raises(UserError, match=r"column 'code', data row 1: 7 is '007' or '7'"):
        trained.predict_proba(pl.DataFrame({"code": [7], "x": [0.0]}))


@pytest.mark.parametrize("read", [pl.read_csv, pd.read_csv], ids=["polars", "pandas"])
def test_training_on_a_file_and_on_the_frame_of_it_is_the_same(read, model):
    found = cp.train(read(model.parent / "t.csv"), target="bad", learners=["logistic"], budget=5)
    assert found.schema == load(model).schema
    expected = load(model).predict_proba(table())
    np.testing.assert_allclose(found.predict_proba(table()), expected, rtol=1e-5)


def test_blocks_mean_what_the_whole_means(model, monkeypatch, tmp_path):
    monkeypatch.setattr(delimited, "PIECE", 300)
    monkeypatch.setattr(delimited, "SAMPLE", 0)
    table().write_csv(tmp_path / "t.csv")
    found = predicted(model, tmp_path / "t.csv", tmp_path / "p.parquet")
    np.testing.assert_allclose(found, load(model).predict_proba(table())[:, 1], rtol=1e-5)


def test_pandas_reads_the_file_as_the_command_does(model, tmp_path):
    """What pandas makes of a file (007 as 7, NA and None as missing) is the same to the model."""
    rows = [PLAIN | {column: cell} for column, cell, twin in CELLS if twin is not WRONG]
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="values are unknown to the model and count as missing") as by_command:
        command = predicted(model, tmp_path / "t.csv", tmp_path / "p.parquet")
    frame = pd.read_csv(io.StringIO((tmp_path / "t.csv").read_text()))
    with pytest.warns(UserWarning, match="values are unknown to the model and count as missing") as by_frame:
        found = load(model).predict_proba(frame)[:, 1]
    np.testing.assert_allclose(found, command, rtol=1e-5)
    assert sorted(str(one.message) for one in by_command) == sorted(str(one.message) for one in by_frame)
