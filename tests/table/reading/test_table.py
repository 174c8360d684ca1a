"""Reading: what types come out, and what is said of files that cannot be read."""

import gzip

import numpy as np
import polars as pl
import pytest

from counterpoise.errors import UserError
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.schema import Schema
from counterpoise.table.reading.table import Table, read_table
from counterpoise.table.reading.target import read_labels
from counterpoise.table.rows.split import folds_of, split_rows


def csv(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "cells, dtype",
    [
        (["1", "NA", "3"], pl.Int64),
        (["1", "2.5", "?"], pl.Float64),
        (["1e3", "", "nan"], pl.Float64),
        (["true", "False", "null"], pl.Boolean),
        (["2024-01-31", "N/A", "2024-02-01"], pl.String),  # `with_dates` makes dates of it
        (["007", "12", "13"], pl.String),
        (["red", "1", "2"], pl.String),
    ],
)
def test_types_of_text(tmp_path, cells, dtype):
    path = csv(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    assert read_table(path).frame["x"].dtype == dtype


def test_a_late_word_is_not_overlooked(tmp_path):
    path = csv(tmp_path, "x,y\n" + "1,0\n" * 5000 + "one,1\n" + "2,1\n" * 10)
    with pytest.raises(UserError, match="column 'x' holds numbers, but data row 5001 holds 'one'"):
        learn_schema(read_table(path), "y", np.arange(10))


@pytest.mark.parametrize("name, separator", [("t.tsv", "\t"), ("t.csv", ";"), ("t.csv", ",")])
def test_separators(tmp_path, name, separator):
    path = csv(tmp_path, f"a{separator}b\n1{separator}2\n", name)
    assert read_table(path).frame.columns == ["a", "b"]


def test_compressed(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read_table(path).frame.row(0) == (1, 2)


def test_line_ends_of_old_macs(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\r1,2\r3,4\r")
    assert read_table(path).frame.rows() == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    "values", [pl.Series([1.0, 1e300]), pl.Series([1, 2**63 + 5], dtype=pl.UInt64), pl.Series([1.0, -(2.0**70)])]
)
def test_a_class_beyond_64_bits_is_refused(values):
    with pytest.raises(UserError, match="in data row 2, which is too large for a class"):
        read_labels(table(y=values), "y")


def table(**columns):
    return Table(pl.DataFrame(columns), "t.parquet", typed=True)


def test_the_rarer_of_two_is_positive():
    assert read_labels(table(y=[1, 1, 0, 1, 0]), "y").classes == (1, 0)
    assert read_labels(table(y=[1.0, 1.0, 0.0, 0.0, 0.0]), "y").classes == (0, 1)
    assert read_labels(table(y=[True, True, False, False, False]), "y", "False").classes == (True, False)


def test_one_against_the_rest():
    labels = read_labels(table(y=["a", "b", "c", "b", "a", "c"]), "y", "b")
    assert labels.classes == ("not b", "b")
    assert labels.codes.tolist() == [0, 1, 0, 1, 0, 0]


def test_every_part_has_every_class_it_can():
    codes = np.repeat([0, 1, 2, 3], [100, 10, 3, 2])
    parts = split_rows(codes, seed=4)
    assert sorted([*parts.train, *parts.calibration, *parts.test]) == list(range(len(codes)))
    assert np.bincount(codes[parts.train]).tolist() == [60, 6, 1, 1]
    assert np.bincount(codes[parts.test]).tolist() == [20, 2, 1, 1]
    assert np.bincount(codes[parts.calibration]).tolist() == [20, 2, 1]
    fold = folds_of(codes, 5, seed=4)
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.ptp(np.bincount(fold[codes == 0])) == 0


def test_features_follow_the_schema():
    frame = pl.DataFrame(
        {
            "n": [1, 2, None],
            "f": [True, False, None],
            "c": ["a", "b", "a"],
            "d": [pl.date(1970, 1, 2)] * 0 or pl.Series(["1970-01-02", "1970-03-01", None]).str.to_date(),
            "id": ["x1", "x2", "x3"],
            "same": [7, 7, 7],
            "none": pl.Series([None, None, None], dtype=pl.Float64),
            "y": [0, 1, 0],
        }
    )
    source = Table(frame, "t.parquet", typed=True)
    schema = learn_schema(source, "y", np.array([0, 1, 2]))
    assert dict(schema.dropped) == {"id": "text that never repeats", "same": "constant", "none": "empty"}
    assert schema.features == ["n", "f", "c", "d month", "d weekday"]
    assert Schema.from_dict(schema.to_dict()) == schema
    np.testing.assert_array_equal(
        to_matrix(source, schema),
        [[1, 1, 0, 1, 5], [2, 0, np.nan, 3, 7], [np.nan, np.nan, 0, np.nan, np.nan]],
    )


def test_names_that_lightgbm_reserves_are_changed():
    frame = pl.DataFrame({"a[1]": [1, 2], "a:1:": [2, 1], "y": [0, 1]})
    names = learn_schema(Table(frame, "t.parquet", typed=True), "y", np.arange(2)).model_names
    assert names == ["a_1_", "a_1__2"]


def test_quoted_quotes_in_a_column_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"speed ""max"" [m/s]",y\n1,a\n2,b\n', encoding="utf-8")
    assert read_table(path).frame.columns == ['speed "max" [m/s]', "y"]


def test_decimal_commas_where_commas_separate_no_cells(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n0,5;a\n-1,25e3;b\n2;a\n", encoding="utf-8")
    assert read_table(path).frame["x"].to_list() == [0.5, -1250.0, 2.0]


def test_a_quoted_comma_among_commas_is_no_decimal_mark(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('x,y\n"1,234",a\n"5,678",b\n', encoding="utf-8")
    assert read_table(path).frame["x"].to_list() == [1234, 5678]


@pytest.mark.parametrize("mark", ["-", "#N/A", "unknown", "."])
def test_other_marks_of_missing_numbers(tmp_path, mark):
    path = tmp_path / "t.csv"
    path.write_text(f"x,y\n1.5,a\n{mark},b\n2.5,a\n", encoding="utf-8")
    assert read_table(path).frame["x"].to_list() == [1.5, None, 2.5]


def test_many_words_among_measured_numbers_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    cells = [f"{0.123 + i:.3f}" for i in range(80)] + ["low"] * 20
    path.write_text("x,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells)), encoding="utf-8")
    with pytest.raises(UserError, match=r"column 'x' holds numbers, but data row 81 holds 'low' \(and 19 other cells"):
        learn_schema(read_table(path), "y", np.arange(100))


def test_codes_that_repeat_stay_categories(tmp_path):
    path = tmp_path / "t.csv"
    cells = ["250", "401", "428", "V57", "E909"] * 20
    path.write_text("x,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells)), encoding="utf-8")
    assert learn_schema(read_table(path), "y", np.arange(100)).columns[0].kind == "category"


def test_ticket_numbers_beside_words_are_no_measurements(tmp_path):
    path = tmp_path / "t.csv"
    cells = [str(113800 + i) for i in range(70)] + [f"A/5 {i}" for i in range(30)]
    path.write_text("x,z,y\n" + "".join(f"{cell},{i},{i % 2}\n" for i, cell in enumerate(cells)), encoding="utf-8")
    assert [column.name for column in learn_schema(read_table(path), "y", np.arange(100)).columns] == ["z"]
