"""The threshold that serves a goal best on scored rows: exact, over every distinct score.

A row is flagged when its probability is at least the threshold, so rows with equal scores are
flagged together and only the gaps between distinct scores (and both ends) can differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Constraint, Goal


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A threshold, whether it keeps the goal's constraints, and why it is what it is.

    Parameters
    ----------
    threshold
        Flag a row when its probability is at least this.
    met
        Whether every constraint holds on the rows it was chosen on.
    reason
        One sentence for the reader.
    value
        The objective at this threshold, on the rows it was chosen on.
    confusion
        The counts there.
    """

    threshold: float
    met: bool
    reason: str
    value: float
    confusion: Confusion


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Every decision that a threshold can make: from flagging nothing to flagging everything.

    Parameters
    ----------
    threshold
        Falling; the first flags nothing.
    confusion
        The counts at each.
    """

    threshold: NDArray[np.float64]
    confusion: Confusion


def sweep(target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None) -> Sweep:
    """All distinct decisions on scored rows, in O(n log n).

    Examples
    --------
    >>> every = sweep([0, 1, 1], [0.2, 0.4, 0.8])
    >>> every.threshold.round(3), every.confusion.recall
    (array([0.9, 0.6, 0.3, 0. ]), array([0. , 0.5, 1. , 1. ]))
    """
    truth, scores, weight = checked_rows(target, probability, sample_weight)
    order = np.argsort(-scores, kind="stable")
    truth, scores, weight = truth[order], scores[order], weight[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    tp = np.concatenate([[0.0], np.cumsum(weight * truth)[last]])
    fp = np.concatenate([[0.0], np.cumsum(weight * ~truth)[last]])
    distinct = scores[last]
    # Half-way between two scores, so that another machine's last digit flips no decision.
    middle = (distinct[:-1] + distinct[1:]) / 2
    middle = np.where(middle > distinct[1:], middle, distinct[:-1])
    nothing = (distinct[0] + 1) / 2 if distinct[0] < 1 else np.nextafter(1.0, 2.0)
    if nothing <= distinct[0]:
        nothing = 1.0
    confusion = Confusion(tp=tp, fp=fp, fn=tp[-1] - tp, tn=fp[-1] - fp)
    return Sweep(np.concatenate([[nothing], middle, [0.0]]), confusion)


def choose_threshold(
    target: ArrayLike, probability: ArrayLike, goal: Goal, sample_weight: ArrayLike | None = None
) -> Decision:
    """The threshold that serves `goal` best; among equals the one that flags the fewest rows.

    Parameters
    ----------
    target
        Zeros and ones (or booleans), both present.
    probability
        One score in [0, 1] per row.
    goal
        What to reach. A ranking goal takes the threshold of the best F1.
    sample_weight
        How much each row counts.

    Returns
    -------
    Decision
        Where the constraints cannot be met, `met` is False and the threshold is the one that comes
        closest to them.

    Examples
    --------
    >>> decision = choose_threshold([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.7, 0.9], Goal.parse("f1"))
    >>> decision.threshold, round(decision.value, 3)
    (0.25, 0.8)
    >>> choose_threshold([0, 1, 0], [0.5, 0.5, 0.9], Goal.parse("recall where precision >= 0.5")).reason
    'this goal cannot be met here: the highest precision with at least one alert is 0.333'
    """
    goal.check_served("choose_threshold")
    every = sweep(target, probability, sample_weight)
    confusion = every.confusion
    some = np.asarray(confusion.tp) + np.asarray(confusion.fp) > 0
    short = np.zeros(len(every.threshold))
    for constraint in goal.constraints:
        short = short + _shortfall(constraint, confusion, some)
    score = goal.score(confusion)
    best = _first_best(np.where(short == short.min(), score, -np.inf))
    met = bool(short[best] == 0)
    at = _at(confusion, best)
    reason = _met(goal, at) if met else _unmet(goal, confusion, some)
    return Decision(float(every.threshold[best]), met, reason, float(goal.value(at)), at)


def decide(target: ArrayLike, probability: ArrayLike, threshold: float) -> Confusion:
    """The counts at a given threshold.

    Examples
    --------
    >>> decide([0, 1, 1], [0.2, 0.4, 0.8], 0.5)
    Confusion(tp=1.0, fp=0.0, fn=1.0, tn=1.0)
    """
    truth = np.asarray(target).astype(bool)
    flagged = np.asarray(probability) >= threshold
    return Confusion(
        tp=float(np.sum(truth & flagged)),
        fp=float(np.sum(~truth & flagged)),
        fn=float(np.sum(truth & ~flagged)),
        tn=float(np.sum(~truth & ~flagged)),
    )


def _shortfall(constraint: Constraint, confusion: Confusion, some: NDArray[np.bool_]) -> NDArray[np.float64]:
    short = constraint.shortfall(confusion)
    if constraint.rate == "precision":
        # Flagging nothing has no precision: it must lose against every real attempt.
        short = np.where(some, short, 2.0)
    return short


def _first_best(score: NDArray[np.float64]) -> int:
    """The place of the largest score; equal to rounding counts as equal, and the first one wins."""
    top = score.max()
    return int(np.flatnonzero(score >= top - 1e-12 * max(1.0, abs(top)))[0])


def _at(confusion: Confusion, place: int) -> Confusion:
    tp, fp, fn, tn = (
        float(np.asarray(count)[place]) for count in (confusion.tp, confusion.fp, confusion.fn, confusion.tn)
    )
    return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def _met(goal: Goal, at: Confusion) -> str:
    if goal.ranking:
        return f"{goal.objective} judges the order of the scores; the threshold is that of the best F1"
    reason = f"{goal.label} is best here ({float(goal.value(at)):.3g})"
    if goal.constraints:
        kept = " and ".join(str(constraint) for constraint in goal.constraints)
        reason = f"{reason} among the thresholds that keep {kept}"
    if float(at.alerts) == 0:
        reason += "; but it flags nothing: no useful threshold serves this goal"
    elif float(at.alerts) == 1:
        reason += "; but it flags everything: add a constraint, such as 'where precision >= 0.5'"
    return reason


def _unmet(goal: Goal, confusion: Confusion, some: NDArray[np.bool_]) -> str:
    opening = "this goal cannot be met here:"
    for constraint in goal.constraints:
        if constraint.rate == "precision" and not np.any(_shortfall(constraint, confusion, some) == 0):
            top = float(confusion.precision[some].max())
            return f"{opening} the highest precision with at least one alert is {top:.3f}"
    hard = next((one for one in goal.constraints if one.rate == "precision"), goal.constraints[-1])
    rest = [one for one in goal.constraints if one is not hard]
    kept = some.copy()
    for one in rest:
        kept &= one.shortfall(confusion) == 0
    others = " and ".join(str(one) for one in rest)
    if not np.any(kept):
        return f"{opening} no threshold that flags a row keeps {others}"
    rate = np.asarray(getattr(confusion, hard.rate))[kept]
    word, found = ("highest", rate.max()) if hard.at_least else ("lowest", rate.min())
    return f"{opening} the {word} {hard.rate} where {others} is {found:.3f}"


def checked_rows(
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Truth, probability and weight of scored rows of two classes, or `UserError`.

    Examples
    --------
    >>> checked_rows([0, 1], [0.2, float("nan")])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability nan in row 1 lies outside 0 to 1
    """
    truth = real_numbers("target", target)
    scores = real_numbers("probability", probability)
    weight = np.ones(truth.shape) if sample_weight is None else real_numbers("sample_weight", sample_weight)
    for name, array in (("target", truth), ("probability", scores), ("sample_weight", weight)):
        if array.ndim != 1:
            raise UserError(f"{name} has shape {array.shape}; it must have one dimension, (N,)")
    if not len(truth) == len(scores) == len(weight):
        raise UserError(
            f"target has {len(truth)} values, probability {len(scores)} and sample_weight {len(weight)}; "
            "pass one of each per row"
        )
    bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(bad):
        raise UserError(f"probability {scores[bad[0]]} in row {bad[0]} lies outside 0 to 1")
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)))
    if len(bad):
        raise UserError(f"sample_weight {weight[bad[0]]} in row {bad[0]} is not a finite number of 0 or more")
    bad = np.flatnonzero((truth != 0) & (truth != 1))
    if len(bad):
        raise UserError(f"target {truth[bad[0]]:g} in row {bad[0]} is neither 0 nor 1")
    flag = truth.astype(bool)
    for value in (True, False):
        if not np.any(weight[flag == value] > 0):
            raise UserError(f"target has no row of class {int(value)}; both classes are needed")
    return flag, scores, weight


def real_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Values as float64, or `UserError`.

    Examples
    --------
    >>> real_numbers("target", ["yes", "no"])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: target must be numbers, but starts with 'yes'
    """
    try:
        array = np.asarray(values)
        return np.asarray(array if array.dtype.kind in "biuf" else array.astype(object), np.float64)
    except (TypeError, ValueError):
        first = next(iter(values), "") if isinstance(values, Iterable) else values
        raise UserError(f"{name} must be numbers, but starts with {first!r}") from None
