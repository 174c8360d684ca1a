"""Two thresholds with a person between them: flag above the upper one, pass below the lower one, ask in between.

A person is assumed to decide correctly, so a reviewed positive counts as found and a reviewed negative as passed. Hence
tp are all positives above the lower threshold and fp all negatives above the upper one, and a higher upper threshold
improves each rate. Only lower ends at a positive need to be tried. For each of them the best upper end is the highest
one that the bound on reviewed rows allows, and bisection finds the lowest one that is as good. This gives the best band
of all in O(n log n). What is promised, and why it holds, is in `counterpoise.decide.review_guarantee`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.binomial import checked_confidence
from counterpoise.decide.measured import Measured, rates_of, share
from counterpoise.decide.review_guarantee import Limits, Places, certified_limits
from counterpoise.decide.rows import check_probability, real_numbers
from counterpoise.decide.sweep import Sweep, sweep_or_weighted
from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Goal
from counterpoise.goals.goal import REVIEW
from counterpoise.ties import ROUNDING, first_largest, levels
from counterpoise.wording import plural

_KEPT = 1e-12
_MOST_TIMES_THE_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReviewBand:
    """Two thresholds, their rates, and whether these are promised for new rows.

    Parameters
    ----------
    lower, upper
        Flag a row when its probability is at least `upper`, pass it below `lower`, leave it to a person in between; an
        end of 1.0000001, the smallest float32 above 1, lies above every row.
    promised
        Whether every constraint of the goal, and its bound on the rows reviewed, holds on new rows of the same kind,
        with the requested confidence.
    met
        Whether the constraints and the bound hold on the rows that the band was chosen on.
    reason
        The promise in words, or why nothing is promised.
    missing_positives
        About how many more positives would be enough for a promise; 0 if it is made, None if no number would be enough.
    rates
        Rates of the band on the rows it was chosen on, assuming that the person decides correctly: each rate, and
        "review", the share of the rows left to the person, with the ends of its two-sided 95 % interval.
    value
        Value of the goal's objective on these rows; the share of the rows reviewed, if the goal only bounds rates.
    confusion
        Counts on these rows.
    """

    lower: float
    upper: float
    promised: bool
    met: bool
    reason: str
    missing_positives: int | None
    rates: dict[str, Measured]
    value: float
    confusion: Confusion

    def apply(self, probability: ArrayLike) -> NDArray[np.int8]:
        """The decision on each row: 1 is flagged, 0 is passed, -1 is left to a person.

        Examples
        --------
        >>> band = choose_review_band([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], "f1 with review <= 40%")
        >>> band.apply([0.05, 0.5, 0.95])
        array([ 0, -1,  1], dtype=int8)
        """
        scores = real_numbers("probability", probability)
        if scores.ndim != 1:
            raise UserError(f"probability has shape {scores.shape}; it must have one dimension, (N,)")
        check_probability(scores)
        return np.where(scores >= self.upper, 1, np.where(scores >= self.lower, -1, 0)).astype(np.int8)


def choose_review_band(
    target: ArrayLike,
    probability: ArrayLike,
    goal: Goal | str,
    confidence: float = 0.95,
    sample_weight: ArrayLike | None = None,
) -> ReviewBand:
    """The band of scores to leave to a person, for goals that let some rows be reviewed.

    Parameters
    ----------
    target
        Zeros and ones (or booleans), both present, (N,). The model must not have been trained on these rows.
    probability
        One score in [0, 1] per row, (N,).
    goal
        A goal with a bound on the rows reviewed, such as "recall where precision >= 0.9 with review <= 5%". Or a goal
        of bounds alone, such as "precision >= 0.9 and recall >= 0.8": then as few rows as possible are reviewed.
    confidence
        Confidence of the promise, at least 0.5 and less than 1; default 0.95. With at least this probability over the
        rows given here, every bound holds for the rates of the band on infinitely many new rows of the same kind. Both
        ends are chosen by exact binomial tests; `counterpoise.decide.review_guarantee` explains why these stay exact.
    sample_weight
        Weight of each row, (N,), >= 0. Rows with unequal weights get no promise.

    Returns
    -------
    ReviewBand
        The band. If nothing can be promised, `promised` is False and the band is the best one on these rows; among
        equals the one that leaves the fewest rows to a person, then the one that flags the fewest. If even these rows
        do not keep the constraints, `met` is False and the band is the one that comes closest.

    Raises
    ------
    UserError
        If the goal leaves no row to a person, or speaks of more than two classes or costs from columns; if the rows
        do not belong together, a score is NaN or outside [0, 1], or a class has no row.

    References
    ----------
    Chow, On optimum recognition error and reject tradeoff, 1970. Clopper and Pearson 1934.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.random(4000) < 0.1
    >>> probability = 1 / (1 + np.exp(-rng.normal(4.0 * target - 4.2, 2.0)))
    >>> band = choose_review_band(target, probability, "precision >= 0.9 and recall >= 0.8")
    >>> band.promised, str(band.rates["review"])
    (True, '0.206 [0.194, 0.219]')
    """
    wanted = goals.goal(goal)
    wanted.check_served("choose_review_band", "review")
    if "review" not in wanted.needs:
        raise UserError(
            f"goal {str(wanted)!r} leaves no row to a person; add 'with review <= 5%', or use choose_threshold"
        )
    sure = checked_confidence(confidence)
    rows, per_count = sweep_or_weighted(target, probability, sample_weight)
    band = _best_here(rows, wanted)
    sound = _best_certified(rows, wanted, sure) if band.met and per_count is None else None
    if not band.met:
        missing, reason = None, f"this goal cannot be met here: the nearest band has {_rates_in_words(band, wanted)}"
    elif per_count is not None:
        missing, reason = None, f"{_not_sure(wanted, sure)}: no exact test exists for weighted rows"
    elif sound is None:
        missing = _missing_positives(rows, wanted, sure)
        reason = f"{_not_sure(wanted, sure)}: {_too_few(rows, missing)}"
        if float(band.at.alerts) == 0:
            reason = f"{reason}; and it finds nothing: no useful band serves this goal"
    else:
        band, missing, reason = sound, 0, _promise(sound, wanted, sure)
    per_count = per_count or 1.0
    rates = rates_of(band.at, Goal("f1") if wanted.objective == REVIEW else wanted, rows_per_count=per_count)
    rates[REVIEW] = share(band.reviewed * per_count, float(rows.flagged[-1]) * per_count)
    return ReviewBand(
        lower=band.lower,
        upper=band.upper,
        promised=sound is not None,
        met=band.met,
        reason=reason,
        missing_positives=missing,
        rates=rates,
        value=rates[REVIEW].value if wanted.objective == REVIEW else float(wanted.value(band.at)),
        confusion=band.at,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """The ends of a band, what it does, and whether the bounds hold there."""

    lower: float
    upper: float
    at: Confusion
    score: float
    reviewed: float
    reviewed_share: float
    met: bool


def _best_here(rows: Sweep, goal: Goal) -> _Band:
    """The best of all bands that leave no more of these rows to a person than the goal allows."""
    total = float(rows.flagged[-1])
    most = total if goal.review is None else (goal.review + _KEPT) * total
    band = _best(rows, goal, Limits(least_found=0.0, last_upper=len(rows.score), most_reviewed=most))
    assert band is not None  # to flag and review nothing is always possible
    return band


def _best_certified(rows: Sweep, goal: Goal, confidence: float) -> _Band | None:
    bands = [_best(rows, goal, limits) for limits in certified_limits(rows, goal, confidence)]
    kept = [band for band in bands if band is not None and band.met and float(band.at.alerts) > 0]
    if not kept:
        return None
    slack = ROUNDING * max(float(goal.magnitude(band.at)) for band in kept)
    standing = levels([band.score for band in kept], slack)
    return max(zip(standing, kept, strict=True), key=lambda one: (one[0], -one[1].reviewed))[1]


def _best(rows: Sweep, goal: Goal, limits: Limits) -> _Band | None:
    """The best band within the limits: first the bounds, then the objective, then the fewest rows reviewed."""
    lower = np.append(0, np.flatnonzero(rows.tp[1:] > rows.tp[:-1]) + 1)
    lower = lower[rows.tp[lower] >= limits.least_found]
    highest = np.searchsorted(rows.flagged, rows.flagged[lower] - limits.most_reviewed)
    lowest = np.minimum(lower, limits.last_upper)
    possible = highest <= lowest
    if not possible.any():
        return None
    lower, highest, lowest = lower[possible], highest[possible], lowest[possible]
    short, score = _judge(rows, goal, lower, highest)
    least = short.min()
    nearest = short <= least + _KEPT
    there = int(np.argmax(np.where(nearest, score, -np.inf)))
    top = float(score[there])
    enough = top - ROUNDING * float(goal.magnitude(_confusion(rows, lower[there], highest[there])))
    best = nearest & (score >= enough)
    lower, upper, lowest = lower[best], highest[best], lowest[best]
    while np.any(upper < lowest):  # the upper end goes down as long as that changes nothing
        middle = (upper + lowest + 1) // 2
        short, score = _judge(rows, goal, lower, middle)
        as_good = (short <= least + _KEPT) & (score >= enough)
        upper, lowest = np.where(as_good, middle, upper), np.where(as_good, lowest, middle - 1)
    reviewed = rows.flagged[lower] - rows.flagged[upper]
    chosen = int(first_largest(-reviewed, ROUNDING * rows.flagged[-1]))
    at = _confusion(rows, lower[chosen], upper[chosen])
    return _Band(
        lower=float(rows.threshold_at(lower[chosen])),
        upper=float(rows.threshold_at(upper[chosen])),
        at=Confusion(tp=float(at.tp), fp=float(at.fp), fn=float(at.fn), tn=float(at.tn)),
        score=top,
        reviewed=float(reviewed[chosen]),
        reviewed_share=float(reviewed[chosen] / rows.flagged[-1]),
        met=bool(least <= _KEPT),
    )


def _confusion(rows: Sweep, lower: Places | int, upper: Places | int) -> Confusion:
    """The counts of bands, after a person has decided what lies in between."""
    tp = np.asarray(rows.tp[lower], np.float64)
    fp = np.asarray(rows.flagged[upper] - rows.tp[upper], np.float64)
    return Confusion(tp=tp, fp=fp, fn=rows.positives - tp, tn=rows.negatives - fp)


def _judge(rows: Sweep, goal: Goal, lower: Places, upper: Places) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shortfall of bands from the bounds, and their score by the objective; equal if that is to review few rows."""
    at = _confusion(rows, lower, upper)
    short = np.sum([one.shortfall(at) for one in goal.constraints], axis=0) + np.zeros(len(lower))
    return short, np.zeros(len(lower)) if goal.objective == REVIEW else goal.score(at)


