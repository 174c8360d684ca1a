"""The loss of a recipe on arrays of any framework."""

import dataclasses
from typing import Any

import numpy as np

from counterpoise.arrays import Array
from counterpoise.losses.arguments import Arguments, arguments_of, check_recipe, counted_only
from counterpoise.losses.on_numpy import numpy_loss
from counterpoise.losses.reduction import check_reduction, denominator, divided
from counterpoise.losses.replicas import ALONE, Replicas
from counterpoise.losses.sigmoid import sigmoid_elements
from counterpoise.losses.softmax import softmax_rows, weighed
from counterpoise.recipes import Recipe, SoftmaxRecipe


def loss(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    ignore_index: float | None = None,
    class_axis: int = -1,
) -> Array:
    """The loss of a recipe: one number, the same in NumPy, PyTorch, TensorFlow and JAX.

    Parameters
    ----------
    logits
        Raw scores, floating. Softmax family: (N, C), or (N, d1, …, C), the class axis where `class_axis` says; -inf
        masks a class. Sigmoid family: (N,), (N, 1), (N, L) or any other shape. Half precision is computed in float32.
    target
        Softmax family: integers (N,) from 0 to C - 1, or one-hot or soft targets of the logits' shape. Sigmoid family:
        numbers from 0 to 1 of the logits' shape.
    recipe
        The loss, from `counterpoise.softmax`, `counterpoise.sigmoid` or `counterpoise.recipe`.
    sample_weight
        (N,) for rows, or of the shape of the unreduced loss; finite, >= 0. Multiplies the loss.
    reduction
        "none"; "sum"; "mean" over rows (softmax) or elements (sigmoid), into which weights do not enter;
        "weighted_mean", divided by the sum of sample weight times class weight (PyTorch's weighted cross_entropy);
        "nonzero_mean", divided by the number of such weights that are not 0 (TensorFlow 1's SUM_BY_NONZERO_WEIGHTS).
    normalizer
        A number > 0, or a scalar array, that replaces the denominator of a mean; so N replicas or K accumulation
        steps add up to the loss of the whole batch.
    ignore_index
        Targets of this value neither cost nor count.
    class_axis
        The axis of the classes (of the labels, for the sigmoid family).

    Returns
    -------
    array
        A scalar, or for "none" one number per row or element; float32 for half precision, else of the logits' dtype.
        Nothing to count (empty batch, all ignored, all weights 0) gives 0 with zero gradient.

    Raises
    ------
    UserError
        For shapes that do not fit, a class out of range, weights that are NaN or negative. Values are looked at
        where that is possible: not under tracing, compiling or on an accelerator, where a class out of range gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from counterpoise.recipes import softmax
    >>> float(loss(np.array([[0.0, 0.0]]), [1], softmax.cross_entropy()).round(4))
    0.6931
    """
    check_reduction(reduction, normalizer)
    given = (logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis)
    if isinstance(logits, (np.ndarray, np.generic, list, tuple)):
        return numpy_loss(*given)
    if type(logits).__module__.startswith("torch"):
        from counterpoise.losses.on_torch import torch_loss

        check_recipe(recipe)
        value = torch_loss(*given)
        if value is not None:
            return value
    if type(logits).__module__.startswith("jax"):
        from counterpoise.losses.on_jax import jax_loss

        value = jax_loss(*given)
        if value is not None:
            return value
    return composed(*given)


def composed(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Array:
    """The loss by its definition, from operations that the framework differentiates; arguments as in `loss`."""
    arguments = arguments_of(logits, target, recipe, sample_weight, ignore_index, class_axis)
    return reduced(arguments, recipe, reduction, normalizer, class_axis)


def reduced(
    arguments: Arguments,
    recipe: Recipe,
    reduction: str,
    normalizer: Any = None,
    class_axis: int = -1,
    replicas: Replicas = ALONE,
) -> Array:
    """The loss of arguments that are already in their one form; of several replicas, the share of this one."""
    arguments = counted_only(arguments)
    xp = arguments.xp
    with np.errstate(all="ignore"):  # branches that are not taken overflow or divide by 0 on their way
        if isinstance(recipe, SoftmaxRecipe):
            entries, labelled = softmax_rows(arguments, recipe), False
        else:
            entries, labelled = sigmoid_elements(arguments, recipe), len(xp.shape(arguments.logits)) > 1
        values = entries.loss
        if arguments.weight is not None:
            values = weighed(xp, arguments.weight, values)
        if arguments.keep is not None:
            values = xp.where(arguments.keep, values, 0.0)
        if reduction == "none":
            return replicas.share_of_rows(xp.moveaxis(values, -1, class_axis) if labelled else values)
        total, by = xp.sum(values), denominator(arguments, entries.weight, values, reduction, normalizer)
        total, *sizes = replicas.total(total) if by is None else replicas.total(total, by)
        return replicas.share(divided(xp, total, xp.stop_gradient(sizes[0]) if sizes else None))


def with_mask(arguments: Arguments, rows: Array, *, labels: bool) -> Arguments:
    """The arguments with rows (...) left out where `rows` is False, as if ignored; with all their `labels`, if any."""
    xp, shape = arguments.xp, arguments.xp.shape(arguments.logits)
    if labels and len(xp.shape(rows)) < len(shape):
        rows = xp.broadcast_to(rows[..., None], shape)
    keep = rows if arguments.keep is None else arguments.keep & rows
    return dataclasses.replace(arguments, keep=keep)
