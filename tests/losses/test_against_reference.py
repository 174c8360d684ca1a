"""Every loss in every framework against 100 digits: value, gradient, curvature."""

import numpy as np
import pytest

import counterpoise as cp
from cases import CASES, case_id, expected, expected_derivative, in_precision
from frameworks import FRAMEWORKS

every_framework = pytest.mark.parametrize("framework", FRAMEWORKS, ids=str)
every_case = pytest.mark.parametrize(("recipe", "batch"), CASES, ids=case_id)


def close(found, true, dtype):
    """float64: 1e-12 of the value; float32: 1e-6 of the larger of 1 and the value."""
    if dtype == np.float64:
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-290)
    else:
        np.testing.assert_allclose(
            found / np.maximum(1, np.abs(true)), true / np.maximum(1, np.abs(true)), rtol=0, atol=1e-6
        )


def close_derivative(found, true, dtype):
    """The same, relative to the largest component of each row, since small ones are differences of large ones."""
    size = np.max(np.abs(true), axis=-1, keepdims=True)
    if dtype == np.float64:
        size = np.where(size < 1e-30, 1, size)  # the reference's own step ends there
        np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-12)
    else:
        size = np.maximum(1, size)
        np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-6)


@every_framework
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@every_case
def test_value_and_gradient(recipe, batch, dtype, framework):
    logits, target = in_precision(batch, dtype)
    if framework.name == "tensorflow-xla":
        value, gradient = framework.loss_and_gradient(recipe, logits, target)
        close(value, expected(recipe, batch, dtype).sum(), dtype)
    else:
        loss = framework.loss(recipe, logits, target, reduction="none")
        assert loss.dtype == dtype
        close(loss, expected(recipe, batch, dtype), dtype)
        _, gradient = framework.loss_and_gradient(recipe, logits, target)
    close_derivative(gradient, expected_derivative(recipe, batch, dtype), dtype)


@every_case
def test_curvature_is_the_slope_of_the_gradient(recipe, batch):
    _, _, curvature = cp.loss_and_gradient(batch.logits, batch.target, recipe, reduction="sum", curvature=True)
    true = expected_derivative(recipe, batch, np.float64, order=2)
    size = np.maximum(1, np.max(np.abs(true), axis=-1, keepdims=True))
    np.testing.assert_allclose(curvature / size, true / size, rtol=0, atol=1e-12)


@every_case
def test_closed_form_loss_is_the_loss(recipe, batch):
    value, _ = cp.loss_and_gradient(batch.logits, batch.target, recipe, reduction="none")
    np.testing.assert_allclose(value, expected(recipe, batch, np.float64), rtol=1e-12, atol=1e-290)
