"""After minimising the expected loss, `posterior` gives back the probabilities that it was the expectation under."""

import numpy as np
import pytest

import counterpoise as cp
from cases import COST, COUNTS, LABELS, PAIRS, SIGMOID, SOFTMAX, name_of
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from frameworks import FRAMEWORKS
from minimise import minimum

WITHOUT = {
    "softmax.recall": "robustness 1",
    "softmax.expected_cost": "expected cost",
    "cost added": "expected cost",
    "zero weight": "weight 0",
    "by predicted": "weight 0",
    "sigmoid.recall": "robustness 1",
}
HONEST = [recipe for recipe in (*SOFTMAX, *SIGMOID) if recipe.name not in WITHOUT]
BY_TRUE = [
    recipe
    for recipe in HONEST
    if getattr(recipe, "weight_by", "true") == "true"
    # clip with poly reaches no small and no large probability: test_clip_bounds_what_can_be_told
    and not (recipe.family == "sigmoid" and recipe.clip and recipe.poly)
]
BY_CHOICE = [
    *(recipe for recipe in SOFTMAX if recipe.weight_by != "true" and recipe.name not in ("by pair", "by predicted")),
    SoftmaxRecipe(name="by predicted, all learned", weight=[1, 0.5, 2, 3], weight_by="predicted"),
    # a pair's weight must favour the right choice, else no choice is best for itself
    SoftmaxRecipe(name="by pair", weight_by="pair", cost=PAIRS + 4 * np.eye(4)),
]


def probabilities(family, seed, rows=3):
    """Random p(y | x), none of them so small that only rounding is left of it."""
    rng = np.random.default_rng(seed)
    if family == "softmax":
        return 0.9 * rng.dirichlet(np.ones(4), size=rows) + 0.025
    return rng.uniform(0.15, 0.9, size=(rows, 3))


def mixture(family, seed):
    """A recipe with a random value in every parameter, each left out now and then."""
    rng = np.random.default_rng(seed)
    width = 4 if family == "softmax" else 3
    focus, other_focus = rng.choice([0.0, 0.4, 1.0, 2.0, 3.0], size=2)
    shared = {
        "scale": rng.uniform(0.4, 2.0, width),
        "offset": rng.normal(size=width),
        "robustness": rng.choice([0.0, 0.2, 0.5, 0.7]),
        "poly": rng.choice([0.0, 0.5, 2.0]) if focus or other_focus else rng.choice([0.0, -0.6, 2.0]),
        "smoothing": rng.choice([0.0, 0.1]),
        "temperature": rng.uniform(0.5, 3.0),
    }
    if family == "softmax":
        return SoftmaxRecipe(
            name=f"mixture {seed}",
            weight=rng.uniform(0.2, 5.0, width),
            margin=rng.uniform(0.0, 0.6, width),
            focus=focus,
            **shared,
        )
    return SigmoidRecipe(
        name=f"mixture {seed}",
        pos_weight=rng.uniform(0.2, 5.0, width),
        neg_weight=rng.uniform(0.2, 5.0, width),
        pos_focus=focus,
        neg_focus=other_focus,
        **{**shared, **({"clip": 0.05, "poly": 0.0} if focus and other_focus >= 1 else {})},
    )


MIXTURES = [mixture(family, seed) for family in ("softmax", "sigmoid") for seed in range(25)]


def with_choice(recipe, chosen):
    """The same loss for samples whose highest logit is `chosen`, as weights of the true class."""
    parameters = recipe.to_dict()
    parameters.pop("family")
    weight = recipe.cost[:, chosen] if recipe.weight_by == "pair" else 1.0
    return SoftmaxRecipe(**{**parameters, "weight": weight, "cost": None, "weight_by": "true"})


