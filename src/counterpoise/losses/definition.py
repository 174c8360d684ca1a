"""The loss by its definition: operations that any framework can differentiate, trace and run on its devices."""

import dataclasses
from typing import Any

import numpy as np

from counterpoise.arrays import Array
from counterpoise.losses.arguments import Arguments, Call
from counterpoise.losses.reduction import denominator, divided
from counterpoise.losses.replicas import ALONE, Replicas
from counterpoise.losses.sigmoid import sigmoid_elements
from counterpoise.losses.softmax import softmax_rows, weighed
from counterpoise.recipes import Recipe, SoftmaxRecipe


def composed(call: Call, class_weight: Any = None) -> Array:
    """The loss by its definition, from operations that the framework differentiates.

    Parameters
    ----------
    call
        The arguments of `loss`.
    class_weight
        In place of the recipe's `weight` (softmax) or `pos_weight` (sigmoid), an array of the framework or None.
    """
    return reduced(call.checked(class_weight), call.recipe, call.reduction, call.normalizer, call.class_axis)


def reduced(
    arguments: Arguments,
    recipe: Recipe,
    reduction: str,
    normalizer: Any = None,
    class_axis: int = -1,
    replicas: Replicas = ALONE,
) -> Array:
    """The loss of arguments that are already in one form; with several replicas, the share of this one."""
    xp = arguments.xp
    if reduction == "none":
        values, _ = _entries(arguments, recipe)
        labelled = not isinstance(recipe, SoftmaxRecipe) and len(xp.shape(arguments.logits)) > 1
        return replicas.share_of_rows(xp.moveaxis(values, -1, class_axis) if labelled else values)
    total, by = sum_and_denominator(arguments, recipe, reduction, normalizer)
    if replicas is ALONE:
        return divided(xp, total, by)
    total, *sizes = replicas.total(total) if by is None else replicas.total(total, by)
    return replicas.share(divided(xp, total, xp.stop_gradient(sizes[0]) if sizes else None))


def denominator_alone(call: Call, class_weight: Any = None) -> Array:
    """What a mean divides by, without the loss.

    Parameters
    ----------
    call, class_weight
        As in `composed`.
    """
    return sum_and_denominator(call.checked(class_weight), call.recipe, call.reduction, None)[1]


def sum_and_denominator(
    arguments: Arguments, recipe: Recipe, reduction: str, normalizer: Any
) -> tuple[Array, Array | None]:
    """The sum of the loss, and the divisor of a mean; None for "sum"."""
    values, weight = _entries(arguments, recipe)
    return arguments.xp.sum(values), denominator(arguments, weight, values, reduction, normalizer)


@np.errstate(all="ignore")  # branches that are not taken overflow or divide by 0 on their way
def _entries(arguments: Arguments, recipe: Recipe) -> tuple[Array, Array]:
    """The unreduced loss, and the weight that the recipe gives to each entry."""
    xp = arguments.xp
    if isinstance(recipe, SoftmaxRecipe):
        entries = softmax_rows(arguments, recipe)
    else:
        entries = sigmoid_elements(arguments, recipe)
    values = entries.loss
    if arguments.weight is not None:
        values = weighed(xp, arguments.weight, values)
    if arguments.keep is not None:
        values = xp.where(arguments.keep, values, 0.0)
    return values, entries.weight


def with_mask(arguments: Arguments, rows: Array, *, labels: bool) -> Arguments:
    """The arguments with rows (...) left out where `rows` is False, as if ignored; with all their `labels`, if any."""
    xp, shape = arguments.xp, arguments.xp.shape(arguments.logits)
    if labels and len(xp.shape(rows)) < len(shape):
        rows = xp.broadcast_to(xp.with_axis(rows), shape)
    keep = rows if arguments.keep is None else arguments.keep & rows
    seen = xp.with_axis(rows) if len(xp.shape(rows)) < len(shape) else rows
    return dataclasses.replace(arguments, keep=keep, logits=xp.where(seen, arguments.logits, 0.0))
