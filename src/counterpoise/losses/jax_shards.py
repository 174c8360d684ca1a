"""Where XLA may call a kernel, and how it gets the batch of a mesh with explicit axes.

A kernel reads whole rows, on one device. So it runs where a program has one device, inside `shard_map`, and on each
shard of a batch whose sharding is part of its type (explicit axes). Where the compiler itself spreads the batch
(automatic axes), it would gather all of it on every device before the call; there the definition serves, which the
compiler can spread.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import mlir
from jax.sharding import NamedSharding, PartitionSpec

from counterpoise.arrays.on_jax import axes_in, explicit_sharding, placed, spec_of

Results = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """The sharding of logits on the explicit axes of a mesh: the mesh axes that divide each of their axes."""

    mesh: Any
    by: tuple[Any, ...]

    def without(self, axis: int) -> PartitionSpec:
        """That of an array like the logits, less one axis."""
        return spec_of(*self.by[:axis], *self.by[axis + 1 :])

    @property
    def whole(self) -> PartitionSpec:
        """That of an array like the logits."""
        return spec_of(*self.by)

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the mesh that divide the logits."""
        return tuple(axis for by in self.by for axis in axes_in(by))

    def shards(self, axis: int) -> int:
        """Into how many parts one axis of the logits is divided."""
        return math.prod(self.mesh.shape[name] for name in axes_in(self.by[axis]))

    def put(self, array: Any, spec: PartitionSpec) -> Any:
        """The array spread so."""
        return placed(array, NamedSharding(self.mesh, spec))

    @property
    def is_known(self) -> bool:
        """Whether that is all: a mesh with automatic axes too may divide the shards further."""
        return tuple(self.mesh.explicit_axes) == tuple(self.mesh.axis_names)


def spread_of(logits: Any) -> Spread | None:
    """The sharding of logits on the explicit axes of a mesh, or None if there are none."""
    sharding = explicit_sharding(logits)
    return None if sharding is None else Spread(sharding.mesh, tuple(sharding.spec))


def by_kernel_where_it_runs(
    by_kernel: Callable[..., Results], by_definition: Callable[..., Results], *operands: Any, anywhere: bool
) -> Results:
    """The results of `by_kernel` on CPU, where each device has a program of its own; else those of `by_definition`.

    `anywhere` says that `by_kernel` takes care of the devices itself. The choice is made when the program is lowered:
    only then are the platform and the number of devices known.
    """
    kernel, definition = (jax.make_jaxpr(function)(*operands) for function in (by_kernel, by_definition))
    if kernel.out_avals != definition.out_avals:  # what is of another type cannot stand in for it
        return tuple(jaxpr_as_fun(definition)(*operands))
    found = _choice.bind(*operands, kernel=kernel, definition=definition, anywhere=anywhere)  # type: ignore[no-untyped-call]
    return tuple(found)


_choice = Primitive("counterpoise_loss")
_choice.multiple_results = True


def _results(*_: Any, kernel: ClosedJaxpr, **__: Any) -> Any:
    return kernel.out_avals


def _at_once(*operands: Any, definition: ClosedJaxpr, **_: Any) -> Any:
    return jaxpr_as_fun(definition)(*operands)  # under `jax.disable_jit`


def _by_definition(context: Any, *operands: Any, definition: ClosedJaxpr, **_: Any) -> Any:
    return mlir.lower_fun(jaxpr_as_fun(definition), multiple_results=True)(context, *operands)


def _on_cpu(context: Any, *operands: Any, kernel: ClosedJaxpr, definition: ClosedJaxpr, anywhere: bool) -> Any:
    chosen = kernel if anywhere or _is_alone(context.module_context.axis_context) else definition
    return mlir.lower_fun(jaxpr_as_fun(chosen), multiple_results=True)(context, *operands)


def _is_alone(program: Any) -> bool:
    """Whether the compiler leaves a program as it is: it has one device, or every axis of its mesh is manual."""
    if hasattr(program, "manual_axes"):
        return set(program.manual_axes) == set(program.mesh.axis_names)
    return getattr(program, "num_devices", 0) == 1


_choice.def_abstract_eval(_results)  # type: ignore[no-untyped-call]
_choice.def_impl(_at_once)  # type: ignore[no-untyped-call]
mlir.register_lowering(_choice, _by_definition)
mlir.register_lowering(_choice, _on_cpu, platform="cpu")
