"""The threshold that serves a goal best on scored rows, with a promise for new rows where one can be made.

Without a promise the threshold is the exact optimum over every distinct score, in O(n log n). What is promised,
and why it holds, is in `counterpoise.decide.guarantee`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.binomial import checked_confidence
from counterpoise.decide.guarantee import Certified, certify, missing_positives
from counterpoise.decide.measured import Measured, rates_of
from counterpoise.decide.rows import check_probability, real_numbers
from counterpoise.decide.sweep import Sweep, sweep, sweep_or_weighted
from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Constraint, Cost, Goal
from counterpoise.ties import ROUNDING, first_largest, reaching
from counterpoise.wording import plural


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decision:
    """A threshold, its rates, and whether these are promised for new rows.

    Parameters
    ----------
    threshold
        Smallest probability of a flagged row: 0 flags every row, and 1.0000001, the smallest float32 above 1, flags
        none.
    promised
        Whether every constraint of the goal holds on new rows of the same kind, with the requested confidence.
    met
        Whether every constraint holds on the rows the threshold was chosen on.
    reason
        The promise in words, or why nothing is promised.
    missing_positives
        About how many more positives, with as many more negatives for each, would usually be enough for a promise; 0 if
        it is made, None if no number would be enough or rows have unequal weights.
    rates
        Rates of the threshold on the rows it was chosen on: each rate's value and the ends of its two-sided 95 %
        interval.
    value
        Value of the goal's objective on these rows.
    confusion
        Counts on these rows.
    """

    threshold: float
    promised: bool
    met: bool
    reason: str
    missing_positives: int | None
    rates: dict[str, Measured]
    value: float
    confusion: Confusion

    def apply(self, probability: ArrayLike) -> NDArray[np.bool_]:
        """Which rows are flagged: those whose probability, in [0, 1], is at least the threshold.

        Examples
        --------
        >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], "f1").apply([0.2, 0.8])
        array([False,  True])
        """
        scores = real_numbers("probability", probability)
        if scores.ndim != 1:
            raise UserError(f"probability has shape {scores.shape}; it must have one dimension, (N,)")
        check_probability(scores)
        return scores >= self.threshold


_KEPT = 1e-12
"""As `Constraint.shortfall` has it."""


@dataclass(frozen=True, slots=True)
class _Best:
    """A place of the sweep, the shortfall of its constraints there, and the goal's score."""

    place: int = 0
    short: float = np.inf
    score: float = -np.inf


def choose_threshold(
    target: ArrayLike,
    probability: ArrayLike,
    goal: Goal | str,
    confidence: float = 0.95,
    sample_weight: ArrayLike | None = None,
) -> Decision:
    """The best threshold for `goal` among those that keep its constraints on new rows with the given confidence.

    Parameters
    ----------
    target
        Zeros and ones (or booleans), both present, (N,). The model must not have been trained on these rows.
    probability
        One score in [0, 1] per row, (N,). A promise holds for any score; honest probabilities find more.
    goal
        The goal, or its text. For a ranking goal the threshold is the one with the best F1.
    confidence
        Confidence of the promise, at least 0.5 and below 1; default 0.95. It is the probability, over the rows given
        here, that no promised threshold breaks a constraint on infinitely many new rows of the same kind. Where
        precision is bounded together with specificity, fpr or alerts, and crosses its bound more than once, the proven
        risk is twice as large: see `counterpoise.decide.guarantee`.
    sample_weight
        Weight of each row, (N,), >= 0. Rows with unequal weights get no promise.

    Returns
    -------
    Decision
        The decision. If nothing can be promised, `promised` is False and the threshold is the best one on these rows;
        among equals the one that flags the fewest. (A promised threshold of the best recall flags as many as it may.)
        If even these rows do not keep the constraints, `met` is False and the threshold is the one that comes closest.

    Raises
    ------
    UserError
        If the rows do not belong together, a score is NaN or outside [0, 1], or a class has no row.

    References
    ----------
    Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, 2021.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.random(4000) < 0.1
    >>> probability = 1 / (1 + np.exp(-rng.normal(4.0 * target - 4.2, 2.0)))
    >>> decision = choose_threshold(target, probability, "recall where precision >= 0.5")
    >>> decision.promised, str(decision.rates["precision"])
    (True, '0.546 [0.501, 0.590]')
    >>> choose_threshold([0, 1, 0], [0.5, 0.5, 0.9], "recall where precision >= 0.5").reason
    'this goal cannot be met here: the highest precision with at least one alert is 0.333'
    """
    wanted = goals.goal(goal)
    wanted.check_served("choose_threshold")
    sure = checked_confidence(confidence)
    rows, per_count = sweep_or_weighted(target, probability, sample_weight)
    best = _best(rows, wanted)
    met = best.short == 0
    certified = None
    if not met:
        missing, reason = None, _unmet(rows, wanted)
    elif not wanted.constraints:
        missing, reason = None, f"{_met(wanted, rows.at(best.place))}; without a bound in the goal nothing is promised"
    elif per_count is not None:
        missing, reason = None, f"{_not_sure(wanted, sure)}: no exact test exists for weighted rows"
    else:
        certified = certify(rows, wanted.constraints, sure)
        kept = _best_certified(rows, wanted, certified)
        if kept is None:
            certified = None
            missing = missing_positives(rows, wanted.constraints, sure)
            reason = f"{_not_sure(wanted, sure)}: {_too_few(rows, missing)}{_useless(rows.at(best.place))}"
        else:
            best, missing = kept, 0
            reason = _promise(wanted, rows.at(best.place), sure)
    at = _as_numbers(rows.at(best.place))
    return Decision(
        threshold=float(rows.threshold_at(best.place)) if certified is None else certified.threshold(rows, best.place),
        promised=certified is not None,
        met=met,
        reason=reason,
        missing_positives=missing,
        rates=rates_of(at, wanted, rows_per_count=per_count or 1.0),
        value=float(wanted.value(at)),
        confusion=at,
    )


