"""Recipes as CatBoost objectives."""

import copy
import math
import pickle

import catboost
import numpy as np
import pytest

import counterpoise as cp
from counterpoise.catboost import Metric, Objective, bake_start, row_slopes
from counterpoise.errors import UserError
from counterpoise.recipes import sigmoid, softmax
from counterpoise.sklearn import BoosterClassifier

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Failed to import numba", "ignore:Can't optimze method"),
]
QUIET = {"iterations": 8, "verbose": False, "thread_count": 1, "allow_writing_files": False, "depth": 3}
PLAIN = {2: sigmoid.binary_cross_entropy(), 3: softmax.cross_entropy()}
FOCAL = {2: sigmoid.focal(), 3: softmax.focal()}


def rows(classes, n=200):
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(n, 3))
    label = np.digitize(matrix[:, 0] + rng.normal(size=n), np.linspace(-0.5, 1.2, classes - 1))
    return matrix, label, rng.uniform(0.5, 3.0, n)


def classifier(objective, classes, **more):
    several = {"custom_metric": ["MultiClass"]} if classes > 2 else {}
    settings = {"loss_function": objective, "eval_metric": objective.metric, "learning_rate": 0.3}
    return catboost.CatBoostClassifier(**{**QUIET, **settings, **several, **more})


def raw(model, data):
    return model.predict(data, prediction_type="RawFormulaVal")


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("started", [False, True], ids=["from zero", "from the average"])
@pytest.mark.parametrize("classes", [2, 3])
def test_plain_grows_the_built_in_trees(classes, started, weighted):
    """With a learning rate, and for several classes a bootstrap, since CatBoost chooses these by the loss's name."""
    matrix, label, weight = rows(classes)
    weight = weight if weighted else None
    same = {"learning_rate": 0.3, "bootstrap_type": "Bayesian"}
    objective = Objective(PLAIN[classes])
    start = objective.start(label, weight) if started else None
    ours = classifier(objective, classes, **same).fit(matrix, label, sample_weight=weight, baseline=start)
    name = "Logloss" if classes == 2 else "MultiClass"
    built_in = catboost.CatBoostClassifier(loss_function=name, **QUIET, **same)
    built_in.fit(matrix, label, sample_weight=weight, baseline=start)
    np.testing.assert_allclose(raw(ours, matrix), raw(built_in, matrix), rtol=0, atol=1e-9)


def test_scale_pos_weight_is_a_weight_of_rows():
    matrix, label, _ = rows(2)
    built_in = catboost.CatBoostClassifier(learning_rate=0.3, scale_pos_weight=7.0, **QUIET).fit(matrix, label)
    by_row = classifier(Objective(PLAIN[2]), 2).fit(matrix, label, sample_weight=np.where(label == 1, 7.0, 1.0))
    by_loss = classifier(Objective(sigmoid.weighted(pos_weight=7.0), max_step=math.inf), 2).fit(matrix, label)
    for ours, same in ((by_row, True), (by_loss, False)):
        assert np.allclose(raw(ours, matrix), raw(built_in, matrix), rtol=0, atol=1e-9) == same


def test_the_scikit_learn_class_starts_as_boost_from_average_does():
    matrix, label, weight = rows(2)
    for from_average in (None, True):
        host = catboost.CatBoostClassifier(learning_rate=0.3, boost_from_average=from_average, **QUIET)
        ours = BoosterClassifier(host).fit(matrix, label, sample_weight=weight).predict_proba(matrix)
        own = host.fit(matrix, label, sample_weight=weight).predict_proba(matrix)
        assert np.allclose(ours, own, rtol=0, atol=1e-5) == bool(from_average)


