"""Training for a goal: a Lagrangian whose multipliers are class weights that change during training.

A row is flagged if its logit is at least 0. With r the share of the positives that are flagged and f that of the
negatives, a goal is an objective X(r, f) and constraints g_i(r, f) <= 0, and the slope of its Lagrangian is a weight on
missed positives and one on false alarms:

    loss = pos * mean over positives of phi(-z) + neg * mean over negatives of phi(z)
    pos = dX/dr - sum_i l_i dg_i/dr,    neg = -dX/df + sum_i l_i dg_i/df,    scaled to pos + neg = 1

Decisions have no slope, so phi, the sigmoid family's loss, stands in for them; but the multipliers l_i and the slopes
of X follow the decisions themselves, counted over the last batches (Cotter et al., Optimization with non-differentiable
constraints, JMLR 2019; Eban et al., Scalable learning of non-decomposable objectives, AISTATS 2017). The logarithm of a
multiplier is the sum of the violations so far plus a part in proportion to the present one, which damps the oscillation
of the sum alone (Stooke et al., Responsive safety by PID Lagrangian methods, ICML 2020).

It starts from cross-entropy, whose weights are the shares of the classes, and changes over while it warms up: an
untrained model under a strict bound would learn to flag nothing before it learnt to rank.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from counterpoise import goals
from counterpoise.arrays import Array, Namespace, namespace, numpy_namespace
from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Constraint, Cost, Goal
from counterpoise.lagrangian.progress import Progress
from counterpoise.lagrangian.trainable import check_trainable
from counterpoise.recipes.numbers import one_number
from counterpoise.recipes.sigmoid_recipe import positive_share
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
    """The state of a goal's loss, kept from batch to batch.

    Parameters
    ----------
    log_multiplier
        Integral part of each constraint's log multiplier, (K,) float32.
    counted
        Positives found, positives, false alarms and negatives, (4,) float32; old batches fade.
    epochs
        Number of passes over the training data so far, () float32.
    """

    log_multiplier: Array
    counted: Array
    epochs: Array


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, init=False)
class Lagrangian:
    """The class weights that serve a goal, and how they follow the decisions.

    Parameters
    ----------
    goal
        An objective on decisions, with or without constraints; or the text of such a goal.
    counts
        Training counts of the two classes (negative, positive), both present.
    robustness
        Shape of the surrogate after the warm-up, from 0 (log loss, which depends on how wrong a row is) to 1 (1 - p,
        closest to counting, but without a slope where the model is sure).
    warm_up
        Number of passes over the training data in which the surrogate is the log loss, while the weights move from
        those of cross-entropy to those of the goal. The surrogate then changes over as many more passes.

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
        """Its settings as one line of JSON, which `from_json` reads."""
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
        """Progress of the weights from those of cross-entropy (0) to those of the goal (1, after the warm-up)."""
        xp = namespace(state.counted)
        return xp.minimum(state.epochs / max(self.warm_up, 1e-6), 1.0) if self.warm_up else state.epochs * 0 + 1

    def robustness_at(self, state: GoalState) -> Array:
        """The robustness in use: 0 during the warm-up; it then rises to `robustness` over the same time."""
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
        """The progress of the goal on counts (4,) of decisions, as in `GoalState.counted`."""
        return Progress(self.goal, self.confusion(*(float(count) for count in counts)))

    def confusion(self, found: Any, positives: float, alarms: Any, negatives: float) -> Confusion:
        """Shares of all rows, at the share of positives of the training data, for one decision or several.

        Parameters
        ----------
        found, alarms
            Positives and negatives flagged, scalars or (T,).
        positives, negatives
            Number of positives and of negatives.
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
        """The difference of the spent and the allowed amount relative to both, from -1 to 1."""
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
