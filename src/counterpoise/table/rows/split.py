"""The parts of a table: for training, for the threshold and for the test.

Each class is divided separately, so that a class of two rows has one for training and one for the test, and no part
lacks a class that could be in it. Rows of one group stay together; with a time, the later rows judge what was learned
from the earlier ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row places of the three parts, each sorted.

    Parameters
    ----------
    train
        Rows for training and comparison.
    calibration
        Rows for the choice of the threshold, which the final model has not seen. Empty if the goal has no bounds: the
        threshold then comes from the held-out rows of the folds, and all of these rows are used for training.
    test
        Rows for the measurement, which were not used for anything else.
    how
        How rows were assigned to the parts, in a sentence.
    """

    train: NDArray[np.int64]
    calibration: NDArray[np.int64]
    test: NDArray[np.int64]
    how: str = "at random, each class by itself"


def split_rows(
    codes: ArrayLike,
    *,
    seed: int,
    calibration: float = 0.2,
    test: float = 0.2,
    time: ArrayLike | None = None,
    group: ArrayLike | None = None,
) -> Split:
    """Deal the rows to the three parts.

    Parameters
    ----------
    codes
        Class indices, (N,).
    seed
        Seed; the same seed gives the same parts. It has no effect if `time` decides.
    calibration, test
        The share of the rows in these parts, from 0 to 1.
    time
        Order of the rows in time, (N,): the last ones are the test part, those before them the calibration part. Rows
        with equal times stay together.
    group
        Index of each row's group, (N,), whole numbers: no group is in two parts.

    Raises
    ------
    UserError
        If time or group leave a part without rows.

    Examples
    --------
    >>> parts = split_rows([0] * 10 + [1] * 2, seed=0)
    >>> len(parts.train), len(parts.calibration), len(parts.test)
    (7, 2, 3)
    >>> split_rows([0, 1] * 5, seed=0, time=np.arange(10)).test
    array([8, 9])
    """
    classes = np.asarray(codes, np.int64)
    if time is not None:
        return _by_time(np.asarray(time), calibration, test, None if group is None else np.asarray(group))
    if group is not None:
        return _by_group(classes, np.asarray(group), seed, calibration, test)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], "calibration": [], "test": []}
    for value in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == value))
        tested = max(1, round(test * len(rows)))
        least = 1 if calibration else 0
        calibrated = min(max(least, round(calibration * len(rows))), max(0, len(rows) - tested - 1))
        parts["test"].append(rows[:tested])
        parts["calibration"].append(rows[tested : tested + calibrated])
        parts["train"].append(rows[tested + calibrated :])
    train, held, tested_rows = (np.sort(np.concatenate(parts[name])) for name in ("train", "calibration", "test"))
    return Split(train, held, tested_rows)


def split_labels(
    labels: ArrayLike,
    *,
    seed: int,
    calibration: float = 0.2,
    test: float = 0.2,
    time: ArrayLike | None = None,
    group: ArrayLike | None = None,
) -> Split:
    """One split of the rows for many labels, in which each part gets its share of every label's positives.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, ECML 2011):
    the label with the fewest rows left deals these first, each to the part that still lacks most of them.

    Parameters
    ----------
    labels
        Labels (N, L): 1 if a row has the label, another number if not or if it is not known.
    seed, calibration, test, time, group
        As in `split_rows`.

    Raises
    ------
    UserError
        If time or group leave a part without rows.

    Examples
    --------
    >>> has = np.zeros((100, 2), int)
    >>> has[:10, 0], has[5:9, 1] = 1, 1
    >>> parts = split_labels(has, seed=0, calibration=0)
    >>> has[parts.train].sum(axis=0), has[parts.test].sum(axis=0)
    (array([8, 3]), array([2, 1]))
    """
    positive = np.asarray(labels) == 1
    if time is not None or group is not None:
        codes = _rarest(positive)
        return split_rows(codes, seed=seed, calibration=calibration, test=test, time=time, group=group)
    share = np.array([1 - calibration - test, calibration, test])
    part = _iterative(positive, share, np.random.default_rng(seed))
    train, held, tested = (np.flatnonzero(part == place) for place in range(3))
    return Split(train, held, tested, "at random, each label by itself, the rarest first")


