"""How well one column alone predicts the class: out of fold, so that rare categories do not exaggerate it.

A column becomes cells: its distinct values where they are few, else intervals of a number; a category; and one
cell for what is missing. The class shares of each cell, counted on the other folds, score the rows of a fold. Only the
table of cells x folds x classes is needed, so a column costs one pass over its rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

FOLDS = 5
MISSING = 0
"""The cell of missing values."""
_FEW = 256
_SAMPLE = 20_000
_CELLS = 2_000_000
_PRIOR_ROWS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A column as places of cells.

    Parameters
    ----------
    place
        Cell of each row, (N,); 0 is missing.
    names
        Names of the cells that are one value each; None if cells are intervals, or if there are too many values to
        name.
    ordered
        Whether the cells lie in the order of their values, as for numbers, dates and flags.
    """

    place: NDArray[np.int64]
    names: tuple[str, ...] | None
    ordered: bool


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """How well one column alone separates the classes, out of fold.

    Parameters
    ----------
    auc
        AUC of each class against the rest, (C,): out of fold, or of the number itself, up or down, if that is better;
        NaN for a class with fewer rows than folds.
    wrong
        For each class, (C,), the number of its rows that are taken for another class plus the rows of others that are
        taken for it: by the likeliest class of each cell or, for two classes, by one threshold if that is better.
    table
        Number of rows of each class in each cell, (cells, C).
    """

    auc: NDArray[np.float64]
    wrong: NDArray[np.int64]
    table: NDArray[np.int64]


