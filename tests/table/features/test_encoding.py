"""The dense encoding against scikit-learn and against what must hold of any matrix."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from counterpoise.table.features import encoding as module
from counterpoise.table.features.encoding import FEWEST_ROWS, LIMIT, MOST_VALUES, Encoding
from counterpoise.table.features.schema import Column, Schema

CATEGORIES = tuple("abcd")


def numbers(*names: str) -> Schema:
    return Schema(tuple(Column(name, "number") for name in names))


def test_numbers_are_standardised_as_scikit_learn_does():
    matrix = np.random.default_rng(0).normal(5.0, 3.0, (500, 4))
    encoding = Encoding.learn(matrix, numbers(*"pqrs"))
    assert encoding.names == tuple("pqrs")
    np.testing.assert_allclose(encoding.apply(matrix), StandardScaler().fit_transform(matrix), rtol=1e-5, atol=1e-5)


def test_a_category_is_one_hot_as_in_scikit_learn():
    matrix = np.random.default_rng(0).integers(0, 4, (500, 1)).astype(float)
    encoding = Encoding.learn(matrix, Schema((Column("kind", "category", CATEGORIES),)))
    assert encoding.names == ("kind = a", "kind = b", "kind = c", "kind = d")
    assert (encoding.apply(matrix) == OneHotEncoder(sparse_output=False).fit_transform(matrix)).all()


def test_rare_new_and_missing_categories_are_all_zero():
    codes = [0.0] * 20 + [1.0] * 20 + [2.0] * (FEWEST_ROWS - 1) + [math.nan]
    encoding = Encoding.learn(np.array(codes)[:, None], Schema((Column("kind", "category", CATEGORIES),)))
    assert encoding.names == ("kind = a", "kind = b")
    assert encoding.apply(np.array([[2.0], [3.0], [math.nan], [1.0]])).tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]


def test_the_most_frequent_values_have_columns(monkeypatch):
    counts = np.arange(MOST_VALUES + 50) + FEWEST_ROWS
    names = tuple(map(str, counts))
    matrix = np.repeat(np.arange(len(counts)), counts).astype(float)[:, None]
    schema = Schema((Column("kind", "category", names), Column("sort", "category", names)))
    encoding = Encoding.learn(np.hstack([matrix, matrix]), schema)
    assert encoding.width == 2 * MOST_VALUES
    assert set(encoding.values[:, 1]) == set(range(50, MOST_VALUES + 50))
    monkeypatch.setattr(module, "MOST_VALUES_IN_ALL", 10)
    few = Encoding.learn(np.hstack([matrix, matrix]), schema)
    assert few.names == tuple(f"{name} = {count}" for name in ("kind", "sort") for count in names[-5:])


def test_missing_numbers_are_the_mean_and_told_once_for_the_same_rows():
    matrix = np.array([[1.0, 4.0, 7.0], [2.0, 5.0, 7.5], [6.0, 6.0, 9.0], [math.nan, math.nan, 8.0]])
    encoding = Encoding.learn(matrix, numbers(*"pqr"))
    assert encoding.names == ("p", "q", "r", "p is missing")
    mean = np.array([[3.0, 5.0, 7.5]])
    np.testing.assert_allclose(encoding.apply(matrix)[3, :2], encoding.apply(mean)[0, :2], atol=1e-7)
    assert encoding.apply(matrix)[:, 3].tolist() == [0, 0, 0, 1]


def test_what_is_complete_in_training_may_be_missing_later():
    encoding = Encoding.learn(np.array([[1.0], [2.0], [6.0]]), numbers("p"))
    assert encoding.apply(np.array([[math.nan]])) == encoding.apply(np.array([[3.0]]))


def test_a_long_tail_is_drawn_in_and_keeps_its_order():
    amounts = np.sort(np.random.default_rng(0).lognormal(3.0, 2.0, 2000))[:, None]
    encoded = Encoding.learn(amounts, numbers("amount")).apply(amounts)[:, 0]
    assert (np.diff(encoded) > 0).all()
    assert np.mean(encoded**4) < 10
    assert np.mean(StandardScaler().fit_transform(amounts) ** 4) > 100


@pytest.mark.parametrize("column", [[3.0] * 30, [math.nan] * 30], ids=["constant", "empty"])
def test_a_column_that_says_nothing_is_dropped(column):
    matrix = np.column_stack([column, np.arange(30.0)])
    assert Encoding.learn(matrix, numbers("p", "q")).names == ("q",)


def test_values_far_outside_training_are_clipped():
    encoding = Encoding.learn(np.array([[0.0], [1.0]]), numbers("p"))
    assert encoding.apply(np.array([[1e300], [-1e300]])).tolist() == [[LIMIT], [-LIMIT]]


def test_blocks_of_rows_change_nothing(monkeypatch):
    matrix = np.random.default_rng(0).normal(size=(50, 3))
    encoding = Encoding.learn(matrix, numbers(*"pqr"))
    whole = encoding.apply(matrix)
    monkeypatch.setattr(module, "_BLOCK_CELLS", 20)
    assert (encoding.apply(matrix) == whole).all()


def test_each_encoded_column_names_its_origin():
    matrix = np.array([[0.0, math.nan], [1.0, 2.0], [1.0, 3.0]] * FEWEST_ROWS)
    encoding = Encoding.learn(matrix, Schema((Column("kind", "category", CATEGORIES), Column("p", "number"))))
    assert dict(zip(encoding.names, encoding.places.tolist(), strict=True)) == {
        "p": 1,
        "p is missing": 1,
        "kind = a": 0,
        "kind = b": 0,
    }


def test_no_rows():
    encoding = Encoding.learn(np.arange(6.0).reshape(3, 2), numbers("p", "q"))
    assert encoding.apply(np.empty((0, 2))).shape == (0, 2)


_finite = st.floats(allow_nan=True, allow_infinity=False)


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=_finite))
def test_any_numbers_give_finite_ones_that_survive_json(matrix):
    encoding = Encoding.learn(matrix, numbers(*"pqr"))
    encoded = encoding.apply(matrix)
    assert encoded.dtype == np.float32 and encoded.shape == (len(matrix), encoding.width)
    assert np.isfinite(encoded).all() and np.abs(encoded).max(initial=0.0) <= LIMIT
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert (again.apply(matrix) == encoded).all() and again.names == encoding.names
