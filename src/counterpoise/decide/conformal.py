"""Sets of classes that hold the true one with a stated confidence, for each class and not only on average.

A class is in a row's set if its probability is no smaller than the share `1 - confidence` of its own calibration rows
had it. A new row of the class is as likely as each of these to have any rank among them, so the class is missing from
its set with at most this chance, for any model and any scores, as long as the rows of a class are exchangeable. Split
conformal prediction on all rows together covers the frequent classes at the expense of the rare ones; this does not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.binomial import checked_confidence
from counterpoise.decide.multiclass import check_class_probability, checked_classes
from counterpoise.decide.rows import real_numbers
from counterpoise.errors import UserError
from counterpoise.ties import reaching


@dataclass(frozen=True, slots=True, eq=False)
class ClassSets:
    """For each class, the smallest probability with which it belongs to a row's set.

    Parameters
    ----------
    threshold
        Smallest probability with which each class joins a set, (C,); 0 if a class has too few rows: it is then in every
        set.
    rows
        Number of calibration rows of each class, (C,).
    confidence
        Confidence that the true class is in the set, whichever class it is.
    reason
        The promise in words, and the classes that are in every set.
    """

    threshold: NDArray[np.float64]
    rows: NDArray[np.int64]
    confidence: float
    reason: str

    @property
    def too_few(self) -> NDArray[np.int64]:
        """The places of the classes that are in every set, since they have too few rows."""
        return np.flatnonzero(self.rows < rows_needed_per_class(self.confidence))

    def sets(self, probability: ArrayLike) -> NDArray[np.bool_]:
        """Which classes are in each row's set, (N, C).

        A set holds several classes if the model cannot separate them, and none if the row resembles no class: both are
        rows for a person.

        Examples
        --------
        >>> target = [0] * 9 + [1] * 9
        >>> probability = [[0.9, 0.1]] * 8 + [[0.4, 0.6]] + [[0.2, 0.8]] * 8 + [[0.7, 0.3]]
        >>> calibrate_sets(target, probability, confidence=0.8).sets([[0.95, 0.05], [0.5, 0.5]])
        array([[ True, False],
               [False, False]])
        """
        scores = real_numbers("probability", probability)
        if scores.ndim != 2 or scores.shape[1] != len(self.threshold):
            raise UserError(f"probability has shape {scores.shape}; it must be (N, {len(self.threshold)})")
        check_class_probability(scores)
        return np.asarray(scores >= reaching(self.threshold))


def rows_needed_per_class(confidence: float) -> int:
    """The number of calibration rows of a class below which it is in every set.

    Examples
    --------
    >>> rows_needed_per_class(0.9), rows_needed_per_class(0.95)
    (9, 19)
    """
    return int(np.ceil(1 / (1 - confidence) - 1e-9)) - 1


def calibrate_sets(target: ArrayLike, probability: ArrayLike, confidence: float = 0.9) -> ClassSets:
    """Prediction sets that hold the true class with at least this confidence in each class.

    Parameters
    ----------
    target
        Class indices, (N,). The model must not have been trained on these rows.
    probability
        Probabilities (N, C), in [0, 1]. Any scores are valid; a better model gives smaller sets.
    confidence
        Confidence, at least 0.5 and less than 1; default 0.9. A class needs 1 / (1 - confidence) - 1 rows: with fewer
        it is in every set.

    Raises
    ------
    UserError
        If the arrays do not belong together, a probability is NaN or outside [0, 1], or the confidence out of range.

    References
    ----------
    Vovk, Conditional validity of inductive conformal predictors, ACML 2012, section 4 (a category per label).
    Sadinle, Lei and Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 2019.
    Ding, Angelopoulos, Bates, Jordan and Tibshirani, Class-conditional conformal prediction with many classes,
    NeurIPS 2023, on what is lost where classes have few rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = np.repeat([0, 1, 2], [400, 100, 5])
    >>> logit = rng.normal(size=(505, 3)) + 3 * np.eye(3)[target]
    >>> found = calibrate_sets(target, np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True))
    >>> found.reason
    'the true class is in the set with 0.9 confidence, whichever it is; class 2 has 5 rows of the 9 that it takes \
and is in every set'
    """
    sure = checked_confidence(confidence)
    truth, scores = checked_classes(target, probability)
    classes = scores.shape[1]
    rows = np.bincount(truth, minlength=classes)
    order = np.lexsort((scores[np.arange(len(truth)), truth], truth))
    own = scores[order, truth[order]]
    # The new row is one more, and the rank is rounded down: 0 leaves none out.
    rank = np.floor((1 - sure) * (rows + 1) + 1e-9).astype(np.int64)
    start = np.cumsum(rows) - rows
    threshold = np.where(rank > 0, own[np.minimum(start + np.maximum(rank, 1) - 1, len(own) - 1)], 0.0)
    return ClassSets(threshold, rows, sure, _reason(rows, sure))


def _reason(rows: NDArray[np.int64], confidence: float) -> str:
    needed = rows_needed_per_class(confidence)
    few = np.flatnonzero(rows < needed)
    promise = f"the true class is in the set with {confidence:.4g} confidence, whichever it is"
    if len(few) == 0:
        return promise
    if len(few) == 1:
        return f"{promise}; class {few[0]} has {rows[few[0]]} rows of the {needed} that it takes and is in every set"
    return f"{promise}; {len(few)} of {len(rows)} classes have fewer than {needed} rows and are in every set"
