"""The loss of a recipe on arrays of any framework."""

from typing import Any

import numpy as np

from counterpoise.arrays import Array
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.losses.on_numpy import numpy_loss
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe


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
        Raw scores, floating. Softmax family: (N, C), or (N, d1, …, C), with the classes on `class_axis`; -inf masks a
        class. Sigmoid family: (N,), (N, 1), (N, L) or any other shape. Half precision is computed in float32.
    target
        Softmax family: integers (N,) from 0 to C - 1, or one-hot or soft targets of the logits' shape. Sigmoid family:
        numbers from 0 to 1 of the logits' shape.
    recipe
        The loss, from `counterpoise.softmax`, `counterpoise.sigmoid` or `counterpoise.recipe`.
    sample_weight
        Weights (N,) of rows, or of the shape of the unreduced loss; finite, >= 0. They multiply the loss. The logits of
        a row of weight 0 may be NaN.
    reduction
        "none"; "sum"; "mean" (default) over rows (softmax) or elements (sigmoid), whatever their weights;
        "weighted_mean", divided by the sum of sample weight times class weight (PyTorch's weighted cross_entropy);
        "nonzero_mean", divided by the number of such weights that are not 0 (TensorFlow 1's SUM_BY_NONZERO_WEIGHTS).
    normalizer
        Denominator of a mean, a number > 0 or a scalar array, in place of its own; with it, N replicas or K
        accumulation steps add up to the loss of the whole batch. 0 is an error where its value can be seen, and NaN
        elsewhere.
    ignore_index
        Value of targets that are ignored: they neither cost nor count, and their logits are not read and may be NaN.
        For the sigmoid family the value itself may be NaN.
    class_axis
        Axis of the classes (of the labels, for the sigmoid family); default -1.

    Returns
    -------
    array
        A scalar, or for "none" one number per row or element; float32 for half precision, else the logits' dtype. If
        nothing counts (empty batch, all ignored, all weights 0), the loss is 0 with zero gradient.

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
    call = Call(logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis)
    if type(logits).__module__.startswith("torch"):
        from counterpoise.losses.pytorch.loss import torch_loss

        return torch_loss(call)
    check_reduction(reduction, normalizer)
    if isinstance(logits, (np.ndarray, np.generic, list, tuple)):
        return numpy_loss(call)
    if type(logits).__module__.startswith("jax"):
        from counterpoise.losses.on_jax import jax_loss

        value = jax_loss(call)
        if value is not None:
            return value
    return composed(call)
