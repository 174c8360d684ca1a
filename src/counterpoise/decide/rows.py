"""Scored rows of two classes: checked, and counted at a threshold."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.goals import Confusion

_LARGEST_WEIGHT = 1e100


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
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None, *, both: bool = True
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64] | None]:
    """Truth, probability and weight (None where each row counts once) of scored rows of two classes, or `UserError`.

    Rows of weight 0 are omitted. At least one row must be left, and one of each class if `both`.

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
    for value in (True, False) if both else ():
        if not np.any(flag == value):
            raise UserError(f"target has no row of class {int(value)}; both classes are needed")
    if not len(flag):
        raise UserError("target has no row (of a weight above 0); give at least one")
    return flag, scores, weight


def check_weight(weight: NDArray[np.float64]) -> None:
    """Refuse weights that are negative, infinite or NaN, or so large or small that their squares are out of range.

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
    largest = weight.max(initial=0.0)
    if largest > 0 and not 1 / _LARGEST_WEIGHT <= largest <= _LARGEST_WEIGHT:
        raise UserError(
            f"sample_weight goes up to {largest:g}, out of the range of exact sums; divide all by their mean, "
            "since only their ratios matter"
        )


def each_weight(weight: NDArray[np.float64] | None, rows: int) -> NDArray[np.float64]:
    """The weight of every row, 1 where none is given.

    Examples
    --------
    >>> each_weight(None, 2)
    array([1., 1.])
    """
    return np.ones(rows) if weight is None else weight


def check_probability(scores: NDArray[np.float64]) -> None:
    """Refuse scores that are not in [0, 1], including NaN.

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
    """Values as float64, or `UserError`: also of a tensor with a gradient or a device; masked values are refused.

    Examples
    --------
    >>> real_numbers("probability", [0.2, "high"])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability must be numbers, but holds 'high' in row 1
    """
    if np.ma.is_masked(values):
        row = np.argwhere(np.ma.getmaskarray(np.ma.asanyarray(values)))[0][0]
        raise UserError(f"{name} is masked in row {row}; leave masked rows out, in all arrays alike, or fill them")
    array = as_array(name, values)
    if array.dtype.kind in "mM":  # nanoseconds would pass for whole numbers
        raise UserError(f"{name} must be numbers, but holds {array.dtype}")
    try:
        return np.asarray(array if array.dtype.kind in "biuf" else array.astype(object), np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _no_numbers(name, array) from None


def real_number(name: str, value: Any) -> float:
    """A single number, not NaN, or `UserError`.

    Examples
    --------
    >>> real_number("share", [0.5])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: share is [0.5]; it must be a number
    """
    number = real_numbers(name, value)
    if number.ndim or np.isnan(number):
        raise UserError(f"{name} is {value!r}; it must be a number")
    return float(number)


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least this, or `UserError`.

    Examples
    --------
    >>> whole_number("bins", 2.5, 1)
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: bins is 2.5; it must be a whole number of 1 or more
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UserError(f"{name} is {value!r}; it must be a whole number of {least} or more")
    return int(value)


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Values as an array of their own type, or `UserError`; a tensor without its gradient and device.

    Examples
    --------
    >>> as_array("weights", {0: 1.0, 1: 9.0})
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: weights must be numbers, but is a dict
    """
    if hasattr(values, "detach"):  # a PyTorch tensor
        values = values.detach().cpu()
        values = values.float() if "bfloat16" in str(values.dtype) else values  # which NumPy lacks
    if values is None or isinstance(values, Mapping | Set):
        found = "None" if values is None else f"a {type(values).__name__}"
        raise UserError(f"{name} must be numbers, but is {found}")
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} is not an array of numbers: {error}") from None


def _no_numbers(name: str, array: NDArray[Any]) -> UserError:
    places = ((place, value) for place, value in np.ndenumerate(array.astype(object)) if not _is_number(value))
    place, value = next(places)
    where = f" in row {place[0]}" if place else ""
    column = f", column {place[1]}" if len(place) > 1 else ""
    wrong = f"{name} must be numbers, but holds {value!r}{where}{column}"
    if name != "target" or not isinstance(value, str):
        return UserError(wrong)
    names, counts = np.unique(array.astype(str), return_counts=True)
    return UserError(
        f"{wrong}; encode it: np.asarray(target) == {str(names[counts.argmin()])!r} if that is the class to find, with "
        "more than two classes the place of each row's class, 0 to C - 1"
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
