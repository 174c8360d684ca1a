"""Counting labels in files, frames and streams: as in an array, and with the names that training gives."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
import torch

import counterpoise as cp
from absent import needs
from counterpoise.table.reading.table import read_table
from counterpoise.table.reading.target import read_labels

RNG = np.random.default_rng(0)
LABELS = RNG.choice(3, 5_000, p=[0.9, 0.09, 0.01])
TRUE = cp.ClassCounts(np.bincount(LABELS))
NOWHERE = "."
FRAME = pl.DataFrame({"x": np.arange(5_000), "y": LABELS})


@pytest.fixture
def folder(tmp_path):
    days = tmp_path / "days"
    days.mkdir()
    for place, rows in enumerate(np.split(np.arange(5_000), [10, 3_000])):
        FRAME[rows].write_parquet(days / f"{place}.parquet")
        FRAME[rows].write_csv(tmp_path / f"{place}.csv")
    (days / "_SUCCESS").write_text("")
    return tmp_path


def test_files_folders_and_patterns(folder):
    assert cp.count(folder / "days", "y") == TRUE
    assert cp.count(str(folder / "days"), column="y") == TRUE
    assert cp.count(f"{folder}/days/*.parquet", "y") == TRUE
    assert cp.count(f"{folder}/**/[0-9].parquet", "y") == TRUE
    assert cp.count(f"{folder}/?.csv", "y") == TRUE
    assert cp.count(folder, "y") == TRUE  # its CSV files; a folder in it is no part of the table
    parts = [cp.count(folder / f"{place}.csv", "y", classes=3) for place in range(3)]
    assert parts[0] + parts[1] + parts[2] == TRUE


def test_a_copy_as_text_beside_the_parquet_files_is_not_counted_twice(folder):
    for place in range(3):
        (folder / f"{place}.csv").rename(folder / "days" / f"{place}.csv")
    assert cp.count(folder / "days", "y") == TRUE


def test_what_repeats_for_ever_is_refused():
    with pytest.raises(cp.UserError, match=r"repeats without end; count the data set before \.repeat\(\)"):
        cp.count(tf.data.Dataset.from_tensor_slices(LABELS).repeat())


def test_a_pattern_may_be_relative_and_a_name_may_look_like_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert cp.count("days/*.parquet", "y") == TRUE
    FRAME[:7].write_csv(folder / "odd[1].csv")
    assert cp.count("odd[1].csv", "y", classes=3).total == 7


def test_frames():
    assert cp.count(FRAME.lazy(), "y") == cp.count(FRAME, "y") == cp.count(FRAME.to_pandas(), "y") == TRUE
    assert cp.count(FRAME.lazy().select(pl.col("y").cast(pl.Float64))) == TRUE
    words = FRAME.lazy().select(pl.col("y").replace_strict({0: "c", 1: "b", 2: "a"}).cast(pl.Categorical))
    assert cp.count(words) == cp.ClassCounts(TRUE.n[::-1], classes=["a", "b", "c"])
    assert cp.count(pd.DataFrame({"y": LABELS > 0})["y"]).n.tolist() == [TRUE.n[0], TRUE.n[1:].sum()]


def test_iterators():
    assert cp.count(iter(np.array_split(LABELS, 7))) == TRUE
    assert cp.count(int(one) for one in LABELS[:50]) == cp.count(LABELS[:50])
    assert (
        cp.count(np.array_split(np.where(LABELS == 1, -100, LABELS), 9).__iter__(), ignore_index=-100, classes=3).n[1]
        == 0
    )
    many = RNG.integers(2, size=(100, 3))
    assert cp.count(iter(np.split(many, 4))) == cp.count(many)


@pytest.mark.parametrize("make", [lambda x, y: (x, y), lambda x, y: {"pixels": x, "labels": y}, lambda _, y: y])
def test_loaders(make):
    rows = [make(np.zeros(2), one) for one in LABELS[:500]]
    expected = cp.count(LABELS[:500])
    assert cp.count(torch.utils.data.DataLoader(rows, batch_size=64)) == expected
    whole = tf.data.Dataset.from_tensor_slices(make(np.zeros((500, 2)), LABELS[:500]))
    assert cp.count(whole) == cp.count(whole.batch(64)) == expected


def test_the_labels_of_a_mapping_go_by_their_name():
    batches = torch.utils.data.DataLoader([{"a": 0, "b": 1}, {"a": 1, "b": 1}])
    assert cp.count(batches, "b", classes=2).n.tolist() == [0, 2]
    with pytest.raises(cp.UserError, match="part 0 of source has the entries 'a', 'b'; pass column="):
        cp.count(batches)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("y;n", [" yes;1", "no ;2", "yes;3"]),
        ('n,"the\nlabel",y', ["1,2,True", '2,"3\n",False', "3,4,True"]),
        ("y\tn", ["01\t1", "02\t2", "01\t3"]),
        ("size,y", ['5" pipe,a', "3,b", "4,a"]),
        ("y,n", ["1.0,2", "0.0,1", "1.0,1"]),
        ("sep=;\ny;n", ["1;2", "-1;2", "1;3"]),
        ("y,n", ["2024-01-05,1", "2024-02-05,1", "2024-01-05,2"]),
        ("y,n", ["1e3,1", "7,1", "1000,1"]),
        ("y,n", ['"1,000",1', '"2,000",1', '"1,000",1']),
    ],
)
def test_classes_are_those_of_training(tmp_path, header, rows):
    path, text = tmp_path / "t.csv", "\n".join([header, *rows, *rows]) + "\n"
    path.write_text(text)
    labels = read_labels(read_table(path), "y")
    counts = cp.count(path, "y", classes=labels.classes)
    assert counts.n.tolist() == np.bincount(labels.codes).tolist() == [4, 2]
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert cp.count(packed, "y", classes=labels.classes) == counts


def test_missing_labels_are_refused_or_omitted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("y,n\nyes,1\nNA,2\nno,3\n,4\n")
    pl.DataFrame({"y": ["yes", None, "no", "NA"]}).write_parquet(tmp_path / "t.parquet")
    for source in (path, tmp_path / "t.parquet"):
        with pytest.raises(cp.UserError, match="column 'y' is missing in 2 of 4 rows; drop these rows first, or omit"):
            cp.count(source, "y")
        assert cp.count(source, "y", ignore_index=float("nan")) == cp.ClassCounts([1, 1], classes=["no", "yes"])
    with pytest.raises(cp.UserError, match="the frame: column 'y' is missing in 1 of 2 rows"):
        cp.count(pl.LazyFrame({"y": [1.0, float("nan")]}))
    with pytest.raises(cp.UserError, match=r"part 1 of source: labels\[0\] is nan: a missing label"):
        cp.count(iter([np.array([0.0, 1.0]), np.array([np.nan])]))


def test_marks_are_pointed_out_also_where_one_part_has_them():
    parts = [np.array([0, 1]), np.array([1, 255])]
    with pytest.raises(cp.UserError, match="labels hold 255, but none from 2 to 254"):
        cp.count(iter(parts))
    assert cp.count(iter(parts), ignore_index=255) == cp.ClassCounts([1, 2])
    assert cp.count(pl.LazyFrame({"y": [0, 1, 1, 255]}), ignore_index=255) == cp.ClassCounts([1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.csv", "y"), "no such file: nothing.csv"),
        (("no/such/*.csv", "y"), r"no file matches no/such/\*\.csv"),
        ((NOWHERE, "y"), r"\. is a directory without \.parquet or \.csv files"),
        (("t.csv",), r"t\.csv has 2 columns; pass column=\.\.\., one of 'n', 'y'"),
        (("t.csv", "z"), r"t\.csv has no column 'z'; its columns: 'n', 'y'"),
        (("bad.parquet", "y"), r"bad\.parquet is not a readable Parquet file"),
        ((pl.LazyFrame({"a": [1], "b": [2]}),), "the frame has 2 columns; pass column="),
        ((pl.LazyFrame({"a": [1]}).select(pl.col("a").str.to_date()), "a"), "the frame cannot be counted"),
        ((pl.LazyFrame({"a": [0.25, 0.5]}), "a"), "the frame: column 'a' holds 0.25: no class; labels are"),
        ((pl.DataFrame({"a": [1]}), "b"), "the frame has no column 'b'"),
        (([0, 1], "y"), "column is 'y', but source is list, which has no columns"),
        ((iter([]),), "source has no labels: it is empty, or an iterator that was read before"),
        ((iter([[0, 1]]), "y"), "column names a column of a table, but source is an iterator"),
        ((iter([(np.zeros(2), np.zeros(2))]),), "source gives a tuple; pass the labels alone"),
        ((iter([np.zeros(2, int), np.zeros((2, 2), int)]),), "part 1 of source: parts of one and of two dimensions"),
        (([0, 1], 2, 2), "column is 2; pass the name of a column, or None"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    if arguments[0] is not NOWHERE:
        (tmp_path / "t.csv").write_text("n,y\n1,a\n2,b\n")
        (tmp_path / "bad.parquet").write_text("PAR")
    with pytest.raises(cp.UserError, match=message):
        cp.count(*arguments)


def test_classes_in_second_place_still_work_and_warn():
    with pytest.warns(DeprecationWarning, match=r"write classes=\.\.\."):
        assert cp.count([0, 1], 3) == cp.ClassCounts([1, 1, 0])


def test_files_whose_labels_are_of_two_types(tmp_path):
    pl.DataFrame({"y": [0, 1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": ["no", "yes"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(cp.UserError, match="labels mix text and numbers: 0, 1, 'no', 'yes'"):
        cp.count(tmp_path, "y")


@pytest.mark.slow
def test_ray_data_sets():
    needs("ray")
    session = Path(__file__).parent / "counting_ray_session.py"
    done = subprocess.run([sys.executable, str(session)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
