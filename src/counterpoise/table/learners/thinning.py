"""Fewer rows of the largest classes if all would take too long; the rare classes keep all of theirs."""

import numpy as np

from counterpoise.table.learners.learner import Rows

MOST_CELLS = 20_000_000
"""So many are boosted on: rows x columns x trees per round. With five times as many `kdd99` took 2.9 s a round."""
FEWEST_ROWS = 20_000


def for_trees(rows: Rows, classes: int, *, seed: int) -> Rows:
    """What a booster learns from: all rows, but for large tables of many classes.

    Examples
    --------
    >>> rows = Rows(np.zeros((400_000, 2)), np.arange(400_000) % 250)
    >>> len(for_trees(rows, 250, seed=0).codes), len(for_trees(rows, 2, seed=0).codes)
    (40000, 400000)
    """
    trees = classes if classes > 2 else 1
    most = MOST_CELLS // max(1, rows.matrix.shape[1] * trees)
    return thinned(rows, max(FEWEST_ROWS, most), seed=seed)


def thinned(rows: Rows, most: int, *, seed: int) -> Rows:
    """About so many of the rows: the largest classes are thinned out, and what is left of them counts for them all.

    Examples
    --------
    >>> rows = Rows(np.zeros((1000, 1)), np.repeat([0, 1], [990, 10]))
    >>> few = thinned(rows, 100, seed=0)
    >>> np.bincount(few.codes), np.bincount(few.codes, weights=few.weight)
    (array([90, 10]), array([990.,  10.]))
    """
    if len(rows.codes) <= most:
        return rows
    counts = np.bincount(rows.codes)
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    rng = np.random.default_rng(seed)
    kept = [
        rng.choice(np.flatnonzero(rows.codes == place), min(count, low), replace=False)
        for place, count in enumerate(counts.tolist())
    ]
    few = rows.at(np.sort(np.concatenate(kept)))
    weight = np.ones(len(few.codes)) if few.weight is None else few.weight
    return Rows(few.matrix, few.codes, weight * (counts / np.minimum(counts, low).clip(1))[few.codes])
