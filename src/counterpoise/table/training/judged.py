"""The threshold, chosen on the rows reserved for it, and its results on the test rows."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import choose_class_thresholds, confusion_matrix, decide_classes
from counterpoise.decide.threshold import Decision, choose_threshold
from counterpoise.goals import Goal
from counterpoise.table.reading.target import Labels
from counterpoise.weights import ClassCounts


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The chosen model on rows that it has not seen.

    Parameters
    ----------
    decision
        The threshold and its reason (two classes), or None.
    threshold
        Threshold: a number, or one per class.
    met, reason
        Whether the goal's constraints hold on the calibration rows, and one sentence.
    target, probability
        Classes and probabilities of the test rows.
    naive
        Probabilities of the test rows from the logits alone, as if the loss were plain cross-entropy.
    metrics
        Metrics of the test rows, at the threshold.
    recall, precision
        Rates per class, with more than two classes.
    confusion
        Confusion matrix of the test rows (C, C): the truth in rows, the decision in columns.
    own_ranking
        Average precision on training rows, for two classes: low if the model did not even learn these.
    """

    decision: Decision | None
    threshold: float | NDArray[np.float64]
    met: bool
    reason: str
    target: NDArray[np.int64]
    probability: NDArray[np.float64]
    naive: NDArray[np.float64]
    metrics: dict[str, Measured]
    recall: list[Measured]
    precision: list[Measured]
    confusion: NDArray[np.int64]
    own_ranking: float | None = None


def judge(
    labels: Labels,
    test: NDArray[np.int64],
    truth_held: NDArray[np.int64],
    scores_held: NDArray[np.float64],
    tested: tuple[NDArray[np.float64], NDArray[np.float64]],
    learned: ClassCounts,
    goal: Goal,
    seed: int,
    weight_held: NDArray[np.float64] | None = None,
) -> Evaluation:
    """Choose the threshold on the rows reserved for it, and measure it on the test rows."""
    truth, (scores, plain) = labels.codes[test], tested
    if labels.positive is None:
        several = choose_class_thresholds(truth_held, scores_held, goal, prior=learned.prior)
        cut = several.threshold
        metrics, recall, precision = measure_multiclass(truth, scores, cut, goal, seed=seed)
        matrix = confusion_matrix(truth, decide_classes(scores, cut), len(labels.classes))
        return Evaluation(None, cut, True, several.reason, truth, scores, plain, metrics, recall, precision, matrix)
    decision = choose_threshold(truth_held, scores_held, goal, sample_weight=weight_held)
    metrics = measure_binary(truth, scores, decision.threshold, goal, seed=seed)
    matrix = confusion_matrix(truth, scores >= decision.threshold, 2)
    at = (decision, decision.threshold, decision.met, decision.reason)
    return Evaluation(*at, truth, scores, plain, metrics, [], [], matrix)


def without_promise(judged: Evaluation, goal: Goal, group: NDArray[np.int64]) -> Evaluation:
    """The same threshold, and nothing promised where calibration rows share a group: they are not independent."""
    assert judged.decision is not None
    sizes = np.bincount(group)[1:]  # rows without a group belong to nobody
    if sizes.max(initial=0) < 2:
        return judged
    bounds = " and ".join(map(str, goal.constraints))
    reason = (
        f"{goal.label} is best here ({judged.decision.value:.3g}) among the thresholds that would keep {bounds} "
        f"on new rows if all rows were independent; but {int(sizes.sum()):,} rows are of only "
        f"{int((sizes > 0).sum()):,} groups, "
        "so this cannot be promised"
    )
    decision = replace(judged.decision, promised=False, missing_positives=None, reason=reason)
    return replace(judged, decision=decision, reason=reason)
