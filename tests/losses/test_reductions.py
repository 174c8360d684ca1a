"""From many losses to one number: what each reduction divides by, in both families and every framework."""

import numpy as np
import pytest

import counterpoise as cp
from cases import COUNTS, RECIPES, name_of
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from frameworks import FRAMEWORKS

every_framework = pytest.mark.parametrize("framework", FRAMEWORKS, ids=str)
rng = np.random.default_rng(11)
LOGITS, TARGET = rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 2, 2])
SOFT = rng.dirichlet(np.ones(4), size=6)
MULTILABEL, HITS = rng.normal(size=(6, 3)), rng.integers(2, size=(6, 3)).astype(np.float64)
WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 0.0])
CLASS_WEIGHT = np.array([4.0, 2.0, 1.0, 3.0])
WEIGHTED = SoftmaxRecipe(weight=CLASS_WEIGHT)


def each(logits, target, recipe, **options):
    return cp.loss(logits, target, recipe, reduction="none", **options)


@every_framework
@pytest.mark.parametrize(
    ("logits", "target", "recipe", "weight", "entries"),
    [
        pytest.param(LOGITS, TARGET, WEIGHTED, None, 6, id="rows of a softmax"),
        pytest.param(LOGITS, TARGET, WEIGHTED, WEIGHT, 6, id="rows, weights do not enter"),
        pytest.param(MULTILABEL, HITS, cp.sigmoid.focal(alpha=0.3), None, 18, id="elements of a sigmoid"),
        pytest.param(MULTILABEL, HITS, cp.sigmoid.focal(alpha=0.3), WEIGHT, 18, id="elements, weights by row"),
        pytest.param(LOGITS.reshape(2, 3, 4), TARGET.reshape(2, 3), WEIGHTED, None, 6, id="pixels"),
    ],
)
def test_mean_divides_by_entries(logits, target, recipe, weight, entries, framework):
    options = {} if weight is None else {"sample_weight": weight}
    found = framework.loss(recipe, logits, target, reduction="mean", **options)
    np.testing.assert_allclose(found, each(logits, target, recipe, **options).sum() / entries, rtol=1e-12)


@every_framework
def test_ignored_entries_neither_cost_nor_count(framework):
    target = np.array([0, -1, 2, 3, -1, 2])
    kept = target != -1
    found = framework.loss(WEIGHTED, LOGITS, target, ignore_index=-1)
    np.testing.assert_allclose(found, each(LOGITS[kept], target[kept], WEIGHTED).mean(), rtol=1e-12)
    hits = np.where(np.arange(3) == 1, -1.0, HITS)
    recipe = cp.sigmoid.focal()
    found = framework.loss(recipe, MULTILABEL, hits, ignore_index=-1)
    np.testing.assert_allclose(found, each(MULTILABEL[:, [0, 2]], HITS[:, [0, 2]], recipe).mean(), rtol=1e-12)


@every_framework
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_mean_divides_by_the_true_classs_weight(smoothing, framework):
    recipe = SoftmaxRecipe(weight=CLASS_WEIGHT, smoothing=smoothing)
    by = (WEIGHT * CLASS_WEIGHT[TARGET]).sum()
    found = framework.loss(recipe, LOGITS, TARGET, reduction="weighted_mean", sample_weight=WEIGHT)
    np.testing.assert_allclose(found, (WEIGHT * each(LOGITS, TARGET, recipe)).sum() / by, rtol=1e-12)


@every_framework
def test_weighted_mean_of_soft_targets_divides_by_their_weight(framework):
    found = framework.loss(WEIGHTED, LOGITS, SOFT, reduction="weighted_mean")
    np.testing.assert_allclose(found, each(LOGITS, SOFT, WEIGHTED).sum() / (SOFT @ CLASS_WEIGHT).sum(), rtol=1e-12)


@every_framework
def test_weighted_mean_of_a_sigmoid(framework):
    recipe = SigmoidRecipe(pos_weight=[5.0, 1.0, 2.0], neg_weight=0.5)
    by = (WEIGHT[:, None] * np.where(HITS == 1, [5.0, 1.0, 2.0], 0.5)).sum()
    found = framework.loss(recipe, MULTILABEL, HITS, reduction="weighted_mean", sample_weight=WEIGHT)
    np.testing.assert_allclose(found, (WEIGHT[:, None] * each(MULTILABEL, HITS, recipe)).sum() / by, rtol=1e-12)


