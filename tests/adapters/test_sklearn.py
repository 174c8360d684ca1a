"""The scikit-learn classifiers: against scikit-learn's own, against the hosts' own, and inside its tools."""

import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from lightgbm import LGBMClassifier
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from xgboost import XGBClassifier

import counterpoise as cp
from counterpoise.sklearn import BoosterClassifier, LinearClassifier

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Converting data to scipy sparse matrix"),  # says LightGBM
]

LIGHTGBM = LGBMClassifier(n_estimators=10, verbosity=-1, n_jobs=1)
XGBOOST = XGBClassifier(n_estimators=10, n_jobs=1)
hosts = pytest.mark.parametrize("host", [LIGHTGBM, XGBOOST], ids=["lightgbm", "xgboost"])
class_numbers = pytest.mark.parametrize("classes", [2, 4])

FLOAT32 = {
    f"check_sample_weight_equivalence_on_{data}_data": "XGBoost sums in float32, and the check wants 1e-7"
    for data in ("dense", "sparse")
}


@parametrize_with_checks(
    [
        LinearClassifier(),
        LinearClassifier("softmax.weighted"),
        BoosterClassifier(LIGHTGBM),
        BoosterClassifier(XGBOOST, "softmax.weighted"),
    ],
    expected_failed_checks=lambda estimator: FLOAT32 if getattr(estimator, "estimator", None) is XGBOOST else {},
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def rows(classes=2, n=400, seed=0):
    """Overlapping classes, the later the rarer, in features of very different scales."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3))
    label = np.digitize(features[:, 0] + features[:, 1] + rng.normal(size=n), np.linspace(1, 2.5, classes - 1))
    return features * [1, 100, 0.01] + [0, 500, 3], np.array(["a", "b", "c", "d"])[label]


def assert_same_model(ours, theirs, tolerance=1e-4):
    assert_allclose(ours.coef_, theirs.coef_, rtol=tolerance, atol=tolerance * np.abs(theirs.coef_).max())
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=tolerance, atol=tolerance)


def exact(**settings):
    """Scikit-learn's logistic regression to its last digits, which L-BFGS does not reach on these scales."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000, **settings)


@class_numbers
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0, np.inf])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_plain_is_logistic_regression(classes, C, fit_intercept):
    features, label = rows(classes)
    weight = np.random.default_rng(1).uniform(0.1, 3, len(label))
    settings = {"C": C, "fit_intercept": fit_intercept}
    theirs = exact(**settings).fit(features, label, weight)
    for recipe in [None, "softmax.cross_entropy", *(["sigmoid.binary_cross_entropy"] if classes == 2 else [])]:
        ours = LinearClassifier(recipe, tol=1e-8, **settings).fit(features, label, weight)
        assert_same_model(ours, theirs)
        assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), atol=1e-5)
        assert (ours.predict(features) == theirs.predict(features)).all()


@class_numbers
def test_inverse_weights_of_mean_1_over_samples_are_balanced(classes):
    features, label = rows(classes)
    recipe = cp.softmax.weighted(cp.count(label), normalize="samples")
    assert_same_model(
        LinearClassifier(recipe).fit(features, label), exact(class_weight="balanced").fit(features, label)
    )


@class_numbers
def test_an_offset_is_taken_back_by_the_posterior(classes):
    features, label = rows(classes)
    plain, adjusted = (LinearClassifier(recipe).fit(features, label) for recipe in (None, "softmax.logit_adjusted"))
    assert_allclose(adjusted.predict_proba(features), plain.predict_proba(features), atol=1e-4)
    assert np.abs(adjusted.intercept_ - plain.intercept_).max() > 0.5


