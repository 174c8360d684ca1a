"""Numbers that only grow with time are told in training, in the audit and when later rows come."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.features.growth import growing_columns

pytestmark = pytest.mark.slow

ROWS = 600
RNG = np.random.default_rng(0)
AT = [dt.datetime(2023, 1, 1) + dt.timedelta(hours=12 * int(k)) for k in RNG.permutation(ROWS)]
HOURS = pl.Series(AT).dt.epoch("s").to_numpy() / 3600

GROWING = {
    "year": (RNG.integers(2019, 2024, ROWS), "years 2019 to 2023"),
    "year with empty cells": (
        pl.Series(RNG.integers(2019, 2024, ROWS)).set(pl.Series(RNG.random(ROWS) < 0.1), None),
        "years",
    ),
    "epoch": (HOURS * 3600, "it grows with 'at'"),
    "Excel's days": (HOURS / 24 + 25_569, "it may hold days as Excel counts them, such as 45"),
    "a running number with gaps": (HOURS * 7 + RNG.integers(0, 7, ROWS), "it grows with 'at'"),
    "a counter that is read with an error": (HOURS + RNG.normal(0, 50, ROWS), "it grows with 'at'"),
    "times of no name": (RNG.integers(1_600_000_000, 1_700_000_000, ROWS), "it may hold times in seconds since 1970"),
    "month_index": (np.arange(ROWS) // 20, "it grows from row to row"),
    "a year of two": (RNG.integers(2023, 2025, ROWS), "years 2023 to 2024"),
    "quarter": ([f"{2020 + k % 4}Q{k % 3 + 1}" for k in range(ROWS)], "periods such as 2023Q3"),
    "fiscal": ([f"FY{2019 + k % 5}" for k in range(ROWS)], "periods such as FY2023"),
    "week": ([f"{2022 + k % 2}-W{k % 50:02d}" for k in range(ROWS)], "periods such as 2023-W49"),
    "a number from row to row": (np.cumsum(RNG.integers(1, 9, ROWS)), "it grows from row to row"),
}
OTHERS = {
    "a measurement": RNG.normal(size=ROWS),
    "a score about 2000": RNG.normal(2000, 20, ROWS),
    "an age": RNG.integers(18, 80, ROWS),
    "about 2020": RNG.integers(2019, 2021, ROWS),
    "model": [f"A{2000 + k % 9}" for k in range(ROWS)],
    "a sorted amount": np.sort(RNG.integers(0, 40, ROWS)) * 100,
    "a sorted measurement": np.sort(RNG.normal(size=ROWS)),
    "constant": np.full(ROWS, 2020),
    "falls with time": -HOURS,
}


@pytest.mark.parametrize("name", GROWING)
def test_what_grows_with_time_is_found(name):
    column, why = GROWING[name]
    (found,) = growing_columns(pl.DataFrame({"at": AT, name: column}), [name])
    assert found.column == name and found.why.startswith(why)


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_is_left_alone(name):
    assert growing_columns(pl.DataFrame({"at": AT, name: OTHERS[name]}), [name]) == ()


def test_a_column_of_numbers_may_be_the_time():
    frame = pl.DataFrame({"round": RNG.permutation(ROWS), "x": RNG.normal(size=ROWS)})
    frame = frame.with_columns(count=pl.col("round") * 3 + 5)
    assert [one.column for one in growing_columns(frame, frame.columns, "round")] == ["count"]


def test_training_the_audit_and_later_rows_say_so(tmp_path):
    year = RNG.integers(2019, 2024, ROWS)
    frame = pl.DataFrame({"year": year, "x": RNG.normal(size=ROWS), "rare": RNG.random(ROWS) < 0.2})
    frame.write_csv(tmp_path / "t.csv")
    result = cp.train(frame, target="rare", learners=["logistic"], budget=3)
    said = (
        "Column 'year' seems to grow with time (years 2019 to 2023): later rows would lie outside the training range."
    )
    assert said in result.notes
    found = audit_table(tmp_path / "t.csv", target="rare")
    (one,) = [finding for finding in found.findings if "grow" in finding.title]
    assert (one.title, one.text) == ("1 column seems to grow with time", "'year': years 2019 to 2023.")
    assert "--ignore year" in one.do
    with pytest.warns(
        UserWarning, match=r"'year' lies outside the training range: its mean is 2025; in training it ranged"
    ):
        result.predict_proba(frame.with_columns(year=pl.lit(2025)))


def test_dates_after_the_day_of_the_table_are_told(tmp_path):
    closed = [dt.date(2024, 1, 1) + dt.timedelta(days=int(k)) for k in RNG.integers(0, 40, ROWS)]
    frame = pl.DataFrame({"closed": closed, "x": RNG.normal(size=ROWS), "rare": RNG.random(ROWS) < 0.2})
    frame.write_csv(tmp_path / "t.csv")
    found = audit_table(tmp_path / "t.csv", target="rare", as_of="2024-01-31")
    late = int((frame["closed"] > dt.date(2024, 1, 31)).sum())
    assert [(one.column, one.rows) for one in found.late] == [("closed", late)]
    (one,) = [finding for finding in found.findings if "after the day of the table" in finding.title]
    assert one.text == f"'closed': {late} of its dates lie after 2024-01-31."
    assert audit_table(tmp_path / "t.csv", target="rare").late == ()


def test_the_audit_says_what_ages_count_to(tmp_path):
    ago = RNG.integers(0, 90, ROWS)
    seen = [dt.date(2024, 3, 31) - dt.timedelta(days=int(k)) for k in ago]
    told = pl.DataFrame({"seen": seen, "x": RNG.normal(size=ROWS), "rare": RNG.random(ROWS) < 0.02 + 0.5 * (ago > 60)})
    told.write_csv(tmp_path / "told.csv")
    chance = told.with_columns(rare=pl.Series(RNG.random(ROWS) < 0.2))
    chance.write_csv(tmp_path / "chance.csv")
    said = {}
    for name, options in {
        "told": {},
        "chance": {},
        "asked": {"as_of": "2 Apr 2024"},
        "timed": {"time": "seen"},
    }.items():
        path = tmp_path / f"{name if name == 'chance' else 'told'}.csv"
        found = audit_table(path, target="rare", **options)
        said[name] = " ".join(found.dates)
        assert [one.text for one in found.findings if one.title == "how dates are learned"] == [
            *filter(None, [said[name]])
        ]
    assert said["told"].startswith(
        "Ages of dates are counted up to 2024-03-31, the newest date of 'seen'; in another table up to the"
    )
    assert "add nothing to the prediction of the target" in said["chance"]
    assert said["asked"].startswith(
        "Ages of dates are counted up to 2024-04-02, as asked; in another table up to --as-of (as_of), or up to 2"
    )
    assert said["timed"] == ""


@pytest.mark.parametrize("cells", [sorted(AT), sorted(AT, reverse=True), [at.date() for at in sorted(AT)]])
def test_rows_in_the_order_of_a_date_are_told_of_time(cells, tmp_path):
    frame = pl.DataFrame({"paid at": cells, "x": RNG.normal(size=ROWS), "rare": RNG.random(ROWS) < 0.2})
    said = "The rows are in the order of 'paid at': if that is the time of each row, --time 'paid at' counts ages to it"
    frame.write_csv(tmp_path / "t.csv")
    assert said in " ".join(audit_table(tmp_path / "t.csv", target="rare").dates)
    assert audit_table(tmp_path / "t.csv", target="rare", time="paid at").dates == ()
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=0)
    assert said in " ".join(cp.train(frame, target="rare", learners=["logistic"], budget=2).notes)
    assert "in the order of" not in " ".join(cp.train(shuffled, target="rare", learners=["logistic"], budget=2).notes)
