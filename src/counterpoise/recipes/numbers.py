"""Numbers that a user gave, checked: one, one per class, or the shares of the classes."""

from typing import Any

import numpy as np

from counterpoise.arrays import Float64Array, value_text
from counterpoise.errors import UserError
from counterpoise.weights import ClassCounts
from counterpoise.weights.by_class import in_class_order

PerClass = Any
"""One number, or one number per class."""


def per_class(
    name: str, value: Any, *, low: float = -np.inf, above: float = -np.inf, dimensions: int = 1
) -> Float64Array:
    """A read-only float64 copy of a parameter that is one number or has one per class, in class order or by index."""
    value = in_class_order(name, value)
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be numbers; found {value_text(value)}") from None
    if array.ndim > dimensions:
        raise UserError(f"{name} must have at most {dimensions} dimension(s); found shape {array.shape}")
    for place, number in np.ndenumerate(array):
        where = f"{name}[{', '.join(map(str, place))}]" if place else name
        if not np.isfinite(number):
            raise UserError(f"{where} is {number}; it must be finite")
        if number < low or number <= above:
            bound = f"at least {low:g}" if number < low else f"greater than {above:g}"
            raise UserError(f"{where} is {number:g}; it must be {bound}")
    array.setflags(write=False)
    return array


def one_number(
    name: str,
    value: Any,
    *,
    low: float = -np.inf,
    above: float = -np.inf,
    high: float = np.inf,
    below: float = np.inf,
) -> float:
    """A parameter that is one finite number, within [low, high] and (above, below)."""
    try:
        number = float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be one number; found {value_text(value)}") from None
    if not np.isfinite(number) or not low <= number <= high or not above < number < below:
        lower = f"above {above:g}" if np.isfinite(above) else f"at least {low:g}" if np.isfinite(low) else ""
        upper = f"below {below:g}" if np.isfinite(below) else f"at most {high:g}" if np.isfinite(high) else ""
        raise UserError(f"{name} is {number:g}; it must be {' and '.join(filter(None, ('finite', lower, upper)))}")
    return number


def prior_of(name: str, prior: Any, classes: int | None = None) -> Float64Array:
    """A prior given by a user, or counts, as checked shares that sum to 1."""
    shares = per_class(name, prior.prior if isinstance(prior, ClassCounts) else prior, low=0.0)
    if shares.shape != (shares.size if classes is None else classes,):
        raise UserError(f"{name} must have {classes or shares.size} shares, one per class; found shape {shares.shape}")
    if abs(shares.sum() - 1) > 1e-6:
        raise UserError(f"{name} sums to {shares.sum():g}; class shares sum to 1")
    return shares
