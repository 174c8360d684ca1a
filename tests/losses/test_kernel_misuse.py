"""Values that have no loss are found by every kernel, and refused by name."""

import numpy as np
import pytest

import counterpoise as cp

FOCAL = cp.softmax.focal()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16], ids=str)
@pytest.mark.parametrize("classes", [2, 3, 40])
@pytest.mark.parametrize("bad", [-1, "classes", 2**31, 2**32, -(2**33), 2**62])
def test_class_out_of_range_is_an_error_at_any_width(bad, classes, dtype):
    target = np.zeros(9, np.int64)
    target[8] = classes if bad == "classes" else bad
    with pytest.raises(cp.UserError, match="target holds class"):
        cp.loss_and_gradient(np.zeros((9, classes), dtype), target, FOCAL)


@pytest.mark.parametrize("classes", [2, 3, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_logits_are_an_error_at_any_width(bad, classes):
    logits = np.zeros((9, classes), np.float32)
    logits[8, 1] = bad
    with pytest.raises(cp.UserError, match=r"logits\[8, 1\]"):
        cp.loss_and_gradient(logits, np.zeros(9, np.int64), FOCAL)