def test_the_start_is_that_of_boost_from_average():
    matrix, label, weight = rows(2)
    objective = Objective(PLAIN[2])
    start = objective.start(label, weight)
    ours = classifier(objective, 2).fit(matrix, label, sample_weight=weight, baseline=start)
    bake_start(ours, start)
    built_in = catboost.CatBoostClassifier(learning_rate=0.3, boost_from_average=True, **QUIET)
    built_in.fit(matrix, label, sample_weight=weight)
    np.testing.assert_allclose(raw(ours, matrix), raw(built_in, matrix), rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_model_holds_the_start(classes, tmp_path):
    matrix, label, _ = rows(classes)
    objective = Objective(FOCAL[classes])
    start = objective.start(label)
    model = classifier(objective, classes).fit(matrix, label, baseline=start)
    expected = raw(model, catboost.Pool(matrix, baseline=start.reshape(len(label), -1)))
    bake_start(model, start)
    model.save_model(tmp_path / "model.cbm")
    again = catboost.CatBoostClassifier().load_model(tmp_path / "model.cbm")
    np.testing.assert_allclose(raw(again, matrix), expected, atol=1e-6)  # a pool keeps its baseline in float32
    probability = objective.predict_proba(again, matrix)
    assert probability.shape == (len(label), classes)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (probability.argmax(axis=1) == label).mean() > 0.6
    with pytest.raises(UserError, match="differs between rows"):
        bake_start(model, np.arange(2.0 * start[:1].size).reshape(2, *start.shape[1:]))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("grown", ["SymmetricTree", "Depthwise", "Lossguide"])
def test_any_kind_of_tree_contains_the_start_once(grown, classes, tmp_path):
    matrix, label, _ = rows(classes)
    objective = Objective(FOCAL[classes])
    start = objective.start(label)
    model = classifier(objective, classes, grow_policy=grown).fit(matrix, label, baseline=start)
    expected = raw(model, matrix) + start
    bake_start(model, start)
    model.save_model(tmp_path / "model.json", format="json")
    saved = catboost.CatBoostClassifier().load_model(tmp_path / "model.json", format="json")
    for one in (model, saved, model.copy(), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(raw(one, matrix), expected, atol=1e-6)
        with pytest.raises(UserError, match="contains a start already"):
            bake_start(one, start)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_metric_is_the_mean_loss_and_stops_early(classes):
    matrix, label, weight = rows(classes)
    objective = Objective(FOCAL[classes])
    train, other = (catboost.Pool(matrix[p], label[p], weight=weight[p]) for p in (slice(100), slice(100, None)))
    model = classifier(objective, classes, iterations=60, learning_rate=1.0)
    model.fit(train, eval_set=other, early_stopping_rounds=5)
    curve = model.evals_result_["validation"]["Metric"]
    assert model.best_iteration_ == int(np.argmin(curve)) < 50
    each = cp.loss(raw(model, matrix[100:]), label[100:], FOCAL[classes], reduction="none")
    assert min(curve) == pytest.approx(np.average(each, weights=weight[100:]), rel=1e-6)


def test_the_native_train_and_cv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # cv writes files, whatever it is told
    matrix, label, _ = rows(2)
    objective = Objective(sigmoid.focal())
    settings = {**QUIET, "loss_function": objective, "eval_metric": objective.metric, "learning_rate": 0.3}
    model = catboost.train(pool=catboost.Pool(matrix, label), params=settings)
    probability = objective.predict_proba(model, catboost.Pool(matrix))
    assert probability.shape == (len(label), 2)
    expected = classifier(objective, 2).fit(matrix, label)
    np.testing.assert_allclose(probability, objective.predict_proba(expected, matrix), rtol=1e-9)
    found = catboost.cv(catboost.Pool(matrix, label), settings, fold_count=3, as_pandas=False)
    assert len(found["test-Metric-mean"]) == QUIET["iterations"]
    assert found["test-Metric-mean"][-1] < found["test-Metric-mean"][0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_fitted_model_is_copied_with_its_objective(classes, copied):
    matrix, label, _ = rows(classes)
    objective = Objective(FOCAL[classes])
    model = classifier(objective, classes).fit(matrix, label)
    again = copied(model)
    assert copied(objective) == objective
    np.testing.assert_array_equal(objective.predict_proba(again, matrix), objective.predict_proba(model, matrix))


@pytest.mark.parametrize(
    "recipe",
    [
        softmax.cross_entropy(),
        softmax.focal(weight=[1.0, 2.0, 4.0]),
        softmax.ldam([100, 50, 10], scale=3.0),
        softmax.cdt([100, 50, 10]),
        softmax.vector_scaling([100, 50, 10]),
        softmax.poly1(),
        softmax.generalized(q=0.5),
    ],
    ids=str,
)
def test_slopes_of_a_row(recipe):
    rng = np.random.default_rng(0)
    for place in (0, 1, 2):
        logits = 2 * rng.normal(size=3)
        gradient, hessian = row_slopes(recipe, logits, place, -np.inf)
        _, expected, diagonal = cp.loss_and_gradient(logits[None], [place], recipe, reduction="sum", curvature=True)
        np.testing.assert_allclose(gradient, expected[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.diag(hessian), diagonal[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
        for j in range(3):
            ahead, behind = (
                cp.loss_and_gradient(logits[None] + sign * 1e-5 * np.eye(3)[j], [place], recipe)[1][0]
                for sign in (1, -1)
            )
            np.testing.assert_allclose(hessian[j], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-7)
        positive = row_slopes(recipe, logits, place, 0.2)[1]
        assert np.linalg.eigvalsh(positive).min() > -1e-12


@pytest.mark.parametrize(
    "recipe", [softmax.expected_cost([[0, 1, 1], [5, 0, 1], [9, 1, 0]]), softmax.SoftmaxRecipe(smoothing=0.1)], ids=str
)
def test_other_recipes_have_the_diagonal(recipe):
    gradient, hessian = Objective(recipe).calc_ders_multi(np.array([0.5, -1.0, 0.3]), 1.0, 2.0)
    _, expected, _ = cp.loss_and_gradient(np.array([[0.5, -1.0, 0.3]]), [1], recipe, reduction="sum", curvature=True)
    np.testing.assert_allclose(gradient, -2 * expected[0])
    assert (np.diag(hessian) < 0).all()
    assert np.count_nonzero(hessian) == 3


def test_slopes_of_two_classes():
    slopes = Objective(PLAIN[2], scale=3.0).calc_ders_range(
        np.array([0.0, 100.0]), np.array([1.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32)
    )
    np.testing.assert_allclose(slopes, [[3.0, -1.5], [-3.0, -1e-16]], rtol=1e-12, atol=1e-16)


def test_the_metric_of_several_classes():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    metric = Metric(softmax.focal())
    error, weight = metric.evaluate(list(logits.T), np.array([0, 1, 2, 1, 0], np.float32), None)
    assert metric.get_final_error(error, weight) == pytest.approx(cp.loss(logits, [0, 1, 2, 1, 0], softmax.focal()))
    assert not metric.is_max_optimal()


def test_misfits_say_what_to_do():
    matrix, label, _ = rows(3)
    with pytest.raises(catboost.CatBoostError, match=r'give CatBoost custom_metric=\["MultiClass"\] too'):
        classifier(Objective(softmax.focal()), 2).fit(matrix, label)
    with pytest.raises(catboost.CatBoostError, match="take the softmax recipe of the same loss"):
        classifier(Objective(sigmoid.focal()), 3, eval_metric="MultiClass").fit(matrix, label)
    with pytest.raises(catboost.CatBoostError, match="take the sigmoid recipe of the same loss"):
        classifier(Objective(softmax.focal()), 2).fit(matrix, label > 0)
    with pytest.raises(catboost.CatBoostError, match="All train targets are equal"):
        classifier(Objective(sigmoid.focal()), 2).fit(matrix, 0 * label)
