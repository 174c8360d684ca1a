"""No choice hangs on the last digits: rows in another order, copies or weights, scores a few last units off.

The tables are of a kind that is full of ties: few rows, scores rounded to one digit or two, some of them computed on
another path than their equals.
"""

import numpy as np
import pytest

import counterpoise as cp
from counterpoise import goals
from counterpoise.decide.measured import measure_binary, ranking
from counterpoise.decide.threshold import best_threshold, decision_at
from counterpoise.goals import CostMatrix, Goal
from counterpoise.ties import HAIR, first_largest, last_of_each, levels, one_score

GOALS = [
    "f1",
    "f2",
    "mcc",
    "g_mean",
    "balanced_accuracy",
    "macro_f1",
    "average_precision",
    "recall where precision >= 0.5",
    "precision where recall >= 0.5",
    "recall where alerts <= 30%",
    "cost fn=9 fp=1",
    "cost fn=0.00009 fp=0.00001 tp=-0.00002",
]
BANDS = ["precision >= 0.6 and recall >= 0.6", "f1 with review <= 20%", "cost fn=9 fp=1 with review <= 10%"]
CALIBRATIONS = ["auto", "temperature", "platt", "beta", "isotonic", "venn_abers"]
GRID = np.linspace(0.013, 0.987, 75)


