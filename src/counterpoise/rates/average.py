"""From one loss per class to the loss.

A class that a rate is not defined for, such as recall without a positive in the batch, enters no average; where no
class is left, the loss is 0 with zero gradient.
"""

from typing import Any

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.errors import UserError, nearest_name
from counterpoise.recipes.numbers import per_class

AVERAGES = ("macro", "micro", "weighted", "none")
Average = str | int


def check_average(average: Average, class_weight: Any) -> None:
    """Raise for an unknown average, or for class weights that it does not use."""
    if isinstance(average, str):
        if average not in AVERAGES:
            raise nearest_name("average", average, [*AVERAGES, "a class index"])
    elif isinstance(average, bool) or not isinstance(average, int | np.integer):
        raise UserError(f"average is {average!r}; pass one of {', '.join(AVERAGES)}, or a class index")
    if class_weight is None:
        return
    if average != "macro":
        raise UserError(f'class_weight is for average="macro"; found average={average!r}')
    if not per_class("class_weight", class_weight, low=0.0).any():
        raise UserError("class_weight is 0 for every class; at least one class must count")


def check_class(average: int, classes: int) -> None:
    """Raise for a class index out of range; one score per row stands for the classes 0 and 1."""
    last = max(classes, 2) - 1
    if not 0 <= average <= last:
        raise UserError(f"average is class {average}, but the classes are 0 to {last}")


def averaged(
    xp: Namespace, losses: Array, defined: Array, support: Array, average: Average, class_weight: Any
) -> Array:
    """The average of the losses of classes.

    Parameters
    ----------
    xp
        The functions of the losses' framework.
    losses
        Loss of each class, (C,); any finite number where it is not defined.
    defined
        Whether the loss of each class is defined, (C,).
    support
        Weight of the positives of each class, (C,).
    average
        "macro", "weighted", "none" or a class index.
    class_weight
        Weights of a macro mean, (C,), or None.
    """
    losses = xp.where(defined, losses, 0.0)
    if average == "none":
        return losses
    if not isinstance(average, str):
        return xp.gathered(losses)[average]
    if average == "weighted":
        weight = support
    else:
        weight = xp.constant(1.0, losses, losses.dtype)
        if class_weight is not None:
            weight = xp.parameter(_fitting(class_weight, xp.length(losses, 0)), losses, losses.dtype)
    weight = xp.where(defined, xp.broadcast_to(weight, xp.shape(losses)), 0.0)
    return ratio(xp, xp.sum(weight * losses), xp.sum(weight))


def _fitting(class_weight: Any, classes: int | None) -> Float64Array:
    # a module's settings hold an array of their own, which its copies on devices go by
    kept = isinstance(class_weight, np.ndarray) and class_weight.base is None and not class_weight.flags.writeable
    weight = class_weight if kept else per_class("class_weight", class_weight, low=0.0)
    if weight.shape != (classes,):
        raise UserError(f"class_weight has shape {weight.shape}, but there are {classes} classes; pass one per class")
    return weight


def ratio(xp: Namespace, part: Array, whole: Array, undefined: float = 0.0) -> Array:
    """part / whole, or the number `undefined` with zero gradient where the whole is 0."""
    nothing = whole == 0
    size = xp.stop_gradient(xp.where(nothing, 1.0, whole))
    # the slope of a quotient holds 1 / whole^2, which overflows where whole is small: at unit size it does not
    return xp.where(nothing, undefined, (part / size) / xp.where(nothing, 1.0, whole / size))
