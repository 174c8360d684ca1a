"""The loss of JAX arrays: on CPU by the compiled kernels, which XLA calls as a part of its program.

Value and gradient come out of one call; the rule that differentiates the loss is linear in the tangent, so forward and
reverse mode both use it. The definition in `losses/softmax.py` and `losses/sigmoid.py` serves where the kernels cannot:
a second derivative, a gradient with respect to anything but the logits, `vmap`, other devices, a batch that the
compiler spreads over devices.
"""

from dataclasses import dataclass
from functools import cache, partial
from math import nan
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import PartitionSpec

import counterpoise._kernels as _kernels
from counterpoise.arrays.on_jax import spec_of
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.losses.jax_shards import Spread, by_kernel_where_it_runs, spread_of
from counterpoise.losses.kernel import FLOATING, SINGLE, WHOLE, parameters, threads_here
from counterpoise.losses.reduction import denominator
from counterpoise.losses.sigmoid import sigmoid_elements
from counterpoise.losses.softmax import softmax_rows
from counterpoise.recipes import Recipe, SoftmaxRecipe

_TARGETS = {True: "counterpoise_softmax", False: "counterpoise_sigmoid"}
_LARGEST_EXACT = 2**53
"""Whole numbers up to here pass as float64."""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """The facts of a loss that are known when it is traced."""

    recipe: Recipe
    reduction: str
    ignore_index: float | None
    class_axis: int

    @property
    def softmax(self) -> bool:
        """Whether the classes exclude each other."""
        return isinstance(self.recipe, SoftmaxRecipe)

    def given(self, logits: Any, target: Any, sample_weight: Any, normalizer: Any = None) -> Call:
        """The call with the arrays that it is run for."""
        options = (self.reduction, normalizer, self.ignore_index, self.class_axis)
        return Call(logits, target, self.recipe, sample_weight, *options)

    def rows_of(self, spread: Spread) -> PartitionSpec:
        """The sharding of an array with one number for each row of the unreduced loss."""
        return spread.without(self.class_axis) if self.softmax else spread.whole

    def target_of(self, spread: Spread, logits: Any, target: Any) -> PartitionSpec:
        """The sharding of the target."""
        return spread.whole if target.ndim == logits.ndim else self.rows_of(spread)

    def has_whole_rows(self, spread: Spread) -> bool:
        """Whether no row is divided, or a kernel does not mind: a sigmoid that is the same for all labels."""
        same_for_all = not self.softmax and self.recipe.classes is None
        return same_for_all or not spread.by or spread.shards(self.class_axis) == 1

    def settings(self, classes: int) -> Any:
        """All of it as bytes: a program that holds them means the same in every process."""
        named = parameters(self.recipe, classes) | {
            "version": _kernels.XLA_SETTINGS_VERSION,
            "reduction": getattr(_kernels.Reduction, self.reduction),
            "class_axis": self.class_axis,
            "threads": threads_here(),
            "ignores": self.ignore_index is not None,
            "ignore_index": self.ignore_index or 0,
        }
        parts = [np.ravel(named[name]).astype(np.float64) for name in _kernels.xla_settings(self.softmax)]
        return np.concatenate(parts).view(np.uint32)


@cache
def register_kernels() -> bool:
    """Make the kernels known to XLA on CPU; the first loss does so too.

    Returns
    -------
    bool
        Whether XLA takes them: not in a JAX before 0.8, nor if the interface has changed.

    Examples
    --------
    >>> register_kernels()
    True
    """
    if jax.__version_info__ < (0, 8):
        return False
    try:
        for softmax, name in _TARGETS.items():
            jax.ffi.register_ffi_target(name, _kernels.xla_call(softmax), platform="cpu")
    except Exception:  # whatever XLA says, the definition serves
        return False
    return True


