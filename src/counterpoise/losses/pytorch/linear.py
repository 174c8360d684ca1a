"""A linear layer and its loss on PyTorch tensors, chunk by chunk.

On the processor value and gradients are computed together: the kernel writes the gradient of a chunk over its logits,
which are then multiplied back. Elsewhere each chunk is a checkpoint, computed again in the backward pass.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from counterpoise.arrays import namespace
from counterpoise.arrays.on_torch import is_traced
from counterpoise.losses.arguments import arguments_of, check_recipe, is_kept, to_framework
from counterpoise.losses.definition import sum_and_denominator
from counterpoise.losses.layer import checked_layer
from counterpoise.losses.pytorch.kernel import is_batched, with_class_weight
from counterpoise.losses.pytorch.plan import KernelCall, is_plain, is_there, plan_of
from counterpoise.losses.reduction import check_reduction, divided
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.recipes.on_torch import outside_graph, recipe_of, text_of

_MOST_ROWS = 256
_MOST_LOGITS = 1 << 26


@dataclass(slots=True, eq=False)
class _Step:
    """One call: its arguments, and the gradients that the first backward pass takes."""

    recipe: Recipe
    target: torch.Tensor
    sample_weight: torch.Tensor | None
    reduction: str
    normalizer: Any
    ignore_index: Any
    class_weight: torch.Tensor | None = None
    gradients: list[torch.Tensor | None] | None = None

    def part(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Target and weight of some rows."""
        return self.target[rows], None if self.sample_weight is None else self.sample_weight[rows]


