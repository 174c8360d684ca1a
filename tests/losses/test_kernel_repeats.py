"""The same call gives the same bits, on any number of threads; sums are taken in double precision."""

import math
import os
from unittest import mock

import numpy as np
import pytest

import counterpoise as cp
from counterpoise.recipes import SigmoidRecipe
from instruction_sets import computed_by, every_instruction_set

THREADS = (1, 2, 3, 5)
SHAPES = {  # shape and class axis; each is more than one thread's work
    "pairs": ((70000, 2), -1),
    "blocks": ((9001, 10), -1),
    "wide": ((1001, 101), -1),
    "one very wide": ((2, 70001), -1),
    "pixels": ((2, 5, 90, 81), 1),
    "classes first": ((4, 20001), 0),
}
every_shape = pytest.mark.parametrize(("shape", "axis"), SHAPES.values(), ids=SHAPES)
every_reduction = pytest.mark.parametrize("reduction", ["sum", "weighted_mean"])


def example(shape, axis, dtype=np.float32):
    rng = np.random.default_rng(1)
    classes = shape[axis]
    rows = [size for place, size in enumerate(shape) if place != axis % len(shape)]
    recipe = cp.softmax.focal(weight=rng.uniform(0.5, 2, classes))
    return rng.normal(size=shape).astype(dtype), rng.integers(classes, size=rows), recipe


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@every_instruction_set
@every_reduction
@every_shape
def test_numpy_on_any_number_of_threads(shape, axis, reduction, instruction_set):
    logits, target, recipe = example(shape, axis)
    results = []
    for threads in (*THREADS, 2):
        with mock.patch.dict(os.environ, OMP_NUM_THREADS=str(threads)), computed_by(instruction_set):
            results.append(
                cp.loss_and_gradient(logits, target, recipe, reduction=reduction, class_axis=axis, curvature=True)
            )
    for other in results[1:]:
        same(other, results[0])


@pytest.mark.parametrize("labels", [None, 3])
def test_sigmoid_on_any_number_of_threads(labels):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20001, labels or 4)).astype(np.float32)
    target = rng.integers(2, size=logits.shape)
    recipe = SigmoidRecipe(pos_weight=rng.uniform(1, 9, labels) if labels else 3.0)
    results = []
    for threads in THREADS:
        with mock.patch.dict(os.environ, OMP_NUM_THREADS=str(threads)):
            results.append(cp.loss_and_gradient(logits, target, recipe, curvature=True))
    for other in results[1:]:
        same(other, results[0])


@every_shape
def test_twice_the_same(shape, axis):
    logits, target, recipe = example(shape, axis, np.float64)
    first, second = (cp.loss_and_gradient(logits, target, recipe, class_axis=axis) for _ in range(2))
    same(first, second)


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "2,1", " 3", "99999"])
def test_any_number_of_threads_asked_for(value):
    logits, target, recipe = example(*SHAPES["pairs"])
    expected = cp.loss_and_gradient(logits, target, recipe)
    with mock.patch.dict(os.environ, OMP_NUM_THREADS=value):
        same(cp.loss_and_gradient(logits, target, recipe), expected)


@pytest.mark.parametrize("family", ["pairs", "blocks", "wide", "sigmoid"])
def test_sum_of_many_float32_losses_is_rounded_once(family):
    rng = np.random.default_rng(1)
    if family == "sigmoid":
        logits = rng.normal(size=300000).astype(np.float32)
        given = logits, rng.integers(2, size=300000), cp.sigmoid.focal()
    else:
        given = example(*SHAPES[family])
    each = cp.loss(*given, reduction="none")
    exact = math.fsum(float(loss) for loss in each.reshape(-1))
    np.testing.assert_allclose(cp.loss(*given, reduction="sum"), exact, rtol=1.2e-7)
