"""The kernel of each instruction set against 100 digits: value, gradient, curvature, in every way through it."""

import numpy as np
import pytest

import counterpoise as cp
import widths
from cases import CASES, case_id, expected, expected_derivative, in_precision
from closeness import close, close_curvature, close_derivative
from instruction_sets import computed_by, every_instruction_set

every_case = pytest.mark.parametrize(("recipe", "batch"), CASES, ids=case_id)
every_precision = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
every_width = pytest.mark.parametrize(
    ("recipe", "classes"),
    [pytest.param(recipe, classes, id=recipe.name) for classes in widths.WIDTHS for recipe in widths.recipes(classes)],
)


@every_instruction_set
@every_precision
@every_case
def test_value(recipe, batch, dtype, instruction_set):
    with computed_by(instruction_set):
        found = cp.loss(*in_precision(batch, dtype), recipe, reduction="none")
    close(found, expected(recipe, batch, dtype), dtype)


@every_instruction_set
@every_precision
@every_case
def test_gradient_and_the_value_beside_it(recipe, batch, dtype, instruction_set):
    with computed_by(instruction_set):
        value, gradient = cp.loss_and_gradient(*in_precision(batch, dtype), recipe, reduction="none")
    close(value, expected(recipe, batch, dtype), dtype)
    close_derivative(gradient, expected_derivative(recipe, batch, dtype), dtype)


@every_instruction_set
@every_precision
@every_case
def test_curvature_and_the_gradient_beside_it(recipe, batch, dtype, instruction_set):
    with computed_by(instruction_set):
        _, gradient, curvature = cp.loss_and_gradient(
            *in_precision(batch, dtype), recipe, reduction="sum", curvature=True
        )
    close_derivative(gradient, expected_derivative(recipe, batch, dtype), dtype)
    close_curvature(curvature, expected_derivative(recipe, batch, dtype, order=2), dtype)


@every_instruction_set
@every_precision
@every_width
def test_value_of_other_numbers_of_classes(recipe, classes, dtype, instruction_set):
    with computed_by(instruction_set):
        found = cp.loss(*widths.batch(classes, dtype), recipe, reduction="none")
    close(found, widths.expected(recipe, classes, dtype), dtype)


@every_instruction_set
@every_precision
@every_width
def test_gradient_of_other_numbers_of_classes(recipe, classes, dtype, instruction_set):
    with computed_by(instruction_set):
        value, gradient = cp.loss_and_gradient(*widths.batch(classes, dtype), recipe, reduction="none")
    close(value, widths.expected(recipe, classes, dtype), dtype)
    found = np.take_along_axis(gradient, widths.looked_at(classes, dtype), -1)
    finite = np.isfinite(widths.expected(recipe, classes, dtype))
    close_derivative(found[finite], widths.expected_derivative(recipe, classes, dtype)[finite], dtype)


@every_instruction_set
@every_precision
@every_width
def test_curvature_of_other_numbers_of_classes(recipe, classes, dtype, instruction_set):
    with computed_by(instruction_set):
        curvature = cp.loss_and_gradient(*widths.batch(classes, dtype), recipe, reduction="sum", curvature=True)[2]
    found = np.take_along_axis(curvature, widths.looked_at(classes, dtype), -1)
    finite = np.isfinite(widths.expected(recipe, classes, dtype))
    close_curvature(found[finite], widths.expected_derivative(recipe, classes, dtype, order=2)[finite], dtype)
