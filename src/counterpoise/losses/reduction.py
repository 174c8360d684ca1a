"""From the loss of each sample to one number.

"mean" divides by the number of rows (softmax) or elements (sigmoid) without ignored ones, whatever their weights.
"weighted_mean" divides by the weights, "nonzero_mean" by the number of weights that are not 0. A denominator of 0, with
nothing to count, gives 0, with zero gradient. A normalizer of 0 is a mistake: an error where its value can be seen,
else NaN.
"""

from typing import Any

import numpy as np

from counterpoise.arrays import Array, Namespace, namespace, value_text
from counterpoise.errors import UserError, nearest_name
from counterpoise.losses.arguments import Arguments
from counterpoise.recipes.numbers import one_number

REDUCTIONS = ("none", "sum", "mean", "weighted_mean", "nonzero_mean")


def check_reduction(reduction: str, normalizer: Any) -> None:
    """Raise where the reduction is unknown, or the normalizer does not fit it."""
    if reduction not in REDUCTIONS:
        raise nearest_name("reduction", reduction, REDUCTIONS)
    if normalizer is None:
        return
    if reduction in ("none", "sum"):
        raise UserError(
            f'reduction="{reduction}" has no denominator that normalizer could replace; use reduction="mean"'
        )
    try:
        shape = tuple(normalizer.shape) if hasattr(normalizer, "shape") else np.shape(normalizer)
    except ValueError:
        shape = None
    if shape != ():
        raise UserError(f"normalizer must be one number; found {value_text(normalizer)}")
    if not hasattr(normalizer, "shape") or namespace(normalizer).is_concrete(normalizer):
        number = one_number("normalizer", normalizer, low=0.0)
        if number == 0:
            raise UserError(
                "normalizer is 0; the loss is divided by it, so it must be greater than 0. Where nothing is counted in "
                "any part, leave the step out"
            )


def denominator(
    arguments: Arguments, class_weight: Array, size: Array, reduction: str, normalizer: Any
) -> Array | None:
    """The divisor of the summed loss, or None for "sum".

    Parameters
    ----------
    arguments
        Checked arguments, with the kept entries and the sample weights.
    class_weight
        Weight of each entry under the recipe.
    size
        An array of the unreduced loss's shape.
    reduction, normalizer
        The user's arguments.
    """
    xp, dtype = arguments.xp, arguments.logits.dtype
    if reduction == "sum":
        return None
    if normalizer is not None:
        by = xp.astype(xp.constant(normalizer, size, dtype), dtype)
        return xp.where(by > 0, by, float("nan"))  # a number of the framework's own, which may be traced
    if reduction == "mean":
        counted = xp.constant(1, size, dtype) if arguments.keep is None else xp.astype(arguments.keep, dtype)
        return xp.sum(xp.broadcast_to(counted, xp.shape(size)))
    weight = xp.broadcast_to(class_weight, xp.shape(size))
    if arguments.weight is not None:
        weight = weight * arguments.weight
    if arguments.keep is not None:
        weight = xp.where(arguments.keep, weight, 0.0)
    if reduction == "nonzero_mean":
        weight = xp.astype(weight != 0, dtype)
    return xp.sum(weight)


def divided(xp: Namespace, total: Array, by: Array | None) -> Array:
    """The quotient; 0 where nothing was counted."""
    if by is None:
        return total
    nothing = by == 0
    return xp.where(nothing, total * 0, total / xp.where(nothing, 1.0, by))
