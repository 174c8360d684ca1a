"""Loss, gradient and diagonal curvature of NumPy arrays in closed form, computed in float64.

With T_k(o_k) the loss that class k contributes at log odds o_k against it, and r_jk = e_j / sum_{l != k} e_l,

    dL/du_j   = sum_{k != j} T_k' r_jk - T_j'
    d2L/du_j2 = sum_{k != j} (T_k'' r_jk^2 + T_k' r_jk (1 - r_jk)) + T_j''

Sums that leave one element out are taken without subtracting it where it dominates.
"""

from typing import Any, NamedTuple

import numpy as np

from counterpoise.arrays import Float64Array, numpy_namespace
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Arguments, arguments_of
from counterpoise.losses.reduction import check_reduction, denominator
from counterpoise.losses.softmax import weighed, weight_of_all
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.odds import shifted_logit


class _Entries(NamedTuple):
    """Loss per entry, its class weight, and derivatives by the logits."""

    loss: Float64Array
    weight: Float64Array
    gradient: Float64Array
    curvature: Float64Array


def loss_and_gradient(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    ignore_index: float | None = None,
    class_axis: int = -1,
    *,
    curvature: bool = False,
) -> Any:
    """The loss with its gradient by the logits, and its diagonal curvature if asked, for NumPy arrays.

    Parameters
    ----------
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis
        As in `loss`; arrays are NumPy's or can be turned into them.
    curvature
        Also give the diagonal of the Hessian, d2 loss / d logit_i^2. It can be negative (focus, robustness).

    Returns
    -------
    tuple
        (loss, gradient) or (loss, gradient, curvature). The loss is as in `loss`, the others have the logits' shape and
        are those of the reduced loss; with "none", those of each entry's own loss. Computed in float64, given in the
        logits' dtype (float32 for half precision).

    Raises
    ------
    UserError
        As `loss` does.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> value, gradient = loss_and_gradient(np.array([[0.0, 0.0]]), [1], softmax.cross_entropy())
    >>> gradient
    array([[ 0.5, -0.5]])
    """
    check_reduction(reduction, normalizer)
    if not isinstance(logits, np.ndarray | np.generic | list | tuple):
        raise UserError(
            f"loss_and_gradient takes NumPy arrays; found {type(logits).__module__}.{type(logits).__qualname__}. "
            "Other frameworks differentiate counterpoise.loss themselves"
        )
    single = False
    if not isinstance(logits, list | tuple) and numpy_namespace.is_floating(logits):
        single = logits.dtype.itemsize <= 4
        logits = logits.astype(np.float64)
    arguments = arguments_of(logits, target, recipe, sample_weight, ignore_index, class_axis)
    with np.errstate(all="ignore"):
        entries = _softmax(arguments, recipe) if isinstance(recipe, SoftmaxRecipe) else _sigmoid(arguments, recipe)
        factor = np.ones_like(entries.loss)
        if arguments.weight is not None:
            factor = factor * arguments.weight
        if arguments.keep is not None:
            factor = np.where(arguments.keep, factor, 0.0)
        values = weighed(numpy_namespace, factor, entries.loss)
        if reduction == "none":
            by: Any = 1.0
            value: Any = values
        else:
            divisor = denominator(arguments, entries.weight, values, reduction, normalizer)
            by = 1.0 if divisor is None else float(divisor)
            value = values.sum() / by if by else np.float64(0.0)
            factor = factor / by if by else factor * 0
        softmax = isinstance(recipe, SoftmaxRecipe)
        spread = factor[..., None] if softmax else factor
        dtype = np.dtype(np.float32 if single else np.float64)
        back = _axis_back(softmax, arguments.logits.ndim, class_axis)
        derivatives = [entries.gradient, entries.curvature] if curvature else [entries.gradient]
        outputs = [back(weighed(numpy_namespace, spread, d)).astype(dtype) for d in derivatives]
        if reduction == "none" and not softmax:
            value = back(value)
        return (value.astype(dtype), *outputs)


def _axis_back(softmax: bool, dimensions: int, class_axis: int) -> Any:
    moved = dimensions > 1 or (softmax and dimensions == 1)
    return lambda array: np.moveaxis(array, -1, class_axis) if moved else array