def _missing_positives(rows: Sweep, goal: Goal, confidence: float) -> int | None:
    """Number of further positives, each with as many negatives, that would be enough if rows are like these."""

    def enough(times: float) -> bool:
        tp, fp = np.rint(rows.tp * times), np.rint((rows.flagged - rows.tp) * times)
        more = Sweep(rows.score, tp.astype(np.int64), (tp + fp).astype(np.int64))
        return _best_certified(more, goal, confidence) is not None

    high = 2.0
    while not enough(high):
        high *= 2
        if high > _MOST_TIMES_THE_ROWS:
            return None
    low = high / 2
    while high > 1.05 * low:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(1, round((high - 1) * rows.positives))


def _bounds(goal: Goal) -> str:
    bounds = " and ".join(map(str, goal.constraints))
    if goal.review is None:
        return bounds
    return f"{bounds} with review <= {goal.review!r}" if bounds else f"review <= {goal.review!r}"


def _promise(band: _Band, goal: Goal, confidence: float) -> str:
    found = f"{band.reviewed_share:.3g} of the rows are left to a person"
    if goal.objective == REVIEW:
        found = f"{found}, the fewest possible"
    else:
        found = f"{goal.label} is best here ({float(goal.value(band.at)):.3g}), and {found},"
    return (
        f"{found} among the bands that keep {_bounds(goal)} on new rows of the same kind, "
        f"with {confidence:.4g} confidence"
    )


def _not_sure(goal: Goal, confidence: float) -> str:
    return (
        f"the band keeps {_bounds(goal)} on these rows, but this cannot be promised for new rows with "
        f"{confidence:.4g} confidence"
    )


def _too_few(rows: Sweep, missing: int | None) -> str:
    if missing is None:
        return "no number of rows like these would be enough"
    found = int(rows.positives)
    return f"{plural(found, 'positive row is', 'positive rows are')} too few; about {missing:,} more would be enough"


def _rates_in_words(band: _Band, goal: Goal) -> str:
    found = [f"{one.rate} {float(getattr(band.at, one.rate)):.3f}" for one in goal.constraints]
    return " and ".join(found) + f" with {band.reviewed_share:.3f} of the rows left to a person"
