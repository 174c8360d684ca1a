"""The true class is in the set as often as was said, in each class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.decide import calibrate_sets
from counterpoise.errors import UserError

COUNTS = [400, 60, 25, 9]


def draw(rng, target, sharp=2.0):
    """Overconfident probabilities of a model that tells class 3 badly."""
    logit = rng.normal(size=(len(target), 4)) + sharp * np.eye(4)[target] * [1, 1, 1, 0.2]
    odds = np.exp(3 * logit)
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("confidence", [0.8, 0.9])
def test_coverage_in_each_class(confidence):
    rng = np.random.default_rng(0)
    target, new = np.repeat(range(4), COUNTS), np.repeat(range(4), 200)
    covered = np.zeros((600, 4))
    for one in covered:
        sets = calibrate_sets(target, draw(rng, target), confidence).sets(draw(rng, new))
        one[:] = sets[np.arange(800), new].reshape(4, 200).mean(axis=1)
    error = 3 * covered.std(axis=0) / np.sqrt(len(covered))
    exact = 1 - np.floor((1 - confidence) * (np.array(COUNTS) + 1) + 1e-9) / (np.array(COUNTS) + 1)
    assert np.all(exact >= confidence - 1e-9)
    assert np.all(np.abs(covered.mean(axis=0) - exact) < error + 1e-9)


def test_all_rows_together_would_forsake_the_rare_class():
    rng = np.random.default_rng(0)
    target, new = np.repeat(range(4), [4000, 600, 250, 90]), np.repeat(3, 2000)
    probability, others = draw(rng, target), draw(rng, new)
    together = np.quantile(probability[np.arange(len(target)), target], 0.1)
    assert (others[:, 3] >= together).mean() < 0.6
    assert calibrate_sets(target, probability, 0.9).sets(others)[:, 3].mean() > 0.8


@given(
    seed=st.integers(0, 1000),
    rows=st.integers(0, 30),
    digits=st.sampled_from([1, 8]),
    confidence=st.sampled_from([0.5, 0.75, 0.9, 0.95]),
)
def test_no_more_than_the_share_of_the_calibration_rows_is_left_out(seed, rows, digits, confidence):
    rng = np.random.default_rng(seed)
    target = np.r_[np.zeros(12, int), np.ones(rows, int)]
    p = rng.random(len(target)).round(digits)
    probability = np.stack([1 - p, p], axis=1)
    found = calibrate_sets(target, probability, confidence)
    left_out = ~found.sets(probability)[target == 1, 1]
    allowed = round((1 - confidence) * (rows + 1), 9)
    assert left_out.sum() <= max(0, int(allowed) - 1)
    if digits == 8 and allowed >= 1:  # without ties, none is kept in vain
        assert left_out.sum() == int(allowed) - 1
    assert (1 in found.too_few) == (allowed < 1)
    if allowed < 1:
        assert found.threshold[1] == 0


def test_a_class_with_too_few_rows_is_in_every_set_and_it_is_said():
    rng = np.random.default_rng(0)
    target = np.repeat(range(4), [400, 60, 8, 0])
    found = calibrate_sets(target, draw(rng, target), 0.9)
    assert found.too_few.tolist() == [2, 3]
    assert found.rows.tolist() == [400, 60, 8, 0]
    assert found.sets(draw(rng, target))[:, 2:].all()
    assert found.reason.endswith("2 of 4 classes have fewer than 9 rows and are in every set")


@pytest.mark.parametrize(
    "target, probability, confidence, message",
    [
        ([0, 2], [[0.5, 0.5], [0.1, 0.9]], 0.9, "target 2 in row 1 is not a class"),
        ([0, 1], [[0.5, 0.5], [0.1, np.nan]], 0.9, "probability nan in row 1, class 1"),
        ([0, 1], [0.5, 0.5], 0.9, r"shapes \(N,\) and \(N, C\)"),
        ([], np.zeros((0, 2)), 0.9, "N and C at least 1"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], 90, "confidence is 90"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], 1.0, "less than 1"),
    ],
)
def test_bad_input(target, probability, confidence, message):
    with pytest.raises(UserError, match=message):
        calibrate_sets(target, probability, confidence)


@pytest.mark.parametrize(
    "probability, message",
    [([0.5, 0.5], r"must be \(N, 2\)"), ([[0.5, 0.2, 0.3]], r"must be \(N, 2\)"), ([[0.5, 2]], "2.0")],
)
def test_bad_rows(probability, message):
    found = calibrate_sets([0, 1], [[0.5, 0.5], [0.1, 0.9]])
    with pytest.raises(UserError, match=message):
        found.sets(probability)
