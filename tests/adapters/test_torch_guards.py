"""What the kernel in PyTorch must not get wrong in silence: memory that changed, devices, odd forms, small halves."""

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.recipes import SoftmaxRecipe

pytestmark = pytest.mark.slow

FOCAL, BINARY = cp.softmax.focal(), cp.sigmoid.focal()


def rows(n=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)


@pytest.mark.parametrize("recipe", [FOCAL, BINARY], ids=lambda recipe: recipe.family)
def test_compiled_gradient_of_transposed_logits(recipe):
    logits = torch.randn(3, 4).T.detach()
    target = torch.tensor([0, 1, 2, 1]) if recipe is FOCAL else torch.randint(2, (4, 3)).float()
    criterion = cp.torch.Loss(recipe)
    found = logits.clone().requires_grad_()
    assert found.stride() == (1, 4)
    torch.compile(criterion, fullgraph=True)(found, target).backward()
    expected = logits.clone().requires_grad_()
    criterion(expected, target).backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_compiled_nan_is_a_nan_gradient_of_its_row():
    logits, target = rows()
    logits[1, 0] = float("nan")
    logits.requires_grad_()
    torch.compile(cp.torch.Loss(FOCAL), backend="aot_eager", fullgraph=True)(logits, target).backward()
    assert logits.grad[1].isnan().any() and not logits.grad[[0, 2]].isnan().any()


def test_compiled_loss_checks_its_normalizer():
    logits, target = rows()
    with pytest.raises(Exception, match="normalizer is 0"):
        torch.compile(cp.torch.Loss(FOCAL), backend="eager")(logits, target, normalizer=0.0)


def test_value_lies_where_the_logits_do():
    logits, target = rows()
    with torch.device("meta"):
        value = cp.loss(logits, target, FOCAL)
        linear = cp.linear_loss(logits, torch.ones(5, 3, device="cpu"), None, target, FOCAL)
    assert value.device.type == linear.device.type == "cpu"
    assert value.item() == cp.loss(logits, target, FOCAL).item()


@pytest.mark.parametrize("changed", ["target", "sample_weight"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_arguments_changed_between_backward_passes_are_an_error(changed, create_graph):
    logits, target = rows()
    weight = torch.ones(len(target))
    value = cp.loss(logits.requires_grad_(), target, FOCAL, sample_weight=weight)
    torch.autograd.grad(value, logits, retain_graph=True)
    (target if changed == "target" else weight).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(value, logits, create_graph=create_graph)


def test_overwritten_logits_that_changed_before_the_backward_pass_are_an_error():
    logits, target = rows()
    moved = logits.requires_grad_() * 1
    value = cp.torch.Loss(FOCAL, overwrite_logits=True)(moved, target)
    with torch.no_grad():
        moved.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_parameter_is_not_overwritten():
    logits, target = rows()
    with pytest.raises(UserError, match="parameter"):
        cp.torch.Loss(FOCAL, overwrite_logits=True)(torch.nn.Parameter(logits), target)


def test_linear_loss_of_features_that_depend_on_the_weight():
    table, target = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    gradients = []
    for create_graph in (False, True):
        weight = table.clone().requires_grad_()
        value = cp.linear_loss(torch.tanh(weight[target]), weight, None, target, FOCAL)
        gradients.append(torch.autograd.grad(value, weight, create_graph=create_graph)[0].detach())
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "nonzero_mean"])
@pytest.mark.parametrize("form", ["column", "list", "scalar", "array"])
def test_linear_loss_takes_what_the_loss_takes(form, reduction):
    features, target = rows(8, 4)
    layer = torch.randn(5, 4)
    recipe = SoftmaxRecipe(weight=[1.0, 2, 3, 4, 5])
    weight = torch.tensor([0.0, 1, 2, 3, 1, 2, 3, 4])
    given = {"column": weight[:, None], "list": weight.tolist(), "scalar": 2.0, "array": weight.numpy()}[form]
    labels = {"column": target[:, None], "list": target.tolist(), "array": target.numpy()}.get(form, target)
    options = {"sample_weight": given, "reduction": reduction, "ignore_index": 2}
    expected = cp.loss(features @ layer.T, labels, recipe, **options)
    torch.testing.assert_close(cp.linear_loss(features, layer, None, labels, recipe, **options), expected)


def test_small_gradients_of_half_precision_survive_loss_scaling_in_a_linear_loss():
    features, target = rows(512, 8)
    layer = torch.randn(300, 8) * 0.1
    halves = layer.half().requires_grad_()
    (cp.linear_loss(features.half(), halves, None, target, FOCAL) * 65536).backward()
    singles = halves.detach().float().requires_grad_()
    (cp.linear_loss(features.half().float(), singles, None, target, FOCAL) * 65536).backward()
    error = (halves.grad.float() - singles.grad).abs().max() / singles.grad.abs().max()
    assert error < 2e-3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.bool])
@pytest.mark.parametrize("recipe", [FOCAL, BINARY], ids=lambda recipe: recipe.family)
def test_small_targets_use_the_kernel(recipe, dtype):
    logits, target = rows()
    if recipe is BINARY:
        logits, target = logits[:, :1].clone(), target.clamp(max=1)
    elif dtype is torch.bool:
        pytest.skip("no class indices")
    value = cp.loss(logits.requires_grad_(), target.to(dtype), recipe)
    assert "Kernel" in value.grad_fn.name()
    torch.testing.assert_close(value, composed(Call(logits, target, recipe)))


def test_weights_per_image_use_the_kernel():
    logits, target = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randint(3, (2, 4, 4))
    weight = torch.tensor([1.0, 5.0])
    value = cp.loss(logits, target, FOCAL, sample_weight=weight, class_axis=1)
    assert "Kernel" in value.grad_fn.name()
    torch.testing.assert_close(value, composed(Call(logits, target, FOCAL, weight, class_axis=1)))


@pytest.mark.parametrize("ignored", [0.3, -0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_ignored_value_that_single_precision_rounds(ignored, dtype):
    logits, target = np.zeros(3, np.float32), np.array([1, ignored, 0], dtype)
    value, gradient = cp.loss_and_gradient(logits, target, cp.sigmoid.binary_cross_entropy(), ignore_index=ignored)
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    assert gradient[1] == 0


def test_out_may_be_the_memory_of_the_weights():
    logits = np.linspace(-3, 3, 64).astype(np.float32)
    target, memory = (logits > 0).astype(np.float32), np.linspace(1, 2, 80).astype(np.float32)
    expected = cp.loss_and_gradient(logits, target, BINARY, sample_weight=memory[:64].copy())
    found = cp.loss_and_gradient(logits, target, BINARY, sample_weight=memory[:64], out=memory[16:])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_scaled_logits_beyond_single_precision():
    recipe = cp.softmax.ldam([5, 5, 5])
    with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):  # the loss itself is infinite there
        _, gradient = cp.loss_and_gradient(np.array([[0, 2e37, 0]], np.float32), np.array([0]), recipe)
    np.testing.assert_allclose(gradient, [[-30, 30, 0]], rtol=1e-6)
