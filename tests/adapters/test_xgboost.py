"""Recipes as XGBoost objectives."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
import xgboost

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.recipes import sigmoid, softmax
from counterpoise.xgboost import Objective, bake_start

pytestmark = pytest.mark.slow

QUIET = {"nthread": 1, "eta": 0.3, "max_depth": 4}
PLAIN = {2: sigmoid.binary_cross_entropy(), 3: softmax.cross_entropy()}
FOCAL = {2: sigmoid.focal(), 3: softmax.focal()}


def rows(classes, n=400):
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(n, 3))
    label = np.digitize(matrix[:, 0] + rng.normal(size=n), np.linspace(-0.5, 1.2, classes - 1))
    return matrix, label, rng.uniform(0.5, 3.0, n)


def settings_for(classes, **more):
    return {**QUIET, **({"num_class": classes} if classes > 2 else {}), **more}


def margin(booster, matrix, **more):
    return booster.predict(xgboost.DMatrix(matrix, **more), output_margin=True)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("estimated", [False, True], ids=["from zero", "from the average"])
@pytest.mark.parametrize("classes", [2, 3])
def test_plain_grows_the_built_in_trees(classes, estimated, weighted):
    matrix, label, weight = rows(classes)
    data = xgboost.DMatrix(matrix, label, weight=weight if weighted else None)
    name = "binary:logistic" if classes == 2 else "multi:softprob"
    zero = {} if estimated else {"base_score": 0.5 if classes == 2 else 0.0}
    built_in = xgboost.train(settings_for(classes, objective=name, **zero), data, 20)
    objective = Objective(PLAIN[classes])
    start = objective.initial_logits(label, weight if weighted else None) if estimated else 0.0
    ours = xgboost.train(settings_for(classes, base_score=start), data, 20, obj=objective)
    np.testing.assert_allclose(margin(ours, matrix), margin(built_in, matrix), rtol=0, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("pos_weight", [0.1, 7.0, None], ids=["0.1", "7", "negatives / positives"])
def test_unbounded_weighted_grows_the_trees_of_scale_pos_weight(pos_weight, weighted):
    """From one Newton step, where XGBoost starts with it; the best constant is there too where classes weigh alike."""
    matrix, label, weight = rows(2)
    weight = weight if weighted else np.ones(len(label))
    mass = np.bincount(label, weight)
    ratio = mass[0] / mass[1] if pos_weight is None else pos_weight
    data = xgboost.DMatrix(matrix, label, weight=weight)
    built_in = xgboost.train({**QUIET, "objective": "binary:logistic", "scale_pos_weight": ratio}, data, 20)
    recipe, share = sigmoid.weighted(pos_weight=ratio), ratio * mass[1] / (ratio * mass[1] + mass[0])
    best = float(Objective(recipe).initial_logits(label, weight))
    for start, step, same in (
        (4 * share - 2, math.inf, True),
        (4 * share - 2, 0.5, False),
        (best, math.inf, pos_weight is None),
    ):
        settings = {**QUIET, "base_score": start, "disable_default_eval_metric": True}
        ours = xgboost.train(settings, data, 20, obj=Objective(recipe, max_step=step))
        assert np.allclose(margin(ours, matrix), margin(built_in, matrix), rtol=0, atol=1e-5) == same


@pytest.mark.parametrize("classes", [2, 3])
def test_the_scikit_learn_class_grows_the_trees_of_the_native_call(classes):
    matrix, label, weight = rows(classes)
    objective = Objective(FOCAL[classes])
    start = objective.start(label, weight)
    data = xgboost.DMatrix(matrix, label, weight=weight)
    native = xgboost.train(
        settings_for(classes, base_score=objective.initial_logits(label, weight)), data, 10, obj=objective
    )
    model = xgboost.XGBClassifier(objective=objective, n_estimators=10, n_jobs=1, learning_rate=0.3, max_depth=4)
    model.fit(matrix, label, sample_weight=weight, base_margin=start)
    bake_start(model, start)
    np.testing.assert_allclose(model.predict(matrix, output_margin=True), margin(native, matrix), atol=2e-6)
    probability = objective.predict_proba(model, matrix)
    np.testing.assert_allclose(probability, objective.predict_proba(native, matrix), atol=1e-6)
    assert probability.shape == (len(label), classes)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert (probability.argmax(axis=1) == label).mean() > 0.7


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("way", ["base_score", "bake_start"])
def test_a_saved_model_holds_the_start(classes, way, tmp_path):
    matrix, label, _ = rows(classes)
    objective = Objective(FOCAL[classes])
    start = objective.start(label)
    if way == "base_score":
        settings = settings_for(classes, base_score=objective.initial_logits(label))
        booster = xgboost.train(settings, xgboost.DMatrix(matrix, label), 5, obj=objective)
        expected = margin(booster, matrix)
    else:
        data = xgboost.DMatrix(matrix, label, base_margin=start)
        booster = xgboost.train(settings_for(classes), data, 5, obj=objective)
        expected = margin(booster, matrix, base_margin=start)
        assert np.abs(margin(booster, matrix) - expected).max() > 0.1
        bake_start(booster, start)
    booster.save_model(tmp_path / "model.ubj")
    again = xgboost.Booster(model_file=tmp_path / "model.ubj")
    np.testing.assert_allclose(margin(again, matrix), expected, atol=2e-6)
    with pytest.raises(UserError, match="differs between rows"):
        bake_start(booster, np.arange(2.0 * start[:1].size).reshape(2, *start.shape[1:]))


@pytest.mark.filterwarnings("ignore:(?s).*max_depth.* are not used")  # by a linear model
@pytest.mark.parametrize(
    "settings",
    [
        {"booster": "gblinear"},
        {"booster": "dart", "rate_drop": 0.3},
        {"multi_strategy": "multi_output_tree"},
        {"num_parallel_tree": 3},
        {"base_score": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_any_kind_of_model_contains_the_start_once(settings, classes):
    matrix, label, _ = rows(classes)
    start = Objective(FOCAL[classes]).start(label)
    data = xgboost.DMatrix(matrix, label, base_margin=start)
    booster = xgboost.train(settings_for(classes, **settings), data, 5, obj=Objective(FOCAL[classes]))
    expected = margin(booster, matrix, base_margin=start)
    bake_start(booster, start)
    for one in (booster, pickle.loads(pickle.dumps(booster))):
        np.testing.assert_allclose(margin(one, matrix), expected, atol=2e-6)
        with pytest.raises(UserError, match="contains a start already"):
            bake_start(one, start)


def test_a_logistic_model_cannot_hold_a_huge_start():
    matrix, label, _ = rows(2)
    model = xgboost.XGBClassifier(objective=Objective(FOCAL[2]), n_estimators=1, n_jobs=1).fit(matrix, label)
    with pytest.raises(UserError, match=r"cannot keep a start of 30 .* xgboost\.train"):
        bake_start(model, 30.0)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("native", [True, False], ids=["train", "XGBClassifier"])
def test_the_metric_is_the_mean_loss_and_stops_early(classes, native):
    matrix, label, weight = rows(classes)
    objective, seen = Objective(FOCAL[classes]), {}
    parts = slice(None, 200), slice(200, None)
    if native:
        train, other = (xgboost.DMatrix(matrix[part], label[part], weight=weight[part]) for part in parts)
        model = xgboost.train(
            settings_for(classes, base_score=0.0, disable_default_eval_metric=True, eta=0.5),
            train,
            100,
            evals=[(other, "other")],
            obj=objective,
            custom_metric=objective.metric,
            early_stopping_rounds=5,
            evals_result=seen,
            verbose_eval=False,
        )
        logits = model.predict(other, output_margin=True, iteration_range=(0, model.best_iteration + 1))
        curve = seen["other"]["loss"]
    else:
        model = xgboost.XGBClassifier(
            objective=objective,
            eval_metric=objective.metric,
            early_stopping_rounds=5,
            n_estimators=100,
            learning_rate=0.5,
            n_jobs=1,
        )
        model.fit(
            matrix[parts[0]],
            label[parts[0]],
            sample_weight=weight[parts[0]],
            eval_set=[(matrix[parts[1]], label[parts[1]])],
            sample_weight_eval_set=[weight[parts[1]]],
            verbose=False,
        )
        logits = model.predict(matrix[parts[1]], output_margin=True)
        curve = model.evals_result()["validation_0"]["metric"]
    assert model.best_iteration == int(np.argmin(curve)) < 90
    each = cp.loss(logits, label[parts[1]], FOCAL[classes], reduction="none")
    # XGBoost rounds it to six decimals
    assert min(curve) == pytest.approx(np.average(each, weights=weight[parts[1]]), abs=1e-6)
    np.testing.assert_allclose(
        objective.predict_proba(model, matrix[parts[1]]), objective.predict_proba(logits), atol=1e-6
    )


def test_cross_validation():
    matrix, label, _ = rows(3)
    objective = Objective(softmax.focal())
    settings = settings_for(3, base_score=objective.initial_logits(label), disable_default_eval_metric=True)
    data = xgboost.DMatrix(matrix, label)
    found = xgboost.cv(settings, data, 5, nfold=3, obj=objective, custom_metric=objective.metric, as_pandas=False)
    assert len(found["test-loss-mean"]) == 5
    assert found["test-loss-mean"][-1] < found["test-loss-mean"][0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
def test_a_fitted_classifier_is_copied_with_its_objective(copied):
    matrix, label, _ = rows(3)
    objective = Objective(softmax.focal())
    model = xgboost.XGBClassifier(objective=objective, n_estimators=3, n_jobs=1).fit(matrix, label)
    again = copied(model)
    assert again.objective == objective
    np.testing.assert_array_equal(again.objective.predict_proba(again, matrix), objective.predict_proba(model, matrix))


class _Data:
    def __init__(self, label, weight=()):
        self.label, self.weight = np.asarray(label, np.float32), np.asarray(weight, np.float32)

    def get_label(self):
        return self.label.copy()

    def get_weight(self):
        return self.weight


def test_both_orders_and_the_layout_of_classes():
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    label, weight = np.array([0, 1, 2, 1]), np.array([1.0, 2.0, 3.0, 4.0])
    objective = Objective(softmax.cross_entropy())
    gradient, curvature = objective(logits, _Data(label, weight))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, weight[:, None] * (p - np.eye(3)[label]), rtol=1e-5)
    np.testing.assert_allclose(curvature, weight[:, None] * 2 * p * (1 - p), rtol=1e-5)
    assert gradient.dtype == curvature.dtype == np.float32
    for ours, other in zip(
        (gradient, curvature), objective(label.astype(np.float32), logits, sample_weight=weight), strict=True
    ):
        np.testing.assert_array_equal(ours, other)
    assert objective.metric(logits, _Data(label))[1] == objective.metric(label, logits)


@pytest.mark.parametrize("size", [0, 100.0])
def test_curvature_of_plain_at_large_logits_is_a_number_above_zero(size):
    logits = np.array([size, -size, size, -size], np.float32)
    gradient, curvature = Objective(PLAIN[2])(logits, _Data([0, 0, 1, 1]))
    assert np.isfinite(gradient).all()
    assert (curvature > 0).all()


def test_labels_that_change_are_seen():
    objective = Objective(softmax.cross_entropy())
    first, _ = objective(np.zeros((2, 2)), _Data([0, 1]))
    second, _ = objective(np.zeros((2, 2)), _Data([1, 0]))
    np.testing.assert_array_equal(first, -second)


def test_misfits_say_what_to_do():
    matrix, label, _ = rows(2)
    with pytest.raises(UserError, match="num_class, or take the sigmoid recipe"):
        xgboost.train(QUIET, xgboost.DMatrix(matrix, label), 1, obj=Objective(softmax.focal()))
    with pytest.raises(UserError, match="num_class, or take the sigmoid recipe"):
        xgboost.XGBClassifier(objective=Objective(softmax.focal()), n_estimators=1).fit(matrix, label)
    with pytest.raises(UserError, match="all 400 labels are 0"):
        xgboost.train(QUIET, xgboost.DMatrix(matrix, 0 * label), 1, obj=Objective(sigmoid.focal()))
    matrix, label, _ = rows(3)
    with pytest.raises(UserError, match="take the softmax recipe"):
        xgboost.XGBClassifier(objective=Objective(sigmoid.focal()), n_estimators=1).fit(matrix, label)
    with pytest.raises(UserError, match=r"label 2 in row \d+ is not a class"):
        xgboost.train({**QUIET, "num_class": 2}, xgboost.DMatrix(matrix, label), 1, obj=Objective(softmax.focal()))


def test_the_start_is_xgboosts_own_for_plain_cross_entropy():
    label = np.repeat([0, 1, 2], [500, 20, 2])
    data = xgboost.DMatrix(np.zeros((len(label), 1)), label)
    built_in = xgboost.train({**QUIET, "objective": "multi:softprob", "num_class": 3}, data, 1)
    shape = json.loads(built_in.save_config())["learner"]["learner_model_param"]
    ours = Objective(softmax.cross_entropy()).initial_logits(label)
    np.testing.assert_allclose(ours, json.loads(shape["base_score"]), atol=1e-6)


def test_the_start_is_centred_only_where_that_changes_nothing():
    label = np.array([0, 0, 0, 1, 2])
    assert sum(Objective(softmax.cross_entropy()).initial_logits(label)) == pytest.approx(0)
    scaled = softmax.cdt(cp.count(label))
    np.testing.assert_allclose(Objective(scaled).initial_logits(label), scaled.initial_logits([3, 1, 1]), rtol=1e-9)
