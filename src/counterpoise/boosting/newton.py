"""The slopes of a boosting round.

A boosting round is a Newton step: a leaf moves its rows by the sum of their gradients over the sum of their
curvatures. Two things make that safe for losses other than the plain one. Where a loss bends down (focal, robust and
poly losses do) there is no Newton step; and where the truth is thought all but impossible, as a very rare class is at
the start, the curvature is so small that a leaf leaps by hundreds. Both end where the curvature of a row is at least
its gradient over the furthest step: then no leaf, being a mean of such steps, goes further either.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.losses import loss
from counterpoise.losses.kernel import OWN_THREADS
from counterpoise.losses.on_numpy import newton_slopes
from counterpoise.recipes import Recipe

LEAST_CURVATURE = 1e-16
"""What keeps the curvature of rows that are surely right above 0 in float32; it changes no tree."""


def is_plain(recipe: Recipe) -> bool:
    """Whether a recipe is plain cross-entropy, of either family.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid, softmax
    >>> is_plain(softmax.cross_entropy([90, 10])), is_plain(sigmoid.focal())
    (True, False)
    """
    return replace(recipe, prior=None) == type(recipe)()


def newton(
    recipe: Recipe,
    logits: NDArray[Any],
    target: NDArray[Any],
    weight: ArrayLike | None = None,
    *,
    factor: float = 1.0,
    floor: float = LEAST_CURVATURE,
    max_step: float = math.inf,
    region: int = OWN_THREADS,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gradient and curvature of each row's loss, the curvature large enough for a Newton step.

    Parameters
    ----------
    recipe
        The loss.
    logits
        Raw scores, floating, (N,) for the sigmoid family, (N, C) for the softmax family.
    target
        Targets (N,): from 0 to 1 for the sigmoid family, class indices for the softmax family.
    weight
        Weight of each row, (N,), >= 0.
    factor
        Factor of the curvature, as in the host's own objective.
    floor
        Smallest curvature of a row, > 0.
    max_step
        Largest ratio of a row's gradient to its curvature, > 0.
    region
        Owner of the threads, as `kernel.region_of` names them.

    Returns
    -------
    tuple of numpy.ndarray
        Gradient and curvature, of the logits' shape and dtype.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> plain, start, label = sigmoid.binary_cross_entropy(), np.array([-6.0, -6.0]), np.array([0, 1])
    >>> gradient, curvature = newton(plain, start, label)
    >>> (-gradient / curvature).round(1).tolist()
    [-1.0, 404.4]
    >>> gradient, curvature = newton(plain, start, label, max_step=2.0)
    >>> (-gradient / curvature).round(1).tolist()
    [-1.0, 2.0]
    """
    return newton_slopes(
        logits, target, recipe, weight, factor=factor, per_gradient=1 / max_step, floor=floor, region=region
    )


def mean_loss(recipe: Recipe, logits: NDArray[Any], target: NDArray[Any], weight: ArrayLike | None = None) -> float:
    """The loss per row, or per unit of weight where rows have weights, as the hosts' own log losses are.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> round(mean_loss(sigmoid.binary_cross_entropy(), np.zeros(2), np.array([0, 1]), [1, 5]), 4)
    0.6931
    """
    total, mass = loss_and_mass(recipe, logits, target, weight)
    return total / mass if mass else 0.0  # a validation set whose rows count nothing


def loss_and_mass(
    recipe: Recipe, logits: NDArray[Any], target: NDArray[Any], weight: ArrayLike | None = None
) -> tuple[float, float]:
    """The sum of the loss, and of the weights of the rows: parts that several workers may add up.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> total, mass = loss_and_mass(sigmoid.binary_cross_entropy(), np.zeros(2), np.array([0, 1]), [1, 5])
    >>> round(total, 4), mass
    (4.1589, 6.0)
    """
    mass = float(len(logits)) if weight is None else float(np.sum(weight, dtype=np.float64))
    if mass == 0:
        return 0.0, 0.0
    return float(loss(logits, target, recipe, sample_weight=weight, reduction="sum")), mass
