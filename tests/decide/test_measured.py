"""What is measured is what scikit-learn measures, and the intervals cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.decide import Goal, choose_class_thresholds, measure_binary, measure_multiclass
from counterpoise.decide.measured import share
from counterpoise.decide.multiclass import confusion_matrix, decide_classes, summary
from counterpoise.errors import UserError

metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("digits", [1, 6], ids=["tied", "distinct"])
def test_binary_measures_are_scikit_learns(digits):
    rng = np.random.default_rng(3)
    target = rng.random(400) < 0.15
    score = np.round(np.clip(0.15 + 0.3 * target + 0.15 * rng.normal(size=400), 0, 1), digits)
    found = measure_binary(target, score, 0.4, Goal("f2"))
    chosen = score >= 0.4
    expected = {
        "precision": metrics.precision_score(target, chosen),
        "recall": metrics.recall_score(target, chosen),
        "f1": metrics.f1_score(target, chosen),
        "f2": metrics.fbeta_score(target, chosen, beta=2),
        "mcc": metrics.matthews_corrcoef(target, chosen),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, chosen),
        "average_precision": metrics.average_precision_score(target, score),
        "roc_auc": metrics.roc_auc_score(target, score),
        "log_loss": metrics.log_loss(target, score),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        assert found[name].low <= value <= found[name].high, name


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_multiclass_summaries_are_scikit_learns(pairs):
    truth, chosen = np.array(pairs).T
    present = np.unique(truth)
    if len(present) < 2:
        return
    matrix = confusion_matrix(truth, chosen, 3)
    recall = metrics.recall_score(truth, chosen, labels=present, average=None, zero_division=0)
    f1 = metrics.f1_score(truth, chosen, labels=present, average="macro", zero_division=0)
    assert summary(matrix, "macro_f1") == pytest.approx(f1)
    assert summary(matrix, "balanced_accuracy") == pytest.approx(recall.mean())
    assert summary(matrix, "g_mean") == pytest.approx(np.prod(recall) ** (1 / len(recall)))
    assert summary(matrix, "mcc") == pytest.approx(metrics.matthews_corrcoef(truth, chosen))


def test_a_perfect_share_stays_uncertain():
    assert share(8, 8).low == pytest.approx(0.025 ** (1 / 8))
    assert share(0, 0).low == 0 and share(0, 0).high == 1


def test_intervals_cover():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [150, 50])
    covered = {"recall": 0, "roc_auc": 0}
    for _ in range(60):
        score = np.clip(0.4 + 0.1 * truth + 0.1 * rng.normal(size=200), 0, 1)
        found = measure_binary(truth, score, 0.5, Goal("f1"))
        covered["recall"] += found["recall"].low <= 0.5 <= found["recall"].high
        covered["roc_auc"] += found["roc_auc"].low <= 0.7602 <= found["roc_auc"].high  # Φ(1/√2)
    assert min(covered.values()) >= 51


def test_same_seed_same_intervals():
    target, score = [0, 0, 1, 0, 1, 1], [0.1, 0.5, 0.4, 0.3, 0.8, 0.9]
    assert measure_binary(target, score, 0.5, Goal("f1")) == measure_binary(target, score, 0.5, Goal("f1"))


def test_thresholds_lift_a_rare_class():
    rng = np.random.default_rng(1)
    truth = (rng.random(2000) < 0.1).astype(int)
    z = 1.5 * (2 * truth - 1) + rng.normal(size=2000) * 1.2
    odds = np.exp(2 * 1.5 / 1.44 * z) / 9
    probability = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)
    chosen = choose_class_thresholds(truth, probability, [0.9, 0.1], Goal("balanced_accuracy"))
    assert 0.7 <= chosen.tau <= 1.3
    plain = summary(confusion_matrix(truth, probability.argmax(1), 2), "balanced_accuracy")
    assert chosen.value > plain
    found, recall, _ = measure_multiclass(truth, probability, chosen.threshold, Goal("balanced_accuracy"))
    assert found["balanced_accuracy"].value == pytest.approx(chosen.value)
    assert recall[1].low <= recall[1].value <= recall[1].high
    assert decide_classes(probability, chosen.threshold).shape == (2000,)


def test_a_binary_goal_is_refused():
    goal = Goal.parse("recall where precision >= 0.5")
    with pytest.raises(UserError, match="needs two classes"):
        choose_class_thresholds([0, 1, 2], np.eye(3), [1 / 3] * 3, goal)
