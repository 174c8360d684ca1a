"""The loss of PyTorch tensors in host memory, by the compiled kernels: one node of the graph, gradient included.

The gradient is computed together with the value, since that costs little more, and handed over by the first backward
pass; a second one computes it again. What the kernels do not do (derivatives of the gradient, `torch.func`, other
devices, gradients by the target) the definition in `losses/softmax.py` and `losses/sigmoid.py` does.
"""

from dataclasses import dataclass
from math import nan, prod
from typing import Any

import torch

from counterpoise.errors import UserError
from counterpoise.losses.arguments import warn_about_one_weight
from counterpoise.losses.kernel import AS_IT_IS, REDUCTIONS, TYPES, compiled, facts_of, layout
from counterpoise.recipes import Recipe, SoftmaxRecipe

_TYPES = {getattr(torch, name): number for name, number in TYPES.items()}
_WHOLE = (torch.int64, torch.int32)
_FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SMALL = (torch.uint8, torch.int8, torch.int16)
_TENSORS = (torch.Tensor, torch.nn.Parameter)


@dataclass(slots=True, eq=False)
class Call:
    """One loss: what it is given, and what the kernel found."""

    recipe: Recipe
    target: torch.Tensor
    sample_weight: torch.Tensor | None
    normalizer: Any
    reduction: str
    ignore_index: Any
    class_axis: int
    overwrite: bool
    value: torch.Tensor | None = None
    gradient: torch.Tensor | None = None

    def compute(self, logits: torch.Tensor, sloped: bool) -> bool:
        """Value and gradient; False where the kernel does not answer for these values."""
        return (_softmax if facts_of(self.recipe).softmax else _sigmoid)(self, logits, sloped)


def kernel_takes(
    logits: Any, target: Any, sample_weight: Any, recipe: Recipe, class_axis: Any, traced: bool = False
) -> bool:
    """Whether these arguments, by device, dtype and shape, are ones that the kernels compute.

    Tensors that are watched while they are computed with are not taken, except by a node of a `traced` graph.
    """
    if not traced and (type(logits) not in _TENSORS or type(target) not in _TENSORS or not _is_eager()):
        return False
    if not isinstance(target, torch.Tensor) or (not traced and (_is_lazy(logits) or _is_lazy(target))):
        return False
    if not (logits.is_cpu and target.is_cpu) or logits.dtype not in _FLOATING or target.requires_grad:
        return False
    shape = logits.shape
    axes = len(shape)
    if axes == 0 or type(class_axis) is not int or not -axes <= class_axis < axes or 0 in shape:
        return False
    if logits.layout is not torch.strided or target.layout is not torch.strided:
        return False
    facts = facts_of(recipe)
    classes = facts.classes
    if facts.softmax:
        axis = class_axis % axes
        rows = shape[:axis] + shape[axis + 1 :]
        if classes is not None and classes != shape[axis]:
            return False
        if target.dtype in _WHOLE:
            if target.shape != rows:
                return False
        elif target.dtype not in _FLOATING or target.shape != shape:
            return False
    else:
        rows = shape
        if classes is not None and classes != (shape[class_axis] if axes > 1 else 1):
            return False
        if target.shape != shape or target.dtype not in _TYPES:
            return False
    return sample_weight is None or (
        (type(sample_weight) in _TENSORS or (traced and isinstance(sample_weight, torch.Tensor)))
        and sample_weight.is_cpu
        and sample_weight.shape == rows
        and sample_weight.dtype in (torch.float32, torch.float64)
        and not sample_weight.requires_grad
        and (traced or not _is_lazy(sample_weight))
    )


def _is_lazy(tensor: torch.Tensor) -> bool:
    """Whether what lies in memory is not yet what the tensor means."""
    return tensor.is_neg() or tensor._is_zerotensor()


