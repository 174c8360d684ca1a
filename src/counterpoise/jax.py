"""The loss on JAX arrays: under `jit`, `grad`, `vmap`, `shard_map`, and spread over a mesh of devices.

`loss` is `counterpoise.loss`; `goal_loss` trains for a goal, `keep_best` keeps its best epoch. Importing this module
lets recipes pass through `jit` as static arguments. Under tracing a class out of range gives NaN, since values cannot
be looked at.

On a mesh, with explicit axes or automatic ones, value and gradient are those of the whole batch on one device, and the
gradient lies where the logits do: of a batch spread as `P("batch")` each device computes its own rows. Logits may be
divided along their classes too. Only the rates of rankings (`roc_auc`, `partial_auc`, `average_precision`) gather the
scores, as they compare each row with all others. In `shard_map` the mean is that of the shard; for that of the whole
batch pass its size as `normalizer` and `psum` the results.

On CPU, XLA calls the compiled kernel (JAX 0.8 and later): value and gradient by the logits are one call, in `jit`,
`grad`, `jvp`, `scan`, `checkpoint` and `shard_map`, and on each device of a mesh with explicit axes. Its settings are
part of the program, so a compilation cache is safe. The definition in array operations serves wherever the kernel does
not: on other devices, on meshes with automatic axes, under `vmap`, for second derivatives and gradients by targets,
weights or the normalizer, for logits divided along their classes, and for shapes that are unknown while tracing.
`jax.export` for CPU wants the kernel named in `disabled_checks`, as
`DisabledSafetyCheck.custom_call("counterpoise_softmax")` or `"counterpoise_sigmoid"`; who loads such a program calls
`register_kernels` first.

>>> import jax, jax.numpy as jnp
>>> from counterpoise import softmax
>>> step = jax.jit(jax.value_and_grad(loss))
>>> value, gradient = step(jnp.zeros((1, 2)), jnp.array([1]), softmax.cross_entropy())
>>> gradient
Array([[ 0.5, -0.5]], dtype=float32)
"""

from counterpoise.losses import loss
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe

try:
    import jax
except ImportError as missing:
    raise ImportError("counterpoise.jax needs JAX: pip install 'counterpoise[jax]'") from missing

from counterpoise.lagrangian.on_jax import Kept, goal_loss, keep_best
from counterpoise.losses.on_jax import register_kernels

__all__ = ["Kept", "goal_loss", "keep_best", "loss", "register_kernels"]

for _family in (SoftmaxRecipe, SigmoidRecipe):
    jax.tree_util.register_static(_family)
