"""The array functions of NumPy, and of everything that follows its names."""

from typing import Any

import numpy as np

Array = Any
"""An array of any framework."""


class NumPyLike:
    """The functions of a module with NumPy's names."""

    name = "numpy"

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.bool, self.int32, self.int64 = xp.bool_, xp.int32, xp.int64
        self.float32, self.float64 = xp.float32, xp.float64
        self.exp, self.log, self.log1p, self.expm1 = xp.exp, xp.log, xp.log1p, xp.expm1
        self.where, self.argmax, self.round = xp.where, xp.argmax, xp.round
        self.maximum, self.minimum, self.moveaxis = xp.maximum, xp.minimum, xp.moveaxis
        self.broadcast_to = xp.broadcast_to

    def constant(self, value: Any, like: Array, dtype: Any) -> Array:  # noqa: ARG002  (part of the protocol)
        return self.xp.asarray(value, dtype=dtype)

    def parameter(self, array: Array, like: Array, dtype: Any) -> Array:
        return self.constant(array, like, dtype)

    def astype(self, array: Array, dtype: Any) -> Array:
        return array.astype(dtype)

    def is_floating(self, array: Array) -> bool:
        # ml_dtypes' bfloat16 is no subtype of np.floating
        return bool(np.issubdtype(array.dtype, np.floating)) or array.dtype.name == "bfloat16"

    def is_boolean(self, array: Array) -> bool:
        return bool(array.dtype == np.bool_)

    def is_concrete(self, array: Array) -> bool:  # noqa: ARG002
        return True

    def shape(self, array: Array) -> tuple[Any, ...]:
        return tuple(array.shape)

    def length(self, array: Array, axis: int) -> int | None:
        return int(array.shape[axis])

    def reshape(self, array: Array, shape: tuple[Any, ...]) -> Array:
        return self.xp.reshape(array, shape)

    def pinned(self, array: Array, shape: tuple[Any, ...]) -> Array:  # noqa: ARG002
        return array

    def with_axis(self, array: Array) -> Array:
        return array[..., None]

    def without_axis(self, array: Array) -> Array:
        return array[..., 0]

    def arange(self, stop: int, like: Array, dtype: Any) -> Array:  # noqa: ARG002
        return self.xp.arange(stop, dtype=dtype)

    def take(self, values: Array, index: Array) -> Array:
        return self.xp.take(values, index, axis=0)

    def pick(self, array: Array, index: Array, marked: Array) -> Array:  # noqa: ARG002
        return self.xp.sum(self.xp.where(marked, array, 0.0), -1, keepdims=True)

    def with_gradient(self, function: Any, array: Array) -> Array:
        return function(array)[0]

    def with_slope(self, value: Any, slope: Any, array: Array, *constants: Array) -> Array:  # noqa: ARG002
        return value(array, *constants)

    def gathered(self, array: Array) -> Array:
        return array

    def map_blocks(self, function: Any, array: Array, rows: int) -> Array:
        return self.xp.concatenate([function(array[i : i + rows]) for i in range(0, max(len(array), 1), rows)])

    def sum(self, array: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return self.xp.sum(array, axis=axis, keepdims=keepdims)

    def widened(self, array: Array) -> Array:
        return self.astype(array, self.float64)

    def sum_rows(self, array: Array) -> Array:
        return self.xp.sum(array, axis=0, dtype=self.xp.float64)

    def cumsum(self, array: Array) -> Array:
        return self.xp.cumsum(array, axis=-1)

    def reversed(self, array: Array) -> Array:
        return array[..., ::-1]

    def argsort(self, array: Array) -> Array:
        return self.xp.argsort(array, axis=-1)

    def take_along(self, array: Array, index: Array) -> Array:
        return self.xp.take_along_axis(array, index, axis=-1)

    def concatenate(self, arrays: list[Array]) -> Array:
        return self.xp.concatenate(arrays, axis=-1)

    def max(self, array: Array, axis: int, keepdims: bool = False) -> Array:
        return self.xp.max(array, axis=axis, keepdims=keepdims)

    def softplus(self, array: Array) -> Array:
        return self.xp.logaddexp(array, 0)

    def stop_gradient(self, array: Array) -> Array:
        return array
