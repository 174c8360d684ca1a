"""Recipes inside programs that PyTorch writes down, where they travel as text."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from counterpoise.arrays.on_torch import fixed
from counterpoise.recipes.parameters import Parameters
from counterpoise.recipes.stored import rebuilt_from_text


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def text_of(recipe: Parameters) -> str:
    """The recipe as JSON; the compiler takes it as a constant for as long as this recipe is the one that is used."""
    return recipe.to_json()


recipe_of = lru_cache(maxsize=64)(rebuilt_from_text)
"""The recipe that a text stands for, the same object in every call."""


def is_array(numbers: Any) -> bool:
    """Whether numbers could change without the compiler's notice."""
    return isinstance(numbers, np.ndarray | torch.Tensor)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def outside_graph(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """`function` as it is, between two graphs: its arguments cannot be constants, or the compiler gave up on it."""
    return function(*arguments, **options)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _posterior_node(logits: torch.Tensor, recipe: str, prior: Any, class_axis: int) -> Any:
    """The posterior as one node of a graph."""
    return recipe_of(recipe)._posterior(logits, fixed(prior), fixed(class_axis))


def posterior_on_torch(recipe: Parameters, logits: torch.Tensor, prior: Any, class_axis: int) -> Any:
    """The posterior of a recipe; arguments as in its method."""
    if torch.compiler.is_compiling() and not is_array(prior):
        return _posterior_node(logits, text_of(recipe), prior, class_axis)
    return outside_graph(recipe._posterior, logits, prior, class_axis)
