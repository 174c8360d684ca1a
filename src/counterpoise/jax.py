"""The loss on JAX arrays: under `jit`, `grad`, `vmap`, `shard_map`.

`loss` is `counterpoise.loss`. Importing this module lets recipes pass through `jit` as static arguments. Under tracing
a class out of range gives NaN, since values cannot be looked at. In `shard_map` the mean is that of the shard; for
that of the whole batch pass its size as `normalizer` and `psum` the results.

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

__all__ = ["loss"]

for _family in (SoftmaxRecipe, SigmoidRecipe):
    jax.tree_util.register_static(_family)