def _is_eager() -> bool:
    """No transform of `torch.func`, no forward-mode derivative, no tracing is watching."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
    )


def torch_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    recipe: Recipe,
    sample_weight: torch.Tensor | None,
    reduction: str,
    normalizer: Any,
    ignore_index: Any,
    class_axis: int,
    overwrite: bool = False,
) -> torch.Tensor | None:
    """The loss as a node of the graph, or None where the definition must serve; arguments as in `counterpoise.loss`."""
    if logits.layout is not torch.strided:
        raise UserError(f"logits are of layout {logits.layout}; a loss needs every one of them: pass logits.to_dense()")
    if not kernel_takes(logits, target, sample_weight, recipe, class_axis):
        target, sample_weight = _in_kernel_form(logits, target, sample_weight, recipe, class_axis)
        if not kernel_takes(logits, target, sample_weight, recipe, class_axis):
            return None
    by = _number(normalizer)
    if by is None or not can_ignore(recipe, target, ignore_index):
        return None
    if facts_of(recipe).one_weight:
        warn_about_one_weight(recipe, logits.shape[class_axis])  # type: ignore[arg-type]
    call = Call(recipe, target, sample_weight, by, reduction, ignore_index, class_axis, overwrite)
    sloped = logits.requires_grad and torch.is_grad_enabled()
    if not call.compute(logits, sloped):
        if overwrite and sloped:
            raise UserError(
                "logits, target or sample_weight hold NaN or another value that has no loss, and the logits are "
                "overwritten; overwrite_logits=False says which value it is"
            )
        return None
    if not sloped:
        return call.value
    value: torch.Tensor = _apply(logits, call)  # type: ignore[no-untyped-call]
    return value


def _in_kernel_form(logits: Any, target: Any, sample_weight: Any, recipe: Recipe, class_axis: Any) -> tuple[Any, Any]:
    """Target and weight in the dtypes and shapes that the kernels take, where that is but a cast or a view."""
    if type(logits) not in _TENSORS or type(target) not in _TENSORS or type(class_axis) is not int:
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
        type(sample_weight) in _TENSORS
        and sample_weight.is_floating_point()
        and 0 < sample_weight.ndim < len(rows)
        and sample_weight.shape == rows[: sample_weight.ndim]
    ):
        missing = len(rows) - sample_weight.ndim
        sample_weight = sample_weight.reshape(*sample_weight.shape, *[1] * missing).expand(rows)
    return target, sample_weight


def can_ignore(recipe: Recipe, target: torch.Tensor, ignore_index: Any) -> bool:
    """Whether the kernel can look for this value in the target."""
    if ignore_index is None:
        return True
    if facts_of(recipe).softmax:
        return type(ignore_index) is int and abs(ignore_index) < 2**63 and target.dtype in _WHOLE
    return type(ignore_index) in (int, float)


def _number(normalizer: Any) -> float | None:
    """The normalizer as a number, NaN for none, or None where it must stay a part of the graph."""
    if normalizer is None:
        return nan
    if isinstance(normalizer, torch.Tensor):
        if normalizer.requires_grad or not normalizer.is_cpu or not normalizer > 0:
            return None
        return float(normalizer)
    return float(normalizer)


class _Kernel(torch.autograd.Function):
    """Gives the value that was computed, and in the backward pass the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, call: Call) -> Any:
        ctx.save_for_backward(logits, call.target, call.sample_weight)
        ctx.call, ctx.dtype = call, logits.dtype
        value, call.value = call.value, None
        return value

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        call: Call = ctx.call
        if torch.is_grad_enabled():
            logits, call.target, call.sample_weight = ctx.saved_tensors
            return _differentiable_gradient(logits, call, upstream), None
        if call.overwrite:
            _ = ctx.saved_tensors  # raises where the logits' memory, now the gradient's, was changed since
        gradient, call.gradient = call.gradient, None
        if gradient is None:  # an earlier backward pass has it
            if call.overwrite:
                raise RuntimeError(
                    "the gradient took the place of the logits and was used; a second backward pass needs "
                    "overwrite_logits=False"
                )
            logits, call.target, call.sample_weight = ctx.saved_tensors
            call.compute(logits, True)
            gradient, call.gradient = call.gradient, None
            assert gradient is not None
        if call.reduction == "none" and isinstance(call.recipe, SoftmaxRecipe):
            upstream = upstream.unsqueeze(call.class_axis)
        if is_batched(upstream):  # several backward passes at once
            gradient = gradient * upstream
        elif call.reduction == "none" or upstream.item() != 1:
            gradient *= upstream
        return gradient.to(ctx.dtype), None


