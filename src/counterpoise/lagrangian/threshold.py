"""Where a model in training should decide: at a logit of 0, or where that fails its goal, at the best logit.

After few epochs, or under a strict bound, a model may rank its rows well and yet flag nothing at 0, since its bias has
not moved far enough. That needs no training: the bias is one number, and every value of it can be tried.
"""

from typing import Any, NamedTuple

import numpy as np

from counterpoise.arrays import Array, numpy_namespace
from counterpoise.lagrangian.goal_loss import checked, judged
from counterpoise.lagrangian.lagrangian import Lagrangian
from counterpoise.lagrangian.progress import Progress, shortfall
from counterpoise.losses.arguments import to_framework
from counterpoise.ties import ROUNDING, first_largest

_APART = 1e-5
"""Logits nearer to each other than this, relative to their size, may change places as the bias is shifted."""


class Judged(NamedTuple):
    """A threshold and the progress of a goal at it.

    Parameters
    ----------
    progress
        The goal on the judged rows.
    threshold
        Threshold of the logits: 0, unless decisions there miss a bound or flag nothing.
    """

    progress: Progress
    threshold: float


def judged_at_best(logits: Array, target: Array, lagrangian: Lagrangian, sample_weight: Any = None) -> Judged:
    """The progress of a goal on these rows: at 0 if that keeps the bounds and flags a row, else at the best threshold.

    Parameters
    ----------
    logits, target, sample_weight
        As in `counterpoise.lagrangian.goal_loss`, with values that can be seen.
    lagrangian
        The Lagrangian of the goal.

    Raises
    ------
    UserError
        For a logit that is NaN, a target other than 0 and 1.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.9", [50, 50])
    >>> silent = judged_at_best(np.array([-1.0, -2.0, -3.0, -9.0]), np.array([1, 1, 0, 0]), lagrangian)
    >>> silent.threshold, silent.progress.value
    (-2.5, 1.0)
    >>> judged_at_best(np.array([1.0, -2.0, -3.0, -9.0]), np.array([1, 1, 0, 0]), lagrangian).threshold
    0.0
    """
    at_zero = judged(logits, target, lagrangian, sample_weight)
    if at_zero.feasible and float(at_zero.confusion.alerts) > 0:
        return Judged(at_zero, 0.0)
    best = _best(logits, target, lagrangian, sample_weight)
    return best if best is not None and best.progress.better_than(at_zero) else Judged(at_zero, 0.0)


def _best(logits: Array, target: Array, lagrangian: Lagrangian, sample_weight: Any) -> Judged | None:
    """The best threshold that flags a row; of equals the highest. None where a class is missing."""
    rows = checked(logits, target, sample_weight)
    z, y = (_flat(part) for part in (rows.logits, rows.target))
    weight = np.ones(len(z)) if rows.weight is None else _flat(rows.weight)
    order = np.argsort(-z, kind="stable")
    z, found, flagged = z[order], np.cumsum((weight * y)[order]), np.cumsum(weight[order])
    if len(z) == 0 or not 0 < found[-1] < flagged[-1]:
        return None
    below = np.append(z[1:], -np.inf)
    with np.errstate(invalid="ignore"):  # of two infinite logits
        last = np.flatnonzero(np.isfinite(z) & (z - below > _APART * (1 + np.abs(z))))
    if len(last) == 0:
        return None
    at = lagrangian.confusion(found[last], found[-1], (flagged - found)[last], flagged[-1] - found[-1])
    short = shortfall(lagrangian.goal, at)
    score = np.where(short <= short.min() + ROUNDING, lagrangian.goal.score(at), -np.inf)
    place = int(last[first_largest(score)])
    threshold = (z[place] + below[place]) / 2 if np.isfinite(below[place]) else z[place] - 1
    counts = found[place], found[-1], flagged[place] - found[place], flagged[-1] - found[-1]
    return Judged(lagrangian.progress(counts), float(threshold))


def _flat(array: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(to_framework(numpy_namespace, "logits", array, array), np.float64).ravel()
