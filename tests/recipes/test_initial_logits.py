"""`initial_logits` are the constant logits with the least expected loss: nothing that an optimiser finds is lower."""

import numpy as np
import pytest

import counterpoise as cp
from cases import COST, COUNTS, LABELS, PAIRS, SIGMOID, SOFTMAX, name_of
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from minimise import expected_loss, minimum

pytestmark = pytest.mark.slow

WITHOUT = ("softmax.recall", "softmax.expected_cost", "cost added", "zero weight", "sigmoid.recall")
WITH = [
    recipe
    for recipe in (*SOFTMAX, *SIGMOID)
    if recipe.name not in WITHOUT and getattr(recipe, "weight_by", "true") == "true"
]


def mixture(seed):
    rng = np.random.default_rng(seed)
    return SoftmaxRecipe(
        name=f"mixture {seed}",
        weight=rng.uniform(0.3, 3.0, 4),
        scale=rng.uniform(0.4, 2.0, 4),
        offset=rng.normal(size=4),
        margin=rng.uniform(0.0, 0.5, 4),
        focus=rng.choice([0.0, 0.5, 2.0]),
        robustness=rng.choice([0.0, 0.3, 0.6]),
        poly=rng.choice([0.0, 1.0]),
        smoothing=rng.choice([0.0, 0.1]),
        temperature=rng.uniform(0.5, 3.0),
    )


def wide_margin(temperature, **shape):
    return SoftmaxRecipe(
        name=f"margin {temperature} {shape}", margin=[0.5, 0.2, 0.3, 0.4], temperature=temperature, **shape
    )


# large margins inside large temperatures, as in LDAM: the expected loss has several valleys
MARGINS = [
    wide_margin(temperature, **shape)
    for temperature in (3.0, 10.0, 30.0)
    for shape in ({}, {"focus": 2.0}, {"robustness": 0.5}, {"focus": 0.5, "poly": 1.0})
]


def shares(recipe):
    return COUNTS.prior if recipe.family == "softmax" else LABELS.prior


@pytest.mark.parametrize("recipe", [*WITH, *MARGINS, *map(mixture, range(12))], ids=name_of)
def test_nothing_is_lower(recipe):
    loss_at = expected_loss(recipe, shares(recipe))
    found = recipe.initial_logits(COUNTS if recipe.family == "softmax" else LABELS)
    loss, slope = loss_at(found)
    np.testing.assert_allclose(slope, 0, atol=1e-9)
    assert loss <= loss_at(minimum(recipe, shares(recipe), starts=6))[0] + 1e-12


@pytest.mark.parametrize(
    "recipe",
    [
        SoftmaxRecipe(name="by predicted", weight=[1, 0.5, 2, 3], weight_by="predicted", focus=1.0),
        SoftmaxRecipe(name="by pair", weight_by="pair", cost=PAIRS + 4 * np.eye(4)),
    ],
    ids=name_of,
)
def test_choice_chooses_itself(recipe):
    """The slope holds the choice constant: under the weights that the choice brings, the logits are best."""
    found = recipe.initial_logits(COUNTS)
    weight = recipe.cost[:, np.argmax(found)] if recipe.weight_by == "pair" else 1.0
    fixed = SoftmaxRecipe(weight=weight, focus=recipe.focus)
    loss, slope = expected_loss(fixed, COUNTS.prior)(found)
    np.testing.assert_allclose(slope, 0, atol=1e-9)
    assert loss <= expected_loss(fixed, COUNTS.prior)(minimum(fixed, COUNTS.prior))[0] + 1e-12


@pytest.mark.parametrize("recipe", WITH, ids=name_of)
def test_posterior_of_them_is_the_prior(recipe):
    counts = COUNTS if recipe.family == "softmax" else LABELS
    if recipe.family == "sigmoid" and recipe.clip:
        counts = cp.LabelCounts([30, 40, 70], total=100)  # clip reaches no probability near 0 or 1
    recovered = recipe.posterior(np.atleast_2d(recipe.initial_logits(counts)))[0]
    np.testing.assert_allclose(recovered, counts.prior, atol=1e-9)


@pytest.mark.parametrize(
    ("recipe", "counts", "expected"),
    [
        pytest.param(cp.softmax.cross_entropy(), [90, 10], np.log([0.9, 0.1]), id="log prior"),
        pytest.param(cp.softmax.weighted([90, 10]), [90, 10], np.log([0.5, 0.5]), id="balanced by weights"),
        pytest.param(cp.softmax.cross_entropy(), [7], [0.0], id="one class"),
        pytest.param(cp.sigmoid.binary_cross_entropy(), [900, 100], np.log(1 / 9), id="log odds"),
        pytest.param(cp.sigmoid.weighted([900, 100]), [900, 100], 0.0, id="balanced by pos_weight"),
    ],
)
def test_known_values(recipe, counts, expected):
    np.testing.assert_allclose(recipe.initial_logits(counts), expected, atol=1e-12)


def test_logit_adjustment_starts_flat():
    found = cp.softmax.logit_adjusted(COUNTS).initial_logits(COUNTS)
    np.testing.assert_allclose(found - found[0], 0, atol=1e-12)


def test_one_logit_for_two_classes_one_per_label_else():
    recipe = cp.sigmoid.focal()
    assert isinstance(recipe.initial_logits([900, 100]), float)
    assert recipe.initial_logits(LABELS).shape == (3,)


@pytest.mark.parametrize(
    ("recipe", "counts", "message"),
    [
        pytest.param(cp.softmax.recall([9, 1]), [9, 1], "no best constant logits: at robustness 1", id="recall"),
        pytest.param(cp.softmax.expected_cost(COST), [1, 1, 1, 1], "expected cost", id="expected cost"),
        pytest.param(cp.softmax.focal(), [9, 0], "class 1 has no sample", id="absent class"),
        pytest.param(cp.softmax.weighted([9, 1]), [9, 1, 1], "counts have 3 classes, but the recipe has 2", id="width"),
        pytest.param(cp.sigmoid.focal(), [9, 0], "only positives or only negatives", id="no positive"),
        pytest.param(cp.sigmoid.focal(), [9, 1, 1], "for two classes .* but counts have 3", id="three classes"),
        pytest.param(cp.sigmoid.recall([9, 1]), [9, 1], "no best constant logit: at robustness 1", id="soft recall"),
        pytest.param(SigmoidRecipe(neg_weight=0.0), [9, 1], "a side of weight 0", id="one side"),
    ],
)
def test_says_why_there_are_none(recipe, counts, message):
    with pytest.raises(cp.UserError, match=message):
        recipe.initial_logits(counts)


def test_no_constant_where_clipped_negatives_never_balance():
    with pytest.raises(cp.UserError, match=r"has no best constant logit for a share of positives of 0\.97"):
        cp.sigmoid.asymmetric().initial_logits([3, 97])
