"""A last linear layer and its loss in one: the numbers of the two apart, chunk by chunk."""

import copy
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import counterpoise as cp
from cases import RECIPES, name_of
from counterpoise.torch import LinearLoss, linear_loss

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
REDUCTIONS = ("sum", "mean", "weighted_mean", "nonzero_mean")
HIDDEN = 5


def named(name):
    return next(recipe for recipe in RECIPES if recipe.name == name)


SOME = [named("softmax.ldam"), named("everything by pair"), named("cost added"), named("sigmoid.asymmetric")]
some_recipes = pytest.mark.parametrize("recipe", SOME, ids=name_of)


class Example:
    """Features, a layer, a target and a weight per row."""

    def __init__(self, recipe, rows=11, dtype=torch.float64):
        generator = torch.Generator().manual_seed(rows)
        softmax = recipe.family == "softmax"
        classes = 4 if softmax else 3

        def drawn(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

        self.features, self.weight, self.bias = drawn(rows, HIDDEN), drawn(classes, HIDDEN), drawn(classes)
        self.parameters = [self.features, self.weight, self.bias]
        self.target = torch.randint(4, (rows,), generator=generator)
        if not softmax:
            self.target = (torch.rand(rows, classes, generator=generator) < 0.4).to(dtype)
        self.sample_weight = torch.randint(3, (rows,), generator=generator).double()
        if not softmax:
            self.sample_weight = self.sample_weight[:, None].expand(-1, classes)

    def logits(self):
        return torch.nn.functional.linear(self.features, self.weight, self.bias)


def agree(found, true, parameters, upstream=2.5, rtol=1e-9, atol=1e-12):
    """Value and gradients."""
    torch.testing.assert_close(found, true, rtol=rtol, atol=atol)
    found = torch.autograd.grad(found * upstream, parameters)
    true = torch.autograd.grad(true * upstream, parameters)
    for one, other in zip(found, true, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_recipe
def test_it_is_the_loss_of_the_layer(recipe, reduction):
    given = Example(recipe)
    options = {"reduction": reduction, "sample_weight": given.sample_weight}
    agree(
        cp.linear_loss(*given.parameters, given.target, recipe, **options),
        cp.loss(given.logits(), given.target, recipe, **options),
        given.parameters,
    )


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 600])
@some_recipes
def test_any_number_of_rows(recipe, rows):
    given = Example(recipe, rows)
    found = cp.linear_loss(*given.parameters, given.target, recipe, reduction="weighted_mean")
    true = cp.loss(given.logits(), given.target, recipe, reduction="weighted_mean")
    agree(found, true, given.parameters)


def test_no_rows_give_zero_with_zero_gradient():
    given = Example(SOME[0], rows=0)
    value = cp.linear_loss(*given.parameters, given.target, SOME[0])
    assert value == 0
    gradients = torch.autograd.grad(value, given.parameters, allow_unused=True, materialize_grads=True)
    assert all((gradient == 0).all() for gradient in gradients)


@some_recipes
def test_normalizer_replaces_the_denominator(recipe):
    given = Example(recipe, rows=300)
    for normalizer in (7.0, torch.tensor(7.0, dtype=torch.float64)):
        found = cp.linear_loss(*given.parameters, given.target, recipe, normalizer=normalizer)
        agree(found, cp.loss(given.logits(), given.target, recipe, normalizer=7.0), given.parameters)


@pytest.mark.parametrize("recipe", [SOME[0], SOME[3]], ids=name_of)
def test_layer_without_a_bias(recipe):
    given = Example(recipe)
    found = cp.linear_loss(given.features, given.weight, None, given.target, recipe)
    agree(found, cp.loss(given.features @ given.weight.T, given.target, recipe), given.parameters[:2])


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_frozen_gets_no_gradient(frozen):
    given = Example(SOME[0], rows=300)
    given.parameters[frozen].requires_grad_(False)
    rest = [p for p in given.parameters if p.requires_grad]
    value = cp.linear_loss(*given.parameters, given.target, SOME[0])
    true = torch.autograd.grad(cp.loss(given.logits(), given.target, SOME[0]), rest)
    value.backward()
    assert given.parameters[frozen].grad is None
    for parameter, gradient in zip(rest, true, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_rows_neither_cost_nor_count(reduction):
    given = Example(SOME[0], rows=300)
    target = torch.where(torch.arange(300) % 3 == 0, -100, given.target)
    options = {"reduction": reduction, "ignore_index": -100}
    found = cp.linear_loss(*given.parameters, target, SOME[0], **options)
    agree(found, cp.loss(given.logits(), target, SOME[0], **options), given.parameters)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_all_rows_ignored_give_zero_with_zero_gradient(reduction):
    given = Example(SOME[0], rows=300)
    target = torch.full_like(given.target, -1)
    value = cp.linear_loss(*given.parameters, target, SOME[0], reduction=reduction, ignore_index=-1)
    assert value == 0
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(value, given.parameters))


