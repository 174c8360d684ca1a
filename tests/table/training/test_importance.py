"""Which columns matter: against scikit-learn's permutation importance, within the errors that we claim."""

import numpy as np
import polars as pl
import pytest
import sklearn.linear_model as linear
from sklearn import inspection

from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table.training.importance import importance_of

pytestmark = pytest.mark.slow


def _fitted(seed: int = 0, rows: int = 1500, classes: int = 2):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 3))
    score = 2 * matrix[:, 0] + matrix[:, 1] + rng.logistic(size=rows)
    target = np.digitize(score, np.quantile(score, [0.9] if classes == 2 else [0.5, 0.9]))
    model = linear.LogisticRegression().fit(matrix, target)
    frame = pl.DataFrame(matrix, schema=["strong", "weak", "noise"])

    def predict(rows: pl.DataFrame) -> np.ndarray:
        found = model.predict_proba(rows.to_numpy())
        return found[:, 1] if classes == 2 else found

    return model, frame, target, predict


@pytest.mark.parametrize(
    "classes, goal, scoring",
    [(2, "f1", "average_precision"), (2, "roc_auc", "roc_auc"), (3, "macro_f1", "neg_log_loss")],
)
def test_it_is_scikit_learns_within_the_error(classes, goal, scoring):
    model, frame, target, predict = _fitted(classes=classes)
    peer = inspection.permutation_importance(
        model, frame.to_numpy(), target, scoring=scoring, n_repeats=20, random_state=0
    )
    found = importance_of(predict, frame, frame.columns, target, Goal(goal))
    assert [one.column for one in found] == ["strong", "weak", "noise"]
    for one, expected in zip(found, peer.importances_mean, strict=True):
        assert one.drop == pytest.approx(expected, abs=3 * one.error + 1e-4)
        assert one.error < 0.1


def test_the_error_is_that_of_other_rows_and_shuffles():
    drops, errors = [], []
    model, *_ = _fitted()
    for seed in range(1, 31):
        _, frame, target, _ = _fitted(seed, rows=600)
        one = importance_of(
            lambda rows: model.predict_proba(rows.to_numpy())[:, 1], frame, ["strong"], target, Goal("f1"), seed=seed
        )[0]
        drops.append(one.drop)
        errors.append(one.error)
    assert 0.6 < np.mean(errors) / np.std(drops, ddof=1) < 1.6  # 30 draws tell a spread to about 13 %


def test_few_rows_of_a_large_table_stand_for_it():
    _, frame, target, predict = _fitted(rows=8000)
    whole = importance_of(predict, frame, frame.columns, target, Goal("f1"), most_rows=8000)
    some = importance_of(predict, frame, frame.columns, target, Goal("f1"), most_rows=1600)
    for one, other in zip(whole, some, strict=True):
        assert one.column == other.column
        assert one.drop == pytest.approx(other.drop, abs=3 * (one.error + other.error))


def test_the_work_is_bounded_and_the_same_each_time():
    _, frame, target, predict = _fitted()
    seen = []

    def counted(rows: pl.DataFrame) -> np.ndarray:
        seen.append(rows.height)
        return predict(rows)

    found = importance_of(
        counted, frame, ["noise", "weak", "strong"], target, Goal("f1"), most_rows=100, most_columns=2, shuffles=2
    )
    assert {one.column for one in found} == {"noise", "weak"}
    assert seen == [100, 200, 200]
    again = importance_of(
        predict, frame, ["noise", "weak", "strong"], target, Goal("f1"), most_rows=100, most_columns=2, shuffles=2
    )
    assert found == again


def test_bad_input():
    frame = pl.DataFrame({"a": [1.0, 2.0]})
    predict = lambda rows: rows["a"].to_numpy() / 10  # noqa: E731
    with pytest.raises(UserError, match=r"target has shape \(3,\), but there are 2 rows"):
        importance_of(predict, frame, ["a"], [0, 1, 0], Goal("f1"))
    with pytest.raises(UserError, match="column 'b' is not among the 1 columns"):
        importance_of(predict, frame, ["a", "b"], [0, 1], Goal("f1"))
    with pytest.raises(UserError, match="all rows are of one class"):
        importance_of(predict, frame, ["a"], [1, 1], Goal("f1"))
