"""The PyTorch module: compiled, vectorised, differentiated twice, moved, saved."""

import copy

import numpy as np
import pytest
import torch

import counterpoise as cp
from cases import RECIPES, SIGMOID, SOFTMAX, name_of
from counterpoise.torch import Loss

GENERATOR = torch.Generator().manual_seed(3)
EVERYTHING = next(recipe for recipe in SOFTMAX if recipe.name == "everything by pair")
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)


def batch(recipe, dtype=torch.float64):
    """Logits and a target for a recipe of four classes or three labels."""
    softmax = recipe.family == "softmax"
    logits = torch.randn(6, 4 if softmax else 3, dtype=dtype, generator=GENERATOR)
    if softmax:
        return logits, torch.tensor([0, 1, 2, 3, 1, 2])
    return logits, (torch.rand(6, 3, dtype=dtype, generator=GENERATOR) < 0.4).to(dtype)


@every_recipe
def test_module_is_the_function(recipe):
    logits, target = batch(recipe)
    assert torch.equal(Loss(recipe)(logits, target), cp.loss(logits, target, recipe))


@pytest.mark.parametrize("recipe", [SOFTMAX[0], SOFTMAX[4], EVERYTHING, SIGMOID[1], SIGMOID[3]], ids=name_of)
def test_compiles_to_one_graph_with_the_same_gradient(recipe):
    torch.compiler.reset()
    logits, target = batch(recipe, torch.float32)
    criterion = Loss(recipe)
    results = []
    for call in (criterion, torch.compile(criterion, fullgraph=True, backend="aot_eager")):
        z = logits.clone().requires_grad_()
        value = call(z, target)
        value.backward()
        results.append((value.detach(), z.grad))
    torch.testing.assert_close(results[0], results[1])


@every_recipe
def test_second_derivative_is_right(recipe):
    logits, target = batch(recipe)
    assert torch.autograd.gradgradcheck(lambda z: cp.loss(z, target, recipe, reduction="sum"), logits.requires_grad_())


def test_vmap_gives_per_sample_gradients():
    recipe = EVERYTHING
    logits, target = batch(recipe)
    criterion = Loss(recipe, reduction="sum")
    per_sample = torch.func.vmap(torch.func.grad(lambda z, y: criterion(z[None], y[None])))(logits, target)
    _, gradient = cp.loss_and_gradient(logits.numpy(), target.numpy(), recipe, reduction="sum")
    np.testing.assert_allclose(per_sample.numpy(), gradient, rtol=1e-10)


def test_hessian_has_the_curvature_on_its_diagonal():
    logits, target = batch(EVERYTHING)
    hessian = torch.func.hessian(lambda z: cp.loss(z, target, EVERYTHING, reduction="sum"))(logits)
    diagonal = hessian.reshape(24, 24).diagonal().reshape(6, 4)
    curvature = cp.loss_and_gradient(logits.numpy(), target.numpy(), EVERYTHING, reduction="sum", curvature=True)[2]
    np.testing.assert_allclose(diagonal.numpy(), curvature, rtol=1e-9, atol=1e-12)


def test_backward_twice_gives_the_same_gradient():
    logits, target = batch(EVERYTHING)
    z = logits.requires_grad_()
    value = Loss(EVERYTHING)(z, target)
    first, second = (torch.autograd.grad(value, z, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_autocast_gives_a_float32_loss():
    layer = torch.nn.Linear(5, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(torch.ones(3, 5))
        value = Loss(cp.softmax.focal())(logits, torch.tensor([0, 1, 2]))
    value.backward()
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    assert layer.weight.grad.isfinite().all()


def test_parameters_move_but_keep_their_precision():
    criterion = torch.nn.Sequential(Loss(cp.softmax.weighted([198, 436, 710, 272])))
    criterion.half().to("meta")
    weight = criterion[0].weight
    assert weight.device.type == "meta"
    assert weight.dtype == torch.float64


def test_module_can_be_copied():
    criterion = Loss(cp.softmax.focal(), reduction="sum", ignore_index=-1)
    twin = copy.deepcopy(criterion)
    assert repr(twin) == repr(criterion)


def test_segmentation_with_classes_on_axis_1():
    logits = torch.randn(2, 4, 3, 5, dtype=torch.float64, generator=GENERATOR)
    target = torch.randint(4, (2, 3, 5), generator=GENERATOR)
    ours = Loss(cp.softmax.cross_entropy(), class_axis=1)(logits, target)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, target))
