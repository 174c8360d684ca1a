"""Times with zones and offsets, and since 1970: an instant is the same at every door."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import predict_table
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.reading.date_columns import as_learned, dates_of, with_dates
from counterpoise.table.reading.frames import table_of
from counterpoise.table.reading.table import Table
from counterpoise.table.using.json_rows import table_of_rows
from counterpoise.table.using.serve import predictions
from counterpoise.table.using.stream import blocks


def column(cells, **more):
    return Table(pl.DataFrame({"when": pl.Series(cells, dtype=pl.String), **more}), Path("t.csv"), typed=False)


def replaced(table):
    return Table(
        table.frame.with_columns(y=pl.Series(np.arange(table.frame.height) % 2)), table.path, table.typed, table.forms
    )


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


def test_a_model_of_days_takes_no_time_of_another_zone():
    cells = ["2024-05-10", "2024-05-10 21:38:00", "2024-05-10T00:00:00Z", "2024-05-10T21:38:00Z"]
    values, why = as_learned(pl.Series(cells), timed=False)
    assert values.to_list() == [dt.date(2024, 5, 10)] * 3 + [None]
    assert why[3] == "has a time zone, and the model learned days without; write the day alone"


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
