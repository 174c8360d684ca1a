"""`out`: where the gradient is written to, the logits' own memory included; what does not fit is an error."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise as cp
from cases import COUNTS
from layouts import any_layout, laid_out

RECIPES = {"softmax": cp.softmax.ldam(COUNTS), "sigmoid": cp.sigmoid.asymmetric()}
either_family = pytest.mark.parametrize("family", list(RECIPES))


def example(family, rows=7, dtype=np.float64):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(rows, 4)).astype(dtype)
    return logits, rng.integers(4, size=rows) if family == "softmax" else rng.integers(2, size=(rows, 4))


@either_family
def test_out_is_what_is_returned(family):
    logits, target = example(family)
    out = np.empty_like(logits)
    _, gradient = cp.loss_and_gradient(logits, target, RECIPES[family], out=out)
    assert gradient is out
    np.testing.assert_array_equal(out, cp.loss_and_gradient(logits, target, RECIPES[family])[1])


@either_family
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_out_of_any_layout(data, family):
    logits, target = example(family)
    logits, out = data.draw(any_layout(logits)), data.draw(laid_out(np.zeros(logits.shape)))
    out.flags.writeable = True
    cp.loss_and_gradient(logits, target, RECIPES[family], out=out)
    true = cp.loss_and_gradient(np.array(logits, order="C"), target, RECIPES[family])[1]
    np.testing.assert_allclose(out, true, rtol=1e-12)


@either_family
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_logits_of_any_layout_become_the_gradient(data, family):
    logits, target = example(family)
    true = cp.loss_and_gradient(logits, target, RECIPES[family], curvature=True)
    view = data.draw(laid_out(logits))
    view.flags.writeable = True
    found = cp.loss_and_gradient(view, target, RECIPES[family], curvature=True, out=view)
    assert found[1] is view
    for one, other in zip(found, true, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@either_family
@pytest.mark.parametrize("rows", [7, 20000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16], ids=str)
def test_logits_become_the_gradient(dtype, rows, family):
    logits, target = example(family, rows, dtype)
    value, gradient = cp.loss_and_gradient(logits, target, RECIPES[family])
    found, _ = cp.loss_and_gradient(logits, target, RECIPES[family], out=logits)
    assert found == value
    smallest = 6e-8 if dtype == np.float16 else 0  # its denormal numbers are rounded twice
    np.testing.assert_allclose(logits.astype(np.float64), gradient.astype(dtype).astype(np.float64), atol=smallest)


@either_family
@pytest.mark.parametrize("given", [np.float32, np.float64, np.float16], ids=str)
@pytest.mark.parametrize("written", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16], ids=str)
def test_out_of_another_dtype_changes_neither_value_nor_curvature(given, written, family):
    logits, target = example(family, dtype=given)
    true = cp.loss_and_gradient(logits, target, RECIPES[family], curvature=True)
    out = np.empty(logits.shape, written)
    value, _, curvature = cp.loss_and_gradient(logits, target, RECIPES[family], curvature=True, out=out)
    rtol = 1e-12 if given == np.float64 else 2e-6
    np.testing.assert_allclose(value, true[0], rtol=rtol)
    np.testing.assert_allclose(curvature, true[2], rtol=rtol, atol=1e-12 if given == np.float64 else 1e-7)
    assert curvature.dtype == true[2].dtype
    accuracy = {"float16": 1e-3, "bfloat16": 4e-3}.get(np.dtype(written).name, 2e-6)
    np.testing.assert_allclose(out.astype(np.float64), true[1], rtol=accuracy, atol=1e-6)


@either_family
@pytest.mark.parametrize(
    ("out", "message"),
    [
        pytest.param(np.zeros((7, 4), np.int64), "floating NumPy array; found int64", id="whole numbers"),
        pytest.param(np.zeros((7, 4), np.complex128), "floating NumPy array; found complex128", id="complex"),
        pytest.param(np.zeros((7, 4), object), "floating NumPy array; found object", id="objects"),
        pytest.param(np.zeros((7, 4), np.longdouble), "floating NumPy array", id="extended precision"),
        pytest.param([[0.0] * 4] * 7, "floating NumPy array; found list", id="list"),
        pytest.param(np.zeros((7, 5)), r"out has shape \(7, 5\), but logits have \(7, 4\)", id="too wide"),
        pytest.param(np.zeros((4, 7)), "out has shape", id="transposed"),
        pytest.param(np.zeros(28), "out has shape", id="flat"),
        pytest.param(np.broadcast_to(0.0, (7, 4)), "read-only", id="read-only"),
    ],
)
def test_out_that_does_not_fit_is_an_error(out, message, family):
    logits, target = example(family)
    with pytest.raises(cp.UserError, match=message):
        cp.loss_and_gradient(logits, target, RECIPES[family], out=out)


def test_out_in_the_other_byte_order_holds_the_gradient_or_is_an_error():
    logits, target = example("softmax")
    out = np.zeros((7, 4), ">f8")
    try:
        cp.loss_and_gradient(logits, target, RECIPES["softmax"], out=out)
    except cp.UserError:
        return
    np.testing.assert_array_equal(out, cp.loss_and_gradient(logits, target, RECIPES["softmax"])[1])


@either_family
@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(lambda room: room[1:], id="one row further"),
        pytest.param(lambda room: room.reshape(-1)[1:-3].reshape(-1, 4), id="one number further"),
        pytest.param(lambda room: room[:-1][::-1], id="backwards"),
        pytest.param(lambda room: room.reshape(-1)[:-4].reshape(4, -1).T, id="transposed"),
    ],
)
def test_out_that_overlaps_the_logits_otherwise_is_an_error_or_right(taken, family):
    logits, target = example(family, rows=3000)
    room = np.concatenate([logits, np.zeros((1, 4))])
    true = cp.loss_and_gradient(logits, target, RECIPES[family])[1]
    try:
        out = cp.loss_and_gradient(room[:-1], target, RECIPES[family], out=taken(room))[1]
    except cp.UserError:
        return
    np.testing.assert_array_equal(out, true)


@either_family
def test_out_beside_the_logits_in_one_table(family):
    table = np.zeros((7, 8))
    table[:, :4], target = example(family)
    true = cp.loss_and_gradient(table[:, :4].copy(), target, RECIPES[family])[1]
    cp.loss_and_gradient(table[:, :4], target, RECIPES[family], out=table[:, 4:])
    np.testing.assert_array_equal(table[:, 4:], true)


@either_family
@pytest.mark.parametrize("bad", ["target", "logits", "sample_weight"])
def test_bad_values_are_an_error_also_where_the_logits_are_overwritten(bad, family):
    logits, target = example(family)
    weight = np.ones(7)
    if bad == "target":
        target[3] = 9
    elif bad == "logits":
        logits[3, 1] = np.nan
    else:
        weight[3] = -1
    with pytest.raises(cp.UserError):
        cp.loss_and_gradient(logits, target, RECIPES[family], weight, out=logits)
