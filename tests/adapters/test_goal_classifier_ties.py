"""GoalClassifier chooses alike for copies and weights, rows in another order, other processors, other thread counts.

The rows are those of scikit-learn's own check of sample weights: every row lies in two folds that learn from the same
rows, so that its two scores are the same but for their last digits.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut

import counterpoise as cp
from counterpoise.sklearn import GoalClassifier, LinearClassifier
from instruction_sets import HERE

pytestmark = pytest.mark.slow

TWO = [
    "f1",
    "mcc",
    "balanced_accuracy",
    "average_precision",
    "cost fn=9 fp=1",
    "recall where precision >= 0.5",
    "precision >= 0.6 and recall >= 0.6 with review <= 30%",
]
SEVERAL = ["macro_f1", "g_mean"]
CALIBRATIONS = ["auto", "none", "beta", "vector", "isotonic", "venn_abers"]


def rows(seed, several):
    """Features, labels and whole weights, in three groups, of which only the first has other weights than 1."""
    rng = np.random.RandomState(seed)
    features, label = rng.rand(15, (30, 3)[seed % 2]), rng.randint(0, 3, size=15)
    weight = np.concatenate([rng.randint(0, 5, size=15), np.ones(30)]).astype(int)
    label = label if several else (label == label[0]).astype(int)
    return np.vstack([features] * 3), np.concatenate([label] * 3), weight, np.repeat([0, 1, 2], 15)


def fitted(features, label, group, goal, calibration, weight=None, estimator=None):
    folds = list(LeaveOneGroupOut().split(features, groups=group))
    model = GoalClassifier(estimator or LogisticRegression(), goal, calibration=calibration, cv=folds)
    return model.fit(features, label, weight)


def answers(model, features):
    return [model.predict_proba(features), model.decision_function(features), model.predict(features)]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("goal", [*TWO, *SEVERAL])
@pytest.mark.filterwarnings("ignore:class .* has more rows:UserWarning")
def test_copies_weights_and_rows_in_another_order(goal, calibration):
    if calibration == "vector" and goal not in SEVERAL:
        return  # which is called beta for two classes
    for seed in (42, 1):
        features, label, weight, group = rows(seed, goal in SEVERAL)
        order = np.random.RandomState(seed).permutation(45)
        copies = np.repeat(np.arange(45), weight)
        of_weights = fitted(features, label, group, goal, calibration, weight)
        of_order = fitted(features[order], label[order], group[order], goal, calibration, weight[order])
        of_copies = fitted(features[copies], label[copies], group[copies], goal, calibration)
        of_copies_back = fitted(*(part[copies[::-1]] for part in (features, label, group)), goal, calibration)
        pairs = [(of_weights, of_order), (of_copies, of_copies_back)]
        if not cp.goal(goal).constraints:  # these are tested exactly: as rows, which weights are not
            pairs.append((of_weights, of_copies))
        for one, other in pairs:
            assert one.positive_ == other.positive_
            for found, expected in zip(answers(one, features[:15]), answers(other, features[:15]), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_class_that_weights_make_the_rarer_one_is_pointed_out():
    features, label = np.linspace(0, 1, 40)[:, None], np.repeat([0, 1], [25, 15])
    weight = np.where(label == 1, 4, 1)
    with pytest.warns(UserWarning, match="class 0 has more rows, but sample_weight, .* pass positive="):
        assert GoalClassifier(LogisticRegression(), "f1").fit(features, label, weight).positive_ == 0
    assert GoalClassifier(LogisticRegression(), "f1").fit(features, label, weight / 10).positive_ == 1
    assert GoalClassifier(LogisticRegression(), "f1", positive=1).fit(features, label, weight).positive_ == 1


def choices():
    """Everything that is chosen, as numbers."""
    found = {}
    for goal, seed in (("f1", 42), ("f1", 1), ("recall where precision >= 0.5", 4), ("macro_f1", 42)):
        for calibration, estimator in (("auto", LogisticRegression()), ("venn_abers", LinearClassifier())):
            features, label, weight, group = rows(seed, goal in SEVERAL)
            model = fitted(features, label, group, goal, calibration, weight, estimator)
            parts = [np.ravel(part).tolist() for part in answers(model, features)]
            found[f"{goal}, {seed}, {calibration}"] = [model.calibrator_.method, *parts]
    return found


PROCESSORS = {
    "an old one": {
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
        "COUNTERPOISE_ISA": HERE[-1],
    },
    "one without AVX-512": {"OPENBLAS_CORETYPE": "Zen", "COUNTERPOISE_ISA": HERE[min(1, len(HERE) - 1)]},
    "one core": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "two cores": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
}


@pytest.fixture(scope="module")
def here():
    return json.loads(json.dumps(choices()))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_another_processor(processor, here):
    path = os.pathsep.join([str(Path(cp.__file__).parents[1]), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__))],
        env={**os.environ, "PYTHONPATH": path, **PROCESSORS[processor]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert list(there) == list(here)
    for name, (method, *parts) in here.items():
        assert there[name][0] == method, name
        for found, expected in zip(there[name][1:], parts, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name)


if __name__ == "__main__":
    print(json.dumps(choices()))
