"""Dates as people and programs write them: read as what they are, the same at every door, and never guessed."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table import predict_table, train_table
from counterpoise.table.asked import Asked, command_of
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.schema import Schema
from counterpoise.table.reading.date_columns import as_learned, dates_of, with_dates
from counterpoise.table.reading.dates import moments
from counterpoise.table.reading.frames import FRAME, table_of
from counterpoise.table.reading.table import Table, read_table
from counterpoise.table.using.json_rows import table_of_rows
from counterpoise.table.using.stream import blocks

DAYS = pl.date_range(dt.date(2023, 1, 1), dt.date(2024, 12, 31), eager=True)
FORMS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%b-%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%Y%m%d",
    "%a, %d %b %Y",
]
CLOCKED = [
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.6f",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y, %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y, %I:%M:%S %p",
    "%d-%b-%Y %H:%M",
    "%Y%m%dT%H%M%S",
]
ZONED = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00", "%Y-%m-%d %H:%M:%S%.3f+00:00", "%a, %d %b %Y %H:%M:%S GMT"]


def column(cells, **more):
    return Table(pl.DataFrame({"when": pl.Series(cells, dtype=pl.String), **more}), Path("t.csv"), typed=False)


@pytest.mark.parametrize("form", FORMS + CLOCKED + ZONED)
def test_every_form_is_read_back(form):
    clock = 0 if form in FORMS else 15
    times = pl.Series([dt.datetime(day.year, day.month, day.day, clock) for day in DAYS])
    found = with_dates(column(times.dt.strftime(form)), []).frame["when"]
    assert found.dtype == (pl.Date if form in FORMS else pl.Datetime("us", "UTC" if form in ZONED else None))
    assert (
        found.cast(pl.Datetime("us", getattr(found.dtype, "time_zone", None))).dt.replace_time_zone(None).equals(times)
    )


CELLS = [  # how a cell is written, and what it says: local time, minutes ahead of UTC
    ("2024-05-10T21:38:00+02:00", dt.datetime(2024, 5, 10, 21, 38), 120),
    ("2024-05-10T21:38:00+0200", dt.datetime(2024, 5, 10, 21, 38), 120),
    ("2024-05-10T21:38:00-05", dt.datetime(2024, 5, 10, 21, 38), -300),
    ("2024-05-10 21:38:00 +05:30", dt.datetime(2024, 5, 10, 21, 38), 330),
    ("2024-05-10T21:38Z", dt.datetime(2024, 5, 10, 21, 38), 0),
    ("2024-05-10 21:38:00 UTC", dt.datetime(2024, 5, 10, 21, 38), 0),
    ("2024-05-10 21:38:00.123456789+00:00", dt.datetime(2024, 5, 10, 21, 38, 0, 123456), 0),
    ("2024-05-10 21:38:00,5", dt.datetime(2024, 5, 10, 21, 38, 0, 500000), None),
    ("2024-05-10T21:38:00+02:00[Europe/Paris]", dt.datetime(2024, 5, 10, 21, 38), 120),
    ("Fri May 10 2024 21:38:00 GMT+0200 (Central European Summer Time)", dt.datetime(2024, 5, 10, 21, 38), 120),
    ("1/31/2024 9:30 PM", dt.datetime(2024, 1, 31, 21, 30), None),
    ("1/31/2024 12:05 a.m.", dt.datetime(2024, 1, 31, 0, 5), None),
    ("31.01.2024, 09:30", dt.datetime(2024, 1, 31, 9, 30), None),
    ("2024-1-5", dt.datetime(2024, 1, 5), None),
    ("15-Feb-2024", dt.datetime(2024, 2, 15), None),
    ("15 february 2024", dt.datetime(2024, 2, 15), None),
    ("Feb 15, 2024", dt.datetime(2024, 2, 15), None),
    ("21st March 2024", dt.datetime(2024, 3, 21), None),
    ("Monday, September 2, 2024", dt.datetime(2024, 9, 2), None),
    ("2024-Feb-15", dt.datetime(2024, 2, 15), None),
    ("15FEB2024", dt.datetime(2024, 2, 15), None),
    ("15Feb2024:21:38:00", dt.datetime(2024, 2, 15, 21, 38), None),
    ("15/Feb/2024:21:38:00 +0100", dt.datetime(2024, 2, 15, 21, 38), 60),
    ("Thu Feb 15 21:38:00 2024", dt.datetime(2024, 2, 15, 21, 38), None),
    ("Thu Feb  5 21:38:00 UTC 2024", dt.datetime(2024, 2, 5, 21, 38), 0),
    ("2024-02-15 21:38:00.5 +0200 UTC", dt.datetime(2024, 2, 15, 21, 38, 0, 500000), 120),
    ("2024-02-15T21:38:00\u221203:30", dt.datetime(2024, 2, 15, 21, 38), -210),
    ("2024-02-15 21.38.00", dt.datetime(2024, 2, 15, 21, 38), None),
    ("15.2.2024 9.30", dt.datetime(2024, 2, 15, 9, 30), None),
    ("2024_02_15", dt.datetime(2024, 2, 15), None),
    ("2024 02 15", dt.datetime(2024, 2, 15), None),
    ("2024\u5e742\u670815\u65e5", dt.datetime(2024, 2, 15), None),
    ("02_15_2024", dt.datetime(2024, 2, 15), None),
]
NO_DATES = [
    *("2024-02-30", "2024-13-01", "31.04.2024", "2024-05-10 24:00:00", "2024-05-10 13:00 PM", "1/31/24", "15-Feb-24"),
    *("24-01-31", "1.2.3", "31.12.99", "12-11-10", "13/11/0", "+2024-01-31", "1 Foo 2024", "1/2", "soon", "45423"),
    *("2024-05-10T21:38:00+2", "2024-05-10 9", "20240131", "2024-05"),
]


@pytest.mark.parametrize(("cell", "local", "offset"), CELLS)
def test_a_cell_says_its_time(cell, local, offset):
    found = moments(pl.Series([cell]), "month-first")
    assert found.local.to_list() == [local]
    assert found.offset.to_list() == [offset]


@pytest.mark.parametrize("cell", NO_DATES)
@pytest.mark.parametrize("form", ["", "day-first", "month-first"])
def test_what_is_no_date_is_none(cell, form):
    assert moments(pl.Series([cell]), form).local.to_list() == [None]


@pytest.mark.parametrize(
    "cells", [["1/31/24"] * 9, ["10.4.12"] * 9, ["soon"] * 9, ["1234"] * 9, ["1999-88"] * 9, [None], []]
)
def test_what_holds_no_dates_stays_as_it_is(cells):
    table = column(cells)
    assert dates_of(table, []) == (table, {}) or dates_of(table, [])[0].frame.equals(table.frame)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["2024-01-31"] * 400 + ["2024-02-30"], "holds dates, but data row 401 holds '2024-02-30'; correct it, or"),
        (["31.01.2024"] * 9 + ["later", "soon"], "data row 10 holds 'later' (and 1 other cell is not a date)"),
        (["2024-01-31 10:30"] * 9 + ["2024-01-31 25:30"], "data row 10 holds '2024-01-31 25:30'"),
        (["Feb 15, 2024"] * 9 + ["Feb 30, 2024"], "data row 10 holds 'Feb 30, 2024'"),
        (["31/01/2024"] * 99 + ["01/31/2024"], "holds dates with the day first, but data row 100 holds '01/31/2024'"),
        (["31/01/2024", "01/31/2024"], "holds dates with the"),
        (["2024-01-31", "1/31/24", "2024-01-30"], "data row 2 holds '1/31/24'"),
        (
            ["2024-01-31T10:00:00Z"] * 9 + ["2024-01-31T10:00:00"],
            "data row 10: '2024-01-31T10:00:00' has no time zone, and",
        ),
        (
            ["2024-01-31T10:00:00"] * 9 + ["2024-01-31T10:00:00+01:00"],
            "'2024-01-31T10:00:00+01:00' has a time zone, and",
        ),
        (
            ["03/04/2024", "05/06/2024"],
            "neither it nor another column shows which is the day and which the month; add --dates day-first",
        ),
        (["03-04-2024 10:30", "05-06-2024 11:00"], "add --dates day-first or month-first"),
    ],
)
@pytest.mark.parametrize("door", ["CSV", "Parquet", "pandas"])
def test_a_cell_that_is_no_date_is_named(cells, said, door, tmp_path):
    cells = cells * (3 if len(cells) < 4 else 1)
    frame = pl.DataFrame({"when": cells, "x": np.arange(len(cells)) % 7, "rare": np.arange(len(cells)) % 2})
    if door == "CSV":
        frame.write_csv(tmp_path / "t.csv")
        given = tmp_path / "t.csv"
    elif door == "Parquet":
        frame.write_parquet(tmp_path / "t.parquet")
        given = tmp_path / "t.parquet"
    else:
        given = pd.DataFrame(frame.to_dict(as_series=False))
    for time in (None, "when"):
        with pytest.raises(UserError) as caught:
            cp.train(given, target="rare", time=time, learners=["lightgbm"], budget=5)
        assert "column 'when'" in str(caught.value) and said in str(caught.value)
    if door != "pandas":
        assert any(said in why for why in audit_table(given, target="rare").refused)
        with pytest.raises(UserError) as caught:
            audit_table(given, target="rare", time="when")
        assert said in str(caught.value)


MISSING = [
    "0000/00/00",
    "0000-00-00T00:00:00Z",
    "1/0/1900",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "00/00/0000",
    "NaT",
    "NA",
    "n/a",
    "",
    "-",
    "None",
    None,
]


@pytest.mark.parametrize("cell", MISSING)
def test_a_missing_date_is_no_bad_one(cell):
    found = with_dates(column(["2024-01-31", cell, " 2024-02-29 "]), []).frame["when"]
    assert found.to_list() == [dt.date(2024, 1, 31), None, dt.date(2024, 2, 29)]
    values, why = as_learned(pl.Series([cell], dtype=pl.String), timed=True, zone="UTC")
    assert values.to_list() == [None] and why.to_list() == [None]


def test_days_among_times_are_their_midnight():
    found = with_dates(column(["2024-05-10", "2024-05-10 21:38:00", "5/13/2024"]), []).frame["when"]
    assert found.to_list() == [dt.datetime(2024, 5, 10), dt.datetime(2024, 5, 10, 21, 38), dt.datetime(2024, 5, 13)]
    found = with_dates(column(["2024-05-10", "2024-05-10T21:38:00+02:00"]), []).frame["when"]
    assert found.dt.replace_time_zone(None).to_list() == [dt.datetime(2024, 5, 10), dt.datetime(2024, 5, 10, 21, 38)]


def test_times_that_are_all_midnight_are_days_at_every_door():
    cells = ["2024-05-10 00:00:00", "2024-05-11 00:00:00"]
    typed = table_of(pd.DataFrame({"when": pd.to_datetime(pd.Series(cells))}))
    zoned = column([f"{cell}+01:00" for cell in cells])
    for table in (column(cells), typed, zoned):
        assert with_dates(table, []).frame["when"].to_list() == [dt.date(2024, 5, 10), dt.date(2024, 5, 11)]


ORDERS = [
    (["03/04/2024", "31/04/2024", "13/05/2024"], None),  # 31 April is none
    (["03/04/2024", "13/05/2024"], "day-first"),
    (["03-04-2024", "05-13-2024"], "month-first"),
    ([f"01/{month}/{year}" for year in (2022, 2023) for month in range(1, 13)], "day-first"),
    ([f"{month}/1/{year}" for year in (2022, 2023) for month in range(1, 13)], "month-first"),
    ([f"{month}/1/2022" for month in range(1, 13)], None),
]


@pytest.mark.parametrize(("cells", "form"), ORDERS)
def test_the_column_tells_day_from_month(cells, form):
    found, refused = dates_of(column(cells), [])
    assert (found.forms, list(refused)) == (({"when": form}, []) if form else ({}, ["when"]))


@pytest.mark.parametrize("order", ["day-first", "month-first"])
def test_another_column_or_an_option_tells_it_too(order):
    cells = ["03/04/2024", "05/06/2024"]
    sure = ["13/04/2024", "05/06/2024"] if order == "day-first" else ["04/13/2024", "05/06/2024"]
    expected = (
        [dt.date(2024, 4, 3), dt.date(2024, 6, 5)]
        if order == "day-first"
        else [dt.date(2024, 3, 4), dt.date(2024, 5, 6)]
    )
    assert with_dates(column(cells, sure=sure), []).frame["when"].to_list() == expected
    assert with_dates(column(cells), [], order).frame["when"].to_list() == expected
    both = column(cells, sure=["13/04/2024", "05/06/2024"], other=["04/13/2024", "05/06/2024"])
    assert list(dates_of(both, [])[1]) == ["when"]
    with pytest.raises(UserError, match="dates is 'us'; write day-first or month-first"):
        with_dates(column(cells), [], "us")


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m", "%Y-%m", "%m/%Y", "%b %Y"])
def test_months_and_digits_are_dates_where_all_cells_are(form):
    text = DAYS.dt.strftime(form)
    expected = (DAYS if "%d" in form else DAYS.dt.truncate("1mo")).to_list()
    tables = [column(text)]
    if text.str.contains(r"^\d+$").all():
        numbers = text.cast(pl.Int64)
        tables += [
            Table(pl.DataFrame({"when": one}), Path("t.parquet"), typed=True) for one in (numbers, numbers.cast(float))
        ]
    for table in tables:
        found = with_dates(table, [])
        assert found.frame["when"].to_list() == expected
        schema = learn_schema(replaced(found), "y", np.arange(len(DAYS)))
        np.testing.assert_array_equal(to_matrix(table, schema), to_matrix(found, schema))
    spoilt = ["20240230" if "%d" in form else "202413", *text[1:]]
    assert dates_of(column(spoilt), [])[0].frame["when"].dtype == pl.String


def replaced(table):
    return Table(
        table.frame.with_columns(y=pl.Series(np.arange(table.frame.height) % 2)), table.path, table.typed, table.forms
    )


def test_numbers_that_are_no_dates_stay_numbers():
    for values in (
        [20240131, 20240230] * 9,
        range(20240101, 20240140),
        range(190001, 190100),
        [202401] * 9,
        [20240131],
    ):
        table = Table(pl.DataFrame({"when": pl.Series(list(values))}), Path("t.parquet"), typed=True)
        assert with_dates(table, []).frame["when"].dtype == pl.Int64


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
    first, *others = [to_matrix(table, schema) for table, schema in zip(tables, schemas, strict=True)]
    month = schemas[0].features.index("day month")
    assert first[:, month].tolist() == tables[0].frame["day"].dt.month().to_list()
    for matrix in others:
        np.testing.assert_array_equal(matrix, first)
    for path, schema in zip((tmp_path / "t.csv", tmp_path / "t.parquet"), schemas[:2], strict=True):
        (block,) = blocks(path, Schema.from_dict(schema.to_dict()))
        assert not block.problems
        np.testing.assert_array_equal(to_matrix(block.table, schema), first)
    rows = table_of_rows(json.loads(frame.head(50).write_json()), schemas[0])
    np.testing.assert_array_equal(to_matrix(rows, schemas[0]), first[:50])


def test_later_rows_are_read_as_the_training_rows_were(tmp_path):
    frame = seasonal("%m/%d/%Y")
    frame.write_csv(tmp_path / "t.csv")
    train_table(tmp_path / "t.csv", target="rare", learners=("lightgbm",), budget=5.0, out=tmp_path / "model")
    rows = "day,x\n02/11/2024,0\n11/02/2024,0\n2024-11-02,0\n13/11/2024,0\n11/02/2024 12:00 AM,0\n"  # no 13th month
    (tmp_path / "later.csv").write_text(rows)
    predict_table(tmp_path / "model", tmp_path / "later.csv", tmp_path / "p.parquet")
    february, november, iso, none, midnight = pl.read_parquet(tmp_path / "p.parquet")["probability_True"]
    assert february < 0.2 < november == iso == midnight
    assert none is None
    said = (tmp_path / "p.parquet.problems.csv").read_text()
    assert said == "row,problem\n4,column 'day': '13/11/2024' is not a date\n"
    model = cp.load(tmp_path / "model")
    one = pl.DataFrame({"day": ["11/02/2024"], "x": [0.0]})
    assert model.predict_proba(one)[0, 1] == november
    with pytest.raises(UserError, match=r"column 'day', data row 1: '13/11/2024' is not a date"):
        model.predict_proba(pd.DataFrame({"day": ["13/11/2024"], "x": [0.0]}))


def test_names_of_classes_stay_names():
    frame = pl.DataFrame({"day": ["2024-01-31", "2024-02-01"], "class": ["2024-01-31", "2024-02-01"]})
    found = with_dates(Table(frame, Path("t.parquet"), typed=True), ["class"])
    assert found.frame.dtypes == [pl.Date, pl.String]


@pytest.mark.parametrize("form", FORMS)
def test_the_audit_reads_them_in_time(form, tmp_path):
    frame = seasonal(form)
    frame.write_parquet(tmp_path / "t.parquet")
    frame.with_columns(day=with_dates(column(frame["day"]), []).frame["when"]).write_parquet(tmp_path / "typed.parquet")
    found, typed = (audit_table(tmp_path / name, target="rare", time="day") for name in ("t.parquet", "typed.parquet"))
    read = {"table": found.table, "readings": found.readings, "findings": found.to_dict()["findings"]}
    assert found.to_dict() == typed.to_dict() | read  # that text was read as dates is told


@pytest.mark.parametrize("cell", ["31/02/2024", "0/0/2024", "13-13-2024"])
def test_a_cell_that_is_no_date_in_either_order_is_named(cell):
    cells = [*DAYS.dt.strftime("%Y-%m-%d").head(20), cell]
    with pytest.raises(UserError, match=f"column 'when' holds dates, but data row 21 holds '{cell}'; correct it"):
        with_dates(column(cells), [])


@pytest.mark.parametrize("form", ["%H:%M", "%I:%M %p", "%H:%M:%S"])
def test_times_of_day_as_text_are_told(form):
    clock = pl.Series([dt.datetime(2024, 1, 1, k % 24, 30) for k in range(600)]).dt.strftime(form)
    frame = pl.DataFrame(
        {"at": clock, "x": np.random.default_rng(0).normal(size=600), "rare": [k % 7 == 0 for k in range(600)]}
    )
    with pytest.warns(UserWarning, match="times of day"):
        result = cp.train(frame, target="rare", learners=["logistic"], budget=3)
    (said,) = (note for note in result.notes if "times of day" in note)
    assert said.startswith(
        f"Column 'at' seems to hold times of day, such as '{clock[0]}', but is read as text; write 9:30"
    )


@pytest.mark.parametrize("form", ["%m/%d/%y", "%d.%m.%y", "%d-%b-%y"])
def test_dates_that_are_not_read_are_told(form):
    with pytest.warns(UserWarning, match="Column 'day' seems to hold dates, such as '") as warned:
        result = cp.train(
            seasonal("%Y-%m-%d").with_columns(pl.col("day").str.to_date().dt.strftime(form)),
            target="rare",
            learners=["logistic"],
            budget=5,
        )
    (said,) = (note for note in result.notes if "seems to hold dates" in note)
    assert said in [str(one.message) for one in warned]


def test_the_option_is_in_the_command_that_repeats_it(tmp_path):
    frame = seasonal("%d/%m/%Y").filter(pl.col("day").str.slice(0, 2).cast(int) <= 12)
    with pytest.raises(UserError, match="add --dates day-first or month-first"):
        cp.train(frame, target="rare", learners=["logistic"], budget=5)
    frame.write_csv(tmp_path / "t.csv")
    done = train_table(
        tmp_path / "t.csv", target="rare", learners=("logistic",), budget=5.0, out=tmp_path / "m", dates="day-first"
    )
    assert "--dates day-first" in done.command
    asked = Asked("rare", dates="day-first")
    assert "dates='day-first'" in command_of(FRAME, asked, None, Goal("f1"))
    assert [one.form for one in done.schema.columns] == ["day-first", ""]


def test_time_may_be_text_in_a_frame():
    frame = pd.DataFrame(seasonal("%Y-%m-%d").to_dict(as_series=False))
    result = cp.train(frame, target="rare", time="day", learners=["logistic"], budget=5)
    assert [column.kind for column in result.schema.columns if column.name == "day"] == ["calendar"]
    days = pd.to_datetime(frame["day"]).to_numpy()
    assert days[result.split.test].min() >= days[result.split.train].max()
