"""Who learns, who sets the threshold and who judges: stratified parts of a table.

Each class is dealt out by itself, so that a class of two rows has one to learn from and one to be
tested on, and no part is empty of a class that could be in it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row places of the three parts, each sorted.

    Parameters
    ----------
    train
        Learn and compare on these.
    calibration
        Choose the threshold on these, which the final model has not seen.
    test
        Measure on these, which nothing has seen.
    """

    train: NDArray[np.int64]
    calibration: NDArray[np.int64]
    test: NDArray[np.int64]


def split_rows(codes: ArrayLike, *, seed: int, calibration: float = 0.2, test: float = 0.2) -> Split:
    """Deal the rows of each class to the three parts.

    Examples
    --------
    >>> parts = split_rows([0] * 10 + [1] * 2, seed=0)
    >>> len(parts.train), len(parts.calibration), len(parts.test)
    (7, 2, 3)
    """
    rng = np.random.default_rng(seed)
    classes = np.asarray(codes, np.int64)
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], "calibration": [], "test": []}
    for value in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == value))
        tested = max(1, round(test * len(rows)))
        calibrated = min(max(1, round(calibration * len(rows))), len(rows) - tested - 1)
        parts["test"].append(rows[:tested])
        parts["calibration"].append(rows[tested : tested + calibrated])
        parts["train"].append(rows[tested + calibrated :])
    return Split(**{name: np.sort(np.concatenate(rows)) for name, rows in parts.items()})


def folds_of(codes: ArrayLike, folds: int, *, seed: int) -> NDArray[np.int64]:
    """The fold of each row, (N,): every class spread evenly, and the folds evenly large.

    Examples
    --------
    >>> fold = folds_of([0] * 8 + [1] * 2, 2, seed=0)
    >>> np.bincount(fold), np.bincount(fold[8:])
    (array([5, 5]), array([1, 1]))
    """
    rng = np.random.default_rng([seed, 1])
    classes = np.asarray(codes, np.int64)
    fold = np.empty(len(classes), np.int64)
    dealt = 0
    for value in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == value))
        fold[rows] = (np.arange(len(rows)) + dealt) % folds
        dealt += len(rows)
    return fold


def sample_rows(codes: ArrayLike, most: int, *, seed: int, least: int = 10) -> NDArray[np.int64]:
    """Places of a stratified sample of about `most` rows, with at least `least` of each class that has them.

    Examples
    --------
    >>> codes = np.repeat([0, 1], [1000, 20])
    >>> np.bincount(codes[sample_rows(codes, 102, seed=0)])
    array([100,  10])
    """
    rng = np.random.default_rng([seed, 2])
    classes = np.asarray(codes, np.int64)
    if len(classes) <= most:
        return np.arange(len(classes))
    kept = []
    for value in np.unique(classes):
        rows = np.flatnonzero(classes == value)
        wanted = min(len(rows), max(least, round(len(rows) * most / len(classes))))
        kept.append(rng.choice(rows, wanted, replace=False))
    return np.sort(np.concatenate(kept))
