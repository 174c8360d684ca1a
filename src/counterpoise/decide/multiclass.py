"""Decisions among several exclusive classes: the class whose probability is largest for its threshold.

A row goes to argmax_k p_k / threshold_k. The thresholds are prior_k^tau, scaled to sum to 1: with
tau = 0 that is the plain argmax, with tau = 1 the rule that is best for balanced accuracy. One number
chosen on held-out rows cannot overfit the way that one threshold per rare class does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.rows import check_weight, real_numbers
from counterpoise.errors import UserError
from counterpoise.goals import MULTICLASS, Goal
from counterpoise.goals.confusion import ratio
from counterpoise.ties import HAIR, first_largest

TAUS = np.round(np.arange(0.0, 1.55, 0.1), 1)


@dataclass(frozen=True, slots=True, eq=False)
class ClassThresholds:
    """One threshold per class, and their value on the rows they were chosen on.

    Parameters
    ----------
    threshold
        Threshold of each class, (C,), positive, summing to 1.
    tau
        Power of the prior that gave the thresholds.
    value
        Value of the goal at these thresholds.
    reason
        Reason for these thresholds, in a sentence.
    """

    threshold: NDArray[np.float64]
    tau: float
    value: float
    reason: str

    def apply(self, probability: ArrayLike) -> NDArray[np.int64]:
        """The place of the class that each row of probabilities (N, C) goes to."""
        scores = real_numbers("probability", probability)
        if scores.ndim != 2 or scores.shape[1] != len(self.threshold):
            raise UserError(f"probability has shape {scores.shape}; it must be (N, {len(self.threshold)})")
        check_class_probability(scores)
        return decide_classes(scores, self.threshold)


def check_multiclass_goal(goal: Goal) -> None:
    """Refuse a goal that has no meaning for more than two classes.

    Examples
    --------
    >>> check_multiclass_goal(Goal("f1"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: goal 'f1' needs two classes; with more of them use one of macro_f1, \
balanced_accuracy, g_mean, mcc, or name the class of interest as the positive one
    """
    goal.check_served("thresholds of several classes")
    if goal.objective not in MULTICLASS or goal.constraints:
        raise UserError(
            f"goal {str(goal)!r} needs two classes; with more of them use one of {', '.join(MULTICLASS)}, "
            "or name the class of interest as the positive one"
        )


def decide_classes(probability: ArrayLike, threshold: ArrayLike) -> NDArray[np.int64]:
    """The place of the class that each row goes to; of classes that are equal to rounding the first.

    Examples
    --------
    >>> decide_classes([[0.7, 0.3], [0.9, 0.1]], [0.8, 0.2])
    array([1, 0])
    """
    over = np.asarray(probability) / np.asarray(threshold)
    return np.asarray(first_largest(over, HAIR * over.max(axis=1, keepdims=True)), np.int64)


def confusion_matrix(
    target: ArrayLike, chosen: ArrayLike, classes: int, sample_weight: ArrayLike | None = None
) -> NDArray[Any]:
    """Rows: the true class; columns: the chosen one; counted, or weighted.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 1, 0], 2)
    array([[1, 0],
           [1, 1]])
    """
    flat = np.asarray(target, np.int64) * classes + np.asarray(chosen, np.int64)
    return np.bincount(flat, sample_weight, minlength=classes * classes).reshape(classes, classes)


def summary(matrix: ArrayLike, objective: str) -> NDArray[np.float64]:
    """A multiclass measure of confusion matrices (..., C, C), over the classes that have rows.

    Examples
    --------
    >>> float(summary([[1, 0], [1, 1]], "balanced_accuracy"))
    0.75
    """
    counts = np.asarray(matrix, np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, chosen = counts.sum(axis=-1), counts.sum(axis=-2)
    present = true > 0
    recall = ratio(right, true)
    if objective == "macro_f1":
        return ratio((ratio(2 * right, true + chosen) * present).sum(-1), present.sum(-1))
    if objective == "balanced_accuracy":
        return ratio((recall * present).sum(-1), present.sum(-1))
    if objective == "g_mean":
        log = np.log(np.maximum(recall, 1e-300), where=present, out=np.zeros_like(recall))
        return np.where(np.any(present & (recall == 0), axis=-1), 0.0, np.exp(log.sum(-1) / present.sum(-1)))
    total = counts.sum(axis=(-2, -1))
    joint = right.sum(-1) * total - (true * chosen).sum(-1)
    spread = np.sqrt(total**2 - (chosen**2).sum(-1)) * np.sqrt(total**2 - (true**2).sum(-1))
    return ratio(joint, spread)


def choose_class_thresholds(
    target: ArrayLike,
    probability: ArrayLike,
    goal: Goal | str = "macro_f1",
    *,
    prior: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> ClassThresholds:
    """The power of the prior that serves `goal` best; among equals the smallest.

    Parameters
    ----------
    target
        Class indices, (N,).
    probability
        Probabilities (N, C), in [0, 1].
    goal
        One of macro_f1 (default), balanced_accuracy, g_mean and mcc.
    prior
        The training prior, (C,); default: the shares of the target, where a class without rows counts as half a row.
    sample_weight
        Weight of each row, (N,), >= 0.

    Examples
    --------
    >>> chosen = choose_class_thresholds([0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], prior=[0.7, 0.3])
    >>> chosen.tau, chosen.value
    (0.5, 1.0)
    >>> chosen.apply([[0.6, 0.4], [0.9, 0.1]])
    array([1, 0])
    """
    goal = goals.goal(goal)
    check_multiclass_goal(goal)
    truth, scores = checked_classes(target, probability)
    if sample_weight is not None:
        sample_weight = real_numbers("sample_weight", sample_weight)
        if sample_weight.shape != truth.shape:
            raise UserError(f"sample_weight has shape {sample_weight.shape}; pass one number per row, {truth.shape}")
        check_weight(sample_weight)
    if prior is None:
        counted = np.maximum(np.bincount(truth, sample_weight, minlength=scores.shape[1]), 0.5)
        prior = counted / counted.sum()
    shares = positive_per_class("prior", prior, scores.shape[1])
    values = []
    for tau in TAUS:
        chosen = decide_classes(scores, thresholds_of(shares, tau))
        matrix = confusion_matrix(truth, chosen, scores.shape[1], sample_weight)
        values.append(float(summary(matrix, goal.objective)))
    best = int(first_largest(values))
    tau = float(TAUS[best])
    how = "the most probable class" if tau == 0 else f"the class with the largest probability / prior^{tau:g}"
    reason = f"{goal.label} is best here ({values[best]:.3g}) when each row goes to {how}"
    return ClassThresholds(thresholds_of(shares, tau), tau, values[best], reason)


def checked_classes(target: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class places (N,) and probabilities (N, C) that belong together, or `UserError`.

    Examples
    --------
    >>> checked_classes([0, 5], [[0.5, 0.5], [0.1, 0.9]])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: target 5 in row 1 is not a class; probability has 2 classes (0 to 1)
    """
    truth, scores = real_numbers("target", target), real_numbers("probability", probability)
    if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores) or 0 in scores.shape:
        raise UserError(
            f"target and probability must have shapes (N,) and (N, C), N and C at least 1, "
            f"but have {truth.shape} and {scores.shape}"
        )
    check_class_probability(scores)
    known = (truth >= 0) & (truth < scores.shape[1]) & (truth == np.floor(truth))
    if not known.all():
        row = int(np.argmin(known))
        raise UserError(
            f"target {truth[row]:g} in row {row} is not a class; "
            f"probability has {scores.shape[1]} classes (0 to {scores.shape[1] - 1})"
        )
    return truth.astype(np.int64), scores


