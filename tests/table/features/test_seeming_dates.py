"""Forms of dates that are not read are pointed out, in audit and training alike; Jan-24 is read where it is sure."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.features.growth import growing_columns
from counterpoise.table.features.seeming_dates import read_as_text
from counterpoise.table.reading.date_columns import as_learned, with_dates
from counterpoise.table.reading.table import Table

ROWS = 400
RNG = np.random.default_rng(3)
DAYS = pl.Series([dt.datetime(2023, 7, 1) + dt.timedelta(hours=int(k)) for k in RNG.integers(0, 300 * 24, ROWS)])
EXCEL = (DAYS - dt.datetime(1899, 12, 30)).dt.total_seconds().to_numpy() / 86_400


def spelled(form):
    return [one.strftime(form) for one in DAYS]


NUMBERS = {
    "Excel's days": (np.floor(EXCEL), "it may hold days as Excel counts them"),
    "Excel's times": (EXCEL, "it may hold days as Excel counts them"),
    "Julian days": (EXCEL + 2_415_018.5, "it may hold Julian day numbers"),
    "yymmdd": (np.array(spelled("%y%m%d"), int), "it may hold days such as 24"),
    "ddmmyy": (np.array(spelled("%d%m%y"), int), "it may hold days such as"),
    "mmddyyyy": (np.array(spelled("%m%d%Y"), int), "it may hold days such as"),
    "decimal years": (1900 + EXCEL / 365.25, "it may hold decimal years such as 2024."),
    "year and day": (np.array(spelled("%Y%j"), int), "it may hold days such as 2024"),
    "year and week": (np.array(spelled("%Y%W"), int), "it may hold weeks or months such as 2024"),
    "ticks": (EXCEL * 864e9 + 599_264_352e9, "it may hold ticks of .NET"),
}
WORDS = ["W%W-%Y", "%Y-W%W-%u", "%Y-%j", "KW %W/%Y", "%y%m%d", "0%d%m%y"[1:], "%d-%b", "%y-%b", "%m/%y", "%m.%Y"]
OTHERS = {
    "incomes": RNG.integers(20_000, 60_000, ROWS),
    "measurements": RNG.normal(45_000, 800, ROWS).round(2),
    "codes of six digits": RNG.integers(100_000, 999_999, ROWS),
    "codes of seven digits": RNG.integers(1_000_000, 9_999_999, ROWS),
    "seats": [f"{k % 30}{'ABCDEF'[k % 6]}" for k in range(ROWS)],
    "parts": [f"S{k % 9}{10 + k % 70}" for k in range(ROWS)],
    "models": [f"ABC-{10 + k % 20}" for k in range(ROWS)],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_may_be_dates(name):
    values, why = NUMBERS[name]
    (found,) = growing_columns(pl.DataFrame({name: values}), [name])
    assert (found.seems, found.why[: len(why)]) == (True, why)


@pytest.mark.parametrize("form", WORDS)
def test_words_that_may_be_dates(form):
    (found,) = growing_columns(pl.DataFrame({"c": spelled(form)}), ["c"])
    assert found.seems


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_date(name):
    frame = pl.DataFrame({name: OTHERS[name]})
    assert growing_columns(frame, [name]) == ()
    assert read_as_text(frame) == ()


@pytest.mark.parametrize("form", ["%d. %B %y", "%b %d, %y", "%d/%b/%y", "%Y-%m-%d %H:%M EST"])
def test_dates_as_text(form):
    (said,) = read_as_text([pl.Series("seen", spelled(form))])
    assert said.startswith("Column 'seen' seems to hold dates, such as '")


def month_table(cells):
    return Table(pl.DataFrame({"joined": cells}), "t.csv", typed=False)


@pytest.mark.parametrize("form", ["%b-%y", "%B %y", "%b'%y", "%b. %y", "%b/%y"])
def test_months_with_short_years_are_dates(form):
    found = with_dates(month_table(spelled(form)), [])
    assert found.frame["joined"].to_list() == [one.date().replace(day=1) for one in DAYS]
    assert found.forms == {"joined": "month-years"} and "was read as dates" in found.said[0]
    values, why = as_learned(pl.Series(["Dec-26", "Feb 2027", "soon"]), timed=False, form="month-years")
    assert values.to_list() == [dt.date(2026, 12, 1), dt.date(2027, 2, 1), None]
    assert why.to_list() == [None, None, "is not a date"]


def test_short_years_have_the_century_of_posix():
    cells = [f"{month}-{year}" for month in ("Jan", "Jul") for year in ("69", "99", "00", "68")]
    found = with_dates(month_table(cells), []).frame["joined"].dt.year().to_list()
    assert found == [1969, 1999, 2000, 2068] * 2


@pytest.mark.parametrize("cells", [["Jan-01", "Jan-15", "Feb-01", "Feb-15", "Mar-01", "Mar-15"], spelled("%b-%d")])
def test_months_with_days_are_no_dates_and_are_pointed_out(cells):
    table = with_dates(month_table(cells * 2), [])
    assert table.frame["joined"].dtype == pl.String
    assert growing_columns(table.frame, ["joined"])[0].seems


def test_audit_and_training_point_out_the_same(tmp_path):
    frame = pl.DataFrame(
        {
            "x": RNG.normal(size=ROWS),
            "seen": np.floor(EXCEL).astype(int),
            "due": spelled("%d.%m.%y"),
            "week": spelled("W%W-%Y"),
        }
    ).with_columns(bad=pl.col("x") > 1)
    frame.write_csv(tmp_path / "t.csv")
    found = audit_table(tmp_path / "t.csv", target="bad")
    assert [one.column for one in found.growing] == ["seen", "week"]
    assert ["'due'" in one for one in found.seeming] == [True]
    assert any(one.title == "1 column seems to hold dates or times" for one in found.findings)
    with pytest.warns(UserWarning) as warned:
        notes = cp.train(frame, target="bad", learners=["logistic"], budget=3).notes
    for name in ("seen", "due", "week"):
        (said,) = (str(one.message) for one in warned if f"Column {name!r}" in str(one.message))
        assert said.endswith("; write dates as 2024-01-31.") and said in notes


def test_a_bad_month_is_pointed_out_with_its_column():
    table = with_dates(month_table([*spelled("%b-%y"), "soon"]), [])
    (found,) = growing_columns(table.frame, ["joined"])
    assert found.why.startswith("periods such as ")
