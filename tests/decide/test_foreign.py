"""Weights and sampling are taken out of foreign models' probabilities, and real libraries' models become honest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.decide import undo_sampling, undo_weights
from counterpoise.errors import UserError

RATIO = 19.0


@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=9),
    weight=st.floats(1e-6, 1e6),
)
def test_a_weight_that_was_put_in_is_taken_out(p, weight):
    p = np.array(p)
    distorted = weight * p / (weight * p + (1 - p))
    found = undo_weights(distorted, weight)
    certain = (p == 0) | (p == 1)
    np.testing.assert_array_equal(found[certain], p[certain])
    # 1 - p has lost digits where the weight has pushed p to 1
    np.testing.assert_allclose(found, p, rtol=1e-14 * max(weight, 1) * 100, atol=1e-14)
    rows = np.stack([1 - distorted, distorted], axis=1)
    np.testing.assert_allclose(undo_weights(rows, [1, weight])[:, 1], found, rtol=1e-12, atol=1e-300)
    assert (np.diff(found[np.argsort(distorted)]) >= 0).all()


def test_several_classes():
    rng = np.random.default_rng(0)
    p, weights = rng.dirichlet(np.ones(4), size=7), np.array([1.0, 10.0, 0.2, 3.0])
    distorted = p * weights / (p * weights).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(undo_weights(distorted, weights), p, rtol=1e-12)
    np.testing.assert_allclose(undo_weights(distorted, 100 * weights), p, rtol=1e-12)
    np.testing.assert_allclose(undo_sampling(distorted, weights / 10), p, rtol=1e-12)


def test_labels_have_a_weight_each():
    q = np.random.default_rng(0).random((6, 2))
    found = undo_weights(q, [3.0, 5.0], multilabel=True)
    for label, weight in enumerate([3.0, 5.0]):
        np.testing.assert_array_equal(found[:, label], undo_weights(q[:, label], weight))
    np.testing.assert_array_equal(undo_weights(q, 3.0, multilabel=True)[:, 1], undo_weights(q[:, 1], [1, 3]))


def test_under_sampling_is_dal_pozzolos_formula():
    q, beta = np.linspace(0, 1, 11), 0.02
    np.testing.assert_allclose(undo_sampling(q, [beta, 1.0]), beta * q / (beta * q - q + 1), rtol=1e-14)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: undo_weights([0.5], 0.0), "weights is 0; it must be a finite number above 0"),
        (lambda: undo_weights([0.5], [1.0, -2.0]), r"weights\[1\] is -2"),
        (lambda: undo_weights([0.5], [1.0, np.inf]), r"weights\[1\] is inf"),
        (lambda: undo_weights([0.5], [1, 2, 3]), r"weights has shape \(3,\)"),
        (lambda: undo_weights([[0.5, 0.3, 0.2]], 2.0), r"weights has shape \(2,\), but probability has 3 classes"),
        (lambda: undo_weights([0.5, 1.5], 2.0), "probability 1.5 in row 1"),
        (lambda: undo_weights([[0.5, 0.7]], [1, 2]), "work on one column at a time"),
        (lambda: undo_weights([0.5], 2.0, multilabel=True), r"it must be \(N, L\)"),
        (lambda: undo_weights([[0.5, 0.7]], [1, 2, 3], multilabel=True), "has 2 labels"),
        (lambda: undo_sampling([0.5], 0.1), "does not name its class"),
        (lambda: undo_sampling([0.5], [0.1, np.nan]), r"rates\[1\] is nan"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.fixture(scope="module")
def table():
    """Rows of one feature of ten values, so that a tree finds the true p(y | x) of each."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 10, size=60_000)
    p = 0.2 / (1 + np.exp(4 - x * 0.6))
    return x[:, None].astype(float), (rng.random(len(x)) < p).astype(int), p


def rates_of_values(x, y):
    values = x[:, 0].astype(int)
    return (np.bincount(values, y) / np.bincount(values))[values]


