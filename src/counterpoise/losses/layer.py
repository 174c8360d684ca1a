"""Arguments of a linear layer and its loss in one: their shapes must fit."""

from typing import Any

from counterpoise.arrays import Namespace, namespace, shape_text
from counterpoise.errors import UserError
from counterpoise.losses.arguments import check_recipe, same_shape
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe


def checked_layer(features: Any, weight: Any, bias: Any, recipe: Recipe, reduction: str) -> Namespace:
    """The framework of a layer whose shapes fit, after an error where they do not."""
    check_recipe(recipe)
    check_reduction(reduction, None)
    if reduction == "none":
        raise UserError('linear_loss has no reduction "none": its gradient would need the logits of all rows; use loss')
    xp = namespace(features)
    shapes = [xp.shape(features), tuple(weight.shape), () if bias is None else tuple(bias.shape)]
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or not same_shape(shapes[0][1:], shapes[1][1:]):
        raise UserError(
            f"features {shape_text(shapes[0])} and weight {shape_text(shapes[1])} do not fit; pass (N, H) and (C, H), "
            "as torch.nn.Linear holds its weight"
        )
    if bias is not None and not same_shape(shapes[2], shapes[1][:1]):
        raise UserError(f"bias has shape {shape_text(shapes[2])}; weight has {shapes[1][0]} classes")
    return xp
