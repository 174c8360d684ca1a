"""Training for a goal: a Lagrangian whose multipliers are class weights that change as the training goes.

A decision is to flag what has a logit of at least 0. With r the share of the positives that are flagged and f that
of the negatives, a goal is an objective X(r, f) and constraints g_i(r, f) <= 0, and the slope of its Lagrangian is a
weight on missed positives and one on false alarms:

    loss = pos * mean over positives of phi(-z) + neg * mean over negatives of phi(z)
    pos = dX/dr - sum_i l_i dg_i/dr,    neg = -dX/df + sum_i l_i dg_i/df,    scaled to pos + neg = 1

Decisions have no slope, so phi, the sigmoid family's loss, stands in for them; but the multipliers l_i and the slopes
of X follow the decisions themselves, counted over the last batches (Cotter et al., Optimization with non-differentiable
constraints, JMLR 2019; Eban et al., Scalable learning of non-decomposable objectives, AISTATS 2017). The logarithm of a
multiplier is the sum of the violations so far plus a part in proportion to the present one, which damps the swing that
the sum alone would keep up (Stooke et al., Responsive safety by PID Lagrangian methods, ICML 2020).

It starts from cross-entropy, whose weights are the shares of the classes, and changes over while it warms up: an
untrained model under a strict bound would learn to flag nothing before it learnt to rank.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterpoise import goals
from counterpoise.arrays import Array, Namespace, namespace, numpy_namespace
from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Constraint, Cost, Goal
from counterpoise.losses import loss
from counterpoise.losses.arguments import Arguments, arguments_of
from counterpoise.losses.replicas import ALONE, Replicas
from counterpoise.recipes import SigmoidRecipe
from counterpoise.recipes.numbers import one_number
from counterpoise.recipes.sigmoid_recipe import positive_share
from counterpoise.ties import ROUNDING
from counterpoise.weights import ClassCounts, LabelCounts, as_class_counts

MEMORY = 200
"""The running counts remember about so many positives, or a pass over the data where that has fewer."""
RATE, DAMPING = 0.3, 2.0
"""What a violation adds to log l while it lasts for the length of the memory, and at once."""
LARGEST_SHARE = 0.3
"""A batch counts for at most this share of the memory in that sum, or whole-batch training would swing."""
BOUND = 4.0
"""log l lies between -BOUND and BOUND: a constraint costs from 1/55 to 55 times what the objective does."""


class GoalState(NamedTuple):
    """What a goal's loss remembers from batch to batch.

    Parameters
    ----------
    log_multiplier
        (K,) float32, the summed part of each constraint's log multiplier.
    counted
        (4,) float32: found, positives, false alarms, negatives, the old ones fading.
    epochs
        () float32, how often the training data went by.
    """

    log_multiplier: Array
    counted: Array
    epochs: Array


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How a goal stands on decisions that were counted.

    Parameters
    ----------
    goal
        What is to be reached.
    confusion
        Shares of all rows, at the share of positives of the training data.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> found = Progress(goal("recall where precision >= 0.5"), Confusion(tp=0.1, fp=0.05, fn=0.1, tn=0.75))
    >>> found.value, found.feasible
    (0.5, True)
    """

    goal: Goal
    confusion: Confusion

    @property
    def value(self) -> float:
        """The objective."""
        return float(self.goal.value(self.confusion))

    @property
    def shortfall(self) -> float:
        """By how much the constraints are missed, summed; 0 where all are kept."""
        return float(shortfall(self.goal, self.confusion))

    @property
    def feasible(self) -> bool:
        """Whether every constraint is kept."""
        return self.shortfall == 0

    def better_than(self, other: "Progress | None") -> bool:
        """Whether this serves the goal better, by more than rounding: less shortfall first, then the objective."""
        if other is None:
            return True
        short, theirs = float(self.shortfall), float(other.shortfall)
        if short != theirs and not abs(short - theirs) <= ROUNDING:
            return short < theirs
        slack = ROUNDING * float(self.goal.magnitude(other.confusion))
        return float(self.goal.score(self.confusion)) > float(self.goal.score(other.confusion)) + slack


