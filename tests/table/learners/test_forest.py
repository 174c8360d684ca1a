"""Trees added up by the kernel: the very sums of LightGBM."""

import copy
import pickle
from functools import cache

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.table.learners.forest import WORTH_READING, Forest, Node
from counterpoise.table.learners.lightgbm import LightGBMTrees
from instruction_sets import computed_by, every_instruction_set


def rows(count, columns=6, *, missing=True, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, columns)).round(2)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 1] = rng.integers(-2, 3, count)  # values that stand on thresholds
    x[:, 5] = rng.integers(0, 40, count)
    return x


def test_the_cases_have_splits_on_categories():
    texts = [grown(rows(2000), **CASES[case]).model_to_string() for case in ("categories", "one against the others")]
    assert all("cat_threshold=" in text for text in texts)


def grown(x, rounds=30, **settings):
    rng = np.random.default_rng(1)
    classes = settings.get("num_class", 2)
    score = (
        np.nan_to_num(x[:, 0], nan=0.5)
        + np.nan_to_num(x[:, 1]) * np.nan_to_num(x[:, 2], nan=-1)
        + rng.normal(size=len(x))
    )
    label = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    given = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 5, "num_threads": 1} | settings
    categorical = given.pop("categorical", "auto")
    data = lightgbm.Dataset(x, label=label, categorical_feature=categorical, params={"verbosity": -1})
    return lightgbm.train(given, data, rounds)


@cache
def any_booster(missing):
    return grown(rows(2000, missing=missing))


TINY = [1e-35, -1e-35, 1.0000000180025095e-35, -1.0000000180025095e-35, 2e-35, -2e-35, 5e-324, -0.0]


CASES = {
    "missing": {},
    "64 leaves": {"num_leaves": 64},
    "stumps": {"num_leaves": 2},
    "extra trees": {"extra_trees": True, "bagging_fraction": 0.8, "bagging_freq": 1},
    "classes": {"objective": "multiclass", "num_class": 4},
    "no split": {"min_gain_to_split": 1e9},
    "categories": {"categorical": [5], "cat_smooth": 1, "min_data_per_group": 5},
    "one against the others": {"categorical": [5], "max_cat_to_onehot": 90},
}


@every_instruction_set
@pytest.mark.parametrize("case", CASES)
def test_is_lightgbm_to_the_last_bit(case, instruction_set):
    x = rows(2000)
    booster = grown(x, **CASES[case])
    forest = Forest.read(booster.model_to_string())
    other = rows(1001, seed=2)
    other[0] = np.nan
    with computed_by(instruction_set):
        found = forest.sums(other)
    assert np.array_equal(found, booster.predict(other, raw_score=True))


@every_instruction_set
def test_missing_values_that_training_never_saw(instruction_set):
    booster = grown(rows(2000, missing=False))
    other = rows(500, seed=3)
    with computed_by(instruction_set):
        found = Forest.read(booster.model_to_string()).sums(other)
    assert np.array_equal(found, booster.predict(other, raw_score=True))


@pytest.mark.parametrize("count", [0, 1, 31, 33, 511, 513])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_number_of_rows_in_any_order(count, order):
    booster = grown(rows(2000))
    other = np.asarray(rows(count, seed=4), order=order)
    found = Forest.read(booster.model_to_string()).sums(other)
    assert np.array_equal(found, booster.predict(np.vstack([other, rows(1)]), raw_score=True)[:count])


@pytest.mark.parametrize("value", TINY)
def test_what_lightgbm_takes_for_zero(value):
    booster = any_booster(False)
    assert "-1.0000000180025095e-35" in booster.model_to_string()  # between -1 and 0
    row = np.full((1, 6), value)
    assert np.array_equal(Forest.read(booster.model_to_string()).sums(row), booster.predict(row, raw_score=True))


def test_it_is_copied_after_it_has_scored():
    trees = LightGBMTrees(any_booster(True), np.float64(0.25))
    many = rows(WORTH_READING)
    found = trees.logits(many)
    for other in (pickle.loads(pickle.dumps(trees)), copy.deepcopy(trees)):
        assert np.array_equal(other.logits(many), found)