NAMES = [name for name in cp.recipes() if not name.endswith("expected_cost")]


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_a_minimum(name):
    features, label = rows(2 if name.startswith("sigmoid") else 3)
    features = StandardScaler().fit_transform(features)
    model = LinearClassifier(name, C=0.5).fit(features, label)
    target = np.searchsorted(model.classes_, label)

    def penalised_loss(coefficients, intercepts):
        logits = features @ coefficients.T + intercepts
        logits = logits[:, 0] if name.startswith("sigmoid") else logits
        loss = cp.loss(logits, target, model.recipe_, reduction="sum")
        return 0.5 * loss + (coefficients**2).sum() / 2

    at = penalised_loss(model.coef_, model.intercept_)
    rng = np.random.default_rng(2)
    for _ in range(20):
        step = rng.normal(size=model.coef_.shape), rng.normal(size=model.intercept_.shape)
        around = [penalised_loss(model.coef_ + h * step[0], model.intercept_ + h * step[1]) for h in (1e-2, -1e-2)]
        assert min(around) > at - 1e-5 * abs(at)


@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_both_families_give_the_same_model_of_two_classes(gamma):
    features, label = rows()
    softmax = LinearClassifier(cp.softmax.focal(gamma=gamma)).fit(features, label)
    sigmoid = LinearClassifier(cp.sigmoid.focal(gamma=gamma)).fit(features, label)
    assert_same_model(softmax, sigmoid)
    assert_allclose(softmax.predict_proba(features), sigmoid.predict_proba(features), atol=1e-5)


@class_numbers
def test_sparse_rows_and_single_precision(classes):
    features, label = rows(classes)
    features = np.where(np.abs(features) < 0.5, 0, features)
    dense = LinearClassifier("softmax.focal").fit(features, label)
    sparse = LinearClassifier("softmax.focal").fit(scipy.sparse.csr_array(features), label)
    single = LinearClassifier("softmax.focal").fit(features.astype(np.float32), label)
    assert_same_model(sparse, dense, 1e-3)
    assert {single.coef_.dtype, single.intercept_.dtype} == {np.dtype(np.float32)}
    assert single.predict_proba(features.astype(np.float32)).dtype == np.float32
    assert_allclose(single.predict_proba(features), dense.predict_proba(features), atol=2e-3)


def test_logits_are_the_linear_scores():
    features, label = rows(3)
    model = LinearClassifier("softmax.weighted").fit(features, label)
    assert_allclose(model.decision_function(features), features @ model.coef_.T + model.intercept_, rtol=1e-10)
    assert_allclose(model.predict_proba(features), model.recipe_.posterior(model.decision_function(features)))
    assert (model.predict(features) == model.classes_[model.predict_proba(features).argmax(axis=1)]).all()


@pytest.mark.parametrize("model", [LinearClassifier(), BoosterClassifier(LIGHTGBM)], ids=["linear", "booster"])
@class_numbers
def test_without_a_posterior_the_scores_decide(model, classes):
    features, label = rows(classes)
    cost = np.ones((classes, classes)) - np.eye(classes)
    model = clone(model).set_params(recipe=cp.softmax.expected_cost(cost)).fit(features, label)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(cp.UserError, match=r"has no posterior: an expected cost is least .* Use predict"):
        model.predict_proba(features)
    scores = model.decision_function(features)
    chosen = scores.argmax(axis=1) if classes > 2 else (scores > 0).astype(int)
    assert (model.predict(features) == model.classes_[chosen]).all()
    assert (model.predict(features) == label).mean() > (label == "a").mean()
    calibrated = CalibratedClassifierCV(model, cv=3).fit(features, label)
    assert_allclose(calibrated.predict_proba(features).mean(axis=0), cp.count(label).prior, atol=0.05)


def test_a_recipe_can_be_made_of_the_training_counts():
    features, label = rows(3)
    counts = cp.count(label)
    for recipe in (partial(cp.softmax.logit_adjusted, tau=0.5), cp.softmax.logit_adjusted(counts, tau=0.5)):
        model = LinearClassifier(recipe).fit(features, label)
        assert model.counts_ == counts
        assert model.recipe_ == cp.softmax.logit_adjusted(counts, tau=0.5)
    asked = LinearClassifier(partial(cp.softmax.recall, classes="b")).fit(features, label)
    assert asked.recipe_ == cp.softmax.recall(counts, classes="b")


