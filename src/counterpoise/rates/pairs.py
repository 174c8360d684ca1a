"""Sums over all pairs of a positive and a negative, with their gradients in closed form.

All functions take one class: `score`, `positive` and `negative` are (rows,), the last two the weights of each row on
either side. Every gradient is a sum of terms of one sign per row, so that none is lost in a difference of large ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from counterpoise.arrays import Array, Namespace

Kernel = Callable[[Array], Array]

_CELLS = 4_000_000
_ROWS_WHILE_TRACED = 64


class Surrogate(NamedTuple):
    """A smooth stand-in for "the negative is not below the positive", of how far the positive is ahead; its slope."""

    value: Callable[[Namespace, Array], Array]
    slope: Callable[[Namespace, Array], Array]


def _sigmoid(xp: Namespace, x: Array) -> Array:
    small = xp.exp(xp.where(x >= 0, -x, x))
    return xp.where(x >= 0, 1.0, small) / (1 + small)


SIGMOID = Surrogate(
    lambda xp, ahead: _sigmoid(xp, -ahead),
    lambda xp, ahead: -_sigmoid(xp, ahead) * _sigmoid(xp, -ahead),
)
LOGISTIC = Surrogate(lambda xp, ahead: xp.softplus(-ahead), lambda xp, ahead: -_sigmoid(xp, -ahead))


def squared_hinge_sum(xp: Namespace, score: Array, positive: Array, negative: Array, margin: float) -> Array:
    """The sum over pairs of max(0, margin - (score_i - score_j))^2, exact in O(n log n).

    Positives are put `margin` lower, and all are walked through from the highest: what a positive pays is the sum of
    its squared distances from the negatives above it, which grows from step to step by amounts that are never
    negative. So nothing cancels, unlike in the expansion of the square.
    """
    return xp.with_slope(
        lambda z, a, b: _squared_hinge(xp, z, a, b, margin),
        lambda z, a, b: _squared_hinge_slope(xp, z, a, b, margin),
        score,
        positive,
        negative,
    )


class _Walk(NamedTuple):
    """Positives and negatives from the highest down: their order, the step to each, and both weights."""

    order: Array
    step: Array
    positive: Array
    negative: Array


def _walk(xp: Namespace, score: Array, positive: Array, negative: Array, margin: float) -> _Walk:
    keys = xp.concatenate([score - margin, score])
    nobody = positive * 0
    order = xp.argsort(-keys)
    sorted_keys = xp.take_along(keys, order)
    step = xp.concatenate([sorted_keys[:1] * 0, sorted_keys[:-1] - sorted_keys[1:]])
    a = xp.take_along(xp.concatenate([positive, nobody]), order)
    b = xp.take_along(xp.concatenate([nobody, negative]), order)
    return _Walk(order, step, a, b)


def _before(xp: Namespace, array: Array) -> Array:
    """The array moved on by one, with 0 in front."""
    return xp.concatenate([array[:1] * 0, array[:-1]])


def _squared_hinge(xp: Namespace, score: Array, positive: Array, negative: Array, margin: float) -> Array:
    walk = _walk(xp, score, positive, negative, margin)
    above = _before(xp, xp.cumsum(walk.negative))
    distance = xp.cumsum(walk.step * above)
    squared = xp.cumsum(walk.step * (2 * _before(xp, distance) + walk.step * above))
    return xp.sum(walk.positive * squared)


def _squared_hinge_slope(xp: Namespace, score: Array, positive: Array, negative: Array, margin: float) -> Array:
    walk = _walk(xp, score, positive, negative, margin)
    from_above = xp.cumsum(walk.step * _before(xp, xp.cumsum(walk.negative)))
    # the steps towards the positives below, seen from the lowest up
    below = xp.cumsum(xp.reversed(walk.positive))
    from_below = xp.reversed(_before(xp, xp.cumsum(xp.reversed(walk.step) * below)))
    by_place = 2 * (walk.negative * from_below - walk.positive * from_above)
    by_key = xp.take_along(by_place, xp.argsort(walk.order))
    rows = xp.shape(score)[0]
    return by_key[:rows] + by_key[rows:]


class _Positives(NamedTuple):
    """How to take what the positives have, and how to put it back among all rows, with 0 for the others."""

    take: Kernel
    put_back: Kernel


def _positives(xp: Namespace, positive: Array) -> _Positives:
    """The positives, where their places can be seen; else every row is treated as one, at the cost of time."""
    if not xp.is_concrete(positive):
        return _Positives(lambda array: array, lambda array: array)
    weight = np.asarray(positive.detach() if hasattr(positive, "detach") else positive)
    places = np.flatnonzero(weight)
    back = np.full(len(weight), len(places))
    back[places] = np.arange(len(places))
    at, from_here = (xp.constant(index, positive, xp.int64) for index in (places, back))

    def put_back(array: Array) -> Array:
        nothing = xp.reshape(xp.constant(0.0, array, array.dtype), (1,))
        return xp.take(xp.concatenate([array, nothing]), from_here)

    return _Positives(lambda array: xp.take(array, at), put_back)


def pair_sum(xp: Namespace, score: Array, positive: Array, negative: Array, surrogate: Surrogate) -> Array:
    """The sum over pairs of surrogate(score_i - score_j), in O(positives x n) time and the memory of a block."""
    take, put_back = _positives(xp, positive)

    def value(z: Array, a: Array, b: Array) -> Array:
        return xp.sum(take(a) * _sums(xp, lambda ahead: surrogate.value(xp, ahead), take(z), z, b))

    def slope(z: Array, a: Array, b: Array) -> Array:
        ahead = _sums(xp, lambda d: surrogate.slope(xp, d), take(z), z, b)
        behind = _sums(xp, lambda d: surrogate.slope(xp, -d), z, take(z), take(a))
        return put_back(take(a) * ahead) - b * behind

    return xp.with_slope(value, slope, score, positive, negative)


def precision_sum(xp: Namespace, score: Array, positive: Array, negative: Array) -> Array:
    """The sum over positives of 1 - the soft precision at their rank, rows above counted by a sigmoid.

    A row counts whole at its own rank. Time and memory as of `pair_sum`.
    """
    take, put_back = _positives(xp, positive)

    def at_rank(z: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """The positives and the negatives down to the rank of each positive."""
        above = [_sums(xp, lambda ahead: SIGMOID.value(xp, ahead), take(z), z, weight) for weight in (a, b)]
        return above[0] + take(a) / 2, above[1] + take(b) / 2  # the sigmoid of its own distance is the other half

    def value(z: Array, a: Array, b: Array) -> Array:
        right, wrong = at_rank(z, a, b)
        return xp.sum(take(a) * wrong / _or_one(xp, right + wrong))

    def slope(z: Array, a: Array, b: Array) -> Array:
        right, wrong = at_rank(z, a, b)
        square = _or_one(xp, right + wrong) ** 2
        by_right, by_wrong = -take(a) * wrong / square, take(a) * right / square

        def steepness(ahead: Array) -> Array:
            return SIGMOID.slope(xp, ahead)

        own = by_right * _sums(xp, steepness, take(z), z, a) + by_wrong * _sums(xp, steepness, take(z), z, b)
        as_other = a * _sums(xp, steepness, z, take(z), by_right) + b * _sums(xp, steepness, z, take(z), by_wrong)
        return put_back(own) - as_other

    return xp.with_slope(value, slope, score, positive, negative)


def _or_one(xp: Namespace, array: Array) -> Array:
    return xp.where(array == 0, 1.0, array)


def _sums(xp: Namespace, kernel: Kernel, score: Array, others: Array, weight: Array) -> Array:
    """The sum over j of weight_j kernel(score_i - others_j) for each i, a block of rows at a time."""
    count = xp.shape(others)[0]
    rows = max(1, _CELLS // max(count, 1)) if isinstance(count, int) else _ROWS_WHILE_TRACED
    return xp.map_blocks(lambda block: xp.sum(kernel(block[:, None] - others) * weight, -1), score, rows)
