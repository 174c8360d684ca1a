"""Calibration maps undo what was done to honest probabilities, and "auto" leaves honest ones alone."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn import isotonic
from sklearn.linear_model import LogisticRegression

from counterpoise.decide import Calibrator, calibrate
from counterpoise.decide.isotonic import VennAbersMap
from counterpoise.errors import UserError

OF_TWO = ["none", "temperature", "platt", "beta", "isotonic", "venn_abers"]
OF_MORE = ["none", "temperature", "platt", "vector", "isotonic", "venn_abers"]


def scored(n=4000, centre=-3.0, seed=0):
    """Honest probabilities of a rare class, and what happened."""
    rng = np.random.default_rng(seed)
    honest = expit(rng.normal(centre, 2.0, n))
    return (rng.random(n) < honest).astype(int), honest


def several(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    honest = softmax(rng.normal(size=(n, 3)) * 1.5 + [2.0, 0.0, -1.0], axis=1)
    return (rng.random(n)[:, None] > honest.cumsum(axis=1)).sum(axis=1), honest


DISTORTIONS = {
    "temperature": lambda p: expit(2.5 * logit(p)),
    "platt": lambda p: expit(1.7 * logit(p) + 2.0),
    "beta": lambda p: expit(0.5 * np.log(p) - 2.0 * np.log1p(-p) + 1.0),
    "isotonic": lambda p: np.where(p < 0.1, p / 4, 0.9 * p + 0.1),
    "venn_abers": lambda p: np.where(p < 0.1, p / 4, 0.9 * p + 0.1),
}


@pytest.mark.parametrize("method", DISTORTIONS)
def test_each_method_undoes_its_distortion(method):
    target, honest = scored(20_000)
    found = calibrate(target, DISTORTIONS[method](honest), method)(DISTORTIONS[method](honest))
    # by eye 0.02; the steps of isotonic regression are n^(-1/3)
    mean_gap = np.abs(found - honest).mean()
    assert mean_gap < (0.012 if method in ("isotonic", "venn_abers") else 0.006)
    assert mean_gap < np.abs(DISTORTIONS[method](honest) - honest).mean() / 3


def test_several_classes():
    target, honest = several()
    distorted = softmax(np.log(honest) * [2.0, 1.0, 0.5] + [0.0, 1.0, -1.0], axis=1)
    before = np.abs(distorted - honest).mean()
    gaps = {method: np.abs(calibrate(target, distorted, method)(distorted) - honest).mean() for method in OF_MORE}
    assert gaps["none"] == before
    assert gaps["vector"] < 0.015
    assert gaps["vector"] < min(gaps["platt"], gaps["temperature"], before) / 2
    for method in OF_MORE:
        np.testing.assert_allclose(calibrate(target, distorted, method)(distorted).sum(axis=1), 1, rtol=1e-12)
    assert calibrate(target, distorted).method == "vector"


def test_platt_is_logistic_regression_on_the_log_odds():
    target, honest = scored()
    x = logit(honest)[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, target).predict_proba(x)[:, 1]
    np.testing.assert_allclose(
        calibrate(target, honest, "platt")(honest), peer, rtol=2e-3
    )  # the weak prior on the scale


def test_beta_is_logistic_regression_on_both_logarithms():
    target, honest = scored()
    x = np.stack([np.log(honest), -np.log1p(-honest)], axis=1)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, target)
    assert (peer.coef_ > 0).all()  # else ours would be bounded and not the peer's
    np.testing.assert_allclose(
        calibrate(target, honest, "beta")(honest), peer.predict_proba(x)[:, 1], rtol=5e-3, atol=1e-4
    )


def test_isotonic_is_scikit_learns():
    target, honest = scored(500)
    peer = isotonic.IsotonicRegression(out_of_bounds="clip").fit(honest, target)
    grid = np.linspace(0, 1, 101)
    np.testing.assert_allclose(calibrate(target, honest, "isotonic")(grid), peer.predict(grid), atol=1e-12)


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=12),
    new=st.integers(-1, 11).map(lambda k: k / 10),
)
@settings(max_examples=40, deadline=None)
def test_venn_abers_is_isotonic_regression_with_the_row_added(rows, new):
    score, target, weight = np.array(rows, float).T
    score /= 5
    fitted = VennAbersMap.fit(target, score, weight)
    for x in (new, *score):
        found = [
            isotonic.IsotonicRegression()
            .fit(np.append(score, x), np.append(target, label), sample_weight=np.append(weight, 1.0))
            .predict([x])[0]
            for label in (0.0, 1.0)
        ]
        np.testing.assert_allclose(np.concatenate(fitted.both(np.array([x]))), found, atol=1e-12)
        np.testing.assert_allclose(fitted(np.array([x])), found[1] / (1 - found[0] + found[1]), atol=1e-12)


@pytest.mark.parametrize("method", OF_TWO)
def test_ranking_is_kept(method):
    target, honest = scored(800)
    grid = np.linspace(0, 1, 1001)
    found = calibrate(target, np.sqrt(honest), method)(grid)
    assert (np.diff(found) >= 0).all()
    if method not in ("isotonic", "venn_abers"):
        assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("method", [*OF_TWO, "auto"])
def test_whole_weights_repeat_rows(method):
    target, honest = scored(300)
    weight = np.random.default_rng(1).integers(0, 3, 300)
    repeated = np.repeat(np.arange(300), weight)
    found = calibrate(target, honest, method, sample_weight=weight)(honest)
    again = calibrate(target[repeated], honest[repeated], method)(honest)
    # isotonic regression interpolates between scores of which a weight of 0 leaves some out
    np.testing.assert_allclose(found, again, atol=1e-6)


@pytest.mark.parametrize("name", ["none", "platt", "venn_abers"])
def test_auto_takes_what_was_done(name):
    target, honest = scored(6000, centre=-2.0)
    done = {"none": lambda p: p, "platt": DISTORTIONS["platt"], "venn_abers": lambda p: np.where(p < 0.3, p, 1 - p / 9)}
    said = done[name](honest) if name != "venn_abers" else np.clip(np.abs(honest - 0.35), 1e-3, 1 - 1e-3)
    calibrator = calibrate(target, said)
    if name == "venn_abers":  # not even rising: what a flexible map makes of it beats the others
        assert calibrator.log_loss["venn_abers"] < calibrator.log_loss["platt"]
    assert calibrator.method == name
    assert min(calibrator.log_loss.values()) > 0
    assert calibrator.reason


def test_honest_probabilities_stay_as_they_are():
    kept = 0
    for seed in range(5):
        target, honest = scored(800, seed=seed)
        calibrator = calibrate(target, honest)
        kept += calibrator.method == "none"
    assert kept >= 4
    np.testing.assert_array_equal(Calibrator("none", 2)(honest), honest)


def test_a_folds_seed_is_a_seed():
    target, honest = scored(600)
    first, second, other = (calibrate(target, honest, seed=seed).log_loss for seed in (0, 0, 1))
    assert first == second
    assert first != other


@pytest.mark.parametrize("method", [*OF_TWO, "auto"])
def test_it_survives_pickle_and_json(method):
    target, honest = scored(600)
    calibrator = calibrate(target, np.sqrt(honest), method)
    for other in (
        pickle.loads(pickle.dumps(calibrator)),
        Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict()))),
    ):
        np.testing.assert_array_equal(other(honest), calibrator(honest))
        assert other.to_dict() == calibrator.to_dict()


def test_it_is_frozen():
    calibrator = calibrate(*scored(600), "platt")
    with pytest.raises(AttributeError):
        calibrator.method = "none"
    with pytest.raises(ValueError, match="read-only"):
        calibrator.maps[0].scale[0] = 2.0


def test_the_two_forms_of_two_classes_agree():
    target, honest = scored(600)
    rows = np.stack([1 - honest, honest], axis=1)
    for method in OF_TWO:
        one, two = calibrate(target, honest, method), calibrate(target, rows, method)
        np.testing.assert_allclose(one(honest), two(rows)[:, 1], atol=1e-7)
        np.testing.assert_array_equal(one(rows)[:, 1], one(honest))


def test_other_names_of_methods():
    target, honest = scored(600)
    assert calibrate(target, honest, "identity").method == "none"
    assert calibrate(target, honest, "logistic").method == "platt"
    assert calibrate(target, honest, "sigmoid").method == "platt"
    assert calibrate(target, honest, "vector").method == "beta"


@pytest.mark.parametrize("score", [0.3, 0.3 * (1 + 1e-9 * np.arange(800)), 1e-300])
@pytest.mark.parametrize("method", ["temperature", "platt", "beta"])
def test_scores_that_say_nothing_become_the_share_of_positives(method, score):
    target = np.arange(800) % 5 == 0
    score = np.broadcast_to(score, 800)
    np.testing.assert_allclose(calibrate(target, score, method)(score), 0.2, atol=1e-3)


@pytest.mark.parametrize("method", ["platt", "vector"])
def test_rows_that_say_nothing_become_the_shares_of_the_classes(method):
    target = np.arange(800) % 5 // 2  # 0.4, 0.4, 0.2
    rows = np.tile([0.5, 0.3, 0.2], (800, 1))
    np.testing.assert_allclose(calibrate(target, rows, method)(rows[0:1]), [[0.4, 0.4, 0.2]], atol=1e-5)


def test_zeros_and_ones_and_separable_scores():
    found = calibrate([0, 0, 0, 1, 1], [0.0, 0.1, 0.0, 1.0, 0.9], "platt")([0.0, 0.5, 1.0])
    assert np.isfinite(found).all()
    assert 0 < found[0] < found[1] < found[2] <= 1
    upside_down = calibrate([1, 1, 0, 0, 0], [0.1, 0.2, 0.8, 0.9, 0.9], "platt")
    np.testing.assert_allclose(upside_down([0.1, 0.9]), [0.4, 0.4], atol=1e-6)  # no better rising map than the prior


@pytest.mark.parametrize(
    "target, probability, method, message",
    [
        ([0, 1], [0.1, np.nan], "platt", "probability nan in row 1"),
        ([0, 1], [0.1, 1.2], "platt", "probability 1.2 in row 1"),
        ([0, 0], [0.1, 0.2], "platt", "no row of class 1"),
        ([0, 0, 1], [0.1, 0.2, 0.5], "platt", r"1 row\(s\) of class 1"),
        ([0, 0, 1], [0.1, 0.2, 0.5], "auto", r"1 row\(s\) of class 1"),
        ([0, 0, 1, 1], np.full((4, 3), 1 / 3), "auto", r"0 row\(s\) of class 2.*temperature"),
        ([0, 0], np.full((2, 3), 1 / 3), "temperature", "fewer than two classes"),
        ([0, 5], np.full((2, 3), 1 / 3), "temperature", "target 5 in row 1"),
        ([0, 1, 1], [0.1, 0.5], "platt", "3 values"),
        ([0, 1], [0.1, 0.5], "plat", "did you mean 'platt'"),
    ],
)
def test_bad_input(target, probability, method, message):
    with pytest.raises(UserError, match=message):
        calibrate(target, probability, method)


def test_bad_use():
    calibrator = calibrate(*several(300), "temperature")
    with pytest.raises(UserError, match="2 classes, but the calibrator was fitted on 3"):
        calibrator([0.5])
    with pytest.raises(UserError, match="not the dict of a calibrator"):
        Calibrator.from_dict({"method": "platt"})
    with pytest.raises(UserError, match="not the dict of a calibrator"):
        Calibrator.from_dict(calibrator.to_dict() | {"method": "none"})
    with pytest.raises(UserError, match="sample_weight"):
        calibrate([0, 1], np.full((2, 2), 0.5), "temperature", sample_weight=[1.0, -1.0])


def test_equal_scores_count_as_often_as_they_are():
    rng = np.random.default_rng(0)
    target = rng.random(4000) < 0.05
    scores = np.where(target, rng.choice([0.2, 0.8], 4000, p=[0.4, 0.6]), rng.choice([0.2, 0.8], 4000, p=[0.88, 0.12]))
    calibrator = calibrate(target, scores)
    true = [target[scores == score].mean() for score in (0.2, 0.8)]
    np.testing.assert_allclose(calibrator([0.2, 0.8]), true, atol=0.02)
    np.testing.assert_allclose(calibrate(target, np.full(4000, 0.3))([0.3]), target.mean(), atol=0.01)


@pytest.mark.parametrize("distorted", ["as it is", "squared", "steps", "2 digits", "float32"])
def test_the_race_on_pooled_rows_is_that_on_all(distorted, monkeypatch):
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-7, 3, 12_000)
    honest = 1 / (1 + np.exp(-log_odds))
    target = rng.random(len(honest)) < honest
    said = {
        "as it is": honest,
        "squared": honest**2,
        "steps": np.where(honest < 0.1, honest / 4, 0.9 * honest + 0.1),
        "2 digits": honest.round(2),
        "float32": (1 / (1 + np.exp(-5 * log_odds))).astype(np.float32),
    }[distorted]
    pooled = calibrate(target, said)
    monkeypatch.setattr("counterpoise.decide.calibration._GROUPS", len(said))
    whole = calibrate(target, said)
    assert pooled.method == whole.method
    for name, loss in whole.log_loss.items():
        assert pooled.log_loss[name] == pytest.approx(loss, abs=2e-4)
    np.testing.assert_array_equal(pooled(said), whole(said))  # the one that is chosen is fitted on all rows
