"""Plans of kernel calls for PyTorch tensors of given types, shapes and strides.

A plan is made once for all calls with such tensors, since a small batch takes less time than a plan.
"""

from dataclasses import dataclass
from math import nan, prod
from typing import Any

import torch

from counterpoise.errors import UserError
from counterpoise.losses.kernel import (
    TYPES,
    Given,
    Layout,
    can_ignore,
    compiled,
    facts_of,
    layout,
    options,
    region_of,
    takes,
)
from counterpoise.recipes import Recipe

_NAMES = {getattr(torch, name): name for name in TYPES}
_WHOLE = (torch.int64, torch.int32)
_FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SMALL = (torch.uint8, torch.int8, torch.int16)
_TENSORS = (torch.Tensor, torch.nn.Parameter)

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Logits, target and sample weight."""
Asked = tuple[Recipe, str, Any, int, bool]
"""Recipe, reduction, ignored target, class axis, and whether the gradient takes the place of the logits."""

REGION = region_of(torch._C.__file__)
"""PyTorch's own OpenMP threads."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is the same in every call with tensors of the same types, shapes and strides.

    Parameters
    ----------
    recipe, reduction, ignore_index, class_axis
        As in `counterpoise.loss`.
    overwrite
        Whether the gradient overwrites the logits.
    run
        The kernel, which only needs addresses.
    copied
        Whether logits, target and sample weight must be made contiguous.
    like
        A template of the value, if it is one number.
    rows, dtype
        Shape and dtype of values that are not one number.
    gradient_dtype
        Dtype of the gradient, if it differs from that of the logits.
    """

    recipe: Recipe
    reduction: str
    ignore_index: Any
    class_axis: int
    overwrite: bool
    run: Any
    copied: tuple[bool, bool, bool] | None
    like: torch.Tensor | None
    rows: Any
    dtype: torch.dtype
    gradient_dtype: torch.dtype | None


@dataclass(slots=True, eq=False)
class KernelCall:
    """One loss: its arguments, and the kernel's results."""

    plan: Plan
    target: torch.Tensor
    sample_weight: torch.Tensor | None
    normalizer: Any
    value: torch.Tensor | None = None
    gradient: torch.Tensor | None = None

    def compute(self, logits: torch.Tensor, sloped: bool) -> bool:
        """Value and gradient; False where the kernel does not answer for these values."""
        plan = self.plan
        if plan.overwrite and sloped and plan.copied is not None and plan.copied[0]:
            raise UserError("logits with such strides cannot be overwritten; pass overwrite_logits=False")
        logits, target, weight = self._as_planned(logits)
        if plan.like is None:
            value = torch.empty(plan.rows, dtype=plan.dtype, device=logits.device)
        else:
            value = torch.empty_like(plan.like)
        gradient = None
        if sloped:
            gradient = _overwritten(logits) if plan.overwrite else torch.empty_like(logits, dtype=plan.gradient_dtype)
        odd = plan.run(
            logits.data_ptr(),
            target.data_ptr(),
            0 if weight is None else weight.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
            0,
            value.data_ptr(),
            self.normalizer,
            torch.get_num_threads(),
            REGION,
        )[2]
        self.value, self.gradient = value, gradient
        return not odd

    def divisor(self, logits: torch.Tensor) -> float:
        """What the mean of these rows divides by."""
        logits, target, weight = self._as_planned(logits)
        weighed = 0 if weight is None else weight.data_ptr()
        return self.plan.run.divisor(  # type: ignore[no-any-return]
            logits.data_ptr(), target.data_ptr(), weighed, torch.get_num_threads(), REGION
        )

    def _as_planned(self, logits: torch.Tensor) -> Tensors:
        """The tensors, contiguous where the plan wants them so."""
        target, weight, copied = self.target, self.sample_weight, self.plan.copied
        if copied is None:
            return logits, target, weight
        return (
            logits.contiguous() if copied[0] else logits,
            target.contiguous() if copied[1] else target,
            weight.contiguous() if copied[2] and weight is not None else weight,
        )


_MOST_PLANS = 256
_plans: dict[Any, Plan] = {}