def _rarest(positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rarest label of each row, counted from 1; 0 where it has none."""
    rank = np.argsort(np.argsort(positive.sum(axis=0), kind="stable"))
    held = np.where(positive, rank, positive.shape[1])
    return np.where(positive.any(axis=1), held.argmin(axis=1) + 1, 0)


def _iterative(positive: NDArray[np.bool_], share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of each row."""
    part = np.full(len(positive), -1, np.int64)
    open_parts = np.flatnonzero(share > 0)
    wanted = share[:, None] * positive.sum(axis=0)
    room = share * len(positive)
    held = [np.flatnonzero(row) for row in positive]
    while (left := positive[part < 0].sum(axis=0)).any():
        label = int(np.argmin(np.where(left > 0, left, len(part) + 1)))
        for row in rng.permutation(np.flatnonzero(positive[:, label] & (part < 0))).tolist():
            taken = max(open_parts.tolist(), key=lambda one: (wanted[one, label], room[one]))
            part[row] = taken
            wanted[taken, held[row]] -= 1
            room[taken] -= 1
    rest = rng.permutation(np.flatnonzero(part < 0))
    ends = np.round(np.cumsum(np.maximum(room, 0)) / max(1.0, np.maximum(room, 0).sum()) * len(rest)).astype(np.int64)
    for place, rows in enumerate(np.split(rest, ends[:-1])):
        part[rows] = place
    return part


def _by_time(time: NDArray[np.generic], calibration: float, test: float, group: NDArray[np.int64] | None) -> Split:
    order = np.argsort(time, kind="stable")
    ordered = time[order]

    def cut(share: float) -> int:
        """The place from which about this share of the rows is later; never within one moment."""
        place = round((1 - share) * len(order))
        return int(np.searchsorted(ordered, ordered[min(place, len(order) - 1)], side="left")) if share else len(order)

    late, middle = cut(test), cut(test + calibration) if calibration else cut(test)
    part = np.empty(len(order), np.int64)
    part[order[:middle]], part[order[middle:late]], part[order[late:]] = 0, 1, 2
    how = "by time: the latest rows are the test"
    if group is not None:  # a group that goes on into a later part is left out of the earlier ones
        last = np.zeros(int(group.max()) + 1, np.int64)
        np.maximum.at(last, group, part)
        part = np.where(part == last[group], part, -1)
        how += "; groups that continue into a later part are omitted from the earlier ones"
    found = Split(np.flatnonzero(part == 0), np.flatnonzero(part == 1), np.flatnonzero(part == 2), how)
    if not len(found.train) or not len(found.test) or (calibration and not len(found.calibration)):
        raise UserError(
            f"the time column has too few distinct times: {len(found.train):,}, {len(found.calibration):,} and "
            f"{len(found.test):,} rows would fall into the training, calibration and test parts"
        )
    return found


def _by_group(
    classes: NDArray[np.int64], group: NDArray[np.int64], seed: int, calibration: float, test: float
) -> Split:
    fold = folds_of(classes, 10, seed=seed, group=group)
    tested, calibrated = round(10 * test), round(10 * calibration)
    found = Split(
        np.flatnonzero(fold >= tested + calibrated),
        np.flatnonzero((fold >= tested) & (fold < tested + calibrated)),
        np.flatnonzero(fold < tested),
        how="at random, each group in one part",
    )
    if not len(found.train) or not len(found.test) or (calibration and not len(found.calibration)):
        raise UserError("the group column has too few groups for a training and a test part; it needs about 10")
    return found


def folds_of(
    codes: ArrayLike, folds: int, *, seed: int, time: ArrayLike | None = None, group: ArrayLike | None = None
) -> NDArray[np.int64]:
    """The fold of each row, (N,): every class spread evenly, and the folds evenly large.

    Parameters
    ----------
    codes
        Class indices, (N,).
    folds
        Number of folds, at least 2.
    seed
        Seed; the same seed gives the same folds.
    time
        Order of the rows in time, (N,): each fold is a stretch of time.
    group
        Index of each row's group, (N,): no group is in two folds; folds are then only about equally large.

    Examples
    --------
    >>> fold = folds_of([0] * 8 + [1] * 2, 2, seed=0)
    >>> np.bincount(fold), np.bincount(fold[8:])
    (array([5, 5]), array([1, 1]))
    >>> folds_of([0] * 6, 2, seed=0, group=[0, 0, 1, 1, 2, 2]).reshape(3, 2).std(axis=1)
    array([0., 0., 0.])
    """
    rng = np.random.default_rng([seed, 1])
    classes = np.asarray(codes, np.int64)
    if group is not None:
        return _group_folds(classes, np.asarray(group), folds, rng)
    if time is not None:
        # each class is cut into stretches by itself, so that no fold is without a class
        fold = np.empty(len(classes), np.int64)
        for value in np.unique(classes):
            rows = np.flatnonzero(classes == value)
            rows = rows[np.argsort(np.asarray(time)[rows], kind="stable")]
            fold[rows] = np.arange(len(rows)) * folds // len(rows)
        return fold
    fold = np.empty(len(classes), np.int64)
    dealt = 0
    for value in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == value))
        fold[rows] = (np.arange(len(rows)) + dealt) % folds
        dealt += len(rows)
    return fold


def _group_folds(
    classes: NDArray[np.int64], group: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Groups dealt one by one, those with the most rows of the rarest classes first, to the fold that lacks them."""
    names, places = np.unique(group, return_inverse=True)
    counted = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counted, (places, classes), 1)
    share = counted / np.maximum(counted.sum(axis=0), 1)  # so that a row of a rare class weighs more
    order = rng.permutation(len(names))
    order = order[np.argsort(-share.max(axis=1)[order], kind="stable")]
    held = np.zeros((folds, counted.shape[1]))
    of_group = np.empty(len(names), np.int64)
    for one in order.tolist():
        after = held + share[one]
        taken = int(np.argmin((after * share[one]).sum(axis=1)))
        of_group[one] = taken
        held[taken] += share[one]
    return of_group[places]


def sample_rows(
    codes: ArrayLike, most: int, *, seed: int, least: int = 10, stands_for: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Places of a stratified sample of about `most` rows, with at least `least` of each class that has them.

    Where each row stands for several (`stands_for`, (N,)), the classes get their shares of the whole table.

    Examples
    --------
    >>> codes = np.repeat([0, 1], [1000, 20])
    >>> np.bincount(codes[sample_rows(codes, 102, seed=0)])
    array([100,  10])
    """
    rng = np.random.default_rng([seed, 2])
    classes = np.asarray(codes, np.int64)
    if len(classes) <= most and stands_for is None:
        return np.arange(len(classes))
    weight = np.ones(len(classes)) if stands_for is None else stands_for
    whole = float(weight.sum())
    share = min(most / whole, 1 / float(weight.max()))
    kept = []
    for value in np.unique(classes):
        rows = np.flatnonzero(classes == value)
        wanted = min(len(rows), max(least, round(float(weight[rows].sum()) * share)))
        kept.append(rng.choice(rows, wanted, replace=False))
    return np.sort(np.concatenate(kept))