def best_threshold(
    target: ArrayLike, probability: ArrayLike, goal: Goal, sample_weight: ArrayLike | None = None
) -> float:
    """The threshold that is best on these rows, whether or not it keeps the constraints on others.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> best_threshold([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.7, 0.9], goal("f1"))
    0.25
    """
    rows = sweep(target, probability, sample_weight)
    return float(rows.threshold_at(_best(rows, goal).place))


def known_threshold(goal: Goal, prior: float) -> float | None:
    """The best threshold for honest probabilities, whatever the rows are; None if theory gives none.

    Parameters
    ----------
    goal
        A goal without constraints: a cost, whose threshold is where both decisions cost the same (Elkan 2001), or
        balanced accuracy, whose threshold is the prior.
    prior
        Share of positives, in (0, 1).

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> known_threshold(goal("cost fn=9 fp=1"), 0.2), known_threshold(Goal("balanced_accuracy"), 0.2)
    (0.1, 0.2)
    """
    if goal.constraints or goal.needs:
        return None
    if isinstance(goal.costs, Cost):
        cost = goal.costs.numbers()
        alarm, miss = cost["fp"] - cost["tn"], cost["fn"] - cost["tp"]
        return alarm / (alarm + miss) if alarm + miss > 0 else None
    return prior if goal.objective == "balanced_accuracy" else None


def decision_at(
    threshold: float, target: ArrayLike, probability: ArrayLike, goal: Goal, sample_weight: ArrayLike | None = None
) -> Decision:
    """The decision at a given threshold on scored rows; nothing is promised.

    A score that differs from the threshold only by rounding reaches it.

    Examples
    --------
    >>> decision_at(0.5, [0, 1, 1], [0.2, 0.4, 0.8], Goal("f1")).rates["recall"].value
    0.5
    """
    rows, per_count = sweep_or_weighted(target, probability, sample_weight)
    at = _as_numbers(rows.at(int(rows.places([reaching(threshold)])[0])))
    return Decision(
        threshold=threshold,
        promised=False,
        met=sum(float(_shortfall(one, at)) for one in goal.constraints) == 0,
        reason=f"{goal.label} is {float(goal.value(at)):.3g} here{_useless(at)}",
        missing_positives=None,
        rates=rates_of(at, goal, rows_per_count=per_count or 1.0),
        value=float(goal.value(at)),
        confusion=at,
    )


def _best(rows: Sweep, goal: Goal, allowed: Callable[[Confusion], NDArray[np.bool_]] | None = None) -> _Best:
    """The best candidate; equal to rounding counts as equal, and the one that flags the fewest rows wins."""
    best = _Best()
    for places in rows.candidates():
        at = rows.at(places)
        if allowed is not None:
            places = places[allowed(at)]
            at = rows.at(places)
        best = _better(best, places, goal, at)
    return best


