"""GoalClassifier: scikit-learn's own checks, what it promises, and that it decides as choose_threshold does."""

import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import counterpoise as cp
from counterpoise.sklearn import GoalClassifier

pytestmark = pytest.mark.slow

PRECISE = "recall where precision >= 0.5"


THRESHOLD = {"check_classifiers_train": "predict is not the most probable class, as in TunedThresholdClassifierCV"}
UNSURE = "no exact test exists for weighted rows, so the threshold keeps no distance from its bound"
WEIGHTS = {f"check_sample_weight_equivalence_on_{kind}_data": UNSURE for kind in ("dense", "sparse")}
EXPECTED = {"mcc": THRESHOLD, "f1": THRESHOLD, PRECISE: {**THRESHOLD, **WEIGHTS}}


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast:RuntimeWarning"
)  # of scikit-learn, in its check of NaN
@parametrize_with_checks(
    [
        GoalClassifier(LogisticRegression()),
        GoalClassifier(LogisticRegression(), "mcc", calibration="none"),
        GoalClassifier(LogisticRegression(), "f1"),
        GoalClassifier(LogisticRegression(), PRECISE),
    ],
    expected_failed_checks=lambda estimator: EXPECTED.get(estimator.goal, {}),
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def rows(n=6000, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2))
    edges = [1.8] if classes == 2 else [1.0, 2.2]
    label = np.digitize(features[:, 0] + 0.7 * rng.normal(size=n), edges)
    return features, np.array(["fine", "fraud", "theft"])[label]


def test_rows_set_aside_make_a_promise_that_new_rows_keep():
    features, label = rows()
    model = GoalClassifier(LogisticRegression(), PRECISE, cv=0.5, random_state=0).fit(features, label)
    assert model.decision_.promised and model.positive_ == "fraud"
    unseen, truth = rows(200_000, seed=1)
    flagged = model.predict(unseen) == "fraud"
    assert (truth[flagged] == "fraud").mean() >= 0.5
    assert flagged.sum() > 0


def test_prefit_decides_as_choose_threshold_does():
    features, label = rows()
    fitted = LogisticRegression().fit(features, label)
    unseen, truth = rows(seed=2)
    model = GoalClassifier(fitted, PRECISE, cv="prefit", calibration="none").fit(unseen, truth)
    expected = cp.decide.choose_threshold(truth == "fraud", fitted.predict_proba(unseen)[:, 1], PRECISE)
    assert model.estimator_ is fitted
    assert model.decision_.threshold == expected.threshold == model.threshold_
    assert model.decision_.promised == expected.promised


def test_cross_fitted_scores_promise_nothing_and_say_what_would():
    features, label = rows()
    model = GoalClassifier(LogisticRegression(), PRECISE).fit(features, label)
    assert not model.decision_.promised and model.decision_.met
    assert "nothing is promised" in model.decision_.reason and "cv=0.3" in model.decision_.reason
    assert model.decision_.missing_positives is None
    weighted = GoalClassifier(LogisticRegression(), PRECISE, cv=StratifiedKFold(3)).fit(
        features, label, np.where(label == "fraud", 2.0, 1.0)
    )
    assert not weighted.decision_.promised


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_by_name(classes):
    features, label = rows(classes=classes)
    goal = "recall of fraud where precision of fraud >= 0.3"
    model = GoalClassifier(LogisticRegression(), goal, cv=0.5, random_state=0).fit(features, label)
    chosen = model.predict(features)
    scores = model.estimator_.predict_proba(features)[:, 1]
    np.testing.assert_array_equal(chosen == "fraud", scores >= model.decision_.threshold)
    assert {"fine", "fraud"} <= set(chosen)
    over = model.decision_function(features)
    by_margin = over.argmax(axis=1) if classes > 2 else (over > 0).astype(int)
    np.testing.assert_array_equal(model.classes_[by_margin], chosen)


def test_the_other_class_can_be_the_positive_one():
    features, label = rows()
    model = GoalClassifier(LogisticRegression(), "recall where precision >= 0.99", positive="fine", cv=0.5)
    model.fit(features, label)
    scores = model.estimator_.predict_proba(features)[:, 0]
    np.testing.assert_array_equal(model.predict(features) == "fine", scores >= model.decision_.threshold)
    np.testing.assert_array_equal(model.decision_function(features) > 0, model.predict(features) == "fraud")


