"""Counting labels: of classes that exclude each other, and of labels that exclude nothing."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.weights.by_class import LABELS, is_missing, ordered_names, plain, shown
from counterpoise.weights.counts import ClassCounts, LabelCounts, class_names, from_zero


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
    """Count the samples of each class, or the positives of each label.

    Parameters
    ----------
    labels
        One label per sample, (N,): integers, strings or booleans, in a list, a NumPy array, a pandas or Polars column,
        or an array of PyTorch, TensorFlow or JAX. Or multilabel targets (N, L) of 0 and 1.
    classes
        All classes in the order of the model's outputs, or their number, for class indices from 0; default: the classes
        found, sorted. A class that is listed but absent counts 0.
    ignore_index
        Label of the rows (for multilabel targets: entries) to omit, such as -100 or 255.

    Returns
    -------
    ClassCounts or LabelCounts
        `LabelCounts` for two-dimensional targets.

    Raises
    ------
    UserError
        If labels are missing, fractional, of mixed types, or of a class that `classes` does not list. Without `classes`
        also for numbers of which one may be a mark and no class: a negative one (unless they are just -1 and 1), or one
        after a gap, as 255 is after 18.

    Examples
    --------
    >>> count(["cat", "dog", "cat"])
    ClassCounts([2, 1], classes=['cat', 'dog'])
    >>> count([[1, 0], [1, 1]])
    LabelCounts([2, 1], total=[2, 2])
    >>> count([0, 2, 255, 2], classes=3, ignore_index=255)
    ClassCounts([1, 0, 2])
    """
    array, listed = _as_numpy(labels), class_names(classes)
    if array.ndim == 2:
        return _count_multilabel(array, listed, ignore_index)
    if array.ndim != 1:
        raise UserError(f"labels must have one or two dimensions, (N,) or (N, L); found shape {array.shape}")
    if ignore_index is not None:
        array = array[~_marked(array, ignore_index)]
    tally = _tally(array)
    if listed is None:
        names = ordered_names(list(tally), LABELS)
        return ClassCounts([tally[name] for name in names], classes=from_zero(names))
    unknown = [name for name in tally if name not in set(listed)]
    if unknown:
        raise UserError(
            f"labels hold class {unknown[0]!r}, which is not among classes {shown(listed)}; if it marks rows that "
            f"have no class, pass ignore_index={unknown[0]!r}"
        )
    return ClassCounts([tally.get(name, 0) for name in listed], classes=from_zero(listed))


def _tally(array: NDArray[Any]) -> dict[Hashable, int]:
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
        return {plain(name): int(number) for name, number in zip(found, numbers, strict=True)}
    return dict(Counter(map(plain, array)))


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


def _count_multilabel(array: NDArray[Any], labels: Iterable[Hashable] | None, ignore_index: Any) -> LabelCounts:
    left_out = np.zeros(array.shape, dtype=bool) if ignore_index is None else _marked(array, ignore_index)
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
    return LabelCounts(numbers.sum(axis=0).astype(np.int64), total=(~left_out).sum(axis=0), labels=labels)


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
