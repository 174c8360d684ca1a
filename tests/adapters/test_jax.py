"""JAX: jit, grad, vmap, second derivatives, shard_map; recipes as static arguments."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import counterpoise as cp
from cases import COUNTS, SIGMOID, SOFTMAX, name_of
from counterpoise.jax import loss

EVERYTHING = next(recipe for recipe in SOFTMAX if recipe.name == "everything by pair")
LOGITS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
TARGET = np.array([0, 1, 2, 3, 1, 2])


def test_recipe_is_a_static_argument():
    traces = []

    @jax.jit
    def step(z, y, recipe):
        traces.append(recipe.name)
        return loss(z, y, recipe)

    for recipe in (cp.softmax.focal(), cp.softmax.focal(), cp.softmax.ldam(COUNTS)):
        np.testing.assert_allclose(step(LOGITS, TARGET, recipe), cp.loss(LOGITS, TARGET, recipe), rtol=1e-6)
    assert traces == ["softmax.focal", "softmax.ldam"]


def test_vmap_gives_per_sample_gradients():
    per_sample = jax.vmap(jax.grad(lambda z, y: loss(z[None], y[None], EVERYTHING, reduction="sum")))(
        jnp.asarray(LOGITS), jnp.asarray(TARGET)
    )
    gradient = cp.loss_and_gradient(LOGITS, TARGET, EVERYTHING, reduction="sum")[1]
    np.testing.assert_allclose(per_sample, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", [EVERYTHING, SIGMOID[-1]], ids=name_of)
def test_hessian_has_the_curvature_on_its_diagonal(recipe):
    target = TARGET if recipe.family == "softmax" else (LOGITS[:, :3] > 0.3).astype(np.float32)
    logits = LOGITS if recipe.family == "softmax" else LOGITS[:, :3]
    hessian = jax.hessian(lambda z: loss(z, target, recipe, reduction="sum"))(jnp.asarray(logits))
    diagonal = np.asarray(hessian).reshape(logits.size, logits.size).diagonal().reshape(logits.shape)
    curvature = cp.loss_and_gradient(logits, target, recipe, reduction="sum", curvature=True)[2]
    np.testing.assert_allclose(diagonal, curvature, rtol=1e-4, atol=1e-5)


def test_shards_add_up_to_the_whole_batch():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")
    shard_map = jax.shard_map

    def shard(z, y):
        part = loss(z, y, EVERYTHING, normalizer=len(TARGET))
        return jax.lax.psum(part, "batch")

    whole = jax.jit(shard_map(shard, mesh=mesh, in_specs=(spec, spec), out_specs=jax.sharding.PartitionSpec()))
    np.testing.assert_allclose(whole(LOGITS, TARGET), cp.loss(LOGITS, TARGET, EVERYTHING), rtol=1e-6)


def test_class_out_of_range_is_nan_where_it_cannot_be_seen():
    assert np.isnan(jax.jit(lambda z, y: loss(z, y, cp.softmax.focal()))(jnp.zeros((1, 3)), jnp.array([3])))
    with pytest.raises(ValueError, match="class 3, but the recipe has 3 classes"):
        loss(jnp.zeros((1, 3)), jnp.array([3]), cp.softmax.focal())
