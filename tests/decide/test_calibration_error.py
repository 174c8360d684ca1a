"""Calibration errors are 0 for honest probabilities and the known number for a known distortion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from absent import needs
from counterpoise.decide import brier_score, calibration_error, reliability_curve
from counterpoise.decide.calibration_error import KINDS
from counterpoise.errors import UserError


def scored(n=200_000, centre=-4.0, seed=0):
    rng = np.random.default_rng(seed)
    honest = expit(rng.normal(centre, 1.5, n))
    return (rng.random(n) < honest).astype(int), honest


@pytest.mark.parametrize("kind", KINDS)
def test_honest_probabilities_have_almost_none(kind):
    target, honest = scored()
    assert calibration_error(target, honest, kind) < 0.004
    # 8,000 positives, where p (1 - p) is up to 0.25
    assert calibration_error(target, honest, kind, positive_only=True) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_distortion_has_its_known_error(kind):
    target, honest = scored(centre=0.0)
    said = 0.2 + 0.6 * honest  # off by 0.2 - 0.4 p
    expected = np.abs(said - honest).mean()
    of_positives = (honest * np.abs(said - honest)).mean() / honest.mean()
    # the kernel is as wide as the error, which hides some of a gap that changes its sign; the bins are narrow
    tolerance = 0.003 if kind == "ece" else 0.02
    assert calibration_error(target, said, kind) == pytest.approx(expected, abs=tolerance)
    assert calibration_error(target, said, kind, positive_only=True) == pytest.approx(of_positives, abs=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_gap_is_the_error(kind):
    target = np.repeat([0, 1], [900, 100])
    assert calibration_error(target, np.full(1000, 0.3), kind) == pytest.approx(0.2, abs=1e-4)
    assert calibration_error(target, np.full(1000, 0.3), kind, positive_only=True) == pytest.approx(0.2, abs=1e-4)
    assert calibration_error(target, np.full(1000, 0.1), kind) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_easy_negatives_hide_nothing_from_positive_only(kind):
    rng = np.random.default_rng(0)
    target = np.concatenate([np.zeros(99_000), rng.random(1000) < 0.2])
    said = np.concatenate([np.zeros(99_000), np.full(1000, 0.6)])  # where there are positives it is off by 0.4
    assert calibration_error(target, said, kind) < 0.02
    assert calibration_error(target, said, kind, positive_only=True) == pytest.approx(0.4, abs=0.03)


def test_smooth_is_the_integral_at_its_own_width():
    rng = np.random.default_rng(0)
    said = rng.random(200)
    target = (rng.random(200) < said**2).astype(int)
    found = calibration_error(target, said, "smooth")
    t = (np.arange(4000) + 0.5) / 4000
    kernel = sum(
        np.exp(-((t[:, None] - image) ** 2) / (2 * found**2))
        for shift in range(-4, 5, 2)
        for image in (said + shift, -said + shift)
    ) / np.sqrt(2 * np.pi * found**2)
    assert np.abs(kernel @ (said - target) / 200).mean() == pytest.approx(found, rel=1e-3)


def test_ece_in_equal_mass_bins_is_the_plain_sum():
    rng = np.random.default_rng(0)
    said = np.sort(rng.random(150))
    target = (rng.random(150) < said).astype(int)
    expected = np.abs((target - said).reshape(15, 10).mean(axis=1)).mean()
    assert calibration_error(target, said) == pytest.approx(expected, rel=1e-12)


rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1), st.integers(1, 3)), min_size=2, max_size=30).filter(
    lambda some: 0 < sum(one[0] for one in some) < len(some)
)


@given(some=rows, kind=st.sampled_from(KINDS), positive_only=st.booleans())
@settings(max_examples=25, deadline=None)
def test_it_lies_between_0_and_1_whatever_the_order(some, kind, positive_only):
    target, said, weight = (np.array(column) for column in zip(*some, strict=True))
    found = calibration_error(target, said, kind, positive_only, sample_weight=weight)
    assert 0 <= found <= 1 + 1e-9
    back = slice(None, None, -1)
    again = calibration_error(target[back], said[back], kind, positive_only, sample_weight=weight[back])
    assert again == pytest.approx(found, abs=1e-9)
    place = np.repeat(np.arange(len(target)), weight)
    assert calibration_error(target[place], said[place], kind, positive_only) == pytest.approx(found, abs=1e-9)


def test_several_classes_are_each_against_the_rest():
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.ones(3), 500)
    target = rng.integers(0, 3, 500)
    for kind in KINDS:
        each = [calibration_error((target == k).astype(int), said[:, k], kind) for k in range(3)]
        assert calibration_error(target, said, kind) == pytest.approx(np.mean(each), rel=1e-12)
        assert calibration_error(target, said, kind, positive=2) == each[2]
    parts = [brier_score((target == k).astype(int), said[:, k]).value for k in range(3)]
    assert brier_score(target, said).value == pytest.approx(sum(parts), rel=1e-12)


def test_brier_score_is_scikit_learns():
    from sklearn import metrics

    target, honest = scored(2000, centre=-2.0)
    weight = np.random.default_rng(1).random(2000)
    found = brier_score(target, honest, sample_weight=weight)
    assert found.value == pytest.approx(metrics.brier_score_loss(target, honest, sample_weight=weight), rel=1e-12)


@settings(deadline=None)  # the first call imports scikit-learn
@given(some=rows)
def test_brier_parts_add_up(some):
    needs("sklearn")
    target, said, weight = (np.array(column) for column in zip(*some, strict=True))
    found = brier_score(target, said, sample_weight=weight)
    assert found.value == pytest.approx(found.reliability - found.resolution + found.uncertainty, abs=1e-9)
    assert min(found.reliability, found.resolution) >= 0
    prior = np.average(target, weights=weight)
    assert found.value == pytest.approx(prior * found.positives + (1 - prior) * found.negatives, abs=1e-12)


def test_brier_reliability_sees_the_distortion():
    target, honest = scored(centre=0.0)
    assert brier_score(target, honest).reliability < 2e-3
    said = 0.2 + 0.6 * honest
    assert brier_score(target, said).reliability == pytest.approx(((said - honest) ** 2).mean(), abs=2e-3)
    # the same order of rows has the same resolution
    assert brier_score(target, said).resolution == pytest.approx(brier_score(target, honest).resolution, abs=1e-12)
    assert brier_score(target, np.full(len(target), target.mean())).skill == pytest.approx(0, abs=1e-12)


def test_reliability_curve_is_scikit_learns():
    from sklearn import calibration

    target, honest = scored(1000, centre=0.0)
    found, said = calibration.calibration_curve(target, honest, n_bins=10, strategy="quantile")
    ours = reliability_curve(target, honest, bins=10)
    np.testing.assert_allclose([one.said for one in ours], said, atol=1e-3)
    np.testing.assert_allclose([one.found.value for one in ours], found, atol=0.02)  # quantiles between rows there
    assert sum(one.rows for one in ours) == 1000
    assert sum(one.positives for one in ours) == target.sum()


def test_honest_probabilities_lie_in_the_intervals():
    inside, bins = 0, 0
    for seed in range(20):
        for one in reliability_curve(*scored(5000, seed=seed), positive_only=True):
            inside += one.found.low <= one.said <= one.found.high
            bins += 1
    assert bins >= 200
    assert inside >= 0.92 * bins  # 95 % are expected, of exact intervals some more


def test_bins_of_positives_hold_as_many_positives():
    target, honest = scored(20_000)
    curve = reliability_curve(target, honest, bins=8, positive_only=True)
    held = [one.positives for one in curve]
    if held[0] == 0:  # below the lowest positive
        curve, held = curve[1:], held[1:]
    assert len(held) == 8
    assert max(held) < 1.5 * min(held)
    assert curve[0].rows > 20 * curve[-1].rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truth", [0, 1])
def test_rows_of_one_class_have_an_error_too(kind, truth):
    said = np.linspace(0.1, 0.3, 300)
    assert calibration_error(np.full(300, truth), said, kind) == pytest.approx(abs(truth - 0.2), abs=0.005)
    assert calibration_error(np.full(300, truth), np.full(300, truth), kind) < 1e-4
    (one,) = reliability_curve(np.full(300, truth), said, bins=1)
    assert (one.found.value, one.said) == (truth, pytest.approx(0.2))


def test_a_class_without_rows_counts_among_several():
    said = np.tile([0.5, 0.3, 0.2], (10, 1))
    assert calibration_error([0] * 5 + [1] * 5, said) == pytest.approx((0 + 0.2 + 0.2) / 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: calibration_error([0, 1], [0.1, np.nan]), "probability nan in row 1"),
        (lambda: calibration_error([], []), "target has no row"),
        (lambda: calibration_error([0, 0], [0.1, 0.2], positive_only=True), "target has none"),
        (lambda: reliability_curve([0, 0], [0.1, 0.2], positive_only=True), "target has none"),
        (lambda: brier_score([0, 0], [0.1, 0.2]), "no row of class 1"),
        (lambda: calibration_error([0, 1], [0.1, 0.2], "eec"), "did you mean 'ece'"),
        (lambda: calibration_error([0, 1], [0.1, 0.2], bins=0), "bins is 0"),
        (lambda: calibration_error([0, 1], [0.1, 0.2], positive=1), "positive names a class"),
        (lambda: calibration_error([0, 1], np.full((2, 3), 1 / 3), positive=3), "classes 0 to 2"),
        (lambda: brier_score([0, 1], np.full((2, 3), 1 / 3)), "no row is of class 2"),
        (lambda: reliability_curve([0, 1], [0.1, 0.2], positive=0), "pass 1 - probability"),
        (lambda: reliability_curve([0, 1], [0.1, 0.2], bins=1.5), "bins is 1.5"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(UserError, match=message):
        call()
