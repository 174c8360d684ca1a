"""Half-precision logits: computed in float32, and the gradient comes back in the logits' dtype."""

import ml_dtypes
import numpy as np
import pytest

import counterpoise as cp
from cases import RECIPES, name_of
from frameworks import FRAMEWORKS

HALF = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
NUMPY = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def example(recipe, dtype):
    """Logits that the half-precision dtype holds exactly, as float32."""
    rng = np.random.default_rng(13)
    width = 4 if recipe.family == "softmax" else 3
    logits = (rng.normal(size=(5, width)) * 4).astype(NUMPY[dtype]).astype(np.float32)
    target = rng.integers(4, size=5) if recipe.family == "softmax" else rng.integers(2, size=(5, 3))
    return logits, target


@HALF
@every_recipe
@pytest.mark.parametrize("framework", FRAMEWORKS[:3] + FRAMEWORKS[4:], ids=str)
def test_loss_is_float32(recipe, dtype, framework):
    logits, target = example(recipe, dtype)
    half = framework.cast(framework.array(logits), NUMPY[dtype] if framework.name == "numpy" else dtype)
    loss = cp.loss(half, framework.array(target), recipe)
    assert "float32" in str(loss.dtype)
    np.testing.assert_allclose(framework.numpy(loss), cp.loss(logits.astype(np.float64), target, recipe), rtol=3e-6)


@HALF
@every_recipe
def test_closed_form_gives_float32(recipe, dtype):
    logits, target = example(recipe, dtype)
    found = cp.loss_and_gradient(logits.astype(NUMPY[dtype]), target, recipe, curvature=True)
    expected = cp.loss_and_gradient(logits.astype(np.float64), target, recipe, curvature=True)
    for one, true in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, true, rtol=1e-6, atol=1e-7)


def gradients(framework, recipe, logits, target, dtype):
    z, y = framework.cast(framework.array(logits), dtype), framework.array(target)
    if framework.name == "torch":
        z.requires_grad_()
        cp.loss(z, y, recipe).backward()
        return z.grad
    if framework.name == "tensorflow":
        with framework.tf.GradientTape() as tape:
            tape.watch(z)
            value = cp.loss(z, y, recipe)
        return tape.gradient(value, z)
    return framework.jax.grad(lambda x: cp.loss(x, y, recipe))(z)


@HALF
@pytest.mark.parametrize(
    "recipe",
    [cp.softmax.focal(), cp.softmax.ldam([9, 1, 4, 2]), cp.sigmoid.asymmetric(), cp.sigmoid.weighted([9, 1])],
    ids=name_of,
)
@pytest.mark.parametrize("framework", [FRAMEWORKS[1], FRAMEWORKS[2], FRAMEWORKS[4]], ids=str)
def test_gradient_has_the_logits_dtype(recipe, dtype, framework):
    logits, target = example(recipe, dtype)
    found = gradients(framework, recipe, logits, target, dtype)
    assert dtype in str(found.dtype)
    _, expected = cp.loss_and_gradient(logits.astype(np.float64), target, recipe)
    widened = framework.numpy(framework.cast(found, "float32"))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(widened / largest, expected / largest, atol={"bfloat16": 4e-3, "float16": 1e-3}[dtype])
