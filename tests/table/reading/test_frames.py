"""Frames of pandas and Polars as tables: every type that a cell can have, and cells that are none."""

import datetime as dt
import re
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import dateutil.tz
import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table.reading.frames import table_of
from counterpoise.table.reading.target import read_labels


def column(values, **options):
    return table_of(pd.DataFrame({"c": pd.Series(values, **options)})).frame["c"]


CELLS = {
    "integers": (pd.Series([1, 2]), pl.Int64, [1, 2]),
    "small integers": (pd.Series([1, 2], dtype="int8"), pl.Int8, [1, 2]),
    "floats": (pd.Series([1.5, None]), pl.Float64, [1.5, None]),
    "flags": (pd.Series([True, False]), pl.Boolean, [True, False]),
    "nullable integers": (pd.Series([2**60 + 1, None], dtype="Int64"), pl.Int64, [2**60 + 1, None]),
    "nullable floats": (pd.Series([1.5, None], dtype="Float64"), pl.Float64, [1.5, None]),
    "nullable flags": (pd.Series([True, None], dtype="boolean"), pl.Boolean, [True, None]),
    "text": (pd.Series(["a", None]), pl.String, ["a", None]),
    "text as objects": (pd.Series(["a", None, float("nan"), pd.NA], dtype=object), pl.String, ["a", None, None, None]),
    "nullable text": (pd.Series(["a", None], dtype="string"), pl.String, ["a", None]),
    "flags as objects": (pd.Series([True, None], dtype=object), pl.Boolean, [True, None]),
    "numbers as objects": (pd.Series([1, 2.5, None], dtype=object), pl.Float64, [1.0, 2.5, None]),
    "codes beside words": (pd.Series([250, 250.0, "V57", None], dtype=object), pl.String, ["250", "250", "V57", None]),
    "days": (pd.Series([date(2024, 1, 31), None], dtype=object), pl.Date, [date(2024, 1, 31), None]),
    "times": (
        pd.to_datetime(pd.Series(["2024-01-31 10:30", None])),
        pl.Datetime,
        [datetime(2024, 1, 31, 10, 30), None],
    ),
    "times with a zone": (
        pd.to_datetime(pd.Series(["2024-01-31 10:30"])).dt.tz_localize("Europe/Berlin"),
        pl.Datetime("us", "Europe/Berlin"),
        [datetime(2024, 1, 31, 10, 30, tzinfo=ZoneInfo("Europe/Berlin"))],
    ),
    "no times": (pd.Series([pd.NaT, pd.NaT]), None, [None, None]),
    "categories": (pd.Series(["b", None, "a"], dtype="category"), pl.String, ["b", None, "a"]),
    "categories of numbers": (pd.Series([3, 1, 3], dtype="category"), pl.Int64, [3, 1, 3]),
    "missing": (pd.Series([None, None], dtype=object), None, [None, None]),
}


@pytest.mark.parametrize("values, dtype, cells", CELLS.values(), ids=CELLS)
def test_cells_of_pandas(values, dtype, cells):
    read = table_of(pd.DataFrame({"c": values})).frame["c"]
    assert read.to_list() == cells
    assert dtype is None or read.dtype == dtype


def test_the_index_is_ignored():
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[7, 7, 9]).iloc[::-1]
    assert table_of(frame).frame.rows() == [(3,), (2,), (1,)]


def test_names_become_text():
    assert table_of(pd.DataFrame([[1, 2]], columns=[0, "größe"])).frame.columns == ["0", "größe"]


def test_a_polars_frame_is_itself():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert table_of(frame).frame is frame


def test_labels_of_a_frame():
    frame = pd.DataFrame({"y": pd.Series(["no", "yes", "no", "yes", "no"], dtype="category")})
    assert read_labels(table_of(frame), "y").classes == ("no", "yes")