def test_counts_follow_the_sample_weights():
    features, label = rows()
    repeats = np.random.default_rng(0).integers(0, 4, len(label))
    model = LinearClassifier().fit(features, label, repeats)
    assert model.counts_ == cp.count(np.repeat(label, repeats))
    shares = LinearClassifier().fit(features, label, repeats * 1e-3).counts_
    assert_allclose(shares.prior, model.counts_.prior, atol=1 / len(label))
    assert shares.total == pytest.approx(len(label), abs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "sigmoid.focal"}, r"sigmoid.focal is a loss for two classes, but y has 3 classes.*'softmax.focal'"),
        ({"recipe": cp.sigmoid.asymmetric()}, "sigmoid.asymmetric .*'softmax.cross_entropy'"),
        ({"recipe": cp.softmax.weighted([9, 1])}, "parameters for 2 classes, but y has 3 classes"),
        ({"recipe": "softmax.focl"}, "did you mean 'softmax.focal'"),
        ({"recipe": 2.0}, "recipe is 2.0; pass a recipe"),
        ({"C": 0}, "C is 0"),
        ({"tol": -1}, "tol is -1"),
        ({"max_iter": 0}, "max_iter is 0"),
    ],
)
def test_errors_say_what_to_do(settings, message):
    with pytest.raises(cp.UserError, match=message):
        LinearClassifier(**settings).fit(*rows(3))


def test_labels_that_cannot_be_learned():
    features, _ = rows()
    with pytest.raises(cp.UserError, match=r"at least two classes, but y holds one class only: \['a'\]"):
        LinearClassifier().fit(features, ["a"] * len(features))
    with pytest.raises(cp.UserError, match="has parameters for 2 labels, but y is one label"):
        LinearClassifier(cp.sigmoid.weighted(pos_weight=[1.0, 2.0])).fit(*rows())


def test_too_few_iterations_warn():
    with pytest.warns(ConvergenceWarning, match="stopped after 2 iterations, before it converged to tol=1e-06"):
        model = LinearClassifier(max_iter=2).fit(*rows())
    assert model.n_iter_ == 2


@hosts
@class_numbers
def test_plain_grows_the_hosts_own_trees(host, classes):
    features, label = rows(classes)
    places = np.searchsorted(np.unique(label), label)
    own = clone(host).fit(features, places).predict_proba(features)
    for recipe in (None, "softmax.cross_entropy"):
        ours = BoosterClassifier(host, recipe).fit(features, label)
        assert_allclose(ours.predict_proba(features), own, atol=1e-5)
        assert (ours.predict(features) == np.unique(label)[own.argmax(axis=1)]).all()


@hosts
def test_the_two_families_grow_the_same_trees_of_two_classes(host):
    features, label = rows()
    softmax, sigmoid = (BoosterClassifier(host, recipe(gamma=1.0)) for recipe in (cp.softmax.focal, cp.sigmoid.focal))
    gap = softmax.fit(features, label).predict_proba(features) - sigmoid.fit(features, label).predict_proba(features)
    assert np.abs(gap).mean() < 0.01


@hosts
@class_numbers
def test_early_stopping_follows_the_recipes_loss(host, classes):
    features, label = rows(classes, 800)
    host = clone(host).set_params(n_estimators=300, learning_rate=0.3, early_stopping_rounds=5)
    weight = np.linspace(0.5, 2, 400)
    model = BoosterClassifier(host, "softmax.focal")
    model.fit(features[:400], label[:400], eval_set=(features[400:], label[400:], weight))
    curve = next(iter(next(iter(model.estimator_.evals_result_.values())).values()))
    assert 5 < len(curve) < 300
    target = np.searchsorted(model.classes_, label[400:])
    scores = model.decision_function(features[400:])
    logits = np.stack([-scores / 2, scores / 2], axis=1) if classes == 2 else scores
    best = cp.loss(logits, target, model.recipe_, sample_weight=weight, normalizer=weight.sum())
    assert min(curve) == pytest.approx(best, rel=1e-4)


