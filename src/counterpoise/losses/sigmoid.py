"""The sigmoid family as one function of the logit, for every framework."""

from counterpoise.losses.arguments import Arguments
from counterpoise.losses.softmax import Unreduced, class_weight_of, weighed
from counterpoise.recipes import SigmoidRecipe
from counterpoise.recipes.odds import shifted_logit
from counterpoise.recipes.shape import chances


def sigmoid_elements(arguments: Arguments, recipe: SigmoidRecipe) -> Unreduced:
    """Loss and class weight of each element, before sample weights and reduction.

    Parameters
    ----------
    arguments
        Checked arguments, logits and target of the same shape.
    recipe
        The loss.

    Returns
    -------
    Unreduced
        `loss` and `weight`, of the logits' shape.
    """
    xp, z, t = arguments.xp, arguments.logits, arguments.target
    u = shifted_logit(xp, z, scale=recipe.scale, offset=recipe.offset, temperature=recipe.temperature)
    positive_weight = class_weight_of(arguments, recipe.pos_weight)
    negative_weight = xp.parameter(recipe.neg_weight, z, z.dtype)
    smoothed = t * (1 - recipe.smoothing) + recipe.smoothing / 2 if recipe.smoothing else t
    positive, negative = smoothed * positive_weight, (1 - smoothed) * negative_weight
    at = chances(xp, u)
    loss = weighed(xp, positive, recipe.positive_shape.value(xp, at.swapped()))
    loss = loss + weighed(xp, negative, recipe.negative_shape.value(xp, at))
    return Unreduced(loss, t * positive_weight + (1 - t) * negative_weight)
