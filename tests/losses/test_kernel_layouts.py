"""Whatever the shape, the strides and the dtypes: the numbers of the definition and of contiguous float64 arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import composed
from counterpoise.recipes import SoftmaxRecipe
from instruction_sets import computed_by, every_instruction_set
from layouts import ACCURACY, calls, close_to, recipe_of

KINDS = {
    "softmax": ["plain", "one", "each", "smooth", "predicted", "cost"],
    "sigmoid": ["plain", "one", "each", "smooth"],
}
either_family = pytest.mark.parametrize("family", list(KINDS))


def definition(logits, target, recipe, sample_weight=None, reduction="mean", ignore_index=None, class_axis=-1):
    return composed(Call(logits, target, recipe, sample_weight, reduction, None, ignore_index, class_axis))


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # losses beyond half precision
@every_instruction_set
@either_family
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_value_is_the_definitions(data, family, instruction_set):
    call = data.draw(calls(family, KINDS[family]))
    logits, target, options = call.plain()
    with computed_by(instruction_set):
        found = cp.loss(call.logits, call.target, call.recipe, **call.options)
    close_to(found, definition(logits, target, call.recipe, **options), ACCURACY[call.logits.dtype.name])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # losses beyond half precision
@every_instruction_set
@either_family
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_derivatives_are_those_of_contiguous_arrays(data, family, instruction_set):
    call = data.draw(calls(family, KINDS[family]))
    logits, target, options = call.plain()
    accuracy = ACCURACY[call.logits.dtype.name]
    with computed_by(instruction_set):
        found = cp.loss_and_gradient(call.logits, call.target, call.recipe, **call.options)
        curved = cp.loss_and_gradient(call.logits, call.target, call.recipe, **call.options, curvature=True)
        true = cp.loss_and_gradient(logits, target, call.recipe, **options, curvature=True)
    close_to(found[1], true[1], accuracy)
    close_to(curved[1], true[1], accuracy)
    close_to(curved[2], true[2], 4 * accuracy)


@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
def test_numbers_that_lie_across_word_boundaries(dtype, offset):
    rng = np.random.default_rng(1)
    logits, target, weight = rng.normal(size=(7, 40)).astype(dtype), rng.integers(40, size=7), rng.uniform(size=7)

    def moved(array):
        room = np.zeros(array.nbytes + offset, np.uint8)[offset:].view(array.dtype).reshape(array.shape)
        room[...] = array
        return room

    recipe = recipe_of("softmax", "each", 40)
    expected = cp.loss_and_gradient(logits, target, recipe, weight)
    found = cp.loss_and_gradient(moved(logits), moved(target), recipe, moved(weight))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("packed", ["logits", "target", "out"])
def test_fields_of_a_packed_record(packed):
    rng = np.random.default_rng(1)
    given = {"logits": rng.normal(size=(7, 4)), "target": rng.integers(4, size=7), "out": np.zeros((7, 4))}
    recipe = recipe_of("softmax", "each", 4)
    true = cp.loss_and_gradient(given["logits"], given["target"], recipe)
    field = given[packed]
    record = np.zeros(7, dtype=[("flag", "i1"), ("value", field.dtype, field.shape[1:])])  # strides of 33 or 9 bytes
    record["value"] = field
    given[packed] = record["value"]
    found = cp.loss_and_gradient(given["logits"], given["target"], recipe, out=given["out"])
    np.testing.assert_allclose(found[0], true[0], rtol=1e-12)
    np.testing.assert_allclose(given["out"], true[1], rtol=1e-12)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_in_either_order(order):
    rng = np.random.default_rng(1)
    logits, target, weight = rng.normal(size=(7, 4)), rng.integers(4, size=7), rng.uniform(size=7)
    recipe = recipe_of("softmax", "each", 4)
    found = cp.loss_and_gradient(
        logits.astype(f"{order}f8"), target.astype(f"{order}i8"), recipe, weight.astype(f"{order}f8")
    )
    for one, other in zip(found, cp.loss_and_gradient(logits, target, recipe, weight), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16, np.uint64, np.int16])
def test_targets_of_other_whole_dtypes(dtype):
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(7, 4)), rng.integers(4, size=7)
    recipe = recipe_of("softmax", "each", 4)
    assert cp.loss(logits, target.astype(dtype), recipe) == cp.loss(logits, target, recipe)


@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("wide", ["logits", "target", "weight", "all", "a list"])
def test_extended_precision_is_computed_in_double(family, soft, wide):
    rng = np.random.default_rng(1)
    logits, target, weight = rng.normal(size=(7, 4)), rng.integers(4, size=7), rng.random(7)
    target = target if family == "softmax" and not soft else np.eye(4)[target] * 0.9 + 0.025
    recipe = recipe_of(family, "each", 4)
    expected, slope = cp.loss_and_gradient(logits, target, recipe, sample_weight=weight)
    if wide in ("logits", "all"):
        logits = logits.astype(np.longdouble)
    if wide in ("target", "all") and target.dtype.kind == "f":
        target = target.astype(np.longdouble)
    if wide in ("weight", "all"):
        weight = weight.astype(np.longdouble)
    if wide == "a list":
        logits = [list(row) for row in logits.astype(np.longdouble)]
    found, gradient = cp.loss_and_gradient(logits, target, recipe, sample_weight=weight)
    assert found == cp.loss(logits, target, recipe, sample_weight=weight) == expected
    assert gradient.dtype == np.float64
    assert gradient.tolist() == slope.tolist()


@pytest.mark.parametrize("classes", [1, 2, 40])
def test_no_rows(classes):
    logits, target = np.zeros((0, classes), np.float32), np.zeros(0, np.int64)
    value, gradient, curvature = cp.loss_and_gradient(logits, target, SoftmaxRecipe(), curvature=True)
    assert value == 0
    assert gradient.shape == curvature.shape == (0, classes)


def test_one_class_costs_nothing():
    value, gradient, curvature = cp.loss_and_gradient(
        np.array([[3.0], [-5.0]]), np.array([0, 0]), SoftmaxRecipe(focus=0.5), curvature=True
    )
    assert value == 0
    assert not gradient.any()
    assert not curvature.any()
