"""Measures on held-out rows, with 95 % intervals.

Shares of independent rows (precision, recall, specificity) have the exact Clopper-Pearson interval;
F1 is a monotone function of such a share, tp / (tp + fp + fn), and takes its interval; balanced
accuracy, a mean of shares, combines theirs (Newcombe's method of variance recovery). An interval of
this kind stays wide when eight positives were all found, where a bootstrap would claim certainty.

The other measures have the 2.5 and 97.5 percentiles of a posterior, given how many rows each class has:

- cost, MCC, g-mean, F-beta and macro F1: what was decided of the rows of a class has Jeffreys' prior, half a
  row right and half a row wrong (spread evenly where there are several wrong classes);
- rankings and the log loss: the Bayesian bootstrap (Rubin, The Bayesian bootstrap, Annals of Statistics
  1981) of each class's rows and of one row more, which looks like a random row of another class (or, in a
  ranking, lies beyond one of its ends). So a perfect ranking of three positives is not a certainty: the next one may
  lie anywhere.

What is added to classes of a few rows pulls the draws away from the estimate, and the pulls of many such classes add
up: with twenty classes of two rows each a macro F1 of 0.97 had an interval below it. So the interval is, on each side,
the wider of the draws' own and of the same about the estimate. If the estimate is still an end of its interval, it is
the largest or smallest possible value, and `why` gives the reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.binomial import special
from counterpoise.decide.multiclass import (
    check_multiclass_goal,
    checked_classes,
    confusion_matrix,
    decide_classes,
    positive_per_class,
    summary,
)
from counterpoise.decide.rows import checked_rows, decide, real_number, whole_number
from counterpoise.goals import Confusion, Goal
from counterpoise.ties import last_of_each

REPLICATES = 1000
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and the ends of its 95 % interval.

    Parameters
    ----------
    value, low, high
        The estimate and the ends of its interval.
    why
        Reason why the estimate is an end of its interval, or "".

    Examples
    --------
    >>> str(Measured(0.5, 0.31, 0.69))
    '0.500 [0.310, 0.690]'
    """

    value: float
    low: float
    high: float
    why: str = ""

    def to_dict(self) -> dict[str, float | str]:
        """The three numbers by name, and the reason if the value is an end of its interval.

        Examples
        --------
        >>> Measured(0.5, 0.31, 0.69).to_dict()
        {'value': 0.5, 'low': 0.31, 'high': 0.69}
        >>> share(8, 8).to_dict()["why"]
        'all of 8 rows'
        """
        return {"value": self.value, "low": self.low, "high": self.high} | ({"why": self.why} if self.why else {})

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def share(part: float, whole: float) -> Measured:
    """A share of independent rows with its exact interval; without rows it is 0, and the interval is [0, 1].

    Examples
    --------
    >>> str(share(8, 8))
    '1.000 [0.631, 1.000]'
    """
    if whole == 0:
        return Measured(0.0, 0.0, 1.0, "no rows, so it may be anything")
    low = float(special().betaincinv(part, whole - part + 1, 0.025)) if part > 0 else 0.0
    high = float(special().betaincinv(part + 1, whole - part, 0.975)) if part < whole else 1.0
    why = "" if 0 < part < whole else f"{'none' if part <= 0 else 'all'} of {_rows(whole)}"
    return Measured(part / whole, low, high, why)


def _rows(count: float) -> str:
    return "1 row" if count == 1 else f"{count:.4g} rows" if count != round(count) else f"{count:.0f} rows"


def within(value: float, low: float, high: float, least: float, most: float) -> Measured:
    """A value with its interval, both within the possible range, and the reason if the value is an end of it.

    Examples
    --------
    >>> within(1.0, 0.6, 1.2, 0.0, 1.0)
    Measured(value=1.0, low=0.6, high=1.0, why='the largest possible value')
    """
    low, high = max(low, min(least, value)), min(high, max(most, value))
    ends = ["smallest"] * (value <= low) + ["largest"] * (value >= high)
    return Measured(value, low, high, f"the {' and '.join(ends)} possible value" if ends else "")


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
    return within(value, value - below, value + above, 0.0, 1.0)


