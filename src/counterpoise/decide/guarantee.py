"""Thresholds that keep a goal's bounds on new rows with a stated confidence, for any model and any scores.

The rows are assumed to be independent draws from one distribution, like the new rows; nothing else is assumed. The
chance is over the rows given: with 95 % confidence, at most about five of a hundred sets of rows give a threshold that
is promised and breaks a bound. For precision joined with bounds from above less is proven, see below. (Where promises
are rarely made, a larger share of them may be wrong.)

One bound, one threshold. Fix a rank k and let v be the score of the row that follows the k highest. Given v, the
rows above v are independent draws from the distribution above v, so that the positives among them are binomial with
the very precision of the threshold "above v". With x positives among m flagged rows, P(Bin(m, p) >= x) is an exact
p-value of "precision < p" (Clopper and Pearson 1934). Recall is such a share of the positives, FPR and specificity
of the negatives, alerts of all rows.

Recall, specificity, FPR and alerts are monotone in the threshold, so one test is enough: the lowest (highest)
threshold that passes is an order statistic of the positives (negatives, rows), and all beyond it are as safe.
Several bounds from above (specificity, FPR, alerts) need no correction either: the highest threshold that breaks any
of them is one fixed number, and passing there takes one wrong test.

Precision is not monotone, so its thresholds are tested in a fixed sequence from few flagged rows to many, each with
a level: its own part of 1 - confidence plus, if the test before it rejected, all that this one had (Wiens and
Dmitrienko 2005, the fallback procedure; with a single start Bauer 1991, used for thresholds by Angelopoulos et al.
2021, Learn then Test, and with a binomial bound by Geifman and El-Yaniv 2017). A threshold is certified if its test
rejects.

Why this holds although the thresholds are ranks of the same rows: let the bad set be the thresholds whose precision is
below p. At each of its ends precision is exactly p, hence also in each slab of scores between two ends. Given how
many rows fall in each slab, labels in the slabs are independent with precision p, and these numbers alone decide which
ranks of the sequence are bad. Take a bad rank: the rows above its slab's upper end have precision p, those
between this end and its own threshold are draws from a part that has less, or else the rank would not be bad. So
its positives are stochastically at most Bin(k, p), and it is certified wrongly with at most its level; the levels
that bad ranks can have, each counted from the bad one before it, sum to at most 1 - confidence. This needs ranks
fixed without labels, and scores without ties (for precision to reach p at the ends); with ties each single test
stays exact, and the sequence was checked by simulation (`benchmarks/guarantee.py`).

Where to start. A sequence must start where its first tests will pass, and most of the level belongs there. If the
scores are honest probabilities, rows whose odds are at least 1.5 times those of the bound have more precision than it
asks for. This one threshold is a fixed number, so it disturbs nothing above; it gets two thirds of the level. The
rest is spread over the ranks that double, for scores that are not probabilities. Steps of 3 % are fine enough to lose
little, and coarse enough not to stop at a run of bad luck.

Precision joined with specificity, FPR or alerts is an intersection-union test: a threshold's p-value is the largest of
theirs. Some threshold that breaks one of the latter is certified with probability at most 1 - confidence, and so is, by
the above, some threshold that lacks precision. If precision crosses its bound only once, one of these two sets is all
that is bad, and a wrong promise has at most that probability. In general it has at most twice that, by a union bound
(`docs/guarantees.md`); simulated it stayed below 1 - confidence (`benchmarks/guarantee.py`).

A bound from below (recall) and bounds from above hem thresholds in from both sides: each side gets half of the level,
and what each side may do wrong adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.binomial import POWER, least_right, p_value, special
from counterpoise.decide.sweep import MARGIN, Sweep
from counterpoise.goals import Confusion, Constraint

START_ODDS = 1.5
START_SHARE = 2 / 3
STEP = 1.03
FEWEST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Certified:
    """The places of a sweep that keep every bound on new rows.

    Parameters
    ----------
    places
        Certified places of the sweep, rising; None if no sequence was needed (no bound on precision).
    thresholds
        Thresholds at these places.
    least
        For each bound that one test settles, the smallest number of its rows that must be right.
    """

    places: NDArray[np.int64] | None
    thresholds: NDArray[np.float64]
    least: tuple[tuple[Constraint, float], ...]

    def allowed(self, at: Confusion) -> NDArray[np.bool_]:
        """Which of these counts are certified by the bounds that one test settles; flagging nothing never is."""
        kept = np.asarray(at.tp + at.fp) > 0
        for constraint, least in self.least:
            kept &= np.asarray(_evidence(constraint, at)[0]) >= least
        return kept

    def threshold(self, rows: Sweep, place: int) -> float:
        """The threshold of a certified place."""
        if self.places is None:
            return float(rows.threshold_at(place))
        return float(self.thresholds[np.searchsorted(self.places, place)])


def certify(rows: Sweep, constraints: Sequence[Constraint], confidence: float) -> Certified:
    """The places of unweighted rows where every constraint holds on new rows, with this confidence.

    Examples
    --------
    >>> from counterpoise.decide.sweep import sweep
    >>> rows = sweep([0] * 50 + [1] * 50, np.linspace(0, 1, 100))
    >>> certify(rows, [Constraint("recall", 0.8)], 0.95).least  # 45 of 50 must be found
    ((Constraint(rate='recall', bound=0.8, of=None), 45.0),)
    """
    if min(rows.positives, rows.negatives) < FEWEST:
        return Certified(np.empty(0, np.int64), np.empty(0), ())
    below = [one for one in constraints if one.rate == "recall"]
    above = [one for one in constraints if one.rate != "recall"]
    level = (1 - confidence) / (2 if below and above else 1)
    precise = any(one.rate == "precision" for one in above)
    settled = below if precise else [*below, *above]
    least = tuple((one, _least(one, rows, level)) for one in settled)
    if not precise:
        return Certified(None, np.empty(0), least)
    tests = _sequence(rows, above, level)
    at = rows.at(tests.places)
    surprise = np.max([p_value(*_evidence(one, at)) for one in above], axis=0)
    passed = _fallback(surprise, tests.levels)
    return Certified(tests.places[passed], tests.thresholds[passed], least)


def _evidence(constraint: Constraint, at: Confusion) -> tuple[Any, Any, float]:
    """The number of right rows, of all rows, and the required share: every bound as a lower bound."""
    rate, bound = constraint.rate, constraint.bound
    positives, negatives, flagged = at.tp + at.fn, at.fp + at.tn, at.tp + at.fp
    if rate == "precision":
        return at.tp, flagged, bound
    if rate == "recall":
        return at.tp, positives, bound
    if rate == "alerts":
        return at.fn + at.tn, positives + negatives, 1 - bound
    return at.tn, negatives, bound if rate == "specificity" else 1 - bound


def _least(constraint: Constraint, rows: Sweep, level: float) -> float:
    """Number of rows that must be right for the test to pass at this level; infinite if even all are not enough."""
    _, trials, bound = _evidence(constraint, rows.at(0))
    return least_right(float(trials), bound, level)


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """The sequence for precision: thresholds falling, their places, and each one's own part of the level."""

    thresholds: NDArray[np.float64]
    places: NDArray[np.int64]
    levels: NDArray[np.float64]


