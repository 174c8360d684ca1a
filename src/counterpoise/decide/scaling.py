"""Calibration maps that scale and shift log probabilities: temperature, Platt's, beta and vector scaling.

    q = softmax(scale log p + offset)

is one family. With one scale it is temperature scaling; with one scale and an offset per class, Platt's logistic
regression on the log odds; with a scale and an offset per class, vector scaling, which for two classes is beta
calibration. All are fitted by maximum likelihood, which is convex, with scales >= 0 so that the order of scores is
never reversed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.probability import Float64Array

Slope = Callable[[Float64Array], Float64Array]
Objective = Callable[[Float64Array], tuple[float, Float64Array]]

SCALE_SPREAD = 10.0
"""Standard deviation of the scales' prior around 1: keeps them finite where scores separate the classes."""
_MOST_BY_ROOT = 64
"""Variables, whose slope's derivative takes as many passes over all rows."""
_FLAT = 1e-10
_NEAR = {"gtol": 1e-5, "ftol": 1e-9, "xtol": 1e-6}
_AS_NEAR_AS_VALUES_TELL = {"gtol": 1e-9, "ftol": 1e-15, "xtol": 1e-12}


@dataclass(frozen=True, slots=True, eq=False)
class ScalingMap:
    """q = softmax(scale log p + offset).

    Parameters
    ----------
    scale, offset
        Scale (>= 0) and offset of each class's log probability, (C,) each.
    floor
        Smallest probability: values below it, and above 1 - floor, are clipped, since log 0 cannot be scaled.

    References
    ----------
    Platt, Probabilistic outputs for support vector machines, 1999; Guo, Pleiss, Sun & Weinberger, On calibration of
    modern neural networks, ICML 2017; Kull, Silva Filho & Flach, Beta calibration, AISTATS 2017.

    Examples
    --------
    >>> ScalingMap(np.array([2.0, 2.0]), np.zeros(2), 1e-16)(np.array([[0.25, 0.75]]))
    array([[0.1, 0.9]])
    """

    scale: Float64Array
    offset: Float64Array
    floor: float

    def __post_init__(self) -> None:
        for numbers in (self.scale, self.offset):
            numbers.setflags(write=False)

    @classmethod
    def fit(cls, target: Float64Array, rows: Float64Array, weight: Float64Array, *, method: str, floor: float) -> Self:
        """Maximum likelihood by truncated Newton (Nash 1984), and Powell's hybrid method for the last digits.

        SciPy's L-BFGS-B asks BLAS for products of two or three numbers; where cores are busy, waiting for its threads
        took longer than the sums over all rows.

        Parameters
        ----------
        target
            One-hot targets, (N, C).
        rows
            Probabilities, (N, C).
        weight
            Weight of each row, (N,).
        method
            "temperature", "platt", or "vector" (for two classes also "beta").
        floor
            As in `ScalingMap`.
        """
        classes = rows.shape[1]
        # classes first: NumPy sums over few classes many times faster so
        log_p, target = _log(rows.T, floor), np.ascontiguousarray(target.T)
        scales = classes if method in ("vector", "beta") else 1
        offsets = 0 if method == "temperature" else classes - 1  # what all have in common changes nothing
        total = weight.sum()
        # the search sees centred and standardised log probabilities, else scale and offset are nearly one variable
        centre = log_p @ weight / total if offsets else np.zeros(classes)
        log_p = log_p - centre[:, None]
        # the prior's part: scores that are all alike say nothing of the scale, which the prior then sets to 1
        spread = float(np.sqrt((log_p**2 @ weight).mean() / total + 1 / (SCALE_SPREAD**2 * total)))

        def parts(variables: Float64Array) -> tuple[Float64Array, Float64Array]:
            offset = np.zeros(classes)
            offset[classes - offsets :] = variables[scales:]
            return np.broadcast_to(variables[:scales] / spread, classes), offset

        def objective(variables: Float64Array) -> tuple[float, Float64Array]:
            scale, offset = parts(variables)
            log_q = _log_softmax(log_p * scale[:, None] + offset[:, None])
            slope = (np.exp(log_q) - target) * (weight / total)
            by_scale = (slope * log_p).sum(axis=1)
            by_scale = by_scale if scales == classes else by_scale.sum(keepdims=True)
            off_one = scale[:scales] - 1
            prior = off_one / SCALE_SPREAD**2 / total
            value = float(prior @ off_one) / 2 - float((target * log_q).sum(axis=0) @ weight) / total
            return value, np.concatenate([(by_scale + prior) / spread, slope.sum(axis=1)[classes - offsets :]])

        found = _minimum(objective, np.concatenate([np.full(scales, spread), np.zeros(offsets)]), scales)
        scale, offset = parts(found)
        offset = offset - scale * centre
        return cls(np.array(scale), offset - offset[0], floor)

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Rows (N, C), calibrated."""
        log_q = _log_softmax(_log(rows.T, self.floor) * self.scale[:, None] + self.offset[:, None])
        return np.ascontiguousarray(np.exp(log_q).T)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist(), "floor": self.floor}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """What `to_dict` described."""
        return cls(np.array(plain["scale"], np.float64), np.array(plain["offset"], np.float64), float(plain["floor"]))


def _minimum(objective: Objective, start: Float64Array, scales: int) -> Float64Array:
    """The minimum of a convex objective; the first variables are scales >= 0."""
    from scipy.optimize import minimize  # slow to import, and an extra

    def descended(place: Float64Array, near: dict[str, float]) -> Float64Array:
        bounds = [(0, None)] * scales + [(None, None)] * (len(start) - scales)
        options = {"maxfun": 5000, **near}
        return np.asarray(minimize(objective, place, jac=True, method="TNC", bounds=bounds, options=options).x)

    if len(start) <= _MOST_BY_ROOT:
        start = descended(start, _NEAR)
        there = _to_the_last_digits(lambda variables: objective(variables)[1], start, scales)
        if there is not None:
            return there
    return descended(start, _AS_NEAR_AS_VALUES_TELL)


def _to_the_last_digits(slope: Slope, start: Float64Array, scales: int) -> Float64Array | None:
    """The root of the slope nearby, or None where none is found.

    Values are flat at their minimum, so they determine only half of its digits. The other half must not depend on the
    processor, since decisions are based on it. Scales at their bound of 0 stay there.
    """
    is_scale = np.arange(len(start)) < scales
    held = is_scale & (start <= 0) & (slope(start) >= 0)
    there = start
    while not held.all():
        there = _root(slope, np.where(held, 0.0, there), np.flatnonzero(~held))
        below = is_scale & (there < 0)
        if not below.any():
            break
        held = held | below
    end = slope(there)
    found = (
        np.abs(end[~held]).max(initial=0.0) <= _FLAT and (end[held] >= -_FLAT).all() and (there[is_scale] >= 0).all()
    )
    return there if found else None


def _root(slope: Slope, start: Float64Array, free: NDArray[np.intp]) -> Float64Array:
    """Where the slope by the free variables is 0."""
    from scipy.optimize import root  # slow to import, and an extra

    def moved(variables: Float64Array) -> Float64Array:
        whole = start.copy()
        whole[free] = variables
        return whole

    return moved(root(lambda variables: slope(moved(variables))[free], start[free], options={"xtol": 1e-14}).x)


def _log(rows: Float64Array, floor: float) -> Float64Array:
    return np.log(np.ascontiguousarray(np.clip(rows, floor, 1 - floor)))


def _log_softmax(u: Float64Array) -> Float64Array:
    """Of logits (C, N), over the classes."""
    shifted = u - u.max(axis=0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0)))