def test_threshold_is_on_the_scale_of_the_calibrated_probabilities():
    features, label = rows()
    model = GoalClassifier(LogisticRegression(), PRECISE, cv=0.5, calibration="platt", random_state=0)
    model.fit(features, label)
    probability = model.predict_proba(features)[:, 1]
    clear = np.abs(probability - model.threshold_) > 1e-9
    np.testing.assert_array_equal((probability >= model.threshold_)[clear], (model.predict(features) == "fraud")[clear])


def test_a_review_band_decides_as_choose_review_band_does():
    features, label = rows()
    fitted = LogisticRegression().fit(features, label)
    unseen, truth = rows(seed=2)
    goal = "precision of fraud >= 0.8 and recall of fraud >= 0.7 with review <= 30%"
    model = GoalClassifier(fitted, goal, cv="prefit", calibration="platt").fit(unseen, truth)
    score = fitted.predict_proba(unseen)[:, 1]
    band = cp.decide.choose_review_band(
        truth == "fraud", score, "precision >= 0.8 and recall >= 0.7 with review <= 30%"
    )
    assert (model.decision_.lower, model.decision_.upper) == (band.lower, band.upper)
    assert model.decision_.promised and band.promised
    codes = band.apply(score)
    assert 0 < (codes == -1).mean() <= 0.3
    np.testing.assert_array_equal(model.review(unseen), codes == -1)
    np.testing.assert_array_equal(model.predict(unseen) == "fraud", codes != 0)
    np.testing.assert_array_equal(model.decision_function(unseen) > 0, codes != 0)
    calibrated = model.predict_proba(unseen)[:, 1]
    assert (codes[calibrated > model.threshold_ + 1e-9] != 0).all()
    cross_fitted = GoalClassifier(LogisticRegression(), goal).fit(features, label)
    assert not cross_fitted.decision_.promised and "cv=0.3" in cross_fitted.decision_.reason
    assert not GoalClassifier(LogisticRegression(), "f1").fit(features, label).review(features).any()


@pytest.mark.parametrize("classes", [2, 3])
def test_a_cost_matrix_decides_as_decide_by_cost_does(classes):
    features, label = rows(classes=classes)
    names = sorted(set(label), reverse=True)  # another order than that of the labels
    costs = [[0.0 if true == chosen else 1.0 + 9 * (true != "fine") for chosen in names] for true in names]
    matrix = cp.goals.CostMatrix(names, costs)
    model = GoalClassifier(LogisticRegression(), cp.goals.Goal("cost", costs=matrix)).fit(features, label)
    place = cp.decide.decide_by_cost(model.predict_proba(features)[:, ::-1], matrix)
    np.testing.assert_array_equal(model.predict(features), np.array(names)[place])
    worth = model.decision_function(features)
    chosen = worth.argmax(axis=1) if classes > 2 else (worth > 0).astype(int)
    np.testing.assert_array_equal(model.predict(features), model.classes_[chosen])

    def bill(decided):
        return sum(costs[names.index(true)][names.index(one)] for true, one in zip(label, decided, strict=True))

    assert bill(model.predict(features)) < bill(model.estimator_.predict(features))
    with pytest.raises(cp.UserError, match="froud"):
        wrong = cp.goals.CostMatrix(["fine", "froud"], [[0, 1], [9, 0]])
        GoalClassifier(LogisticRegression(), cp.goals.Goal("cost", costs=wrong)).fit(features, label)


@pytest.mark.parametrize(("goal", "threshold"), [("balanced_accuracy", None), ("cost fn=9 fp=1", 0.1)])
def test_a_threshold_that_theory_knows_is_taken(goal, threshold):
    features, label = rows()
    model = GoalClassifier(LogisticRegression(), goal, calibration="platt").fit(features, label)
    assert model.known_ and model.threshold_ == model.decision_.threshold
    assert model.threshold_ == (threshold or (label == "fraud").mean())
    flagged = model.predict(features) == "fraud"
    np.testing.assert_array_equal(flagged, model.predict_proba(features)[:, 1] >= model.threshold_)
    empirical = cp.decide.choose_threshold(label == "fraud", model.predict_proba(features)[:, 1], goal)
    assert abs(model.decision_.value - empirical.value) < 0.02


