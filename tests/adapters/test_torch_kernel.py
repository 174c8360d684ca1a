"""PyTorch tensors in host memory: one node of the graph, with the definition's gradient however it is asked."""

import threading

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import counterpoise as cp
from cases import CASES, RECIPES, SIGMOID, SOFTMAX, case_id, name_of
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.torch import Loss

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
REDUCTIONS = ("none", "sum", "mean", "weighted_mean", "nonzero_mean")
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
NODE = "_KernelBackward"


def named(name):
    return next(recipe for recipe in RECIPES if recipe.name == name)


SOME = [named("softmax.focal"), named("softmax.ldam"), named("everything by pair"), named("sigmoid.asymmetric")]
some_recipes = pytest.mark.parametrize("recipe", SOME, ids=name_of)


def example(recipe, dtype=torch.float64, rows=6, seed=3):
    """Logits that want a gradient, and a target."""
    generator = torch.Generator().manual_seed(seed)
    softmax = recipe.family == "softmax"
    logits = torch.randn(rows, 4 if softmax else 3, generator=generator, dtype=torch.float64).to(dtype)
    if softmax:
        return logits.requires_grad_(), torch.randint(4, (rows,), generator=generator)
    return logits.requires_grad_(), (torch.rand(rows, 3, generator=generator) < 0.4).to(dtype)


def definition(
    logits, target, recipe, sample_weight=None, reduction="mean", normalizer=None, ignore_index=None, axis=-1
):
    """The loss by its definition, which PyTorch differentiates."""
    return composed(Call(logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, axis))


def gradient_of(value, logits, upstream=None, **options):
    return torch.autograd.grad(value, logits, upstream, **options)[0]


