"""The sigmoid family as one function of the logit, for every framework."""

from counterpoise.losses.arguments import Arguments
from counterpoise.losses.softmax import Rows, weighed
from counterpoise.recipes import SigmoidRecipe
from counterpoise.recipes.affine import affine_parts, total
from counterpoise.recipes.odds import INFINITY


def sigmoid_elements(arguments: Arguments, recipe: SigmoidRecipe) -> Rows:
    """Loss and class weight of each element, before sample weights and reduction.

    Parameters
    ----------
    arguments
        Checked arguments, logits and target of the same shape.
    recipe
        The loss.

    Returns
    -------
    Rows
        `loss` and `weight`, of the logits' shape.
    """
    xp, z, t = arguments.xp, arguments.logits, arguments.target
    infinite = (z == INFINITY) | (z == -INFINITY)
    finite = xp.where(infinite, 0.0, z)
    u = recipe.temperature * total(affine_parts(xp, finite, recipe.scale, recipe.offset))
    u = xp.where(infinite, z, u)
    positive_weight = xp.constant(recipe.pos_weight, z, z.dtype)
    negative_weight = xp.constant(recipe.neg_weight, z, z.dtype)
    smoothed = t * (1 - recipe.smoothing) + recipe.smoothing / 2 if recipe.smoothing else t
    positive, negative = smoothed * positive_weight, (1 - smoothed) * negative_weight
    loss = weighed(xp, positive, recipe.positive_shape.value(xp, -u))
    loss = loss + weighed(xp, negative, recipe.negative_shape.value(xp, u))
    return Rows(loss, t * positive_weight + (1 - t) * negative_weight)