@pytest.mark.parametrize(
    "frame, message",
    [
        (pd.DataFrame({"c": [1, 2, 3], "tags": [None, [1], None]}), "column 'tags' holds list in row 2 ('[1]')"),
        (pd.DataFrame({"c": [{"a": 1}]}), "column 'c' holds dict in row 1"),
        (pd.DataFrame({"c": [np.zeros(2)]}), "column 'c' holds ndarray in row 1"),
        (pd.DataFrame({"c": [b"x"]}), "column 'c' holds bytes in row 1"),
        (pd.DataFrame({"c": [object()]}), "column 'c' holds "),
        (pd.DataFrame({"c": ["a", {"a": 1}]}), "column 'c' holds dict in row 2"),
        (pd.DataFrame({"c": [1j]}), "column 'c' holds complex"),
        (pl.DataFrame({"c": [None, [1, 2]]}), "column 'c' holds List(Int64) in row 2"),
        (pl.DataFrame({"c": [{"a": 1}]}), "column 'c' holds Struct"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the frame has more than one column named 'a' (columns 1, 2)"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "more than one column named '1'"),
        (pd.DataFrame({"a": []}), "the frame has no rows"),
        (pd.DataFrame(), "the frame has no rows"),
        (pl.DataFrame({"a": [1]}).lazy(), "call its collect() first"),
        (pd.Series([1, 2]), "this is a Series"),
        (np.zeros((2, 2)), "this is a ndarray"),
        ([[1, 2]], "this is a list"),
    ],
)
def test_what_is_no_table(frame, message):
    with pytest.raises(UserError, match=re.escape(message)):
        table_of(frame)


def test_decimals_are_numbers():
    assert column([Decimal("1.50"), Decimal("2")], dtype=object).dtype.is_numeric()


@pytest.mark.parametrize("values", [[1, 10**60], [1.5, date(2024, 1, 1)], [date(2024, 1, 1), 5]])
def test_no_cell_gets_lost_beside_others(values):
    with pytest.raises(UserError, match=r"column 'c' holds \w+ in row 2"):
        column(values, dtype=object)


@pytest.mark.parametrize(
    "cells, dtype, expected",
    [
        ([0.0, 1.5, 0.0], pd.SparseDtype(float, 0.0), [0.0, 1.5, 0.0]),
        ([0, 1, 0], pd.SparseDtype(int, 0), [0, 1, 0]),
        ([np.nan, 1.0, np.nan], pd.SparseDtype(float), [None, 1.0, None]),
        ([True, False, True], pd.SparseDtype(bool, False), [True, False, True]),
        ([1.0, 2.0, 3.0], np.longdouble, [1.0, 2.0, 3.0]),
        ([True, 1, 0], object, [1, 1, 0]),
        ([Decimal("1.5"), 2, None], object, [1.5, 2.0, None]),
        ([Decimal("1.5"), 0.25, True], object, [1.5, 0.25, 1.0]),
        ([np.int64(1), np.float32(2.5), None], object, [1.0, 2.5, None]),
        ([np.str_("a"), None, "b"], object, ["a", None, "b"]),
        ([pd.NA, 1, 2], object, [None, 1, 2]),
        ([True, None, False], "boolean", [True, None, False]),
        ([1, None, 2**64 - 1], "UInt64", [1, None, 2**64 - 1]),
        (["a", None, "b"], "string", ["a", None, "b"]),
        ([1, 2, None], "category", [1, 2, None]),
    ],
    ids=str,
)
def test_types_of_pandas(cells, dtype, expected):
    assert column(cells, dtype=dtype).to_list() == expected


def test_names_of_several_levels_are_refused_with_the_way_out():
    frame = pd.DataFrame({("size", "cm"): [1, 2], ("size", "m"): [3, 4]})
    with pytest.raises(UserError, match=re.escape("have 2 levels; make one of them: frame.columns = [")):
        table_of(frame)
    frame.columns = ["_".join(map(str, name)) for name in frame.columns]
    assert table_of(frame).frame.columns == ["size_cm", "size_m"]


def test_an_index_of_several_levels_or_with_equal_labels_says_nothing():
    index = pd.MultiIndex.from_tuples([(1, "a"), (1, "a"), (2, "b")])
    assert table_of(pd.DataFrame({"c": [3, 1, 2]}, index=index)).frame["c"].to_list() == [3, 1, 2]
    assert table_of(pd.DataFrame({"c": [3, 1, 2]}, index=[0, 0, 7])).frame["c"].to_list() == [3, 1, 2]


def framed(cells, **columns):
    """A frame of the library that the cells are of."""
    return pl.DataFrame(columns) if isinstance(cells, pl.Series) else pd.DataFrame(columns)


SIZE = np.round(np.random.default_rng(0).normal(size=300), 2)
BAD = (SIZE > 0.8).astype(int)
PLAIN = {"learners": ["logistic"], "budget": 2}


@pytest.fixture(scope="module")
def plain():
    return cp.train(pd.DataFrame({"c": SIZE, "bad": BAD}), target="bad", **PLAIN)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.arrays.SparseArray(SIZE, fill_value=0.0),
        lambda: pd.Series(SIZE).astype("Float64"),
        lambda: pd.Series([Decimal(str(one)) for one in SIZE]),
        lambda: pd.Series([f"{one}" for one in SIZE]),
        lambda: pl.Series([f"{one}" for one in SIZE]),
        lambda: pl.Series(SIZE).cast(pl.Decimal(10, 2)),
        lambda: pl.Series(SIZE, dtype=pl.Float64).shrink_dtype(),
    ],
    ids=["sparse", "nullable", "decimals of objects", "text", "text of Polars", "decimals", "shrunk"],
)
def test_a_number_of_any_type_teaches_and_is_scored_alike(make, plain):
    cells = make()
    frame = framed(cells, c=cells, bad=BAD)
    found = cp.train(frame, target="bad", **PLAIN)
    expected = plain.predict_proba(pd.DataFrame({"c": SIZE}))
    np.testing.assert_allclose(found.predict_proba(frame), expected, rtol=1e-4)
    np.testing.assert_allclose(plain.predict_proba(frame), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "make, classes",
    [
        (lambda: pd.Series(BAD).astype("category"), (0, 1)),
        (lambda: pd.Series(BAD == 1), (False, True)),
        (lambda: pd.Series(BAD == 1).astype("category"), (False, True)),
        (lambda: pd.Series(BAD == 1).astype("boolean"), (False, True)),
        (lambda: pd.Series([Decimal(int(one)) for one in BAD]), (0, 1)),
        (lambda: pd.Series([Decimal(f"{one}.00") for one in BAD]), (0, 1)),
        (lambda: pd.arrays.SparseArray(BAD, fill_value=0), (0, 1)),
        (lambda: pd.Series(BAD).astype("Int8"), (0, 1)),
        (lambda: pd.Series(np.where(BAD, " yes", "no ")), ("no", "yes")),
        (lambda: pd.Series(np.where(BAD, "yes", "no")).astype("category"), ("no", "yes")),
        (lambda: pd.Series(np.where(BAD, "1", "0")), ("0", "1")),  # text stays text, so that predictions compare
        (lambda: pl.Series(BAD).cast(pl.UInt64), (0, 1)),
        (lambda: pl.Series(BAD).cast(pl.Int128), (0, 1)),
        (lambda: pl.Series(np.where(BAD, "yes", "no")).cast(pl.Categorical), ("no", "yes")),
        (lambda: pl.Series(np.where(BAD, "yes", "no")).cast(pl.Enum(["yes", "no"])), ("no", "yes")),
    ],
)
def test_a_target_of_any_type(make, classes, plain):
    cells = make()
    frame = framed(cells, c=SIZE, bad=cells)
    found = cp.train(frame, target="bad", **PLAIN)
    assert found.labels.classes == classes
    assert [type(one) for one in found.labels.classes] == [type(one) for one in classes]
    np.testing.assert_allclose(found.predict_proba(frame), plain.predict_proba(pd.DataFrame({"c": SIZE})), rtol=1e-6)


