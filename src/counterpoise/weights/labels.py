"""Counting labels that are held as an array: of classes that exclude each other, or of labels that exclude nothing."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.weights.by_class import LABELS, is_missing, ordered_names, plain, shown
from counterpoise.weights.counts import ClassCounts, LabelCounts, class_names, from_zero

Tally = Counter[Hashable]
"""How often each label occurs; tallies of parts add up."""


def _as_numpy(labels: Any) -> NDArray[Any]:
    if np.ma.is_masked(labels):
        row = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(labels))[0])
        place = row[0] if len(row) == 1 else list(row)
        raise UserError(f"labels are masked at {place}; leave masked labels out (labels.compressed()), or fill them")
    if hasattr(labels, "detach"):  # a PyTorch tensor, which may need its gradient and its device taken off
        labels = labels.detach().cpu()
    if hasattr(labels, "to_numpy"):  # pandas and Polars columns
        labels = labels.to_numpy()
    try:
        array = np.asarray(labels)
    except ValueError:
        raise UserError("labels have rows of different lengths; pass one label per sample") from None
    if array.dtype.kind == "U" and not isinstance(labels, np.ndarray):
        array = np.asarray(labels, dtype=object)  # NumPy turns a mixed list ["a", 1] into strings
    return array


def count(labels: Any, classes: Iterable[Hashable] | int | None = None, *, ignore_index: Any = None) -> Any:
    """Count an array of labels: `counterpoise.count` without its files and streams.

    Parameters
    ----------
    labels
        One label per sample, (N,), or multilabel targets (N, L) of 0 and 1.
    classes, ignore_index
        As in `counterpoise.count`.

    Returns
    -------
    ClassCounts or LabelCounts

    Examples
    --------
    >>> count(["cat", "dog", "cat"])
    ClassCounts([2, 1], classes=['cat', 'dog'])
    """
    listed = class_names(classes)
    found = tally_of(labels, ignore_index)
    if isinstance(found, LabelCounts):
        return found if listed is None else LabelCounts(found.positives, found.totals, listed)
    return counts_of(found, listed)


def tally_of(labels: Any, mark: Any = None) -> Tally | LabelCounts:
    """How often each label occurs in an array (N,), or the positives of (N, L), without those that are `mark`.

    Examples
    --------
    >>> tally_of([0, 1, 1, -100], -100)
    Counter({1: 2, 0: 1})
    """
    array = _as_numpy(labels)
    if array.ndim == 2:
        return _count_multilabel(array, mark)
    if array.ndim != 1:
        raise UserError(f"labels must have one or two dimensions, (N,) or (N, L); found shape {array.shape}")
    return _tally(array if mark is None else array[~_marked(array, mark)])


def counts_of(tally: Tally, classes: Sequence[Hashable] | None = None) -> ClassCounts:
    """The counts of classes in order; of those listed, or of those that occur, sorted.

    Examples
    --------
    >>> counts_of(Counter({1: 2, 0: 5}))
    ClassCounts([5, 2])
    """
    if classes is None:
        names = ordered_names(list(tally), LABELS)
        return ClassCounts([tally[name] for name in names], classes=from_zero(names))
    known = set(classes)
    unknown = [name for name in tally if name not in known]
    if unknown:
        raise UserError(
            f"labels hold class {unknown[0]!r}, which is not among classes {shown(classes)}; if it marks rows that "
            f"have no class, pass ignore_index={unknown[0]!r}"
        )
    return ClassCounts([tally.get(name, 0) for name in classes], classes=from_zero(list(classes)))


def _tally(array: NDArray[Any]) -> Tally:
    """How often each label occurs."""
    if array.dtype.kind == "f":
        _refuse_at(array, np.isnan(array), "a missing label; drop or fill these rows first")
        _refuse_at(array, np.isinf(array), "no class; labels are integers, strings or booleans")
        _refuse_at(array, array != np.floor(array), "no class; labels are integers, strings or booleans")
        array = array.astype(np.int64)
    if array.dtype.kind == "O":
        missing = np.array([is_missing(value) for value in array], dtype=bool)
        _refuse_at(array, missing, "a missing label; drop or fill these rows first")
    if array.dtype.kind in "biuU":
        found, numbers = np.unique(array, return_counts=True)
        return Counter({plain(name): int(number) for name, number in zip(found, numbers, strict=True)})
    return Counter(map(plain, array))


def _marked(array: NDArray[Any], mark: Any) -> NDArray[np.bool_]:
    """Where labels are the one that marks what to leave out."""
    if is_missing(mark):
        return np.array([is_missing(value) for value in array.ravel()], dtype=bool).reshape(array.shape)
    numeric = array.dtype.kind in "biuf"
    if np.ndim(mark) != 0 or (numeric and not isinstance(mark, int | float | np.number)):
        raise UserError(f"ignore_index is {mark!r}; pass one label, of the kind that labels hold ({array.dtype})")
    if numeric:
        return np.asarray(array == mark)
    return np.array([plain(value) == plain(mark) for value in array.ravel()], dtype=bool).reshape(array.shape)


def _count_multilabel(array: NDArray[Any], mark: Any) -> LabelCounts:
    left_out = np.zeros(array.shape, dtype=bool) if mark is None else _marked(array, mark)
    try:
        numbers = np.where(left_out, 0, array).astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(f"multilabel targets (N, L) must be 0 or 1{_if_counted(array)}") from None
    bad = np.argwhere((numbers != 0) & (numbers != 1))
    if len(bad):
        row, column = bad[0]
        raise UserError(
            f"multilabel targets must be 0 or 1; row {row}, label {column} holds {array[row, column]}; if that marks "
            f"entries to leave out, pass it as ignore_index{_if_counted(array)}"
        )
    return LabelCounts(numbers.sum(axis=0).astype(np.int64), total=(~left_out).sum(axis=0))


def _if_counted(array: NDArray[Any]) -> str:
    """What to do where a table of two columns or rows looks like classes with their numbers, as `np.unique` gives."""
    for names, numbers in (pair for pair in (array.T, array) if len(pair) == 2):
        whole = all(isinstance(one, int | np.integer) and one >= 0 for one in numbers.tolist())
        if whole and len(set(names.tolist())) == len(names):
            return "; if these are classes with their numbers, pass counterpoise.ClassCounts(numbers, classes=names)"
    return ""


def _refuse_at(array: NDArray[Any], bad: NDArray[np.bool_], problem: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"labels[{row}] is {array[row]}: {problem}")
