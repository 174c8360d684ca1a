"""A promise is kept, is made where it can be, and says why it is not made where it cannot."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from counterpoise import goals
from counterpoise.decide import choose_threshold, measure_binary, rows_needed
from counterpoise.decide.binomial import least_right, p_value
from counterpoise.decide.guarantee import _fallback, _sequence
from counterpoise.decide.sweep import sweep
from counterpoise.decide.threshold import best_threshold
from counterpoise.errors import UserError
from counterpoise.goals import Goal

BOUNDS = ["specificity >= 0.7", "precision >= 0.5", "recall >= 0.6", "fpr <= 0.3", "alerts <= 40%"]


def draw(seed, rows=2000, prevalence=0.05, distance=2.5, digits=None):
    """Two normal classes and their honest probabilities."""
    rng = np.random.default_rng(seed)
    target = rng.random(rows) < prevalence
    place = rng.normal(size=rows) + distance * target
    odds = np.exp(distance * place - distance**2 / 2) * prevalence / (1 - prevalence)
    score = odds / (1 + odds)
    return target, score if digits is None else np.round(score, digits)


def true_rates(threshold, prevalence=0.05, distance=2.5):
    """Precision, recall, FPR and alerts of a threshold on the scores of `draw`."""
    place = (np.log(threshold / (1 - threshold) * (1 - prevalence) / prevalence) + distance**2 / 2) / distance
    recall, fpr = stats.norm.sf(place - distance), stats.norm.sf(place)
    alerts = prevalence * recall + (1 - prevalence) * fpr
    return {"precision": prevalence * recall / alerts, "recall": recall, "fpr": fpr, "alerts": alerts}


@pytest.mark.parametrize(
    "text",
    [
        "recall where precision >= 0.5",
        "precision where recall >= 0.7",
        "recall where fpr <= 0.03",
        "recall where alerts <= 5%",
        "recall where precision >= 0.5 and alerts <= 5%",
        "recall where recall >= 0.5 and precision >= 0.4",
    ],
)
def test_promises_are_made_and_kept(text):
    goal, draws = goals.goal(text), 300
    broken, promised, plain_broken, value = 0, 0, 0, 0.0
    for seed in range(draws):
        target, score = draw(seed)
        decision = choose_threshold(target, score, goal)
        plain_broken += breaks(goal, true_rates(best_threshold(target, score, goal)))
        if decision.promised:
            rates = true_rates(decision.threshold)
            promised += 1
            broken += breaks(goal, rates)
            value += rates[goal.objective]
    assert broken <= stats.binom.ppf(0.999, draws, 0.05)
    assert plain_broken >= 0.2 * draws
    assert promised >= 0.97 * draws
    assert value / draws >= 0.8 * oracle(goal)


def breaks(goal, rates):
    return any(rates[one.rate] < one.bound if one.at_least else rates[one.rate] > one.bound for one in goal.constraints)


def oracle(goal):
    """The best true value of the objective among the thresholds that keep the bounds."""
    every = [true_rates(cut) for cut in np.linspace(0.001, 0.999, 2000)]
    return max(rates[goal.objective] for rates in every if not breaks(goal, rates))


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(4, 80),
    digits=st.sampled_from([1, 2, None]),
    confidence=st.sampled_from([0.5, 0.8, 0.95]),
    text=st.sampled_from([*BOUNDS, *(f"{one} and {other}" for one, other in pairwise(BOUNDS))]),
)
def test_no_promise_without_an_exact_test(seed, rows, digits, confidence, text):
    target, score = draw(seed, rows, prevalence=0.4, digits=digits)
    if not 0 < target.sum() < rows:
        return
    goal = goals.goal(f"f1 where {text}")
    decision = choose_threshold(target, score, goal, confidence)
    flagged = decision.apply(score)
    assert (flagged & target).sum() == decision.confusion.tp
    assert (flagged & ~target).sum() == decision.confusion.fp
    sides = {one.rate == "recall" for one in goal.constraints}
    for one in goal.constraints:
        among = {"precision": flagged, "recall": target, "alerts": np.ones(rows, bool)}.get(one.rate, ~target)
        counted = {"precision": target, "specificity": ~flagged}.get(one.rate, flagged)
        if decision.promised:
            test = stats.binomtest(
                int((counted & among).sum()), int(among.sum()), one.bound, "greater" if one.at_least else "less"
            )
            assert test.pvalue <= (1 - confidence) / len(sides) + 1e-9
            assert decision.missing_positives == 0
        else:
            assert decision.missing_positives is None or decision.missing_positives > 0


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 60), digits=st.sampled_from([1, None]))
def test_one_test_of_a_monotone_rate_is_all_thresholds(seed, rows, digits):
    target, score = draw(seed, rows, prevalence=0.4, digits=digits)
    if not 1 < target.sum() < rows - 1:
        return
    decision = choose_threshold(target, score, "precision where recall >= 0.5", 0.8)
    safe = []
    for cut in np.unique(score):
        found = int((target & (score >= cut)).sum())
        if found and stats.binomtest(found, int(target.sum()), 0.5, "greater").pvalue <= 0.2:
            safe.append(target[score >= cut].mean())
    assert decision.promised == bool(safe)
    if safe:
        assert decision.value == pytest.approx(max(safe))


def test_a_promise_of_recall_goes_as_far_as_it_finds_more_and_no_further():
    target, score = draw(5, 500, prevalence=0.2)
    decision = choose_threshold(target, score, "recall where fpr <= 10%")
    negatives = int((~target).sum())
    most = max(n for n in range(negatives) if stats.binom.cdf(n, negatives, 0.1) <= 0.05)
    allowed = np.sort(score[~target])[-most - 1]  # flagging above it keeps the bound
    assert decision.confusion.tp == (target & (score > allowed)).sum()
    lowest = score[target & (score >= decision.threshold)].min()
    assert decision.confusion.fp == (~target & (score >= lowest)).sum()


@pytest.mark.parametrize("digits", [1, 2, None])
def test_the_sequence_does_not_see_the_labels(digits):
    target, score = draw(3, digits=digits)
    shuffled = np.random.default_rng(0).permutation(target)
    goal = goals.goal("recall where precision >= 0.5 and fpr <= 0.02 and alerts <= 10%")
    ours, other = (_sequence(sweep(one, score), goal.constraints, 0.05) for one in (target, shuffled))
    np.testing.assert_array_equal(ours.thresholds, other.thresholds)
    np.testing.assert_array_equal(ours.levels, other.levels)
    assert ours.levels.sum() == pytest.approx(0.05)
    for threshold, place in zip(ours.thresholds, ours.places, strict=True):
        assert sweep(target, score).flagged[place] == (score >= threshold).sum()


def test_a_level_is_handed_on_after_a_rejection_only():
    surprise = np.array([0.02, 0.03, 0.04, 0.001, 0.011])
    levels = np.array([0.02, 0.01, 0.0, 0.01, 0.0])
    assert _fallback(surprise, levels).tolist() == [True, True, False, True, False]


def test_bounds_are_those_of_scipy():
    right, trials = np.arange(13), 12
    np.testing.assert_allclose(p_value(right, trials, 0.3), stats.binom.sf(right - 1, trials, 0.3))
    assert stats.binom.sf(least_right(50, 0.8, 0.05) - 1, 50, 0.8) <= 0.05
    assert stats.binom.sf(least_right(50, 0.8, 0.05) - 2, 50, 0.8) > 0.05


@pytest.mark.parametrize("share, bound", [(0.6, 0.5), (0.95, 0.9), (1.0, 0.9), (0.3, 0.05)])
def test_rows_needed_are_enough_and_no_more(share, bound):
    def power(rows):
        return stats.binom.sf(least_right(rows, bound, 0.05) - 1, rows, share)

    needed = rows_needed(share, bound)
    assert power(needed) >= 0.8
    assert power(needed - 1) < 0.8


def test_rows_needed_of_no_margin():
    assert rows_needed(0.5, 0.5) is None
    with pytest.raises(UserError, match=r"share is 1\.2; it must lie between 0 and 1"):
        rows_needed(1.2, 0.5)
    with pytest.raises(UserError, match=r"too near to bound 0\.5: more than 1e\+18 rows"):
        rows_needed(0.5 + 1e-10, 0.5)


@pytest.mark.parametrize(
    "text, rows, prevalence, too_often",
    [
        ("precision where recall >= 0.8", 150, 0.05, 0.4),
        ("precision where recall >= 0.9", 300, 0.05, 0.4),
        ("recall where fpr <= 0.005", 200, 0.05, 0.4),
        ("recall where specificity >= 0.999", 500, 0.05, 0.4),
        ("recall where alerts <= 0.5%", 80, 0.2, 0.4),
        ("recall where precision >= 0.5", 200, 0.05, 0.4),
        ("recall where precision >= 0.9", 500, 0.05, 0.4),
        ("recall where precision >= 0.5 and fpr <= 1%", 200, 0.05, 0.4),
        ("precision where recall >= 0.7 and fpr <= 0.15", 100, 0.2, 0.9),
    ],
)
def test_missing_positives_would_do_and_a_third_of_them_would_not(text, rows, prevalence, too_often):
    enough, too_few = [], []
    for seed in range(60):
        target, score = draw(seed, rows, prevalence)
        few = choose_threshold(target, score, text)
        if few.promised or few.missing_positives is None:
            continue
        assert f"about {few.missing_positives:,} more would be enough" in few.reason
        for promises, share in ((enough, 1.0), (too_few, 0.3)):
            more = round(rows * (1 + share * few.missing_positives / target.sum()))
            promises.append(choose_threshold(*draw(100 + seed, more, prevalence), text).promised)
    assert len(enough) >= 10
    assert np.mean(enough) >= 0.45
    assert np.mean(too_few) <= too_often


@pytest.mark.parametrize(
    "text, missing",
    [
        ("precision where recall >= 0.9", 19),  # 29 of 29: 0.9^29 < 0.05
        ("recall where fpr <= 0.05", 49),  # no false alarm of 59 negatives, not always so many in so many rows
        ("precision where recall >= 1", None),
        ("recall where alerts <= 0", None),
        ("recall where fpr <= 1.2e-16", 26.9e15),  # where whole numbers are no longer neighbours
    ],
)
def test_missing_positives_of_rates_that_one_test_settles(text, missing):
    decision = choose_threshold(np.repeat([0, 1], 10), np.linspace(0, 1, 20), text)
    assert not decision.promised
    if missing is None:
        assert decision.missing_positives is None
    else:
        assert missing <= decision.missing_positives <= 1.01 * missing + 6


@pytest.mark.parametrize(
    "target, score, goal, reason",
    [
        ([0, 0, 1], [0.1, 0.2, 0.9], "recall where fpr <= 0.5", "1 positive row is too few"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "recall where precision >= 0.5", "2 positive rows are too few; about"),
        ([0, 1, 0, 1], [0.5] * 4, "recall where precision >= 0.5", "no threshold does better than the bound"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "f1", "without a bound in the goal nothing is promised"),
        ([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2], "f1 where precision >= 0.9", "this goal cannot be met here: "),
        (
            [0, 0, 1, 1],
            [0.1, 0.2, 0.8, 0.9],
            "precision where recall >= 1",
            "cannot be promised for new rows with 0.95 confidence",
        ),
    ],
)
def test_why_nothing_is_promised(target, score, goal, reason):
    decision = choose_threshold(target, score, goal)
    assert not decision.promised
    assert reason in decision.reason
    assert decision.threshold == best_threshold(target, score, goals.goal(goal))


def test_weights_that_differ_get_no_promise_and_equal_ones_do():
    target, score = draw(1)
    goal = "recall where precision >= 0.5"
    plain = choose_threshold(target, score, goal)
    alike = choose_threshold(target, score, goal, sample_weight=np.full(len(target), 0.3))
    assert alike.promised and alike.threshold == plain.threshold and alike.rates == plain.rates
    differ = choose_threshold(target, score, goal, sample_weight=1 + target)
    assert not differ.promised and differ.missing_positives is None
    assert "no exact test exists for weighted rows" in differ.reason


def test_the_intervals_of_weights_are_those_of_fewer_rows():
    target, score = draw(1)
    weight = np.random.default_rng(0).exponential(size=len(target))
    plain, weighted = (choose_threshold(target, score, "f1", sample_weight=one).rates for one in (None, weight))
    assert weighted["recall"].high - weighted["recall"].low > 1.2 * (plain["recall"].high - plain["recall"].low)


def test_rates_are_those_that_are_measured():
    target, score = draw(2)
    decision = choose_threshold(target, score, "f2 where recall >= 0.6")
    measured = measure_binary(target, score, decision.threshold, Goal("f2"))
    assert set(decision.rates) == set(measured) - {"average_precision", "roc_auc", "log_loss"}
    for name, found in decision.rates.items():
        assert found == measured[name], name


def test_applied_to_new_rows():
    decision = choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], "f1")
    assert decision.apply(np.array([decision.threshold, 0.0, 1.0], np.float32)).tolist() == [True, False, True]
    for scores, message in [
        ([0.5, np.nan], "probability nan in row 1"),
        ([1.5], "probability 1.5 in row 0"),
        (0.5, "shape ()"),
    ]:
        with pytest.raises(UserError) as error:
            decision.apply(scores)
        assert message in str(error.value)


@pytest.mark.parametrize("confidence", [0.3, 1, 95, np.nan, "high", [0.9]])
def test_a_confidence_that_is_none(confidence):
    with pytest.raises(UserError, match="confidence"):
        choose_threshold([0, 1], [0.1, 0.9], "f1", confidence)
