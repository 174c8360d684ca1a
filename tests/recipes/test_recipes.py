"""What a recipe is: frozen, comparable, printable, storable; and what the named ones are made of."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

import counterpoise as cp
from cases import CLASSES, COST, COUNTS, LABELS, RECIPES, name_of
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe, recipe_table

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
WEIGHTS = {0: 4.0, 1: 2.0, 2: 1.0, 3: 3.0}


@every_recipe
def test_json_gives_the_same_recipe(recipe):
    again = cp.recipe(json.loads(recipe.to_json()))
    assert type(again) is type(recipe) and again == recipe and hash(again) == hash(recipe)
    assert again.name == recipe.name and again.to_json() == recipe.to_json()
    assert type(recipe).from_json(recipe.to_json()) == recipe


@every_recipe
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["copy", "pickle"])
def test_copies_are_equal(recipe, duplicate):
    assert duplicate(recipe) == recipe


def test_different_recipes_differ():
    assert len(set(RECIPES)) == len(RECIPES)
    assert cp.softmax.focal(gamma=2.0) != cp.softmax.focal(gamma=2.5)
    assert cp.softmax.cross_entropy() != cp.sigmoid.binary_cross_entropy()
    assert cp.softmax.cross_entropy() != "softmax.cross_entropy"


def test_name_is_no_part_of_the_loss():
    assert SoftmaxRecipe(focus=2.0, name="mine") == cp.softmax.focal(gamma=2.0)


def test_integers_and_floats_are_the_same_parameters():
    assert SoftmaxRecipe(weight=[1, 2], focus=2) == SoftmaxRecipe(weight=np.array([1.0, 2.0], np.float32), focus=2.0)


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (cp.softmax.cross_entropy(), "softmax.cross_entropy()"),
        (cp.softmax.focal([9, 1], gamma=1.5), "softmax.focal(focus=1.5, prior=[0.9, 0.1])"),
        (cp.sigmoid.asymmetric(), "sigmoid.asymmetric(neg_focus=4, clip=0.05)"),
        (SoftmaxRecipe(weight=np.arange(1, 11)), "softmax(weight=[1, 2, 3, 4, 5, 6, 7, 8, … 10 in all])"),
    ],
    ids=["plain", "focal", "asymmetric", "long"],
)
def test_printed(recipe, text):
    assert repr(recipe) == text


@every_recipe
def test_frozen(recipe):
    for name in recipe.to_dict():
        with pytest.raises((AttributeError, TypeError)):
            setattr(recipe, name, 1.0)
    with pytest.raises((AttributeError, TypeError)):
        recipe.no_such_parameter = 1.0


@every_recipe
def test_arrays_are_read_only_copies(recipe):
    for value in (getattr(recipe, name) for name in recipe.per_class_names):
        assert value is None or not value.flags.writeable
    mine = np.array([1.0, 2.0])
    made = SoftmaxRecipe(weight=mine)
    mine[0] = 9.0
    assert made.weight[0] == 1.0


@pytest.mark.parametrize("name", cp.recipes())
def test_every_named_loss_is_described_and_makes_a_recipe_of_its_name(name):
    row = next(row for row in recipe_table() if row.name == name)
    extra = {"cost": COST} if name == "softmax.expected_cost" else {}
    counts = COUNTS if name.startswith("softmax") else LABELS
    assert cp.recipe(name, counts, **extra).name == name
    assert row.summary.endswith(".") and len(row.summary) > 20
    assert row.source
    if not row.needs_counts:
        extra |= {"pos_weight": 3.0} if name == "sigmoid.weighted" else {}
        extra |= {"weight": [1, 2]} if name in ("softmax.weighted", "softmax.logit_scaled") else {}
        assert cp.recipe(name, **extra).prior is None


@pytest.mark.parametrize(
    ("recipe", "parameter", "expected"),
    [
        # n = 198, 436, 710, 272; N = 1616
        pytest.param(cp.softmax.weighted(COUNTS), "weight", [1.6254, 0.7381, 0.4533, 1.1832], id="weighted"),
        pytest.param(
            cp.softmax.weighted(COUNTS, normalize="samples"), "weight", [2.0404, 0.9266, 0.5690, 1.4853], id="samples"
        ),
        pytest.param(cp.softmax.logit_scaled(COUNTS), "scale", [1.6254, 0.7381, 0.4533, 1.1832], id="logit_scaled"),
        # (1 - b) / (1 - b^n) with b = 0.999, then mean 1
        pytest.param(
            cp.softmax.class_balanced(COUNTS), "weight", [1.5290, 0.7773, 0.5403, 1.1533], id="class_balanced"
        ),
        pytest.param(
            cp.softmax.balanced_softmax(COUNTS), "offset", np.log([198, 436, 710, 272]), id="balanced_softmax"
        ),
        pytest.param(
            cp.softmax.logit_adjusted(COUNTS, tau=2.0),
            "offset",
            2 * np.log(np.array([198, 436, 710, 272]) / 1616),
            id="logit_adjusted",
        ),
        # 0.5 (n / 198)^(-1/4)
        pytest.param(cp.softmax.ldam(COUNTS), "margin", [0.5, 0.4105, 0.3633, 0.4618], id="ldam margin"),
        pytest.param(cp.softmax.ldam(COUNTS), "temperature", 30.0, id="ldam scale"),
        # (n / 710)^0.3
        pytest.param(cp.softmax.cdt(COUNTS), "scale", [0.6817, 0.8639, 1.0, 0.7499], id="cdt"),
        pytest.param(cp.softmax.vector_scaling(COUNTS), "scale", [0.6817, 0.8639, 1.0, 0.7499], id="vector scale"),
        pytest.param(cp.softmax.recall(COUNTS), "weight", [1616 / 198, 0, 0, 0], id="recall of the rarest"),
        pytest.param(
            cp.softmax.recall(COUNTS, classes=[0, 3]), "weight", [1616 / 396, 0, 0, 1616 / 544], id="recall of two"
        ),
        pytest.param(cp.sigmoid.weighted([900, 100]), "pos_weight", 9.0, id="pos_weight"),
        pytest.param(cp.sigmoid.weighted(LABELS), "pos_weight", [70 / 30, 19, 10 / 90], id="pos_weight per label"),
        pytest.param(cp.sigmoid.focal(alpha=0.25), "neg_weight", 0.75, id="focal alpha"),
        pytest.param(cp.sigmoid.logit_adjusted([900, 100]), "offset", -np.log(9), id="sigmoid adjusted"),
        pytest.param(cp.sigmoid.recall([900, 100]), "pos_weight", 10.0, id="sigmoid recall"),
    ],
)
def test_named_parameters(recipe, parameter, expected):
    np.testing.assert_allclose(getattr(recipe, parameter), expected, atol=5e-5)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        # logits 0.5, -1, 2, 0.25; class 3 is true: p = e^0.25 / (e^0.5 + e^-1 + e^2 + e^0.25) = 0.1201, c = 2.1193
        pytest.param(cp.softmax.cross_entropy(), 2.119279, id="cross_entropy"),
        pytest.param(cp.softmax.weighted(weight=[1, 2, 3, 4]), 4 * 2.119279, id="weighted"),
        pytest.param(cp.softmax.focal(gamma=2.0), (1 - 0.120118) ** 2 * 2.119279, id="focal"),
        pytest.param(cp.softmax.poly1(epsilon=2.0), 2.119279 + 2 * (1 - 0.120118), id="poly1"),
        pytest.param(cp.softmax.generalized(q=0.5), (1 - 0.120118**0.5) / 0.5, id="generalized"),
        pytest.param(cp.softmax.generalized(q=1.0), 1 - 0.120118, id="1 - p"),
    ],
)
def test_known_values(recipe, expected):
    found = cp.loss(np.array([[0.5, -1.0, 2.0, 0.25]]), [3], recipe)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "weight",
    [[4.0, 2.0, 1.0, 3.0], np.array([4, 2, 1, 3]), (4, 2, 1, 3), WEIGHTS],
    ids=["list", "array", "tuple", "dict"],
)
@pytest.mark.parametrize("name", ["weighted", "logit_scaled", "focal", "ldam", "vector_scaling"])
def test_weight_in_every_form(name, weight):
    made = getattr(cp.softmax, name)(COUNTS, weight=weight)
    np.testing.assert_array_equal(made.scale if name == "logit_scaled" else made.weight, [4, 2, 1, 3])


def test_weight_by_class_name():
    counts = cp.ClassCounts([90, 10], classes=["ok", "broken"])
    np.testing.assert_array_equal(cp.softmax.weighted(counts, weight={"broken": 9.0, "ok": 1.0}).weight, [1, 9])


@pytest.mark.parametrize("scheme", ["inverse", "inverse_sqrt", "power", "effective_number", "median_frequency", "log"])
def test_weight_by_scheme(scheme):
    np.testing.assert_array_equal(
        cp.softmax.focal(COUNTS, weight=scheme).weight, cp.class_weights(COUNTS, scheme=scheme)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: cp.softmax.weighted(COUNTS, weight=[0.12, 0.26, 0.43, 0.17]),
        lambda: cp.softmax.focal(COUNTS, weight={0: 0.12, 1: 0.26, 2: 0.43, 3: 0.17}),
    ],
    ids=["weighted", "focal"],
)
def test_upside_down_weights_warn(make):
    message = (
        r"the rarest class \(0, 198 samples\) got the smallest weight \(0.12\) and the most frequent \(2, 710\) "
        r"the largest \(0.43\): these are class frequencies, not inverse frequencies"
    )
    with pytest.warns(cp.ClassWeightWarning, match=message):
        make()


def test_pos_weight_below_one_warns_for_rare_positives():
    with pytest.warns(cp.ClassWeightWarning, match="pos_weight is 0.111 although positives are the rarer class"):
        cp.sigmoid.weighted([900, 100], pos_weight=100 / 900)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cp.softmax.weighted(COUNTS),
        lambda: cp.softmax.weighted(COUNTS, weight=[1, 1, 1, 1]),
        lambda: cp.softmax.weighted(COUNTS, weight=[3, 2, 1, 2.5]),
        lambda: cp.softmax.weighted([50, 50], weight=[1, 2]),
        lambda: cp.softmax.weighted(weight=[0.12, 0.26, 0.43, 0.17]),
        lambda: cp.sigmoid.weighted([900, 100], pos_weight=3.0),
        lambda: cp.sigmoid.weighted([100, 900], pos_weight=0.2),
    ],
    ids=["made", "equal", "sane", "balanced counts", "no counts", "pos_weight", "frequent positives"],
)
def test_sane_weights_do_not_warn(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


@pytest.mark.parametrize("classes", [2, 3])
def test_one_weight_for_many_classes_warns(classes):
    logits, recipe = np.zeros((1, classes)), SoftmaxRecipe(weight=0.25, focus=2.0)
    if classes == 2:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cp.loss(logits, [0], recipe)
        return
    with pytest.warns(cp.ClassWeightWarning, match=r"one weight \(0.25\) for all 3 classes only scales the loss"):
        cp.loss(logits, [0], recipe)


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        (SoftmaxRecipe, {"weight": [1, -2]}, r"weight\[1\] is -2; it must be at least 0"),
        (SoftmaxRecipe, {"weight": [1, np.nan]}, r"weight\[1\] is nan; it must be finite"),
        (SoftmaxRecipe, {"weight": [1, np.inf]}, r"weight\[1\] is inf; it must be finite"),
        (SoftmaxRecipe, {"weight": [[1, 2]]}, r"weight must have at most 1 dimension\(s\); found shape \(1, 2\)"),
        (SoftmaxRecipe, {"weight": "heavy"}, "weight must be numbers; found 'heavy'"),
        (SoftmaxRecipe, {"scale": [1, 0]}, r"scale\[1\] is 0; it must be greater than 0"),
        (SoftmaxRecipe, {"offset": np.inf}, "offset is inf; it must be finite"),
        (SoftmaxRecipe, {"focus": -1}, "focus is -1; it must be finite and at least 0"),
        (SoftmaxRecipe, {"focus": [1, 2]}, "focus must be one number"),
        (SoftmaxRecipe, {"robustness": 1.5}, "robustness is 1.5; it must be finite and at least 0 and at most 1"),
        (SoftmaxRecipe, {"poly": -2}, "poly is -2; it must be finite and at least -1"),
        (SoftmaxRecipe, {"smoothing": 1}, "smoothing is 1; it must be finite and at least 0 and below 1"),
        (SoftmaxRecipe, {"temperature": 0}, "temperature is 0; it must be greater than 0"),
        (SoftmaxRecipe, {"weight_by": "predict"}, "unknown weight_by 'predict'; did you mean 'predicted'"),
        (SoftmaxRecipe, {"weight_by": "pair"}, 'weight_by="pair" needs cost'),
        (SoftmaxRecipe, {"cost": [[0, 1, 2], [1, 0, 2]]}, r"cost must be square.* found shape \(2, 3\)"),
        (SoftmaxRecipe, {"cost": -COST, "weight_by": "pair"}, r"cost\[0, 1\] is -1; it must be at least 0"),
        (SoftmaxRecipe, {"weight": [1, 2], "offset": [1, 2, 3]}, "disagree .*: weight has 2, offset has 3"),
        (SoftmaxRecipe, {"prior": [0.5, 0.6]}, "prior sums to 1.1"),
        (SigmoidRecipe, {"pos_weight": -1}, "pos_weight is -1; it must be at least 0"),
        (SigmoidRecipe, {"clip": 1}, "clip is 1; it must be"),
        (SigmoidRecipe, {"prior": 1.5}, "prior is 1.5; the share of positives lies between 0 and 1"),
        (SigmoidRecipe, {"neg_focus": "two"}, "neg_focus must be one number; found 'two'"),
        (SigmoidRecipe, {"pos_weight": [1, 2], "scale": [1, 2, 3]}, "pos_weight has 2, scale has 3"),
    ],
    ids=str,
)
def test_parameters_out_of_range(family, parameters, message):
    with pytest.raises(cp.UserError, match=message):
        family(**parameters)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cp.recipe("softmax.logit_ajusted", COUNTS), "did you mean 'softmax.logit_adjusted'"),
        (lambda: cp.recipe("softmax.focal", gama=2), "unknown parameter of softmax.focal 'gama'; did you mean 'gamma'"),
        (lambda: cp.recipe("softmax.ldam"), "made from the class counts"),
        (lambda: cp.recipe("softmax.expected_cost"), "softmax.expected_cost needs cost"),
        (lambda: cp.recipe("softmax.weighted"), "made from the class counts"),
        (lambda: cp.recipe("sigmoid.weighted"), "needs counts or pos_weight"),
        (
            lambda: cp.recipe("softmax.weighted", COUNTS, weight="invers"),
            "unknown weight scheme 'invers'; did you mean 'inverse'",
        ),
        (lambda: cp.recipe("softmax.weighted", COUNTS, weight=[1, 2]), "weight has 2 values but there are 4 classes"),
        (
            lambda: cp.recipe("softmax.weighted", COUNTS, weight={0: 1, 7: 2}),
            "weight names 7 and has no entry for class 1",
        ),
        (lambda: cp.recipe("softmax.weighted", COUNTS, weight={**WEIGHTS, 7: 2}), "weight names 7; the classes are"),
        (lambda: cp.recipe("softmax.logit_adjusted", [9, 0]), "class 1 has no sample"),
        (lambda: cp.recipe("softmax.recall", [9, 1], classes=[2]), "class 2 is asked for, but the classes are"),
        (lambda: cp.recipe("softmax.recall", [9, 0]), "class 1 is asked for, but it has no sample"),
        (lambda: cp.recipe("softmax.focal", LABELS), "counts of a multilabel target"),
        (lambda: cp.recipe("sigmoid.focal", COUNTS), "but counts have 4 classes"),
        (lambda: cp.recipe("sigmoid.focal", alpha=1.5), "alpha is 1.5"),
        (lambda: cp.recipe("sigmoid.logit_adjusted", [9, 0]), "only one kind of sample"),
        (lambda: cp.recipe({"family": "softmx"}), "unknown recipe family 'softmx'; did you mean 'softmax'"),
        (lambda: cp.recipe({"family": "softmax", "focuss": 2}), "did you mean 'focus'"),
        (lambda: SigmoidRecipe.from_dict({"family": "softmax"}), "of family 'softmax', not 'sigmoid'"),
    ],
)
def test_named_losses_refuse(make, message):
    with pytest.raises(cp.UserError, match=message):
        make()


@every_recipe
def test_classes_are_those_of_the_parameters(recipe):
    per_class = [getattr(recipe, name) for name in recipe.per_class_names]
    has_any = any(value is not None and value.ndim for value in per_class)
    assert recipe.classes == ((CLASSES if recipe.family == "softmax" else len(LABELS)) if has_any else None)


OWN_NAMES = [
    (cp.softmax.focal, {"gamma": -1}, "gamma is -1; it must be .* at least 0"),
    (cp.softmax.poly1, {"epsilon": -2}, "epsilon is -2; it must be .* at least -1"),
    (cp.softmax.generalized, {"q": 0}, "q is 0; it must be .* above 0"),
    (cp.softmax.ldam, {"counts": [9, 1], "scale": 0}, "scale is 0; it must be .* above 0"),
    (cp.softmax.ldam, {"counts": [9, 1], "max_margin": -1}, "max_margin is -1"),
    (cp.softmax.cdt, {"counts": [9, 1], "gamma": 1e6}, "gamma is 1e.06, which takes .* beyond the range"),
    (cp.softmax.logit_adjusted, {"counts": [9, 1], "tau": -1e308}, "tau is -1e.308, which takes tau log"),
    (cp.softmax.vector_scaling, {"counts": [9, 1], "tau": ""}, "tau must be one number; found ''"),
    (cp.softmax.class_balanced, {"counts": [9, 1], "beta": 1}, "beta is 1.0; the effective number of samples needs"),
    (cp.softmax.logit_scaled, {"weight": [1, 0]}, r"weight\[1\] is 0; it must be greater than 0"),
    (cp.softmax.weighted, {"counts": [9, 1], "weight": "inverted"}, "unknown weight scheme 'inverted'"),
    (cp.softmax.weighted, {"counts": [9, 1], "normalize": ["sum"]}, "unknown normalize .'sum'.; did you mean 'sum'"),
    (cp.sigmoid.focal, {"gamma": np.nan}, "gamma is nan; it must be finite and at least 0"),
    (cp.sigmoid.focal, {"alpha": 2}, "alpha is 2; it must be .* at most 1"),
    (cp.sigmoid.asymmetric, {"gamma_positive": -1}, "gamma_positive is -1"),
    (cp.sigmoid.asymmetric, {"gamma_negative": -1}, "gamma_negative is -1"),
    (cp.sigmoid.poly1, {"epsilon": None}, "epsilon must be one number; found None"),
    (cp.sigmoid.logit_adjusted, {"counts": [9, 1], "tau": 1e308}, "tau is 1e.308, which takes tau times"),
]


@pytest.mark.parametrize(("constructor", "given", "message"), OWN_NAMES)
def test_an_error_names_the_parameter_as_the_user_called_it(constructor, given, message):
    """A named loss has the names of its paper; what the recipe's field is called there is in nobody's code."""
    with pytest.raises(cp.UserError, match=message):
        constructor(**given)
    family = constructor.__module__.rpartition(".")[2]
    with pytest.raises(cp.UserError, match=message):
        cp.recipe(f"{family}.{constructor.__name__}", **given)


@pytest.mark.parametrize("stored", [{"focus": -1.0}, {"poly": -2.0}, {"temperature": 0.0}], ids=str)
def test_a_stored_recipe_has_the_names_of_its_fields(stored):
    (name,) = stored
    with pytest.raises(cp.UserError, match=f"{name} is"):
        cp.recipe({"family": "softmax", **stored})
