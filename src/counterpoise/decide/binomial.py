"""Exact tests of a share of independent rows, and how many rows they take."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.rows import real_number, real_numbers
from counterpoise.errors import UserError

POWER = 0.8
_MOST_ROWS = 1 << 60


def special() -> Any:
    """SciPy's special functions: slow to import, and an extra."""
    try:
        import scipy.special
    except ImportError as missing:
        raise ImportError("exact intervals and promises need SciPy: pip install 'counterpoise[sklearn]'") from missing
    return scipy.special


def p_value(right: ArrayLike, trials: ArrayLike, bound: ArrayLike) -> NDArray[np.float64]:
    """P(Bin(trials, bound) >= right): how surprising the rows are if the true share is only `bound`.

    Examples
    --------
    >>> p_value([8, 0], 8, 0.5)
    array([0.00390625, 1.        ])
    """
    right, trials = np.asarray(right, np.float64), np.asarray(trials, np.float64)
    beta = special().betainc(np.maximum(right, 1.0), np.maximum(trials - right, 0.0) + 1, bound)
    return np.where(right > 0, beta, 1.0)


def least_right(trials: float, bound: float, level: float) -> float:
    """The number of `trials` rows that must be right to show, at this level, that the true share is at least `bound`.

    Examples
    --------
    >>> least_right(20, 0.8, 0.05), least_right(10, 0.8, 0.05)
    (20.0, inf)
    """
    low, high = -1, int(trials) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if p_value(middle, trials, bound) <= level:
            high = middle
        else:
            low = middle
    return float(high) if high <= trials else np.inf


def rows_needed(share: float, bound: float, confidence: float = 0.95) -> int | None:
    """The number of rows that show, in four cases of five, that a share is at least `bound`.

    Rows are the flagged ones for precision, the positives for recall, the negatives for specificity. For an upper bound
    pass the complements: 1 - share, 1 - bound.

    Parameters
    ----------
    share
        The true share, in [0, 1].
    bound
        The bound that the share should be shown to reach, in [0, 1].
    confidence
        Confidence of the promise, at least 0.5 and below 1; default 0.95.

    Returns
    -------
    int | None
        None where the share is not above the bound.

    Examples
    --------
    >>> rows_needed(0.6, 0.5), rows_needed(0.9, 0.8), rows_needed(1.0, 0.9), rows_needed(0.5, 0.5)
    (158, 82, 29, None)
    """
    level = 1 - checked_confidence(confidence)
    share, bound = real_number("share", share), real_number("bound", bound)
    for name, value in (("share", share), ("bound", bound)):
        if not 0 <= value <= 1:
            raise UserError(f"{name} is {value}; it must lie between 0 and 1")
    if share <= bound:
        return None

    high = 1
    while not _enough(np.array([high]), share, bound, level)[0]:
        high *= 2
        if high > _MOST_ROWS:
            raise UserError(f"share {share} is too near to bound {bound}: more than {_MOST_ROWS:.0e} rows are needed")
    rows = np.unique(np.linspace(high // 2 + 1, high, 100_000).astype(np.int64))
    return int(rows[np.argmax(_enough(rows, share, bound, level))])


def _enough(rows: NDArray[np.int64], share: float, bound: float, level: float) -> NDArray[np.bool_]:
    """Whether the test passes on so many rows in four cases of five."""
    if share == 1:
        return p_value(rows, rows, bound) <= level
    some = (1 - share) ** rows <= 1 - POWER
    right = np.floor(special().bdtrik(1 - POWER, rows, share)) + 1
    return some & (p_value(np.where(some, right, 0.0), rows, bound) <= level)


def checked_confidence(confidence: float) -> float:
    """A confidence as a number, or `UserError`.

    Examples
    --------
    >>> checked_confidence(95)
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: confidence is 95; it must be at least 0.5 and less than 1, such as 0.95
    """
    number = real_numbers("confidence", confidence)
    if number.ndim or not 0.5 <= float(number) < 1:
        raise UserError(f"confidence is {confidence}; it must be at least 0.5 and less than 1, such as 0.95")
    return float(number)