@every_framework
def test_nonzero_mean_counts_weights_that_are_not_zero(framework):
    found = framework.loss(WEIGHTED, LOGITS, TARGET, reduction="nonzero_mean", sample_weight=WEIGHT)
    np.testing.assert_allclose(found, (WEIGHT * each(LOGITS, TARGET, WEIGHTED)).sum() / 4, rtol=1e-12)


@every_framework
def test_nonzero_mean_counts_after_broadcasting_to_elements(framework):
    recipe = cp.sigmoid.binary_cross_entropy()
    found = framework.loss(recipe, MULTILABEL, HITS, reduction="nonzero_mean", sample_weight=WEIGHT)
    np.testing.assert_allclose(found, (WEIGHT[:, None] * each(MULTILABEL, HITS, recipe)).sum() / 12, rtol=1e-12)


@every_framework
@pytest.mark.parametrize("smoothing", [0.2])
def test_binary_smoothing_is_half_to_each_side(smoothing, framework):
    recipe = SigmoidRecipe(smoothing=smoothing, pos_weight=3.0)
    expected = cp.loss(MULTILABEL, HITS * (1 - smoothing) + smoothing / 2, SigmoidRecipe(pos_weight=3.0))
    np.testing.assert_allclose(framework.loss(recipe, MULTILABEL, HITS), expected, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "nonzero_mean"])
@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
@every_framework
def test_accumulated_steps_are_the_whole_batch(family, reduction, framework):
    recipe, logits, target = (
        (WEIGHTED, LOGITS, TARGET) if family == "softmax" else (cp.sigmoid.focal(alpha=0.3), MULTILABEL, HITS)
    )
    by = {
        "mean": logits.size if family == "sigmoid" else 6,
        "weighted_mean": cp.loss(logits, target, recipe, WEIGHT, "sum")
        / cp.loss(logits, target, recipe, WEIGHT, reduction),
        "nonzero_mean": 12.0 if family == "sigmoid" else 4.0,
    }[reduction]
    whole, slope = framework.loss_and_gradient(recipe, logits, target, reduction=reduction, sample_weight=WEIGHT)
    steps = [
        framework.loss_and_gradient(
            recipe, logits[rows], target[rows], reduction=reduction, sample_weight=WEIGHT[rows], normalizer=float(by)
        )
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6))
    ]
    np.testing.assert_allclose(sum(value for value, _ in steps), whole, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([step for _, step in steps]), slope, rtol=1e-10)


@every_framework
def test_normalizer_may_be_an_array(framework):
    by = framework.array(np.array(12.0))
    found = framework.loss(WEIGHTED, LOGITS, TARGET, normalizer=by)
    np.testing.assert_allclose(found, each(LOGITS, TARGET, WEIGHTED).sum() / 12, rtol=1e-12)


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean", "nonzero_mean"])
def test_closed_form_reduces_alike(recipe, reduction):
    logits, target = (LOGITS, TARGET) if recipe.family == "softmax" else (MULTILABEL, HITS)
    value, gradient = cp.loss_and_gradient(logits, target, recipe, WEIGHT, reduction)
    np.testing.assert_allclose(value, cp.loss(logits, target, recipe, WEIGHT, reduction), rtol=1e-12)
    assert gradient.shape == logits.shape


def test_gradient_is_divided_like_the_value():
    recipe = cp.softmax.focal(COUNTS, weight="inverse")
    _, whole = cp.loss_and_gradient(LOGITS, TARGET, recipe, WEIGHT, "sum")
    for reduction in ("mean", "weighted_mean", "nonzero_mean"):
        value, gradient = cp.loss_and_gradient(LOGITS, TARGET, recipe, WEIGHT, reduction)
        np.testing.assert_allclose(gradient * cp.loss(LOGITS, TARGET, recipe, WEIGHT, "sum"), whole * value, rtol=1e-10)


@every_framework
def test_none_keeps_one_number_for_each_row_or_element(framework):
    assert framework.loss(WEIGHTED, LOGITS, TARGET, reduction="none").shape == (6,)
    assert framework.loss(WEIGHTED, LOGITS.reshape(2, 3, 4), TARGET.reshape(2, 3), reduction="none").shape == (2, 3)
    assert framework.loss(cp.sigmoid.focal(), MULTILABEL, HITS, reduction="none").shape == (6, 3)
