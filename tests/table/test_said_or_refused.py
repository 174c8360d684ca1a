"""Faults that a stranger met at the doors: each is refused or said, and means the same from every source."""

import datetime as dt
import os
import threading
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from counterpoise.errors import UserError
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.features.cells import usable
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.files import refuse_existing, write_text
from counterpoise.table.reading.date_columns import as_learned, with_dates
from counterpoise.table.reading.frames import table_of
from counterpoise.table.reading.numbers import NumberFormat
from counterpoise.table.reading.table import Table, read_table
from counterpoise.table.reading.target import alike_names, read_labels

TIMES = [dt.datetime(2024, 1, 1, 10, 0), dt.datetime(2024, 2, 1, 11, 30, 15)] * 3
DAYS = [dt.datetime(2024, 1, 1), dt.datetime(2024, 2, 1)] * 3
ZONED = [one.replace(tzinfo=dt.UTC) for one in TIMES]


@pytest.mark.parametrize("values", [TIMES, [one.date() for one in DAYS], ZONED], ids=["time", "day", "zone"])
def test_a_target_of_dates_has_the_same_classes_from_every_source(values, tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{k},{one}\n" for k, one in enumerate(values)))
    expected = read_labels(read_table(tmp_path / "t.csv", spelled=True), "y").classes
    assert len(expected) == 2
    for frame in (pd.DataFrame({"x": range(6), "y": values}), pl.DataFrame({"x": range(6), "y": values})):
        assert read_labels(table_of(frame), "y").classes == expected


def test_midnights_of_a_frame_are_days():
    for frame in (pd.DataFrame({"x": range(6), "y": DAYS}), pl.DataFrame({"x": range(6), "y": DAYS})):
        assert sorted(read_labels(table_of(frame), "y").classes) == ["2024-01-01", "2024-02-01"]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_durations_are_no_classes(frame):
    table = table_of(frame({"x": range(4), "y": [dt.timedelta(days=1), dt.timedelta(days=2)] * 2}))
    with pytest.raises(UserError, match=r"target 'y' has type Duration.*which is not a class; make classes text"):
        read_labels(table, "y")


@pytest.mark.parametrize("how", [NumberFormat(unit="$"), NumberFormat(unit="%"), NumberFormat(",")], ids=str)
def test_a_duration_is_no_amount(how):
    frame = pl.DataFrame({"amount": [dt.timedelta(days=1), None]})
    _, problems = usable(table_of(frame), Schema((Column("amount", "number", figures=how),)))
    assert [one.row for one in problems] == [0]


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (["True", "1", "False", "0"], [("0", "False"), ("1", "True")]),
        (["t", "true", "f", "false"], [("f", "false"), ("t", "true")]),
        (["Y", "yes", "no"], [("Y", "yes")]),
        (["yes", "TRUE", "no"], [("TRUE", "yes")]),
        (["n", "No", "y"], [("No", "n")]),
        (list("ABFNTY01"), []),
        (["0", "1", "2", "no answer"], []),
    ],
)
def test_classes_that_may_mean_the_same(classes, pairs):
    assert alike_names(classes) == [f"classes {one!r}, {other!r} may mean the same" for one, other in pairs]


@pytest.mark.parametrize("blank", ["\u00a0", "\u202f", "\u2009", "\u3000", "\t"])
def test_blanks_of_any_width_stand_in_dates(blank):
    cells = [f"2024-01-{day:02d}{blank}10:{day:02d}" for day in range(1, 29)]
    table = with_dates(Table(pl.DataFrame({"at": cells}), "t.csv", typed=False), [])
    assert table.frame["at"].to_list() == [dt.datetime(2024, 1, day, 10, day) for day in range(1, 29)]
    values, why = as_learned(pl.Series([f"31{blank}Jan{blank}2024"]), timed=False)
    assert (values.to_list(), why.to_list()) == ([dt.date(2024, 1, 31)], [None])


@pytest.mark.parametrize("cell", ["05/10/2024", "5-10-2024", "01/02/2023 10:00"])
def test_a_date_that_leaves_day_and_month_open_says_so(cell):
    values, why = as_learned(pl.Series([cell, "2024-01-31", "31/31/2024"]), timed=True)
    assert values.null_count() == 2
    assert why.to_list()[1:] == [None, "is not a datetime"]
    assert why[0] == "leaves open which is the day and which the month; write 2024-01-31"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["x{0}h{0}bad", '"x{0}h{0}bad"'])
def test_lines_that_are_one_quoted_cell_are_named(tmp_path, separator, header):
    lines = [header.format(separator), *(f'"{k}{separator}2.5{separator}{k % 2}"' for k in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    short = pytest.warns(UserWarning, match="line 2 and 39 other lines: 1 fields where the header has 3")
    with (
        short if header[0] != '"' else nullcontext(),
        pytest.raises(UserError, match=r"each line is one quoted cell.*; remove the quotes around the lines"),
    ):
        audit_table(tmp_path / "t.csv", target="bad")


def test_a_pipe_is_written_to(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    refuse_existing(pipe, streams=True)
    write_text("{}\n", pipe)
    reader.join(timeout=60)
    assert found == ["{}\n"]


def test_streams_take_a_file_and_no_directory(tmp_path):
    write_text("gone", Path("/dev/null"))
    with pytest.raises(UserError, match="exists already"):
        refuse_existing(Path("/dev/null"))
    (tmp_path / "t.json").write_text("kept")
    with pytest.raises(UserError, match="exists already"):
        refuse_existing(tmp_path / "t.json", streams=True)