@hosts
def test_training_starts_at_the_best_constant(host):
    features, label = rows(3)
    host = clone(host).set_params(n_estimators=1, learning_rate=1e-9)
    model = BoosterClassifier(host, "softmax.weighted").fit(features, label)
    start = model.recipe_.initial_logits(model.counts_)
    scores = model.decision_function(features[:1])[0]
    assert_allclose(scores - scores.mean(), start - start.mean(), atol=1e-5)
    assert_allclose(model.predict_proba(features[:1])[0], model.counts_.prior, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Failed to import numba")
@class_numbers
def test_catboost(classes):
    import catboost

    features, label = rows(classes)
    host = catboost.CatBoostClassifier(
        iterations=60, learning_rate=0.3, verbose=False, allow_writing_files=False, thread_count=1
    )
    model = BoosterClassifier(host, "softmax.focal" if classes > 2 else "sigmoid.focal")
    model.fit(features, label, eval_set=(features, label))
    probability = pickle.loads(pickle.dumps(model)).predict_proba(features)
    assert_allclose(probability.mean(axis=0), model.counts_.prior, atol=0.05)
    assert (model.predict(features) == label).mean() > (label == "a").mean()


def test_catboost_takes_a_sigmoid_recipe_of_two_classes():
    import catboost

    with pytest.raises(cp.UserError, match="take the sigmoid recipe of the same loss"):
        BoosterClassifier(catboost.CatBoostClassifier(), "softmax.focal").fit(*rows())


@hosts
def test_data_frames_keep_their_categories(host):
    rng = np.random.default_rng(0)
    color = rng.choice(["blue", "green", "red"], size=300)
    frame = pd.DataFrame({"color": pd.Categorical(color), "size": rng.normal(size=300)})
    frame.loc[:10, "size"] = np.nan
    if isinstance(host, XGBClassifier):
        host = clone(host).set_params(enable_categorical=True)
    model = BoosterClassifier(host).fit(frame, color == "green")
    assert model.feature_names_in_.tolist() == ["color", "size"]
    assert (model.predict(frame) == (color == "green")).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"size": "weight"}))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "estimator is LogisticRegression; BoosterClassifier takes an LGBMClassifier"),
        (LGBMClassifier(class_weight="balanced"), "class_weight='balanced', but the recipe weighs the classes"),
        (LGBMClassifier(is_unbalance=True), "is_unbalance=True"),
        (LGBMClassifier(unbalance=True), "unbalance=True"),
        (LGBMClassifier(unbalanced_sets=True), "unbalanced_sets=True"),
        (LGBMClassifier(pos_subsample=0.5), "pos_subsample=0.5"),
        (LGBMClassifier(neg_bagging=0.5), "neg_bagging=0.5"),
        (LGBMClassifier(num_classes=3), "num_classes=3, but the classes are those of y"),
        (XGBClassifier(num_class=3), "num_class=3, but the classes are those of y"),
        (XGBClassifier(scale_pos_weight=9), "scale_pos_weight=9"),
    ],
)
def test_estimators_that_do_not_fit_a_recipe(estimator, message):
    with pytest.raises(cp.UserError, match=message):
        BoosterClassifier(estimator).fit(*rows())


@pytest.mark.filterwarnings("ignore:Found '.*' in params")
@pytest.mark.parametrize("spelled", ["objective", "loss", "app", "application", "objective_type"])
def test_the_recipe_replaces_the_objective_however_it_is_spelled(spelled):
    features, label = rows()
    plain = BoosterClassifier(LIGHTGBM, "sigmoid.focal").fit(features, label)
    host = clone(LIGHTGBM).set_params(**{spelled: "binary", "metric_types": "auc", "is_unbalance": False})
    model = BoosterClassifier(host, "sigmoid.focal").fit(features, label, eval_set=(features, label))
    assert_allclose(model.predict_proba(features), plain.predict_proba(features), rtol=1e-12)
    assert list(model.estimator_.evals_result_["valid_0"]) == ["loss"]
    assert host.get_params()[spelled] == "binary"  # the user's own estimator is unchanged


