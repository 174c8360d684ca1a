"""Recipes made from counts that name their classes: by name wherever the other side has names too."""

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

import counterpoise as cp
import counterpoise.lightgbm
import counterpoise.xgboost
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.sklearn import BoosterClassifier, LinearClassifier

NAMES = {
    "text": ("rare", "common", "some"),
    "integers": (7, 3, 5),
    "booleans": (True, False),
    "two": ("r", "c"),
    "swapped indices": (1, 0),
}
NUMBERS = (20, 300, 80)
named = pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)


def rows(names):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(len(names)), NUMBERS[: len(names)])
    features = rng.normal(size=(len(label), 3)) + label[:, None]
    return features, np.array(names)[label]


def counts_of(names):
    return cp.ClassCounts(NUMBERS[: len(names)], classes=names)


@named
@pytest.mark.parametrize("make", [cp.softmax.weighted, cp.softmax.logit_adjusted, cp.softmax.ldam, cp.softmax.cdt])
@pytest.mark.parametrize("stored", [False, True], ids=["", "stored"])
def test_a_classifier_goes_by_the_names_of_the_counts(make, names, stored):
    features, label = rows(names)
    recipe = make(counts_of(names))
    recipe = SoftmaxRecipe.from_json(recipe.to_json()) if stored else recipe
    model = LinearClassifier(recipe).fit(features, label)
    expected = LinearClassifier(make(cp.count(label, classes=sorted(names)))).fit(features, label)
    assert model.recipe_ == expected.recipe_
    np.testing.assert_allclose(model.predict_proba(features), expected.predict_proba(features), rtol=1e-12)
    assert recipe.class_names == names  # the user's recipe is unchanged


@pytest.mark.parametrize(
    "host", [LGBMClassifier(n_estimators=5, n_jobs=1, verbosity=-1), XGBClassifier(n_estimators=5)]
)
def test_a_booster_goes_by_the_names_of_the_counts(host):
    features, label = rows(NAMES["text"])
    model = BoosterClassifier(host, cp.softmax.weighted(counts_of(NAMES["text"]))).fit(features, label)
    expected = BoosterClassifier(host, "softmax.weighted").fit(features, label)
    np.testing.assert_array_equal(model.predict_proba(features), expected.predict_proba(features))


@pytest.mark.parametrize("parameter", ["cost", "scale", "offset", "margin", "weight"])
def test_every_parameter_moves_with_its_class(parameter):
    logits, target = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 1, 2, 2, 1, 0])
    value = np.arange(1.0, 10.0).reshape(3, 3) if parameter == "cost" else [1.0, 2.0, 4.0]
    recipe = SoftmaxRecipe(**{parameter: value}, class_names=("b", "c", "a"))
    order = [2, 0, 1]
    moved = recipe.for_classes(["a", "b", "c"])
    found = cp.loss(logits[:, order], np.argsort(order)[target], moved, reduction="none")
    np.testing.assert_allclose(found, cp.loss(logits, target, recipe, reduction="none"), rtol=1e-12)


def test_the_positive_class_of_a_sigmoid_recipe_does_not_change():
    features, label = rows(NAMES["two"])
    for make in (cp.sigmoid.weighted, cp.sigmoid.logit_adjusted, cp.sigmoid.focal):
        with pytest.raises(cp.UserError, match="so 'c' is its positive class, but here it is 'r'"):
            LinearClassifier(make(counts_of(NAMES["two"]))).fit(features, label)
        in_order = cp.ClassCounts([300, 20], classes=["c", "r"])
        assert LinearClassifier(make(in_order)).fit(features, label).recipe_ == make(in_order)


def test_other_classes_are_refused():
    features, label = rows(NAMES["text"])
    with pytest.raises(cp.UserError, match=r"names 'odd' and has no entry for class 'some'"):
        recipe = cp.softmax.weighted(cp.ClassCounts(NUMBERS, classes=["rare", "common", "odd"]))
        LinearClassifier(recipe).fit(features, label)


def test_labels_that_are_class_indices_stand_where_the_counts_have_them():
    features, label = rows((0, 1, 2))
    recipe = cp.softmax.weighted(counts_of(NAMES["text"]))
    assert LinearClassifier(recipe).fit(features, label).recipe_ is recipe


def test_priors_and_counts_go_by_name():
    recipe = cp.softmax.weighted(counts_of(NAMES["text"]))
    logits, shares = np.array([0.3, -1.0, 0.5]), [0.2, 0.7, 0.1]
    expected = recipe.posterior(logits, prior=shares)
    for prior in (
        {"some": 0.1, "common": 0.7, "rare": 0.2},
        cp.ClassCounts([70, 20, 10], classes=["common", "rare", "some"]),
        cp.ClassCounts([20, 70, 10]),
    ):
        np.testing.assert_allclose(recipe.posterior(logits, prior=prior), expected)
    in_order = recipe.initial_logits(cp.ClassCounts([20, 70, 10]))
    other = cp.ClassCounts([70, 20, 10], classes=["common", "rare", "some"])
    np.testing.assert_allclose(recipe.initial_logits(other), in_order)
    two = cp.sigmoid.weighted(counts_of(NAMES["two"]))
    assert two.posterior(np.zeros(()), prior={"c": 0.25, "r": 0.75}) == two.posterior(np.zeros(()), prior=0.25)
    assert two.initial_logits(cp.ClassCounts([3, 1], classes=["c", "r"])) == two.initial_logits([1, 3])


def test_boosters_own_classes_refuse_the_other_order():
    features, label = rows(NAMES["text"])
    objective = cp.lightgbm.Objective(cp.softmax.weighted(counts_of(NAMES["text"])))
    model = LGBMClassifier(objective=objective, n_estimators=2, n_jobs=1, verbosity=-1).fit(features, label)
    with pytest.raises(cp.UserError, match="the model has the order 'common', 'rare', 'some'"):
        objective.predict_proba(model, features)
    with pytest.raises(cp.UserError, match="classes 'rare', 'common', 'some', of which the first is 0"):
        objective.start(label)
    places = np.array([NAMES["text"].index(one) for one in label])
    model = lightgbm.train(
        {"objective": objective, "num_class": 3, "verbosity": -1}, lightgbm.Dataset(features, places), 2
    )
    assert objective.predict_proba(model, features).shape == (len(label), 3)
    with pytest.raises(cp.UserError, match="class indices, 0 first"):
        cp.xgboost.Objective(cp.softmax.weighted(counts_of(NAMES["swapped indices"])))


def test_names_change_no_number_and_are_stored():
    recipe, plain = cp.softmax.weighted(counts_of(NAMES["text"])), cp.softmax.weighted(NUMBERS)
    assert recipe == plain
    assert hash(recipe) == hash(plain)
    assert repr(recipe) == repr(plain)
    assert "class_names" not in plain.to_dict()
    assert cp.recipe(recipe.to_dict()).class_names == ("rare", "common", "some")
    assert recipe.changed(smoothing=0.1).class_names == ("rare", "common", "some")
    with pytest.raises(cp.UserError, match="class_names has 2 names but the recipe has 3 classes"):
        plain.changed(class_names=("a", "b"))