def check_class_probability(scores: NDArray[np.float64]) -> None:
    """Refuse scores (N, C) that are not in [0, 1], including NaN.

    Examples
    --------
    >>> check_class_probability(np.array([[0.5, 1.5]]))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability 1.5 in row 0, class 1 lies outside 0 to 1
    """
    bad = np.argwhere(~((scores >= 0) & (scores <= 1)))
    if len(bad):
        row, column = bad[0]
        raise UserError(f"probability {scores[row, column]} in row {row}, class {column} lies outside 0 to 1")


def positive_per_class(name: str, values: ArrayLike, classes: int) -> NDArray[np.float64]:
    """One finite number above 0 per class, or `UserError`.

    Examples
    --------
    >>> positive_per_class("prior", [0.5, 0.0], 2)
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: prior is 0 for class 1; it must be a finite number above 0
    """
    numbers = real_numbers(name, values)
    if numbers.shape != (classes,):
        raise UserError(f"{name} has shape {numbers.shape} but probability has {classes} classes; pass one per class")
    bad = np.flatnonzero(~((numbers > 0) & np.isfinite(numbers)))
    if len(bad):
        raise UserError(f"{name} is {numbers[bad[0]]:g} for class {bad[0]}; it must be a finite number above 0")
    return numbers


def thresholds_of(prior: ArrayLike, tau: float) -> NDArray[np.float64]:
    """prior^tau, scaled to sum to 1.

    Examples
    --------
    >>> thresholds_of([0.8, 0.2], 1.0)
    array([0.8, 0.2])
    """
    power = np.asarray(prior, np.float64) ** tau
    return np.asarray(power / power.sum())
