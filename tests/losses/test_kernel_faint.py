"""Soft targets where the classes beside the likeliest one nearly vanish: their shares must not be lost."""

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.recipes import SoftmaxRecipe
from instruction_sets import computed_by, every_instruction_set

RECIPES = {
    "margin": {"margin": [5.0, 0.0, 12.0, 1.0]},
    "margins as large as the gap": {"margin": [700.0, 20.0, 300.0, 90.0]},
    "focus": {"focus": 2.0},
    "fractional focus, smoothing": {"focus": 0.5, "smoothing": 0.1},
    "robustness": {"robustness": 0.3, "margin": [0.0, 15.0, 1.0, 2.0]},
    "poly, smoothing": {"poly": 1.0, "smoothing": 0.1},
}


@every_instruction_set
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("gap", [20, 34, 60, 85, 95, 104, 110, 320, 400, 690, 708, 715, 730, 744, 750, 900])
def test_gradient_is_the_definitions(gap, recipe, dtype, instruction_set):
    rng = np.random.default_rng(gap)
    recipe = SoftmaxRecipe(**recipe)
    logits = rng.normal(size=(5, 4))
    logits[np.arange(5), rng.integers(4, size=5)] += gap
    logits[0, (logits[0].argmax() + 1) % 4] = -np.inf
    target = np.where(np.isneginf(logits), 0, rng.dirichlet(np.ones(4), 5)).astype(dtype)
    logits = logits.astype(dtype)
    with computed_by(instruction_set):
        value, gradient = cp.loss_and_gradient(logits, target, recipe)
        again, same, curvature = cp.loss_and_gradient(logits, target, recipe, curvature=True)
    leaf = torch.tensor(logits.astype(float), requires_grad=True)
    true = composed(Call(leaf, torch.tensor(target.astype(float)), recipe))
    (slope,) = torch.autograd.grad(true, leaf)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose([value, again], true.item(), **tolerance)
    np.testing.assert_allclose(gradient, slope.numpy(), **tolerance)
    np.testing.assert_allclose(same, slope.numpy(), **tolerance)
    assert np.isfinite(curvature).all()
