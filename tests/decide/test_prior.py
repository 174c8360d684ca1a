"""Probabilities move to another prior by Bayes' rule, and the prior of unlabelled rows is the most likely one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.decide import adjust_prior, estimate_prior
from counterpoise.errors import UserError


def densities(x, means):
    return np.exp(-((x[:, None] - np.asarray(means)) ** 2) / 2)


def posterior(x, means, prior):
    joint = densities(x, means) * prior
    return joint / joint.sum(axis=1, keepdims=True)


def drawn(rng, n, means, prior):
    return np.asarray(means)[rng.choice(len(means), n, p=prior)] + rng.normal(size=n)


shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(lambda one: np.array(one) / sum(one))


@given(old=shares, new=shares, seed=st.integers(0, 99))
def test_it_is_bayes_rule_of_the_densities(old, new, seed):
    x = np.random.default_rng(seed).normal(size=20) * 3
    means = [0.0, 1.0, 4.0]
    moved = adjust_prior(posterior(x, means, old), old, to=new)
    np.testing.assert_allclose(moved, posterior(x, means, new), rtol=1e-12)


@given(old=shares, new=shares)
def test_there_and_back(old, new):
    rows = np.random.default_rng(0).dirichlet(np.ones(3), size=9)
    np.testing.assert_allclose(adjust_prior(adjust_prior(rows, old, to=new), new, to=old), rows, rtol=1e-12)


def test_it_is_the_recipes_posterior():
    logits = np.random.default_rng(0).normal(size=(9, 3))
    recipe = cp.softmax.weighted([700, 200, 100])
    wanted = [0.2, 0.3, 0.5]
    moved = adjust_prior(recipe.posterior(logits), recipe.prior, to=wanted)
    np.testing.assert_allclose(moved, recipe.posterior(logits, prior=wanted), rtol=1e-12)


def test_the_forms_of_a_binary_prior_agree():
    p = np.array([0.0, 0.1, 0.9, 1.0])
    counts = cp.count([0] * 9 + [1])
    expected = adjust_prior(np.stack([1 - p, p], axis=1), [0.9, 0.1], to=[0.5, 0.5])[:, 1]
    for prior, to in ((0.1, 0.5), (counts.prior, [0.5, 0.5]), (counts, 0.5)):
        np.testing.assert_array_equal(adjust_prior(p, prior, to=to), expected)
    assert expected[0] == 0
    assert expected[-1] == 1


def test_labels_are_moved_one_by_one():
    p = np.random.default_rng(0).random((5, 2))
    counts = cp.LabelCounts([10, 50], total=100)
    moved = adjust_prior(p, counts, to=[0.2, 0.3], multilabel=True)
    for label, (old, new) in enumerate([(0.1, 0.2), (0.5, 0.3)]):
        np.testing.assert_array_equal(moved[:, label], adjust_prior(p[:, label], old, to=new))


def test_certain_and_tiny_probabilities():
    np.testing.assert_array_equal(adjust_prior([[1.0, 0.0], [0.0, 1.0]], 0.5, to=1e-9), [[1, 0], [0, 1]])
    np.testing.assert_allclose(adjust_prior([1e-300], 0.5, to=1e-9), [1e-309], rtol=1e-6)
    np.testing.assert_array_equal(adjust_prior([0.5], 0.5, to=0.0), [0])  # a class ruled out
    assert adjust_prior(np.zeros((0, 3)), [0.2, 0.3, 0.5], to=[0.3, 0.3, 0.4]).shape == (0, 3)


@pytest.mark.parametrize(
    "probability, prior, to, message",
    [
        ([0.5], [0.5, 0.4], 0.1, "prior sums to 0.9"),
        ([0.5], 0.5, [0.5, 0.6], "to sums to 1.1"),
        ([0.5], 1.5, 0.5, "prior holds 1.5"),
        ([0.5], [0.2, 0.3, 0.5], 0.5, r"prior has shape \(3,\), but probability \(N,\) has two classes"),
        ([[0.5, 0.2, 0.3]], 0.5, [0.2, 0.3, 0.5], r"prior has shape \(2,\), but probability has 3 classes"),
        ([0.5], [1.0, 0.0], 0.5, "prior is 0 for class 1"),
        ([0.5, 1.0], 0.5, 0.0, "row 1 lies only on what the new prior excludes"),
        ([0.5, np.nan], 0.5, 0.1, "probability nan in row 1"),
        ([[0.5, 0.9]], 0.5, 0.1, "sums to 1.4 in row 0"),
        ([[0.5]], 0.5, 0.1, r"shape \(1, 1\)"),
        (["x"], 0.5, 0.1, "must be numbers"),
    ],
)
def test_bad_input(probability, prior, to, message):
    with pytest.raises(UserError, match=message):
        adjust_prior(probability, prior, to=to)


def em(probability, prior, steps):
    """The algorithm as published."""
    share = np.array(prior, float)
    for _ in range(steps):
        joint = probability * share / prior
        share = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return share


@pytest.mark.parametrize("means", [[0.0, 3.0], [0.0, 2.0, 5.0], [0.0, 2.0, 4.0, 6.0]], ids=len)
def test_it_is_where_em_ends(means):
    rng = np.random.default_rng(1)
    old = np.full(len(means), 1 / len(means))
    new = np.arange(1, len(means) + 1) / np.arange(1, len(means) + 1).sum()
    p = posterior(drawn(rng, 500, means, new), means, old)
    np.testing.assert_allclose(estimate_prior(p, old), em(p, old, 5000), atol=1e-9)


def test_shifted_data_give_their_prior():
    rng = np.random.default_rng(2)
    old, new = np.array([0.9, 0.08, 0.02]), np.array([0.5, 0.2, 0.3])
    means = [0.0, 2.0, 5.0]
    x = drawn(rng, 40_000, means, new)
    p = posterior(x, means, old)
    found = estimate_prior(p, old)
    # the standard error of a labelled share is 0.0025 here
    np.testing.assert_allclose(found, new, atol=0.015)
    assert np.abs(p.mean(axis=0) - new).max() > 0.05  # averaging does not do it
    np.testing.assert_allclose(adjust_prior(p, old, to=found), posterior(x, means, new), atol=0.02)


def test_two_classes_in_either_form():
    rng = np.random.default_rng(3)
    p = posterior(drawn(rng, 3000, [0.0, 3.0], [0.7, 0.3]), [0.0, 3.0], [0.95, 0.05])
    found = estimate_prior(p[:, 1], 0.05)
    np.testing.assert_allclose(found, estimate_prior(p, [0.95, 0.05]), atol=1e-10)
    np.testing.assert_allclose(found, [0.7, 0.3], atol=0.03)
    labels = estimate_prior(np.stack([p[:, 1], p[:, 1]], axis=1), 0.05, multilabel=True)
    np.testing.assert_array_equal(labels, [found[1], found[1]])


def test_an_absent_class_gets_no_share():
    rng = np.random.default_rng(4)
    means, old = [0.0, 3.0, 8.0], [0.4, 0.3, 0.3]
    p = posterior(drawn(rng, 2000, means, [0.7, 0.3, 0.0]), means, old)
    found = estimate_prior(p, old)
    assert found[2] < 1e-4
    assert found.sum() == pytest.approx(1, abs=1e-15)


def test_certain_rows_are_counted():
    np.testing.assert_allclose(estimate_prior([0, 0, 0, 1] * 3, 0.5), [0.75, 0.25], atol=1e-12)
    np.testing.assert_allclose(
        estimate_prior(np.eye(3)[[0, 1, 1, 2] * 3], np.ones(3) / 3), [0.25, 0.5, 0.25], atol=1e-12
    )


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5), rows=st.integers(30, 80), sharp=st.floats(0.1, 1.0))
def test_no_other_prior_is_more_likely(seed, classes, rows, sharp):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, sharp), size=rows)
    old = rng.dirichlet(np.full(classes, 5.0))
    try:
        found = estimate_prior(p, old)
    except UserError as error:
        assert "contain too little to estimate" in str(error)
        return
    slope = (p / old / (p / old @ found)[:, None]).mean(axis=0)
    # the gap to the largest mean log-likelihood is at most max(slope) - 1, by concavity
    assert slope.max() < 1 + 1e-8


@pytest.mark.parametrize("place", range(9))
def test_rows_that_say_nothing_are_refused_wherever_rounding_leads(place):
    """All rows alike, but for the last digits: what a step is worth is rounding, and on some processors none ends."""
    rng = np.random.default_rng(place)
    prior = rng.dirichlet(np.ones(2 + place % 3))
    rows = np.tile(prior, (50, 1)) * (1 + 1e-16 * rng.integers(-4, 5, (50, len(prior))))
    with pytest.raises(UserError, match="less than 10 labelled rows would"):
        estimate_prior(rows, prior)


def test_ten_rows_that_are_certain_are_just_enough():
    for share in range(1, 10):
        certain = np.repeat([0.0, 1.0], [10 - share, share])
        np.testing.assert_allclose(estimate_prior(certain, 0.3)[1], share / 10, rtol=1e-9)
        with pytest.raises(UserError, match="of 9 rows contain too little"):
            estimate_prior(certain[:9] if share > 1 else certain[1:], 0.3)


@pytest.mark.parametrize(
    "probability, prior, message",
    [
        (np.full(1000, 0.1), 0.1, "less than 10 labelled rows would"),
        (np.tile([0.2, 0.2, 0.6], (50, 1)), [0.2, 0.2, 0.6], "less than 10 labelled rows would"),
        ([0.9], 0.5, "of 1 row contain too little"),
        ([0, 0, 0, 1] * 2, 0.5, "of 8 rows contain too little"),
        (np.zeros(0), 0.5, "no rows"),
        ([0.5], [1.0, 0.0], "prior is 0 for class 1"),
    ],
)
def test_what_cannot_be_estimated(probability, prior, message):
    with pytest.raises(UserError, match=message):
        estimate_prior(probability, prior)
