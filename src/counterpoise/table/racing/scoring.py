"""The scores of a goal on folds, each decided by a threshold of the others; and whether an advantage is noise."""

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import ranking
from counterpoise.decide.multiclass import (
    choose_class_thresholds,
    confusion_matrix,
    decide_classes,
    summary,
    thresholds_of,
)
from counterpoise.decide.rows import decide
from counterpoise.decide.threshold import best_threshold
from counterpoise.goals import Confusion, Cost, Goal
from counterpoise.table.rows.split import folds_of
from counterpoise.weights import ClassCounts

STANDARD_ERRORS = 2.0


def folds_within(codes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Two halves of one fold, to tune a threshold on one and score it on the other.

    Examples
    --------
    >>> np.bincount(folds_within(np.array([0] * 6 + [1] * 2), 0))
    array([4, 4])
    """
    return folds_of(codes, 2, seed=seed)


def fold_scores(
    codes: NDArray[np.int64],
    probability: NDArray[np.float64],
    fold: NDArray[np.int64],
    counts: ClassCounts,
    goal: Goal,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The goal's score on each fold: with thresholds tuned on the others, and without tuning.

    Examples
    --------
    >>> codes, fold = np.array([0, 0, 0, 1] * 2), np.array([0] * 4 + [1] * 4)
    >>> probability = np.array([0.1, 0.1, 0.2, 0.4, 0.1, 0.2, 0.1, 0.35])
    >>> fold_scores(codes, probability, fold, ClassCounts([6, 2]), Goal("f1"))
    (array([1., 1.]), array([0., 0.]))
    """
    tuned: list[float] = []
    untuned: list[float] = []
    for held in range(int(fold.max()) + 1):
        here, rest = fold == held, fold != held
        if probability.ndim == 2:
            choice = choose_class_thresholds(codes[rest], probability[rest], goal, prior=counts.prior)
            for threshold, found in ((choice.threshold, tuned), (thresholds_of(counts.prior, 0.0), untuned)):
                chosen = decide_classes(probability[here], threshold)
                matrix = confusion_matrix(codes[here], chosen, probability.shape[1])
                found.append(float(summary(matrix, goal.objective)))
        elif goal.ranking:
            ones = np.ones((1, int(here.sum())))
            value = float(ranking(codes[here], probability[here], ones)[goal.objective][0])
            tuned.append(value)
            untuned.append(value)
        else:
            cut = best_threshold(codes[rest], probability[rest], goal)
            tuned.append(penalised(goal, decide(codes[here], probability[here], cut)))
            untuned.append(penalised(goal, decide(codes[here], probability[here], 0.5)))
    return np.asarray(tuned), np.asarray(untuned)


def penalised(goal: Goal, at: Confusion) -> float:
    """The goal's score minus twice the shortfall of its constraints: a broken promise must not win.

    With costs, the shortfall is in units of the largest cost.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> round(penalised(goal("recall where precision >= 0.5"), Confusion(tp=4, fp=6, fn=0, tn=90)), 3)
    0.8
    """
    short = sum(float(constraint.shortfall(at)) for constraint in goal.constraints)
    if float(at.alerts) == 0:  # no alert, no precision that could fall short
        short = sum(float(one.shortfall(at)) for one in goal.constraints if one.rate != "precision")
    unit = goal.costs.largest if isinstance(goal.costs, Cost) else 1.0
    return float(goal.score(at)) - 2.0 * unit * short


def standard_error(scores: NDArray[np.float64]) -> float:
    """Nadeau and Bengio's standard error of a mean over cross-validation folds.

    Examples
    --------
    >>> round(standard_error(np.array([0.1, 0.2, 0.3])), 4)
    0.0913
    """
    folds = len(scores)
    return float(np.sqrt(scores.var(ddof=1) * (1 / folds + 1 / (folds - 1))))


def clearly(ahead: NDArray[np.float64]) -> bool:
    """Whether advantages on the folds are more than noise.

    Examples
    --------
    >>> clearly(np.array([0.05, 0.05, 0.06, 0.04])), clearly(np.array([0.2, 0.0, 0.0, 0.0]))
    (True, False)
    """
    return bool(ahead.mean() > STANDARD_ERRORS * standard_error(ahead) and np.sum(ahead > 0) * 2 > len(ahead))
