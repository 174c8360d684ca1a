"""Recipes as LightGBM objectives."""

import copy
import math
import pickle

import lightgbm
import numpy as np
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.lightgbm import Objective, bake_start, slopes
from counterpoise.recipes import sigmoid, softmax

pytestmark = pytest.mark.slow

QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}
PLAIN = {2: sigmoid.binary_cross_entropy(), 3: softmax.cross_entropy()}
FOCAL = {2: sigmoid.focal(), 3: softmax.focal()}


def rows(classes, n=400):
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(n, 3))
    label = np.digitize(matrix[:, 0] + rng.normal(size=n), np.linspace(-0.5, 1.2, classes - 1))
    return matrix, label, rng.uniform(0.5, 3.0, n)


def settings_for(classes, **more):
    return {**QUIET, **({"num_class": classes} if classes > 2 else {}), **more}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("from_average", [False, True], ids=["from zero", "from the average"])
@pytest.mark.parametrize("classes", [2, 3])
def test_plain_grows_the_built_in_trees(classes, from_average, weighted):
    matrix, label, weight = rows(classes)
    weight = weight if weighted else None
    name = "binary" if classes == 2 else "multiclass"
    settings = settings_for(classes, objective=name, boost_from_average=from_average)
    built_in = lightgbm.train(settings, lightgbm.Dataset(matrix, label, weight=weight), 20)
    objective = Objective(PLAIN[classes])
    start = objective.start(label, weight) if from_average else None
    data = lightgbm.Dataset(matrix, label, weight=weight, init_score=start)
    ours = lightgbm.train(settings_for(classes, objective=objective), data, 20)
    if start is not None:
        bake_start(ours, start)
    np.testing.assert_allclose(ours.predict(matrix), built_in.predict(matrix, raw_score=True), rtol=0, atol=1e-7)


def test_unbounded_weighted_grows_the_trees_of_scale_pos_weight():
    matrix, label, _ = rows(2)
    settings = {**QUIET, "objective": "binary", "scale_pos_weight": 7.0, "boost_from_average": False}
    built_in = lightgbm.train(settings, lightgbm.Dataset(matrix, label), 20).predict(matrix, raw_score=True)
    for step, same in ((math.inf, True), (None, False)):
        objective = Objective(sigmoid.weighted(pos_weight=7.0), max_step=step)
        ours = lightgbm.train({**QUIET, "objective": objective}, lightgbm.Dataset(matrix, label), 20).predict(matrix)
        assert np.allclose(ours, built_in, rtol=0, atol=1e-7) == same


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("asked", ["scale_pos_weight", "is_unbalance"])
def test_scale_pos_weight_starts_from_the_log_odds_without_it(asked, weighted):
    matrix, label, weight = rows(2)
    weight = weight if weighted else None
    ratio = float(np.sum(label == 0) / np.sum(label == 1))  # LightGBM's own: of rows, whatever their weights
    settings = {**QUIET, "objective": "binary", asked: ratio if asked == "scale_pos_weight" else True}
    data = lightgbm.Dataset(matrix, label, weight=weight)
    built_in = lightgbm.train(settings, data, 20).predict(matrix, raw_score=True)
    objective = Objective(sigmoid.weighted(pos_weight=ratio), max_step=math.inf)
    for start, same in ((Objective(PLAIN[2]).start(label, weight), True), (objective.start(label, weight), False)):
        data = lightgbm.Dataset(matrix, label, weight=weight, init_score=start)
        ours = lightgbm.train({**QUIET, "objective": objective}, data, 20).predict(matrix) + start
        assert np.allclose(ours, built_in, rtol=0, atol=1e-7) == same


