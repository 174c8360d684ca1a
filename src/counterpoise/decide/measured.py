"""What held-out rows say, with 95 % intervals.

Shares of independent rows (precision, recall, specificity) have the exact Clopper-Pearson interval;
F1 is a monotone function of such a share, tp / (tp + fp + fn), and takes its interval; balanced
accuracy, a mean of shares, combines theirs (Newcombe's method of variance recovery). An interval of
this kind stays wide when eight positives were all found, where a bootstrap would claim certainty.
Rankings, the log loss and the other summaries have a percentile bootstrap, stratified by class.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.confusion import Confusion
from counterpoise.decide.goal import Goal
from counterpoise.decide.multiclass import confusion_matrix, decide_classes, summary
from counterpoise.decide.threshold import decide

REPLICATES = 1000
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and the ends of its 95 % interval.

    Examples
    --------
    >>> str(Measured(0.5, 0.31, 0.69))
    '0.500 [0.310, 0.690]'
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The three numbers by name.

        Examples
        --------
        >>> Measured(0.5, 0.31, 0.69).to_dict()
        {'value': 0.5, 'low': 0.31, 'high': 0.69}
        """
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def share(part: float, whole: float) -> Measured:
    """A share of independent rows with its exact interval; of no rows it is 0 and could be anything.

    Examples
    --------
    >>> str(share(8, 8))
    '1.000 [0.631, 1.000]'
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped]  # slow to import, and an extra

    if whole == 0:
        return Measured(0.0, 0.0, 1.0)
    low = float(betaincinv(part, whole - part + 1, 0.025)) if part > 0 else 0.0
    high = float(betaincinv(part + 1, whole - part, 0.975)) if part < whole else 1.0
    return Measured(part / whole, low, high)


def mean_share(shares: list[Measured]) -> Measured:
    """The mean of independent shares, with the interval that follows from theirs.

    Examples
    --------
    >>> str(mean_share([share(8, 8), share(50, 100)]))
    '0.750 [0.558, 0.801]'
    """
    value = sum(one.value for one in shares) / len(shares)
    below = sum((one.value - one.low) ** 2 for one in shares) ** 0.5 / len(shares)
    above = sum((one.high - one.value) ** 2 for one in shares) ** 0.5 / len(shares)
    return Measured(value, value - below, value + above)


def f1_of(confusion: Confusion) -> Measured:
    """F1 with the interval of tp / (tp + fp + fn).

    Examples
    --------
    >>> str(f1_of(Confusion(tp=8, fp=2, fn=2, tn=88)))
    '0.800 [0.517, 0.948]'
    """
    overlap = share(float(confusion.tp), float(confusion.tp + confusion.fp + confusion.fn))
    return Measured(*(2 * one / (1 + one) for one in (overlap.value, overlap.low, overlap.high)))


def ranking(target: ArrayLike, probability: ArrayLike, weight: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Average precision and ROC AUC under each row of `weight` (R, N).

    Examples
    --------
    >>> ranking([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], np.ones((1, 4)))
    {'average_precision': array([0.83333333]), 'roc_auc': array([0.75])}
    """
    scores = np.asarray(probability, np.float64)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    weights = np.asarray(weight, np.float64)[:, order]
    positive = np.asarray(target).astype(bool)[order]
    tp = np.cumsum(weights * positive, axis=1)[:, last]
    fp = np.cumsum(weights * ~positive, axis=1)[:, last]
    new_tp, new_fp = np.diff(tp, axis=1, prepend=0.0), np.diff(fp, axis=1, prepend=0.0)
    positives, negatives = tp[:, -1], fp[:, -1]
    precision = tp / np.maximum(tp + fp, 1e-300)
    return {
        "average_precision": (precision * new_tp).sum(axis=1) / positives,
        "roc_auc": ((tp - new_tp / 2) * new_fp).sum(axis=1) / (positives * negatives),
    }


