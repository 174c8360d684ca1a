"""Every loss in every framework against 100 digits: value, gradient, curvature."""

import numpy as np
import pytest

import counterpoise as cp
from cases import CASES, case_id, expected, expected_derivative, in_precision
from closeness import close, close_curvature, close_derivative
from frameworks import FRAMEWORKS

every_framework = pytest.mark.parametrize("framework", FRAMEWORKS, ids=str)
every_case = pytest.mark.parametrize(("recipe", "batch"), CASES, ids=case_id)


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
    close_curvature(curvature, true, np.float64)


@every_case
def test_closed_form_loss_is_the_loss(recipe, batch):
    value, _ = cp.loss_and_gradient(batch.logits, batch.target, recipe, reduction="none")
    np.testing.assert_allclose(value, expected(recipe, batch, np.float64), rtol=1e-12, atol=1e-290)