def test_numbers_that_pandas_declares_categories_are_categories():
    kind = np.tile([10, 20, 30], 100)
    frame = pd.DataFrame({"kind": pd.Series(kind).astype("category"), "c": SIZE, "bad": BAD})
    found = cp.train(frame, target="bad", **PLAIN)
    assert [(one.kind, one.categories) for one in found.schema.columns if one.name == "kind"] == [
        ("category", ("10", "20", "30"))
    ]
    plainly = found.predict_proba(frame.assign(kind=kind.astype(float)))
    np.testing.assert_allclose(found.predict_proba(frame), plainly, rtol=1e-6)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Salta", "Asia/Kathmandu", "UTC"])
def test_a_zone_of_dateutil_has_the_name_of_its_file(name):
    cells = pd.Series(pd.to_datetime(["2024-07-01 12:00"])).dt.tz_localize(dateutil.tz.gettz(name))
    found = table_of(pd.DataFrame({"at": cells})).frame["at"]
    assert found.dtype == pl.Datetime("us", name) and found.dt.hour().to_list() == [12]


@pytest.mark.parametrize("zone", [dt.timezone(dt.timedelta(minutes=-210)), dateutil.tz.tzoffset(None, 19_800)], ids=str)
def test_a_zone_without_a_name_is_taken_in_utc_with_a_warning(zone):
    cells = pd.Series(pd.to_datetime(["2024-07-01 12:00"])).dt.tz_localize(zone)
    with pytest.warns(UserWarning, match="column 'at' has times of the zone .* taken in UTC"):
        assert table_of(pd.DataFrame({"at": cells})).frame["at"].dtype == pl.Datetime("us", "UTC")