def log_losses(target: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    """−log of the probability of what happened, per row; probabilities (N,) of class 1, or (N, C).

    Examples
    --------
    >>> log_losses([1, 0], [0.5, 0.0]).round(3)
    array([0.693, 0.   ])
    """
    scores = np.asarray(probability, np.float64)
    truth = np.asarray(target, np.int64)
    happened = np.where(truth == 1, scores, 1 - scores) if scores.ndim == 1 else scores[np.arange(len(truth)), truth]
    tiny = np.finfo(np.float64).eps
    return np.asarray(np.abs(np.log(np.clip(happened, tiny, 1.0))))


def measure_binary(
    target: ArrayLike, probability: ArrayLike, threshold: float, goal: Goal, *, seed: int = 0
) -> dict[str, Measured]:
    """Every binary measure at one threshold.

    Parameters
    ----------
    target
        Zeros and ones, (N,).
    probability
        Of class 1, (N,).
    threshold
        Flag at least this.
    goal
        Its own measure is in the answer too, if it is not there by name.
    seed
        Of the bootstrap.

    Examples
    --------
    >>> found = measure_binary([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], 0.5, Goal("f1"))
    >>> str(found["recall"]), str(found["average_precision"])
    ('1.000 [0.025, 1.000]', '1.000 [1.000, 1.000]')
    """
    truth = np.asarray(target).astype(bool)
    scores = np.asarray(probability, np.float64)
    at = decide(truth, scores, threshold)
    recall = share(float(at.tp), float(at.tp + at.fn))
    specificity = share(float(at.tn), float(at.tn + at.fp))
    found = {
        "precision": share(float(at.tp), float(at.tp + at.fp)),
        "recall": recall,
        "specificity": specificity,
        "f1": f1_of(at),
        "balanced_accuracy": mean_share([recall, specificity]),
        "alerts": share(float(at.tp + at.fp), float(len(truth))),
        "fpr": share(float(at.fp), float(at.tn + at.fp)),
    }
    ones = np.ones((1, len(truth)))
    losses = log_losses(truth, scores)
    draws: dict[str, list[NDArray[np.float64]]] = {"average_precision": [], "roc_auc": [], "log_loss": []}
    for weight in _resampled(truth, seed):
        for name, values in ranking(truth, scores, weight).items():
            draws[name].append(values)
        draws["log_loss"].append(weight @ losses / len(truth))
    for name, value in ranking(truth, scores, ones).items():
        found[name] = _percentiles(float(value[0]), np.concatenate(draws[name]))
    found["log_loss"] = _percentiles(float(losses.mean()), np.concatenate(draws["log_loss"]))
    for extra in {"mcc", "g_mean", goal.objective} - set(found):
        rng = np.random.default_rng(seed)
        tp = rng.binomial(int(at.tp + at.fn), recall.value, REPLICATES).astype(np.float64)
        tn = rng.binomial(int(at.tn + at.fp), specificity.value, REPLICATES).astype(np.float64)
        drawn = Confusion(tp=tp, fp=at.tn + at.fp - tn, fn=at.tp + at.fn - tp, tn=tn)
        measure = goal if extra == goal.objective else Goal(extra)
        found[extra] = _percentiles(float(measure.value(at)), measure.value(drawn))
    return found


def measure_multiclass(
    target: ArrayLike, probability: ArrayLike, threshold: ArrayLike, goal: Goal, *, seed: int = 0
) -> tuple[dict[str, Measured], list[Measured], list[Measured]]:
    """Every multiclass measure, then recall and precision per class.

    Parameters
    ----------
    target
        Class places, (N,).
    probability
        (N, C).
    threshold
        One per class, (C,).
    goal
        Its own measure is in the answer too.
    seed
        Of the bootstrap.

    Examples
    --------
    >>> found, recall, precision = measure_multiclass(
    ...     [0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0.5, 0.5], Goal("macro_f1"))
    >>> str(recall[0]), found["macro_f1"].value
    ('1.000 [0.158, 1.000]', 1.0)
    """
    truth = np.asarray(target, np.int64)
    scores = np.asarray(probability, np.float64)
    classes = scores.shape[1]
    matrix = confusion_matrix(truth, decide_classes(scores, threshold), classes)
    true, chosen = matrix.sum(axis=1), matrix.sum(axis=0)
    recall = [share(float(matrix[k, k]), float(true[k])) for k in range(classes)]
    precision = [share(float(matrix[k, k]), float(chosen[k])) for k in range(classes)]
    found = {"balanced_accuracy": mean_share([recall[k] for k in range(classes) if true[k]])}
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [rng.multinomial(true[k], matrix[k] / max(true[k], 1), REPLICATES) for k in range(classes)], axis=1
    )
    for name in ["macro_f1", "mcc", "g_mean"]:
        found[name] = _percentiles(float(summary(matrix, name)), summary(drawn, name))
    if goal.objective not in found:
        found[goal.objective] = _percentiles(float(summary(matrix, goal.objective)), summary(drawn, goal.objective))
    losses = log_losses(truth, scores)
    draws = [weight @ losses / len(truth) for weight in _resampled(truth, seed)]
    found["log_loss"] = _percentiles(float(losses.mean()), np.concatenate(draws))
    return found, recall, precision


def _resampled(truth: NDArray[np.generic], seed: int) -> Iterator[NDArray[np.float32]]:
    """Row weights of stratified resamples, in blocks small enough for the memory."""
    rng = np.random.default_rng(seed)
    rows = len(truth)
    replicates = REPLICATES if rows <= 20_000 else 200
    groups = [np.flatnonzero(truth == value) for value in np.unique(truth)]
    for start in range(0, replicates, max(1, _CELLS // rows)):
        count = min(max(1, _CELLS // rows), replicates - start)
        weight = np.empty((count, rows), np.float32)
        for group in groups:
            weight[:, group] = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), count)
        yield weight


def _percentiles(value: float, draws: NDArray[np.float64]) -> Measured:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Measured(value, float(min(low, value)), float(max(high, value)))