@pytest.mark.parametrize("undo", [undo_weights, undo_sampling])
def test_a_mapping_is_in_class_order(undo):
    q = np.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])
    np.testing.assert_array_equal(undo(q, {2: 5.0, 0: 1.0, 1: 3.0}), undo(q, [1.0, 3.0, 5.0]))
    np.testing.assert_array_equal(undo(q[:, 0], {1: 19.0, 0: 1.0}), undo(q[:, 0], [1.0, 19.0]))
    np.testing.assert_array_equal(undo(q[:, 0], {True: 19.0, np.int64(0): 1}), undo(q[:, 0], [1.0, 19.0]))
    for mapping in ({}, {0: 1.0}, {0: 1.0, 1: 2.0, 2: 3.0}, {"no": 1.0, "yes": 2.0}):
        with pytest.raises(UserError, match=r"(names|has no entry for class) .*; the classes are 0, 1, and the keys"):
            undo(q[:, 0], mapping)
    with pytest.raises(UserError, match=r"\[1\] is -2; it must be a finite number above 0"):
        undo(q[:, 0], {0: 1.0, 1: -2.0})


def test_labels_take_no_mapping_of_classes():
    with pytest.raises(UserError, match="labels that exclude nothing"):
        undo_weights([[0.5, 0.5]], {0: 1.0, 1: 2.0}, multilabel=True)


def test_xgboost_scale_pos_weight(table):
    import xgboost

    x, y, _ = table
    model = xgboost.XGBClassifier(
        scale_pos_weight=RATIO,
        n_estimators=60,
        learning_rate=0.3,
        max_depth=4,
        reg_lambda=0,
        min_child_weight=0,
        n_jobs=1,
    ).fit(x, y)
    q = model.predict_proba(x)
    assert q[:, 1].mean() > 5 * y.mean()
    np.testing.assert_allclose(undo_weights(q[:, 1], RATIO), rates_of_values(x, y), atol=2e-4)
    np.testing.assert_allclose(undo_weights(q, [1, RATIO])[:, 1], rates_of_values(x, y), atol=2e-4)


def test_lightgbm_scale_pos_weight(table):
    import lightgbm

    x, y, _ = table
    model = lightgbm.LGBMClassifier(
        scale_pos_weight=RATIO, n_estimators=80, learning_rate=0.3, num_leaves=16, n_jobs=1, verbosity=-1
    ).fit(x, y)
    q = model.predict_proba(x)[:, 1]
    assert q.mean() > 5 * y.mean()
    np.testing.assert_allclose(undo_weights(q, RATIO), rates_of_values(x, y), atol=2e-4)


def test_scikit_learns_balanced_class_weight(table):
    from sklearn import linear_model

    x, y, _ = table
    one_hot = np.eye(10)[x[:, 0].astype(int)]
    prior = np.bincount(y) / len(y)
    model = linear_model.LogisticRegression(class_weight="balanced", C=np.inf, tol=1e-8, max_iter=1000).fit(one_hot, y)
    q = model.predict_proba(one_hot)
    assert q[:, 1].mean() > 5 * y.mean()
    np.testing.assert_allclose(undo_weights(q, 1 / prior)[:, 1], rates_of_values(x, y), atol=2e-4)


def test_logistic_regression_on_under_sampled_rows(table):
    from sklearn import linear_model

    x, y, p = table
    kept = (y == 1) | (np.random.default_rng(1).random(len(y)) < 0.1)
    one_hot = np.eye(10)[x[:, 0].astype(int)]
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(one_hot[kept], y[kept])
    q = model.predict_proba(one_hot)[:, 1]
    assert q.mean() > 5 * y.mean()
    found = undo_sampling(q, [0.1, 1.0])
    np.testing.assert_allclose(found, p, atol=0.015)  # 6,000 rows a value, of which about 600 negatives were kept
    assert abs(found.mean() - y.mean()) < 0.004
