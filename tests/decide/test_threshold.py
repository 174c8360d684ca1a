"""The chosen threshold is the best of all there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from absent import needs
from counterpoise import goals
from counterpoise.decide import choose_review_band, choose_threshold
from counterpoise.decide.sweep import NOTHING, sweep_rows, sweep_weighted
from counterpoise.decide.threshold import best_threshold
from counterpoise.errors import UserError
from counterpoise.goals import Confusion

needs("scipy")

GOALS = [
    "f1",
    "f2",
    "f0.5",
    "mcc",
    "g_mean",
    "balanced_accuracy",
    "macro_f1",
    "average_precision",
    "recall where precision >= 0.6",
    "precision where recall >= 0.7",
    "recall where alerts <= 25% and precision >= 0.5",
    "specificity where recall >= 0.9 and precision >= 0.4",
    "recall where fpr <= 0.2",
    "cost fn=5 fp=1",
    "cost fn=5 fp=1 tp=0.5 tn=-0.25 where alerts <= 30%",
]


@st.composite
def scored(draw):
    rows = draw(st.integers(2, 12))
    labels = st.lists(st.integers(0, 1), min_size=rows, max_size=rows)
    target = draw(labels.filter(lambda t: 0 < sum(t) < rows))
    ties = st.integers(0, 5).map(lambda k: k / 5)
    score = draw(st.lists(st.one_of(ties, st.floats(0, 1).map(lambda s: round(s, 9))), min_size=rows, max_size=rows))
    return np.array(target), np.array(score)


def counts(target, score, threshold, weight):
    flagged = score >= threshold
    cells = (target == 1, flagged), (target == 0, flagged), (target == 1, ~flagged), (target == 0, ~flagged)
    return Confusion(*(float(weight[is_class & is_flagged].sum()) for is_class, is_flagged in cells))


def feasible_and_score(goal, target, score, threshold, weight):
    at = counts(target, score, threshold, weight)
    short = 0.0
    for constraint in goal.constraints:
        nothing = at.tp + at.fp == 0 and constraint.rate == "precision"
        short += 2.0 if nothing else float(constraint.shortfall(at))
    return short, float(goal.score(at))


@pytest.mark.parametrize("text", GOALS)
@settings(deadline=None)
@given(batch=scored(), weights=st.none() | st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_no_other_threshold_is_better(text, batch, weights):
    goal = goals.goal(text)
    target, score = batch
    weight = np.ones(len(target)) if weights is None else np.array(weights[: len(target)], float)
    if min(weight[target == 1].sum(), weight[target == 0].sum()) == 0:
        return
    given_weight = None if weights is None else weight
    threshold = best_threshold(target, score, goal, given_weight)
    decision = choose_threshold(target, score, goal, sample_weight=given_weight)
    short, value = feasible_and_score(goal, target, score, threshold, weight)
    assert decision.met == (short == 0)
    assert decision.promised or decision.threshold == threshold
    at = counts(target, score, decision.threshold, weight)
    scale = at.tp + at.fp + at.fn + at.tn
    total = sum((decision.confusion.tp, decision.confusion.fp, decision.confusion.fn, decision.confusion.tn))
    for name in ("tp", "fp", "fn", "tn"):  # weights that are all alike count as ones
        assert getattr(at, name) / scale == pytest.approx(getattr(decision.confusion, name) / total)
    assert goal.value(decision.confusion) == decision.value
    for other in [*score, np.nextafter(1.0, 2.0)]:
        other_short, other_value = feasible_and_score(goal, target, score, other, weight)
        assert other_short >= short - 1e-12
        if other_short == short:
            assert other_value <= value + 1e-9


@given(batch=scored(), repeats=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_weight_is_a_repetition(batch, repeats):
    target, score = batch
    times = np.array(repeats[: len(target)])
    if not (times[target == 1].sum() and times[target == 0].sum()):
        return
    goal = goals.goal("f1")
    weighted = choose_threshold(target, score, goal, sample_weight=times)
    repeated = choose_threshold(np.repeat(target, times), np.repeat(score, times), goal)
    assert weighted.value == pytest.approx(repeated.value)


def test_among_equals_the_fewest_are_flagged():
    assert choose_threshold([1, 0, 0], [0.9, 0.5, 0.1], goals.goal("recall")).confusion.fp == 0


@pytest.mark.parametrize(
    "goal, reason",
    [
        ("recall where precision >= 0.9", "the highest precision with at least one alert is 0.333"),
        ("precision where recall >= 1 and alerts <= 20%", "the lowest alerts where recall >= 1.0 is 1.000"),
        ("f1 where precision >= 0.3 and alerts <= 20%", "no threshold that flags a row keeps alerts <= 0.2"),
        ("f1 where precision >= 0.3 and recall >= 0.9 and fpr <= 0.1", "cannot be met here: "),
    ],
)
def test_what_cannot_be_met_is_said(goal, reason):
    decision = choose_threshold([0, 1, 0], [0.5, 0.5, 0.5], goals.goal(goal))
    assert not decision.met
    assert decision.reason.startswith("this goal cannot be met here: ")
    assert reason in decision.reason


def test_two_bounds_that_exclude_each_other():
    decision = choose_threshold([0, 1, 0, 1], [0.9, 0.8, 0.3, 0.2], goals.goal("f1 where recall >= 1 and fpr <= 0.4"))
    assert decision.reason.endswith("the lowest fpr where recall >= 1.0 is 1.000")


def test_a_goal_met_by_flagging_nothing_says_so():
    decision = choose_threshold([0, 1], [0.9, 0.1], goals.goal("recall where fpr <= 0"))
    assert decision.met
    assert "flags nothing" in decision.reason


def test_a_ranking_takes_the_threshold_of_f1():
    target, score = [0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.7, 0.9]
    ranked = choose_threshold(target, score, goals.goal("average_precision"))
    assert ranked.threshold == choose_threshold(target, score, goals.goal("f1")).threshold
    assert "judges the order" in ranked.reason


def test_scores_that_only_rounding_tells_apart_are_one():
    low, high = 0.3, 0.1 + 0.2
    assert low < high
    decision = choose_threshold([0, 1, 0], [low, high, 0.1], goals.goal("f1"))
    assert decision.threshold == choose_threshold([0, 1, 0], [low, low, 0.1], goals.goal("f1")).threshold == 0.2
    apart = choose_threshold([0, 1], [low, low * (1 + 1e-11)], goals.goal("f1"))
    assert low < apart.threshold <= low * (1 + 1e-11)


@given(
    scores=st.lists(st.sampled_from([0.0, -0.0, 5e-324, 1e-310, 0.5, np.nextafter(0.5, 1), 1.0]) | st.floats(0, 1)),
    seed=st.integers(0, 9),
)
def test_sorting_scores_with_their_labels_is_sorting_their_places(scores, seed):
    if not scores:
        return
    score = np.array(scores)
    truth = np.random.default_rng(seed).random(len(score)) < 0.5
    packed, plain = sweep_rows(truth, score), sweep_weighted(truth, score, np.ones(len(score)))
    for name in ("score", "tp", "flagged"):
        np.testing.assert_array_equal(getattr(packed, name), getattr(plain, name))


@pytest.mark.parametrize("top", [0.3, 1.0])
def test_what_flags_nothing_here_flags_nothing_anywhere(top):
    decision = choose_threshold([1, 0], [top, top], goals.goal("recall where fpr <= 0"))
    assert decision.threshold == NOTHING
    assert not decision.apply([top, 1.0]).any()
    assert not (np.ones(1, np.float32) >= np.float32(decision.threshold)).any()
    band = choose_review_band([1, 0], [top, top], "recall where fpr <= 0 with review <= 0")
    assert (band.lower, band.upper) == (NOTHING, NOTHING)
    assert band.apply([top, 1.0]).tolist() == [0, 0]
    assert sweep_rows(np.array([True, False]), np.array([top, 1.0])).just_above(np.array([0]))[0][0] == NOTHING


@pytest.mark.parametrize(
    "target, score, weight, message",
    [
        ([0, 1], [0.1, 1.2], None, "probability 1.2 in row 1 lies outside 0 to 1"),
        ([0, 1], [0.1, np.nan], None, "probability nan in row 1"),
        ([0, 1], [0.1], None, "target has 2 values, probability 1"),
        ([1, 1], [0.1, 0.2], None, "no row of class 0"),
        ([0, 0], [0.1, 0.2], None, "no row of class 1"),
        ([0, 1], [0.1, 0.2], [1, 0], "no row of class 1"),
        ([0, 2], [0.1, 0.2], None, "in row 1 is neither 0 nor 1"),
        ([0, 1], [0.1, 0.2], [1, -1], "sample_weight -1.0 in row 1"),
        ([0, 1], [0.1, 0.2], [1, 1e308], "sample_weight goes up to 1e+308, out of the range"),
        ([0, 1], [0.1, 0.2], [1e-308, 1e-310], "sample_weight goes up to 1e-308, out of the range"),
        ([[0, 1]], [[0.1, 0.2]], None, "target has shape (1, 2); it must have one dimension"),
        ([0, 1], [0.1, 0.2], [[1, 1]], "sample_weight has shape (1, 2); it must have one dimension"),
        ([0, 1], [0.1, 0.2], [[1], [1]], "sample_weight has shape (2, 1)"),
        ([], [], None, "no row of class 1"),
        (["no", "yes"], [0.1, 0.2], None, "encode it: np.asarray(target) == 'no' if that is"),
        ([0, None], [0.1, 0.2], None, "target nan in row 1 is neither 0 nor 1"),
        ([0, 1], ["low", "high"], None, "probability must be numbers"),
    ],
)
def test_bad_input(target, score, weight, message):
    with pytest.raises(UserError) as error:
        choose_threshold(target, score, goals.goal("f1"), sample_weight=weight)
    assert message in str(error.value)
