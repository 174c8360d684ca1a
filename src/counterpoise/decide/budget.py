"""The most probable rows of a batch, never more than a budget allows."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.rows import check_probability, real_numbers, whole_number
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.ties import HAIR

_ROUNDING = 1e-12


def top_k(probability: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Flag the k rows with the highest scores, in O(n).

    Parameters
    ----------
    probability
        One score in [0, 1] per row, (N,).
    k
        Largest number of rows to flag, 0 or more; if there are fewer rows, all are flagged.

    Returns
    -------
    NDArray
        Whether each row is flagged, (N,), bool; min(k, N) rows are. Where equal scores (or scores that differ only by
        rounding) do not all fit, the earlier rows are flagged, so the budget is neither exceeded nor wasted. Shuffle
        the rows if their order has a meaning.

    Raises
    ------
    UserError
        If a score is NaN or outside [0, 1], or k is no whole number of 0 or more.

    Examples
    --------
    >>> top_k([0.2, 0.9, 0.9, 0.9], 2)
    array([False,  True,  True, False])
    """
    scores = real_numbers("probability", probability)
    if scores.ndim != 1:
        raise UserError(f"probability has shape {scores.shape}; it must have one dimension, (N,)")
    check_probability(scores)
    k = whole_number("k", k)
    if k == 0 or k >= len(scores):
        return np.full(len(scores), k > 0)
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    flagged: NDArray[np.bool_] = scores > edge * (1 + HAIR)
    equal = np.flatnonzero(~flagged & (scores >= edge * (1 - HAIR)))
    flagged[equal[: k - np.count_nonzero(flagged)]] = True
    return flagged


def within_budget(probability: ArrayLike, goal: Goal | str) -> NDArray[np.bool_]:
    """Flag as many rows of this batch as a goal's bound on alerts allows, those with the highest scores.

    A threshold keeps such a bound on average over batches; here it is kept in each one. That takes the whole batch
    at once, and no targets.

    Parameters
    ----------
    probability
        One score in [0, 1] per row of the batch, (N,).
    goal
        A goal with a budget of alerts: "recall where alerts <= 200 per 10000".

    Returns
    -------
    NDArray
        Whether each row is flagged, (N,), bool: the share of the N rows, rounded down; ties as in `top_k`.

    Raises
    ------
    UserError
        If the goal is another one, or a score is NaN or outside [0, 1].

    Examples
    --------
    >>> within_budget([0.2, 0.9, 0.7, 0.8, 0.1], "recall where alerts <= 40%")
    array([False,  True, False,  True, False])
    """
    wanted = goals.goal(goal)
    wanted.check_served("within_budget")
    if wanted.objective != "recall" or [one.rate for one in wanted.constraints] != ["alerts"]:
        raise UserError(
            f"goal {str(wanted)!r} is not for within_budget; it takes one like 'recall where alerts <= 200 per 10000'"
        )
    scores = real_numbers("probability", probability)
    return top_k(scores, math.floor((wanted.constraints[0].bound + _ROUNDING) * scores.size))