def f1_of(confusion: Confusion) -> Measured:
    """F1 with the interval of tp / (tp + fp + fn).

    Examples
    --------
    >>> str(f1_of(Confusion(tp=8, fp=2, fn=2, tn=88)))
    '0.800 [0.517, 0.948]'
    """
    overlap = share(float(confusion.tp), float(confusion.tp + confusion.fp + confusion.fn))
    value, low, high = (2 * one / (1 + one) for one in (overlap.value, overlap.low, overlap.high))
    return Measured(value, low, high, overlap.why)


def ranking(target: ArrayLike, probability: ArrayLike, weight: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Average precision and ROC AUC under each row of `weight` (R, N).

    Examples
    --------
    >>> ranking([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], np.ones((1, 4)))
    {'average_precision': array([0.83333333]), 'roc_auc': array([0.75])}
    """
    weights = np.asarray(weight, np.float64)
    positive = np.asarray(target).astype(bool)
    return _ranking(np.asarray(probability, np.float64), weights * positive, weights * ~positive)


def _ranking(
    scores: NDArray[np.float64], positive: NDArray[np.floating], negative: NDArray[np.floating]
) -> dict[str, NDArray[np.float64]]:
    """The same, of weights (R, N) of the positives and of the negatives that have each score."""
    order = np.argsort(-scores, kind="stable")
    last = last_of_each(scores[order])
    tp = np.cumsum(positive[:, order], axis=1, dtype=np.float64)[:, last]
    fp = np.cumsum(negative[:, order], axis=1, dtype=np.float64)[:, last]
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
    target: ArrayLike, probability: ArrayLike, threshold: float, goal: Goal | str, *, seed: int = 0
) -> dict[str, Measured]:
    """Every binary measure at one threshold.

    Parameters
    ----------
    target
        Zeros and ones, (N,).
    probability
        Probability of class 1 in [0, 1], (N,).
    threshold
        Smallest probability of a flagged row.
    goal
        Goal whose own measure is added to the result, if it is not there by name.
    seed
        Seed of the bootstrap; default 0.

    Examples
    --------
    >>> found = measure_binary([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], 0.5, Goal("f1"))
    >>> str(found["recall"]), str(found["average_precision"])
    ('1.000 [0.025, 1.000]', '1.000 [0.235, 1.000]')
    """
    goal = goals.goal(goal)
    goal.check_served("measure_binary")
    truth, scores, _ = checked_rows(target, probability)
    cut = real_number("threshold", threshold)
    found = rates_of(decide(truth, scores, cut), goal, seed=seed)
    ones = np.ones((1, len(truth)))
    ranked = np.append(scores, [-1.0, 2.0])  # the ends, below all and above all; no row lies there
    said = np.append(scores, [scores.min(), scores.max()])
    losses = np.stack([log_losses(np.full(len(said), value), said) for value in (0, 1)])
    draws: dict[str, list[NDArray[np.float64]]] = {"average_precision": [], "roc_auc": [], "log_loss": []}
    for negative, positive in _drawn_weights(truth, seed):
        for name, values in _ranking(ranked, positive, negative).items():
            draws[name].append(values)
        draws["log_loss"].append((negative @ losses[0] + positive @ losses[1]) / len(truth))
    for name, value in ranking(truth, scores, ones).items():
        found[name] = _percentiles(float(value[0]), np.concatenate(draws[name]), 0.0, 1.0)
    found["log_loss"] = _log_loss_interval(truth, log_losses(truth, scores), np.concatenate(draws["log_loss"]))
    return found


def rates_of(at: Confusion, goal: Goal, *, rows_per_count: float = 1.0, seed: int = 0) -> dict[str, Measured]:
    """Every rate that follows from the counts of one decision.

    Parameters
    ----------
    at
        The counts.
    goal
        Goal whose own measure is added to the result, if it is not there by name and is not a ranking.
    rows_per_count
        Number of rows per count, if counts are sums of weights; the intervals are then approximate.
    seed
        Seed of the draws.

    Examples
    --------
    >>> str(rates_of(Confusion(tp=8, fp=2, fn=2, tn=88), Goal("f1"))["precision"])
    '0.800 [0.444, 0.975]'
    """
    counts = Confusion(*(float(count) * rows_per_count for count in (at.tp, at.fp, at.fn, at.tn)))
    tp, fp, fn, tn = (float(count) for count in (counts.tp, counts.fp, counts.fn, counts.tn))
    recall, specificity = share(tp, tp + fn), share(tn, tn + fp)
    found = {
        "precision": share(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "f1": f1_of(counts),
        "balanced_accuracy": mean_share([recall, specificity]),
        "alerts": share(tp + fp, tp + fp + fn + tn),
        "fpr": share(fp, tn + fp),
    }
    drawn = _drawn_confusion(counts, seed)
    extras = ("mcc", "g_mean") if goal.ranking else ("mcc", "g_mean", goal.objective)
    for extra in dict.fromkeys(extras):  # no set: their order would be another each time
        if extra not in found:
            measure = goal if extra == goal.objective else Goal(extra)
            worst, best = Confusion(tp=0.0, fp=tn + fp, fn=tp + fn, tn=0.0), Confusion(tp + fn, 0.0, 0.0, tn + fp)
            ends = sorted(float(measure.value(one)) for one in (worst, best))
            found[extra] = _percentiles(float(measure.value(counts)), measure.value(drawn), *ends)
    return found


def measure_multiclass(
    target: ArrayLike, probability: ArrayLike, threshold: ArrayLike, goal: Goal | str, *, seed: int = 0
) -> tuple[dict[str, Measured], list[Measured], list[Measured]]:
    """Every multiclass measure, then recall and precision per class.

    Parameters
    ----------
    target
        Class indices, (N,).
    probability
        Probabilities (N, C), in [0, 1].
    threshold
        Threshold of each class, (C,).
    goal
        Goal whose own measure is added to the result.
    seed
        Seed of the bootstrap; default 0.

    Examples
    --------
    >>> found, recall, precision = measure_multiclass(
    ...     [0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0.5, 0.5], Goal("macro_f1"))
    >>> str(recall[0]), found["macro_f1"].value
    ('1.000 [0.158, 1.000]', 1.0)
    """
    goal = goals.goal(goal)
    check_multiclass_goal(goal)
    truth, scores = checked_classes(target, probability)
    classes = scores.shape[1]
    matrix = confusion_matrix(
        truth, decide_classes(scores, positive_per_class("threshold", threshold, classes)), classes
    )
    true, chosen = matrix.sum(axis=1), matrix.sum(axis=0)
    recall = [share(float(matrix[k, k]), float(true[k])) for k in range(classes)]
    precision = [share(float(matrix[k, k]), float(chosen[k])) for k in range(classes)]
    found = {"balanced_accuracy": mean_share([recall[k] for k in range(classes) if true[k]])}
    names = ("macro_f1", "mcc", "g_mean")
    drawn = np.concatenate(
        [np.stack([summary(some, name) for name in names]) for some in _drawn_matrices(matrix, seed)], axis=1
    )
    for name, values in zip(names, drawn, strict=True):
        found[name] = _percentiles(float(summary(matrix, name)), values, -1.0 if name == "mcc" else 0.0, 1.0)
    found["log_loss"] = _log_loss(truth, scores, seed)
    return found, recall, precision


def _drawn_confusion(at: Confusion, seed: int) -> Confusion:
    """Draws from the posterior of recall and specificity, as the counts that they would give on these rows."""
    rng = np.random.default_rng(whole_number("seed", seed))
    positives, negatives = at.tp + at.fn, at.tn + at.fp
    tp = positives * rng.beta(at.tp + 0.5, at.fn + 0.5, REPLICATES)
    tn = negatives * rng.beta(at.tn + 0.5, at.fp + 0.5, REPLICATES)
    return Confusion(tp=tp, fp=negatives - tn, fn=positives - tp, tn=tn)


def _drawn_matrices(matrix: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.float64]]:
    """The same for several classes: blocks of confusion matrices (R, C, C) with the rows' totals."""
    rng = np.random.default_rng(whole_number("seed", seed))
    classes = len(matrix)
    prior = np.full((classes, classes), 0.5 / max(classes - 1, 1))
    np.fill_diagonal(prior, 0.5)
    for here in _blocks(_replicates(classes**2), classes**2):
        share = rng.standard_gamma(matrix + prior, (here.stop - here.start, classes, classes))
        share *= matrix.sum(axis=1, keepdims=True) / share.sum(axis=2, keepdims=True)
        yield share


def _log_loss(truth: NDArray[np.int64], scores: NDArray[np.float64], seed: int) -> Measured:
    """The log loss of several classes."""
    rng = np.random.default_rng(whole_number("seed", seed))
    own = log_losses(truth, scores)
    total = np.zeros(_replicates(len(truth)))
    for k in np.unique(truth):
        rows, others = np.flatnonzero(truth == k), np.flatnonzero(truth != k)
        for here in _blocks(len(total), len(rows)):
            weight, more, place = _one_row_more(rng, rows, others, here.stop - here.start)
            total[here] += weight @ own[rows] + more * log_losses(np.full(len(place), k), scores[place])
    return _log_loss_interval(truth, own, total / len(truth))


def _log_loss_interval(
    truth: NDArray[np.integer] | NDArray[np.bool_], own: NDArray[np.float64], draws: NDArray[np.float64]
) -> Measured:
    """The wider, on each side, of the draws' interval and the normal one stratified by class.

    The rows that the draws add are those of other classes, so on small tests they shift the loss upwards: good for
    its upper end, where a rare class may hide a costly row, but it would cut off the truth below.
    """
    value = float(own.mean())
    drawn = _percentiles(value, draws, 0.0, np.inf)
    variance = sum(rows.var(ddof=1) * len(rows) for k in np.unique(truth) if len(rows := own[truth == k]) > 1)
    spread = 1.96 * float(np.sqrt(variance)) / len(own)
    return within(value, min(drawn.low, value - spread), max(drawn.high, value + spread), 0.0, np.inf)


def _drawn_weights(truth: NDArray[np.bool_], seed: int) -> Iterator[list[NDArray[np.float32]]]:
    """Weights (R, N + 2) of the negatives and of the positives among the rows and the two ends, in blocks."""
    rng = np.random.default_rng(whole_number("seed", seed))
    groups = [np.flatnonzero(~truth), np.flatnonzero(truth)]
    for here in _blocks(_replicates(len(truth)), len(truth)):
        count = here.stop - here.start
        drawn = []
        for rows, others in (groups, groups[::-1]):
            full = np.zeros((count, len(truth) + 2), np.float32)
            places = np.append(others, [len(truth), len(truth) + 1])
            full[:, rows], more, place = _one_row_more(rng, rows, places, count)
            full[np.arange(count), place] += more
            drawn.append(full)
        yield drawn


def _one_row_more(
    rng: np.random.Generator, rows: NDArray[np.int64], others: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Bayesian bootstrap weights (R, n) of a class's rows, (R,) of one row more, and which row that is like."""
    weight = rng.standard_exponential((count, len(rows) + 1), np.float32)
    weight *= len(rows) / weight.sum(axis=1, keepdims=True)
    return weight[:, :-1], weight[:, -1], rng.choice(others if len(others) else rows, count)


def _replicates(rows: int) -> int:
    return REPLICATES if rows <= 20_000 else 200


def _blocks(replicates: int, cells: int) -> Iterator[slice]:
    """Parts of all replicates that are small enough for the memory."""
    size = max(1, _CELLS // cells)
    for start in range(0, replicates, size):
        yield slice(start, min(start + size, replicates))


def _percentiles(value: float, draws: NDArray[np.float64], least: float, most: float) -> Measured:
    """On each side the wider of the draws' interval and of the same about the value."""
    low, high = (float(end) for end in np.quantile(draws, [0.025, 0.975]))
    off = value - float(draws.mean())
    return within(value, min(low, low + off), max(high, high + off), least, most)
