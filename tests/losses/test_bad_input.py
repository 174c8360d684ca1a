"""What cannot be right is refused, and the message says what was found and what to do."""

import numpy as np
import pytest

import counterpoise as cp
from cases import COUNTS
from frameworks import FRAMEWORKS

EAGER = [framework for framework in FRAMEWORKS if framework.name != "tensorflow-xla"]
in_every_framework = pytest.mark.parametrize("framework", EAGER, ids=str)
PLAIN, BINARY = cp.softmax.cross_entropy(), cp.sigmoid.binary_cross_entropy()
WEIGHTED = cp.softmax.weighted(COUNTS)
ROWS, FOUR = np.array([0, 1, 2]), np.zeros((3, 4), np.float32)
ELEMENTS = np.zeros((3, 4), np.float32)

SHAPES_AND_DTYPES = [
    (PLAIN, FOUR, np.array([0, 1]), {}, r"logits \(3, 4\) .* need an integer target \(3,\) or a soft target \(3, 4\)"),
    (PLAIN, FOUR, np.zeros((3, 5), np.float32), {}, r"found \(3, 5\) of dtype"),
    (PLAIN, FOUR, np.zeros(3, np.float32), {}, "Class indices must be integers"),
    (
        PLAIN,
        np.zeros((2, 4, 5), np.float32),
        np.zeros((2, 5), np.int64),
        {},
        r"Is the class axis 1\? Pass class_axis=1",
    ),
    (PLAIN, FOUR.astype(np.int64), ROWS, {}, "they must be floating"),
    (PLAIN, np.float32(1.0), np.int64(0), {}, "logits are one number; a softmax loss needs a class axis"),
    (PLAIN, FOUR, ROWS, {"class_axis": 2}, r"class_axis is 2, but logits of shape \(3, 4\) have 2 axes"),
    (BINARY, FOUR, ELEMENTS, {"class_axis": -3}, r"class_axis is -3, but logits of shape \(3, 4\) have 2 axes"),
    (WEIGHTED, np.zeros((3, 5), np.float32), ROWS, {}, "logits have 5 classes on axis -1, but the recipe has 4"),
    (PLAIN, np.zeros((3, 0), np.float32), ROWS, {}, r"logits of shape \(3, 0\) have no class"),
    (BINARY, FOUR, np.zeros((3, 5), np.float32), {}, r"of the logits' shape \(3, 4\); found \(3, 5\)"),
    (BINARY, FOUR, ROWS, {}, r"of the logits' shape \(3, 4\); found \(3,\)"),
    (
        cp.sigmoid.weighted(pos_weight=[1, 2]),
        FOUR,
        ELEMENTS,
        {},
        "logits have 4 labels on axis -1, but the recipe has 2",
    ),
    (PLAIN, FOUR, ELEMENTS + 0.25, {"ignore_index": -1}, "ignore_index is for integer targets"),
    (PLAIN, FOUR, ROWS, {"sample_weight": np.ones(4, np.float32)}, r"sample_weight has shape \(4,\), .* of \(3,\)"),
    (PLAIN, FOUR, ROWS, {"sample_weight": np.ones((3, 4), np.float32)}, r"sample_weight has shape \(3, 4\)"),
    (
        BINARY,
        FOUR,
        ELEMENTS,
        {"sample_weight": np.ones(4, np.float32)},
        r"shape \(4,\), but the loss has shape \(3, 4\)",
    ),
    (
        PLAIN,
        FOUR,
        ROWS,
        {"reduction": "avg"},
        "unknown reduction 'avg'.* known: none, sum, mean, weighted_mean, nonzero",
    ),
    (PLAIN, FOUR, ROWS, {"reduction": "weigthed_mean"}, "did you mean 'weighted_mean'"),
    (PLAIN, FOUR, ROWS, {"reduction": "sum", "normalizer": 3.0}, "has no denominator that normalizer could replace"),
    (PLAIN, FOUR, ROWS, {"normalizer": 0}, "normalizer is 0; .* must be greater than 0"),
    (PLAIN, FOUR, ROWS, {"normalizer": -2.0}, "normalizer is -2;"),
    (PLAIN, FOUR, ROWS, {"normalizer": float("nan")}, "normalizer is nan"),
    (PLAIN, FOUR, ROWS, {"normalizer": np.array([1.0, 2.0])}, "normalizer"),
    (PLAIN, FOUR, ROWS, {"normalizer": "batch"}, "normalizer"),
    ("softmax.focal", FOUR, ROWS, {}, "recipe is 'softmax.focal'; pass a recipe"),
    (cp.softmax.focal, FOUR, ROWS, {}, "pass a recipe, such as"),
]

