"""The loss of PyTorch tensors in host memory, by the compiled kernels: one node of the graph, gradient included.

The gradient is computed together with the value, since that costs little more, and handed over by the first backward
pass; a second one computes it again. The definition in `losses/softmax.py` and `losses/sigmoid.py` serves where the
kernels cannot: derivatives of the gradient, `torch.func`, other devices, gradients with respect to anything but the
logits.
"""

from math import nan
from typing import Any

import numpy as np
import torch

from counterpoise.arrays.on_torch import is_traced
from counterpoise.errors import UserError
from counterpoise.losses.arguments import CLASS_WEIGHT, Call, warn_about_one_weight
from counterpoise.losses.definition import composed
from counterpoise.losses.kernel import facts_of
from counterpoise.losses.pytorch.plan import KernelCall, in_kernel_form, is_plain, is_there, plan_of
from counterpoise.losses.reduction import REDUCTIONS, check_reduction
from counterpoise.recipes import Recipe, SoftmaxRecipe

_composed = torch.compiler.disable(composed)  # type: ignore[no-untyped-call]
"""Where the compiler has given up on the caller, it would try each function below, and fail under `torch.func`."""

_MOST_WEIGHTED = 256
_weighted: dict[int, tuple[Recipe, bytes, Recipe]] = {}


def with_class_weight(recipe: Recipe, weight: torch.Tensor) -> Recipe:
    """The recipe with the class weights of a tensor in host memory, the same object while these do not change.

    Parameters
    ----------
    recipe
        The loss.
    weight
        Weights () or (C,), in place of `weight` (softmax) or `pos_weight` (sigmoid).

    Raises
    ------
    UserError
        For weights that are negative or not finite, or do not fit the recipe.
    """
    name = CLASS_WEIGHT[recipe.family]
    numbers = weight.detach().to(torch.float64).numpy()
    if np.array_equal(numbers, getattr(recipe, name)):
        return recipe
    content = numbers.tobytes()
    found = _weighted.get(id(recipe))
    if found is None or found[0] is not recipe or found[1] != content:
        if len(_weighted) >= _MOST_WEIGHTED:
            _weighted.clear()
        replaced = recipe.changed(**{name: numbers})
        found = _weighted[id(recipe)] = recipe, content, replaced
    return found[2]


def kernel_loss(call: Call, class_weight: torch.Tensor | None = None, overwrite: bool = False) -> torch.Tensor:
    """The loss by the kernel where that can compute it, else by its definition.

    Parameters
    ----------
    call
        The arguments of `counterpoise.loss`.
    class_weight
        As in `composed`.
    overwrite
        Whether the gradient may overwrite the logits.
    """
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis = call
    if normalizer is not None or reduction not in REDUCTIONS:
        check_reduction(reduction, normalizer)
    if logits.layout is not torch.strided:
        raise UserError(f"logits are of layout {logits.layout}; a loss needs every one of them: pass logits.to_dense()")
    if class_weight is not None and logits.is_cpu and is_plain(class_weight) and not is_traced():
        recipe, class_weight = with_class_weight(recipe, class_weight), None
        call = call._replace(recipe=recipe)
    planned = None
    if class_weight is None and is_there(logits, target, sample_weight):
        planned = _planned(
            logits, target, sample_weight, normalizer, (recipe, reduction, ignore_index, class_axis, overwrite)
        )
    if planned is not None:
        sloped = logits.requires_grad and torch.is_grad_enabled()
        if planned.compute(logits, sloped):
            computed: Any = _apply(logits, planned) if sloped else planned.value  # type: ignore[no-untyped-call]
            return computed  # type: ignore[no-any-return]
        if overwrite and sloped:
            raise UserError(
                "logits, target or sample_weight hold NaN or another value that has no loss, and the logits are "
                "overwritten; overwrite_logits=False shows which value it is"
            )
    value: torch.Tensor = _composed(call, class_weight)
    return value


