"""The class weights that serve a goal: against derivatives of the rates, at the optimum, and in every framework."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise as cp
import counterpoise.torch
from counterpoise import goals
from counterpoise.decide.threshold import best_threshold, decision_at
from counterpoise.goals import Confusion, Constraint, Goal
from counterpoise.lagrangian import GoalState, Lagrangian, goal_loss, judged, judged_at_best
from counterpoise.lagrangian.lagrangian import BOUND, DAMPING

pytestmark = pytest.mark.slow

shares = st.floats(0.02, 0.98)


def confusion_of(prior, r, f):
    return Confusion(tp=prior * r, fn=prior * (1 - r), fp=(1 - prior) * f, tn=(1 - prior) * (1 - f))


def at_rates(lagrangian, r, f, log_multiplier=0.0):
    """A state whose counts give these rates."""
    counted = np.array([r, 1, f, 1], np.float64)
    return GoalState(np.full(len(lagrangian.goal.constraints), log_multiplier), counted, np.array(0.0))


@given(r=shares, f=shares, prior=st.floats(0.05, 0.95))
@pytest.mark.parametrize(
    "text", ["f1", "f2", "f0.5", "balanced_accuracy", "g_mean", "mcc", "macro_f1", "cost fn=50 fp=2 tp=1"]
)
def test_weights_of_an_objective_are_its_slopes(text, r, f, prior):
    """Central differences of Goal.value by the two rates."""
    if text == "mcc" and r < f + 0.02:
        return  # worse than chance the best MCC lies elsewhere than down the slope
    goal, counts = goals.goal(text), [round(1e9 * (1 - prior)), round(1e9 * prior)]
    lagrangian = Lagrangian(goal, counts, warm_up=0)
    pos, neg = lagrangian.weights(at_rates(lagrangian, r, f))
    prior, h = lagrangian.prior, 1e-5
    by_r = goal.score(confusion_of(prior, r + h, f)) - goal.score(confusion_of(prior, r - h, f))
    by_f = goal.score(confusion_of(prior, r, f - h)) - goal.score(confusion_of(prior, r, f + h))
    assert pos + neg == pytest.approx(1)
    np.testing.assert_allclose([pos, neg], np.array([by_r, by_f]) / (by_r + by_f), rtol=1e-4, atol=1e-6)


def test_weights_of_recall_at_precision_by_hand():
    """maximise r where k f <= r, k = v (1 - prior) / ((1 - v) prior): pos ~ 1 + l, neg ~ l k."""
    lagrangian = Lagrangian("recall where precision >= 0.8", [900, 100], warm_up=0)
    k = 0.8 * 0.9 / (0.2 * 0.1)
    for r, f in [(0.5, 0.02), (0.5, 0.0), (0.9, 0.5)]:
        one_alert = 0.25 / (lagrangian.prior * lagrangian.memory)
        violation = (k * f - r - one_alert) / (k * f + r + 4 * one_alert)
        multiplier = np.exp(0.3 + DAMPING * violation)
        pos, neg = lagrangian.weights(at_rates(lagrangian, r, f, 0.3))
        assert neg / pos == pytest.approx(multiplier * k / (1 + multiplier))
    # however much the constraint presses, a false alarm weighs no more than precision 0.8 asks: 0.8 / 0.2 per row
    pos, neg = lagrangian.weights(at_rates(lagrangian, 0.1, 0.9, BOUND))
    assert (neg / 0.9) / (pos / 0.1) < 0.8 / 0.2


@given(r=shares, f=shares, bound=st.floats(0.05, 0.95), prior=st.floats(0.05, 0.95))
@pytest.mark.parametrize("rate", ["precision", "recall", "specificity", "fpr", "alerts"])
def test_multiplier_rises_exactly_where_the_constraint_is_missed(rate, r, f, bound, prior):
    constraint = Constraint(rate, bound)
    objective = "precision" if rate == "recall" else "recall"
    lagrangian = Lagrangian(Goal(objective, (constraint,)), [round(1e9 * (1 - prior)), round(1e9 * prior)], warm_up=0)
    gap = bound - getattr(confusion_of(lagrangian.prior, r, f), rate)
    if abs(gap) < 0.02:  # within the quarter of an alert that a precision is granted
        return
    state = lagrangian.observed(lagrangian.initial_state(), (1e6 * r, 1e6, 1e6 * f, 1e6), 1e6)
    missed = gap > 0 if constraint.at_least else gap < 0
    assert (state.log_multiplier[0] > 0) == missed


@pytest.mark.parametrize(
    "text",
    [
        "recall where precision >= 0.6",
        "recall where fpr <= 0.05",
        "recall where alerts <= 0.1",
        "precision where recall >= 0.8",
        "alerts where recall >= 0.8",
        "recall where specificity >= 0.9 and alerts <= 0.2",
        "f1 where recall >= 0.9",
        "f1",
        "mcc",
    ],
)
def test_a_trained_threshold_is_the_best_one(text):
    """A model with nothing to learn but its threshold, against the best of all thresholds; the mean of late steps."""
    rng = np.random.default_rng(0)
    target = torch.tensor(rng.random(1500) < 0.2).float()
    score = torch.tensor(rng.normal(size=1500), dtype=torch.float32) + 2 * target
    criterion = counterpoise.torch.GoalLoss(text, cp.count(target.int().numpy()), warm_up=0)
    bias = torch.nn.Parameter(torch.tensor(-4.0))
    optimizer = torch.optim.Adam([bias], lr=0.1)
    late = []
    for step in range(300):
        optimizer.zero_grad()
        criterion(3 * (score + bias), target).backward()
        optimizer.step()
        if step >= 250:
            late.append(criterion.judge(score + bias.detach(), target))
    probability, goal = torch.sigmoid(score), goals.goal(text)
    best = decision_at(best_threshold(target, probability, goal), target, probability, goal)
    assert np.mean([one.shortfall for one in late]) < 0.02
    assert abs(np.mean([one.value for one in late]) - best.value) < 0.04


def test_rows_of_weight_zero_are_not_there():
    lagrangian = Lagrangian("recall where precision >= 0.5", [70, 30])
    logits, target = np.array([2.0, -1.0, 0.5, 3.0]), np.array([1, 0, 0, 1])
    with_them = goal_loss(logits, target, lagrangian.initial_state(), lagrangian, np.array([1, 1, 0, 0]))
    without = goal_loss(logits[:2], target[:2], lagrangian.initial_state(), lagrangian)
    np.testing.assert_allclose(with_them[1].counted, without[1].counted)
    np.testing.assert_allclose(2 * with_them[0], without[0], rtol=0.02)  # the mean is over rows; memory fades by rows


@settings(deadline=None, max_examples=3)
@given(
    st.lists(
        st.tuples(st.floats(-100, 100, width=32), st.booleans(), st.floats(0, 3, width=32)), min_size=6, max_size=6
    ),
    st.sampled_from(["recall where precision >= 0.5 and alerts <= 0.2", "f2", "precision where recall >= 0.9"]),
)
def test_same_number_in_every_framework(rows, text):
    import jax.numpy as jnp
    import tensorflow as tf

    logits = np.array([row[0] for row in rows], np.float32)
    target = np.array([row[1] for row in rows], np.float32)
    weight = np.array([row[2] for row in rows], np.float32)
    lagrangian = Lagrangian(text, [70, 30], warm_up=0.1)
    answers = []
    for array in (np.asarray, torch.tensor, jnp.asarray, tf.constant):
        state = GoalState(*(array(part) for part in lagrangian.initial_state()))
        for _ in range(2):
            value, state = goal_loss(array(logits), array(target), state, lagrangian, array(weight))
        answers.append([float(value), *(np.asarray(part).ravel() for part in state)])
    on_host = goal_loss(torch.tensor(logits), torch.tensor(target), lagrangian.initial_state(), lagrangian)
    assert isinstance(on_host[1].counted, np.ndarray)
    for answer in answers[1:]:
        for ours, numpys in zip(answer, answers[0], strict=True):
            np.testing.assert_allclose(ours, numpys, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("text", ["recall where precision >= 0.5", "precision where recall >= 0.9", "f1", "mcc"])
@pytest.mark.parametrize(
    ("logits", "target"),
    [([], []), ([1.0, -1.0], [0, 0]), ([1.0, -1.0], [1, 1]), ([-5.0, -6.0], [0, 1]), ([300.0, -300.0], [0, 1])],
    ids=["empty", "no positive", "no negative", "nothing flagged", "far off"],
)
def test_odd_batches_are_finite(text, logits, target):
    lagrangian = Lagrangian(text, [900, 100])
    state = lagrangian.initial_state()
    for _ in range(50):
        z = torch.tensor(logits, requires_grad=True)
        value, state = goal_loss(z, torch.tensor(target, dtype=torch.int64), state, lagrangian)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(z.grad).all()
        assert all(np.isfinite(part).all() for part in state)
        assert (abs(state.log_multiplier) <= BOUND).all()


def test_surrogate_goes_from_log_loss_to_robust():
    lagrangian = Lagrangian("f1", [90, 10], robustness=0.6, warm_up=2)
    state = lagrangian.initial_state()
    for epochs, q in [(0, 0), (2, 0), (3, 0.3), (4, 0.6), (9, 0.6)]:
        assert lagrangian.robustness_at(state._replace(epochs=np.float32(epochs))) == pytest.approx(q)
    logits, target = np.array([-3.0, 1.0]), np.array([1, 0])
    value, state = goal_loss(logits, target, state._replace(epochs=np.float32(9)), lagrangian)
    pos, neg = lagrangian.weights(state)
    each = cp.loss(logits, target, cp.recipe("sigmoid.generalized", q=0.6), reduction="none")
    np.testing.assert_allclose(value, (each * [pos / 0.1, neg / 0.9]).mean(), rtol=1e-6)


def test_progress_prefers_feasible_then_better():
    lagrangian = Lagrangian("recall where precision >= 0.5", [900, 100])
    silent, wrong, some, more = (
        lagrangian.progress(counts) for counts in ([0, 10, 0, 90], [9, 10, 60, 90], [2, 10, 1, 90], [5, 10, 5, 90])
    )
    assert [one.feasible for one in (silent, wrong, some, more)] == [False, False, True, True]
    assert more.better_than(some)
    assert some.better_than(wrong)
    assert wrong.better_than(silent)
    assert not some.better_than(more)


@pytest.mark.parametrize("goal", ["f1", "recall where precision >= 0.9", "cost fn=0.00001 fp=0.000001"])
def test_progress_by_rounding_is_none(goal):
    """Of epochs that are alike to the last digits the first is kept."""
    lagrangian = Lagrangian(goal, [900, 100])
    counts = np.array([7.0, 10.0, 1.1, 90.0])
    same = lagrangian.progress(counts)
    for place in (0, 2):
        for units in (-2, 2):
            other = counts.copy()
            other[place] += units * np.spacing(counts[place])
            assert not lagrangian.progress(other).better_than(same)
            assert not same.better_than(lagrangian.progress(other))
    more = lagrangian.progress(counts + np.array([1e-3, 0, 0, 0]))
    assert more.better_than(same) and not same.better_than(more)


@pytest.mark.parametrize("goal", ["mcc", "g_mean", "f1", "balanced_accuracy", "cost fn=9 fp=1"])
@pytest.mark.parametrize("flagged", [[True, True, True], [False, False, False], [False, True, True]])
def test_progress_at_the_ends_is_a_number(goal, flagged):
    """All flagged, none, and all right: shares of a prior must not come out a hair below 0."""
    for prior in ([60, 40], [90, 10], [7, 3], [1, 2]):
        found = judged(np.where(flagged, 1.0, -1.0), [0, 1, 1], Lagrangian(goal, prior), np.array([0.5, 0.5, 1.0]))
        at = found.confusion
        assert np.isfinite(found.value) and min(at.tp, at.fp, at.fn, at.tn) >= 0


def test_of_thresholds_that_are_as_good_the_highest_is_taken():
    weight = np.array([0.12, 0.25, 0.41, 0.37, 0.41])  # precision is 0.41 / 0.78 there and here, but for its last digit
    lagrangian = Lagrangian("precision where recall >= 0.5", [60, 40])
    logits = -np.arange(1.0, 6.0)
    found = judged_at_best(logits, np.array([0, 0, 1, 0, 1]), lagrangian, weight)
    assert found.threshold == -3.5


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-6, 6), st.booleans(), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=12),
    st.sampled_from(
        ["recall where precision >= 0.9", "precision where recall >= 0.9", "recall where fpr <= 0.2", "f1", "mcc"]
    ),
)
def test_judged_at_best_is_the_best_of_all_thresholds(rows, text):
    """Against trying every threshold; 0 is kept where it keeps the bounds and flags a row."""
    logits, target, weight = (np.array(part, np.float64) for part in zip(*rows, strict=True))
    lagrangian = Lagrangian(text, [60, 40])
    found = judged_at_best(logits, target, lagrangian, weight)
    at_zero = judged(logits, target, lagrangian, weight)
    again = judged(logits - found.threshold, target, lagrangian, weight)
    assert (again.value, again.shortfall) == pytest.approx((found.progress.value, found.progress.shortfall))
    if at_zero.feasible and at_zero.confusion.alerts > 0:
        assert found.threshold == 0
    elif 0 < target.sum() < len(target):
        every = [judged(logits - z, target, lagrangian, weight) for z in {*logits, 0.0}]
        least = min(one.shortfall for one in every)
        assert found.progress.shortfall == pytest.approx(least)
        top = max(lagrangian.goal.score(one.confusion) for one in every if one.shortfall <= least + 1e-12)
        assert lagrangian.goal.score(found.progress.confusion) >= top - 1e-9


@pytest.mark.parametrize("odd", [-np.inf, 1e30, -1e30])
def test_a_threshold_is_finite_and_leaves_room_for_rounding(odd):
    lagrangian = Lagrangian("recall where precision >= 0.9", [60, 40])
    logits = np.array([odd, -1.0, -1.0 - 1e-7, -2.0, odd], np.float32)
    found = judged_at_best(logits, np.array([0, 1, 0, 0, 0]), lagrangian)
    assert np.isfinite(found.threshold)
    shifted = judged((logits - np.float32(found.threshold)).astype(np.float32), [0, 1, 0, 0, 0], lagrangian)
    assert shifted.shortfall == pytest.approx(found.progress.shortfall)


def test_weights_go_from_those_of_cross_entropy_to_the_goals():
    lagrangian = Lagrangian("recall where precision >= 0.95", [900, 100], warm_up=4)
    state = at_rates(lagrangian, 0.5, 0.2)
    first, middle, last = (lagrangian.weights(state._replace(epochs=np.array(float(n))))[0] for n in (0, 2, 4))
    assert first == pytest.approx(0.1)
    assert last == pytest.approx(Lagrangian("recall where precision >= 0.95", [900, 100], warm_up=0).weights(state)[0])
    assert middle == pytest.approx((first + last) / 2)
    moved = lagrangian.observed(lagrangian.initial_state(), (0, 10, 50, 90), 100)
    assert 0 < moved.log_multiplier[0] < 0.1  # at the start it hardly moves


def test_judged_counts_by_hand():
    lagrangian = Lagrangian("recall where fpr <= 0.5", [50, 50])
    found = judged(np.array([0.0, -1.0, 2.0, -3.0]), np.array([1, 1, 0, 0]), lagrangian)
    assert (found.value, float(found.confusion.fpr), found.feasible) == (0.5, 0.5, True)


@pytest.mark.parametrize(
    ("goal", "counts", "says"),
    [
        ("average_precision", [90, 10], "judges the order of the scores"),
        ("recall", [90, 10], "add a constraint"),
        ("precision where fpr <= 0.1", [90, 10], "precision where recall >= 0.9"),
        ("where precision >= 0.5", [90, 10], "character 1"),
        ("precision >= 0.9 and recall >= 0.8 with review <= 5%", [90, 10], "is not for GoalLoss"),
        ("recall of fraud where precision of fraud >= 0.5", [90, 10], "is not for GoalLoss"),
        ("recall where precision >= 1", [90, 10], "both excluded"),
        ("f1", [90, 10, 5], "3 classes"),
        ("f1", [100, 0], "need samples"),
        ("f1", cp.LabelCounts([10, 50], total=100), "multilabel"),
        (0.5, [90, 10], "pass a text"),
    ],
)
def test_bad_goals_and_counts(goal, counts, says):
    with pytest.raises(cp.UserError, match=says):
        Lagrangian(goal, counts)


def test_bad_target():
    lagrangian = Lagrangian("f1", [90, 10])
    with pytest.raises(cp.UserError, match=r"target\[1\] is 0.5; a goal counts decisions"):
        goal_loss(np.zeros(2), np.array([0, 0.5]), lagrangian.initial_state(), lagrangian)
