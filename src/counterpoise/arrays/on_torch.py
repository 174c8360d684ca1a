"""The array functions of PyTorch."""

import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from counterpoise.arrays.numpy_like import Array

_kept: dict[tuple[int, torch.device, torch.dtype], tuple["weakref.ref[Any]", torch.Tensor]] = {}
"""The parameters of recipes where they were used: by the array's identity, which the reference confirms."""

_TRACING_MODES = (torch._C._TorchDispatchModeKey.PROXY, torch._C._TorchDispatchModeKey.FUNCTIONAL)


def is_traced() -> bool:
    """Whether what is computed now is written down, by torch.compile, torch.export or torch.jit.trace."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or any(torch._C._get_dispatch_mode(mode) is not None for mode in _TRACING_MODES)
    )


def pretending_mode() -> Any:
    """The mode in which tensors have no numbers, or None."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE)


def fixed(number: Any) -> Any:
    """A number that a compiler would let change from call to call, as one that it holds to; lists of them likewise."""
    if isinstance(number, torch.SymInt):
        return int(number)
    if isinstance(number, list | tuple):
        return [fixed(one) for one in number]
    return float(number) if isinstance(number, torch.SymFloat) else number


def has_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor is more than a shape and a dtype."""
    return not tensor.is_meta and getattr(tensor, "fake_mode", None) is None


def _forget(kept: dict[Any, Any], key: Any, _: Any) -> None:
    """Drop the tensor of an array that is gone; the dictionary is passed, since at exit modules lose their names."""
    kept.pop(key, None)


@contextmanager
def _becomes_constant() -> Iterator[None]:
    """Where what becomes a constant of a program should be one, although torch.jit.trace warns of it."""
    if torch._C._get_tracing_state() is None:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield


class TorchNamespace:
    """The functions of PyTorch."""

    name = "torch"

    def __init__(self) -> None:
        self.bool, self.int32, self.int64 = torch.bool, torch.int32, torch.int64
        self.float32, self.float64 = torch.float32, torch.float64
        self.exp, self.log, self.log1p = torch.exp, torch.log, torch.log1p
        self.round, self.broadcast_to = torch.round, torch.broadcast_to

    def constant(self, value: Any, like: Array, dtype: Any) -> Array:
        if isinstance(value, torch.Tensor):
            return value.to(device=like.device, dtype=dtype)
        if isinstance(value, np.ndarray) and value.ndim:
            if like.is_meta:  # which torch.tensor makes without the mode that traces
                return torch.empty(value.shape, device=like.device, dtype=dtype)
            with _becomes_constant():  # through a Python list: a compiler then sees literals, not a NumPy call
                return torch.tensor(value.tolist(), device=like.device, dtype=dtype)
        # made on the device: a copy from the host would wait for it
        number = value.item() if isinstance(value, np.ndarray | np.generic) else value
        return torch.full((), number, device=like.device, dtype=dtype)

    def parameter(self, array: Array, like: Array, dtype: Any) -> Array:
        if array.ndim == 0 or is_traced():
            return self.constant(array, like, dtype)
        key = (id(array), like.device, dtype)
        found = _kept.get(key)
        if found is not None and found[0]() is array and getattr(found[1], "fake_mode", None) is pretending_mode():
            return found[1]
        with torch.inference_mode(False):  # what is made in inference mode could not be saved for a backward pass
            tensor = self.constant(array, like, dtype)
        if not torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            _kept[key] = weakref.ref(array, partial(_forget, _kept, key)), tensor
        return tensor

    def astype(self, array: Array, dtype: Any) -> Array:
        return array.to(dtype)

    def is_floating(self, array: Array) -> bool:
        return bool(array.dtype.is_floating_point)

    def is_boolean(self, array: Array) -> bool:
        return bool(array.dtype == torch.bool)

    def is_concrete(self, array: Array) -> bool:
        if array.device.type != "cpu" or is_traced() or array.numel() == 0:
            return False
        try:  # torch.func.vmap and friends wrap tensors and refuse to show their values
            array.detach().numpy()
        except (RuntimeError, TypeError):
            return False
        return True

    def shape(self, array: Array) -> tuple[Any, ...]:
        return tuple(array.shape)

    def length(self, array: Array, axis: int) -> int | None:
        with _becomes_constant():
            return int(array.shape[axis])

    def reshape(self, array: Array, shape: tuple[Any, ...]) -> Array:
        return array.reshape(shape)

    def pinned(self, array: Array, shape: tuple[Any, ...]) -> Array:  # noqa: ARG002
        return array

    def arange(self, stop: int, like: Array, dtype: Any) -> Array:
        return torch.arange(stop, device=like.device, dtype=dtype)

    def moveaxis(self, array: Array, source: int, destination: int) -> Array:
        return torch.movedim(array, source % array.ndim, destination % array.ndim)  # ONNX knows no axes from the end

    def with_axis(self, array: Array) -> Array:
        return array.unsqueeze(-1)

    def without_axis(self, array: Array) -> Array:
        return array.squeeze(-1)

    def take(self, values: Array, index: Array) -> Array:
        return torch.ops.aten.index.Tensor(
            values, [index]
        )  # Python's brackets ask for the device, also a pretended one

    def pick(self, array: Array, index: Array, marked: Array) -> Array:  # noqa: ARG002
        return torch.where(marked, array, 0.0).sum(dim=-1, keepdim=True)

    def with_gradient(self, function: Any, array: Array) -> Array:
        return function(array)[0]

    @cached_property
    def _sloped(self) -> Any:
        """The operation of `with_slope`."""

        class Sloped(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(array: Array, value: Any, slope: Any, *constants: Array) -> Array:  # noqa: ARG004
                return value(array, *constants)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:  # noqa: ARG004
                array, _, ctx.slope, *constants = inputs
                ctx.save_for_backward(array, *constants)
                ctx.save_for_forward(array, *constants)

            @staticmethod
            def backward(ctx: Any, cotangent: Array) -> Any:
                array, *constants = ctx.saved_tensors
                return cotangent * ctx.slope(array, *constants), None, None, *[None] * len(constants)

            @staticmethod
            def jvp(ctx: Any, tangent: Array, *_: Any) -> Array:
                return (tangent * ctx.slope(*ctx.saved_tensors)).sum()

        return Sloped

    def with_slope(self, value: Any, slope: Any, array: Array, *constants: Array) -> Array:
        if torch._C._get_tracing_state() is not None:  # whose programs hold no operations of Python
            return value(array, *constants)
        return self._sloped.apply(array, value, slope, *constants)

    def gathered(self, array: Array) -> Array:
        return array

    def map_blocks(self, function: Any, array: Array, rows: int) -> Array:
        if not isinstance(array.shape[0], int):  # how many blocks there are would become a constant of the program
            return function(array)
        return torch.cat([function(block) for block in array.split(rows)])

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        return torch.where(condition, yes, no)

    def sum(self, array: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return array.sum() if axis is None else array.sum(dim=axis, keepdim=keepdims)

    def widened(self, array: Array) -> Array:
        return array if array.device.type == "mps" else array.to(self.float64)  # which has no double precision

    def sum_rows(self, array: Array) -> Array:
        return self.widened(array).sum(dim=0)

    def cumsum(self, array: Array) -> Array:
        return array.cumsum(dim=-1)

    def reversed(self, array: Array) -> Array:
        return array.flip(-1)

    def argsort(self, array: Array) -> Array:
        return array.argsort(dim=-1)

    def take_along(self, array: Array, index: Array) -> Array:
        return array.gather(-1, index)

    def concatenate(self, arrays: list[Array]) -> Array:
        return torch.cat(arrays, dim=-1)

    def max(self, array: Array, axis: int, keepdims: bool = False) -> Array:
        return array.amax(dim=axis, keepdim=keepdims)

    def argmax(self, array: Array, axis: int) -> Array:
        return array.argmax(dim=axis)

    def maximum(self, array: Array, bound: float) -> Array:
        return array.clamp(min=bound)

    def minimum(self, array: Array, bound: float) -> Array:
        return array.clamp(max=bound)

    def expm1(self, array: Array) -> Array:
        if torch.onnx.is_in_onnx_export():  # which has no expm1
            return torch.tanh(array / 2) * (torch.exp(array) + 1)
        # PyTorch takes its slope as expm1(x) + 1, which is 0 below exp(-37)
        return torch.where(array > -0.5, torch.expm1(array), torch.exp(array) - 1)

    def softplus(self, array: Array) -> Array:
        if torch.onnx.is_in_onnx_export():  # which has none in double precision
            return array.clamp(min=0) + torch.log1p(torch.exp(-array.abs()))
        # the default threshold of 20 drops exp(-20) = 2e-9; beyond 40 the rest is below double precision
        return torch.nn.functional.softplus(array, threshold=40)

    def stop_gradient(self, array: Array) -> Array:
        return array.detach()
