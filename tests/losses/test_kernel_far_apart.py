"""Arrays whose numbers lie more than 2^31 numbers apart: 64-bit arithmetic throughout."""

import math

import numpy as np
import pytest

import counterpoise as cp
from counterpoise.losses.kernel import Layout, layout
from far_apart import BEYOND, far_apart, needs_lazy_memory
from instruction_sets import computed_by, every_instruction_set

pytestmark = pytest.mark.slow


def example(classes, dtype):
    rng = np.random.default_rng(1)
    recipe = cp.softmax.focal(weight=rng.uniform(1, 2, classes))
    return rng.normal(size=(3, classes)).astype(dtype), rng.integers(classes, size=3), recipe


@needs_lazy_memory
@every_instruction_set
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=str)
@pytest.mark.parametrize(
    ("classes", "strides"),
    [
        pytest.param(2, (BEYOND, 1), id="rows of two"),
        pytest.param(4, (BEYOND, 1), id="rows"),
        pytest.param(40, (BEYOND, 1), id="wide rows"),
        pytest.param(3, (1, BEYOND), id="classes"),
        pytest.param(3, (5, BEYOND), id="classes of spaced rows"),
    ],
)
def test_value_and_gradient(classes, strides, dtype, instruction_set):
    logits, target, recipe = example(classes, dtype)
    far, out = far_apart(logits, strides), far_apart(np.zeros_like(logits), strides)
    with computed_by(instruction_set):
        value, gradient = cp.loss_and_gradient(logits, target, recipe, out=np.empty_like(logits))
        found, _ = cp.loss_and_gradient(far, target, recipe, out=out)
    assert found == value
    np.testing.assert_array_equal(out, gradient)


def contiguous(shape):
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        pytest.param((2**33, 7), -1, Layout(1, 2**33, 7, 0, 7, 1), id="rows"),
        pytest.param((5, 2**34), 1, Layout(1, 5, 2**34, 0, 2**34, 1), id="classes"),
        pytest.param((2**20, 7, 2**20), 1, Layout(2**20, 2**20, 7, 7 * 2**20, 1, 2**20), id="pixels"),
        pytest.param((2**16, 2**16, 2**16, 3), -1, Layout(1, 2**48, 3, 0, 3, 1), id="rows of several axes"),
    ],
)
def test_layout_of_more_than_an_int32_counts(shape, axis, expected):
    assert layout(shape, contiguous(shape), axis) == expected
