"""The loss inside programs that PyTorch writes down: graphs of torch.compile, exported and traced programs.

In a compiled graph on the processor the kernel is one operation, `counterpoise::loss`, and its gradient another. They
are right wherever a program that holds them is run: under forward mode, under `torch.func` and for derivatives of the
gradient the definition takes their place. Exported programs hold the definition alone, in PyTorch's own operations, so
that they run where Counterpoise is not installed.
"""

import warnings
from typing import Any, NamedTuple

import torch

from counterpoise.arrays.on_torch import fixed
from counterpoise.errors import ClassWeightWarning
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.losses.pytorch.kernel import is_batched, kernel_loss, with_class_weight
from counterpoise.losses.pytorch.plan import kernel_takes
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.recipes.on_torch import recipe_of

_OPTIONS = (
    "Tensor logits, Tensor target, Tensor? sample_weight, Tensor? normalizer, Tensor? class_weight, "
    "str recipe, str reduction, str ignore_index, int class_axis"
)
_TENSORS = 5
"""How many of these are tensors."""

_LIBRARY: Any = torch.library.Library("counterpoise", "FRAGMENT")  # type: ignore[no-untyped-call]
for _schema in (f"loss({_OPTIONS}) -> Tensor", f"loss_gradient(Tensor upstream, {_OPTIONS}) -> Tensor"):
    _LIBRARY.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def loss_node(
    logits: torch.Tensor,
    target: torch.Tensor,
    recipe: str,
    sample_weight: torch.Tensor | None,
    reduction: str,
    normalizer: Any,
    ignore_index: Any,
    class_axis: Any,
    class_weight: torch.Tensor | None,
) -> torch.Tensor:
    """The loss as one node of a graph: where there is one the kernel, else operations for the compiler to fuse.

    Parameters
    ----------
    recipe
        The loss as JSON.
    logits, target, sample_weight, reduction, normalizer, ignore_index, class_axis, class_weight
        As in `kernel_loss`.
    """
    known = recipe_of(recipe)
    class_axis, ignore_index = fixed(class_axis), fixed(ignore_index)
    if isinstance(normalizer, torch.SymInt | torch.SymFloat):  # a number that may change from call to call
        varying: Any = normalizer
        normalizer = torch.ones((), dtype=torch.float64, device=logits.device) * varying
    check_reduction(reduction, normalizer)
    call = Call(logits, target, known, sample_weight, reduction, normalizer, ignore_index, class_axis)
    if _is_watched() or not torch._C._len_torch_dispatch_stack():
        return kernel_loss(call, class_weight)
    if (
        not torch.compiler.is_exporting()
        and all(one is None or one.is_cpu for one in (normalizer, class_weight) if isinstance(one, torch.Tensor))
        and kernel_takes(logits, target, sample_weight, known, class_axis)
    ):
        if normalizer is not None and not isinstance(normalizer, torch.Tensor):
            normalizer = torch.full((), normalizer, dtype=torch.float64)
        ignored = "" if ignore_index is None else str(ignore_index)
        tensors = (logits, target, sample_weight, normalizer, class_weight)
        value: torch.Tensor = torch.ops.counterpoise.loss(*tensors, recipe, reduction, ignored, class_axis)
        return value
    with warnings.catch_warnings():  # said already when the module ran, or was made; a trace would repeat it
        warnings.simplefilter("ignore", ClassWeightWarning)
        return composed(call, class_weight)  # type: ignore[no-any-return]


def _is_watched() -> bool:
    """Whether a transformation of `torch.func` or forward mode is at work, for which the operations have no rule."""
    return bool(torch._C._are_functorch_transforms_active()) or torch.autograd.forward_ad._current_level >= 0


def _ignored(text: str) -> float | None:
    """The ignored target; a graph has no type for whole numbers or fractions, but one for text."""
    if not text:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


class _Given(NamedTuple):
    """The arguments of the operation, in the order of its schema."""

    logits: torch.Tensor
    target: torch.Tensor
    sample_weight: torch.Tensor | None
    normalizer: torch.Tensor | None
    class_weight: torch.Tensor | None
    recipe: str
    reduction: str
    ignore_index: str
    class_axis: int

    def call(self, recipe: Recipe) -> Call:
        """The same with the recipe, and with the ignored target as a number."""
        options = (self.reduction, self.normalizer, _ignored(self.ignore_index), self.class_axis)
        return Call(self.logits, self.target, recipe, self.sample_weight, *options)

    def weighted(self) -> Recipe:
        """The recipe, with the class weights if there are any, whose numbers lie in host memory."""
        known: Recipe = recipe_of(self.recipe)
        return known if self.class_weight is None else with_class_weight(known, self.class_weight)


def _definition(*arguments: Any) -> torch.Tensor:
    """The definition that the operation replaces."""
    given = _Given(*arguments)
    value: torch.Tensor = composed(given.call(recipe_of(given.recipe)), given.class_weight)
    return value