@pytest.mark.parametrize("classes", [2, 3])
def test_the_scikit_learn_class_grows_the_trees_of_the_native_call(classes):
    matrix, label, weight = rows(classes)
    objective = Objective(FOCAL[classes])
    start = objective.start(label, weight)
    data = lightgbm.Dataset(matrix, label, weight=weight, init_score=start)
    native = lightgbm.train(settings_for(classes, objective=objective), data, 10)
    model = lightgbm.LGBMClassifier(objective=objective, n_estimators=10, **QUIET)
    model.fit(matrix, label, sample_weight=weight, init_score=start)
    np.testing.assert_array_equal(model.predict(matrix, raw_score=True), native.predict(matrix))
    bake_start(native, start)
    bake_start(model, start)
    probability = objective.predict_proba(model, matrix)
    np.testing.assert_array_equal(probability, objective.predict_proba(native, matrix))
    assert probability.shape == (len(label), classes)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (probability.argmax(axis=1) == label).mean() > 0.7


@pytest.mark.parametrize("classes", [2, 3])
def test_the_metric_is_the_mean_loss_and_stops_early(classes):
    matrix, label, weight = rows(classes)
    objective = Objective(FOCAL[classes])
    start, seen = objective.start(label[:200], weight[:200]), {}
    train = lightgbm.Dataset(matrix[:200], label[:200], weight=weight[:200], init_score=start)
    other = lightgbm.Dataset(
        matrix[200:],
        label[200:],
        weight=weight[200:],
        init_score=objective.start(label[:200], weight[:200], rows=200),
        reference=train,
    )
    booster = lightgbm.train(
        settings_for(classes, objective=objective, learning_rate=0.5),
        train,
        100,
        valid_sets=[other],
        feval=objective.metric,
        callbacks=[lightgbm.early_stopping(5, verbose=False), lightgbm.record_evaluation(seen)],
    )
    curve = seen["valid_0"]["loss"]
    assert booster.best_iteration == int(np.argmin(curve)) + 1 < 90
    bake_start(booster, start)
    logits = booster.predict(matrix[200:])
    expected = np.average(
        cp.loss(logits, label[200:], FOCAL[classes], reduction="none"), weights=weight[200:].astype(np.float32)
    )
    assert min(curve) == pytest.approx(expected, rel=1e-9)
    # and as the scikit-learn classes call it
    assert objective.metric(label[200:], logits)[1] == pytest.approx(cp.loss(logits, label[200:], FOCAL[classes]))


def test_cross_validation():
    matrix, label, _ = rows(3)
    objective = Objective(softmax.focal())
    data = lightgbm.Dataset(matrix, label, init_score=objective.start(label))
    found = lightgbm.cv(settings_for(3, objective=objective), data, 5, nfold=3, feval=objective.metric)
    assert len(found["valid loss-mean"]) == 5
    assert found["valid loss-mean"][-1] < found["valid loss-mean"][0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
def test_copies_are_equal_and_hold_no_labels(copied):
    objective = Objective(sigmoid.focal(), scale=2.0, max_step=3.0)
    objective(np.zeros(2), _Data(np.array([0.0, 1.0]), None))
    again = copied(objective)
    assert again == objective != Objective(sigmoid.focal())
    assert hash(again) == hash(objective)
    assert again.recipe == objective.recipe
    assert again._last is None


def test_labels_that_change_are_seen():
    objective = Objective(softmax.cross_entropy())
    first, _ = objective(np.zeros((2, 2)), _Data(np.array([0.0, 1.0]), None))
    second, _ = objective(np.zeros((2, 2)), _Data(np.array([1.0, 0.0]), None))
    np.testing.assert_array_equal(first, -second)


def test_sample_weights_multiply():
    _, label, weight = rows(2)
    weighted = Objective(sigmoid.focal())(np.zeros(len(label)), _Data(label, weight))
    plain = Objective(sigmoid.focal())(np.zeros(len(label)), _Data(label, None))
    np.testing.assert_allclose(weighted[0], plain[0] * weight)
    np.testing.assert_allclose(weighted[1], plain[1] * weight)


class _Data:
    def __init__(self, label, weight):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


@pytest.mark.parametrize("recipe", [sigmoid.focal(gamma=2.0), sigmoid.poly1(epsilon=-0.5), sigmoid.generalized()])
def test_no_row_goes_further_than_the_step(recipe):
    logits = np.linspace(-100, 100, 200)
    label = np.arange(200) % 2
    for step in (1.0, 5.0, math.inf):
        gradient, curvature = Objective(recipe, max_step=step)(logits, _Data(label, None))
        assert (curvature > 0).all()
        assert np.isfinite(gradient).all()
        assert (np.abs(gradient) <= step * curvature * (1 + 1e-12)).all()
    # where the loss bends up steeply enough, it keeps its own curvature
    _, own = slopes(recipe, logits, label)
    _, curvature = Objective(recipe, max_step=5.0)(logits, _Data(label, None))
    enough = own > np.maximum(np.abs(gradient) / 5.0, 1e-16)
    assert enough.any()
    np.testing.assert_array_equal(curvature[enough], own[enough])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 100.0])