@pytest.mark.parametrize("recipe", BY_TRUE, ids=name_of)
def test_recovers_probabilities(recipe):
    for p in probabilities(recipe.family, seed=1):
        np.testing.assert_allclose(recipe.posterior(minimum(recipe, p)[None])[0], p, rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", MIXTURES, ids=name_of)
def test_recovers_probabilities_under_mixtures(recipe):
    for p in probabilities(recipe.family, seed=2, rows=2):
        np.testing.assert_allclose(recipe.posterior(minimum(recipe, p)[None])[0], p, rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", BY_CHOICE, ids=name_of)
def test_recovers_probabilities_under_a_choice(recipe):
    """The choice is held constant, so we minimise for each of them and keep those that choose themselves."""
    chosen_themselves = 0
    for p in probabilities("softmax", seed=3, rows=6):
        for chosen in range(4):
            z = minimum(with_choice(recipe, chosen), p)
            if np.argmax(z) == chosen:
                chosen_themselves += 1
                np.testing.assert_allclose(recipe.posterior(z[None])[0], p, rtol=0, atol=1e-6)
    assert chosen_themselves >= 6


@pytest.mark.parametrize("recipe", [*HONEST, *MIXTURES], ids=name_of)
def test_expected_loss_is_stationary_at_any_logits(recipe):
    """Whatever the logits, under their posterior no small step helps; so no rare logits are wrong either."""
    u = np.random.default_rng(4).normal(size=(60, 4 if recipe.family == "softmax" else 3)) * 0.7
    logits = (u / recipe.temperature - recipe.offset) / recipe.scale
    p = recipe.posterior(logits)
    inside = ((p > 1e-6) & (p < 1 - 1e-6)).all(axis=1)  # not where smoothing or clip cut it off
    assert inside.sum() >= 3
    _, slope = cp.loss_and_gradient(logits[inside], p[inside], recipe, reduction="sum")
    np.testing.assert_allclose(slope, 0, atol=1e-10)


@pytest.mark.parametrize("recipe", HONEST, ids=name_of)
def test_sums_to_one_and_keeps_order_of_magnitude_at_extremes(recipe):
    width = 4 if recipe.family == "softmax" else 3
    logits = np.array([np.full(width, 0.0), np.full(width, 500.0), [1e4, *[-1e4] * (width - 1)]])
    p = recipe.posterior(logits)
    assert (p >= 0).all() and (p <= 1).all()
    if recipe.family == "softmax":
        np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-12)
        assert p[2, 0] > 0.9


@pytest.mark.parametrize("recipe", [r for r in SOFTMAX if r.prior is not None and r.name not in WITHOUT], ids=name_of)
def test_new_prior_reweighs_the_posterior(recipe):
    rng = np.random.default_rng(5)
    logits, wanted = rng.normal(size=(5, 4)), np.array([0.4, 0.3, 0.2, 0.1])
    shifted = recipe.posterior(logits) * wanted / COUNTS.prior
    expected = shifted / shifted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(recipe.posterior(logits, prior=wanted), expected, rtol=1e-12)


@pytest.mark.parametrize("recipe", [r for r in SIGMOID if r.prior is not None and r.name not in WITHOUT], ids=name_of)
def test_new_prior_reweighs_the_odds(recipe):
    rng = np.random.default_rng(6)
    logits, wanted = rng.normal(size=(5, 3)), np.array([0.5, 0.2, 0.7])
    p = recipe.posterior(logits)
    odds = p / (1 - p) * (wanted / LABELS.prior) * (1 - LABELS.prior) / (1 - wanted)
    np.testing.assert_allclose(recipe.posterior(logits, prior=wanted), odds / (1 + odds), rtol=1e-9)


def test_training_prior_changes_nothing():
    recipe = cp.softmax.focal(COUNTS, gamma=2.0)
    logits = np.random.default_rng(7).normal(size=(4, 4))
    np.testing.assert_allclose(recipe.posterior(logits, prior=COUNTS.prior), recipe.posterior(logits), rtol=1e-13)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [(recipe, WITHOUT[recipe.name]) for recipe in (*SOFTMAX, *SIGMOID) if recipe.name in WITHOUT]
    + [
        (SoftmaxRecipe(name="one", robustness=1.0), "robustness 1"),
        (SoftmaxRecipe(name="poly", poly=-1.0), "poly -1"),
        (SoftmaxRecipe(name="pair", weight_by="pair", cost=COST), "weight 0"),
        (SigmoidRecipe(name="one side", neg_weight=0.0), "weight 0"),
    ],
    ids=str,
)
def test_says_why_there_is_none(recipe, why):
    with pytest.raises(cp.UserError, match=f"{recipe.name} has no posterior: .*{why}"):
        recipe.posterior(np.zeros((2, 4 if recipe.family == "softmax" else 3)))


