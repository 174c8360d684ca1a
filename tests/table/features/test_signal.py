"""What one column says: against scikit-learn's AUC, brute force, and columns that say nothing."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from counterpoise.table.features.signal import FOLDS, MISSING, _pairs_in_order, cells_of, signal


@given(
    scores=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_pairs_in_order_are_those_of_roc_auc(scores, data):
    table = np.array([data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=2)) for _ in scores])
    score = np.array(scores, float)
    won, of = _pairs_in_order(np.stack([-score, score], axis=1), table, table[:, ::-1])
    rows = np.repeat(score, table.sum(axis=1))
    truth = np.concatenate([[0] * a + [1] * b for a, b in table])
    assert of[0] == of[1] == table[:, 0].sum() * table[:, 1].sum()
    if of[1]:
        np.testing.assert_allclose(won / of, metrics.roc_auc_score(truth, rows))


def drawn(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    return rng, (rng.random(rows) < 0.1).astype(np.int64), rng.permutation(rows) % FOLDS


def test_a_number_is_worth_its_auc():
    rng, codes, fold = drawn()
    number = rng.normal(size=4000) + 1.5 * codes
    found = signal(cells_of(pl.Series(number), codes == 1), codes, fold, 2)
    assert abs(found.auc[1] - metrics.roc_auc_score(codes, number)) < 0.04
    assert found.auc[0] == pytest.approx(found.auc[1])


@pytest.mark.parametrize("kind", ["number", "category", "unique", "constant", "missing"])
def test_noise_says_nothing(kind):
    rng, codes, fold = drawn()
    column = {
        "number": pl.Series(rng.normal(size=4000)),
        "category": pl.Series(rng.integers(0, 800, 4000)).cast(pl.String),
        "unique": pl.Series(rng.permutation(4000)).cast(pl.String),
        "constant": pl.Series(["a"] * 4000),
        "missing": pl.Series([None] * 4000, dtype=pl.String),
    }[kind]
    found = signal(cells_of(column, codes == 1), codes, fold, 2)
    assert abs(found.auc[1] - 0.5) < 0.05
    assert found.wrong[1] >= codes.sum() - 5


def test_a_threshold_that_separates_has_no_wrong_row():
    rng, codes, fold = drawn()
    number = np.where(codes == 1, rng.integers(1000, 90_000, 4000), rng.integers(0, 1000, 4000))
    assert signal(cells_of(pl.Series(number), codes == 1), codes, fold, 2).wrong.tolist() == [0, 0]


def test_wrong_rows_of_several_classes_are_counted_as_they_are():
    codes = np.repeat([0, 1, 2], [50, 30, 20])
    value = codes.copy()
    value[:5] = 2
    fold = np.arange(100) % FOLDS
    found = signal(cells_of(pl.Series(value).cast(pl.String), classes=3), codes, fold, 3)
    assert found.wrong.tolist() == [5, 0, 5]
    assert found.auc[1] == 1.0


def test_a_class_of_fewer_rows_than_folds_has_no_auc():
    codes = np.repeat([0, 1], [50, FOLDS - 1])
    assert np.isnan(signal(cells_of(pl.Series(codes)), codes, np.arange(54) % FOLDS, 2).auc).tolist() == [False, True]


@pytest.mark.parametrize(
    "column, places",
    [
        (pl.Series([True, None, False]), [2, 0, 1]),
        (pl.Series([float("inf"), -float("inf"), None, 0.0]), [3, 1, 0, 2]),
        (pl.Series(["2024-01-01", None, "2023-01-01"]).str.to_date(), [2, 0, 1]),
        (pl.Series(["x", "x", None], dtype=pl.Categorical), [1, 1, 0]),
        (pl.Series([None, None]), [0, 0]),
        (pl.Series([float("nan"), float("nan")]), [0, 0]),
    ],
)
def test_cells_of_every_type(column, places):
    assert cells_of(column).place.tolist() == places


def test_lists_have_no_cells():
    assert cells_of(pl.Series([[1], [2]])) is None


def test_many_numbers_keep_their_order_and_their_missing_cells():
    rng = np.random.default_rng(0)
    values = np.round(rng.lognormal(size=30_000), 3)
    values[:7] = np.nan
    cells = cells_of(pl.Series(values), rng.random(30_000) < 0.01)
    assert (cells.place[:7] == MISSING).all() and (cells.place[7:] > MISSING).all()
    order = np.argsort(values[7:], kind="stable")
    assert (np.diff(cells.place[7:][order]) >= 0).all()
    assert len(np.unique(cells.place)) > 100


def test_names_are_those_of_the_cells():
    column = pl.Series(["b", "a", None, "b"])
    cells = cells_of(column)
    assert [None if place == 0 else cells.names[place - 1] for place in cells.place] == column.to_list()
