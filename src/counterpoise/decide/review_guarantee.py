"""Which bands of scores keep a goal's bounds on new rows with a stated confidence, if a person decides correctly.

Fix two thresholds: the rows are independent, so that each count is binomial. Of a reviewed positive, which counts as
found, and a reviewed negative, which counts as passed, it follows that recall is a matter of the lower end only, and
FPR and specificity of the upper end only.

The lower end: recall is monotone in it, so one exact test of its share of the positives is enough, as in
`counterpoise.decide.guarantee`.

The upper end: FPR and specificity are monotone in it. If recall is at least c, then precision is at least b wherever
positives are at least b / (b + c (1 - b)) of the rows that are positive, or negative and above the upper end; that
share is monotone in the upper end too. So is the share of such rows among all, which is no less than that of the
alerts. One exact test of each is enough, and they share one level: the highest upper end that breaks any bound is one
fixed number, and passing there takes one wrong test.

Without a bound on recall, precision needs one all the same: c is each of `RECALLS` in turn, with an even part of the
level, and the best band of all counts.

The rows reviewed: their bound must hold for any two thresholds that these rows may suggest. The share of new rows
between the scores of two rows that lie m ranks apart has the distribution Beta(m, n + 1 - m) (ties only make it
smaller), and any m ranks in a row lie in one of the (n + 1) / g stretches of m + g ranks that start at a multiple of g
(Bonferroni).

A tenth of 1 - confidence is enough for the rows reviewed, where they are bounded, since that bound hardly moves with
its level. The two ends share the rest evenly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.binomial import least_right, p_value, special
from counterpoise.decide.sweep import Sweep
from counterpoise.goals import Constraint, Goal

Places = NDArray[np.int64]
REVIEW_SHARE = 0.1
RECALLS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The ends that a band may have.

    Parameters
    ----------
    least_found
        Smallest number of positives above the lower end.
    last_upper
        The last possible place of the upper end.
    most_reviewed
        Largest number of rows between the ends.
    """

    least_found: float
    last_upper: int
    most_reviewed: float


def certified_limits(rows: Sweep, goal: Goal, confidence: float) -> list[Limits]:
    """The ends of the bands that keep every bound on new rows, with this confidence, for rows that count equally.

    Examples
    --------
    >>> from counterpoise.decide.sweep import sweep
    >>> rows = sweep([0] * 500 + [1] * 50, np.linspace(0, 1, 550))
    >>> from counterpoise.goals import goal
    >>> certified_limits(rows, goal("precision >= 0.5 and recall >= 0.8"), 0.95)  # of 74 flagged, 24 are false
    [Limits(least_found=46.0, last_upper=74, most_reviewed=inf)]
    """
    bounds = [one.bound for one in goal.constraints if one.rate == "recall"]
    above = [one for one in goal.constraints if one.rate != "recall"]
    recalls: Sequence[float] = bounds or [0.0]
    if max(recalls) == 0 and any(one.rate == "precision" for one in above):
        recalls = RECALLS
    level, most = 1 - confidence, np.inf
    if goal.review is not None:
        most = most_between(int(rows.flagged[-1]), goal.review, REVIEW_SHARE * level if goal.constraints else level)
        level *= 1 - REVIEW_SHARE
    level /= len(recalls) * (2 if max(recalls) > 0 and above else 1)
    found = []
    for recall in recalls:
        least_found = least_right(rows.positives, recall, level) if recall else 0.0
        last_upper = _last_upper(rows, above, recall, level)
        if least_found <= rows.positives and last_upper >= 0 and most >= 0:
            found.append(Limits(least_found, last_upper, most))
    return found


def _last_upper(rows: Sweep, constraints: Sequence[Constraint], recall: float, level: float) -> int:
    """The last place at which the upper end passes all of its tests, or -1."""
    low, high = -1, len(rows.tp)
    while high - low > 1:
        middle = (low + high) // 2
        if all(_upper_passes(rows, middle, one, recall, level) for one in constraints):
            low = middle
        else:
            high = middle
    return low


def _upper_passes(rows: Sweep, place: int, constraint: Constraint, recall: float, level: float) -> bool:
    positives, negatives = rows.positives, rows.negatives
    fp = float(rows.flagged[place] - rows.tp[place])
    rate, bound = constraint.rate, constraint.bound
    if rate == "precision":
        right, trials, least = positives, positives + fp, bound / (bound + recall * (1 - bound))
    elif rate == "alerts":
        right, trials, least = negatives - fp, positives + negatives, 1 - bound
    else:
        right, trials, least = negatives - fp, negatives, bound if rate == "specificity" else 1 - bound
    return bool(p_value(right, trials, least) <= level)


def most_between(total: int, bound: float, level: float) -> float:
    """How many of `total` rows may lie between two thresholds, for at most a share `bound` of new rows to lie there.

    Whichever two thresholds they are; -1 where not even an empty band is sure.

    Examples
    --------
    >>> most_between(10_000, 0.05, 0.05), most_between(100, 0.05, 0.05)
    (409, -1)
    """

    def sure(reviewed: int) -> bool:
        stretches = np.unique([1, *(max(1, reviewed // part) for part in (64, 32, 16, 8, 4, 2))])
        ranks = reviewed + stretches  # reviewed + 1 ranks from the row above to the row below
        chance = np.ceil((total + 1) / stretches) * special().bdtr(ranks - 1, total, bound)
        return bool(np.any(chance[ranks <= total] <= level)) or bound == 1

    low, high = -1, int(total * bound) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sure(middle):
            low = middle
        else:
            high = middle
    return low
