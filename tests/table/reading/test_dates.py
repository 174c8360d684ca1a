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
from counterpoise.table.using.serve import predictions
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


def night_shifts(zone):
    """Times in a zone; what is rare happens at night there."""
    rng = np.random.default_rng(3)
    start = dt.datetime(2024, 1, 1)
    minutes = rng.integers(0, 288_000, 800)
    utc = pl.Series([start + dt.timedelta(minutes=int(m)) for m in minutes]).dt.replace_time_zone("UTC")
    local = utc.dt.convert_time_zone(zone)
    night = ((local.dt.hour() >= 22) | (local.dt.hour() < 5)).to_numpy()
    rare = rng.random(800) < 1 / (1 + np.exp(3.5 - 3 * night))
    return pl.DataFrame({"at": local, "size": rng.normal(size=800), "bad": np.where(rare, "yes", "no")})


def same_instants(at):
    """The same times in other zones and units, and as text."""
    zone = at.dtype.time_zone
    return [
        at.dt.convert_time_zone("Australia/Adelaide"),
        at.cast(pl.Datetime("ns", zone)),
        at.cast(pl.Datetime("ms", zone)).dt.convert_time_zone("UTC"),
        at.dt.strftime("%Y-%m-%d %H:%M:%S%:z"),
        at.dt.convert_time_zone("Pacific/Auckland").dt.strftime("%Y-%m-%dT%H:%M:%S%.f%z"),
        at.dt.convert_time_zone("UTC").dt.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Etc/GMT-2"])
def test_an_instant_is_an_instant(zone):
    frame = night_shifts(zone)
    table = table_of(frame)
    schema = learn_schema(with_dates(table, ["bad"]), "bad", np.arange(800))
    assert [one.zone for one in schema.columns if one.name == "at"] == [zone]
    expected = to_matrix(table, schema)
    assert expected[:, schema.features.index("at hour")].tolist() == frame["at"].dt.hour().to_list()
    for moved in same_instants(frame["at"]):
        np.testing.assert_array_equal(to_matrix(table_of(frame.with_columns(at=moved)), schema), expected)
    in_pandas = pd.DataFrame({"at": pd.to_datetime(pd.Series(same_instants(frame["at"])[3].to_list()), utc=True)})
    in_pandas["size"] = frame["size"].to_list()
    for given in (
        in_pandas,
        in_pandas.assign(at=list(in_pandas["at"])),
        in_pandas.assign(at=in_pandas["at"].astype(object)),
    ):
        np.testing.assert_array_equal(to_matrix(table_of(given), schema), expected)


def test_an_instant_gets_one_answer_at_every_door(tmp_path):
    frame = night_shifts("America/New_York")
    result = cp.train(frame, target="bad", learners=["lightgbm"], budget=5)
    expected = result.predict_proba(frame)
    assert expected[:, 1].max() > 3 * expected[:, 1].min()
    result.save(tmp_path / "model")
    model = cp.load(tmp_path / "model")
    for place, moved in enumerate(same_instants(frame["at"])):
        rows = frame.with_columns(at=moved)
        np.testing.assert_allclose(model.predict_proba(rows), expected, atol=1e-12)
        for path in (tmp_path / f"{place}.csv", tmp_path / f"{place}.parquet"):
            rows.write_csv(path) if path.suffix == ".csv" else rows.write_parquet(path)
            predict_table(tmp_path / "model", path, path.with_suffix(".scored.parquet"))
            found = pl.read_parquet(path.with_suffix(".scored.parquet"))[:, :2].to_numpy()
            np.testing.assert_allclose(found, expected, atol=1e-12)
            path.with_suffix(".scored.parquet").unlink()
        if moved.dtype == pl.String:
            sent = [{"at": cell, "size": size} for cell, size in zip(moved, frame["size"], strict=True)]
            matrix = to_matrix(table_of_rows(sent, model.schema), model.schema)
            answers = [one["probability"]["yes"] for one in predictions(model, matrix)]
            np.testing.assert_allclose(answers, expected[:, 1], atol=1e-12)


def test_times_without_a_zone_do_not_mix_with_those_that_have_one(tmp_path):
    frame = night_shifts("UTC")
    naive = frame.with_columns(pl.col("at").dt.replace_time_zone(None))
    for learned, given, said in (
        (frame, naive, "has no time zone, and the model learned times with one; write it as"),
        (naive, frame, "has a time zone, and the model learned times with none; write it without"),
    ):
        schema = learn_schema(table_of(learned), "bad", np.arange(800))
        with pytest.raises(UserError, match=rf"column 'at', data row 1: '.*' {said}"):
            to_matrix(table_of(given), schema)
        given.write_csv(tmp_path / "t.csv")
        (block,) = blocks(tmp_path / "t.csv", schema)
        assert len(block.problems) == 800 and said in block.problems[0].reason


def test_times_of_several_offsets_are_taken_in_utc_and_that_is_told():
    frame = night_shifts("Europe/Berlin")
    frame = frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    result = cp.train(frame, target="bad", learners=["logistic"], budget=5)
    assert next(one.zone for one in result.schema.columns if one.name == "at") == "UTC"
    (said,) = [note for note in result.notes if "from UTC" in note]
    assert said == "Column 'at' has times +01:00, +02:00 from UTC; their month, weekday and hour are taken in UTC."


def test_frames_keep_the_zone_of_their_times():
    berlin = pd.to_datetime(pd.Series(["2024-01-31 10:30"])).dt.tz_localize("Europe/Berlin")
    fixed = pd.to_datetime(pd.Series(["2024-05-10T21:38:00+02:00"]))
    found = table_of(pd.DataFrame({"berlin": berlin, "fixed": fixed})).frame
    assert found.dtypes == [pl.Datetime("us", "Europe/Berlin"), pl.Datetime("us", "Etc/GMT-2")]
    assert found.to_dict(as_series=False)["fixed"][0].hour == 21
    mixed = [dt.datetime(2024, 5, 10, 21), dt.datetime(2024, 5, 10, 21, tzinfo=dt.UTC)]
    with pytest.raises(UserError, match="has a time zone, and the others have none"):
        with_dates(table_of(pd.DataFrame({"when": pd.Series(mixed, dtype=object)})), [])
    days = [dt.date(2024, 5, 10), dt.datetime(2024, 5, 10, 21), None]
    found = with_dates(table_of(pd.DataFrame({"when": pd.Series(days, dtype=object)})), []).frame["when"]
    assert found.to_list() == [dt.datetime(2024, 5, 10), dt.datetime(2024, 5, 10, 21), None]
    period = table_of(pd.DataFrame({"month": pd.period_range("2024-01", "2024-03", freq="M")})).frame["month"]
    assert period.dt.month().to_list() == [1, 2, 3]


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


def test_a_model_of_days_takes_no_time_of_another_zone():
    cells = ["2024-05-10", "2024-05-10 21:38:00", "2024-05-10T00:00:00Z", "2024-05-10T21:38:00Z"]
    values, why = as_learned(pl.Series(cells), timed=False)
    assert values.to_list() == [dt.date(2024, 5, 10)] * 3 + [None]
    assert why[3] == "has a time zone, and the model learned days without; write the day alone"


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


SECONDS = pl.Series(np.random.default_rng(3).integers(1_500_000_000, 1_710_000_000, 300))
SINCE_1970 = {
    "last_login": (SECONDS, "seconds"),
    "created_at": (SECONDS * 1000 + 7, "milliseconds"),
    "eventTime": (SECONDS * 10**6 + 1, "microseconds"),
    "TS": (SECONDS * 10**9, "nanoseconds"),
    "updated": (SECONDS + 0.25, "seconds"),
    "signup date": (SECONDS // 86_400 * 86_400, "seconds"),
}


@pytest.mark.parametrize("name", SINCE_1970)
def test_numbers_since_1970_are_times_where_the_column_is_named_so(name):
    values, unit = SINCE_1970[name]
    numbers = values.clone().scatter([3, 5], [0, -1]).set(pl.Series(np.arange(300) % 50 == 9), None)
    millionths = {"seconds": 10**6, "milliseconds": 10**3, "microseconds": 1, "nanoseconds": 1e-3}[unit]
    never = numbers.is_null() | (numbers < 1)
    expected = (values * millionths).round().cast(pl.Int64).cast(pl.Datetime("us")).set(never, None)
    for cells in (numbers, numbers.cast(float), numbers.cast(pl.String)):
        if unit == "nanoseconds" and cells.dtype == pl.Float64:
            continue  # of which floats have only some digits
        table = Table(pl.DataFrame({name: cells}), Path("t.parquet"), typed=True)
        found = with_dates(table, [])
        assert found.forms == {name: unit} and f"times in {unit} since 1970" in found.said[0]
        assert found.frame[name].cast(pl.Datetime("us")).to_list() == expected.to_list()
        schema = learn_schema(replaced(found), "y", np.arange(300))
        np.testing.assert_array_equal(to_matrix(table, schema), to_matrix(found, schema))
        for other in ("amount", "cash_on_hand", "daily volume"):
            amount = Table(pl.DataFrame({other: cells}), Path("t.parquet"), typed=True)
            assert dates_of(amount, [])[0].frame[other].dtype == cells.dtype


def test_a_cell_that_is_no_time_since_1970_is_named():
    table = Table(pl.DataFrame({"ts": SECONDS.clone().scatter(7, 17)}), Path("t.parquet"), typed=True)
    said = "column 'ts' holds dates in seconds since 1970, but data row 8 holds '17'; correct it"
    with pytest.raises(UserError, match=said):
        with_dates(table, [])
    values, why = as_learned(pl.Series([1_700_000_000, 1_700_000_000_000, 0, None]), timed=True, form="seconds")
    assert values.to_list() == [dt.datetime(2023, 11, 14, 22, 13, 20), None, None, None]
    assert why.to_list() == [None, "is not a datetime", None, None]


@pytest.mark.parametrize(
    "values",
    [SECONDS // 10**5, SECONDS**2, SECONDS.clone().scatter(range(60), 12), [1_700_000_000] * 300, SECONDS * 1e3 + 0.5],
)
def test_other_numbers_in_a_column_that_is_named_a_time_stay_numbers(values):
    table = Table(pl.DataFrame({"cpu_time": values}), Path("t.parquet"), typed=True)
    assert with_dates(table, []).frame["cpu_time"].dtype.is_numeric()


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+5", "Etc/GMT-14", "Africa/Cairo", "Pacific/Apia", ""])
def test_a_cell_becomes_a_time_that_python_has_or_comes_with_a_reason(zone):
    """Each cell that is not empty is a value or has a reason, and never both."""
    cells = [
        *("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00Z", "9999-12-31", "0001-01-01", "0000-05-05", "2024-04-26"),
        *("2011-12-30", "9999-12-31 23:59:59 -14:00", "01.01.0001 00:30 +02:00", "2024-01-31T10:00:00+99:99"),
    ]
    values, why = as_learned(pl.Series("at", cells), timed=True, zone=zone)
    assert [(value is None) == (reason is not None) for value, reason in zip(values.to_list(), why, strict=True)] == [
        True
    ] * len(cells)


def test_a_time_outside_the_calendar_of_utc_or_of_the_zone_is_refused_with_the_zone():
    cells = pl.Series(["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00Z", "0001-01-01T09:00:00Z"])
    values, why = as_learned(cells, timed=True, zone="Etc/GMT+5")
    outside = "lies outside the years 1 to 9999 in UTC or in the time zone Etc/GMT+5"
    assert values.is_null().to_list() == [True, True, False]
    assert why.to_list() == [outside, outside, None]


@pytest.mark.parametrize("dtype", ["ms", "us"])
def test_a_typed_time_outside_the_calendar_of_its_own_zone_is_refused(dtype):
    last = pl.Series([dt.datetime(9999, 12, 31, 23)]).cast(pl.Datetime(dtype)).dt.replace_time_zone("UTC")
    values, why = as_learned(last.dt.convert_time_zone("Asia/Tokyo"), timed=True, zone="UTC")
    assert values.to_list() == [None]
    assert why.to_list() == ["is not a datetime"]


def test_a_day_begins_an_hour_late_where_clocks_skip_midnight():
    """Egypt put its clocks forward at midnight of 2024-04-26 (tz database)."""
    values, why = as_learned(pl.Series(["2024-04-26", "2024-04-27"]), timed=True, zone="Africa/Cairo")
    assert values.dt.replace_time_zone(None).to_list() == [dt.datetime(2024, 4, 26, 1), dt.datetime(2024, 4, 27)]
    assert why.to_list() == [None, None]


@pytest.mark.parametrize("offset", ["+99:99", "+02:75", "-19:00", "+2460"])
def test_an_offset_that_no_zone_has_is_no_time(offset):
    values, why = as_learned(pl.Series([f"2024-01-31T10:00:00{offset}"]), timed=True, zone="UTC")
    assert (values.to_list(), why.to_list()) == ([None], ["is not a datetime"])
