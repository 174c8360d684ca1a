"""The array functions of JAX."""

from typing import Any

import jax

from counterpoise.arrays.numpy_like import Array, NumPyLike

_STAGE = 32
"""How many numbers are added one after another where there is no double precision."""


class JaxNamespace(NumPyLike):
    """The functions of JAX."""

    name = "jax"

    def __init__(self) -> None:
        super().__init__(jax.numpy)
        self.expm1 = self._expm1

    def constant(self, value: Any, like: Array, dtype: Any) -> Array:  # noqa: ARG002
        # int64 where 64 bits are switched on, else int32 without a warning
        return self.xp.asarray(value, dtype=jax.dtypes.canonicalize_dtype(dtype))

    def astype(self, array: Array, dtype: Any) -> Array:
        return array.astype(jax.dtypes.canonicalize_dtype(dtype))

    def arange(self, stop: int, like: Array, dtype: Any) -> Array:  # noqa: ARG002
        return self.xp.arange(stop, dtype=jax.dtypes.canonicalize_dtype(dtype))

    def stop_gradient(self, array: Array) -> Array:
        return jax.lax.stop_gradient(array)

    def with_slope(self, value: Any, slope: Any, array: Array, *constants: Array) -> Array:
        @jax.custom_vjp
        def sloped(array: Array, constants: tuple[Array, ...]) -> Array:
            return value(array, *constants)

        def pulled(saved: Any, cotangent: Array) -> Any:
            array, constants = saved
            return cotangent * slope(array, *constants), jax.tree_util.tree_map(self.xp.zeros_like, constants)

        sloped.defvjp(lambda array, constants: (value(array, *constants), (array, constants)), pulled)
        return sloped(array, constants)

    def map_blocks(self, function: Any, array: Array, rows: int) -> Array:
        count = len(array)
        if count <= rows:
            return function(array)
        padded = self.xp.pad(array, [(0, -count % rows), *[(0, 0)] * (array.ndim - 1)])
        mapped = jax.lax.map(function, padded.reshape(-1, rows, *array.shape[1:]))
        return mapped.reshape(-1, *mapped.shape[2:])[:count]

    def sum_rows(self, array: Array) -> Array:
        array = self.widened(array)
        while len(array) > _STAGE and array.dtype == self.float32:
            padded = self.xp.pad(array, [(0, -len(array) % _STAGE), *[(0, 0)] * (array.ndim - 1)])
            array = self.xp.sum(padded.reshape(-1, _STAGE, *array.shape[1:]), axis=1)
        return self.xp.sum(array, axis=0)

    def _expm1(self, array: Array) -> Array:
        # JAX takes its slope as expm1(x) + 1, which is 0 below exp(-37)
        return self.xp.where(array > -0.5, self.xp.expm1(array), self.xp.exp(array) - 1)

    def is_floating(self, array: Array) -> bool:
        return bool(self.xp.issubdtype(array.dtype, self.xp.floating))

    def is_concrete(self, array: Array) -> bool:
        if isinstance(array, jax.core.Tracer):
            return False
        return all(device.platform == "cpu" for device in array.devices())