def test_curvature_of_plain_at_large_logits_is_a_number_above_zero(size, dtype):
    for recipe, logits, label in (
        (PLAIN[2], np.array([size, -size, size, -size], dtype), [0, 0, 1, 1]),
        (PLAIN[3], np.array([[size, 0, -size], [-size, 0, size]], dtype), [0, 2]),
    ):
        gradient, curvature = Objective(recipe)(logits, _Data(np.array(label), None))
        assert np.isfinite(gradient).all()
        assert (curvature > 0).all()
        assert (curvature.astype(np.float32) > 0).all()


def test_a_very_rare_class_is_learned():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(6000, 4))
    label = (matrix[:, 0] + 0.5 * rng.normal(size=6000) > 3.0).astype(int)
    assert label.sum() == 17
    found, widest = {}, {}
    for step in (math.inf, None):
        objective = Objective(sigmoid.generalized(q=0.3), max_step=step)
        start = objective.start(label)
        data = lightgbm.Dataset(matrix, label, init_score=start)
        booster = lightgbm.train({**QUIET, "objective": objective}, data, 60)
        bake_start(booster, start)
        logits = booster.predict(matrix)
        found[step], widest[step] = cp.loss(logits, label, objective.recipe), np.abs(logits).max()
    assert found[None] < 0.2 * found[math.inf]
    assert widest[None] < 20 < 200 < widest[math.inf]


def test_soft_labels_stay_soft():
    gradient, _ = slopes(sigmoid.binary_cross_entropy(), [0.0, 0.0], [0.7, 0.2])
    np.testing.assert_allclose(gradient, [-0.2, 0.3])


@pytest.mark.parametrize("recipe, logits", [(sigmoid.focal(), np.zeros(2)), (softmax.focal(), np.zeros((2, 3)))])
@pytest.mark.parametrize("label", [1.9, np.nan, -1, 7])
def test_labels_that_are_none_are_refused(recipe, logits, label):
    for call in (lambda: slopes(recipe, logits, [1, label]), lambda: Objective(recipe)([1, label], logits)):
        with pytest.raises(UserError, match=r"row 1|target\[1\]") as error:
            call()
        assert f"{label:g}" in str(error.value).lower()


def test_softmax_takes_no_soft_label():
    with pytest.raises(UserError, match=r"label 0.7 in row 1 is not a class; .* whole numbers from 0 to 2"):
        slopes(softmax.cross_entropy(), np.zeros((2, 3)), [1, 0.7])


@pytest.mark.parametrize("recipe, logits", [(sigmoid.focal(), np.zeros(3)), (softmax.focal(), np.zeros((3, 2)))])
def test_nothing_to_learn_is_refused(recipe, logits):
    with pytest.raises(UserError, match="all 3 labels are 1, so there is nothing to learn"):
        Objective(recipe)(np.ones(3), logits)
    with pytest.raises(UserError, match="no row"):
        Objective(recipe)(np.ones(0), logits[:0])
    with pytest.raises(UserError, match="all 2 labels are 0"):
        Objective(recipe).start([0, 0])


