"""The loss of PyTorch tensors, wherever it is asked for: at once, or inside a program that PyTorch writes down."""

import torch

from counterpoise.losses.arguments import Call, check_recipe
from counterpoise.losses.pytorch.graph import loss_node
from counterpoise.losses.pytorch.kernel import kernel_loss
from counterpoise.recipes.on_torch import text_of


def torch_loss(call: Call, class_weight: torch.Tensor | None = None, overwrite: bool = False) -> torch.Tensor:
    """The loss; arguments as in `kernel_loss`."""
    check_recipe(call.recipe)
    if torch.compiler.is_compiling():
        value: torch.Tensor = loss_node(*call._replace(recipe=text_of(call.recipe)), class_weight)
        return value
    return kernel_loss(call, class_weight, overwrite)
