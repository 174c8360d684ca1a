"""The band left to a person is the best of all there are, and what is promised of it holds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from counterpoise import goals
from counterpoise.decide import choose_review_band
from counterpoise.decide.review_guarantee import most_between
from counterpoise.decide.threshold import best_threshold
from counterpoise.errors import UserError
from counterpoise.goals import Confusion

GOALS = [
    "precision >= 0.9 and recall >= 0.8",
    "precision >= 0.7 and recall >= 0.6 and fpr <= 20% with review <= 30%",
    "recall >= 0.7 and alerts <= 40%",
    "recall >= 0.7 and specificity >= 0.7 with review <= 10%",
    "recall where precision >= 0.9 with review <= 20%",
    "recall where precision >= 0.6 and alerts <= 30% with review <= 25%",
    "specificity where recall >= 0.5 with review <= 40%",
    "alerts where recall >= 0.7 and precision >= 0.5 with review <= 20%",
    "precision where recall >= 0.9 with review <= 30%",
    "f1 with review <= 25%",
    "mcc with review <= 34%",
    "macro_f1 with review <= 0",
    "g_mean where fpr <= 0.3 with review <= 15%",
    "cost fn=5 fp=1 tp=0.5 tn=-0.25 where alerts <= 60% with review <= 20%",
]


@st.composite
def scored(draw):
    rows = draw(st.integers(2, 11))
    labels = st.lists(st.integers(0, 1), min_size=rows, max_size=rows)
    target = draw(labels.filter(lambda t: 0 < sum(t) < rows))
    ties = st.integers(0, 5).map(lambda k: k / 5)
    score = draw(st.lists(st.one_of(ties, st.floats(0, 1).map(lambda s: round(s, 9))), min_size=rows, max_size=rows))
    return np.array(target), np.array(score)


def after_review(target, score, lower, upper):
    """The counts, how many rows a person saw, and how many were flagged unseen."""
    found = np.where((score >= lower) & (score < upper), target, score >= upper)
    counts = {name: float(np.sum((target == t) & (found == d))) for name, t, d in OUTCOMES}
    return Confusion(**counts), int(np.sum((score >= lower) & (score < upper))), int(np.sum(score >= upper))


OUTCOMES = [("tp", 1, 1), ("fp", 0, 1), ("fn", 1, 0), ("tn", 0, 0)]


def rank(goal, target, score, lower, upper):
    """Less is better: what the bounds lack, the objective, the rows reviewed, the rows flagged; None if not allowed."""
    at, reviewed, flagged = after_review(target, score, lower, upper)
    if goal.review is not None and reviewed > goal.review * len(target) + 1e-9:
        return None
    short = sum(float(one.shortfall(at)) for one in goal.constraints)
    worth = 0.0 if goal.objective == "review" else float(goal.score(at))
    return round(short, 10), -round(worth, 10), reviewed, flagged


@pytest.mark.parametrize("text", GOALS)
@settings(max_examples=40, deadline=None)  # of each of the goals
@given(batch=scored())
def test_no_other_band_is_better(text, batch):
    goal, (target, score) = goals.goal(text), batch
    band = choose_review_band(target, score, goal)
    ends = [*np.unique(score), 2.0]
    every = [rank(goal, target, score, *pair) for pair in itertools.combinations_with_replacement(ends, 2)]
    best = min(one for one in every if one is not None)
    assert not band.promised  # of a dozen rows nothing is
    assert rank(goal, target, score, band.lower, band.upper) == best
    assert band.met == (best[0] == 0)
    at, reviewed, _ = after_review(target, score, band.lower, band.upper)
    assert [getattr(at, name) for name, _, _ in OUTCOMES] == [getattr(band.confusion, name) for name, _, _ in OUTCOMES]
    assert band.rates["review"].value == pytest.approx(reviewed / len(target))
    if goal.objective == "review":
        assert band.value == band.rates["review"].value
    else:
        assert band.value == pytest.approx(float(goal.value(at)))


@given(batch=scored())
def test_without_review_it_is_the_threshold(batch):
    target, score = batch
    band = choose_review_band(target, score, "f1 where recall >= 0.5 with review <= 0")
    assert band.lower == band.upper == best_threshold(target, score, goals.goal("f1 where recall >= 0.5"))


@given(batch=scored(), repeats=st.lists(st.integers(0, 3), min_size=11, max_size=11))
def test_a_weight_is_a_repetition(batch, repeats):
    target, score = batch
    times = np.array(repeats[: len(target)])
    if not (times[target == 1].sum() and times[target == 0].sum()):
        return
    goal = "recall where precision >= 0.7 with review <= 25%"
    weighted = choose_review_band(target, score, goal, sample_weight=times)
    repeated = choose_review_band(np.repeat(target, times), np.repeat(score, times), goal)
    assert weighted.met == repeated.met
    assert weighted.value == pytest.approx(repeated.value)
    assert weighted.rates["review"].value == pytest.approx(repeated.rates["review"].value)


def binormal(rng, rows, prevalence=0.1, apart=2.5):
    target = rng.random(rows) < prevalence
    logit = apart * (rng.normal(size=rows) + apart * target - apart / 2) + np.log(prevalence / (1 - prevalence))
    return target, 1 / (1 + np.exp(-logit))


def true_rates(band, prevalence=0.1, apart=2.5):
    """What the band does on endlessly many rows of `binormal`."""

    def above(threshold, positive):
        if threshold >= 1 or threshold <= 0:
            return float(threshold <= 0)
        logit = np.log(threshold / (1 - threshold)) - np.log(prevalence / (1 - prevalence))
        return ndtr(-(logit / apart + apart / 2 - apart * positive))

    tp, fp = prevalence * above(band.lower, True), (1 - prevalence) * above(band.upper, False)
    at = Confusion(tp=tp, fp=fp, fn=prevalence - tp, tn=1 - prevalence - fp)
    reviewed = tp - prevalence * above(band.upper, True) + (1 - prevalence) * above(band.lower, False) - fp
    return at, reviewed


@pytest.mark.parametrize(
    "text",
    [
        "precision >= 0.9 and recall >= 0.8",
        "recall where precision >= 0.9 with review <= 5%",
        "recall >= 0.7 and fpr <= 2% and alerts <= 15% with review <= 15%",
        "f1 with review <= 3%",
    ],
)
def test_what_is_promised_holds(text):
    rng, goal = np.random.default_rng(0), goals.goal(text)
    promised = broken = 0
    for _ in range(200):
        band = choose_review_band(*binormal(rng, 3000), goal, confidence=0.9)
        if band.promised:
            at, reviewed = true_rates(band)
            kept = all(float(one.shortfall(at)) == 0 for one in goal.constraints)
            promised += 1
            broken += not (kept and reviewed <= (1 if goal.review is None else goal.review))
    assert promised > 150
    assert broken <= 0.1 * promised


def test_the_true_rates_are_true():
    band = choose_review_band(*binormal(np.random.default_rng(0), 3000), "precision >= 0.9 and recall >= 0.8")
    target, score = binormal(np.random.default_rng(1), 400_000)
    counted, seen, _ = after_review(target, score, band.lower, band.upper)
    at, reviewed = true_rates(band)
    assert reviewed == pytest.approx(seen / len(target), abs=0.002)
    assert float(at.recall) == pytest.approx(float(counted.recall), abs=0.01)
    assert float(at.precision) == pytest.approx(float(counted.precision), abs=0.01)


def test_missing_positives_are_about_enough():
    target, score = binormal(np.random.default_rng(3), 400)
    goal = "recall where precision >= 0.9 with review <= 5%"
    band = choose_review_band(target, score, goal)
    assert not band.promised
    assert f"about {band.missing_positives:,} more would be enough" in band.reason
    times = 1 + band.missing_positives / target.sum()
    more = choose_review_band(*binormal(np.random.default_rng(4), int(1.5 * times * 400)), goal)
    assert more.promised
    assert more.missing_positives == 0


def test_any_two_thresholds_leave_no_more_than_the_bound_between_them():
    rng, rows, bound = np.random.default_rng(0), 2000, 0.05
    most = most_between(rows, bound, 0.1)
    assert 0 < most < bound * rows
    wide = 0
    for _ in range(500):
        place = np.sort(rng.random(rows))
        wide += np.max(place[most + 1 :] - place[: -most - 1]) > bound
    assert wide <= 0.1 * 500


def test_the_three_decisions():
    band = choose_review_band([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], "precision >= 1 and recall >= 1")
    assert (band.lower, band.upper) == (0.25, 0.75)
    codes = band.apply([0.0, 0.25, 0.5, 0.75, 1.0])
    assert codes.dtype == np.int8
    assert codes.tolist() == [0, -1, -1, 1, 1]
    assert band.apply([]).tolist() == []


def test_what_cannot_be_met_is_said():
    goal = "precision >= 0.9 and recall >= 0.8 with review <= 10%"
    band = choose_review_band([0, 1, 0, 1], [0.9, 0.8, 0.3, 0.2], goal)
    assert not band.met
    assert band.missing_positives is None
    assert band.reason == (
        "this goal cannot be met here: the nearest band has precision 0.500 and recall 1.000 "
        "with 0.000 of the rows left to a person"
    )


def test_a_goal_met_by_finding_nothing_says_so():
    band = choose_review_band([0, 1], [0.9, 0.1], "recall where alerts <= 0 with review <= 0")
    assert band.met and not band.promised
    assert "finds nothing" in band.reason


def test_rows_that_count_differently_get_no_promise():
    target, score = binormal(np.random.default_rng(0), 3000)
    goal = "precision >= 0.9 and recall >= 0.8"
    assert choose_review_band(target, score, goal, sample_weight=np.full(3000, 2.0)).promised
    band = choose_review_band(target, score, goal, sample_weight=1.0 + target)
    assert band.met and not band.promised
    assert "no exact test exists for weighted rows" in band.reason


@pytest.mark.parametrize(
    "goal, message",
    [
        ("recall where precision >= 0.9", "leaves no row to a person; add 'with review <= 5%'"),
        ("cost fn=amount fp=10 with review <= 5%", "takes costs from columns"),
        ("recall of a where precision of a >= 0.9 with review <= 5%", "names a class"),
        ("precision >= 0.9", "bound recall and another rate"),
    ],
)
def test_goals_that_are_refused(goal, message):
    with pytest.raises(UserError, match=message):
        choose_review_band([0, 1], [0.1, 0.9], goal)


@pytest.mark.parametrize(
    "score, message",
    [([0.1, 1.2], "probability 1.2 in row 1"), ([[0.1]], r"shape \(1, 1\)"), (["a"], "must be numbers")],
)
def test_scores_that_are_refused(score, message):
    band = choose_review_band([0, 1], [0.1, 0.9], "f1 with review <= 50%")
    with pytest.raises(UserError, match=message):
        band.apply(score)