@torch.no_grad()
def _on_cpu(*arguments: Any) -> torch.Tensor:
    given = _Given(*arguments)
    return kernel_loss(given.call(given.weighted()))


def _gradient_on_cpu(upstream: torch.Tensor, *arguments: Any) -> torch.Tensor:
    """The gradient with respect to the logits, computed in the backward pass, so that nothing is kept for it."""
    given = _Given(*arguments)
    logits, call = given.logits, given.call(given.weighted())
    place = torch.empty_like(logits)  # the graph was promised these strides
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        value = kernel_loss(call._replace(logits=leaf))
    if value.grad_fn is None:  # the definition: inside an operation autograd records nothing, but this does
        value, pull, *_ = torch.func.vjp(lambda z: composed(call._replace(logits=z)), logits.detach())
        return place.copy_(pull(upstream.to(value.dtype))[0])
    gradient = torch.autograd.grad(value, leaf, upstream.to(value.dtype))[0]
    return gradient if gradient.stride() == place.stride() else place.copy_(gradient)


def _like_loss(logits: torch.Tensor, *others: Any) -> torch.Tensor:
    """A loss without numbers."""
    recipe, reduction, class_axis = recipe_of(others[4]), others[5], others[7]
    dtype = torch.float64 if logits.dtype is torch.float64 else torch.float32
    if reduction != "none":
        return logits.new_empty((), dtype=dtype)
    rows = logits.select(class_axis, 0) if isinstance(recipe, SoftmaxRecipe) else logits
    return rows.new_empty(rows.shape, dtype=dtype)


def _like_gradient(upstream: torch.Tensor, logits: torch.Tensor, *options: Any) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(logits)


class _Loss(torch.autograd.Function):
    """The operation, which keeps only its arguments for its backward pass."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        ctx.save_for_backward(*given[:_TENSORS])
        ctx.options = given[_TENSORS:]
        with torch._C._AutoDispatchBelowAutograd():
            value: torch.Tensor = torch.ops.counterpoise.loss(*given)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        gradient = torch.ops.counterpoise.loss_gradient(upstream, *ctx.saved_tensors, *ctx.options)
        return gradient, *[None] * (_TENSORS - 1 + len(ctx.options))


def _loss_with_derivatives(*given: Any) -> torch.Tensor:
    """The operation with derivatives: its own for the logits, those of the definition for the rest."""
    others = given[1:_TENSORS]
    if _is_watched() or any(one is not None and one.requires_grad for one in others):
        return _definition(*given)
    value: torch.Tensor = _Loss.apply(*given)  # type: ignore[no-untyped-call]
    return value


def _gradient_with_derivatives(upstream: torch.Tensor, *given: Any) -> torch.Tensor:
    tensors = [one for one in (upstream, *given[:_TENSORS]) if one is not None]
    if not torch.is_grad_enabled() or not any(one.requires_grad for one in tensors):
        with torch._C._AutoDispatchBelowAutograd():
            plain: torch.Tensor = torch.ops.counterpoise.loss_gradient(upstream, *given)
        return plain
    logits = given[0] if given[0].requires_grad else given[0].detach().requires_grad_()
    gradient: torch.Tensor = torch.autograd.grad(_definition(logits, *given[1:]), logits, upstream, create_graph=True)[
        0
    ]
    return gradient


def _gradient_of_several(upstream: torch.Tensor, *given: Any) -> torch.Tensor:
    """The gradient where several backward passes are made at once: it is proportional to the factor from above."""
    logits, recipe, reduction, class_axis = given[0], given[5], given[6], given[8]
    if any(one is not None and is_batched(one) for one in given[:_TENSORS]):
        _, pull, *_ = torch.func.vjp(lambda z: _definition(z, *given[1:]), logits)
        pulled: torch.Tensor = pull(upstream)[0]
        return pulled
    each: torch.Tensor = torch.ops.counterpoise.loss_gradient(torch.ones_like(_like_loss(*given)), *given)
    by_row = reduction == "none" and isinstance(recipe_of(recipe), SoftmaxRecipe)
    return each * (upstream.unsqueeze(class_axis) if by_row else upstream).to(logits.dtype)


_LIBRARY.impl("loss", _on_cpu, "CPU")
_LIBRARY.impl("loss", _loss_with_derivatives, "Autograd")
_LIBRARY.impl("loss", _definition, "FuncTorchBatched")
_LIBRARY.impl("loss_gradient", _gradient_on_cpu, "CPU")
_LIBRARY.impl("loss_gradient", _gradient_with_derivatives, "Autograd")
_LIBRARY.impl("loss_gradient", _gradient_of_several, "FuncTorchBatched")
torch.library.register_fake("counterpoise::loss", _like_loss, lib=_LIBRARY)
torch.library.register_fake("counterpoise::loss_gradient", _like_gradient, lib=_LIBRARY)
