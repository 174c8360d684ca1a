"""overwrite_logits=True: the gradient takes the logits' memory, and who still needs them gets an error."""

import copy
import pickle

import pytest
import torch

import counterpoise as cp
from cases import RECIPES, name_of
from counterpoise.torch import Loss

pytestmark = pytest.mark.slow

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
FOCAL = cp.softmax.focal()


def example(recipe=FOCAL, dtype=torch.float64, rows=6):
    """What a last layer gives, before and after: the logits are no leaf."""
    generator = torch.Generator().manual_seed(3)
    softmax = recipe.family == "softmax"
    features = torch.randn(rows, 4 if softmax else 3, generator=generator, dtype=torch.float64).to(dtype)
    features.requires_grad_()
    if softmax:
        return features, features * 2, torch.randint(4, (rows,), generator=generator)
    return features, features * 2, (torch.rand(rows, 3, generator=generator) < 0.4).to(dtype)


@pytest.mark.parametrize("reduction", ["none", "mean", "weighted_mean"])
@every_recipe
def test_value_and_gradient_are_the_same(recipe, reduction):
    results = []
    for overwrite in (False, True):
        features, logits, target = example(recipe)
        value = Loss(recipe, reduction=reduction, overwrite_logits=overwrite)(logits, target)
        value.sum().backward()
        results.append((value.detach(), features.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_gradient_lies_in_the_logits_memory(dtype):
    _, logits, target = example(dtype=dtype)
    logits = logits.detach().requires_grad_()
    value = Loss(FOCAL, overwrite_logits=True)(logits, target)
    gradient = torch.autograd.grad(value, logits)[0]
    assert gradient.data_ptr() == logits.data_ptr()


@pytest.mark.parametrize("classes_first", [False, True])
def test_segmentation(classes_first):
    target = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(2))
    results = []
    for overwrite in (False, True):
        features = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
        logits = (features * 2).contiguous(
            memory_format=torch.contiguous_format if classes_first else torch.channels_last
        )
        Loss(FOCAL, class_axis=1, overwrite_logits=overwrite)(logits, target).backward()
        results.append(features.grad)
    assert torch.equal(*results)


def test_logits_saved_for_backward_by_another_operation_are_an_error():
    features, _, target = example()
    logits = features.exp()  # keeps its result for the backward pass
    value = Loss(FOCAL, overwrite_logits=True)(logits, target)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_logits_read_by_a_second_loss_are_an_error():
    _, logits, target = example()
    other = logits.square().sum()
    value = Loss(FOCAL, overwrite_logits=True)(logits, target)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (value + other).backward()


def test_second_backward_is_an_error():
    _, logits, target = example()
    value = Loss(FOCAL, overwrite_logits=True)(logits, target)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="overwrite_logits=False"):
        value.backward()


def test_differentiable_gradient_is_an_error():
    features, logits, target = example()
    value = Loss(FOCAL, overwrite_logits=True)(logits, target)
    with pytest.raises(RuntimeError, match="overwrite_logits=False"):
        torch.autograd.grad(value, features, create_graph=True)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda z: z[:1].expand(6, -1), id="expanded rows"),
        pytest.param(lambda z: z[:, :1].expand(-1, 4), id="expanded classes"),
        pytest.param(lambda z: z.reshape(-1)[:9].unfold(0, 4, 1), id="overlapping windows"),
    ],
)
def test_logits_that_share_memory_are_an_error(spoil):
    _, logits, target = example()
    logits = spoil(logits)
    with pytest.raises(cp.UserError, match="overwrit"):
        Loss(FOCAL, overwrite_logits=True)(logits, target)


@pytest.mark.parametrize(
    ("recipe", "spoil"),
    [
        pytest.param(cp.sigmoid.focal(), lambda z: z.T.contiguous().T, id="transposed"),
        pytest.param(cp.sigmoid.focal(), lambda z: torch.cat([z, z])[::2], id="every second row"),
    ],
)
def test_layout_that_cannot_be_overwritten_is_an_error_and_no_wrong_gradient(recipe, spoil):
    _, logits, target = example(recipe)
    with pytest.raises(cp.UserError, match="overwrite_logits=False"):
        Loss(recipe, overwrite_logits=True)(spoil(logits), target)


def test_bad_values_are_an_error():
    _, logits, target = example()
    with pytest.raises(cp.UserError, match="overwrit"):
        Loss(FOCAL, overwrite_logits=True)(logits, target.clone().fill_(9))


def test_logits_are_left_alone_where_no_gradient_is_wanted():
    _, logits, target = example()
    logits = logits.detach()
    before = logits.clone()
    Loss(FOCAL, overwrite_logits=True)(logits, target)
    assert torch.equal(logits, before)


def test_compiled_it_changes_nothing():
    torch.compiler.reset()
    features, _, target = example(dtype=torch.float32)
    criterion = Loss(FOCAL, overwrite_logits=True)
    compiled = torch.compile(lambda x: criterion(x * 2, target), fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(features), features)[0]
    true = torch.autograd.grad(Loss(FOCAL)(features * 2, target), features)[0]
    torch.testing.assert_close(found, true)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies_overwrite_too(copied):
    criterion = copied(Loss(FOCAL, overwrite_logits=True))
    _, logits, target = example()
    before = logits.detach().clone()
    criterion(logits, target)
    assert not torch.equal(logits.detach(), before)