def test_rows_from_the_end():
    x = rows(100, seed=5)
    forest = Forest.read(any_booster(True).model_to_string())
    assert np.array_equal(forest.sums(x[::-1, ::-1]), forest.sums(np.ascontiguousarray(x[::-1, ::-1])))


@pytest.mark.parametrize(
    ("nodes", "leaves", "message"),
    [
        ([Node(2, 0.5, 2, True)], [0.0, 1.0], "a column that is not among the 2"),
        ([Node(-1, 0.5, 2, True)], [0.0, 1.0], "a column that is not among the 2"),
        ([Node(0, 0.5, 2, True)], [], "a tree needs 1 to 64 leaves"),
        ([Node(0, 0.5, 2, True)], [0.0] * 65, "a tree needs 1 to 64 leaves"),
        ([Node(0, 0.5, 2, True)], [0.0] * 3, "leaves no leaf"),
        ([Node(0, 0.5, 1, True)], [0.0, 1.0], "leaves no leaf"),
        ([Node(0, 0.5, 1, True, b"\1\1")], [0.0, 1.0], "leaves no leaf"),
    ],
)
def test_what_is_no_tree_is_refused(nodes, leaves, message):
    with pytest.raises(ValueError, match=message):
        Forest(2, 1, [(nodes, leaves)])


def test_another_version_of_the_format_is_left_to_lightgbm():
    assert Forest.read(any_booster(True).model_to_string().replace("version=v4", "version=v5")) is None


def test_every_other_row_and_column():
    booster = grown(rows(2000))
    wide = np.repeat(np.repeat(rows(300, seed=5), 2, axis=0), 2, axis=1)
    found = Forest.read(booster.model_to_string()).sums(wide[::2, ::2])
    assert np.array_equal(found, booster.predict(wide[::2, ::2], raw_score=True))


@pytest.mark.parametrize("rounds", [1, 7, 30, 99])
def test_the_first_rounds(rounds):
    booster = grown(rows(2000), objective="multiclass", num_class=3)
    other = rows(100, seed=6)
    found = Forest.read(booster.model_to_string()).sums(other, rounds)
    assert np.array_equal(found, booster.predict(other, raw_score=True, num_iteration=rounds))


@pytest.mark.parametrize(
    "settings",
    [
        {"num_leaves": 65, "min_data_in_leaf": 1},
        {"zero_as_missing": True},
        {"linear_tree": True},
        {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    ],
    ids=str,
)
def test_trees_of_another_kind_are_left_to_lightgbm(settings):
    booster = grown(rows(2000), **settings)
    assert Forest.read(booster.model_to_string()) is None
    logits = LightGBMTrees(booster, np.zeros(())).logits(rows(WORTH_READING))
    assert np.array_equal(logits, booster.predict(rows(WORTH_READING), raw_score=True))


def test_a_model_takes_it_for_many_rows(monkeypatch):
    booster = grown(rows(2000))
    trees, asked = LightGBMTrees(booster, np.float64(0.25)), []

    def sums(_, matrix, rounds):
        asked.append((len(matrix), rounds))
        return np.zeros(len(matrix))

    monkeypatch.setattr(Forest, "sums", sums)
    trees.logits(rows(WORTH_READING - 1))
    assert asked == []
    assert np.array_equal(trees.logits(rows(WORTH_READING)), np.full(WORTH_READING, 0.25))
    assert asked == [(WORTH_READING, None)]


@pytest.mark.parametrize("matrix", [np.zeros((3, 5)), np.zeros(6)])
def test_what_does_not_fit_is_refused(matrix):
    with pytest.raises(ValueError, match=r"but the trees take \(N, 6\)"):
        Forest.read(grown(rows(2000)).model_to_string()).sums(matrix)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(TINY), min_size=6, max_size=6),
    missing=st.booleans(),
)
def test_any_values(values, missing):
    booster = any_booster(missing)
    row = np.array([values])
    assert np.array_equal(Forest.read(booster.model_to_string()).sums(row), booster.predict(row, raw_score=True))