VALUES = [
    (PLAIN, FOUR, np.array([0, 4, 1]), {}, r"target holds class 4, but the recipe has 4 classes \(0 to 3\)"),
    (
        PLAIN,
        FOUR,
        np.array([0, -1, 1]),
        {},
        "target holds class -1, .*; pass ignore_index if it marks rows to leave out",
    ),
    (PLAIN, FOUR, np.array([0, 9, -100]), {"ignore_index": -100}, "target holds class 9"),
    (BINARY, FOUR, ELEMENTS + 2, {}, r"target\[0, 0\] is 2; a sigmoid target lies between 0 and 1"),
    (
        BINARY,
        FOUR,
        ELEMENTS - 1,
        {},
        r"target\[0, 0\] is -1; .* \(pass ignore_index if it marks entries to leave out\)",
    ),
    (BINARY, FOUR, ELEMENTS + np.nan, {}, r"target\[0, 0\] is nan"),
    (PLAIN, FOUR, ROWS, {"sample_weight": np.array([1, np.nan, 1], np.float32)}, r"sample_weight\[1\] is nan"),
    (PLAIN, FOUR, ROWS, {"sample_weight": np.array([1, 1, -2], np.float32)}, r"sample_weight\[2\] is -2"),
    (PLAIN, FOUR, ROWS, {"sample_weight": np.array([np.inf, 1, 1], np.float32)}, r"sample_weight\[0\] is inf"),
    (BINARY, FOUR, ELEMENTS, {"sample_weight": np.array([1, -1, 1], np.float32)}, r"sample_weight\[1\] is -1"),
]

NUMPY_VALUES = [
    (PLAIN, FOUR + np.nan, ROWS, {}, r"logits\[0, 0\] is NaN; the model diverged or its input was missing"),
    (BINARY, FOUR + np.nan, ELEMENTS, {}, r"logits\[0, 0\] is NaN"),
    (PLAIN, FOUR + np.inf, ROWS, {}, r"logits\[0, 0\] is \+inf; only -inf is allowed, which masks a class"),
    (PLAIN, FOUR - np.inf, ROWS, {}, r"logits\[0\] are -inf for every class"),
    (PLAIN, FOUR, ELEMENTS - 0.5, {}, r"target\[0, 0\] is -0.5; a soft target's shares are finite and at least 0"),
    (PLAIN, FOUR, ELEMENTS + np.nan, {}, r"target\[0, 0\] is nan; a soft target"),
    (PLAIN, FOUR, np.array(["a", "b", "c"]), {}, "target is of dtype <U1; .* integers 0 to C - 1"),
    (PLAIN, FOUR, np.array(["a", "b", None]), {}, "target is of dtype object"),
    (PLAIN, FOUR, None, {}, "target is of dtype object"),
    (PLAIN, FOUR, ROWS, {"sample_weight": ["a", "b", "c"]}, "sample_weight is of dtype <U1; a loss needs numbers"),
    (PLAIN, FOUR.astype(complex), ROWS, {}, "logits are of dtype complex128; they must be floating"),
    (PLAIN, [[0.0, 1.0], [0.0]], [0, 1], {}, "logits"),
]


def parametrized(cases):
    return pytest.mark.parametrize(
        ("recipe", "logits", "target", "options", "message"), cases, ids=[str(place) for place in range(len(cases))]
    )