def _sequence(rows: Sweep, above: Sequence[Constraint], level: float) -> _Tests:
    bound = max(one.bound for one in above if one.rate == "precision")
    total = int(rows.flagged[-1])
    # Of fewer flagged rows not even all could be right too often for chance.
    first = 1 if bound == 0 else int(min(np.ceil(np.log(level) / np.log(bound)), total)) if bound < 1 else total
    cap = int(min(total, *(_most_flagged(one, total, level) for one in above)))
    doubling = _ranks(first, total, 2.0)
    ranks = np.union1d(np.append(_ranks(first, total, STEP), doubling), [cap] if cap >= first else [])
    thresholds, places = rows.just_above(ranks)
    levels = np.where(np.isin(ranks, doubling), (1 - START_SHARE) * level / len(doubling), 0.0)
    start = START_ODDS * bound / (1 - bound + START_ODDS * bound)
    start -= MARGIN * start * (1 - start)  # rounded probabilities may lie just there
    place = rows.places([start])
    if first <= rows.flagged[place[0]] <= cap:
        where = int(np.searchsorted(places, place[0]))
        ranks, thresholds = np.insert(ranks, where, 0), np.insert(thresholds, where, start)
        places, levels = np.insert(places, where, place[0]), np.insert(levels, where, START_SHARE * level)
    else:
        levels[np.searchsorted(ranks, min(max(first, int(rows.flagged[place[0]])), max(cap, first)))] += (
            START_SHARE * level
        )
    return _Tests(thresholds, places, levels)


def _most_flagged(constraint: Constraint, total: int, level: float) -> float:
    """The largest number of flagged rows with which an upper bound passes; for FPR an estimate without labels."""
    if constraint.rate == "precision":
        return total
    share = constraint.bound if constraint.at_least else 1 - constraint.bound
    return max(total - least_right(total, share, level), 0)