def shortfall(goal: Goal, confusion: Confusion) -> NDArray[np.float64]:
    """By how much the constraints are missed at each of the counts, summed; infinite for a precision without alerts.

    Examples
    --------
    >>> some = Confusion(tp=np.array([0, 1]), fp=np.array([0, 3]), fn=3, tn=3)
    >>> from counterpoise.goals import goal
    >>> shortfall(goal("recall where precision >= 0.5"), some)
    array([ inf, 0.25])
    """
    short = np.sum([one.shortfall(confusion) for one in goal.constraints], axis=0)
    silent = np.asarray(confusion.alerts) == 0 if any(one.rate == "precision" for one in goal.constraints) else False
    return np.where(silent, np.inf, short)  # no alert, hence no precision: worse than any attempt


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, init=False)
class Lagrangian:
    """The class weights that serve a goal, and how they follow the decisions.

    Parameters
    ----------
    goal
        An objective on decisions, with or without constraints; or its text.
    counts
        Training counts of the two classes (negative, positive), both present.
    robustness
        What the surrogate is once warm, from 0 (log loss, which minds how wrong a row is) to 1 (1 - p, nearest to
        counting, but with no slope where the model is sure).
    warm_up
        For so many passes over the training data the surrogate is the log loss, while the weights go from those of
        cross-entropy to those of the goal; then the surrogate changes over as many.

    Raises
    ------
    UserError
        For a goal that cannot be trained for, and for counts that are not of two classes.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.5", [900, 100])
    >>> state = lagrangian.initial_state()
    >>> [round(float(weight), 2) for weight in lagrangian.weights(state)]  # cross-entropy's: the shares of the classes
    [0.1, 0.9]
    """

    goal: Goal
    counts: ClassCounts
    robustness: float = 0.4
    warm_up: float = 5.0
    prior: float = field(init=False)
    memory: float = field(init=False)

    def __init__(self, goal: Goal | str, counts: Any, robustness: float = 0.4, warm_up: float = 5.0) -> None:
        goal = goals.goal(goal) if isinstance(goal, str) else goal
        check_trainable(goal)
        prior = float(positive_share(counts)) if not isinstance(counts, LabelCounts) else 0.0
        counts = as_class_counts(counts)
        if not 0 < prior < 1:
            raise UserError(f"counts are {counts}; both classes, negative and positive, need samples")
        values = {
            "goal": goal,
            "counts": counts,
            "robustness": one_number("robustness", robustness, low=0.0, high=1.0),
            "warm_up": one_number("warm_up", warm_up, low=0.0),
            "prior": prior,
            "memory": min(float(counts.total), MEMORY / prior),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> str:
        """What it is made from, as one line of JSON; `from_json` gives it back."""
        counts = self.counts.n.tolist()
        return json.dumps(
            {"goal": str(self.goal), "counts": counts, "robustness": self.robustness, "warm_up": self.warm_up}
        )

    @classmethod
    def from_json(cls, text: str) -> "Lagrangian":
        """The Lagrangian that `to_json` wrote."""
        return cls(**json.loads(text))

    def initial_state(self) -> GoalState:
        """Multipliers of 1 and nothing counted, as NumPy arrays."""
        constraints = len(self.goal.constraints)
        return GoalState(np.zeros(constraints, np.float32), np.zeros(4, np.float32), np.zeros((), np.float32))

    def weights(self, state: GoalState) -> tuple[Array, Array]:
        """The weight of the positives' mean loss and that of the negatives', which sum to 1."""
        xp = namespace(state.counted)
        r, f = self._rates(xp, state)
        pos, neg = self._objective_slopes(xp, r, f)
        for place, constraint in enumerate(self.goal.constraints):
            damped = state.log_multiplier[place] + DAMPING * self._violation(constraint, r, f)
            multiplier = xp.exp(_clipped(xp, damped))
            by_recall, by_fpr = self._constraint_slopes(constraint)
            pos, neg = pos + multiplier * by_recall, neg + multiplier * by_fpr
        share = pos / (pos + neg)
        share = self.prior + self.reached_at(state) * (share - self.prior)
        return share, 1 - share

    def reached_at(self, state: GoalState) -> Array:
        """How far the weights have come, from those of cross-entropy (0) to those of the goal (1, once warm)."""
        xp = namespace(state.counted)
        return xp.minimum(state.epochs / max(self.warm_up, 1e-6), 1.0) if self.warm_up else state.epochs * 0 + 1

    def robustness_at(self, state: GoalState) -> Array:
        """From 0, during the warm-up, to `robustness`, as long again after it."""
        xp = namespace(state.counted)
        risen = (state.epochs - self.warm_up) / max(self.warm_up, 1e-6)
        # in steps, so that few recipes are made
        return self.robustness * xp.round(32 * xp.minimum(xp.maximum(risen, 0.0), 1.0)) / 32

    def observed(self, state: GoalState, found: list[Array], rows: Any) -> GoalState:
        """The state after one more batch of so many rows, whose decisions were counted by `counts_of`."""
        xp = namespace(state.counted)
        fresh = xp.constant(_to(xp, rows) / self.memory, state.counted, xp.float32)
        counts = xp.exp(-fresh) * state.counted + _vector(xp, found, state.counted)
        moved = state._replace(counted=counts, epochs=state.epochs + fresh * (self.memory / self.counts.total))
        if not self.goal.constraints:
            return moved
        r, f = self._rates(xp, moved)
        both_seen = xp.astype((counts[1] > 0) & (counts[3] > 0), xp.float32)
        violations = [self._violation(constraint, r, f) for constraint in self.goal.constraints]
        step = RATE * self.reached_at(moved) * both_seen * xp.minimum(fresh, LARGEST_SHARE)
        summed = state.log_multiplier + step * _vector(xp, violations, state.counted)
        return moved._replace(log_multiplier=_clipped(xp, summed))

    def progress(self, counts: Any) -> Progress:
        """How the goal stands on counts (4,) of decisions, as in `GoalState.counted`."""
        return Progress(self.goal, self.confusion(*(float(count) for count in counts)))

    def confusion(self, found: Any, positives: float, alarms: Any, negatives: float) -> Confusion:
        """Shares of all rows, at the share of positives of the training data, for one decision or several.

        Parameters
        ----------
        found, alarms
            Positives and negatives flagged, scalars or (T,).
        positives, negatives
            How many there are.
        """
        prior, others = self.prior, 1 - self.prior
        r, f = found / (positives or 1.0), alarms / (negatives or 1.0)
        # not prior - tp, which may be a hair below 0, and MCC then no number
        return Confusion(tp=prior * r, fp=others * f, fn=prior * (1 - r), tn=others * (1 - f))

    def _rates(self, xp: Namespace, state: GoalState) -> tuple[Array, Array]:
        counts = state.counted
        return counts[0] / xp.maximum(counts[1], 1e-12), counts[2] / xp.maximum(counts[3], 1e-12)

    def _allowed_ratio(self, bound: float) -> float:
        """f / r at which the precision is `bound`, inverted: precision >= bound where this times f <= r."""
        return bound * (1 - self.prior) / ((1 - bound) * self.prior)

    def _violation(self, constraint: Constraint, r: Array, f: Array) -> Array:
        """From -1 to 1: what is spent against what is allowed, relative to both."""
        bound = constraint.bound
        one_alert = 0.0
        if constraint.rate == "precision":
            spent, allowed = self._allowed_ratio(bound) * f, r
            # with nothing flagged this reads -1/4, so that a constraint which silences the model loosens again
            one_alert = 0.25 / (self.prior * self.memory)
        elif constraint.rate == "recall":
            spent, allowed = bound, r
        elif constraint.rate == "alerts":
            spent, allowed = self.prior * r + (1 - self.prior) * f, bound
        else:
            spent, allowed = f, bound if constraint.rate == "fpr" else 1 - bound
        return (spent - allowed - one_alert) / (spent + allowed + 4 * one_alert)

    def _constraint_slopes(self, constraint: Constraint) -> tuple[float, float]:
        """How the constraint, scaled so that its multiplier is about 1, weighs missed positives and false alarms."""
        bound = constraint.bound
        if constraint.rate == "precision":
            return 1.0, self._allowed_ratio(bound)
        if constraint.rate == "recall":
            return 1 / bound, 0.0
        if constraint.rate == "alerts":
            # found positives are alerts too, but to lose them is no way to save: only false alarms are charged
            return 0.0, (1 - self.prior) / bound
        return 0.0, 1 / (bound if constraint.rate == "fpr" else 1 - bound)

    def _objective_slopes(self, xp: Namespace, r: Array, f: Array) -> tuple[Array, Array]:
        """Slopes of the objective by r and by -f, up to a common factor."""
        goal, prior = self.goal, self.prior
        one, odds = r * 0 + 1, (1 - prior) / prior
        some_alarms = xp.maximum(f, 1 / ((1 - prior) * self.memory))
        if isinstance(goal.costs, Cost):
            cost = goal.costs.numbers()
            return one, one * odds * (cost["fp"] - cost["tn"]) / (cost["fn"] - cost["tp"])
        if goal.objective == "recall":
            return one, one * 0
        if goal.objective == "precision":
            return one, r / some_alarms
        if goal.minimise or goal.objective == "specificity":
            return one * 0, r / some_alarms  # in proportion, so that the multiplier that balances it is about 1
        if goal.objective == "balanced_accuracy":
            return one, one
        if goal.objective == "g_mean":
            return one, r / xp.maximum(1 - f, 1e-6)
        if goal.objective == "mcc":
            alerts = xp.maximum(prior * r + (1 - prior) * f, 1 / self.memory)
            alerts = xp.minimum(alerts, 1 - 1 / self.memory)
            bend = (1 - 2 * alerts) / (alerts * (1 - alerts)) * (r - f) / 2
            return 1 - prior * bend, 1 + (1 - prior) * bend
        if goal.objective == "macro_f1":
            flagged, passed = prior * (1 + r) + (1 - prior) * f, (1 - prior) * (2 - f) + prior * (1 - r)
            by_found = (odds * f + 1) / flagged**2 + odds * (1 - f) / passed**2
            by_alarm = odds * r / flagged**2 + odds * (1 - r + odds) / passed**2
            return one, by_alarm / by_found
        beta = float(goal.objective.removeprefix("f"))
        return one, odds * r / (odds * f + beta**2)


def check_trainable(goal: Any) -> None:
    """Raise for a goal that no training of decisions can serve.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> check_trainable(goal("recall"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: goal 'recall' is best where everything is flagged; add a constraint, as in \
'recall where precision >= 0.5'
    """
    if not isinstance(goal, Goal):
        raise UserError(f"goal is {goal!r}; pass a text such as 'recall where precision >= 0.5', or a Goal")
    goal.check_served("GoalLoss")
    if goal.ranking:
        raise UserError(
            f"goal '{goal}' judges the order of the scores, not decisions; train with cross-entropy, or with a loss of "
            "counterpoise.rates"
        )
    held = {constraint.rate for constraint in goal.constraints}
    if goal.objective == "recall" and not held - {"recall"}:
        raise UserError(
            f"goal '{goal}' is best where everything is flagged; add a constraint, as in "
            "'recall where precision >= 0.5'"
        )
    if goal.objective in ("precision", "specificity", "fpr", "alerts") and "recall" not in held:
        raise UserError(
            f"goal '{goal}' is best where next to nothing is flagged; add a constraint, as in "
            f"'{goal.objective} where recall >= 0.9'"
        )
    for constraint in goal.constraints:
        if not 0 < constraint.bound < 1:
            raise UserError(
                f"goal '{goal}': {constraint} holds always or hardly ever; a bound to train for lies between 0 and 1, "
                "both excluded"
            )


def check_same_goal(goal: Goal, saved: str | None) -> None:
    """Refuse a state whose multipliers belong to another goal.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> check_same_goal(goal("f1"), "f2")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: this state was learned for goal 'f2', not 'f1'; make the criterion with that goal, \
or start without the state
    """
    if saved != str(goal):
        known = "no goal that it names" if saved is None else f"goal {saved!r}"
        raise UserError(
            f"this state was learned for {known}, not {str(goal)!r}; make the criterion with that goal, or start "
            "without the state"
        )


def goal_loss(
    logits: Array,
    target: Array,
    state: GoalState,
    lagrangian: Lagrangian,
    sample_weight: Any = None,
    learn: bool = True,
) -> tuple[Array, GoalState]:
    """The loss of a batch and the state after it, on arrays of any framework.

    Parameters
    ----------
    logits
        Raw scores of the positive class, floating, of any shape.
    target
        0 or 1, of the logits' shape (a last axis of 1 may be missing on either).
    state
        The state after the last batch, in arrays of the logits' framework, or of NumPy where values can be seen.
    lagrangian
        What to reach.
    sample_weight
        As in `counterpoise.loss`; weighs counts and loss.
    learn
        Whether the state takes notice of this batch.

    Returns
    -------
    value, state
        A scalar, the mean over the batch, and what to pass with the next batch.

    Raises
    ------
    UserError
        For targets other than 0 and 1, where values can be seen (elsewhere they give NaN); as `counterpoise.loss`.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.5", [900, 100])
    >>> value, state = goal_loss(np.array([1.0, -1.0]), np.array([1, 0]), lagrangian.initial_state(), lagrangian)
    >>> state.counted
    array([1., 1., 0., 1.], dtype=float32)
    """
    return goal_loss_of(checked(logits, target, sample_weight), state, lagrangian, learn)


def goal_loss_of(
    arguments: Arguments, state: GoalState, lagrangian: Lagrangian, learn: bool = True, replicas: Replicas = ALONE
) -> tuple[Array, GoalState]:
    """As `goal_loss`, of arguments from `checked`; where several replicas hold the batch, the share of this one."""
    xp, z = arguments.xp, arguments.logits
    found, rows = counts_of(arguments), _rows(arguments)
    if replicas is not ALONE:
        *found, rows = replicas.total(*(xp.constant(part, z, z.dtype) for part in (*found, rows)))
    if learn:
        state = lagrangian.observed(state, found, rows)
    pos, neg = lagrangian.weights(state)
    weight, own = _of_class(arguments, pos / lagrangian.prior, neg / (1 - lagrangian.prior)), _weight(arguments)
    if own is not None:
        weight = weight * own
    q = lagrangian.robustness_at(state)
    if namespace(q) is numpy_namespace:
        return loss(z, arguments.target, _surrogate(float(q)), sample_weight=weight), state
    (total,) = replicas.total(_sum_of_surrogate(arguments, weight, q))
    rows = max(rows, 1.0) if isinstance(rows, float) else xp.maximum(xp.astype(rows, z.dtype), 1.0)
    return replicas.share(total / rows), state


def _sum_of_surrogate(arguments: Arguments, weight: Array, q: Array) -> Array:
    """The weighted sum of (1 - e^-qc) / q, which is the cross-entropy c where q is 0 and 1 - p where it is 1."""
    # a recipe's robustness is fixed while tracing; here it is an array
    xp = arguments.xp
    cross_entropy = loss(arguments.logits, arguments.target, _surrogate(0.0), reduction="none")
    q = xp.maximum(xp.astype(q, cross_entropy.dtype), 1e-8)
    return xp.sum(weight * -xp.expm1(-q * cross_entropy) / q)


@lru_cache(maxsize=128)
def _surrogate(robustness: float) -> SigmoidRecipe:
    return SigmoidRecipe(robustness=robustness, name="goal")


def judged(logits: Array, target: Array, lagrangian: Lagrangian, sample_weight: Any = None) -> Progress:
    """How a goal stands on the decisions of these rows, such as held-out ones; arguments as in `goal_loss`.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.5", [50, 50])
    >>> judged(np.array([1.0, 2.0, -3.0]), np.array([1, 0, 0]), lagrangian).value
    1.0
    """
    return lagrangian.progress(counts_of(checked(logits, target, sample_weight)))


def counts_of(arguments: Arguments) -> list[Array]:
    """Found positives, positives, false alarms and negatives; weighted, scalars of the logits' framework."""
    xp, weight = arguments.xp, _weight(arguments)
    z, positive = xp.stop_gradient(arguments.logits), arguments.target
    flagged = xp.astype(z >= 0, positive.dtype)
    if weight is not None:
        flagged, positive = flagged * weight, positive * weight
    total = _rows(arguments) if weight is None else xp.sum(weight)
    found, positives = xp.sum(flagged * arguments.target), xp.sum(positive)
    return [found, positives, xp.sum(flagged) - found, total - positives]


def _weight(arguments: Arguments) -> Array | None:
    """The weight of each decision, 0 where it is left out; or None."""
    xp, keep, weight = arguments.xp, arguments.keep, arguments.weight
    if keep is None:
        return weight
    return xp.astype(keep, arguments.logits.dtype) if weight is None else xp.where(keep, weight, 0.0)


def _rows(arguments: Arguments) -> Any:
    """How many decisions there are; a scalar array where that is unknown while tracing."""
    xp, shape = arguments.xp, arguments.xp.shape(arguments.logits)
    if arguments.keep is not None:
        return xp.sum(xp.astype(arguments.keep, xp.float32))
    if all(isinstance(size, int) for size in shape):
        return float(prod(shape))
    return xp.sum(xp.astype(arguments.target * 0 + 1, xp.float32))


def _of_class(arguments: Arguments, positive: Any, negative: Any) -> Array:
    """One of two numbers for each row."""
    xp, target = arguments.xp, arguments.target
    if namespace(positive) is numpy_namespace:
        positive, negative = float(positive), float(negative)
    else:
        positive, negative = xp.astype(positive, target.dtype), xp.astype(negative, target.dtype)
    return negative + target * (positive - negative)


def checked(logits: Array, target: Array, sample_weight: Any) -> Arguments:
    """The arguments in their one form, with a target of 0 or 1: a decision cannot be counted as half right."""
    arguments = arguments_of(logits, target, _surrogate(0.0), sample_weight, None, -1)
    xp, y = arguments.xp, arguments.target
    hard = (y == 0) | (y == 1)
    if not xp.is_concrete(y):
        return dataclasses.replace(arguments, target=xp.where(hard, y, float("nan")))
    seen = np.asarray(hard)
    if not seen.all():
        place = tuple(int(i) for i in np.argwhere(~seen)[0])
        raise UserError(
            f"target[{', '.join(map(str, place))}] is {float(y[place]):g}; a goal counts decisions, so targets are 0 "
            "or 1"
        )
    return arguments


def _to(xp: Namespace, scalar: Any) -> Any:
    """A scalar for the framework of the state, which may be NumPy's on the host whatever the logits are."""
    return float(scalar) if xp is numpy_namespace else scalar


def _vector(xp: Namespace, scalars: Sequence[Any], like: Array) -> Array:
    """Scalars of any framework as a float32 vector of the state's."""
    if xp is numpy_namespace:
        return np.array([float(scalar) for scalar in scalars], np.float32)
    return xp.concatenate([xp.reshape(xp.constant(scalar, like, xp.float32), (1,)) for scalar in scalars])


def _clipped(xp: Namespace, log_multiplier: Array) -> Array:
    return xp.minimum(xp.maximum(log_multiplier, -BOUND), BOUND)
