"""The array functions of JAX."""

import math
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from counterpoise.arrays.numpy_like import Array, NumPyLike

_STAGE = 32
"""How many numbers are added one after another where there is no double precision."""


def explicit_sharding(array: Array) -> NamedSharding | None:
    """How an array lies on a mesh with explicit axes; None where the compiler places it, or nothing is spread.

    Examples
    --------
    >>> explicit_sharding(jax.numpy.zeros(3)) is None
    True
    """
    typeof = getattr(jax, "typeof", None)  # JAX before 0.6 has no explicit axes
    sharding = None if typeof is None else typeof(array).sharding
    if isinstance(sharding, NamedSharding) and getattr(sharding.mesh, "explicit_axes", None):
        return sharding
    return None


def spec_of(*by: Any) -> PartitionSpec:
    """The axes of a mesh that divide each axis of an array."""
    return PartitionSpec(*by)  # type: ignore[no-untyped-call]


def placed(array: Array, sharding: NamedSharding) -> Array:
    """The array, moved to where a mesh with explicit axes shall have it."""
    return jax.sharding.reshard(array, sharding)  # type: ignore[no-untyped-call]


def axes_in(by: Any) -> tuple[str, ...]:
    """The axes of a mesh that divide one axis of an array.

    Examples
    --------
    >>> axes_in(None), axes_in("batch"), axes_in(("data", "model"))
    ((), ('batch',), ('data', 'model'))
    """
    if by is None:
        return ()
    return by if isinstance(by, tuple) else (by,)


def _by_device(array: Array) -> Array:
    """(parts, rows, ...) of rows (N, ...), so that no part lies on two devices."""
    spread = explicit_sharding(array)
    if spread is None:  # where the compiler has divided the rows evenly, and if it has
        parts = math.gcd(len(array), jax.device_count())
        return jax.numpy.reshape(array, (parts, len(array) // parts, *array.shape[1:]))
    parts = math.prod(spread.mesh.shape[axis] for axis in axes_in(spread.spec[0]))
    by = NamedSharding(spread.mesh, spec_of(spread.spec[0], None, *spread.spec[1:]))
    return jax.numpy.reshape(array, (parts, len(array) // parts, *array.shape[1:]), out_sharding=by)


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

    def reshape(self, array: Array, shape: tuple[Any, ...]) -> Array:
        spread = explicit_sharding(array)
        if spread is None or shape[0] != -1 or array.ndim == 0:
            return self.xp.reshape(array, shape)
        # leading axes become rows: each device keeps its part of the first one, and of the classes where they stay
        by = spread.spec
        last = by[-1] if array.ndim > 1 and array.shape[-1] == shape[-1] else None
        before, after = (
            NamedSharding(spread.mesh, spec_of(by[0], *(None,) * (size - 2), *([last] if size > 1 else [])))
            for size in (array.ndim, len(shape))
        )
        return self.xp.reshape(placed(array, before), shape, out_sharding=after)

    def take(self, values: Array, index: Array) -> Array:
        spread = explicit_sharding(index)
        if spread is None:
            return self.xp.take(values, index, axis=0)
        # each device picks what its own indices name
        spec = spec_of(*spread.spec, *(None,) * (values.ndim - 1))
        return values.at[index].get(mode="fill", out_sharding=NamedSharding(spread.mesh, spec))

    def gathered(self, array: Array) -> Array:
        spread = explicit_sharding(array)
        return array if spread is None else placed(array, NamedSharding(spread.mesh, spec_of()))

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
        if array.dtype != self.float32:
            return self.xp.sum(array, axis=0)
        parts = _by_device(array)
        while parts.shape[1] > _STAGE:
            short = -parts.shape[1] % _STAGE
            parts = self.xp.pad(parts, [(0, 0), (0, short), *[(0, 0)] * (array.ndim - 1)])
            parts = self.xp.sum(parts.reshape(len(parts), -1, _STAGE, *array.shape[1:]), axis=2)
        return self.xp.sum(parts, axis=(0, 1))

    def _expm1(self, array: Array) -> Array:
        # JAX takes its slope as expm1(x) + 1, which is 0 below exp(-37)
        return self.xp.where(array > -0.5, self.xp.expm1(array), self.xp.exp(array) - 1)

    def is_floating(self, array: Array) -> bool:
        return bool(self.xp.issubdtype(array.dtype, self.xp.floating))

    def is_concrete(self, array: Array) -> bool:
        if isinstance(array, jax.core.Tracer) or not array.is_fully_addressable:
            return False
        return all(device.platform == "cpu" for device in array.devices())
