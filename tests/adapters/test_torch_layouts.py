"""PyTorch tensors of any shape, strides and dtypes, on any number of threads: the definition on float64 tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.torch import Loss
from far_apart import BEYOND, far_apart, needs_lazy_memory
from layouts import ACCURACY, calls, close_to

pytestmark = pytest.mark.slow

GRADIENT_ACCURACY = {**ACCURACY, "float16": 2e-3, "bfloat16": 8e-3}  # it has the logits' dtype
KINDS = {
    "softmax": ["plain", "one", "each", "smooth", "predicted", "cost"],
    "sigmoid": ["plain", "one", "each", "smooth"],
}


def definition(call):
    """Value and gradient of contiguous float64 tensors."""
    logits, target, options = call.plain()
    logits = torch.tensor(logits, requires_grad=True)
    weight = options.pop("sample_weight", None)
    weight = None if weight is None else torch.tensor(weight)
    value = composed(Call(logits, torch.tensor(target), call.recipe, weight, **options))
    (gradient,) = torch.autograd.grad(value.sum(), logits, allow_unused=True, materialize_grads=True)
    return value.detach().numpy(), gradient.numpy()


def on_the_memory_of(array):
    """A tensor that sees what a NumPy array sees."""
    writeable = np.lib.stride_tricks.as_strided(array, array.shape, array.strides, writeable=True)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(writeable.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(writeable)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # which is the case that is meant
@pytest.mark.parametrize("family", list(KINDS))
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_value_and_gradient_are_the_definitions(data, family):
    call = data.draw(calls(family, KINDS[family], negative=False))  # PyTorch has no negative strides
    name = call.logits.dtype.name
    logits = on_the_memory_of(call.logits).requires_grad_()
    options = {k: on_the_memory_of(v) if isinstance(v, np.ndarray) else v for k, v in call.options.items()}
    found = cp.loss(logits, on_the_memory_of(call.target), call.recipe, **options)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    value, slope = definition(call)
    assert gradient.dtype == logits.dtype
    close_to(found.detach().double().numpy(), value, ACCURACY[name])
    close_to(gradient.double().numpy(), slope, GRADIENT_ACCURACY[name])


@pytest.mark.parametrize("shape", [(70000, 2), (9001, 10), (1001, 101), (2, 70001)], ids=str)
def test_same_bits_on_any_number_of_threads(shape):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, generator=generator, requires_grad=True)
    target = torch.randint(shape[1], shape[:1], generator=generator)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5, 2):
            torch.set_num_threads(threads)
            value = cp.loss(logits, target, cp.softmax.focal())
            results.append((value.detach(), torch.autograd.grad(value, logits)[0]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(value, results[0][0]) and torch.equal(slope, results[0][1]) for value, slope in results[1:])


@needs_lazy_memory
@pytest.mark.parametrize(("classes", "strides"), [(40, (BEYOND, 1)), (3, (1, BEYOND))])
def test_logits_far_apart_are_overwritten(classes, strides):
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(3, classes)).astype(np.float32), torch.tensor(rng.integers(classes, size=3))
    criterion = Loss(cp.softmax.focal(), overwrite_logits=True)
    near = torch.tensor(logits, requires_grad=True)
    far = torch.from_numpy(far_apart(logits, strides)).requires_grad_()
    expected = torch.autograd.grad(criterion(near, target), near)[0]
    assert torch.equal(torch.autograd.grad(criterion(far, target), far)[0], expected)