@pytest.mark.parametrize("recipe", [cp.softmax.cross_entropy(), cp.sigmoid.focal()], ids=name_of)
def test_new_prior_needs_the_old_one(recipe):
    with pytest.raises(cp.UserError, match="needs the training prior"):
        recipe.posterior(np.zeros((2, 2)), prior=[0.5, 0.5])


@pytest.mark.parametrize("framework", FRAMEWORKS[1:], ids=str)
@pytest.mark.parametrize("recipe", HONEST, ids=name_of)
def test_every_framework_gives_numpys(recipe, framework):
    logits = (np.random.default_rng(8).normal(size=(6, 4 if recipe.family == "softmax" else 3)) * 2).astype(np.float32)
    found = framework.numpy(recipe.posterior(framework.array(logits)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, recipe.posterior(logits.astype(np.float64)), rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("recipe", "logits"),
    [
        (cp.softmax.focal(gamma=2.0), [2.0, 0.0, 0.0]),
        (cp.softmax.weighted([900, 90, 10]), [0.0, 0.0, 0.0]),
        (cp.softmax.logit_adjusted([900, 90, 10]), [0.0, 0.0, 0.0]),
        (cp.softmax.generalized(q=0.7), [2.0, 0.0, 0.0]),
    ],
    ids=["focal", "weighted", "adjusted", "generalized"],
)
def test_is_not_the_softmax_of_the_logits(recipe, logits):
    softmax = np.exp(logits) / np.exp(logits).sum()
    assert np.abs(recipe.posterior(np.array(logits)) - softmax).max() > 0.05


def test_clip_bounds_what_can_be_told():
    """Beyond its largest slope a clipped negative pulls no harder: no finite logit says more than 0.9637."""
    slope = 0.95**4 * (4 * -np.log(0.05) / 0.95 + 1 / 0.05)
    found = cp.sigmoid.asymmetric().posterior(np.array([30.0, -2.9444]))  # sigmoid(-2.9444) = 0.05
    np.testing.assert_allclose(found, [slope / (1 + slope), 0.0], atol=1e-12)


def test_masked_class_has_no_probability():
    for recipe in (cp.softmax.focal(), cp.softmax.ldam(COUNTS), SoftmaxRecipe(weight=[1, 2, 3, 4], poly=1.0)):
        logits = np.array([[-np.inf, 0.3, -0.2, 0.1]])
        p = recipe.posterior(logits)
        assert p[0, 0] == 0
        # large margins and temperatures make the finite stand-in for -inf differ in the last digits only
        np.testing.assert_allclose(p, recipe.posterior(np.where(np.isinf(logits), -1e3, logits)), atol=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS[1:], ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_float32(framework, dtype):
    logits = np.array([[0.5, -1.0, 2.0, 0.25]], dtype=np.float32)
    found = framework.numpy(cp.softmax.focal().posterior(framework.cast(framework.array(logits), dtype)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cp.softmax.focal().posterior(logits), atol=1e-6)


def test_class_axis():
    logits = np.random.default_rng(9).normal(size=(2, 4, 5))
    recipe = cp.softmax.weighted(COUNTS)
    found = recipe.posterior(logits, class_axis=1)
    np.testing.assert_array_equal(found, np.moveaxis(recipe.posterior(np.moveaxis(logits, 1, -1)), -1, 1))


@pytest.mark.parametrize("scale", [1e-3, 1e3], ids=["small", "large"])
def test_common_factor_of_weights_changes_nothing(scale):
    logits = np.random.default_rng(10).normal(size=(3, 4))
    recipes = [SoftmaxRecipe(weight=PAIRS[0] * factor, focus=1.0) for factor in (1, scale)]
    np.testing.assert_allclose(recipes[0].posterior(logits), recipes[1].posterior(logits), rtol=1e-12)