def linear_torch_loss(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: Any,
    ignore_index: Any,
    class_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """The reduced loss; arguments as in `counterpoise.linear_loss` and, class weights, in `composed`."""
    check_recipe(recipe)
    options = (sample_weight, reduction, normalizer, ignore_index, class_weight)
    if torch.compiler.is_compiling():
        value: torch.Tensor = _linear_node(features, weight, bias, target, text_of(recipe), *options)
        return value
    return outside_graph(_at_once, features, weight, bias, target, recipe, *options)  # type: ignore[no-any-return]


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _linear_node(
    features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, target: Any, recipe: str, *options: Any
) -> torch.Tensor:
    """The loss as one node of a graph."""
    return _at_once(features, weight, bias, target, recipe_of(recipe), *options)


def _at_once(
    features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, target: Any, recipe: Recipe, *options: Any
) -> torch.Tensor:
    sample_weight, reduction, normalizer, ignore_index, class_weight = options
    checked_layer(features, weight, bias, recipe, reduction)
    check_reduction(reduction, normalizer)
    device = features.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if class_weight is not None and features.is_cpu and is_plain(class_weight):
        recipe, class_weight = with_class_weight(recipe, class_weight), None
    target, sample_weight = _per_row(features, target, sample_weight)
    step = _Step(recipe, target, sample_weight, reduction, normalizer, ignore_index, class_weight)
    if not _has_kernel(features, weight, bias, step):
        return _checkpointed(features, weight, bias, step)
    wanted = [t is not None and t.requires_grad and torch.is_grad_enabled() for t in (features, weight, bias)]
    value = _computed(features, weight, bias, step, wanted)
    if value is None:
        return _checkpointed(features, weight, bias, step)
    if not any(wanted):
        return value
    result: torch.Tensor = _Linear.apply(features, weight, bias, step, value)  # type: ignore[no-untyped-call]
    return result


def _per_row(features: torch.Tensor, target: Any, sample_weight: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Target and weight as tensors whose first axis is that of the rows."""
    xp, rows = namespace(features), features.shape[0]  # len() would become a constant of a program
    target = to_framework(xp, "target", target, features)
    if target.ndim == 2 and xp.length(target, 1) == 1 and not target.is_floating_point():
        target = target.reshape(-1)
    if sample_weight is not None:
        sample_weight = to_framework(xp, "sample_weight", sample_weight, features)
        if sample_weight.ndim == 0:
            sample_weight = sample_weight.expand(rows)
        elif sample_weight.ndim == 2 and xp.length(sample_weight, 1) == 1:
            sample_weight = sample_weight.reshape(-1)
    return target, sample_weight


def _has_kernel(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, step: _Step) -> bool:
    if is_traced() or step.class_weight is not None:
        return False
    classes = len(weight)
    if features.dtype is torch.float16:  # its gradients need the room that loss scaling makes, before they are summed
        return False
    like = features[:1].detach().new_zeros((1, classes)) if len(features) else None
    if like is None or not isinstance(step.target, torch.Tensor) or len(step.target) != len(features):
        return False
    tensors = (features, weight, *(() if bias is None else (bias,)))
    if len({tensor.dtype for tensor in tensors}) > 1 or isinstance(step.normalizer, torch.Tensor):
        return False
    if step.target.requires_grad or (step.sample_weight is not None and len(step.sample_weight) != len(features)):
        return False
    part = step.part(slice(0, 1))
    return is_there(like, *part) and plan_of(like, *part, step.recipe, "sum", step.ignore_index, -1, True) is not None


def _chunks(rows: int, classes: int) -> list[slice]:
    size = max(1, min(_MOST_ROWS, _MOST_LOGITS // max(classes, 1)))
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def _logits(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor) -> torch.Tensor:
    if bias is None:
        return torch.mm(features, weight.T, out=out)
    return torch.addmm(bias, features, weight.T, out=out)


@torch.no_grad()
def _computed(
    features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, step: _Step, wanted: list[bool]
) -> torch.Tensor | None:
    """The value, with the gradients left in `step`; None where the kernel does not answer for these values."""
    chunks = _chunks(len(features), len(weight))
    buffer = features.new_empty((chunks[0].stop, len(weight)))
    divisor = _divisor(features, weight, bias, step, chunks, buffer)
    # half precision would lose what later chunks add
    single = torch.float32 if features.dtype is torch.bfloat16 else features.dtype
    by_features = torch.empty_like(features) if wanted[0] else None
    by_weight = torch.zeros_like(weight, dtype=single) if wanted[1] else None
    by_bias = torch.zeros_like(bias, dtype=single) if bias is not None and wanted[2] else None
    values = []
    for rows in chunks:
        x = features[rows]
        z = _logits(x, weight, bias, buffer[: len(x)])
        reduction, by = ("sum", float("nan")) if divisor is None else ("mean", divisor or 1.0)
        part = step.part(rows)
        plan = plan_of(z, *part, step.recipe, reduction, step.ignore_index, -1, overwrite=True)
        assert plan is not None
        call = KernelCall(plan, *part, by)
        if not call.compute(z, any(wanted)):
            return None
        assert call.value is not None
        values.append(call.value.double() if divisor != 0 else torch.zeros((), dtype=torch.float64, device=z.device))
        if divisor == 0:
            z.zero_()
        if by_features is not None:
            torch.mm(z, weight, out=by_features[rows])
        if by_weight is not None:
            if single is z.dtype:
                by_weight.addmm_(z.T, x)
            else:
                by_weight += torch.mm(z.T, x)
        if by_bias is not None:
            by_bias += z.sum(0, dtype=single)
    step.gradients = [
        by_features,
        None if by_weight is None else by_weight.to(weight.dtype),
        None if by_bias is None or bias is None else by_bias.to(bias.dtype),
    ]
    return torch.stack(values).sum().to(torch.float64 if features.dtype is torch.float64 else torch.float32)


def _divisor(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    step: _Step,
    chunks: list[slice],
    buffer: torch.Tensor,
) -> float | None:
    """The divisor of the sum over all rows; None for "sum"."""
    if step.reduction == "sum":
        return None
    if step.normalizer is not None:
        return float(step.normalizer)
    target, recipe = step.target, step.recipe
    softmax = isinstance(recipe, SoftmaxRecipe)
    if step.reduction == "mean" and isinstance(target, torch.Tensor) and (not softmax or target.ndim == 1):
        return float(target.numel() if step.ignore_index is None else is_kept(target, step.ignore_index).sum())
    if step.reduction == "mean":
        return float(len(features))
    if isinstance(recipe, SoftmaxRecipe) and recipe.weight_by == "true" and target.ndim == 1:
        return _sum_of_true_weights(recipe, step, len(weight))  # needs no logits
    total = 0.0
    for rows in chunks:
        part, sample_weight = step.part(rows)
        z = _logits(features[rows], weight, bias, buffer[: len(part)])
        arguments = arguments_of(z, part, recipe, sample_weight, step.ignore_index, -1)
        by: Any = sum_and_denominator(arguments, recipe, step.reduction, None)[1]
        total += float(by)
    return total


def _sum_of_true_weights(recipe: SoftmaxRecipe, step: _Step, classes: int) -> float:
    target = step.target.long()
    by_class = torch.tensor(recipe.weight.tolist(), dtype=torch.float64, device=target.device).expand(classes)
    if recipe.adds_expected_cost and not recipe.weight.any():
        by_class = by_class + 1.0
    weights = by_class[target.clamp(0, classes - 1)]  # a class out of range is found with its loss
    if step.sample_weight is not None:
        weights = weights * step.sample_weight
    if step.ignore_index is not None:
        weights = weights * (target != step.ignore_index)
    return float(weights.sum() if step.reduction == "weighted_mean" else (weights != 0).sum())


def _checkpointed(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, step: _Step) -> torch.Tensor:
    """The value on any device, with any derivative, from chunks that are computed again when they are needed."""

    def of_chunk(rows: slice) -> tuple[torch.Tensor, ...]:
        target, sample_weight = step.part(rows)
        logits = torch.nn.functional.linear(features[rows], weight, bias)
        arguments = arguments_of(logits, target, step.recipe, sample_weight, step.ignore_index, -1, step.class_weight)
        total, by = sum_and_denominator(arguments, step.recipe, step.reduction, step.normalizer)
        return (total,) if by is None else (total, by)

    # neither `torch.func` nor a traced program knows checkpoints
    watched = torch._C._are_functorch_transforms_active() or torch._C._get_tracing_state() is not None
    if torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None:
        chunks = [slice(None)]  # the number of rows is not that of the program
    else:
        chunks = _chunks(len(features), len(weight)) or [slice(None)]
    parts = [
        of_chunk(rows) if watched else checkpoint(of_chunk, rows, use_reentrant=False, preserve_rng_state=False)
        for rows in chunks
    ]
    total, *by = (torch.stack(each).sum(0) for each in zip(*parts, strict=True))
    if step.normalizer is not None:
        by = [parts[0][1]]
    found: torch.Tensor = divided(namespace(features), total, by[0] if by else None)
    return found


class _Linear(torch.autograd.Function):
    """Gives the value that was computed, and in the backward pass the gradients."""

    @staticmethod
    def forward(ctx: Any, features: Any, weight: Any, bias: Any, step: _Step, value: torch.Tensor) -> Any:
        ctx.save_for_backward(features, weight, bias, step.target, step.sample_weight)
        ctx.step = step
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        step: _Step = ctx.step
        features, weight, bias, step.target, step.sample_weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            # by aliases, since features may depend on the weight: that path is the engine's
            own = (features.view_as(features), weight.view_as(weight), None if bias is None else bias.view_as(bias))
            value = _checkpointed(*own, step)
            inputs = [t for t, needed in zip(own, wanted, strict=True) if needed and t is not None]
            found = iter(torch.autograd.grad(value, inputs, upstream, create_graph=True))
            return *(next(found) if needed else None for needed in wanted), None, None
        gradients, step.gradients = step.gradients, None
        if gradients is None:  # an earlier backward pass has them
            _computed(features, weight, bias, step, list(wanted))
            gradients, step.gradients = step.gradients, None
            assert gradients is not None
        if is_batched(upstream):
            gradients = [None if gradient is None else gradient * upstream for gradient in gradients]
        elif upstream.item() != 1:
            for gradient in gradients:
                if gradient is not None:
                    gradient *= upstream
        return *gradients, None, None