def plan_of(
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    recipe: Recipe,
    reduction: str,
    ignore_index: Any,
    class_axis: Any,
    overwrite: bool = False,
) -> Plan | None:
    """The plan for such tensors, or None if the kernel cannot compute them; made once and kept."""
    if type(class_axis) is not int or (ignore_index is not None and type(ignore_index) not in (int, float)):
        return None
    if ignore_index != ignore_index:
        ignore_index = nan  # the same object, for the key
    key = (
        id(recipe),
        logits.shape,
        logits.stride(),
        logits.dtype,
        target.shape,
        target.stride(),
        target.dtype,
        None if sample_weight is None else (sample_weight.shape, sample_weight.stride(), sample_weight.dtype),
        reduction,
        ignore_index,
        type(ignore_index),
        class_axis,
        overwrite,
    )
    plan = _plans.get(key)
    if plan is not None:
        return plan
    if not kernel_takes(logits, target, sample_weight, recipe, class_axis):
        return None
    if not can_ignore(recipe, _NAMES.get(target.dtype), ignore_index):
        return None
    make = _softmax_plan if facts_of(recipe).softmax else _sigmoid_plan
    plan = make((logits, target, sample_weight), (recipe, reduction, ignore_index, class_axis, overwrite))
    if len(_plans) >= _MOST_PLANS:
        _plans.clear()
    _plans[key] = plan  # which holds the recipe, so that no other one gets its id
    return plan


def is_there(logits: Any, target: Any, sample_weight: Any) -> bool:
    """Whether what the tensors mean lies in host memory, and nothing watches what is computed with them."""
    if type(logits) not in _TENSORS or not logits.is_cpu or _is_lazy(logits) or not is_fixed(target):
        return False
    if sample_weight is not None and not is_fixed(sample_weight):
        return False
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
    )


def is_fixed(tensor: Any) -> bool:
    """Whether the numbers of a tensor lie in host memory and no gradient by them is asked for."""
    return (
        type(tensor) in _TENSORS
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not tensor.requires_grad
        and not _is_lazy(tensor)
    )


