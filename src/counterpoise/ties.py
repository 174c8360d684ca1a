"""What counts as equal: numbers that only rounding tells apart. A choice between equals is made by a rule.

Another processor, another number of threads, rows in another order or a weight in place of copies change the last
digits of scores and of what is computed of them. So no choice may hang on these: scores that differ by less than a
hair are one score, values that differ by less than rounding are one value, and of equal candidates the first in an
order that has nothing to do with digits is taken.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

HAIR = 2.0**-40
"""Of a score: 4,096 to 8,192 units in its last place. Refitted on the same rows in another order, or with weights for
copies, linear models gave scores up to 700 units apart."""

ROUNDING = 1e-10
"""Of a measure, relative to the size of what it is made of."""


def rounding_of(*values: ArrayLike) -> float:
    """What rounding may change of measures: relative to the largest finite one.

    Examples
    --------
    >>> rounding_of([-3.0, 5.0], [np.inf])
    5e-10
    """
    every = np.abs(np.concatenate([np.ravel(np.asarray(one, np.float64)) for one in values]))
    return ROUNDING * float(every[np.isfinite(every)].max(initial=0.0))


def first_largest(values: ArrayLike, slack: ArrayLike | None = None) -> NDArray[np.intp]:
    """The first place, along the last axis, of a value that is no more than `slack` below the largest.

    Parameters
    ----------
    values
        (..., K), K at least 1; -inf never wins against a number.
    slack
        Largest difference that rounding may cause, >= 0, one number or (..., 1); default: `rounding_of` the values.

    Examples
    --------
    >>> int(first_largest([0.1, 0.3, 0.1 + 0.2]))  # which is 0.30000000000000004
    1
    """
    given = np.asarray(values, np.float64)
    slack = rounding_of(given) if slack is None else slack
    return np.asarray(np.argmax(given >= given.max(axis=-1, keepdims=True) - slack, axis=-1))


def levels(values: ArrayLike, slack: float | None = None) -> NDArray[np.intp]:
    """The place of each value (N,) among the distinct ones, from the least: a key to sort by.

    Examples
    --------
    >>> levels([0.3, 0.1, 0.1 + 0.2]).tolist()
    [1, 0, 1]
    """
    given = np.asarray(values, np.float64)
    slack = rounding_of(given) if slack is None else slack
    order = np.argsort(given, kind="stable")
    found = np.empty(len(given), np.intp)
    found[order] = np.cumsum(np.diff(given[order], prepend=given[order][:1]) > slack)
    return found


def difference(left: ArrayLike, right: ArrayLike) -> Float64Array:
    """`left - right`, 0 where that is only rounding.

    Examples
    --------
    >>> difference([0.1 + 0.2, 0.4], [0.3, 0.3]).round(3).tolist()
    [0.0, 0.1]
    """
    found = np.asarray(left, np.float64) - np.asarray(right, np.float64)
    return np.where(np.abs(found) <= rounding_of(left, right), 0.0, found)


def reaching(threshold: Any) -> Any:
    """The least score that counts as reaching a threshold >= 0, a number or an array: a hair below it.

    Examples
    --------
    >>> bool(0.7 - 0.4 >= 0.3), bool(0.7 - 0.4 >= reaching(0.3))  # 0.7 - 0.4 is 0.29999999999999993
    (False, True)
    """
    return threshold * (1 - HAIR)


def last_of_each(falling: Float64Array) -> NDArray[np.intp]:
    """Where each distinct score ends among sorted ones.

    Neighbours within a hair are one score, as long as all of the run lies within a hair: a longer run is no rounding,
    and each of its scores is one of its own.

    Parameters
    ----------
    falling
        Scores >= 0 (N,), N at least 1, falling.

    Examples
    --------
    >>> last_of_each(np.array([0.5, 0.1 + 0.2, 0.3, 0.3, 0.1])).tolist()
    [0, 3, 4]
    """
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    distinct = falling[last]
    far = distinct[:-1] - distinct[1:] > HAIR * distinct[:-1]
    if far.all():
        return last
    end = np.append(np.flatnonzero(far), len(distinct) - 1)
    start = np.append(0, end[:-1] + 1)
    long = distinct[start] - distinct[end] > HAIR * distinct[start]
    return np.asarray(last[np.append(far, True) | np.repeat(long, end - start + 1)])


def one_score(scores: Float64Array) -> Float64Array:
    """Scores >= 0 (N,), those that are equal to rounding all as the least of them.

    Examples
    --------
    >>> one_score(np.array([0.1 + 0.2, 0.1, 0.3])).tolist()
    [0.3, 0.1, 0.3]
    """
    if not len(scores):
        return scores
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = last_of_each(falling)
    found = np.empty_like(scores)
    found[order] = np.repeat(falling[last], np.diff(last, prepend=-1))
    return found
