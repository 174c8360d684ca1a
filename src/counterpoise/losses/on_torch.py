"""The loss of PyTorch tensors, wherever it is asked for: at once, or inside a program that PyTorch writes down."""

from typing import Any

import torch

from counterpoise.losses.arguments import check_recipe
from counterpoise.losses.graph_on_torch import loss_node
from counterpoise.losses.kernel_on_torch import kernel_loss
from counterpoise.recipes import Recipe
from counterpoise.recipes.on_torch import text_of


def torch_loss(
    logits: torch.Tensor,
    target: Any,
    recipe: Recipe,
    sample_weight: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    ignore_index: Any = None,
    class_axis: int = -1,
    class_weight: torch.Tensor | None = None,
    overwrite: bool = False,
) -> torch.Tensor:
    """The loss; arguments as in `kernel_loss`."""
    check_recipe(recipe)
    options = (reduction, normalizer, ignore_index, class_axis, class_weight)
    if torch.compiler.is_compiling():
        value: torch.Tensor = loss_node(logits, target, text_of(recipe), sample_weight, *options)
        return value
    return kernel_loss(logits, target, recipe, sample_weight, *options, overwrite)
