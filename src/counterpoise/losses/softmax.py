"""The softmax family as one function of the log odds against each class, for every framework.

A hard target needs only the log odds of its own class, relative to the largest of the other logits. A soft target needs
those of all classes, relative to the largest logit. Neither way subtracts nearly equal numbers.
"""

from typing import Any, NamedTuple

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.losses.arguments import Arguments
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.recipes.affine import INFINITY, affine_parts, roughly, total
from counterpoise.recipes.derived import derived
from counterpoise.recipes.odds import Odds, at, differences, margined_differences, odds_against_all
from counterpoise.recipes.shape import chances


class Unreduced(NamedTuple):
    """The unreduced loss, and the weight that a weighted mean divides by."""

    loss: Array
    weight: Array


def softmax_rows(arguments: Arguments, recipe: SoftmaxRecipe) -> Unreduced:
    """Loss and class weight of each row, before sample weights and reduction.

    Parameters
    ----------
    arguments
        Checked arguments, logits (..., C).
    recipe
        The loss.

    Returns
    -------
    Unreduced
        `loss` and `weight`, both (...).
    """
    xp, z = arguments.xp, arguments.logits
    if arguments.hard and recipe.smoothing == 0 and not recipe.adds_expected_cost:
        row_weight = _weight_of_true(arguments, recipe)
        loss = weighed(xp, row_weight, recipe.shape.value(xp, chances(xp, _odds_against_true(arguments, recipe))))
        return Unreduced(xp.where(_is_class(arguments), loss, float("nan")), row_weight)
    target = _soft_target(arguments, recipe)
    odds = odds_against_all(
        xp,
        z,
        arguments.classes,
        scale=recipe.scale,
        offset=recipe.offset,
        margin=recipe.margin,
        temperature=recipe.temperature,
    )
    by_class = _weight_of_all(arguments, recipe)
    costs_only = recipe.adds_expected_cost and arguments.class_weight is None and not recipe.weight.any()
    loss = 0.0
    if not costs_only:
        loss = xp.sum(weighed(xp, target * by_class, recipe.shape.value(xp, chances(xp, odds.against))), -1)
    if recipe.adds_expected_cost:
        loss = loss + _expected_cost(arguments, recipe, target, odds)
    if arguments.hard:
        row_weight = _weight_of_true(arguments, recipe)
        loss = xp.where(_is_class(arguments), loss, float("nan"))
    else:
        row_weight = xp.sum(arguments.target * by_class, -1)
    if costs_only:
        row_weight = row_weight + 1.0  # an expected cost has no class weight: each row counts alike
    return Unreduced(loss, row_weight)


def weighed(xp: Namespace, weight: Array, values: Array) -> Array:
    """weight * values, where no weight means no loss, also of an infinite one; a NaN of either stays.

    Where the weight is 0 the slope by it is still the value.
    """
    return weight * xp.where((weight == 0) & (values == INFINITY), 0.0, values)


def class_weight_of(arguments: Arguments, weight: Float64Array) -> Array:
    """The given class weights, or else the recipe's, in the framework's form."""
    given = arguments.class_weight
    return arguments.xp.parameter(weight, arguments.logits, arguments.logits.dtype) if given is None else given


def _weight_of_true(arguments: Arguments, recipe: SoftmaxRecipe) -> Array:
    """The weight A[true, chosen] of each row of a hard target, (...) or one number."""
    xp, z = arguments.xp, arguments.logits
    true = _in_range(xp, arguments.target, arguments.classes)
    if recipe.weight_by == "pair":
        chosen = xp.astype(xp.argmax(xp.stop_gradient(z), -1), true.dtype)
        return xp.take(xp.parameter(derived(np.ravel, recipe.cost), z, z.dtype), true * arguments.classes + chosen)
    weight = class_weight_of(arguments, recipe.weight)
    if len(xp.shape(weight)) == 0:
        return weight
    return xp.take(weight, true if recipe.weight_by == "true" else xp.argmax(xp.stop_gradient(z), -1))


def _weight_of_all(arguments: Arguments, recipe: SoftmaxRecipe) -> Array:
    """The weight A[k, chosen] of each row for every class k that could be true; broadcasts to (..., C)."""
    xp, z = arguments.xp, arguments.logits
    if recipe.weight_by == "pair":
        by_chosen = xp.parameter(derived(np.transpose, recipe.cost), z, z.dtype)
        return xp.take(by_chosen, xp.argmax(xp.stop_gradient(z), -1))
    weight = class_weight_of(arguments, recipe.weight)
    if recipe.weight_by == "true" or len(xp.shape(weight)) == 0:
        return weight
    return xp.with_axis(xp.take(weight, xp.argmax(xp.stop_gradient(z), -1)))