def table(seed, classes=2):
    """Targets, scores with many ties, and whole weights."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(20, 60))
    if classes == 2:
        score = np.round(rng.beta(1.2, 2.0, rows), 1 + seed % 2).clip(0.01, 0.99)
        target = rng.random(rows) < 0.1 + 0.7 * score
    else:
        score = np.round(rng.dirichlet(np.ones(classes), rows), 1) + 0.1
        score /= score.sum(axis=1, keepdims=True)
        target = (score.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    target = np.asarray(target, np.int64)
    target[: 2 * classes] = np.repeat(np.arange(classes), 2)
    return target, score, rng.integers(0, 4, rows).astype(np.float64) + (np.arange(rows) < 2 * classes)


def off(score, seed):
    """The same scores by other paths: each one to four units in the last place up or down, or as it is."""
    units = np.random.default_rng(seed).integers(-4, 5, score.shape)
    return np.clip(score + units * np.spacing(score), 0.0, 1.0)


def ways(seed, classes=2):
    """Ways to say the same rows: (target, score, weight), the plainest first."""
    target, score, weight = table(seed, classes)
    order = np.random.default_rng(seed).permutation(len(target))
    copies = np.repeat(np.arange(len(target)), weight.astype(int))
    yield target[copies], score[copies], None
    yield target[copies[::-1]], off(score[copies[::-1]], seed), None
    yield target, score, weight
    yield target[order], off(score[order], seed + 1), weight[order]


def unwhole(seed):
    """The same with weights that sum to no whole number: only sums in another order tell these ways apart."""
    target, score, weight = table(seed)
    order = np.random.default_rng(seed).permutation(len(target))
    weight = 0.1 * weight
    yield target, score, weight
    yield target[order], score[order], weight[order]
    yield target[order], off(score[order], seed), weight[order]
    yield target[::-1], off(score[::-1], seed + 1), weight[::-1]


def assert_alike(answers, tolerance=1e-9):
    first, *others = answers
    for other in others:
        np.testing.assert_allclose(other, first, rtol=tolerance, atol=tolerance)


SEEDS = range(8)


@pytest.mark.parametrize("goal", GOALS)
def test_threshold(goal):
    for seed in SEEDS:
        assert_alike(best_threshold(target, score, goals.goal(goal), weight) for target, score, weight in ways(seed))
        found = [cp.decide.choose_threshold(*rows[:2], goal, sample_weight=rows[2]) for rows in unwhole(seed)]
        assert_alike([one.threshold, one.value, one.met, one.promised] for one in found)


@pytest.mark.parametrize("goal", BANDS)
def test_review_band(goal):
    for seed in SEEDS:
        for rows in (ways(seed), unwhole(seed)):
            found = [cp.decide.choose_review_band(*one[:2], goal, sample_weight=one[2]) for one in rows]
            # copies are rows, which make promises; weights make none
            for part in (found[:2], found[2:]) if found[0].promised else (found,):
                assert_alike([one.lower, one.upper, one.value, one.met, one.promised] for one in part)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_calibration(method):
    for seed in SEEDS:
        own = table(seed)[1]
        for rows in (ways(seed), unwhole(seed)):
            found = [cp.decide.calibrate(*one[:2], method, sample_weight=one[2]) for one in rows]
            assert len({one.method for one in found}) == 1
            assert_alike(one(GRID) for one in found)
            assert_alike(one(off(own, place)) for place, one in enumerate(found))  # new scores by yet other paths


@pytest.mark.parametrize("method", ["auto", "vector", "platt", "isotonic", "venn_abers"])
def test_calibration_of_several_classes(method):
    for seed in SEEDS[:6]:
        own = table(seed, classes=3)[1]
        found = [cp.decide.calibrate(*one[:2], method, sample_weight=one[2]) for one in ways(seed, classes=3)]
        assert len({one.method for one in found}) == 1
        assert_alike(one(off(own, place)) for place, one in enumerate(found))


@pytest.mark.parametrize("goal", ["macro_f1", "balanced_accuracy", "g_mean", "mcc"])
def test_class_thresholds(goal):
    for seed in SEEDS:
        own = table(seed, classes=3)[1]
        found = [cp.decide.choose_class_thresholds(*one[:2], goal, sample_weight=one[2]) for one in ways(seed, 3)]
        assert len({one.tau for one in found}) == 1
        assert_alike(one.apply(off(own, place)) for place, one in enumerate(found))


@pytest.mark.parametrize("kind", ["ece", "smooth"])
@pytest.mark.parametrize("positive_only", [False, True])
def test_calibration_error(kind, positive_only):
    for seed in SEEDS:
        assert_alike(
            cp.decide.calibration_error(target, score, kind, positive_only, bins=4, sample_weight=weight)
            for target, score, weight in ways(seed)
        )


def test_brier_score_and_rankings():
    for seed in SEEDS:
        brier = [cp.decide.brier_score(*one[:2], sample_weight=one[2]) for one in ways(seed)]
        assert_alike([one.reliability, one.resolution, one.value] for one in brier)
        ranked = [
            ranking(target, score, (np.ones(len(target)) if weight is None else weight)[None])
            for target, score, weight in ways(seed)
        ]
        assert_alike([one["average_precision"][0], one["roc_auc"][0]] for one in ranked)


def test_decisions_for_rows():
    matrix = CostMatrix(("a", "b", "c"), [[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    for seed in SEEDS:
        target, score, _ = table(seed, classes=3)
        several, two = [score, off(score, 1), off(score, 2)], [table(seed)[1], off(table(seed)[1], 1)]
        assert_alike(cp.decide.decide_by_cost(one, matrix) for one in several)
        assert_alike(cp.decide.calibrate_sets(target, score, 0.5).sets(one) for one in several)
        assert_alike(cp.decide.decide_by_cost(one, "cost fn=1 fp=1") for one in two)
        assert_alike(cp.decide.decide_by_cost(one, "cost fn=7 fp=3") for one in two)
        for k in (1, 5, 9):
            assert_alike(cp.decide.top_k(one, k) for one in two)
        one = cp.decide.AgainstRest(target == 2, score[:, 2], Goal("f1"), 2)
        assert_alike(one.classes(rows, np.zeros(len(target))) for rows in several)


def test_a_known_threshold_where_scores_lie():
    target, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.3, 0.1 + 0.2, 0.7 - 0.4])
    for cut in (0.3, 0.1 + 0.2, 0.7 - 0.4):
        assert decision_at(cut, target, score, Goal("f1")).confusion.alerts == 0.75
        assert measure_binary(target, score, cut - 0.1, "f1")["roc_auc"].value == 0.75


@pytest.mark.parametrize("level", [0.6, 0.59999999999999998, 3 * 0.2])
def test_a_promise_on_rounded_scores(level):
    """Rows whose odds are just 1.5 times those of the bound, by several paths: where the tests of precision start."""
    target = np.repeat([1, 0, 0, 1], [60, 30, 200, 10])
    score = np.repeat([level, level, 0.2, 0.2], [60, 30, 200, 10])
    found = cp.decide.choose_threshold(target, score, "recall where precision >= 0.5")
    assert found.promised
    assert (found.confusion.tp, found.confusion.fp) == (60, 30)
    assert found.apply([0.6, 3 * 0.2, np.nextafter(0.6, 0)]).all()


def test_a_run_that_is_no_rounding_keeps_its_scores():
    """A model may be sure of nothing and yet rank: scores so near to each other that a chain of hairs joins them."""
    score = 0.5 + 1e-13 * np.arange(100)
    target = np.arange(100) >= 90
    assert len(np.unique(one_score(score))) == 100
    found = cp.decide.choose_threshold(target, score, "f1")
    assert found.value == 1.0
    assert found.apply(score).tolist() == target.tolist()


def test_what_is_equal_to_rounding():
    half = 0.5
    near, far = half * (1 - HAIR / 2), half * (1 - 2 * HAIR)
    assert last_of_each(np.array([half, near, far, 0.0])).tolist() == [1, 2, 3]
    assert one_score(np.array([near, 0.0, half, far, 1e-300])).tolist() == [near, 0.0, near, far, 1e-300]
    assert one_score(np.empty(0)).size == 0
    assert first_largest([-np.inf, 1.0, 1.0 + 1e-12]) == 1
    assert first_largest([[0.0, 1.0], [1.0, 1.0]]).tolist() == [1, 0]
    assert levels([]).tolist() == []
    assert levels([2.0, 1.0, 2.0 - 1e-12, 3.0]).tolist() == [1, 0, 1, 2]
