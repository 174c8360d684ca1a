"""What is ignored or weighs nothing is not looked at: its logits may be NaN, and its gradient is 0."""

import jax
import numpy as np
import pytest
import torch

import counterpoise as cp
from cases import COUNTS, RECIPES, name_of
from counterpoise.recipes import SoftmaxRecipe
from frameworks import FRAMEWORKS

EAGER = [framework for framework in FRAMEWORKS if framework.name != "tensorflow-xla"]
every_framework = pytest.mark.parametrize("framework", EAGER, ids=str)
RNG = np.random.default_rng(31)
KEPT = np.array([True, False, True, True, False, True])
ROWS = np.array([0, 1, 2, 3, 1, 2])
BAD = {
    "NaN": np.full(4, np.nan),
    "one NaN": np.array([0.5, np.nan, -1.0, 2.0]),
    "infinite": np.array([np.inf, 0.0, 1.0, 2.0]),
    "all masked": np.full(4, -np.inf),
}
SOME = [cp.softmax.cross_entropy(), cp.softmax.ldam(COUNTS, weight="inverse"), SoftmaxRecipe(smoothing=0.1, focus=1.5)]


def example(recipe, bad):
    """Logits whose rows that do not count are bad, and a target."""
    softmax = recipe.family == "softmax"
    logits = RNG.normal(size=(6, 4 if softmax else 3))
    logits[~KEPT] = bad[: logits.shape[1]]
    return logits, ROWS if softmax else RNG.integers(2, size=(6, 3)).astype(np.float64)


def marked(target, how):
    """Target and options that leave the rows out."""
    if how == "ignored":
        kept = KEPT if target.ndim == 1 else KEPT[:, None]
        return np.where(kept, target, -100).astype(target.dtype), {"ignore_index": -100}
    return target, {"sample_weight": KEPT.astype(np.float64)}


