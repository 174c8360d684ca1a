"""A recipe as a PyTorch module."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from counterpoise.errors import ClassWeightWarning
from counterpoise.losses import loss
from counterpoise.losses.arguments import check_recipe
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe
from counterpoise.recipes.named import from_json

try:
    import torch
except ImportError as missing:
    raise ImportError("counterpoise.torch needs PyTorch: pip install 'counterpoise[torch]'") from missing

__all__ = ["Loss", "loss"]


class Loss(torch.nn.Module):
    """A recipe in place of `torch.nn.CrossEntropyLoss` or `torch.nn.BCEWithLogitsLoss`.

    Works under autocast, `torch.compile` (one graph), `torch.func`, and with double backward. Per-class parameters are
    buffers, for the state dict and to look at: they move with `.to()` but keep double precision. What is computed is
    `recipe`, which the state dict holds too: assign or load another one to change the loss.

    Parameters
    ----------
    recipe
        The loss.
    reduction, ignore_index, class_axis
        As in `counterpoise.loss`. Where `torch.nn.CrossEntropyLoss` has its classes on axis 1, as in (N, C, H, W), pass
        `class_axis=1`.

    Raises
    ------
    UserError
        For an unknown reduction; when called, as `counterpoise.loss`.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> criterion = Loss(softmax.logit_adjusted([90, 10]))
    >>> criterion(torch.zeros(2, 2), torch.tensor([0, 1])).item()  # doctest: +ELLIPSIS
    1.2039...
    """

    def __init__(
        self,
        recipe: Recipe,
        reduction: str = "mean",
        ignore_index: float | None = None,
        class_axis: int = -1,
    ) -> None:
        super().__init__()
        check_recipe(recipe)
        check_reduction(reduction, None)
        self.reduction, self.ignore_index, self.class_axis = reduction, ignore_index, class_axis
        self._recipe = recipe
        self._hold_parameters(torch.device("cpu"))

    @property
    def recipe(self) -> Recipe:
        """The loss; another one can be assigned, for instance in a later epoch."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        check_recipe(recipe)
        device = next((buffer.device for buffer in self.buffers()), torch.device("cpu"))
        self._recipe = recipe
        self._hold_parameters(device)

    def _hold_parameters(self, device: torch.device) -> None:
        self._recipe_json = self.recipe.to_json()
        self._buffers.clear()
        # some accelerators have no double precision
        dtype = torch.float32 if device.type == "mps" else torch.float64
        for name in self.recipe.per_class_names:
            value = getattr(self.recipe, name)
            if name != "prior" and value is not None and np.ndim(value) > 0:
                self.register_buffer(name, torch.tensor(value.tolist(), dtype=dtype, device=device))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "Loss":  # noqa: ARG002
        # .half() and the like would round the weights; only the device is taken over
        self._hold_parameters(fn(torch.zeros(())).device)
        return self

    def get_extra_state(self) -> torch.Tensor:
        """The whole recipe for the state dict, as the bytes of its JSON: whoever walks a state dict expects tensors."""
        return torch.tensor(list(self._recipe_json.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Take over the recipe of a state dict."""
        self.recipe = from_json(bytes(state.tolist()).decode())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # the recipe first: it says which buffers there are, and of which shape
        state = state_dict.get(f"{prefix}_extra_state")
        if state is not None:
            self.set_extra_state(state)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self,
        logits: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
        normalizer: float | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.loss`."""
        options = (sample_weight, normalizer, self.reduction, self.ignore_index, self.class_axis)
        if torch.compiler.is_compiling():
            compiled: torch.Tensor = _in_graph(logits, target, self._recipe_json, *options)
            return compiled
        return _loss(self.recipe, logits, target, *options)

    def extra_repr(self) -> str:
        """The recipe and the reduction, for `print`."""
        return f"{self.recipe!r}, reduction={self.reduction!r}"


def _loss(
    recipe: Recipe,
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    normalizer: float | torch.Tensor | None,
    reduction: str,
    ignore_index: float | None,
    class_axis: int,
) -> torch.Tensor:
    value: torch.Tensor = loss(logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis)
    return value


_recipe_of = lru_cache(maxsize=64)(from_json)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _in_graph(logits: torch.Tensor, target: torch.Tensor, recipe_json: str, *options: Any) -> torch.Tensor:
    """The loss as one node of a compiled graph: the compiler sees its operations, not the Python that chose them."""
    with warnings.catch_warnings():  # said already when the module ran, or was made; a trace would repeat it
        warnings.simplefilter("ignore", ClassWeightWarning)
        return _loss(_recipe_of(recipe_json), logits, target, *options)