def jax_loss(call: Call) -> Any:
    """The loss through the kernels, or None where the definition must serve."""
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis = call
    if not register_kernels() or logits.dtype.name not in FLOATING:
        return None
    if not all(isinstance(size, int) and size > 0 for size in logits.shape):
        return None
    arguments = call.checked()
    softmax = isinstance(recipe, SoftmaxRecipe)
    axis = class_axis % logits.ndim if logits.ndim else 0
    rows = logits.shape[:axis] + logits.shape[axis + 1 :] if softmax else logits.shape
    own_target = rows if arguments.hard else logits.shape
    if ignore_index is not None:
        if abs(ignore_index) > _LARGEST_EXACT:
            return None
        ignore_index = int(ignore_index) if softmax else float(ignore_index)
        if ignore_index != ignore_index:
            ignore_index = nan  # one object, since the compiled program is found by equality
    if not _is_plain(target, own_target, WHOLE if arguments.hard else SINGLE):
        target = arguments.target
        if arguments.keep is not None:  # -1 marks what is ignored: what is no class or share must not become it
            if arguments.hard:
                possible = jnp.where((target < 0) | (target >= arguments.classes), arguments.classes, target)
            else:
                possible = jnp.where((target >= 0) & (target <= 1), target, jnp.nan)
            target, ignore_index = jnp.where(arguments.keep, possible, -1), -1
        if not arguments.hard and logits.ndim > 1:
            target = jnp.moveaxis(target, -1, axis)
    if sample_weight is not None and not _is_plain(sample_weight, rows, SINGLE):
        spread_weight: Any = arguments.weight
        sample_weight = spread_weight if softmax or logits.ndim < 2 else jnp.moveaxis(spread_weight, -1, axis)
    if normalizer is not None:
        normalizer = jnp.asarray(normalizer, arguments.logits.dtype)
    traced, spread = TracedCall(recipe, reduction, ignore_index, axis), spread_of(logits)
    if spread is not None:  # a batch lies where its logits do
        target = spread.put(target, traced.target_of(spread, logits, target))
        sample_weight = None if sample_weight is None else spread.put(sample_weight, traced.rows_of(spread))
    return _loss(traced, logits, target, sample_weight, normalizer)


def _is_plain(array: Any, shape: tuple[int, ...], dtypes: frozenset[str]) -> bool:
    return isinstance(array, jax.Array) and array.shape == shape and array.dtype.name in dtypes


def _definition(call: TracedCall, logits: Any, target: Any, sample_weight: Any, normalizer: Any) -> Any:
    return composed(call.given(logits, target, sample_weight, normalizer))


def _definition_with_gradient(call: TracedCall, logits: Any, *others: Any) -> tuple[Any, Any]:
    """The loss, and the gradient of its sum by the logits."""
    value, pull = jax.vjp(lambda z: _definition(call, z, *others), logits)
    return value, pull(jnp.ones_like(value))[0]


def _kernel(call: TracedCall, sloped: bool, logits: Any, target: Any, sample_weight: Any, normalizer: Any) -> list[Any]:
    """The loss, and the gradient of its sum if asked for."""
    operands = [logits, target, sample_weight, normalizer]
    results = [jax.typeof(_of_loss_shape(call, *operands))]
    if sloped:
        results.append(jax.typeof(logits))
    settings = call.settings(logits.shape[call.class_axis] if logits.ndim else 1)
    absent = np.zeros(0, np.float32)
    run = jax.ffi.ffi_call(_TARGETS[call.softmax], results)
    return list(run(settings, *(absent if given is None else given for given in operands)))


def _of_loss_shape(call: TracedCall, logits: Any, *others: Any) -> Any:
    """An array that is like the loss, also in what it varies over inside `shard_map`; the compiler drops it."""
    value = logits.astype(jnp.float64 if logits.dtype.name == "float64" else jnp.float32)
    if call.softmax:
        value = value.sum(call.class_axis)
    if call.reduction != "none":
        value = value.sum()
    for other in others:
        if other is not None:
            value = value + other.sum().astype(value.dtype)
    return value


def _kernel_on_shards(call: TracedCall, sloped: bool, spread: Spread, *operands: Any) -> list[Any]:
    """The same for a batch on a mesh with explicit axes: each device has its own rows, and no other ones."""
    rows, one = call.rows_of(spread), spec_of()
    specs = (spread.whole, call.target_of(spread, *operands[:2]), rows, one)
    given = tuple(operand is not None for operand in operands)

    def total(number: Any) -> Any:
        return jax.lax.psum(number, spread.axes)  # type: ignore[no-untyped-call]

    def shard(*present: Any) -> Any:
        logits, target, sample_weight, normalizer = _with_absent(given, present)
        if normalizer is None and call.reduction not in ("none", "sum"):
            counted = total(_denominator(call, logits, target, sample_weight))
            normalizer = jnp.where(counted == 0, 1, counted)
        found = _kernel(call, sloped, logits, target, sample_weight, normalizer)
        if call.reduction != "none":
            found[0] = total(found[0])
        return found

    results = [rows if call.reduction == "none" else one, *([spread.whole] if sloped else [])]
    present = [(operand, spec) for operand, spec in zip(operands, specs, strict=True) if operand is not None]
    run = jax.shard_map(shard, mesh=spread.mesh, in_specs=tuple(spec for _, spec in present), out_specs=results)
    return list(run(*(operand for operand, _ in present)))