@pytest.mark.parametrize("reduction", ["sum", "weighted_mean"])
@pytest.mark.parametrize("how", ["ignored", "weightless"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("recipe", [*SOME, cp.sigmoid.asymmetric()], ids=str)
@every_framework
def test_bad_logits_of_rows_that_do_not_count(recipe, bad, how, reduction, framework):
    if recipe.family == "sigmoid" and bad != "NaN":
        pytest.skip("an infinite logit of a sigmoid has a meaning")
    logits, target = example(recipe, BAD[bad])
    given, options = marked(target, how)
    value, gradient = framework.loss_and_gradient(recipe, logits, given, reduction=reduction, **options)
    expected, slope = cp.loss_and_gradient(logits[KEPT], target[KEPT], recipe, reduction=reduction)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(gradient[KEPT], slope, rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(gradient[~KEPT], 0)


@pytest.mark.parametrize("how", ["ignored", "weightless"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_the_kernels_do_not_look_at_them_either(recipe, dtype, how):
    logits, target = example(recipe, BAD["NaN"])
    given, options = marked(target, how)
    options = {name: np.asarray(value, dtype) if name == "sample_weight" else value for name, value in options.items()}
    found = cp.loss_and_gradient(logits.astype(dtype), given, recipe, curvature=True, **options)
    clean = np.where(np.isnan(logits), 0.25, logits).astype(dtype)
    for one, other in zip(found, cp.loss_and_gradient(clean, given, recipe, curvature=True, **options), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [2, 3, 40, 300])
@pytest.mark.parametrize("out", [False, True])
def test_the_kernels_of_few_and_of_many_classes(classes, out):
    logits, target = RNG.normal(size=(100, classes)).astype(np.float32), RNG.integers(classes, size=100)
    left_out = RNG.random(100) < 0.3
    expected = cp.loss_and_gradient(logits, np.where(left_out, -1, target), SOME[0], ignore_index=-1)
    spoilt = np.where(left_out[:, None], np.nan, logits).astype(np.float32)
    options = {"out": spoilt} if out else {}
    found = cp.loss_and_gradient(spoilt, np.where(left_out, -1, target), SOME[0], ignore_index=-1, **options)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("form", ["lists", "float16", "channels first"])
def test_in_every_form_that_numpy_takes(form):
    logits, target = np.full((2, 4, 3), 0.5), np.array([[0, 1, -1], [2, -1, 3]])
    logits[0, :, 2] = logits[1, :, 1] = np.nan
    given = {"lists": logits.tolist(), "float16": logits.astype(np.float16), "channels first": logits}[form]
    value = cp.loss(given, target, SOME[0], ignore_index=-1, class_axis=1)
    np.testing.assert_allclose(value, np.log(4), rtol=1e-6)
    with pytest.raises(cp.UserError, match=r"logits\[0, 0, 2\] is NaN"):
        cp.loss(given, np.abs(target), SOME[0], class_axis=1)


@pytest.mark.parametrize("recipe", [SoftmaxRecipe(weight=[0.0, 1, 1, 1]), cp.sigmoid.recall([9, 1])], ids=str)
@every_framework
def test_a_class_that_weighs_nothing_hides_no_nan(recipe, framework):
    """The weight is that of the class, not of the row: the model has diverged."""
    logits = np.full((2, 4), np.nan)
    target = np.array([0, 0]) if recipe.family == "softmax" else np.zeros((2, 4))
    if framework.name == "numpy":
        with pytest.raises(cp.UserError, match=r"logits\[0, 0\] is NaN"):
            framework.loss(recipe, logits, target)
    else:
        assert np.isnan(framework.loss(recipe, logits, target))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@every_framework
def test_nan_marks_targets_of_a_sigmoid_to_leave_out(dtype, framework):
    logits = RNG.normal(size=(5, 3)).astype(dtype)
    target = np.array([[1, 0, np.nan], [np.nan, np.nan, 1], [0, 1, 1], [np.nan, 0, 0], [1, 1, 0]], dtype)
    kept, recipe = ~np.isnan(target), cp.sigmoid.focal(alpha=0.3)
    for reduction in ("mean", "weighted_mean", "nonzero_mean"):
        found, slope = framework.loss_and_gradient(
            recipe, logits, target, reduction=reduction, ignore_index=float("nan")
        )
        expected = cp.loss(logits[kept], target[kept], recipe, reduction=reduction)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        np.testing.assert_array_equal(slope[~kept], 0)
    with pytest.raises(cp.UserError, match="target"):
        framework.loss(recipe, logits, target)  # without the option it is a mistake
    with pytest.raises(cp.UserError, match=r"target.* is -1"):
        framework.loss(recipe, logits, np.where(kept, target, -1).astype(dtype), ignore_index=float("nan"))


@pytest.mark.parametrize("reduction", ["sum", "mean", "weighted_mean", "nonzero_mean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_nan_marks_targets_of_a_linear_loss_too(framework, dtype, reduction):
    features, layer = RNG.normal(size=(5, 2)).astype(dtype), RNG.normal(size=(3, 2)).astype(dtype)
    target = np.array([[1, 0, np.nan], [np.nan, np.nan, 1], [0, 1, 1], [np.nan, 0, 0], [1, 1, 0]], dtype)
    options = {"reduction": reduction, "ignore_index": float("nan")}
    recipe = cp.sigmoid.weighted(pos_weight=[2.0, 3.0, 4.0])
    make = {"numpy": np.asarray, "torch": torch.tensor, "jax": jax.numpy.asarray}[framework]
    found = cp.linear_loss(make(features), make(layer), None, make(target), recipe, **options)
    np.testing.assert_allclose(float(found), cp.loss(features @ layer.T, target, recipe, **options), rtol=1e-5)


@pytest.mark.parametrize("ignored", [float("nan"), np.float32("nan"), float("inf"), 1.5, True])
@every_framework
def test_class_indices_to_leave_out_are_integers(ignored, framework):
    with pytest.raises(cp.UserError, match="ignore_index"):
        framework.loss(SOME[0], np.zeros((2, 4)), np.array([0, 1]), ignore_index=ignored)


@pytest.mark.parametrize("ignored", [np.int64(-100), np.float64(-100), -100.0])
@every_framework
def test_a_number_of_numpy_is_a_number(ignored, framework):
    logits, target = RNG.normal(size=(3, 4)), np.array([0, -100, 2])
    found = framework.loss(SOME[0], logits, target, ignore_index=ignored)
    np.testing.assert_allclose(found, cp.loss(logits[[0, 2]], target[[0, 2]], SOME[0]), rtol=1e-12)


@pytest.mark.parametrize("normalizer", [0, 0.0, -1.0, np.float32(0), np.zeros(()), np.array(-2.0)])
@every_framework
def test_a_normalizer_of_zero_is_an_error_whatever_it_is_made_of(normalizer, framework):
    given = framework.array(normalizer) if isinstance(normalizer, np.ndarray) else normalizer
    with pytest.raises(cp.UserError, match="normalizer is "):
        cp.loss(framework.array(np.zeros((2, 4))), framework.array(np.array([0, 1])), SOME[0], normalizer=given)


def test_messages_do_not_print_whole_arrays():
    large = np.arange(10_000.0)
    for options in ({"normalizer": large}, {"ignore_index": large}):
        with pytest.raises(
            cp.UserError, match=r"an array of shape \(10000,\), float64: 0.0, 1.0, 2.0, 3.0, \.\.\."
        ) as e:
            cp.loss(np.zeros((2, 4)), [0, 1], SOME[0], **options)
        assert len(str(e.value)) < 200
    for made in (
        lambda: cp.softmax.focal(gamma=large),
        lambda: cp.softmax.weighted(weight=["high"] * 10_000),
        lambda: cp.sigmoid.weighted(pos_weight=["high"] * 10_000),
        lambda: cp.ClassCounts([large, large]),
        lambda: cp.class_weights([9, 1], "effective_number", beta=large),
    ):
        with pytest.raises(cp.UserError) as e:
            made()
        assert len(str(e.value)) < 300 and "\n" not in str(e.value)
    with pytest.raises(cp.UserError, match="recipe is an array of shape") as e:
        cp.loss(np.zeros((2, 4)), [0, 1], large)
    assert len(str(e.value)) < 200