def is_plain(tensor: Any) -> bool:
    """Whether the numbers of a tensor can be looked at: in host memory, and no derivative by them is asked for."""
    return (
        is_fixed(tensor)
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def kernel_takes(logits: torch.Tensor, target: Any, sample_weight: Any, recipe: Recipe, class_axis: Any) -> bool:
    """Whether tensors of such devices, dtypes and shapes are ones that the kernels compute."""
    if not isinstance(target, torch.Tensor) or target.requires_grad:
        return False
    arrays = [logits, target]
    if sample_weight is not None:
        if not isinstance(sample_weight, torch.Tensor) or sample_weight.requires_grad:
            return False
        arrays.append(sample_weight)
    if not all(array.is_cpu and array.layout is torch.strided for array in arrays):
        return False
    given = [Given(array.shape, _NAMES.get(array.dtype)) for array in arrays]
    return takes(recipe, class_axis, given[0], given[1], given[2] if len(given) > 2 else None)


def _is_lazy(tensor: torch.Tensor) -> bool:
    """Whether what lies in memory is not yet what the tensor means."""
    return tensor.is_neg() or tensor._is_zerotensor()


def in_kernel_form(logits: Any, target: Any, sample_weight: Any, recipe: Recipe, class_axis: Any) -> tuple[Any, Any]:
    """Target and weight in the dtypes and shapes that the kernels take, where that is but a cast or a view."""
    if type(class_axis) is not int:
        return target, sample_weight
    shape, softmax = logits.shape, facts_of(recipe).softmax
    if not -len(shape) <= class_axis < len(shape):
        return target, sample_weight
    axis = class_axis % len(shape)
    rows = shape[:axis] + shape[axis + 1 :] if softmax else shape
    if target.dtype in _SMALL and (not softmax or target.shape in (rows, (*rows, 1))):
        target = target.long()
    elif target.dtype is torch.bool and not softmax:
        target = target.to(torch.float32)
    if target.shape in ((*rows, 1), rows[:-1] if rows and rows[-1] == 1 else None):
        target = target.reshape(rows)
    if (
        sample_weight is not None
        and sample_weight.is_floating_point()
        and 0 < sample_weight.ndim < len(rows)
        and sample_weight.shape == rows[: sample_weight.ndim]
    ):
        missing = len(rows) - sample_weight.ndim
        sample_weight = sample_weight.reshape(*sample_weight.shape, *[1] * missing).expand(rows)
    return target, sample_weight


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether two places of the tensor may share memory: its steps do not clear what lies within them."""
    reach = 0
    for step, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += step * (size - 1)
    return False


def _overwritten(logits: torch.Tensor) -> torch.Tensor:
    """The logits as the place of their gradient."""
    if type(logits) is torch.nn.Parameter:
        raise UserError("logits are a parameter, which its own gradient would overwrite; pass overwrite_logits=False")
    if _overlaps(logits):
        raise UserError("expanded or overlapping logits cannot be overwritten; pass overwrite_logits=False")
    place = logits.detach()
    torch.autograd.graph.increment_version(place)  # who saved the logits for a backward pass must not use them
    return place


def _softmax_plan(tensors: Tensors, asked: Asked) -> Plan:
    logits, target, _ = tensors
    class_axis, overwrite = asked[3:]
    shape, axis = logits.shape, class_axis % logits.ndim
    plain = _required(layout(shape, torch.empty(shape, device="meta").stride(), axis))
    # a gradient of its own has the logits' strides only where they leave no gaps
    found = layout(shape, logits.stride(), axis) if overwrite or _is_dense(logits) else None
    where = found or plain
    hard = target.dtype in _WHOLE
    if hard:
        spread, copies_target = plain, not target.is_contiguous()
    else:
        own = layout(shape, target.stride(), axis)
        copies_target = own is None or (own.outer, own.inner) != (where.outer, where.inner)
        spread = plain if copies_target or own is None else own
    return _plan(
        asked,
        (found is None, copies_target),
        tensors,
        shape[:axis] + shape[axis + 1 :],
        shape[axis],
        {
            "outer": where.outer,
            "inner": where.inner,
            "logits": where.strides,
            "target": spread.strides,
            "gradient": where.strides,
            "hard": hard,
        },
    )


def _sigmoid_plan(tensors: Tensors, asked: Asked) -> Plan:
    logits, target, _ = tensors
    recipe, class_axis = asked[0], asked[3]
    shape, labels = logits.shape, facts_of(recipe).classes
    run = 1 if labels is None or len(shape) == 1 else prod(shape[class_axis % len(shape) + 1 :])
    return _plan(
        asked,
        (not logits.is_contiguous(), not target.is_contiguous()),
        tensors,
        shape,
        labels or 1,
        {"size": logits.numel(), "run": run},
    )


def _plan(
    asked: Asked,
    copies: tuple[bool, bool],
    tensors: Tensors,
    rows: Any,
    classes: int,
    places: dict[str, Any],
) -> Plan:
    recipe, reduction, ignore_index, _, overwrite = asked
    logits, target, weight = tensors
    copied = (*copies, weight is not None and not weight.is_contiguous())
    dtype = torch.float64 if logits.dtype is torch.float64 else torch.float32
    # half precision would lose small gradients before loss scaling, which the backward pass brings, saves them
    of_gradient = torch.float32 if logits.dtype is torch.float16 and not overwrite else logits.dtype
    described = options(
        _NAMES[logits.dtype],
        _NAMES[target.dtype],
        None if weight is None else _NAMES[weight.dtype],
        _NAMES[of_gradient],
        _NAMES[dtype],
        reduction=reduction,
        fresh=not overwrite,
    )
    run = compiled(recipe, classes).call(**places, ignore_index=ignore_index, options=described)
    like = None if reduction == "none" else torch.empty((), dtype=dtype, device=logits.device)
    return Plan(
        *asked,
        run,
        copied if any(copied) else None,
        like,
        rows,
        dtype,
        None if of_gradient is logits.dtype else of_gradient,
    )


def _is_dense(logits: torch.Tensor) -> bool:
    return torch.empty_like(logits, device="meta").stride() == logits.stride()


def _required(found: Layout | None) -> Layout:
    assert found is not None  # contiguous rows are evenly spaced
    return found