def _denominator(call: TracedCall, logits: Any, target: Any, sample_weight: Any) -> Any:
    """What a mean over these rows divides by; the compiler drops what else is computed here."""
    arguments = call.given(logits, target, sample_weight).checked()
    if isinstance(call.recipe, SoftmaxRecipe):
        entries = softmax_rows(arguments, call.recipe)
    else:
        entries = sigmoid_elements(arguments, call.recipe)
    return denominator(arguments, entries.weight, entries.loss, call.reduction, None)


def _with_absent(given: tuple[bool, ...], present: tuple[Any, ...]) -> list[Any]:
    """The operands, with None for absent ones."""
    each = iter(present)
    return [next(each) if there else None for there in given]


def _where_it_runs(call: TracedCall, sloped: bool, *operands: Any) -> tuple[Any, ...]:
    given = tuple(operand is not None for operand in operands)
    spread = spread_of(operands[0])
    shards = spread if spread is not None and spread.is_known else None
    present = [operand for operand in operands if operand is not None]

    def by_definition(*present: Any) -> tuple[Any, ...]:
        if sloped:
            return _definition_with_gradient(call, *_with_absent(given, present))
        return (_definition(call, *_with_absent(given, present)),)

    def by_kernel(*present: Any) -> tuple[Any, ...]:
        every = _with_absent(given, present)
        return tuple(
            _kernel(call, sloped, *every) if shards is None else _kernel_on_shards(call, sloped, shards, *every)
        )

    if spread is not None and not call.has_whole_rows(spread):
        return by_definition(*present)

    @jax.custom_batching.custom_vmap
    def chosen(*present: Any) -> tuple[Any, ...]:
        return by_kernel_where_it_runs(by_kernel, by_definition, *present, anywhere=shards is not None)

    @chosen.def_vmap
    def _batched(axis_size: int, batched: Any, *present: Any) -> Any:
        axes = [0 if each else None for each in batched]
        found = jax.vmap(by_definition, in_axes=axes, axis_size=axis_size)(*present)
        return found, (True,) * len(found)

    return tuple(chosen(*present))


_computed = jax.jit(_where_it_runs, static_argnums=(0, 1), inline=True)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss(call: TracedCall, logits: Any, target: Any, sample_weight: Any, normalizer: Any) -> Any:
    return _computed(call, False, logits, target, sample_weight, normalizer)[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss_with_gradient(call: TracedCall, logits: Any, target: Any, sample_weight: Any, normalizer: Any) -> Any:
    return _computed(call, True, logits, target, sample_weight, normalizer)


def _loss_jvp(call: TracedCall, primals: Any, tangents: Any) -> Any:
    if not all(_is_zero(tangent) for tangent in tangents[1:]):
        return jax.jvp(partial(_definition, call), primals, _as_arrays(tangents))
    value, gradient = _loss_with_gradient(call, *primals)
    (tangent, *_) = _as_arrays(tangents)
    along = gradient.astype(value.dtype) * tangent.astype(value.dtype)
    if call.reduction != "none":
        return value, along.sum()
    return value, along.sum(call.class_axis) if call.softmax else along


def _loss_with_gradient_jvp(call: TracedCall, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_definition_with_gradient, call), primals, _as_arrays(tangents))


def _is_zero(tangent: Any) -> bool:
    return tangent is None or isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _as_arrays(tangents: Any) -> Any:
    def one(tangent: Any) -> Any:
        if not isinstance(tangent, jax.custom_derivatives.SymbolicZero):
            return tangent
        zeros = np.zeros if tangent.dtype == jax.dtypes.float0 else jnp.zeros
        return zeros(tangent.shape, tangent.dtype)

    return tuple(None if tangent is None else one(tangent) for tangent in tangents)


_loss.defjvp(_loss_jvp, symbolic_zeros=True)
_loss_with_gradient.defjvp(_loss_with_gradient_jvp, symbolic_zeros=True)