@in_every_framework
@parametrized(SHAPES_AND_DTYPES + VALUES)
def test_loss_refuses(recipe, logits, target, options, message, framework):
    arrays = {k: framework.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises(cp.UserError, match=message):
        cp.loss(framework.array(logits), framework.array(target), recipe, **arrays)


@parametrized(SHAPES_AND_DTYPES + VALUES + NUMPY_VALUES)
def test_loss_and_gradient_refuses(recipe, logits, target, options, message):
    with pytest.raises(cp.UserError, match=message):
        cp.loss_and_gradient(logits, target, recipe, **options)


@parametrized(NUMPY_VALUES)
def test_loss_of_numpy_refuses(recipe, logits, target, options, message):
    with pytest.raises(cp.UserError, match=message):
        cp.loss(logits, target, recipe, **options)


@pytest.mark.parametrize("logits", [None, "logits", {0.5}, 3], ids=str)
@pytest.mark.parametrize("function", [cp.loss, cp.loss_and_gradient])
def test_logits_that_are_no_array(function, logits):
    with pytest.raises(cp.UserError, match=r"of type builtins|takes NumPy arrays"):
        function(logits, [0], PLAIN)


def test_loss_and_gradient_is_for_numpy():
    torch = FRAMEWORKS[1].torch
    with pytest.raises(cp.UserError, match=r"takes NumPy arrays; found torch.Tensor. Other frameworks differentiate"):
        cp.loss_and_gradient(torch.zeros(3, 4), ROWS, PLAIN)


@pytest.mark.parametrize(
    ("framework", "traced"),
    [
        (FRAMEWORKS[2], lambda f, loss: f.tf.function(loss)),
        (FRAMEWORKS[3], lambda f, loss: f.tf.function(loss, jit_compile=True)),
        (FRAMEWORKS[4], lambda f, loss: f.jax.jit(loss)),
        (FRAMEWORKS[1], lambda f, loss: f.torch.func.vmap(loss)),
    ],
    ids=["tf.function", "XLA", "jax.jit", "torch.func.vmap"],
)
def test_class_out_of_range_under_tracing_is_nan(framework, traced):
    loss = traced(framework, lambda z, y: cp.loss(z, y, PLAIN, reduction="none"))
    each = loss(framework.array(FOUR), framework.array(np.array([0, 7, 1])))
    np.testing.assert_array_equal(np.isnan(framework.numpy(each)), [False, True, False])


@in_every_framework
@pytest.mark.parametrize(
    ("recipe", "logits", "options", "message"),
    [
        (WEIGHTED, np.zeros((2, 3), np.float32), {}, "logits have 3 classes on axis -1, but the recipe has 4"),
        (WEIGHTED, np.zeros((2, 4), np.int64), {}, "they must be floating"),
        (WEIGHTED, np.zeros((2, 4), np.float32), {"prior": [0.5, 0.5]}, "prior must have 4 shares"),
        (WEIGHTED, np.zeros((2, 4), np.float32), {"prior": [0.4, 0.4, 0.4, 0.4]}, "prior sums to 1.6"),
        (WEIGHTED, np.zeros((2, 4), np.float32), {"prior": [1.2, -0.2, 0.0, 0.0]}, r"prior\[1\] is -0.2"),
        (WEIGHTED, np.zeros((2, 4), np.float32), {"class_axis": 2}, "class_axis is 2"),
        (WEIGHTED, np.float32(1.0), {}, "class axis"),
        (cp.sigmoid.focal([9, 1]), np.zeros(2, np.float32), {"prior": 1.5}, "prior is 1.5"),
        (cp.sigmoid.weighted(pos_weight=[1, 2]), np.zeros((2, 3), np.float32), {}, "logits have 3 labels"),
    ],
    ids=["width", "integers", "short prior", "prior sum", "negative prior", "axis", "scalar", "share", "labels"],
)
def test_posterior_refuses(recipe, logits, options, message, framework):
    with pytest.raises(cp.UserError, match=message):
        recipe.posterior(framework.array(logits), **options)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.array([[0.0, np.nan]]), r"logits\[0, 1\] is NaN"),
        (np.array([[0.0, np.inf]]), r"logits\[0, 1\] is \+inf"),
        (np.array([[-np.inf, -np.inf]]), "-inf for every class"),
    ],
    ids=["nan", "inf", "all masked"],
)
def test_posterior_of_numpy_refuses(logits, message):
    with pytest.raises(cp.UserError, match=message):
        PLAIN.posterior(logits)


def test_user_error_is_a_value_error():
    assert issubclass(cp.UserError, ValueError)