def test_recipes_of_the_other_family_say_what_to_do():
    matrix, label, _ = rows(2)
    with pytest.raises(UserError, match="num_class, or take the sigmoid recipe"):
        lightgbm.train({**QUIET, "objective": Objective(softmax.focal())}, lightgbm.Dataset(matrix, label), 1)
    matrix, label, _ = rows(3)
    with pytest.raises(UserError, match="take the softmax recipe"):
        lightgbm.train(settings_for(3, objective=Objective(sigmoid.focal())), lightgbm.Dataset(matrix, label), 1)
    with pytest.raises(UserError, match="pass the recipe that the model was trained under"):
        Objective(softmax.focal()).predict_proba(np.zeros(3))
    with pytest.raises(UserError, match="pass a recipe"):
        Objective("focal")
    with pytest.raises(UserError, match="max_step is 0; it must be a number above 0"):
        Objective(sigmoid.focal(), max_step=0)


def test_a_softmax_of_two_classes_is_the_sigmoid():
    matrix, label, _ = rows(2)
    both = []
    for recipe, more in ((sigmoid.binary_cross_entropy(), {}), (softmax.cross_entropy(), {"num_class": 2})):
        objective = Objective(recipe)
        start = objective.start(label)
        settings = {**QUIET, **more, "objective": objective}
        booster = lightgbm.train(settings, lightgbm.Dataset(matrix, label, init_score=start), 5)
        bake_start(booster, start)
        both.append(objective.predict_proba(booster, matrix))
    # its two trees go half the way each, since LightGBM's C / (C - 1) is 2; a near tie of two splits may differ
    assert both[1].shape == both[0].shape == (len(label), 2)
    assert np.abs(both[1] - both[0]).max() < 0.02


def test_a_softmax_of_one_class():
    gradient, curvature = slopes(softmax.cross_entropy(), np.zeros((2, 1)), [0, 0])
    assert gradient.tolist() == curvature.tolist() == [[0.0], [0.0]]
    with pytest.raises(UserError, match="num_class"):
        slopes(softmax.cross_entropy(), np.zeros(2), [0, 0])


@pytest.mark.parametrize("least", [0.0, 1e9], ids=["trees", "single leaves"])
def test_the_start_is_baked_into_the_model(least):
    matrix, label, _ = rows(3)
    start = np.array([0.5, -1.0, 2.0])
    settings = settings_for(3, min_gain_to_split=least, objective=Objective(softmax.focal()))
    data = lightgbm.Dataset(matrix, label, init_score=np.tile(start, (len(label), 1)))
    booster = lightgbm.train(settings, data, 3)
    before = booster.predict(matrix)
    bake_start(booster, start)
    again = lightgbm.Booster(model_str=booster.model_to_string())
    np.testing.assert_allclose(again.predict(matrix), before + start, rtol=1e-12, atol=1e-12)
    with pytest.raises(UserError, match="differs between rows"):
        bake_start(booster, np.arange(6.0).reshape(2, 3))
    with pytest.raises(UserError, match=r"shape \(2,\), but the model has 3"):
        bake_start(booster, [1.0, 2.0])