def _odds(recipe: SoftmaxRecipe, z: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """exp(u - max u), the place of the maximum, the sums of the others, and the log odds with margins."""
    s = recipe.temperature
    # the largest logit is taken off before the offset is added, and neither is rounded into the other
    first = np.argmax(z * recipe.scale + recipe.offset, axis=-1)[..., None]
    offset = np.broadcast_to(recipe.offset, z.shape)
    scaled = z * recipe.scale
    lead = np.take_along_axis(scaled, first, -1) - scaled, np.take_along_axis(offset, first, -1) - offset
    gap = -s * (lead[0] + lead[1])
    e = np.exp(gap)
    top = np.arange(z.shape[-1]) == first
    rest = np.where(top, 0.0, e).sum(axis=-1, keepdims=True)
    against = np.where(top, rest, 1 + (rest - e))
    odds = np.where(against == 0, -np.inf, np.log(against) + s * (lead[0] + (lead[1] + recipe.margin)))
    return e, top, against, odds


def _without_own(values: Float64Array) -> Float64Array:
    """For each element of the last axis the sum of all others."""
    total = values.sum(axis=-1, keepdims=True)
    largest = np.argmax(np.abs(values), axis=-1)[..., None]
    is_largest = np.arange(values.shape[-1]) == largest
    rest = np.where(is_largest, 0.0, values).sum(axis=-1, keepdims=True)
    others: Float64Array = np.where(is_largest, rest, total - values)
    return others


def _softmax(arguments: Arguments, recipe: SoftmaxRecipe) -> _Entries:
    z, classes = arguments.logits, arguments.classes
    e, top, against, odds = _odds(recipe, z)
    pair = weight_of_all(numpy_namespace, z, recipe)
    phi = recipe.shape.derivatives(odds)
    if arguments.hard and not recipe.smoothing:
        target = np.arange(classes) == arguments.target[..., None]
        smoothed = target.astype(np.float64)
        weight = smoothed * pair
        curve = _hard_curve(phi.slope, phi.bend, weight, e, against, target)
    else:
        target = (
            (np.arange(classes) == arguments.target[..., None]).astype(np.float64)
            if arguments.hard
            else arguments.target
        )
        smoothed = (1 - recipe.smoothing) * target + recipe.smoothing / classes
        weight = smoothed * pair
        curve = _soft_curve(phi.slope, phi.bend, weight, e, against)
    loss = weighed(numpy_namespace, weight, phi.value).sum(axis=-1)
    # a masked logit is a constant, whatever the loss
    gradient, curvature = (np.where(np.isneginf(z), 0.0, part) for part in curve)
    row_weight = (target * pair).sum(axis=-1)
    if recipe.adds_expected_cost:
        by_choice = smoothed @ recipe.cost
        at_top = np.where(top, by_choice, 0.0).sum(axis=-1, keepdims=True)
        p = e / e.sum(axis=-1, keepdims=True)
        above = (p * (by_choice - at_top)).sum(axis=-1, keepdims=True)
        loss = loss + (at_top + above)[..., 0]
        slope = p * ((by_choice - at_top) - above)
        gradient = gradient + slope
        curvature = curvature + slope * (1 - 2 * p)
        if not recipe.weight.any():
            row_weight = row_weight + 1.0
    chain = recipe.temperature * recipe.scale
    return _Entries(loss, row_weight, gradient * chain, curvature * chain**2)


def _hard_curve(
    slope: Float64Array,
    bend: Float64Array,
    weight: Float64Array,
    e: Float64Array,
    against: Float64Array,
    target: Any,
) -> tuple[Float64Array, Float64Array]:
    first = weighed(numpy_namespace, weight, slope).sum(axis=-1, keepdims=True)
    second = weighed(numpy_namespace, weight, bend).sum(axis=-1, keepdims=True)
    others = np.where(target, 0.0, e)
    size = np.where(target, against, 0.0).sum(axis=-1, keepdims=True)
    size = np.where(size == 0, 1.0, size)
    r = others / size
    not_j = np.where(target, 0.0, _without_own(others) / size)
    gradient = np.where(target, -first, first * r)
    return gradient, np.where(target, second, second * r**2 + first * r * not_j)


def _soft_curve(
    slope: Float64Array, bend: Float64Array, weight: Float64Array, e: Float64Array, against: Float64Array
) -> tuple[Float64Array, Float64Array]:
    first, second = weighed(numpy_namespace, weight, slope), weighed(numpy_namespace, weight, bend)
    size = np.where(against == 0, 1.0, against)
    by_size = _without_own(first / size)
    gradient = e * by_size - first
    curvature = e**2 * _without_own((second - first) / size**2) + e * by_size + second
    return gradient, curvature


def _sigmoid(arguments: Arguments, recipe: SigmoidRecipe) -> _Entries:
    z, t = arguments.logits, arguments.target
    u = shifted_logit(numpy_namespace, z, scale=recipe.scale, offset=recipe.offset, temperature=recipe.temperature)
    smoothed = t * (1 - recipe.smoothing) + recipe.smoothing / 2
    positive, negative = smoothed * recipe.pos_weight, (1 - smoothed) * recipe.neg_weight
    right, wrong = recipe.positive_shape.derivatives(-u), recipe.negative_shape.derivatives(u)
    chain = recipe.temperature * recipe.scale
    return _Entries(
        weighed(numpy_namespace, positive, right.value) + weighed(numpy_namespace, negative, wrong.value),
        t * recipe.pos_weight + (1 - t) * recipe.neg_weight,
        (weighed(numpy_namespace, negative, wrong.slope) - weighed(numpy_namespace, positive, right.slope)) * chain,
        (weighed(numpy_namespace, negative, wrong.bend) + weighed(numpy_namespace, positive, right.bend)) * chain**2,
    )