def _ranks(first: int, last: int, step: float) -> NDArray[np.int64]:
    """Ranks that grow by `step`, at least by 1, from `first` to `last`."""
    ranks = [min(first, last)]
    while ranks[-1] < last:
        ranks.append(min(last, max(ranks[-1] + 1, int(np.ceil(ranks[-1] * step)))))
    return np.asarray(ranks, np.int64)


def _fallback(surprise: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which tests reject, each at its own level and, after a rejection, that of the test before it."""
    passed = np.zeros(len(surprise), np.bool_)
    carried = 0.0
    for place, (value, own) in enumerate(zip(surprise.tolist(), levels.tolist(), strict=True)):
        carried += own
        passed[place] = value <= carried
        if not passed[place]:
            carried = 0.0
    return passed


def missing_positives(rows: Sweep, constraints: Sequence[Constraint], confidence: float) -> int | None:
    """About how many more positives, with as many negatives for each, would be enough for a promise.

    A threshold that is extreme enough keeps any rate that one test settles, so only the number of rows counts. For
    precision, or bounds from both sides, the rates seen at a threshold are taken as the true ones, those of few rows
    with half a row right and half a row wrong added. The sample size of each bound's test follows by the normal
    approximation (Fleiss 1981), and the threshold that needs the fewest rows counts. None if no number of rows would be
    enough.

    It aims at four cases of five. But the threshold that looks best usually looks better than it is: in simulations
    that many rows gave a promise in half of the cases (two bounds that are hard to keep together) to nearly all of
    them.
    """
    below = [one for one in constraints if one.rate == "recall"]
    both = bool(below) and len(below) < len(constraints)
    level = (1 - confidence) / (2 if both else 1)
    if both or any(one.rate == "precision" for one in constraints):
        times = _times_at_the_best_threshold(rows, constraints, level)
    else:
        times = max(_times_at_the_end(rows, one, level) for one in constraints)
    times = max(times, FEWEST / min(rows.positives, rows.negatives))
    return None if np.isinf(times) else max(1, int(np.ceil((times - 1) * rows.positives - 1e-9)))


def _times_at_the_best_threshold(rows: Sweep, constraints: Sequence[Constraint], level: float) -> float:
    """How many times the rows all tests pass at some threshold, if the rates seen there are the true ones."""
    all_pass = POWER ** (1 / len(constraints))
    critical, power = special().ndtri([1 - level, all_pass])
    places = rows.just_above(_ranks(1, int(rows.flagged[-1]), STEP))[1]
    places = places[places > 0]
    at = rows.at(places)
    times = np.ones(len(places))
    for constraint in constraints:
        right, trials, bound = _evidence(constraint, at)
        # All of four is no certainty; but what was above the bound stays above it, and negatives are many.
        half = 0.5 if constraint.rate in ("precision", "recall") else 0.0
        share = np.maximum((right + half) / (trials + 2 * half), (right / trials + bound) / 2)
        margin = share - bound
        spread = critical * np.sqrt(bound * (1 - bound)) + power * np.sqrt(share * (1 - share))
        needed = np.divide(spread, margin, out=np.full(len(share), np.inf), where=margin > 0) ** 2
        times = np.maximum(times, needed / trials)
    return float(times.min(initial=np.inf))


def _times_at_the_end(rows: Sweep, constraint: Constraint, level: float) -> float:
    """How many times the rows one bound's test passes at the safest threshold that flags a row.

    That flags all rows for recall, for the other rates the first. A first row alone stays one of more rows; rows of
    equal scores stay a share of them.
    """
    place = len(rows.score) if constraint.rate == "recall" else 1
    right, trials, bound = (float(one) for one in _evidence(constraint, rows.at(place)))
    wrong = trials - right
    alone = rows.flagged[place] == 1
    if bound == 1 or (not alone and right <= bound * trials):
        return np.inf

    def passes(needed: float) -> bool:
        missed = wrong if alone else np.ceil(wrong / trials * needed)
        return bool(p_value(needed - missed, needed, bound) <= level)

    low, high = 0.0, 1.0
    while not passes(high):
        low, high = high, 2 * high
    while high - low > max(1.0, np.spacing(high)):  # beyond 2^53 neighbours are further apart than 1
        middle = np.ceil((low + high) / 2)
        low, high = (low, middle) if passes(middle) else (middle, high)
    others = 1 - trials / float(rows.flagged[-1])
    by_chance = float(special().ndtri(POWER)) * float(np.sqrt(high * others))  # how many of them come varies
    return (high + by_chance) / trials