def planned_divisor(call: Call, class_weight: torch.Tensor | None = None) -> float | None:
    """What the mean of these rows divides by, or None where the kernel does not compute them.

    Parameters
    ----------
    call, class_weight
        As in `kernel_loss`.
    """
    logits, target, recipe, sample_weight, reduction, _, ignore_index, class_axis = call
    if not isinstance(logits, torch.Tensor) or is_traced():
        return None
    if class_weight is not None and logits.is_cpu and is_plain(class_weight):
        recipe, class_weight = with_class_weight(recipe, class_weight), None
    if class_weight is not None or not is_there(logits, target, sample_weight):
        return None
    planned = _planned(logits, target, sample_weight, None, (recipe, reduction, ignore_index, class_axis, False))
    return None if planned is None else planned.divisor(logits)


def _planned(
    logits: torch.Tensor, target: Any, sample_weight: Any, normalizer: Any, options: tuple[Recipe, str, Any, Any, bool]
) -> KernelCall | None:
    """The call of the kernel, or None where the definition must serve."""
    plan = plan_of(logits, target, sample_weight, *options)
    recipe, _, ignore_index, class_axis, _ = options
    if plan is None:
        if isinstance(ignore_index, np.number):
            options = (*options[:2], ignore_index.item(), *options[3:])
        target, sample_weight = in_kernel_form(logits, target, sample_weight, recipe, class_axis)
        plan = plan_of(logits, target, sample_weight, *options)
    by = nan if normalizer is None else _number(normalizer)
    if plan is None or by is None:
        return None
    if facts_of(recipe).one_weight:
        warn_about_one_weight(recipe, logits.shape[class_axis])  # type: ignore[arg-type]
    return KernelCall(plan, target, sample_weight, by)


def _number(normalizer: Any) -> float | None:
    """The normalizer as a number, or None where it must stay a part of the graph."""
    if isinstance(normalizer, torch.Tensor) and (normalizer.requires_grad or not normalizer.is_cpu):
        return None
    return float(normalizer)


class _Kernel(torch.autograd.Function):
    """Gives the value that was computed, and in the backward pass the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, call: KernelCall) -> Any:
        ctx.save_for_backward(logits, call.target, call.sample_weight)
        ctx.call, ctx.dtype = call, logits.dtype
        value, call.value = call.value, None
        return value

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        call: KernelCall = ctx.call
        plan = call.plan
        if torch.is_grad_enabled():
            logits, call.target, call.sample_weight = ctx.saved_tensors
            return _differentiable_gradient(logits, call, upstream), None
        if plan.overwrite:
            _ = ctx.saved_tensors  # raises where the logits' memory, now the gradient's, was changed since
        gradient, call.gradient = call.gradient, None
        if gradient is None:  # an earlier backward pass has it
            if plan.overwrite:
                raise RuntimeError(
                    "the gradient took the place of the logits and was used; a second backward pass needs "
                    "overwrite_logits=False"
                )
            logits, call.target, call.sample_weight = ctx.saved_tensors
            call.compute(logits, True)
            gradient, call.gradient = call.gradient, None
            assert gradient is not None
        if plan.reduction == "none" and isinstance(plan.recipe, SoftmaxRecipe):
            upstream = upstream.unsqueeze(plan.class_axis)
        if is_batched(upstream):  # several backward passes at once
            gradient = gradient * upstream
        elif plan.reduction == "none" or upstream.item() != 1:
            gradient *= upstream
        return (gradient if gradient.dtype is ctx.dtype else gradient.to(ctx.dtype)), None


def is_batched(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for several, whose numbers cannot be looked at."""
    functorch = torch._C._functorch
    return functorch.is_functorch_wrapped_tensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


# what Function.apply does besides is for `torch.func`, which is not active here
_apply = super(torch.autograd.Function, _Kernel).apply


def _differentiable_gradient(logits: torch.Tensor, call: KernelCall, upstream: torch.Tensor) -> torch.Tensor:
    """The gradient as a part of the graph, from the definition of the loss."""
    plan = call.plan
    if plan.overwrite:
        raise RuntimeError("the logits were overwritten; create_graph=True needs overwrite_logits=False")
    normalizer = None if call.normalizer != call.normalizer else call.normalizer
    options = (plan.reduction, normalizer, plan.ignore_index, plan.class_axis)
    value = composed(Call(logits, call.target, plan.recipe, call.sample_weight, *options))
    gradient: torch.Tensor = torch.autograd.grad(value, logits, upstream, create_graph=True)[0]
    return gradient
