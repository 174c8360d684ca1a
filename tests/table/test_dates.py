"""Dates that are text: read as what they are, the same in training and later, and never with day and month guessed."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import predict_table, train_table
from counterpoise.table.audit import audit_table
from counterpoise.table.dates import form_of, moments, read_moments
from counterpoise.table.features import Schema, learn_schema, to_matrix
from counterpoise.table.frames import table_of
from counterpoise.table.read import Table, read_table, with_dates
from counterpoise.table.stream import blocks

pd = pytest.importorskip("pandas")

DAYS = pl.date_range(dt.date(2023, 1, 1), dt.date(2024, 12, 31), eager=True)
FORMS = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%m/%d/%Y", "%d/%m/%Y"]
CLOCKED = [
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%Y-%m-%dT%H:%M:%SZ",
]


@pytest.mark.parametrize("form", FORMS + CLOCKED)
def test_every_form_is_read_back(form):
    times = pl.Series([dt.datetime(day.year, day.month, day.day, 15 * (form in CLOCKED), 0) for day in DAYS])
    text = times.dt.strftime(form)
    assert form_of(text) == form
    assert moments(text, form).cast(pl.Datetime("us")).equals(times)


@pytest.mark.parametrize("cell", ["3/4/2024", "12/31/2024"])
def test_one_digit_is_enough(cell):
    assert moments(pl.Series([cell]), "%m/%d/%Y").is_not_null().all()


@pytest.mark.parametrize(
    "cells",
    [
        ["03/04/2024", "05/06/2024"],  # which of them is the day?
        ["31/01/2024", "01/31/2024"],
        ["2024-01-31", "1/31/2024"],
        ["2024-01-31", "later"],
        ["1/31/24", "2/1/24"],
        ["1/2/24", "3/4/24"],
        ["1.2.3", "10.4.12"],
        ["31.12.99", "01.02.03"],
        ["12-11-10", "1-2-3"],
        ["13/11/0", "1/2/0"],
        ["+2024-01-31"],
        ["1/2", "3/4"],
        [None, None],
        [],
    ],
)
def test_what_is_not_sure_stays_text(cells):
    assert form_of(pl.Series(cells, dtype=pl.String)) is None


def seasonal(form):
    rng = np.random.default_rng(0)
    place = rng.integers(0, len(DAYS), 1200)
    rare = (DAYS.dt.month().to_numpy()[place] >= 11) & (rng.random(1200) < 0.5)
    return pl.DataFrame({"day": DAYS.gather(place).dt.strftime(form), "x": rng.normal(size=1200), "rare": rare})


@pytest.mark.parametrize("form", FORMS)
def test_a_csv_a_frame_and_parquet_give_the_same_features(form, tmp_path):
    frame = seasonal(form)
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    in_memory = table_of(pd.DataFrame(frame.to_dict(as_series=False)))
    read = [read_table(tmp_path / "t.csv"), read_table(tmp_path / "t.parquet"), in_memory]
    tables = [with_dates(table, ["rare"]) for table in read]
    schemas = [learn_schema(table, "rare", np.arange(1000)) for table in tables]
    assert all(schema.features == ["day day", "day month", "day weekday", "x"] for schema in schemas)
    first, *others = [to_matrix(table, schema) for table, schema in zip(tables, schemas, strict=True)]
    assert first[:, 1].tolist() == [float(moments(frame["day"], form)[row].month) for row in range(1200)]
    for matrix in others:
        np.testing.assert_array_equal(matrix, first)
    for path, schema in zip((tmp_path / "t.csv", tmp_path / "t.parquet"), schemas[:2], strict=True):
        (block,) = blocks(path, Schema.from_dict(schema.to_dict()))
        assert not block.problems
        np.testing.assert_array_equal(to_matrix(block.table, schema), first)


def test_later_rows_are_read_as_the_training_rows_were(tmp_path):
    frame = seasonal("%m/%d/%Y")
    frame.write_csv(tmp_path / "t.csv")
    train_table(tmp_path / "t.csv", target="rare", learners=("lightgbm",), budget=5.0, out=tmp_path / "model")
    rows = "day,x\n02/11/2024,0\n11/02/2024,0\n2024-11-02,0\n13/11/2024,0\n"  # the last one has no 13th month
    (tmp_path / "later.csv").write_text(rows)
    predict_table(tmp_path / "model", tmp_path / "later.csv", tmp_path / "p.parquet")
    february, november, iso, none = pl.read_parquet(tmp_path / "p.parquet")["probability_True"]
    assert february < 0.2 < november == iso
    assert none is None
    said = (tmp_path / "p.parquet.problems.csv").read_text()
    assert said == "row,problem\n4,column 'day': '13/11/2024' is not a date\n"
    model = cp.load(tmp_path / "model")
    one = pl.DataFrame({"day": ["11/02/2024"], "x": [0.0]})
    assert model.predict_proba(one)[0, 1] == november
    with pytest.raises(UserError, match=r"column 'day', data row 1: '13/11/2024' is not a date"):
        model.predict_proba(pd.DataFrame({"day": ["13/11/2024"], "x": [0.0]}))


@pytest.mark.parametrize("cells", [["1/31/24"], ["13/11/20"], ["1.2.3"], ["24-01-31"], ["1/2/0"]])
@pytest.mark.parametrize("form", ["", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y %H:%M"])
def test_a_year_has_four_digits(cells, form):
    assert read_moments(pl.Series(cells), form, timed=True).to_list() == [None]


@pytest.mark.parametrize("cell", ["1/31/2024", "1/31/2024 00:00", "1/31/2024 00:00:00", "1/31/2024 12:00 AM"])
def test_with_slashes_a_clock_is_as_good_as_none(cell):
    for form in ("%m/%d/%Y", "%m/%d/%Y %H:%M"):
        assert read_moments(pl.Series([cell]), form, timed=True).to_list() == [dt.datetime(2024, 1, 31)]


def test_blanks_and_marks_of_missing_values_do_no_harm():
    cells = [" 2024-01-31", "NA", "", None, "2024-02-01 "]
    frame = pl.DataFrame({"day": cells, "kind": ["a", "b"] * 2 + ["a"], "x": range(5)})
    table = with_dates(Table(frame, Path("t.parquet"), typed=True), ["kind"])
    assert table.frame["day"].to_list() == [dt.date(2024, 1, 31), None, None, None, dt.date(2024, 2, 1)]
    schema = learn_schema(table, "kind", np.arange(5))
    found = to_matrix(Table(frame, Path("t.parquet"), typed=True), schema)
    np.testing.assert_array_equal(found, to_matrix(table, schema))


def test_names_of_classes_stay_names():
    frame = pl.DataFrame({"day": ["2024-01-31", "2024-02-01"], "class": ["2024-01-31", "2024-02-01"]})
    found = with_dates(Table(frame, Path("t.parquet"), typed=True), ["class"])
    assert found.frame.dtypes == [pl.Date, pl.String]


@pytest.mark.parametrize("form", FORMS)
def test_the_audit_reads_them_in_time(form, tmp_path):
    frame = seasonal(form)
    frame.write_parquet(tmp_path / "t.parquet")
    frame.with_columns(moments(frame["day"], form)).write_parquet(tmp_path / "typed.parquet")
    found, typed = (audit_table(tmp_path / name, target="rare", time="day") for name in ("t.parquet", "typed.parquet"))
    assert found.to_dict() == typed.to_dict() | {"table": found.to_dict().get("table")}


@pytest.mark.parametrize("form", ["%m/%d/%y", "%d %B %Y", "%m-%d-%Y"])
def test_dates_that_are_not_read_are_told(form):
    result = cp.train(
        seasonal("%Y-%m-%d").with_columns(pl.col("day").str.to_date().dt.strftime(form)),
        target="rare",
        learners=["logistic"],
        budget=5,
    )
    (said,) = (note for note in result.notes if "seems to hold dates" in note)
    assert said.startswith("Column 'day' seems to hold dates, such as '")


def test_time_may_be_text_in_a_frame():
    frame = pd.DataFrame(seasonal("%Y-%m-%d").to_dict(as_series=False))
    result = cp.train(frame, target="rare", time="day", learners=["logistic"], budget=5)
    assert [column.kind for column in result.schema.columns if column.name == "day"] == ["calendar"]
    days = pd.to_datetime(frame["day"]).to_numpy()
    assert days[result.split.test].min() >= days[result.split.train].max()