@pytest.mark.filterwarnings("ignore:Failed to import numba")
@pytest.mark.parametrize("spelled", ["objective", "loss_function"])
def test_the_recipe_replaces_catboosts_loss_however_it_is_spelled(spelled):
    import catboost

    features, label = rows()
    quiet = {"iterations": 5, "learning_rate": 0.3, "verbose": False, "allow_writing_files": False, "thread_count": 1}
    hosts = (catboost.CatBoostClassifier(**quiet, **more) for more in ({}, {spelled: "Logloss"}))
    plain, model = (BoosterClassifier(host, "sigmoid.focal").fit(features, label) for host in hosts)
    assert_allclose(model.predict_proba(features), plain.predict_proba(features), rtol=1e-12)


@hosts
def test_held_out_rows_of_an_unknown_class(host):
    features, label = rows()
    with pytest.raises(cp.UserError, match=r"eval_set holds class 'z', .* training labels \['a', 'b'\]"):
        BoosterClassifier(host).fit(features, label, eval_set=[(features, np.where(label == "b", "z", label))])


MODELS = [LinearClassifier("softmax.weighted"), BoosterClassifier(LIGHTGBM, "softmax.weighted")]
models = pytest.mark.parametrize("model", MODELS, ids=["linear", "booster"])


@models
def test_copies_and_pickles(model):
    features, label = rows(3)
    fitted = clone(model).set_params(recipe=cp.softmax.focal(cp.count(label), weight="inverse")).fit(features, label)
    twin = pickle.loads(pickle.dumps(fitted))
    assert_allclose(twin.predict_proba(features), fitted.predict_proba(features))
    copied = clone(fitted)
    assert copied.recipe == fitted.recipe
    assert not hasattr(copied, "recipe_")
    assert "softmax.focal" in copied._repr_html_()


@models
def test_a_grid_over_recipes(model):
    features, label = rows(3)
    own = "C" if isinstance(model, LinearClassifier) else "estimator__num_leaves"
    values = [0.1, 10.0] if own == "C" else [2, 15]
    recipes = ["softmax.cross_entropy", cp.softmax.focal(gamma=1.0), partial(cp.softmax.logit_adjusted, tau=2.0)]
    search = GridSearchCV(model, {"recipe": recipes, own: values}, scoring="neg_log_loss", cv=2, error_score="raise")
    search.fit(features, label)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"].round(6))) > 3


@models
def test_pipelines_and_cross_validation(model):
    features, label = rows(3)
    pipeline = make_pipeline(StandardScaler(), model)
    probability = cross_val_predict(pipeline, features, label, cv=3, method="predict_proba")
    assert_allclose(probability.mean(axis=0), cp.count(label).prior, atol=0.1)
    calibrated = CalibratedClassifierCV(pipeline, cv=2).fit(features, label)
    assert_allclose(calibrated.predict_proba(features).sum(axis=1), 1)


@models
def test_thresholds_are_tuned_on_probabilities(model):
    features, label = rows(2, 800)
    tuned = TunedThresholdClassifierCV(model, scoring="balanced_accuracy", cv=2).fit(features, label == "b")
    assert 0.01 < tuned.best_threshold_ < 0.4
    score = balanced_accuracy_score(label == "b", tuned.predict(features))
    assert score > balanced_accuracy_score(label == "b", tuned.estimator_.predict(features)) + 0.02


@models
def test_sample_weights_are_routed(model):
    features, label = rows(3)
    weight = np.where(label == "b", 7, 1)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, clone(model).set_fit_request(sample_weight=True))
        routed.fit(features, label, sample_weight=weight)
    assert routed[-1].counts_.n.tolist() == [weight[label == name].sum() for name in "abc"]


def test_without_scikit_learn_the_import_names_the_extra():
    code = "import sys; sys.modules['sklearn'] = None\nimport counterpoise.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'counterpoise[sklearn]'" in done.stderr.splitlines()[-1]
