"""Which columns the model needs: how much worse it does when a column's values are shuffled among the rows.

Permutation importance (Breiman, Random forests, Machine Learning 2001; Fisher, Rudin and Dominici, All models are
wrong, but many are useful, JMLR 2019) works for any model. Two columns with the same information replace each
other, so both may look unimportant.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.measured import log_losses, ranking
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.ties import difference, levels

MOST_ROWS = 1000
MOST_COLUMNS = 40
SHUFFLES = 2
_DRAWS = 50


class Importance(NamedTuple):
    """A column, how much worse the measure is without it, and the standard error of that."""

    column: str
    drop: float
    error: float


def importance_of(
    predict: Callable[[pl.DataFrame], NDArray[np.float64]],
    frame: pl.DataFrame,
    columns: Sequence[str],
    target: ArrayLike,
    goal: Goal,
    *,
    seed: int = 0,
    most_rows: int = MOST_ROWS,
    most_columns: int = MOST_COLUMNS,
    shuffles: int = SHUFFLES,
    weight: NDArray[np.float64] | None = None,
) -> tuple[Importance, ...]:
    """How much worse the model ranks (two classes) or predicts (more) without each column, on rows it has not seen.

    Two classes are measured by average precision, or by the goal's own ranking; more classes by the log loss. No
    threshold enters: near one, a rate of a few rare positives moves in steps.

    Parameters
    ----------
    predict
        Function from a frame (N rows) to probabilities, (N,) of class 1, or (N, C).
    frame
        The test rows.
    columns
        Columns to shuffle, the most promising first: only the first `most_columns` are shuffled.
    target
        Class indices, (N,).
    goal
        The goal, which decides whether the measure is ROC AUC.
    seed
        Seed of the shuffles and of the choice of rows.
    most_rows
        Largest number of rows. From more rows a sample is drawn, with equally many of each class if possible, and
        weighted back.
    weight
        Weight of each row (N,), where the rows are such a sample already; None: 1.
    most_columns, shuffles
        Bounds of the work: predict is called on at most most_rows x shuffles x (most_columns + 1) rows.

    Returns
    -------
    tuple of Importance
        Importance of each column, the largest drop first. The standard error includes the noise of the rows (Bayesian
        bootstrap) and of the shuffles.

    Raises
    ------
    UserError
        If there are not as many target values as rows, or a column is not in the frame.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": np.arange(100) / 100, "b": np.zeros(100)})
    >>> found = importance_of(lambda rows: rows["a"].to_numpy(), frame, ["b", "a"], np.arange(100) >= 80, Goal("f1"))
    >>> [(one.column, one.drop > 0.3) for one in found]
    [('a', True), ('b', False)]
    """
    truth = np.asarray(target).astype(np.int64)
    if truth.shape != (frame.height,):
        raise UserError(f"target has shape {truth.shape}, but there are {frame.height} rows")
    unknown = [one for one in columns if one not in frame.columns]
    if unknown:
        raise UserError(f"column {unknown[0]!r} is not among the {frame.width} columns of the rows")
    if len(np.unique(truth)) < 2:
        raise UserError("all rows are of one class, so the importance of a column cannot be measured")
    rng = np.random.default_rng(seed)
    rows, drawn = drawn_rows(truth, most_rows, rng)
    frame, truth = frame[rows], truth[rows]
    draws = _draws(drawn if weight is None else drawn * weight[rows], rng)
    before = _measure(truth, np.asarray(predict(frame), np.float64), draws, goal)
    found = []
    for column in columns[:most_columns]:
        shuffled = [frame.with_columns(frame[column].gather(rng.permutation(len(rows)))) for _ in range(shuffles)]
        after = np.split(np.asarray(predict(pl.concat(shuffled)), np.float64), shuffles)
        drop = np.stack([difference(before, _measure(truth, one, draws, goal)) for one in after])
        noise = drop[:, 1:].mean(axis=0).var(ddof=1) + (drop[:, 0].var(ddof=1) / shuffles if shuffles > 1 else 0.0)
        found.append(Importance(column, float(drop[:, 0].mean()), float(np.sqrt(noise))))
    standing = levels([one.drop for one in found])
    return tuple(found[k] for k in np.argsort(-standing, kind="stable"))


def measure_of(goal: Goal, binary: bool) -> str:
    """The name of what is measured.

    Examples
    --------
    >>> measure_of(Goal("roc_auc"), True), measure_of(Goal("f1"), True), measure_of(Goal("macro_f1"), False)
    ('roc_auc', 'average_precision', 'log_loss')
    """
    if not binary:
        return "log_loss"
    return goal.objective if goal.ranking else "average_precision"


def _measure(
    truth: NDArray[np.int64], probability: NDArray[np.float64], draws: NDArray[np.float64], goal: Goal
) -> NDArray[np.float64]:
    """More is better; (R,), one for each row of weights."""
    if probability.ndim == 2:
        return np.asarray(-(draws @ log_losses(truth, probability)) / draws.sum(axis=1))
    return ranking(truth, probability, draws)[measure_of(goal, True)]


def drawn_rows(
    truth: NDArray[np.int64], most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most so many rows, with the weights that give every class its share back."""
    if len(truth) <= most:
        return np.arange(len(truth)), np.ones(len(truth))
    count = np.bincount(truth)
    kept = np.zeros_like(count)
    left = most
    for place, k in enumerate(np.argsort(count, kind="stable")):
        kept[k] = min(count[k], left // (len(count) - place))
        left -= kept[k]
    chosen = [np.sort(rng.permutation(np.flatnonzero(truth == k))[: kept[k]]) for k in range(len(count))]
    weight = np.concatenate([np.full(n, of / max(n, 1)) for n, of in zip(kept, count, strict=True)])
    return np.concatenate(chosen), weight


def _draws(weight: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The weights themselves, then draws of the Bayesian bootstrap (R, N)."""
    drawn = rng.standard_exponential((_DRAWS, len(weight)))
    return np.vstack([weight, weight * drawn / drawn.mean(axis=1, keepdims=True)])