def _in_range(xp: Namespace, target: Array, classes: int) -> Array:
    """Class indices, with those out of range (whose loss is NaN) moved to 0."""
    return xp.where((target >= 0) & (target < classes), target, xp.constant(0, target, target.dtype))


def _is_class(arguments: Arguments) -> Array:
    return (arguments.target >= 0) & (arguments.target < arguments.classes)


def _is_true(arguments: Arguments) -> Array:
    xp, target = arguments.xp, arguments.target
    return xp.with_axis(target) == xp.arange(arguments.classes, arguments.logits, target.dtype)


def _odds_against_true(arguments: Arguments, recipe: SoftmaxRecipe) -> Array:
    """The log odds against the true class, with its margin, (...), relative to the largest of the other logits."""
    xp, s = arguments.xp, recipe.temperature
    is_true = _is_true(arguments)
    true = _in_range(xp, arguments.target, arguments.classes)

    def others(z: Array) -> tuple[Array, Array]:
        """The largest of the other logits, and the exponentials of their distances from it."""
        rough = xp.where(is_true, -INFINITY, roughly(xp, z, recipe.scale, recipe.offset))
        largest = xp.max(rough, -1, True)
        largest = xp.where(largest == -INFINITY, 0.0, largest)
        gap = s * -total(differences(largest, affine_parts(xp, z, recipe.scale, recipe.offset)))
        return largest, xp.exp(xp.where(is_true, -INFINITY, gap))

    def odds(z: Array) -> Any:
        largest, e = others(z)
        spread = xp.sum(e, -1, True)
        alone = spread == 0
        # the margin comes off the offset of the true class, in parts of its own so that it keeps its digits
        own = xp.pick(z, true, is_true)
        offset = derived(np.subtract, recipe.offset, recipe.margin)
        parts = affine_parts(xp, own, recipe.scale, offset, xp.with_axis(true))
        lead = s * total(margined_differences(xp, largest, parts))
        hidden = lead == INFINITY
        against = xp.log(xp.where(alone, 1.0, spread)) + xp.where(hidden, INFINITY, lead)
        # with no other class the loss is 0; with no class at all there is none
        against = xp.where(alone, -INFINITY, against)

        def pulled(cotangent: Array) -> Array:
            _, e = others(z)  # again, so that it is a function of the logits; compilers find that it is the same
            spread = xp.sum(e, -1, True)
            slope = s * xp.where(spread == 0, 0.0, cotangent)
            share = e / xp.where(spread == 0, 1.0, spread)
            by_logit = xp.where(is_true, xp.where(hidden, 0.0, -slope), slope * share)
            by_logit = xp.where(own == INFINITY, float("nan"), by_logit)
            return by_logit * xp.parameter(recipe.scale, z, z.dtype) if (recipe.scale != 1).any() else by_logit

        # as the error in NumPy: of infinite logits only -inf has a meaning, a mask; +inf of another class is NaN here.
        # A product, so that its slope is NaN too
        against = against * xp.where(own == INFINITY, float("nan"), xp.constant(1.0, z, z.dtype))
        return xp.where(alone & hidden, float("nan"), against), pulled

    return xp.without_axis(xp.with_gradient(odds, arguments.logits))


def _soft_target(arguments: Arguments, recipe: SoftmaxRecipe) -> Array:
    xp, z = arguments.xp, arguments.logits
    target = xp.astype(_is_true(arguments), z.dtype) if arguments.hard else arguments.target
    if recipe.smoothing:
        target = (1 - recipe.smoothing) * target + recipe.smoothing / arguments.classes
    return target


def _expected_cost(arguments: Arguments, recipe: SoftmaxRecipe, target: Array, odds: Odds) -> Array:
    """sum_k t_k sum_j p_j A[k, j], written around the likeliest class so that its slope does not cancel."""
    xp, z = arguments.xp, arguments.logits
    e, top = odds.exponential, odds.top
    cost = xp.parameter(recipe.cost, z, z.dtype)
    if arguments.hard and not recipe.smoothing:
        by_choice = xp.take(cost, _in_range(xp, arguments.target, arguments.classes))
    else:
        by_choice = xp.sum(xp.with_axis(target) * cost, -2)
    at_top = at(xp, by_choice, top)
    above = xp.where(top, 0.0, e * (by_choice - at_top))
    return xp.without_axis(at_top) + xp.sum(above, -1) / xp.sum(e, -1)