def cells_of(column: pl.Series, rare: NDArray[np.bool_] | None = None, *, classes: int = 2) -> Cells | None:
    """Cut a column into cells, or None where its type is no feature (lists, bytes).

    Parameters
    ----------
    column
        Column of any type.
    rare
        Rows of a rare class, (N,): its own quantiles also become borders, so that its rows are not lost in one wide
        interval.
    classes
        Number of classes that will be counted in each cell, which limits the number of cells.

    Examples
    --------
    >>> cells_of(pl.Series(["a", None, "b", "a"])).place
    array([1, 0, 2, 1])
    >>> cells_of(pl.Series([1.5, float("nan"), 0.5])).place
    array([2, 0, 1])
    """
    if column.null_count() == len(column):
        return Cells(np.zeros(len(column), np.int64), (), ordered=True)
    if column.dtype == pl.Boolean:
        return Cells(column.cast(pl.Int64).fill_null(-1).to_numpy() + 1, ("false", "true"), ordered=True)
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        return _intervals(column, rare)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _categories(column, _CELLS // (FOLDS * classes))
    return None


def _intervals(column: pl.Series, rare: NDArray[np.bool_] | None) -> Cells:
    plain = column.to_physical() if column.dtype.is_temporal() else column
    values = plain.cast(pl.Float64).to_numpy()  # null becomes NaN
    held = ~np.isnan(values)
    if not held.any():
        return Cells(np.zeros(len(values), np.int64), (), ordered=True)
    sample = values[held]
    if len(sample) > _SAMPLE:
        sample = sample[np.random.default_rng(0).integers(0, len(sample), _SAMPLE)]
    borders = np.unique(sample)
    names: tuple[str, ...] | None = None
    if len(borders) <= _FEW:
        borders = np.unique(values[held])
    if len(borders) <= _FEW:
        names = tuple(f"{border:g}" for border in borders)
    else:
        borders = np.sort(sample)[np.linspace(0, len(sample) - 1, _FEW // 2 + 1).astype(np.int64)]
        if rare is not None and (rare & held).any():
            few = np.sort(values[rare & held])
            borders = np.concatenate([borders, few[:: max(2, len(few) // (_FEW // 2))]])
        borders = np.unique(borders)
    place = np.searchsorted(borders, values, side="right") + (0 if names else 1)
    place[~held] = MISSING
    return Cells(place.astype(np.int64), names, ordered=True)


def _categories(column: pl.Series, most: int) -> Cells:
    text = column if column.dtype == pl.Categorical else column.cast(pl.Categorical)
    values, place, rows = np.unique(
        np.nan_to_num(text.to_physical().to_numpy(), nan=-1).astype(np.int64), return_inverse=True, return_counts=True
    )
    if values[0] != -1:
        place, rows = place + 1, np.concatenate([[0], rows])
    if len(rows) <= _FEW:
        first = np.zeros(len(rows), np.int64)
        first[place[::-1]] = np.arange(len(place))[::-1]
        return Cells(place, tuple(str(column[int(row)]) for row in first[1:]), ordered=False)
    # a value that occurs once says nothing out of fold; what is beyond the most frequent shares one cell
    kept = np.argsort(-rows[1:], kind="stable")[: min(most, int((rows[1:] > 1).sum()))] + 1
    cell = np.full(len(rows), len(kept) + 1)
    cell[MISSING] = MISSING
    cell[kept] = np.arange(1, len(kept) + 1)
    return Cells(cell[place], None, ordered=False)


def signal(cells: Cells, codes: NDArray[np.int64], fold: NDArray[np.int64], classes: int) -> Signal:
    """Score each row by the class shares that its cell has on the other folds.

    Parameters
    ----------
    cells
        The column.
    codes
        Class of each row, (N,).
    fold
        Fold of each row, (N,), in [0, FOLDS).
    classes
        Number of classes, at least 2.

    Examples
    --------
    >>> codes = np.arange(40) % 2
    >>> found = signal(cells_of(pl.Series(codes)), codes, np.arange(40) // 2 % FOLDS, 2)
    >>> found.auc, found.wrong, found.table.tolist()
    (array([1., 1.]), array([0, 0]), [[0, 0], [20, 0], [0, 20]])
    """
    size = int(cells.place.max(initial=0)) + 1
    counted = np.bincount((cells.place * FOLDS + fold) * classes + codes, minlength=size * FOLDS * classes)
    table = counted.reshape(size, FOLDS, classes)
    total = table.sum(axis=1)
    others = total[:, None, :] - table
    known = others.sum(axis=0)
    prior = known / np.maximum(known.sum(axis=-1, keepdims=True), 1)
    score = (others + _PRIOR_ROWS * prior) / (others.sum(axis=-1, keepdims=True) + _PRIOR_ROWS)
    likeliest = score.argmax(axis=-1)
    called = np.zeros((classes, classes), np.int64)
    np.add.at(called, likeliest.ravel(), table.reshape(-1, classes))
    wrong = called.sum(axis=0) + called.sum(axis=1) - 2 * np.diagonal(called)
    if classes == 2 and cells.ordered:
        wrong = np.minimum(wrong, _wrong_at_best_threshold(total))
    rest = table.sum(axis=-1, keepdims=True) - table
    above, pairs = _pairs_in_order(*(one.reshape(size, -1) for one in (score, table, rest)))
    above, pairs = (one.reshape(FOLDS, classes).sum(axis=0) for one in (above, pairs))
    enough = (total.sum(axis=0) >= FOLDS) & (pairs > 0)
    auc = above / np.maximum(pairs, 1)
    if cells.ordered:
        place = np.broadcast_to(np.arange(size)[:, None], total.shape)
        above, pairs = _pairs_in_order(place, total, total.sum(axis=-1, keepdims=True) - total)
        ordered = above / np.maximum(pairs, 1)
        auc = np.maximum(auc, np.maximum(ordered, 1 - ordered))
    auc = np.where(enough, auc, np.nan)
    return Signal(auc, wrong, total)


def _wrong_at_best_threshold(total: NDArray[np.int64]) -> int:
    """The fewest wrong rows where all cells from one on are called one class; missing ones are called what most are."""
    upto = np.cumsum(total[MISSING + 1 :], axis=0)
    if len(upto) == 0:
        return int(total[MISSING].min())
    first_below = upto[:, 1] + (upto[-1, 0] - upto[:, 0])
    return int(min(first_below.min(), (upto[-1].sum() - first_below).min()) + total[MISSING].min())


def _pairs_in_order(
    score: NDArray[Any], own: NDArray[np.int64], rest: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In each column of scores: pairs of an own row and another that it puts in order (ties half), and all pairs."""
    columns = np.arange(score.shape[1])
    order = np.argsort(score, axis=0, kind="stable")
    ranked, own, rest = (one[order, columns] for one in (score, own, rest))
    through = np.cumsum(rest, axis=0, dtype=np.float64)
    place = np.arange(len(score))[:, None]
    new = np.ones(score.shape, bool)
    new[1:] = ranked[1:] != ranked[:-1]
    ends = np.ones(score.shape, bool)
    ends[:-1] = new[1:]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=0)
    last = np.minimum.accumulate(np.where(ends, place, len(score))[::-1], axis=0)[::-1]
    below = (through - rest)[first, columns] + through[last, columns]
    return (own * below).sum(axis=0) / 2, own.sum(axis=0, dtype=np.float64) * through[-1]
