"""JAX: jit, grad, vmap, second derivatives, shard_map; recipes as static arguments."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import counterpoise as cp
from cases import COUNTS, RECIPES, SIGMOID, SOFTMAX, name_of
from counterpoise.jax import loss
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed

pytestmark = pytest.mark.slow

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


def by_definition(logits, target, recipe, **options):
    """The same loss from operations that JAX differentiates."""
    return composed(Call(logits, target, recipe, **options))


def kernel_calls(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().as_text().count('custom_call_target="counterpoise_')


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_value_and_gradient_are_one_call_of_the_kernel(recipe):
    shape = (6, recipe.classes or 4)
    target = TARGET if recipe.family == "softmax" else np.zeros(shape, np.float32)
    arguments = jnp.asarray(LOGITS[:, : shape[1]]), jnp.asarray(target)
    assert kernel_calls(lambda z, y: loss(z, y, recipe), *arguments) == 1
    step = jax.value_and_grad(lambda z, y: loss(z, y, recipe))
    assert kernel_calls(step, *arguments) == 1
    text = jax.jit(step).lower(*arguments).compile().as_text()
    assert not any(name in text for name in ("exponential", " log(", "fusion")), "nothing is left for XLA to do"


def options_of(reduction, kind, rows):
    rng = np.random.default_rng(5)
    options = {"reduction": reduction}
    if kind == "weights":
        options["sample_weight"] = rng.random(rows).astype(np.float32)
    if kind == "integer weights":
        options["sample_weight"] = rng.integers(0, 3, rows)
    if kind == "ignore":
        options["ignore_index"] = 1
    if kind == "normalizer" and reduction not in ("none", "sum"):
        options["normalizer"] = np.float32(7)
    return options


@pytest.mark.parametrize("kind", ["plain", "weights", "integer weights", "ignore", "normalizer", "soft"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean", "nonzero_mean"])
@pytest.mark.parametrize("recipe", [EVERYTHING, SIGMOID[-1]], ids=name_of)
def test_every_option_is_that_of_the_definition(recipe, reduction, kind):
    rng = np.random.default_rng(4)
    softmax = recipe.family == "softmax"
    logits = rng.normal(size=(2, recipe.classes, 3)).astype(np.float32)
    if kind == "soft":
        target = rng.dirichlet(np.ones(recipe.classes), (2, 3)).astype(np.float32).swapaxes(1, 2)
    else:
        target = rng.integers(4, size=(2, 3)) if softmax else rng.integers(2, size=logits.shape).astype(np.float32)
    options = options_of(reduction, kind, (2, 3) if softmax else (2,))
    traced = {name: options.pop(name) for name in ("sample_weight", "normalizer") if name in options}

    def step(function):
        def summed(z, y, rest):
            value = function(z, y, recipe, class_axis=1, **options, **rest)
            return (value * (1 + jnp.arange(value.size).reshape(value.shape))).sum(), value

        return jax.value_and_grad(summed, has_aux=True)

    assert kernel_calls(step(loss), logits, target, traced) == 1
    (_, value), gradient = jax.jit(step(loss))(logits, target, traced)
    (_, expected), slope = jax.jit(step(by_definition))(logits, target, traced)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_dtypes(dtype):
    with jax.enable_x64(dtype == "float64"):
        logits, target = jnp.asarray(LOGITS, dtype), jnp.asarray(TARGET)
        step = jax.jit(jax.value_and_grad(lambda z: loss(z, target, EVERYTHING)))
        value, gradient = step(logits)
        assert gradient.dtype == dtype
        assert value.dtype == ("float64" if dtype == "float64" else "float32")
        assert kernel_calls(step, logits) == 1
        expected = cp.loss(np.asarray(logits, np.float64), TARGET, EVERYTHING)
        np.testing.assert_allclose(value, expected, rtol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("recipe", [EVERYTHING, cp.sigmoid.focal()], ids=name_of)
def test_derivatives_of_every_kind_agree_with_the_definition(recipe):
    target = jnp.asarray(TARGET if recipe.family == "softmax" else (LOGITS > 0.3).astype(np.float32))
    weight = jnp.arange(1.0, 7.0)
    direction = jnp.asarray(np.random.default_rng(2).normal(size=LOGITS.shape).astype(np.float32))

    def kinds(function):
        def by_logits(z):
            return function(z, target, recipe, sample_weight=weight)

        def by_weight(w, by):
            return function(jnp.asarray(LOGITS), target, recipe, sample_weight=w, normalizer=by)

        yield jax.jvp(by_logits, (jnp.asarray(LOGITS),), (direction,))
        yield jax.jacfwd(by_logits)(jnp.asarray(LOGITS))
        yield jax.linearize(by_logits, jnp.asarray(LOGITS))[1](direction)
        yield jax.grad(lambda z: (jax.grad(by_logits)(z) ** 2).sum())(jnp.asarray(LOGITS))
        yield jax.jit(jax.jacrev(jax.jacfwd(by_logits)))(jnp.asarray(LOGITS))
        yield jax.jit(jax.grad(by_weight, argnums=(0, 1)))(weight, jnp.float32(3))
        yield jax.vmap(by_logits)(jnp.stack([LOGITS, 2 * LOGITS]))
        yield jax.vmap(jax.grad(by_logits))(jnp.stack([LOGITS, 2 * LOGITS]))
        yield jax.grad(jax.checkpoint(by_logits))(jnp.asarray(LOGITS))
        yield jax.lax.scan(lambda z, _: (z - jax.grad(by_logits)(z), by_logits(z)), jnp.asarray(LOGITS), length=3)

    for found, expected in zip(kinds(loss), kinds(by_definition), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_only_rows_that_cannot_be_are_nan():
    @jax.jit
    def each(z, y, w):
        return loss(z, y, EVERYTHING, sample_weight=w, reduction="none")

    logits, weight = LOGITS.copy(), np.ones(6, np.float32)
    logits[1, 2], logits[2, 0] = np.nan, np.inf
    weight[3], weight[4], weight[5] = -1, np.inf, 0
    target = np.array([0, 1, 2, 3, 1, 17])
    # a class that does not exist is NaN also where its row has weight 0, as under vmap and in other frameworks
    assert np.isnan(each(logits, target, weight)).tolist() == [False, True, True, True, True, True]
    gradient = jax.jit(jax.grad(lambda z: loss(z, target, EVERYTHING, sample_weight=weight)))(logits)
    assert np.isnan(gradient).any(axis=1).tolist() == [False, True, True, True, True, True]
    assert np.isnan(jax.jit(lambda by: loss(jnp.asarray(LOGITS), TARGET, EVERYTHING, normalizer=by))(-1.0))


def test_shards_differentiate():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")

    def whole(z):
        def shard(z, y):
            return jax.lax.psum(loss(z, y, EVERYTHING, normalizer=len(TARGET)), "batch")

        total = jax.shard_map(shard, mesh=mesh, in_specs=(spec, spec), out_specs=jax.sharding.PartitionSpec())
        return total(z, jnp.asarray(TARGET))

    gradient = jax.jit(jax.grad(whole))(jnp.asarray(LOGITS))
    np.testing.assert_allclose(gradient, cp.loss_and_gradient(LOGITS, TARGET, EVERYTHING)[1], rtol=1e-5, atol=1e-6)


def test_an_exported_program_holds_its_recipe():
    recipe = cp.softmax.logit_adjusted(COUNTS)
    step = jax.jit(jax.value_and_grad(lambda z: loss(z, TARGET, recipe)))
    with pytest.raises(ValueError, match="counterpoise_softmax"):
        jax.export.export(step, platforms=["cpu"])(LOGITS)
    allowed = [jax.export.DisabledSafetyCheck.custom_call("counterpoise_softmax")]
    saved = jax.export.export(step, platforms=["cpu"], disabled_checks=allowed)(LOGITS).serialize()
    np.testing.assert_allclose(jax.export.deserialize(saved).call(LOGITS)[0], step(LOGITS)[0])
    elsewhere = jax.export.export(step, platforms=["cuda"])(LOGITS)
    assert "@counterpoise_softmax" not in str(elsewhere.mlir_module())


@pytest.mark.parametrize(
    ("target", "ignored"),
    [
        pytest.param(np.array([[0], [-1]]), 255, id="a column"),
        pytest.param(np.array([0, -1], np.int8), 100, id="int8"),
        pytest.param(np.array([[0], [3]]), 255, id="beyond the classes"),
        pytest.param(np.array([[255], [-7]]), 255, id="beside an ignored one"),
    ],
)
def test_what_is_no_class_is_never_ignored(target, ignored):
    focal = cp.softmax.focal()
    assert np.isnan(jax.jit(lambda z, y: loss(z, y, focal, ignore_index=ignored))(jnp.zeros((2, 3)), jnp.array(target)))


@pytest.mark.parametrize("recipe", [cp.softmax.focal(), cp.sigmoid.focal()], ids=["softmax", "sigmoid"])
def test_an_impossible_target_is_nan_whatever_its_weight(recipe):
    logits = jnp.zeros((2, 3)) if recipe.family == "softmax" else jnp.zeros(2)
    target = jnp.array([0, 7]) if recipe.family == "softmax" else jnp.array([0.0, 7.0])
    found = jax.jit(lambda z, y, w: loss(z, y, recipe, sample_weight=w))(logits, target, jnp.array([1.0, 0.0]))
    assert np.isnan(found)


def test_nan_as_the_ignored_target_compiles_once():
    from counterpoise.losses import on_jax

    def once():
        loss(jnp.zeros(3), jnp.array([0.0, 1.0, np.nan]), cp.sigmoid.focal(), ignore_index=float("nan"))
        return on_jax._computed._cache_size()

    assert once() == once() == once()
