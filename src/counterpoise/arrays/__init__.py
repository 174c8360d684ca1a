"""The few array functions that a loss needs, one small table for each framework.

The losses are written once against `Namespace`. NumPy and JAX share one table since they share
their names; PyTorch and TensorFlow have their own. A framework is touched only when one of its
arrays arrives, hence it is already imported.
"""

import sys
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoise.arrays.numpy_like import Array as Array
from counterpoise.arrays.numpy_like import NumPyLike
from counterpoise.errors import UserError

Float64Array = NDArray[np.float64]

_LONGEST, _FIRST = 80, 4
"""Of a value in an error message: characters, numbers of an array."""


class Namespace(Protocol):
    """The array functions of one framework; axes count from the end."""

    name: str
    bool: Any
    float32: Any
    float64: Any
    int32: Any
    int64: Any

    def constant(self, value: Any, like: Array, dtype: Any) -> Array:
        """`value` as an array on the device of `like`."""

    def parameter(self, array: Float64Array, like: Array, dtype: Any) -> Array:
        """A recipe's array on the device of `like`, where it stays as long as the recipe does: none is copied twice."""

    def astype(self, array: Array, dtype: Any) -> Array:
        """`array` in another dtype; differentiable between floating dtypes."""

    def is_floating(self, array: Array) -> bool:
        """Whether the dtype is a floating one."""

    def is_boolean(self, array: Array) -> bool:
        """Whether the dtype is the boolean one."""

    def is_concrete(self, array: Array) -> bool:
        """Whether values can be looked at cheaply: in host memory and not being traced."""

    def shape(self, array: Array) -> tuple[Any, ...]:
        """The shape; a size that is unknown while tracing is a scalar array or None."""

    def length(self, array: Array, axis: int) -> int | None:
        """How long an axis is; None where that is unknown while tracing."""

    def reshape(self, array: Array, shape: tuple[Any, ...]) -> Array:
        """The same values in another shape."""

    def pinned(self, array: Array, shape: tuple[Any, ...]) -> Array:
        """The array, whose sizes that were unknown while tracing must turn out to be these."""

    def moveaxis(self, array: Array, source: int, destination: int) -> Array:
        """One axis moved elsewhere."""

    def with_axis(self, array: Array) -> Array:
        """The same values with a last axis of size 1."""

    def without_axis(self, array: Array) -> Array:
        """The same values without their last axis, which is of size 1."""

    def broadcast_to(self, array: Array, shape: tuple[Any, ...]) -> Array:
        """The same values, repeated along axes of size 1."""

    def arange(self, stop: int, like: Array, dtype: Any) -> Array:
        """The integers from 0 to stop - 1 on the device of `like`."""

    def take(self, values: Array, index: Array) -> Array:
        """The rows of `values` at `index`."""

    def pick(self, array: Array, index: Array, marked: Array) -> Array:
        """The element at `index` of each row, which is the one `marked`, as (..., 1)."""

    def with_gradient(self, function: Any, array: Array) -> Array:
        """The first of what `function(array)` gives: a value, and a function from its cotangent to that of the array.

        The second is used where it makes a compiled program faster; it differentiates too.
        """

    def with_slope(self, value: Any, slope: Any, array: Array, *constants: Array) -> Array:
        """The number `value(array, *constants)`, whose gradient by `array` is `slope(array, *constants)`.

        Where a derivative is known better than by differentiating each step. Nothing flows to the constants.
        """

    def gathered(self, array: Array) -> Array:
        """The array, the whole of it on each of the devices that it is spread over."""

    def map_blocks(self, function: Any, array: Array, rows: int) -> Array:
        """`function`, which maps rows to rows, of so many rows of `array` at a time."""

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        """Elementwise choice; the branch not taken gets no gradient."""

    def sum(self, array: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """The sum over one axis, or over all."""

    def widened(self, array: Array) -> Array:
        """In double precision, where the framework and the device have it."""

    def sum_rows(self, array: Array) -> Array:
        """The sum over the first axis, widened; without double precision by stages, which rounds far less."""

    def cumsum(self, array: Array) -> Array:
        """The sums of the elements up to each, along the last axis."""

    def reversed(self, array: Array) -> Array:
        """The elements in the opposite order along the last axis."""

    def argsort(self, array: Array) -> Array:
        """The places of the elements in rising order, along the last axis; equal ones in any."""

    def take_along(self, array: Array, index: Array) -> Array:
        """The elements at `index` along the last axis."""

    def concatenate(self, arrays: list[Array]) -> Array:
        """The arrays one after another, along the last axis."""

    def max(self, array: Array, axis: int, keepdims: bool = False) -> Array:
        """The largest value along an axis."""

    def argmax(self, array: Array, axis: int) -> Array:
        """The first place of the largest value along an axis."""

    def maximum(self, array: Array, bound: float) -> Array:
        """Elementwise larger of `array` and a number."""

    def minimum(self, array: Array, bound: float) -> Array:
        """Elementwise smaller of `array` and a number."""

    def exp(self, array: Array) -> Array:
        """e to the power of each element."""

    def log(self, array: Array) -> Array:
        """Natural logarithm."""

    def log1p(self, array: Array) -> Array:
        """log(1 + x) without losing small x."""

    def expm1(self, array: Array) -> Array:
        """exp(x) - 1 without losing small x, with slope exp(x) also where that is tiny."""

    def softplus(self, array: Array) -> Array:
        """log(1 + exp(x)), accurate over the whole range, with slope sigmoid(x)."""

    def round(self, array: Array) -> Array:
        """The nearest integers, as floats; no gradient."""

    def stop_gradient(self, array: Array) -> Array:
        """The same values, held constant by differentiation."""


class _TensorFlow:
    name = "tensorflow"

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf
        self.bool, self.int32, self.int64 = tf.bool, tf.int32, tf.int64
        self.float32, self.float64 = tf.float32, tf.float64
        self.exp, self.log, self.log1p, self.expm1 = tf.exp, tf.math.log, tf.math.log1p, tf.math.expm1
        self.softplus, self.round, self.reshape = tf.nn.softplus, tf.round, tf.reshape
        self.broadcast_to = tf.broadcast_to
        self.maximum, self.minimum, self.stop_gradient = tf.maximum, tf.minimum, tf.stop_gradient

    def constant(self, value: Any, like: Array, dtype: Any) -> Array:  # noqa: ARG002
        return self._tf.cast(value, dtype) if self._tf.is_tensor(value) else self._tf.constant(value, dtype)

    def parameter(self, array: Float64Array, like: Array, dtype: Any) -> Array:
        return self.constant(array, like, dtype)

    def astype(self, array: Array, dtype: Any) -> Array:
        return self._tf.cast(array, dtype)

    def is_floating(self, array: Array) -> bool:
        return bool(array.dtype.is_floating)

    def is_boolean(self, array: Array) -> bool:
        return bool(array.dtype == self._tf.bool)

    def is_concrete(self, array: Array) -> bool:
        return not self._tf.is_symbolic_tensor(array) and "GPU" not in array.device

    def shape(self, array: Array) -> tuple[Any, ...]:
        if array.shape.rank is None:
            raise UserError("a tensor of unknown rank cannot be used; set its shape, for instance with ensure_shape")
        known = array.shape.as_list()
        if None not in known:
            return tuple(known)
        traced = self._tf.shape(array)
        return tuple(traced[i] if size is None else size for i, size in enumerate(known))

    def length(self, array: Array, axis: int) -> int | None:
        return array.shape.as_list()[axis]  # type: ignore[no-any-return]

    def pinned(self, array: Array, shape: tuple[Any, ...]) -> Array:
        if all(isinstance(size, int) for size in (*shape, *self.shape(array))):
            return array
        # XLA drops the assertion, and the graph optimiser the reshape; each is enough where the other is gone
        agree = self._tf.debugging.assert_equal(
            self._tf.shape(array), self._tf.stack(shape), "target and sample_weight must fit the logits"
        )
        with self._tf.control_dependencies([agree]):
            return self._tf.reshape(array, shape)

    def moveaxis(self, array: Array, source: int, destination: int) -> Array:
        order = list(range(array.shape.rank))
        order.insert(destination % len(order), order.pop(source))
        return self._tf.transpose(array, order)

    def with_axis(self, array: Array) -> Array:
        return array[..., None]

    def without_axis(self, array: Array) -> Array:
        return array[..., 0]

    def arange(self, stop: int, like: Array, dtype: Any) -> Array:  # noqa: ARG002
        return self._tf.range(stop, dtype=dtype)

    def take(self, values: Array, index: Array) -> Array:
        return self._tf.gather(values, index)

    def pick(self, array: Array, index: Array, marked: Array) -> Array:  # noqa: ARG002
        return self._tf.gather(array, index, batch_dims=array.shape.rank - 1)[..., None]

    def with_gradient(self, function: Any, array: Array) -> Array:
        return self._tf.custom_gradient(function)(array)

    def with_slope(self, value: Any, slope: Any, array: Array, *constants: Array) -> Array:
        def sloped(array: Array) -> Any:
            return value(array, *constants), lambda cotangent: cotangent * slope(array, *constants)

        return self._tf.custom_gradient(sloped)(array)

    def gathered(self, array: Array) -> Array:
        return array

    def map_blocks(self, function: Any, array: Array, rows: int) -> Array:
        tf = self._tf
        count = self.shape(array)[0]
        if isinstance(count, int) and count <= rows:
            return function(array)
        padded = tf.pad(array, [(0, -count % rows), *[(0, 0)] * (array.shape.rank - 1)])
        mapped = tf.map_fn(function, tf.reshape(padded, (-1, rows, *self.shape(array)[1:])))
        return tf.reshape(mapped, (-1, *mapped.shape[2:]))[:count]

    def where(self, condition: Array, yes: Any, no: Any) -> Array:
        dtype = next((side.dtype for side in (yes, no) if self._tf.is_tensor(side)), None)
        yes, no = (s if self._tf.is_tensor(s) else self._tf.constant(s, dtype) for s in (yes, no))
        return self._tf.where(condition, yes, no)

    def sum(self, array: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return self._tf.reduce_sum(array, axis=axis, keepdims=keepdims)

    def widened(self, array: Array) -> Array:
        return self._tf.cast(array, self.float64)

    def sum_rows(self, array: Array) -> Array:
        return self._tf.reduce_sum(self.widened(array), axis=0)

    def cumsum(self, array: Array) -> Array:
        return self._tf.cumsum(array, axis=-1)

    def reversed(self, array: Array) -> Array:
        return array[..., ::-1]

    def argsort(self, array: Array) -> Array:
        return self._tf.argsort(array, axis=-1)

    def take_along(self, array: Array, index: Array) -> Array:
        return self._tf.gather(array, index, batch_dims=array.shape.rank - 1)

    def concatenate(self, arrays: list[Array]) -> Array:
        return self._tf.concat(arrays, axis=-1)

    def max(self, array: Array, axis: int, keepdims: bool = False) -> Array:
        return self._tf.reduce_max(array, axis=axis, keepdims=keepdims)

    def argmax(self, array: Array, axis: int) -> Array:
        return self._tf.argmax(array, axis=axis)


@cache
def _loaded(framework: str) -> Namespace:
    if framework == "jax":
        from counterpoise.arrays.on_jax import JaxNamespace

        return JaxNamespace()
    if framework == "torch":
        from counterpoise.arrays.on_torch import TorchNamespace

        return TorchNamespace()
    return _TensorFlow()


def shape_text(shape: tuple[Any, ...]) -> str:
    """A shape for an error message; a size that is unknown while tracing is a question mark."""
    sizes = [str(size) if isinstance(size, int) else "?" for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def value_text(value: Any) -> str:
    """Any value for an error message, in a line: of an array its shape, its dtype and its first numbers.

    Examples
    --------
    >>> value_text(np.arange(1000))
    'an array of shape (1000,), int64: 0, 1, 2, 3, ...'
    >>> value_text("none")
    "'none'"
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None or isinstance(value, np.generic):
        text = " ".join(repr(value).split())
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return f"an array of shape {shape_text(tuple(shape))}, {str(dtype).removeprefix('torch.')}{_first_numbers(value)}"


def _first_numbers(array: Array) -> str:
    """The first numbers of an array, where they can be seen."""
    try:
        if not namespace(array).is_concrete(array):
            return ""
        numbers = np.asarray(array.detach() if hasattr(array, "detach") else array).reshape(-1)
    except (UserError, TypeError):
        return ""
    shown = [f"{number}" for number in numbers[:_FIRST].tolist()]
    return ": " + ", ".join([*shown, *(["..."] if len(numbers) > _FIRST else [])]) if shown else ""


def at_least_single(xp: Namespace, array: Array) -> Array:
    """Half-precision logits as float32, others as they are."""
    if array.dtype == xp.float64:  # to spell a dtype takes longer than a sigmoid of one row
        return array
    return xp.astype(array, xp.float32) if "float16" in str(array.dtype) else array


numpy_namespace: Namespace = NumPyLike(np)


def namespace(array: Any) -> Namespace:
    """The array functions of the framework that `array` belongs to, which is then already imported.

    Parameters
    ----------
    array
        An array of NumPy, PyTorch, TensorFlow or JAX.

    Returns
    -------
    Namespace
        The framework's table of functions.

    Raises
    ------
    UserError
        For anything that is not an array of these frameworks.

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.zeros(3)).name
    'numpy'
    """
    if isinstance(array, np.ndarray | np.generic):
        return numpy_namespace
    torch, tensorflow, jax = (sys.modules.get(name) for name in ("torch", "tensorflow", "jax"))
    if torch is not None and isinstance(array, torch.Tensor):
        return _loaded("torch")
    if tensorflow is not None and isinstance(array, tensorflow.Tensor | tensorflow.Variable):
        return _loaded("tensorflow")
    if jax is not None and isinstance(array, jax.Array):
        return _loaded("jax")
    raise UserError(
        f"found an array of type {type(array).__module__}.{type(array).__qualname__}; "
        "pass an array of NumPy, PyTorch, TensorFlow or JAX"
    )
