"""The constant logits that minimise an expected loss.

With T_k(o) = mass_k phi(softplus(o + s m_k)) the loss of a constant prediction depends on each class only
through its own log odds o_k, and it is stationary where the pull

    T_k'(o_k) / (q_k (1 - q_k)),   q_k = sigmoid(-o_k),

is the same number for all classes and the q_k sum to 1. Without a margin the pull only rises with o_k. With
one it can also fall, but only where q_k > 1/2, so at most one class, the leader, lies there. All others lie
on the last rise of their pull, where it has an inverse. What remains is one equation in the leader's log
odds: its roots are looked for on a grid and bisected, and the one with the least loss wins.
"""

import numpy as np

from counterpoise.arrays import Float64Array, numpy_namespace
from counterpoise.errors import UserError
from counterpoise.recipes.shape import Shape

WIDEST = 600.0
STEPS = 100
LEADERS = 16


def _log_pull(shape: Shape, mass: Float64Array, margin: Float64Array, odds: Float64Array) -> Float64Array:
    """log of T'(o) / (q (1 - q)) at given log odds."""
    log_slope: Float64Array = shape.log_slope(numpy_namespace, odds + margin)
    log_wrong = -np.logaddexp(0.0, -(odds + margin))
    pull: Float64Array = np.log(mass) + log_slope + log_wrong + np.logaddexp(0.0, odds) + np.logaddexp(0.0, -odds)
    return pull


def _grid(margin: Float64Array) -> Float64Array:
    """Log odds, dense where a pull can turn."""
    low = -(float(margin.max(initial=0.0)) + 40.0)
    return np.concatenate(
        [np.linspace(-WIDEST, low, 60, endpoint=False), np.linspace(low, 40.0, 1500), np.linspace(41.0, WIDEST, 200)]
    )


def best_constant_logits(shape: Shape, mass: Float64Array, margin: Float64Array) -> Float64Array:
    """The log of the constant probabilities q that minimise sum_k mass_k phi(c_k).

    Parameters
    ----------
    shape
        The function phi, with a positive slope everywhere.
    mass
        Share of each class times its weight, (C,), > 0.
    margin
        Margin of each class times the temperature, (C,).

    Returns
    -------
    numpy.ndarray
        Constant logits, float64 (C,): log q, where q sums to 1.

    Examples
    --------
    >>> np.exp(best_constant_logits(Shape(), np.array([0.9, 0.1]), np.zeros(2))).round(6)
    array([0.9, 0.1])
    """
    classes = len(mass)
    if classes == 1 or (shape == Shape() and not margin.any()):
        cross_entropy: Float64Array = np.log(mass / mass.sum())
        return cross_entropy
    grid = _grid(margin)
    starts = np.array([_last_rise(_log_pull(shape, m, s, grid), grid) for m, s in zip(mass, margin, strict=True)])
    # without a margin every leader finds the same answer
    leaders = np.argsort(-mass, kind="stable")[: LEADERS if (margin > 0).any() else 1]
    found = [odds for leader in leaders for odds in _led_by(int(leader), shape, mass, margin, grid, starts)]
    if not found:
        raise UserError(
            "no constant logits minimise this loss: its margin and its robustness pull all probability to one class"
        )
    losses = [float((mass * shape.derivatives(odds + margin).value).sum()) for odds in found]
    best = found[int(np.argmin(losses))]
    log_q: Float64Array = -np.logaddexp(0.0, best)
    return log_q


def _last_rise(pull: Float64Array, grid: Float64Array) -> float:
    """The log odds from which on the pull only rises."""
    falling = np.flatnonzero(np.diff(pull) < 0)
    return float(grid[falling[-1] + 1]) if len(falling) else float(grid[0])


def _led_by(
    leader: int, shape: Shape, mass: Float64Array, margin: Float64Array, grid: Float64Array, starts: Float64Array
) -> list[Float64Array]:
    """The log odds of all stationary points at which all but the leader lie on their last rise."""
    rest = np.arange(len(mass)) != leader
    lowest = _log_pull(shape, mass[rest], margin[rest], starts[rest]).max()

    def others(pull: float) -> Float64Array:
        low, high = starts[rest], np.full(len(mass) - 1, WIDEST)
        for _ in range(STEPS):
            middle = (low + high) / 2
            above = _log_pull(shape, mass[rest], margin[rest], middle) > pull
            high, low = np.where(above, middle, high), np.where(above, low, middle)
        middle_odds: Float64Array = (low + high) / 2
        return middle_odds

    def excess(odds: float) -> float:
        # log of the others' sum of q over the leader's 1 - q: exact also where the leader takes nearly all
        pull = float(_log_pull(shape, mass[leader], margin[leader], np.array(odds)))
        log_q = -np.logaddexp(0.0, others(pull))
        return float(np.logaddexp.reduce(log_q) + np.logaddexp(0.0, -odds))

    pulls = _log_pull(shape, mass[leader], margin[leader], grid)
    total = np.full(len(grid), -np.inf)
    for place in np.flatnonzero(rest).tolist():
        rising = grid >= starts[place]
        curve = _log_pull(shape, mass[place], margin[place], grid[rising])
        total = np.logaddexp(total, -np.logaddexp(0.0, np.interp(pulls, curve, grid[rising])))
    rough = total + np.logaddexp(0.0, -grid)
    possible = pulls >= lowest
    # a cell on either side, since the rough curve is interpolated
    crossing = np.flatnonzero((rough[:-1] > 0) != (rough[1:] > 0))
    near = {c for place in crossing.tolist() for c in (place - 1, place, place + 1) if 0 <= c < len(grid) - 1}
    points = []
    for place in sorted(near):
        if not (possible[place] or possible[place + 1]):
            continue
        low, high = float(grid[place]), float(grid[place + 1])
        at_low = excess(low) > 0
        if at_low == (excess(high) > 0):
            continue
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if (excess(middle) > 0) == at_low else (low, middle)
        pull = float(_log_pull(shape, mass[leader], margin[leader], np.array(low)))
        if pull < lowest - 1e-9 or abs(excess(low)) > 1e-6:  # no root of the equation, but where it ends
            continue
        odds = np.empty(len(mass))
        odds[leader], odds[rest] = low, others(pull)
        points.append(odds)
    return points