def test_works_in_pipelines_searches_and_pickles():
    features, label = rows(1000)
    model = make_pipeline(StandardScaler(), GoalClassifier(LGBMClassifier(n_estimators=5, verbosity=-1), "f2", cv=3))
    search = GridSearchCV(model, {"goalclassifier__goal": ["f1", "f2"]}, scoring="balanced_accuracy", cv=2)
    search.fit(features, label == "fraud")
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(features), search.predict(features))
    assert clone(model).get_params()["goalclassifier__goal"] == "f2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goal": "recal where precision >= 0.5"}, "did you mean 'recall'"),
        ({"goal": "recall of froud"}, "froud.*did you mean 'fraud'"),
        ({"goal": PRECISE, "positive": "other"}, "positive is 'other', but y has the classes"),
        ({"goal": "recall of fraud", "positive": "fine"}, "the goal names class 'fraud'"),
        ({"cv": "prefitted"}, "cv is 'prefitted'"),
        ({"cv": 1.5}, "cv is 1.5"),
        ({"cv": 1}, "at least 2 folds"),
        ({"cv": 0.01}, "cv=0.01 sets no row of some class aside"),
        ({"confidence": 95}, "confidence is 95"),
        ({"goal": 0.5}, "a goal is text, such as .* not 0.5"),
        ({"calibration": "magic"}, "magic"),
        ({"goal": "cost fn=amount fp=10"}, r"decide_by_cost\(model.predict_proba\(X\)"),
        ({"goal": "cost fine as fraud=1 fraud as fine=5", "positive": "fraud"}, "leave positive out"),
        (
            {"goal": "cost fine as fraud=1 fraud as fine=5 where recall of fraud >= 0.5"},
            "has bounds as well as a cost matrix",
        ),
    ],
)
def test_says_what_is_wrong(settings, message):
    features, label = rows(500)
    with pytest.raises(cp.UserError, match=message):
        GoalClassifier(LogisticRegression(), **settings).fit(features, label)


@pytest.mark.parametrize("dtype", [int, float, np.float32, bool, "Int64", "category"])
@pytest.mark.parametrize("positive", [None, 1, 1.0])
def test_a_class_of_numbers_by_name(dtype, positive):
    features, label = rows(600)
    y = pd.Series(label == "fraud").astype(int).astype(dtype)
    name = "True" if dtype is bool else "1"
    expected = GoalClassifier(LogisticRegression(), "f1").fit(features, label).predict(features) == "fraud"
    for goal in (f"f1 of {name}", *([f"f1 of {name}.0"] if dtype is float else [])):
        if dtype is bool and positive is not None:
            continue  # 1 is not the name of True
        model = GoalClassifier(LogisticRegression(), goal, positive=positive).fit(features, y)
        np.testing.assert_array_equal(model.predict(features) == model.positive_, expected)


def test_a_fraction_may_be_any_number():
    features, label = rows(600)
    cut = {
        GoalClassifier(LogisticRegression(), "f1", cv=cv, random_state=0).fit(features, label).threshold_
        for cv in (0.25, np.float32(0.25), np.float64(0.25), Fraction(1, 4))
    }
    assert len(cut) == 1


def test_the_rarer_class_is_the_positive_one_and_others_are_refused():
    features, label = rows()
    renamed = np.where(label == "fraud", "a fraud", label)
    assert GoalClassifier(LogisticRegression(), PRECISE, cv=0.5).fit(features, renamed).positive_ == "a fraud"
    fitted = LogisticRegression().fit(features, label)
    with pytest.raises(cp.UserError, match="y has the class 'a fraud', but estimator knows"):
        GoalClassifier(fitted, PRECISE, cv="prefit").fit(features, renamed)
    features, label = rows(classes=3)
    with pytest.raises(cp.UserError, match="name the class"):
        GoalClassifier(LogisticRegression(), PRECISE).fit(features, label)


def test_an_estimator_without_probabilities_is_refused():
    features, label = rows(200)
    with pytest.raises(cp.UserError, match="CalibratedClassifierCV"):
        GoalClassifier(SGDClassifier(), PRECISE).fit(features, label)