def _better(best: _Best, places: NDArray[np.int64], goal: Goal, at: Confusion) -> _Best:
    """The better of what is known and the best of some more places."""
    if len(places) == 0:
        return best
    short = np.zeros(len(places))
    for constraint in goal.constraints:
        short += _shortfall(constraint, at)
    least = float(short.min())
    if least > best.short + _KEPT:
        return best
    score = np.where(short <= least + _KEPT, goal.score(at), -np.inf)
    top = int(np.argmax(score))
    slack = ROUNDING * float(np.broadcast_to(goal.magnitude(at), score.shape)[top])
    if least >= best.short - _KEPT and score[top] <= best.score + slack:
        return best
    first = int(first_largest(score, slack))
    return _Best(int(places[first]), least, float(score[first]))


def _shortfall(constraint: Constraint, at: Confusion) -> NDArray[np.float64]:
    short = constraint.shortfall(at)
    if constraint.rate == "precision":
        # Flagging nothing has no precision: it must lose against every real attempt.
        short = np.where(np.asarray(at.tp + at.fp) > 0, short, 2.0)
    return short


def _best_certified(rows: Sweep, goal: Goal, certified: Certified) -> _Best | None:
    """The best place among the certified ones that flag a row; of equals the one that flags the fewest."""
    if certified.places is None:
        best = _best(rows, goal, certified.allowed)
        return best if best.short < np.inf else None
    places = certified.places[certified.allowed(rows.at(certified.places))]
    return _better(_Best(), places, goal, rows.at(places)) if len(places) else None


def _as_numbers(at: Confusion) -> Confusion:
    return Confusion(tp=float(at.tp), fp=float(at.fp), fn=float(at.fn), tn=float(at.tn))


def _bounds(goal: Goal) -> str:
    return " and ".join(str(constraint) for constraint in goal.constraints)


def _promise(goal: Goal, at: Confusion, confidence: float) -> str:
    return (
        f"{goal.label} is best here ({float(goal.value(at)):.3g}) among the thresholds that keep {_bounds(goal)} "
        f"on new rows of the same kind, with {confidence:.4g} confidence{_useless(at)}"
    )


def _not_sure(goal: Goal, confidence: float) -> str:
    return (
        f"the threshold keeps {_bounds(goal)} on these rows, but this cannot be promised for new rows with "
        f"{confidence:.4g} confidence"
    )


def _too_few(rows: Sweep, missing: int | None) -> str:
    if missing is None:
        return "on these rows no threshold does better than the bound, so no number of rows would be enough"
    found = int(rows.positives)
    return f"{plural(found, 'positive row is', 'positive rows are')} too few; about {missing:,} more would be enough"


def _met(goal: Goal, at: Confusion) -> str:
    if goal.ranking:
        return f"{goal.objective} judges the order of the scores; the threshold is that of the best F1"
    return f"{goal.label} is best here ({float(goal.value(at)):.3g}){_useless(at)}"


def _useless(at: Confusion) -> str:
    if float(at.alerts) == 0:
        return "; but it flags nothing: no useful threshold serves this goal"
    if float(at.alerts) == 1:
        return "; but it flags everything: bound false alarms (more tightly), as in 'where precision >= 0.5'"
    return ""


def _unmet(rows: Sweep, goal: Goal) -> str:
    opening = "this goal cannot be met here:"
    for constraint in goal.constraints:
        if constraint.rate == "precision":
            top = _extreme(rows, constraint, [])
            if top is not None and top < constraint.bound - 1e-12:
                return f"{opening} the highest precision with at least one alert is {top:.3f}"
    hard = next((one for one in goal.constraints if one.rate == "precision"), goal.constraints[-1])
    rest = [one for one in goal.constraints if one is not hard]
    others = " and ".join(str(one) for one in rest)
    found = _extreme(rows, hard, rest)
    if found is None:
        return f"{opening} no threshold that flags a row keeps {others}"
    return f"{opening} the {'highest' if hard.at_least else 'lowest'} {hard.rate} where {others} is {found:.3f}"


def _extreme(rows: Sweep, constraint: Constraint, others: list[Constraint]) -> float | None:
    """The best value of a constraint's rate among the thresholds that flag a row and keep the others, if any does."""
    found = []
    for places in rows.candidates():
        at = rows.at(places)
        kept = np.asarray(at.tp + at.fp) > 0
        for other in others:
            kept &= other.shortfall(at) == 0
        rate = np.asarray(getattr(at, constraint.rate))[kept]
        if len(rate):
            found.append(float(rate.max() if constraint.at_least else rate.min()))
    return (max(found) if constraint.at_least else min(found)) if found else None