def is_batched(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for several, whose numbers cannot be looked at."""
    functorch = torch._C._functorch
    return functorch.is_functorch_wrapped_tensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


# what Function.apply does besides is for `torch.func`, which is not active here
_apply = super(torch.autograd.Function, _Kernel).apply


def _differentiable_gradient(logits: torch.Tensor, call: Call, upstream: torch.Tensor) -> torch.Tensor:
    """The gradient as a part of the graph, from the definition of the loss."""
    if call.overwrite:
        raise RuntimeError("the logits were overwritten; create_graph=True needs overwrite_logits=False")
    from counterpoise.losses.loss import composed

    normalizer = None if call.normalizer != call.normalizer else call.normalizer
    value = composed(
        logits,
        call.target,
        call.recipe,
        call.sample_weight,
        call.reduction,
        normalizer,
        call.ignore_index,
        call.class_axis,
    )
    gradient: torch.Tensor = torch.autograd.grad(value, logits, upstream, create_graph=True)[0]
    return gradient


def _room(logits: torch.Tensor, call: Call, rows: Any) -> tuple[torch.Tensor, int]:
    """Memory for the value, with the kernel's number of its type."""
    dtype = torch.float64 if logits.dtype is torch.float64 else torch.float32
    call.value = torch.empty(rows if call.reduction == "none" else (), dtype=dtype, device=logits.device)
    return call.value, _TYPES[dtype]


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether two places of the tensor may share memory: its steps do not clear what lies within them."""
    reach = 0
    for step, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += step * (size - 1)
    return False


def _place_of_gradient(logits: torch.Tensor, overwrite: bool) -> torch.Tensor:
    if not overwrite:
        # half precision would lose small gradients before loss scaling, which the backward pass brings, saves them
        return torch.empty_like(logits, dtype=torch.float32 if logits.dtype is torch.float16 else None)
    if type(logits) is torch.nn.Parameter:
        raise UserError("logits are a parameter, which its own gradient would overwrite; pass overwrite_logits=False")
    if _overlaps(logits):
        raise UserError("expanded or overlapping logits cannot be overwritten; pass overwrite_logits=False")
    place = logits.detach()
    torch.autograd.graph.increment_version(place)  # who saved the logits for a backward pass must not use them
    return place


def _softmax(call: Call, logits: torch.Tensor, sloped: bool) -> bool:
    axis, target, weight = call.class_axis, call.target, call.sample_weight
    hard = target.dtype in _WHOLE
    shape = logits.shape
    if len(shape) == 2 and axis in (-1, 1):
        where = (1, shape[0], 0, *logits.stride())
        rows: Any = shape[:1]
    else:
        rows = shape[: axis % len(shape)] + shape[axis % len(shape) + 1 :]
        split = layout(shape, logits.stride(), axis)
        if split is None:
            if call.overwrite and sloped:
                raise UserError("logits with such strides cannot be overwritten; pass overwrite_logits=False")
            logits = logits.contiguous()
            split = layout(shape, logits.stride(), axis)
            assert split is not None
        where = (split.outer, split.inner, split.outer_stride, split.inner_stride, split.class_stride)
    outer, inner = where[:2]
    spread = (0, 0, 0)
    if hard:
        target = target.contiguous()
    else:
        target, spread = _spread_like(target, axis, outer, inner)
    if weight is not None:
        weight = weight.contiguous()
    value, kind = _room(logits, call, rows)
    gradient: torch.Tensor | None = None
    along: tuple[int, ...] = (0, 0, 0)
    if sloped:
        gradient = _place_of_gradient(logits, call.overwrite)
        if gradient.stride() == logits.stride():
            along = where[2:]
        else:
            gradient, along = _spread_like(gradient, axis, outer, inner)
    odd = compiled(call.recipe, shape[axis]).loss(
        outer,
        inner,
        logits.data_ptr(),
        _TYPES[logits.dtype],
        *where[2:],
        target.data_ptr(),
        _TYPES[target.dtype],
        hard,
        *spread,
        0 if weight is None else weight.data_ptr(),
        0 if weight is None else _TYPES[weight.dtype],
        0 if gradient is None else gradient.data_ptr(),
        0,
        0 if gradient is None else _TYPES[gradient.dtype],
        *along,
        not call.overwrite,
        value.data_ptr(),
        kind,
        call.ignore_index is not None,
        0 if call.ignore_index is None else call.ignore_index,
        REDUCTIONS[call.reduction],
        call.normalizer,
        torch.get_num_threads(),
        *AS_IT_IS,
    )[2]
    call.gradient = gradient
    return not odd


def _spread_like(tensor: torch.Tensor, axis: int, outer: int, inner: int) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """The tensor, or a contiguous copy, with its strides for rows split as those of the logits."""
    split = layout(tensor.shape, tensor.stride(), axis)
    if split is None or (split.outer, split.inner) != (outer, inner):
        tensor = tensor.contiguous()
        split = layout(tensor.shape, tensor.stride(), axis)
        assert split is not None
    return tensor, (split.outer_stride, split.inner_stride, split.class_stride)


def _sigmoid(call: Call, logits: torch.Tensor, sloped: bool) -> bool:
    shape, labels = logits.shape, facts_of(call.recipe).classes
    run = 1
    if labels is not None and len(shape) > 1:
        run = prod(shape[call.class_axis % len(shape) + 1 :])
    if not logits.is_contiguous() and call.overwrite and sloped:
        raise UserError("logits that are not contiguous cannot be overwritten here; pass overwrite_logits=False")
    logits, target, weight = logits.contiguous(), call.target.contiguous(), call.sample_weight
    if weight is not None:
        weight = weight.contiguous()
    value, kind = _room(logits, call, shape)
    gradient = _place_of_gradient(logits, call.overwrite) if sloped else None
    odd = compiled(call.recipe, labels or 1).loss(
        logits.numel(),
        run,
        logits.data_ptr(),
        _TYPES[logits.dtype],
        target.data_ptr(),
        _TYPES[target.dtype],
        0 if weight is None else weight.data_ptr(),
        0 if weight is None else _TYPES[weight.dtype],
        0 if gradient is None else gradient.data_ptr(),
        0,
        0 if gradient is None else _TYPES[gradient.dtype],
        not call.overwrite,
        value.data_ptr(),
        kind,
        call.ignore_index is not None,
        0.0 if call.ignore_index is None else float(call.ignore_index),
        REDUCTIONS[call.reduction],
        call.normalizer,
        torch.get_num_threads(),
        *AS_IT_IS,
    )[2]
    call.gradient = gradient
    return not odd
