"""The constant logits that minimise an expected loss.

With T_k(o) = t_k w_k phi(softplus(o + s m_k)) the loss of a constant prediction depends on each class
only through its own log odds o_k, and it is stationary where

    T_k'(o_k) / (q_k (1 - q_k)),   q_k = sigmoid(-o_k),

is the same number for all classes and the q_k sum to 1. That number falls and then rises with o_k (a
margin makes it fall at first; without one it only rises), and at a minimum at most one class, the leader,
lies on the falling side. So two nested bisections find everything.
"""

import numpy as np
from numpy.typing import NDArray

from counterpoise.arrays import numpy_namespace
from counterpoise.errors import UserError
from counterpoise.recipes.shape import Shape

Float64Array = NDArray[np.float64]

WIDEST = 600.0
STEPS = 90


def _log_pull(shape: Shape, mass: Float64Array, margin: Float64Array, odds: Float64Array) -> Float64Array:
    """log of T'(o) / (q (1 - q)) at given log odds."""
    log_slope: Float64Array = shape.log_slope(numpy_namespace, odds + margin)
    log_wrong = -np.logaddexp(0.0, -(odds + margin))
    pull: Float64Array = np.log(mass) + log_slope + log_wrong + np.logaddexp(0.0, odds) + np.logaddexp(0.0, -odds)
    return pull


def best_constant_logits(shape: Shape, mass: Float64Array, margin: Float64Array) -> Float64Array:
    """The log of the constant probabilities q that minimise sum_k mass_k phi(c_k).

    Parameters
    ----------
    shape
        phi, with a positive slope everywhere.
    mass
        (C,), > 0: share of each class times its weight.
    margin
        (C,): margin of each class times the temperature.

    Returns
    -------
    numpy.ndarray
        float64 (C,), log q, with q summing to 1.

    Examples
    --------
    >>> np.exp(best_constant_logits(Shape(), np.array([0.9, 0.1]), np.zeros(2))).round(6)
    array([0.9, 0.1])
    """
    classes = len(mass)
    if classes == 1:
        return np.zeros(1)
    lowest = _lowest_pull(shape, mass, margin)
    for leader in np.argsort(-mass, kind="stable"):
        log_q = _led_by(int(leader), shape, mass, margin, lowest)
        if log_q is not None:
            return log_q
    raise UserError(
        "no constant logits minimise this loss: its margin and its robustness pull all probability to one class"
    )


def _lowest_pull(shape: Shape, mass: Float64Array, margin: Float64Array) -> Float64Array:
    """The log odds at which each class's pull starts to rise, by golden section."""
    low, high = np.full(len(mass), -WIDEST), np.full(len(mass), WIDEST)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        rising = _log_pull(shape, mass, margin, left) <= _log_pull(shape, mass, margin, right)
        low, high = np.where(rising, low, left), np.where(rising, right, high)
    middle: Float64Array = (low + high) / 2
    return middle


def _led_by(
    leader: int, shape: Shape, mass: Float64Array, margin: Float64Array, lowest: Float64Array
) -> Float64Array | None:
    """The solution in which all but the leader lie on the rising side, if there is one."""
    rest = np.arange(len(mass)) != leader

    def others(leader_odds: float) -> Float64Array:
        pull = _log_pull(shape, mass[[leader]], margin[[leader]], np.array([leader_odds]))
        low: Float64Array = lowest[rest]
        high: Float64Array = np.full(len(mass) - 1, WIDEST)
        for _ in range(STEPS):
            middle = (low + high) / 2
            above = _log_pull(shape, mass[rest], margin[rest], middle) > pull
            high, low = np.where(above, middle, high), np.where(above, low, middle)
        return low

    def excess(leader_odds: float) -> float:
        # log of the others' sum of q over the leader's 1 - q: exact also where the leader takes nearly all
        others_log_q = -np.logaddexp(0.0, others(leader_odds))
        return float(np.logaddexp.reduce(others_log_q) + np.logaddexp(0.0, -leader_odds))

    low, high = -WIDEST, WIDEST
    sign_at_low = excess(low) > 0
    if sign_at_low == (excess(high) > 0):
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if (excess(middle) > 0) == sign_at_low else (low, middle)
    if abs(excess(low)) > 1e-6:  # the sign changed at a jump, not at a root
        return None
    odds = np.empty(len(mass))
    odds[leader], odds[rest] = low, others(low)
    log_q: Float64Array = -np.logaddexp(0.0, odds)
    return log_q