def test_soft_targets():
    given = Example(SOME[0], rows=300)
    target = torch.softmax(torch.randn(300, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), -1)
    found = cp.linear_loss(*given.parameters, target, SOME[0])
    agree(found, cp.loss(given.logits(), target, SOME[0]), given.parameters)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(dtype):
    given = Example(SOME[0], rows=600, dtype=dtype)
    value = cp.linear_loss(*given.parameters, given.target, SOME[0])
    assert value.dtype == torch.float32
    found = torch.autograd.grad(value, given.parameters)
    exact = [p.detach().double().requires_grad_() for p in given.parameters]
    true = torch.autograd.grad(cp.linear_loss(*exact, given.target, SOME[0]), exact)
    for parameter, gradient, expected in zip(given.parameters, found, true, strict=True):
        assert gradient.dtype == parameter.dtype
        error = (gradient.double() - expected).abs().max() / expected.abs().max()
        assert error < 8 * torch.finfo(dtype).eps


def test_autocast_computes_in_its_dtype():
    given = Example(SOME[0], rows=300, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = cp.linear_loss(*given.parameters, given.target, SOME[0])
    true = cp.linear_loss(*given.parameters, given.target, SOME[0])
    value.backward()
    assert given.weight.grad.dtype == torch.float32
    torch.testing.assert_close(value, true, rtol=2e-2, atol=0)


@some_recipes
def test_retained_graph_gives_the_same_gradients_twice(recipe):
    given = Example(recipe, rows=300)
    value = cp.linear_loss(*given.parameters, given.target, recipe)
    first = [g.clone() for g in torch.autograd.grad(value * 2, given.parameters, retain_graph=True)]
    second = torch.autograd.grad(value * 2, given.parameters)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@some_recipes
def test_second_derivative(recipe):
    given = Example(recipe, rows=3)
    assert torch.autograd.gradgradcheck(
        lambda *parameters: cp.linear_loss(*parameters, given.target, recipe), given.parameters
    )


@some_recipes
def test_gradient_penalty_over_chunks(recipe):
    given = Example(recipe, rows=300)
    penalties = []
    for value in (
        cp.linear_loss(*given.parameters, given.target, recipe),
        cp.loss(given.logits(), given.target, recipe),
    ):
        slope = torch.autograd.grad(value, given.weight, create_graph=True)[0]
        penalties.append(torch.autograd.grad(slope.square().sum(), given.parameters))
    for one, other in zip(*penalties, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)


def test_functional_gradient():
    given = Example(SOME[0])
    x, w, b = (p.detach() for p in given.parameters)
    found = torch.func.grad(lambda weight: cp.linear_loss(x, weight, b, given.target, SOME[0]))(w)
    true = torch.autograd.grad(cp.loss(given.logits(), given.target, SOME[0]), given.weight)[0]
    torch.testing.assert_close(found, true)


def test_features_and_weight_with_other_strides():
    given = Example(SOME[0], rows=300)
    found = cp.linear_loss(
        given.features.T.contiguous().T, given.weight.T.contiguous().T, given.bias, given.target, SOME[0]
    )
    agree(found, cp.loss(given.logits(), given.target, SOME[0]), given.parameters)


def test_module_is_the_function():
    given = Example(SOME[0])
    criterion = LinearLoss(SOME[0], reduction="sum", ignore_index=3)
    true = linear_loss(*given.parameters, given.target, SOME[0], reduction="sum", ignore_index=3)
    assert criterion(*given.parameters, given.target) == true


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_module_can_be_copied(copied):
    given = Example(SOME[1])
    criterion = LinearLoss(SOME[1], reduction="sum")
    assert copied(criterion)(*given.parameters, given.target) == criterion(*given.parameters, given.target)


def test_features_are_not_read_again_after_the_optimiser_has_stepped():
    given = Example(SOME[0])
    value = cp.linear_loss(*given.parameters, given.target, SOME[0])
    value.backward(retain_graph=True)
    with torch.no_grad():
        given.weight += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("recipe", [SOME[0], SOME[1], SOME[3]], ids=name_of)
@pytest.mark.parametrize("bias", [True, False])
def test_numpy_and_jax(recipe, bias):
    given = Example(recipe)
    x, w, b = (p.detach().numpy() for p in given.parameters)
    b = b if bias else None
    true = cp.loss(x @ w.T + (b if bias else 0), given.target.numpy(), recipe)
    np.testing.assert_allclose(cp.linear_loss(x, w, b, given.target.numpy(), recipe), true, rtol=1e-12)
    x, w, b = (None if p is None else jnp.asarray(p, jnp.float32) for p in (x, w, b))
    found = cp.linear_loss(x, w, b, jnp.asarray(given.target.numpy()), recipe)
    np.testing.assert_allclose(found, true, rtol=1e-5)


NUMPY = np.ones((6, HIDDEN)), np.ones((4, HIDDEN)), np.ones(4), np.array([0, 1, 2, 3, 0, 1])


def torch_arrays(arrays):
    return [torch.tensor(array) for array in arrays]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({0: np.ones((6, 3))}, r"features \(6, 3\) and weight \(4, 5\) do not fit", id="hidden size"),
        pytest.param({0: np.ones(HIDDEN)}, "do not fit", id="one sample without its axis"),
        pytest.param({1: np.ones((HIDDEN, 4))}, "do not fit", id="weight transposed"),
        pytest.param({2: np.ones(3)}, r"bias has shape \(3,\); weight has 4 classes", id="bias"),
        pytest.param({3: np.array([0, 1, 2, 4, 0, 1])}, "target holds class 4", id="class out of range"),
        pytest.param({3: np.array([0, 1, 2, -1, 0, 1])}, "target holds class -1", id="class below range"),
        pytest.param({3: np.array([0, 1])}, "integer target", id="too few targets"),
        pytest.param({3: np.zeros(6)}, "must be integers", id="floating targets"),
    ],
)
def test_what_does_not_fit_is_an_error(change, message, framework):
    arrays = [change.get(place, array) for place, array in enumerate(NUMPY)]
    arrays = torch_arrays(arrays) if framework == "torch" else arrays
    with pytest.raises(cp.UserError, match=message):
        cp.linear_loss(*arrays, SOME[0])


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"reduction": "none"}, "would need the logits of all rows", id="unreduced"),
        pytest.param({"reduction": "average"}, "unknown reduction", id="reduction"),
        pytest.param({"normalizer": 0.0}, "normalizer is 0", id="normalizer"),
        pytest.param({"sample_weight": np.full(6, -1.0)}, r"sample_weight\[0\] is -1", id="negative weight"),
        pytest.param({"sample_weight": np.ones(5)}, "sample_weight has shape", id="too few weights"),
        pytest.param({"ignore_index": 0.5}, "class indices are integers", id="ignore_index"),
    ],
)
def test_options_that_make_no_sense_are_an_error(options, message, framework):
    arrays = torch_arrays(NUMPY) if framework == "torch" else NUMPY
    options = {
        k: torch.tensor(v) if framework == "torch" and isinstance(v, np.ndarray) else v for k, v in options.items()
    }
    with pytest.raises(cp.UserError, match=message):
        cp.linear_loss(*arrays, SOME[0], **options)


def test_recipe_for_another_number_of_classes_is_an_error():
    for arrays in (NUMPY, torch_arrays(NUMPY)):
        with pytest.raises(cp.UserError, match="classes"):
            cp.linear_loss(*arrays, cp.softmax.weighted([1, 2, 3]))


def test_bias_of_another_dtype_than_the_weight_is_no_crash():
    x, w, b, y = torch_arrays(NUMPY)
    with pytest.raises((cp.UserError, RuntimeError), match="dtype"):
        cp.linear_loss(x, w, b.float(), y, SOME[0])
