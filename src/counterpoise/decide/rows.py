"""Scored rows of two classes: checked, and counted at a threshold."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.goals import Confusion


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


def checked_rows(
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64] | None]:
    """Truth, probability and weight (None where each row counts once) of scored rows of two classes, or `UserError`.

    Rows of weight 0 are left out.

    Examples
    --------
    >>> checked_rows([0, 1], [0.2, float("nan")])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability nan in row 1 lies outside 0 to 1
    """
    truth = real_numbers("target", target)
    scores = real_numbers("probability", probability)
    weight = None if sample_weight is None else real_numbers("sample_weight", sample_weight)
    given = {"target": truth, "probability": scores} | ({} if weight is None else {"sample_weight": weight})
    for name, array in given.items():
        if array.ndim != 1:
            raise UserError(f"{name} has shape {array.shape}; it must have one dimension, (N,)")
    if len({len(array) for array in given.values()}) > 1:
        others = " and ".join(f"{name} {len(array)}" for name, array in given.items() if name != "target")
        raise UserError(f"target has {len(truth)} values, {others}; pass one of each per row")
    check_probability(scores)
    if weight is not None:
        check_weight(weight)
    bad = np.flatnonzero((truth != 0) & (truth != 1))
    if len(bad):
        raise UserError(f"target {truth[bad[0]]:g} in row {bad[0]} is neither 0 nor 1")
    flag = truth.astype(bool)
    if weight is not None and not np.all(weight):
        counts = weight > 0
        flag, scores, weight = flag[counts], scores[counts], weight[counts]
    for value in (True, False):
        if not np.any(flag == value):
            raise UserError(f"target has no row of class {int(value)}; both classes are needed")
    return flag, scores, weight


def check_weight(weight: NDArray[np.float64]) -> None:
    """Refuse weights that are negative, infinite or NaN.

    Examples
    --------
    >>> check_weight(np.array([1.0, -1.0]))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: sample_weight -1.0 in row 1 is not a finite number of 0 or more
    """
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)))
    if len(bad):
        raise UserError(f"sample_weight {weight[bad[0]]} in row {bad[0]} is not a finite number of 0 or more")


def each_weight(weight: NDArray[np.float64] | None, rows: int) -> NDArray[np.float64]:
    """The weight of every row, 1 where none is given.

    Examples
    --------
    >>> each_weight(None, 2)
    array([1., 1.])
    """
    return np.ones(rows) if weight is None else weight


def check_probability(scores: NDArray[np.float64]) -> None:
    """Refuse scores that are not in [0, 1], NaN among them.

    Examples
    --------
    >>> check_probability(np.array([0.5, 1.5]))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability 1.5 in row 1 lies outside 0 to 1
    """
    if len(scores) and scores.min() >= 0 and scores.max() <= 1:  # no temporary array where all is well
        return
    bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(bad):
        raise UserError(f"probability {scores[bad[0]]} in row {bad[0]} lies outside 0 to 1")


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
