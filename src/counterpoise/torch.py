"""A recipe as a PyTorch module."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from counterpoise.errors import ClassWeightWarning
from counterpoise.losses import linear_loss, loss
from counterpoise.losses.arguments import check_recipe
from counterpoise.losses.loss import composed
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.recipes.named import from_json

try:
    import torch
    from torch import library
except ImportError as missing:
    raise ImportError("counterpoise.torch needs PyTorch: pip install 'counterpoise[torch]'") from missing

from counterpoise.lagrangian.on_torch import GoalLoss, KeepBest
from counterpoise.losses.on_torch import kernel_takes, torch_loss
from counterpoise.rates.on_torch import RateLoss

__all__ = ["GoalLoss", "KeepBest", "LinearLoss", "Loss", "RateLoss", "linear_loss", "loss"]


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
    overwrite_logits
        Let the gradient take the memory of the logits, which saves as much again and most of the time. The logits are
        lost with the call: for a model whose last layer's output nobody else reads. On other devices than the
        processor, and where no gradient is asked for, it changes nothing.

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
        overwrite_logits: bool = False,
    ) -> None:
        super().__init__()
        check_recipe(recipe)
        check_reduction(reduction, None)
        self.reduction, self.ignore_index, self.class_axis = reduction, ignore_index, class_axis
        self.overwrite_logits = overwrite_logits
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
        given = (sample_weight, self.reduction, normalizer, self.ignore_index, self.class_axis)
        if torch.compiler.is_compiling():
            compiled: torch.Tensor = _in_graph(logits, target, self._recipe_json, *given)
            return compiled
        if normalizer is not None:
            check_reduction(self.reduction, normalizer)
        value = torch_loss(logits, target, self._recipe, *given, self.overwrite_logits)
        return composed(logits, target, self._recipe, *given) if value is None else value

    def extra_repr(self) -> str:
        """The recipe and the reduction, for `print`."""
        return f"{self.recipe!r}, reduction={self.reduction!r}"


class LinearLoss(torch.nn.Module):
    """A last linear layer and its loss in one, for so many classes that their logits would not fit into memory.

    Parameters
    ----------
    recipe
        The loss.
    reduction, ignore_index
        As in `counterpoise.linear_loss`.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> criterion = LinearLoss(softmax.focal())
    >>> layer = torch.nn.Linear(8, 1000)
    >>> value = criterion(torch.randn(4, 8), layer.weight, layer.bias, torch.tensor([0, 1, 2, 3]))
    >>> value.backward()
    >>> layer.weight.grad.shape
    torch.Size([1000, 8])
    """

    def __init__(self, recipe: Recipe, reduction: str = "mean", ignore_index: float | None = None) -> None:
        super().__init__()
        check_recipe(recipe)
        check_reduction(reduction, None)
        self.recipe, self.reduction, self.ignore_index = recipe, reduction, ignore_index

    def forward(
        self,
        features: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
        normalizer: float | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.linear_loss`."""
        value: torch.Tensor = linear_loss(
            features, weight, bias, target, self.recipe, sample_weight, self.reduction, normalizer, self.ignore_index
        )
        return value

    def extra_repr(self) -> str:
        """The recipe and the reduction, for `print`."""
        return f"{self.recipe!r}, reduction={self.reduction!r}"


_recipe_of = lru_cache(maxsize=64)(from_json)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _in_graph(
    logits: torch.Tensor,
    target: torch.Tensor,
    recipe_json: str,
    sample_weight: torch.Tensor | None,
    reduction: str,
    normalizer: Any,
    ignore_index: Any,
    class_axis: int,
) -> torch.Tensor:
    """The loss as one node of a compiled graph: where there is one the kernel, else operations for it to fuse."""
    recipe = _recipe_of(recipe_json)
    check_reduction(reduction, normalizer)
    options = (sample_weight, reduction, normalizer, ignore_index, class_axis)
    value: torch.Tensor
    if not isinstance(normalizer, torch.Tensor) and kernel_takes(logits, target, sample_weight, recipe, class_axis):
        ignored = "" if ignore_index is None else str(ignore_index)
        value = kernel_node(logits, target, sample_weight, recipe_json, reduction, normalizer, ignored, class_axis)
        return value
    with warnings.catch_warnings():  # said already when the module ran, or was made; a trace would repeat it
        warnings.simplefilter("ignore", ClassWeightWarning)
        value = composed(logits, target, recipe, *options)
    return value


@library.custom_op("counterpoise::loss", mutates_args=())
def kernel_node(
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    recipe: str,
    reduction: str,
    normalizer: float | None,
    ignore_index: str,
    class_axis: int,
) -> torch.Tensor:
    """The value, as an operation of PyTorch's own."""
    options = (sample_weight, reduction, normalizer, _ignored(ignore_index), class_axis)
    value = torch_loss(logits, target, _recipe_of(recipe), *options)
    return composed(logits, target, _recipe_of(recipe), *options) if value is None else value


def _ignored(text: str) -> float | None:
    """The ignored target; a graph has no type for whole numbers or fractions, but one for text."""
    if not text:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


@kernel_node.register_fake
def _(logits: torch.Tensor, *others: Any) -> torch.Tensor:
    recipe, reduction, class_axis = _recipe_of(others[2]), others[3], others[6]
    dtype = torch.float64 if logits.dtype is torch.float64 else torch.float32
    if reduction != "none":
        return logits.new_empty((), dtype=dtype)
    rows = logits.select(class_axis, 0) if isinstance(recipe, SoftmaxRecipe) else logits
    return rows.new_empty(rows.shape, dtype=dtype)


@library.custom_op("counterpoise::loss_gradient", mutates_args=())
def gradient_node(
    upstream: torch.Tensor,
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    recipe: str,
    reduction: str,
    normalizer: float | None,
    ignore_index: str,
    class_axis: int,
) -> torch.Tensor:
    """The gradient by the logits, computed in the backward pass, so that nothing is kept for it."""
    options = (sample_weight, reduction, normalizer, _ignored(ignore_index), class_axis)
    place = torch.empty_like(logits)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        value = torch_loss(leaf, target, _recipe_of(recipe), *options)
        if value is not None:
            gradient = torch.autograd.grad(value, leaf, upstream.to(value.dtype))[0]
            # the graph was promised these strides
            return gradient if gradient.stride() == place.stride() else place.copy_(gradient)
    # inside an operation autograd records nothing, but this does
    value, pull, *_ = torch.func.vjp(lambda z: composed(z, target, _recipe_of(recipe), *options), logits.detach())
    return place.copy_(pull(upstream.to(value.dtype))[0])


@gradient_node.register_fake
def _(upstream: torch.Tensor, logits: torch.Tensor, *options: Any) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # noqa: ARG001
    logits, target, sample_weight, *ctx.options = inputs
    ctx.save_for_backward(logits, target, sample_weight)


def _backward(ctx: Any, upstream: torch.Tensor) -> Any:
    return gradient_node(upstream, *ctx.saved_tensors, *ctx.options), *[None] * 7


kernel_node.register_autograd(_backward, setup_context=_keep)