@pytest.mark.parametrize(
    "settings",
    [
        {"linear_trees": True},
        {"linear_tree": True, "min_gain_to_split": 1e9},
        {"linear_tree": True, "boosting": "dart", "drop_rate": 0.5},
        {"linear_tree": True, "data_sample_strategy": "goss", "learning_rate": 1.0},
        {"boosting": "dart", "extra_trees": True},
        {"path_smooth": 5.0, "boost_from_average": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_any_kind_of_tree_contains_the_start(settings, classes, tmp_path):
    matrix, label, _ = rows(classes)
    matrix[::7, 0] = np.nan  # for which a linear leaf has a value apart
    objective = Objective(FOCAL[classes])
    start = objective.start(label)
    data = lightgbm.Dataset(matrix, label, init_score=start)
    booster = lightgbm.train(settings_for(classes, objective=objective, **settings), data, 5)
    before = booster.predict(matrix)
    bake_start(booster, start)
    booster.save_model(tmp_path / "model.txt")
    for one in (booster, lightgbm.Booster(model_file=tmp_path / "model.txt"), pickle.loads(pickle.dumps(booster))):
        np.testing.assert_allclose(one.predict(matrix), before + start, rtol=1e-12, atol=1e-12)
        with pytest.raises(UserError, match="contains a start already"):
            bake_start(one, start)


@pytest.mark.filterwarnings("ignore:Cannot compute class probabilities")  # says LightGBM's predict
def test_a_start_is_baked_once_also_where_training_went_on():
    matrix, label, _ = rows(2)
    objective = Objective(FOCAL[2])
    start = objective.start(label)
    model = lightgbm.LGBMClassifier(objective=objective, n_estimators=5, **QUIET).fit(matrix, label, init_score=start)
    bake_start(model, start)
    longer = lightgbm.train(
        {**QUIET, "objective": objective}, lightgbm.Dataset(matrix, label), 2, init_model=model.booster_
    )
    for one in (model, model.booster_, longer):
        before = one.predict(matrix, raw_score=True)
        with pytest.raises(UserError, match="contains a start already"):
            bake_start(one, start)
        np.testing.assert_array_equal(one.predict(matrix, raw_score=True), before)
    assert cp.loss(longer.predict(matrix), label, FOCAL[2]) < cp.loss(model.predict(matrix), label, FOCAL[2])


def test_models_that_cannot_contain_a_start():
    booster = lightgbm.Booster({**QUIET, "objective": "binary"}, lightgbm.Dataset(*rows(2)[:2]))
    with pytest.raises(UserError, match="has no tree"):
        bake_start(booster, 1.0)
    settings = {**QUIET, "objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    with pytest.raises(UserError, match="a random forest averages its trees"):
        bake_start(lightgbm.train(settings, lightgbm.Dataset(*rows(2)[:2]), 4), 1.0)


def test_the_start_counts_weights_and_soft_labels():
    assert Objective(PLAIN[2]).initial_logits([0, 1], [3.0, 1.0]) == pytest.approx(-np.log(3))
    assert Objective(PLAIN[2]).initial_logits([0.25, 0.25, 0.5, 0.0]) == pytest.approx(-np.log(3))
    np.testing.assert_allclose(Objective(PLAIN[3]).start([0, 1], [3.0, 1.0], rows=1), [[np.log(0.75), np.log(0.25)]])
    with pytest.raises(UserError, match="no sample"):
        Objective(PLAIN[3]).start([0, 2])


@pytest.mark.parametrize(
    ("label", "weight", "message"),
    [
        (["no", "yes"], None, "label must be numbers, but starts with 'no'"),
        ([0, 1, np.nan], None, "label is nan in row 2"),
        ([0, 1, 1], [1.0, 2.0], r"weight has shape \(2,\) and label \(3,\)"),
        ([[0], [1]], None, r"label has shape \(2, 1\)"),
    ],
)
def test_start_says_what_is_wrong_with_labels(label, weight, message):
    with pytest.raises(cp.UserError, match=message):
        Objective(PLAIN[2]).start(label, weight)


def test_the_objective_runs_on_the_hosts_own_threads():
    import sys

    from counterpoise.boosting.objective import threads_of
    from counterpoise.losses.kernel import OWN_THREADS

    if sys.platform != "linux":
        pytest.skip("only on Linux do the wheels share libgomp's entry point")
    assert threads_of(lightgbm.basic._LIB) != OWN_THREADS
    assert threads_of(object()) == OWN_THREADS
