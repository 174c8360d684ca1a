"""The posterior of a recipe, wherever it is asked for: at once, or inside a program that PyTorch writes down."""

from typing import Any


def posterior_of(recipe: Any, logits: Any, prior: Any, class_axis: int) -> Any:
    """The posterior of a recipe; in a program that PyTorch compiles one node."""
    if type(logits).__module__.startswith("torch"):
        from counterpoise.recipes.on_torch import posterior_on_torch

        return posterior_on_torch(recipe, logits, prior, class_axis)
    return recipe._posterior(logits, prior, class_axis)