def like_definition(value, true, rtol=1e-9):
    torch.testing.assert_close(value, true, rtol=rtol, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@every_recipe
def test_kernel_is_used(recipe, dtype):
    assert type(Loss(recipe)(*example(recipe, dtype)).grad_fn).__name__ == NODE


@pytest.mark.parametrize(("recipe", "batch"), CASES, ids=case_id)
def test_kernel_takes_extreme_and_masked_logits(recipe, batch):
    logits = torch.tensor(batch.logits, requires_grad=True)
    assert type(cp.loss(logits, torch.tensor(batch.target), recipe).grad_fn).__name__ == NODE


@every_reduction
@every_recipe
def test_value_and_gradient_are_the_definitions(recipe, reduction):
    logits, target = example(recipe)
    weight = torch.rand(logits.shape if recipe.family == "sigmoid" else 6, dtype=torch.float64)
    found = cp.loss(logits, target, recipe, weight, reduction)
    true = definition(logits, target, recipe, weight, reduction)
    like_definition(found, true)
    upstream = torch.linspace(-1, 2, found.numel(), dtype=torch.float64).reshape(found.shape)
    like_definition(gradient_of(found, logits, upstream), gradient_of(true, logits, upstream))


@every_reduction
@some_recipes
def test_retained_graph_gives_the_same_gradient_twice(recipe, reduction):
    logits, target = example(recipe)
    value = cp.loss(logits, target, recipe, reduction=reduction)
    upstream = torch.linspace(-1, 2, value.numel(), dtype=torch.float64).reshape(value.shape)
    first = gradient_of(value, logits, upstream, retain_graph=True).clone()
    assert torch.equal(first, gradient_of(value, logits, upstream, retain_graph=True))


@some_recipes
def test_retained_graph_takes_each_upstream_factor_by_itself(recipe):
    logits, target = example(recipe)
    value = cp.loss(logits, target, recipe)
    true = gradient_of(definition(logits, target, recipe), logits)
    for factor in (3.0, 1.0, -0.5):
        upstream = torch.tensor(factor, dtype=torch.float64)
        like_definition(gradient_of(value, logits, upstream, retain_graph=True), factor * true)


@some_recipes
def test_loss_in_a_sum_of_losses(recipe):
    logits, target = example(recipe)
    total = 2 * cp.loss(logits, target, recipe) + cp.loss(logits.square(), target, recipe, reduction="none").sum()
    true = 2 * definition(logits, target, recipe) + definition(logits.square(), target, recipe, reduction="sum")
    like_definition(gradient_of(total, logits), gradient_of(true, logits))


@pytest.mark.parametrize("reduction", ["none", "weighted_mean"])
@every_recipe
def test_second_derivative_of_the_node(recipe, reduction):
    logits, target = example(recipe, rows=2)
    assert torch.autograd.gradgradcheck(lambda z: cp.loss(z, target, recipe, reduction=reduction), logits)


@some_recipes
def test_gradient_penalty(recipe):
    logits, target = example(recipe)
    penalties = []
    for loss in (cp.loss, definition):
        slope = gradient_of(loss(logits, target, recipe), logits, create_graph=True)
        penalties.append(gradient_of(slope.square().sum(), logits))
    like_definition(*penalties)


@some_recipes
def test_plain_backward_after_a_differentiable_one(recipe):
    logits, target = example(recipe)
    value = cp.loss(logits, target, recipe)
    differentiable = gradient_of(value, logits, create_graph=True)
    like_definition(gradient_of(value, logits), differentiable.detach())


@some_recipes
def test_functional_gradient(recipe):
    logits, target = example(recipe)
    found = torch.func.grad(lambda z: cp.loss(z, target, recipe))(logits.detach())
    like_definition(found, gradient_of(cp.loss(logits, target, recipe), logits))


@some_recipes
def test_vmap_over_samples(recipe):
    logits, target = example(recipe)
    found = torch.func.vmap(lambda z, y: cp.loss(z[None], y[None], recipe, reduction="sum"))(logits.detach(), target)
    each = cp.loss(logits.detach(), target, recipe, reduction="none")
    like_definition(found, each if recipe.family == "softmax" else each.sum(-1))


@some_recipes
def test_forward_mode(recipe):
    logits, target = example(recipe)
    direction = torch.linspace(-1, 1, logits.numel(), dtype=torch.float64).reshape(logits.shape)
    _, found = torch.func.jvp(lambda z: cp.loss(z, target, recipe), (logits.detach(),), (direction,))
    like_definition(found, (gradient_of(cp.loss(logits, target, recipe), logits) * direction).sum())


@pytest.mark.parametrize("vectorize", [False, True])
@some_recipes
def test_jacobian_of_unreduced_losses(recipe, vectorize):
    logits, target = example(recipe)
    found, true = (
        torch.autograd.functional.jacobian(
            lambda z, loss=loss: loss(z, target, recipe, reduction="none"), logits.detach(), vectorize=vectorize
        )
        for loss in (cp.loss, definition)
    )
    like_definition(found, true)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("recipe", [SOFTMAX[0], SOME[2]], ids=name_of)
def test_segmentation(recipe, reduction, layout):
    logits = torch.randn(2, 4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    if layout == "channels_last":
        logits = logits.contiguous(memory_format=torch.channels_last)
    logits.requires_grad_()
    target = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(2))
    options = {"reduction": reduction, "ignore_index": 3}
    found = Loss(recipe, class_axis=1, **options)(logits, target)
    true = definition(logits, target, recipe, axis=1, **options)
    like_definition(found, true)
    upstream = torch.rand_like(found)
    like_definition(gradient_of(found, logits, upstream), gradient_of(true, logits, upstream))


@some_recipes
def test_expanded_logits(recipe):
    row, target = example(recipe, rows=1)
    target = target.expand(5, *target.shape[1:])
    found = gradient_of(cp.loss(row.expand(5, -1), target, recipe), row)
    like_definition(found, gradient_of(definition(row.expand(5, -1).clone(), target, recipe), row))


def test_autocast_uses_the_kernel():
    layer = torch.nn.Linear(5, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = Loss(cp.softmax.focal())(layer(torch.ones(3, 5)), torch.tensor([0, 1, 2]))
    assert type(value.grad_fn).__name__ == NODE
    assert value.dtype == torch.float32


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_model(reentrant):
    logits, target = example(SOME[1])
    criterion = Loss(SOME[1])
    found = checkpoint(lambda z: criterion(z * 2, target), logits, use_reentrant=reentrant)
    found.backward()
    like_definition(logits.grad, gradient_of(definition(logits * 2, target, SOME[1]), logits))


def test_loss_scale_keeps_small_gradients_of_half_precision():
    # what torch.amp.GradScaler does: unscaled, these gradients are among the smallest numbers of float16
    recipe = cp.softmax.cross_entropy()
    logits, target = example(recipe, torch.float16, rows=4096)
    confident = (logits.detach() * 0.1 + 6 * torch.nn.functional.one_hot(target, 4)).half().requires_grad_()
    found = gradient_of(cp.loss(confident, target, recipe) * 65536.0, confident)
    true = gradient_of(definition(confident, target, recipe) * 65536.0, confident)
    torch.testing.assert_close(found, true, rtol=2e-3, atol=0)


def test_negated_view_is_read_as_what_it_means():
    logits = torch.view_as_complex(torch.randn(6, 4, 2, generator=torch.Generator().manual_seed(1))).conj().imag
    assert logits.is_neg()
    target = torch.tensor([0, 1, 2, 3, 1, 2])
    torch.testing.assert_close(cp.loss(logits, target, SOME[0]), cp.loss(logits.clone(), target, SOME[0]))


def test_threads_that_train_at_once():
    logits, target = example(SOME[1], rows=20000)
    expected = gradient_of(cp.loss(logits, target, SOME[1]), logits)
    found = [None] * 4

    def train(place):
        z = logits.detach().clone().requires_grad_()
        for _ in range(5):
            z.grad = None
            cp.loss(z, target, SOME[1]).backward()
        found[place] = z.grad

    threads = [threading.Thread(target=train, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(gradient, expected) for gradient in found)


@some_recipes
def test_numpy_gives_the_same_numbers(recipe):
    logits, target = example(recipe)
    value, gradient = cp.loss_and_gradient(logits.detach().numpy(), target.numpy(), recipe)
    found = cp.loss(logits, target, recipe)
    np.testing.assert_array_equal(found.detach().numpy(), value)
    np.testing.assert_array_equal(gradient_of(found, logits).numpy(), gradient)


def test_no_gradient_is_computed_where_none_is_wanted():
    logits, target = example(SIGMOID[1])
    with torch.no_grad():
        assert cp.loss(logits, target, SIGMOID[1]).grad_fn is None
    assert cp.loss(logits.detach(), target, SIGMOID[1]).grad_fn is None
    with torch.inference_mode():
        assert cp.loss(logits * 1, target, SIGMOID[1]).isfinite()


@pytest.mark.parametrize("wants", ["target", "sample_weight", "normalizer"])
def test_gradient_by_other_arguments(wants):
    logits, _ = example(SOME[0])
    arguments = {
        "target": torch.full((6, 4), 0.25, dtype=torch.float64),
        "sample_weight": torch.linspace(0.5, 2, 6, dtype=torch.float64),
        "normalizer": torch.tensor(3.0, dtype=torch.float64),
    }
    arguments[wants].requires_grad_()
    found, true = (
        gradient_of(
            loss(logits, arguments["target"], SOME[0], arguments["sample_weight"], "mean", arguments["normalizer"]),
            arguments[wants],
        )
        for loss in (cp.loss, definition)
    )
    like_definition(found, true)
