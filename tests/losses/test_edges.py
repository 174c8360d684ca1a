"""Where losses usually break: nothing to count, hidden classes, far logits, odd layouts and dtypes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import counterpoise as cp
from cases import COUNTS, RECIPES, name_of
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from frameworks import FRAMEWORKS

every_framework = pytest.mark.parametrize("framework", FRAMEWORKS, ids=str)
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
EAGER = [framework for framework in FRAMEWORKS if framework.name != "tensorflow-xla"]
MEANS = ("mean", "weighted_mean", "nonzero_mean")
PLAIN, BINARY = cp.softmax.cross_entropy(), cp.sigmoid.binary_cross_entropy()
rng = np.random.default_rng(12)


def width_of(recipe):
    return 4 if recipe.family == "softmax" else 3


def example(recipe, rows=5):
    logits = rng.normal(size=(rows, width_of(recipe)))
    if recipe.family == "softmax":
        return logits, rng.integers(4, size=rows)
    return logits, rng.integers(2, size=(rows, 3)).astype(np.float64)


def is_nothing(value, gradient):
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@every_framework
@pytest.mark.parametrize("reduction", ["sum", *MEANS])
@pytest.mark.parametrize("recipe", [PLAIN, cp.softmax.focal(COUNTS, weight="inverse"), BINARY], ids=name_of)
def test_empty_batch_is_zero(recipe, reduction, framework):
    logits = np.zeros((0, width_of(recipe)))
    target = np.zeros(0, np.int64) if recipe.family == "softmax" else logits
    value, gradient = framework.loss_and_gradient(recipe, logits, target, reduction=reduction)
    is_nothing(value, gradient)
    assert gradient.shape == logits.shape


@every_framework
@pytest.mark.parametrize("reduction", MEANS)
@pytest.mark.parametrize("recipe", [PLAIN, cp.softmax.ldam(COUNTS), BINARY, cp.sigmoid.asymmetric()], ids=name_of)
def test_all_weights_zero_is_zero(recipe, reduction, framework):
    logits, target = example(recipe)
    is_nothing(*framework.loss_and_gradient(recipe, logits, target, reduction=reduction, sample_weight=np.zeros(5)))


@every_framework
@pytest.mark.parametrize("reduction", MEANS)
def test_classes_of_weight_zero_only(reduction, framework):
    recipe = SoftmaxRecipe(weight=[0.0, 0.0, 1.0, 1.0])
    is_nothing(*framework.loss_and_gradient(recipe, rng.normal(size=(3, 4)), np.array([0, 1, 1]), reduction=reduction))


@every_framework
@pytest.mark.parametrize("reduction", MEANS)
def test_all_ignored_is_zero(reduction, framework):
    for recipe, target in ((PLAIN, np.full(3, -100)), (BINARY, np.full((3, 4), -100.0))):
        is_nothing(
            *framework.loss_and_gradient(
                recipe, rng.normal(size=(3, 4)), target, reduction=reduction, ignore_index=-100
            )
        )


@every_framework
def test_nothing_in_none_reduction(framework):
    assert framework.loss(PLAIN, np.zeros((0, 4)), np.zeros(0, np.int64), reduction="none").shape == (0,)


@every_framework
@pytest.mark.parametrize("recipe", [PLAIN, cp.softmax.focal(gamma=0.5), cp.softmax.poly1()], ids=name_of)
def test_one_class_costs_nothing(recipe, framework):
    is_nothing(*framework.loss_and_gradient(recipe, rng.normal(size=(3, 1)), np.zeros(3, np.int64)))


@every_framework
def test_class_absent_from_the_batch_is_still_pushed_down(framework):
    _, gradient = framework.loss_and_gradient(PLAIN, np.zeros((2, 3)), np.array([0, 1]))
    np.testing.assert_allclose(gradient, [[-2 / 3, 1 / 3, 1 / 3], [1 / 3, -2 / 3, 1 / 3]], rtol=1e-12)


@every_framework
@pytest.mark.parametrize("recipe", [PLAIN, cp.softmax.focal(gamma=0.5), cp.softmax.generalized()], ids=name_of)
def test_masked_class_is_as_if_it_were_not_there(recipe, framework):
    logits, target = rng.normal(size=(4, 3)), np.array([0, 1, 2, 1])
    wide = np.insert(logits, 1, -np.inf, axis=1)
    moved = np.where(target >= 1, target + 1, target)
    value, gradient = framework.loss_and_gradient(recipe, wide, moved)
    without, slope = framework.loss_and_gradient(recipe, logits, target)
    np.testing.assert_allclose(value, without, rtol=1e-12)
    np.testing.assert_allclose(gradient, np.insert(slope, 1, 0.0, axis=1), rtol=1e-10)


@every_framework
@pytest.mark.parametrize(
    ("recipe", "expected"),
    [(PLAIN, np.inf), (cp.softmax.focal(), np.inf), (cp.softmax.generalized(q=0.5), 2.0)],
    ids=["plain", "focal", "generalized"],
)
def test_masked_true_class_costs_all_and_teaches_nothing(recipe, expected, framework):
    value, gradient = framework.loss_and_gradient(recipe, np.array([[-np.inf, 0.0, 1.0]]), np.array([0]))
    assert value == expected
    assert not np.isnan(gradient).any()
    assert gradient[0, 0] == 0  # no step could bring a hidden class back


@every_framework
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("focus", [0.1, 0.9])
def test_focus_below_one_has_a_slope_where_it_is_right(focus, dtype, framework):
    """Its textbook form is NaN there: 0 ** (focus - 1) times 0."""
    right = np.array([[gap, 0.0] for gap in (10.0, 20.0, 50.0, 100.0, 1e4)], dtype)
    logits = np.concatenate([right, -right])
    value, gradient = framework.loss_and_gradient(SoftmaxRecipe(focus=focus), logits, np.zeros(10, np.int64))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[5:, 0], -1, rtol=1e-3)  # surely wrong: the full slope
    both = SigmoidRecipe(pos_focus=focus, neg_focus=focus)
    value, gradient = framework.loss_and_gradient(both, logits, np.ones((10, 2), dtype))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[5:, 0], -1, rtol=1e-3)


@every_framework
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_recipe
def test_far_logits_stay_finite(recipe, dtype, framework):
    width = width_of(recipe)
    logits = np.array([[1e4, *[-1e4] * (width - 1)], [-1e4, *[1e4] * (width - 1)]], dtype)
    target = np.array([0, 0]) if recipe.family == "softmax" else np.array([[1.0, 0, 1], [0, 1, 1]], dtype)
    value, gradient = framework.loss_and_gradient(recipe, logits, target)
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(gradient).all()


@every_framework
def test_single_precision_keeps_its_digits_at_a_gap_of_100(framework):
    logits = np.array([[0.0, 100.0], [0.0, -100.0], [0.0, -20.0]], np.float32)
    value, gradient = framework.loss_and_gradient(PLAIN, logits[:1], np.zeros(1, np.int64))
    np.testing.assert_allclose([value, gradient[0, 0]], [100.0, -1.0], rtol=1e-7)
    value, gradient = framework.loss_and_gradient(PLAIN, logits[2:], np.zeros(1, np.int64))
    # log1p(e^-20), where log(1 + e^-20) in float32 is 0
    np.testing.assert_allclose([value, gradient[0, 1]], [2.0611536e-09, 2.0611536e-09], rtol=1e-6)


@pytest.mark.parametrize("framework", EAGER, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("recipe", [PLAIN, cp.softmax.logit_adjusted(COUNTS)], ids=name_of)
def test_class_axis_is_only_a_matter_of_layout(recipe, soft, framework):
    last = rng.normal(size=(2, 3, 5, 4))
    target = rng.dirichlet(np.ones(4), size=(2, 3, 5)) if soft else rng.integers(4, size=(2, 3, 5))
    first = np.moveaxis(last, -1, 1)
    moved = np.moveaxis(target, -1, 1) if soft else target
    for reduction in ("none", "mean"):
        expected = cp.loss(last, target, recipe, reduction=reduction)
        found = framework.loss(recipe, first, moved, class_axis=1, reduction=reduction)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    _, gradient = framework.loss_and_gradient(recipe, first, moved, class_axis=1)
    _, expected = cp.loss_and_gradient(last, target, recipe, reduction="sum")
    np.testing.assert_allclose(gradient, np.moveaxis(expected, -1, 1), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("framework", EAGER, ids=str)
def test_label_axis_of_a_sigmoid(framework):
    recipe = SigmoidRecipe(pos_weight=[1.0, 2.0, 5.0])
    last, target = rng.normal(size=(2, 4, 3)), rng.integers(2, size=(2, 4, 3)).astype(np.float64)
    found = framework.loss(recipe, np.moveaxis(last, -1, 1), np.moveaxis(target, -1, 1), class_axis=1, reduction="none")
    np.testing.assert_allclose(found, np.moveaxis(cp.loss(last, target, recipe, reduction="none"), -1, 1), rtol=1e-12)


@every_framework
@pytest.mark.parametrize("logits_shape", [(6,), (6, 1)])
@pytest.mark.parametrize("target_shape", [(6,), (6, 1)])
def test_one_label_with_or_without_its_axis(logits_shape, target_shape, framework):
    logits, target = np.linspace(-2, 2, 6), np.array([0.0, 1, 1, 0, 1, 0])
    found = framework.loss(
        cp.sigmoid.focal(), logits.reshape(logits_shape), target.reshape(target_shape), reduction="none"
    )
    assert found.shape == logits_shape
    np.testing.assert_allclose(found.ravel(), cp.loss(logits, target, cp.sigmoid.focal(), reduction="none"), rtol=1e-12)


@every_framework
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, bool], ids=lambda d: np.dtype(d).name)
def test_target_dtypes(dtype, framework):
    logits, hits = rng.normal(size=(4, 3)), rng.integers(2, size=(4, 3))
    expected = cp.loss(logits, hits.astype(np.float64), BINARY)
    np.testing.assert_allclose(framework.loss(BINARY, logits, hits.astype(dtype)), expected, rtol=1e-12)
    one_hot = np.eye(3)[[0, 2, 1, 1]]
    expected = cp.loss(logits, [0, 2, 1, 1], PLAIN)
    np.testing.assert_allclose(framework.loss(PLAIN, logits, one_hot.astype(dtype)), expected, rtol=1e-12)
    if dtype is not bool:
        target = np.array([0, 2, 1, 1], dtype)
        np.testing.assert_allclose(framework.loss(PLAIN, logits, target), expected, rtol=1e-12)
        np.testing.assert_allclose(framework.loss(PLAIN, logits, target[:, None]), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, bool], ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("framework", EAGER, ids=str)
def test_ignore_index_that_the_targets_dtype_cannot_hold_ignores_nothing(dtype, framework):
    logits, hits = rng.normal(size=(3,)), np.array([1, 0, 1], dtype)
    found = framework.loss(BINARY, logits, hits, ignore_index=-1)
    np.testing.assert_allclose(found, cp.loss(logits, hits, BINARY), rtol=1e-12)


@pytest.mark.parametrize("framework", EAGER, ids=str)
def test_target_and_weight_as_lists(framework):
    logits = np.array([[0.5, -1.0], [0.25, 0.125]], np.float32)
    with_arrays = cp.loss(logits, np.array([1, 0]), PLAIN, sample_weight=np.array([2.0, 1.0]))
    found = cp.loss(framework.array(logits), [1, 0], PLAIN, sample_weight=[2, 1])
    np.testing.assert_allclose(framework.numpy(found), with_arrays, rtol=1e-6)


def test_logits_as_lists():
    assert cp.loss([[0.0, 0.0]], [1], PLAIN) == pytest.approx(np.log(2))


@every_framework
def test_weight_of_a_row_weighs_a_row_even_in_a_square_batch(framework):
    logits, target = rng.normal(size=(3, 3)), rng.integers(2, size=(3, 3)).astype(np.float64)
    weight = np.array([1.0, 10.0, 100.0])
    found = framework.loss(BINARY, logits, target, sample_weight=weight, reduction="none")
    np.testing.assert_allclose(found, weight[:, None] * cp.loss(logits, target, BINARY, reduction="none"), rtol=1e-12)


@every_framework
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3), ()], ids=str)
def test_weight_shapes(shape, framework):
    logits, target = rng.normal(size=(4, 3)), rng.integers(2, size=(4, 3)).astype(np.float64)
    weight = rng.uniform(size=shape)
    spread = np.broadcast_to(weight[:, None] if shape == (4,) else weight, (4, 3))
    found = framework.loss(BINARY, logits, target, sample_weight=np.asarray(weight), reduction="none")
    np.testing.assert_allclose(found, spread * cp.loss(logits, target, BINARY, reduction="none"), rtol=1e-12)


@every_framework
def test_weight_of_a_sample_spreads_over_its_pixels(framework):
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(4, size=(2, 3))
    weight = np.array([2.0, 5.0])
    found = framework.loss(PLAIN, logits, target, sample_weight=weight, reduction="none")
    np.testing.assert_allclose(found, weight[:, None] * cp.loss(logits, target, PLAIN, reduction="none"), rtol=1e-12)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2], lambda a: a[::-1][::-1]])
@every_recipe
def test_strides_do_not_matter(recipe, layout):
    logits, target = example(recipe)
    expected = cp.loss_and_gradient(logits, target, recipe)
    for found, true in zip(cp.loss_and_gradient(layout(logits), target, recipe), expected, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-12)


def test_torch_views_and_expanded_tensors():
    import torch

    logits = torch.randn(4, 6, dtype=torch.float64).T[::2]
    target = torch.tensor([1]).expand(3)
    expected = cp.loss(logits.contiguous().numpy(), np.array([1, 1, 1]), PLAIN)
    np.testing.assert_allclose(cp.loss(logits, target, PLAIN).item(), expected, rtol=1e-12)


@every_recipe
def test_inputs_are_left_alone(recipe):
    logits, target = example(recipe)
    logits.setflags(write=False)
    target.setflags(write=False)
    before = logits.copy(), target.copy()
    cp.loss(logits, target, recipe)
    cp.loss_and_gradient(logits, target, recipe, curvature=True)
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_array_equal(target, before[1])


@settings(deadline=None, max_examples=60)
@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
    axis=st.integers(0, 3),
    recipe=st.sampled_from([PLAIN, cp.softmax.focal(gamma=0.5), BINARY, cp.sigmoid.asymmetric()]),
    data=st.data(),
)
def test_any_shape(shape, axis, recipe, data):
    axis = axis % len(shape)
    logits = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-50, 50)))
    softmax = recipe.family == "softmax"
    rows = tuple(size for place, size in enumerate(shape) if place != axis) if softmax else shape
    target = data.draw(hnp.arrays(np.int64, rows, elements=st.integers(0, shape[axis] - 1 if softmax else 1)))
    each, gradient = cp.loss_and_gradient(logits, target, recipe, reduction="none", class_axis=axis)
    assert each.shape == rows and gradient.shape == shape
    assert np.isfinite(each).all() and (each >= 0).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose(cp.loss(logits, target, recipe, class_axis=axis), each.mean(), rtol=1e-12, atol=1e-300)
    if softmax:
        np.testing.assert_allclose(gradient.sum(axis=axis), 0, atol=1e-12)  # a shift of all logits changes nothing


@every_framework
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_and_huge_logits_of_two_classes_with_scales_of_their_own(dtype, framework):
    recipe = cp.softmax.vector_scaling([900, 100])
    logits = np.array([[-np.inf, 1.0], [2.0, -np.inf], [1e38, 1.0], [0.5, 0.25]], dtype)
    value, gradient = framework.loss_and_gradient(recipe, logits, np.array([1, 0, 0, 1]))
    usual, own = framework.loss_and_gradient(recipe, logits[3:], np.array([1]))
    np.testing.assert_allclose(value, usual, rtol=1e-6)  # the others are surely right
    np.testing.assert_allclose(gradient, np.append(np.zeros((3, 2)), own, axis=0), rtol=1e-5)


@pytest.mark.parametrize("logits", [[np.inf, 0.0, 0.0], [0.0, np.inf, 0.0]])
def test_an_infinite_logit_has_no_gradient_in_torch(logits):
    import torch

    z = torch.tensor([logits], requires_grad=True)
    cp.loss(z, torch.tensor([0]), PLAIN).backward()
    assert torch.isnan(z.grad).any()
