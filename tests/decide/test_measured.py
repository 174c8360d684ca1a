"""What is measured is what scikit-learn measures, and the intervals cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from counterpoise import goals
from counterpoise.decide import choose_class_thresholds, measure_binary, measure_multiclass
from counterpoise.decide.measured import rates_of, share
from counterpoise.decide.multiclass import confusion_matrix, decide_classes, summary
from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Goal


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
    chosen = choose_class_thresholds(truth, probability, "balanced_accuracy", prior=[0.9, 0.1])
    assert 0.7 <= chosen.tau <= 1.3
    plain = summary(confusion_matrix(truth, probability.argmax(1), 2), "balanced_accuracy")
    assert chosen.value > plain
    found, recall, _ = measure_multiclass(truth, probability, chosen.threshold, Goal("balanced_accuracy"))
    assert found["balanced_accuracy"].value == pytest.approx(chosen.value)
    assert recall[1].low <= recall[1].value <= recall[1].high
    assert decide_classes(probability, chosen.threshold).shape == (2000,)


PERFECT = (np.repeat([0, 1], [50, 3]), np.repeat([0.1, 0.9], [50, 3]))


@pytest.mark.parametrize("goal", ["cost fn=20 fp=1", "mcc", "g_mean", "f2", "macro_f1", "average_precision"])
def test_three_of_three_is_no_certainty(goal):
    found = measure_binary(*PERFECT, 0.5, goals.goal(goal))
    for name, one in found.items():
        assert one.low < one.high, name
        assert one.low <= one.value <= one.high, name
    name = goals.goal(goal).objective
    if name == "cost":  # a fourth positive may be missed as well as not: Beta(3.5, 0.5) leaves 0.57 to 1
        assert found["cost"].high > 0.3
    else:
        assert found[name].low < 0.85


@pytest.mark.parametrize("rows, score", [(2, [0.5, 0.1]), (2, [0.1, 0.5]), (2, [0.5, 0.5]), (40, None)])
def test_one_positive_says_little_about_a_ranking(rows, score):
    target = np.arange(rows) == rows - 1
    found = measure_binary(target, np.linspace(0, 1, rows) if score is None else score, 0.5, Goal("f1"))
    for name in ("average_precision", "roc_auc"):
        assert found[name].low < found[name].high, name
    assert found["roc_auc"].high - found["roc_auc"].low > 0.45


def test_several_perfect_classes_are_no_certainty():
    truth = np.repeat([0, 1, 2], [30, 4, 2])
    found, _, _ = measure_multiclass(truth, np.eye(3)[truth], [1 / 3] * 3, Goal("macro_f1"))
    for name, one in found.items():
        assert one.low < one.high, name
    assert found["macro_f1"].low < 0.8
    assert found["g_mean"].low < 0.8


def test_intervals_of_few_positives_cover():
    rng = np.random.default_rng(4)
    truth = np.repeat([0, 1], [100, 5])
    covered = {"roc_auc": 0, "cost": 0}
    goal = goals.goal("cost fn=20 fp=1")
    for _ in range(60):
        score = np.clip(0.4 + 0.2 * truth + 0.1 * rng.normal(size=105), 0, 1)
        found = measure_binary(truth, score, 0.5, goal)
        covered["roc_auc"] += found["roc_auc"].low <= 0.9214 <= found["roc_auc"].high  # Φ(√2)
        covered["cost"] += found["cost"].low <= 0.1587 * (5 * 20 + 100) / 105 <= found["cost"].high  # Φ(-1)
    assert min(covered.values()) >= 52


@pytest.mark.parametrize(
    "target, score, threshold, message",
    [
        ([0, 2], [0.1, 0.2], 0.5, "target 2 in row 1 is neither 0 nor 1"),
        ([0, 1], [0.1, np.nan], 0.5, "probability nan in row 1"),
        ([0, 1], [0.1], 0.5, "target has 2 values, probability 1"),
        ([], [], 0.5, "target has no row of class 1; both classes are needed"),
        ([0, 1], [0.1, 0.2], np.nan, "threshold is nan"),
        ([0, 1], [0.1, 0.2], "half", "threshold must be numbers"),
    ],
)
def test_bad_rows_are_refused(target, score, threshold, message):
    with pytest.raises(UserError) as error:
        measure_binary(target, score, threshold, Goal("f1"))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "target, score, prior, message",
    [
        ([0, 5], [[0.5, 0.5], [0.1, 0.9]], [0.5, 0.5], "target 5 in row 1 is not a class; probability has 2 classes"),
        ([0, -1], [[0.5, 0.5], [0.1, 0.9]], [0.5, 0.5], "target -1 in row 1 is not a class"),
        ([0, 0.5], [[0.5, 0.5], [0.1, 0.9]], [0.5, 0.5], "target 0.5 in row 1 is not a class"),
        ([0, 1], [[0.5, 0.5], [0.1, np.nan]], [0.5, 0.5], "probability nan in row 1, class 1"),
        ([0, 1], [[0.5, 0.5], [-0.1, 1]], [0.5, 0.5], "probability -0.1 in row 1, class 0"),
        ([0, 1], [0.5, 0.5], [0.5, 0.5], "must have shapes (N,) and (N, C)"),
        ([0], [[0.5, 0.5], [0.1, 0.9]], [0.5, 0.5], "but have (1,) and (2, 2)"),
        ([], np.empty((0, 2)), [0.5, 0.5], "N and C at least 1"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1.0], "{} has shape (1,) but probability has 2 classes"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1, 0], "{} is 0 for class 1; it must be a finite number above 0"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1, np.nan], "{} is nan for class 1"),
    ],
)
def test_bad_classes_are_refused(target, score, prior, message):
    goal = Goal("macro_f1")
    with pytest.raises(UserError) as error:
        choose_class_thresholds(target, score, goal, prior=prior)
    assert message.format("prior") in str(error.value)
    with pytest.raises(UserError) as error:
        measure_multiclass(target, score, prior, goal)
    assert message.format("threshold") in str(error.value)


def test_a_binary_goal_is_refused():
    goal = goals.goal("recall where precision >= 0.5")
    with pytest.raises(UserError, match="needs two classes"):
        choose_class_thresholds([0, 1, 2], np.eye(3), goal)


def test_log_loss_interval_of_several_classes_holds_the_truth():
    rng = np.random.default_rng(3)
    share = np.array([0.8, 0.12, 0.06, 0.02])
    truth = np.repeat(np.arange(4), (300 * share).astype(int))
    held = 0
    for _ in range(40):
        center = np.array([[0, 0], [2, 0], [0, 2], [2, 2]])[truth]
        x = center + rng.normal(size=center.shape)
        density = np.exp(-((x[:, None] - np.array([[0, 0], [2, 0], [0, 2], [2, 2]])) ** 2).sum(axis=2) / 2) * share
        posterior = density / density.sum(axis=1, keepdims=True)
        found = measure_multiclass(truth, posterior, np.ones(4), Goal("macro_f1"))[0]["log_loss"]
        held += found.low <= TRUE_LOG_LOSS <= found.high
    assert held >= 35  # 38 expected


def _true_log_loss():
    rng = np.random.default_rng(4)
    centers = np.array([[0, 0], [2, 0], [0, 2], [2, 2]])
    share = np.array([0.8, 0.12, 0.06, 0.02])
    total = 0.0
    for k in range(4):
        x = centers[k] + rng.normal(size=(100_000, 2))
        density = np.exp(-((x[:, None] - centers) ** 2).sum(axis=2) / 2) * share
        total += share[k] * -np.log(density[:, k] / density.sum(axis=1)).mean()
    return total


TRUE_LOG_LOSS = _true_log_loss()


def explained(found):
    """Whether the estimate lies inside its interval, or it is said why it is an end; never said for nothing."""
    assert np.isfinite([found.value, found.low]).all() and found.low <= found.value <= found.high
    inside = found.low < found.value < found.high
    assert inside == (found.why == ""), found
    assert ("why" in found.to_dict()) == (not inside)
    return True


COUNTS = [
    (0, 0, 5, 90),  # nothing is flagged
    (5, 90, 0, 0),  # everything is
    (5, 0, 0, 90),  # all right
    (0, 90, 5, 0),  # all wrong
    (1, 0, 0, 1),
    (1, 1, 0, 0),
    (0, 0, 1, 1),
    (0, 3, 0, 4),  # no positive
    (3, 0, 4, 0),  # no negative
    (8, 2, 2, 88),
    (1, 999_999, 0, 0),
    (0.25, 0.5, 0.0, 7.5),  # weights
]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("goal", ["f1", "f0.5", "mcc", "cost fn=9 fp=1", "cost fn=9 fp=1 tp=-5 tn=-0.1", "macro_f1"])
def test_an_estimate_is_no_end_of_its_interval_without_a_reason(counts, goal):
    found = rates_of(Confusion(*counts), goals.goal(goal))
    assert all(explained(one) for one in found.values())
    if counts[0] == 5 and counts[1] == 0:
        assert found["recall"].why == "all of 5 rows"
        assert found["mcc"].why == found["macro_f1" if goal == "macro_f1" else "g_mean"].why
        assert found["mcc"].why == "the largest possible value"
    if goal == "cost fn=9 fp=1" and counts == (5, 0, 0, 90):
        assert found["cost"].value == found["cost"].low == 0 and found["cost"].why == "the smallest possible value"


@pytest.mark.parametrize("positives", [1, 2, 7])
@pytest.mark.parametrize("ranked", ["first", "last", "in the middle", "all alike"])
def test_rankings_of_few_positives_are_explained(positives, ranked):
    score = np.linspace(0.1, 0.9, 40) if ranked != "all alike" else np.full(40, 0.3)
    target = np.zeros(40, int)
    target[
        {"first": slice(-positives, None), "last": slice(positives), "in the middle": slice(20, 20 + positives)}.get(
            ranked, slice(positives)
        )
    ] = 1
    found = measure_binary(target, score, 0.5, "average_precision")
    assert all(explained(one) for one in found.values())
    if ranked == "first":
        assert found["average_precision"].why == found["roc_auc"].why == "the largest possible value"
    if ranked == "last":
        assert found["roc_auc"].why == "the smallest possible value" and not found["average_precision"].why


def several(classes, rows, right, seed=0):
    """Rows of each class, of which about a share is right, as target and probabilities."""
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(classes), rows)
    said = np.where(rng.random(len(target)) < right, target, (target + rng.integers(1, classes, len(target))) % classes)
    return target, np.where(np.arange(classes) == said[:, None], 0.9, 0.1 / (classes - 1))


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("right", [0.0, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 20])
def test_measures_of_classes_of_a_few_rows_are_explained(classes, rows, right):
    for seed in range(3):
        target, said = several(classes, rows, right, seed)
        found, recall, precision = measure_multiclass(
            target, said, np.full(classes, 1 / classes), "macro_f1", seed=seed
        )
        assert all(explained(one) for one in (*found.values(), *recall, *precision))


def test_an_absent_class_and_a_perfect_log_loss_are_explained():
    target = np.array([0, 0, 1, 1])
    found, recall, precision = measure_multiclass(target, np.eye(3)[target], np.full(3, 1 / 3), "macro_f1")
    assert all(explained(one) for one in (*found.values(), *recall, *precision))
    assert recall[2].why == precision[2].why == "no rows, so it may be anything"
    assert found["log_loss"].why == "the smallest possible value"


def test_the_interval_of_many_tiny_classes_holds_the_truth():
    """Of twenty classes of two rows: half a row more of each adds up, and had put half of the intervals beside it."""
    held = 0
    for seed in range(60):
        target, said = several(20, 2, 0.85, seed)
        found = measure_multiclass(target, said, np.full(20, 0.05), "macro_f1", seed=seed)[0]
        held += found["mcc"].low <= (0.85 - 0.05) / 0.95 <= found["mcc"].high
    assert held >= 52
