"""How many samples each class has: the one thing that most imbalance losses are made of.

Counts of parts of a data set add up to the counts of the whole, so labels can be counted file by
file or worker by worker.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.arrays import Float64Array
from counterpoise.errors import UserError

Int64Array = NDArray[np.int64]

MOST = 10**15
"""More samples than any data set has; sums of counts stay exact, also as float64."""


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _whole_numbers(name: str, values: Iterable[Any]) -> Int64Array:
    numbers = []
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"{name} must be whole numbers, one per class; found {values!r}")
    for place, value in enumerate(values):
        try:
            number = value if isinstance(value, int) else float(value)
            whole = int(number)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{name}[{place}] is {value!r}; a count is a whole number of samples, 0 or more") from None
        if whole != number or whole < 0:
            raise UserError(f"{name}[{place}] is {value}; a count is a whole number of samples, 0 or more")
        if whole > MOST:
            raise UserError(f"{name}[{place}] is {value}; no data set has more than {MOST} samples")
        numbers.append(whole)
    return np.array(numbers, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False, init=False)
class ClassCounts:
    """Samples per class, for exclusive classes.

    Parameters
    ----------
    n
        Samples per class, whole numbers >= 0, in class order.
    classes
        Names of the classes in the same order; default 0, 1, 2, …

    Raises
    ------
    UserError
        If a count is negative or no whole number, or a class is named twice.

    Examples
    --------
    >>> counts = ClassCounts([198, 436, 710, 272], classes=["A", "B", "C", "D"])
    >>> counts.total, round(counts.imbalance_ratio, 2)
    (1616, 3.59)
    >>> (counts + ClassCounts([2, 5], classes=["A", "E"])).n.tolist()
    [200, 436, 710, 272, 5]
    """

    n: Int64Array
    classes: tuple[Hashable, ...]

    def __init__(self, n: Iterable[int], classes: Iterable[Hashable] | None = None) -> None:
        numbers = _whole_numbers("counts", n)
        names = tuple(range(len(numbers))) if classes is None else tuple(_plain(c) for c in classes)
        if len(numbers) == 0:
            raise UserError("counts are empty; at least one class is needed")
        if len(names) != len(numbers):
            raise UserError(f"counts has {len(numbers)} numbers but classes has {len(names)} names")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"classes names {twice!r} twice; each class needs a name of its own")
        object.__setattr__(self, "n", _read_only(numbers))
        object.__setattr__(self, "classes", names)

    @property
    def total(self) -> int:
        """The number of samples."""
        return int(self.n.sum())

    @property
    def prior(self) -> Float64Array:
        """The share of each class, (C,), summing to 1."""
        if self.total == 0:
            raise UserError("all counts are 0: no sample, hence no prior; count the training labels first")
        shares: Float64Array = self.n / self.total
        return shares

    @property
    def imbalance_ratio(self) -> float:
        """Samples of the most frequent class for each sample of the rarest class that has any."""
        present = self.n[self.n > 0]
        if len(present) == 0:
            raise UserError("all counts are 0: no sample, hence no imbalance; count the training labels first")
        return float(present.max() / present.min())

    def __len__(self) -> int:
        return len(self.n)

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        if not isinstance(other, ClassCounts):
            return NotImplemented
        tally = dict.fromkeys((*self.classes, *other.classes), 0)
        for part in (self, other):
            for name, number in zip(part.classes, part.n.tolist(), strict=True):
                tally[name] += number
        names = list(tally)
        # counted parts are in sorted order and so is their sum; an order that somebody chose is kept
        if all(list(part.classes) == _in_order(part.classes) for part in (self, other)):
            names = _in_order(names)
        return ClassCounts([tally[name] for name in names], classes=names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassCounts):
            return NotImplemented
        return self.classes == other.classes and bool((self.n == other.n).all())

    def __hash__(self) -> int:
        return hash((self.classes, self.n.tobytes()))

    def __repr__(self) -> str:
        classes = "" if self.classes == tuple(range(len(self))) else f", classes={list(self.classes)}"
        return f"ClassCounts({self.n.tolist()}{classes})"


@dataclass(frozen=True, slots=True, eq=False, init=False)
class LabelCounts:
    """Positives per label, for labels that exclude nothing (multilabel).

    Parameters
    ----------
    positives
        Positive samples of each label, whole numbers >= 0.
    total
        The number of samples, at least the largest of `positives`; or one number per label where
        some labels were not given for every sample.
    labels
        Names of the labels; default 0, 1, 2, …

    Raises
    ------
    UserError
        If a count is negative, no whole number, or larger than its total.

    Examples
    --------
    >>> LabelCounts([10, 50], total=100).prior.tolist()
    [0.1, 0.5]
    """

    positives: Int64Array
    totals: Int64Array
    labels: tuple[Hashable, ...]

    def __init__(
        self, positives: Iterable[int], total: int | Iterable[int], labels: Iterable[Hashable] | None = None
    ) -> None:
        found = _whole_numbers("positives", positives)
        totals = _whole_numbers("total", total if isinstance(total, Iterable) else [total] * len(found))
        if len(totals) != len(found):
            raise UserError(
                f"total has {len(totals)} numbers but positives has {len(found)}; pass one or one per label"
            )
        names = tuple(range(len(found))) if labels is None else tuple(labels)
        if len(names) != len(found):
            raise UserError(f"positives has {len(found)} numbers but labels has {len(names)} names")
        for name, few, many in zip(names, found, totals, strict=True):
            if few > many:
                raise UserError(f"label {name!r} has {few} positives among {many} samples")
        object.__setattr__(self, "positives", _read_only(found))
        object.__setattr__(self, "totals", _read_only(totals))
        object.__setattr__(self, "labels", names)

    @property
    def negatives(self) -> Int64Array:
        """Negative samples of each label, (L,)."""
        return self.totals - self.positives

    @property
    def prior(self) -> Float64Array:
        """The share of positives of each label, (L,)."""
        if (self.totals == 0).any():
            raise UserError("a label has no sample, hence no prior; count the training labels first")
        shares: Float64Array = self.positives / self.totals
        return shares

    @property
    def imbalance_ratio(self) -> Float64Array:
        """Samples of each label's more frequent side for each sample of its rarer side, (L,)."""
        sides = np.stack([self.positives, self.negatives])
        if (sides == 0).any():
            raise UserError("a label has only positives or only negatives, so its imbalance is infinite")
        ratio: Float64Array = sides.max(axis=0) / sides.min(axis=0)
        return ratio

    def __len__(self) -> int:
        return len(self.positives)

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        if not isinstance(other, LabelCounts):
            return NotImplemented
        if self.labels != other.labels:
            raise UserError(f"counts of different labels cannot be added: {self.labels} and {other.labels}")
        return LabelCounts(self.positives + other.positives, self.totals + other.totals, self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelCounts):
            return NotImplemented
        same = (self.positives == other.positives).all() and (self.totals == other.totals).all()
        return self.labels == other.labels and bool(same)

    def __hash__(self) -> int:
        return hash((self.labels, self.positives.tobytes(), self.totals.tobytes()))

    def __repr__(self) -> str:
        return f"LabelCounts({self.positives.tolist()}, total={self.totals.tolist()})"


def _plain(value: Any) -> Hashable:
    """A NumPy scalar as the Python value it stands for, so that names print and compare as written."""
    plain: Hashable = value.item() if isinstance(value, np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else plain  # TensorFlow's strings are bytes


def _in_order(names: Iterable[Any]) -> list[Hashable]:
    """Names sorted where they can be, so that the order does not depend on which part came first."""
    names = list(names)
    try:
        return sorted(names)
    except TypeError:
        return names


def _as_numpy(labels: Any) -> NDArray[Any]:
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


def count(labels: Any, classes: Iterable[Hashable] | None = None) -> Any:
    """Count the samples of each class, or the positives of each label.

    Parameters
    ----------
    labels
        One label per sample, (N,): integers, strings or booleans, in a list, a NumPy array, a pandas
        or Polars column, or an array of PyTorch, TensorFlow or JAX. Or multilabel targets (N, L) of
        0 and 1.
    classes
        All classes in the order of the model's outputs; default: those found, sorted. A class that
        is listed but absent counts 0.

    Returns
    -------
    ClassCounts or LabelCounts
        `LabelCounts` for two-dimensional targets.

    Raises
    ------
    UserError
        If labels are missing, fractional, of mixed types, or of a class that `classes` does not list.

    Examples
    --------
    >>> count(["cat", "dog", "cat"])
    ClassCounts([2, 1], classes=['cat', 'dog'])
    >>> count([[1, 0], [1, 1]])
    LabelCounts([2, 1], total=[2, 2])
    """
    array = _as_numpy(labels)
    if array.ndim == 2:
        return _count_multilabel(array, classes)
    if array.ndim != 1:
        raise UserError(f"labels must have one or two dimensions, (N,) or (N, L); found shape {array.shape}")
    if array.dtype.kind == "f":
        _refuse_at(array, np.isnan(array), "a missing label; drop or fill these rows first")
        _refuse_at(array, np.isinf(array), "no class; labels are integers, strings or booleans")
        _refuse_at(array, array != np.floor(array), "no class; labels are integers, strings or booleans")
        array = array.astype(np.int64)
    if array.dtype.kind == "O":
        missing = np.array([_is_missing(value) for value in array], dtype=bool)
        _refuse_at(array, missing, "a missing label; drop or fill these rows first")
    if array.dtype.kind in "biuU":
        found, numbers = np.unique(array, return_counts=True)
    else:
        tally: dict[Any, int] = {}
        for value in map(_plain, array):
            tally[value] = tally.get(value, 0) + 1
        kinds = {str if isinstance(value, str) else float for value in tally}
        if len(kinds) > 1:
            raise UserError("labels mix text and numbers; convert them to one type first")
        ordered = _in_order(tally)
        found, numbers = ordered, np.array([tally[name] for name in ordered], dtype=np.int64)  # type: ignore[assignment]
    names = [_plain(value) for value in found]
    if classes is None:
        return ClassCounts(numbers, classes=_from_zero(names))
    listed = [_plain(c) for c in classes]
    unknown = [name for name in names if name not in listed]
    if unknown:
        raise UserError(f"labels hold class {unknown[0]!r}, which is not among classes {listed}")
    by_name = dict(zip(names, numbers, strict=True))
    return ClassCounts([by_name.get(name, 0) for name in listed], classes=listed)


def _from_zero(names: list[Hashable]) -> list[Hashable] | None:
    """The default naming, None, for the integers from 0 up."""
    plain_integers = all(type(name) is int for name in names)
    return None if plain_integers and names == list(range(len(names))) else names


def _count_multilabel(array: NDArray[Any], labels: Iterable[Hashable] | None) -> LabelCounts:
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError("multilabel targets (N, L) must be 0 or 1") from None
    bad = np.argwhere((numbers != 0) & (numbers != 1))
    if len(bad):
        row, column = bad[0]
        raise UserError(f"multilabel targets must be 0 or 1; row {row}, label {column} holds {array[row, column]}")
    return LabelCounts(numbers.sum(axis=0).astype(np.int64), total=len(array), labels=labels)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas, which need not be installed
        return True
    return isinstance(value, float) and value != value


def _refuse_at(array: NDArray[Any], bad: NDArray[np.bool_], problem: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"labels[{row}] is {array[row]}: {problem}")


def as_class_counts(counts: Any) -> ClassCounts:
    """`ClassCounts` of a list of numbers, or of a mapping or pandas Series from class to number; its own unchanged."""
    if isinstance(counts, ClassCounts):
        return counts
    if isinstance(counts, LabelCounts):
        raise UserError("these are counts of a multilabel target; exclusive classes need cp.count of (N,) labels")
    if isinstance(counts, str) or not hasattr(counts, "__iter__"):
        raise UserError(f"counts must be ClassCounts or a list of numbers per class; found {counts!r}")
    if isinstance(counts, Mapping):
        return ClassCounts(counts.values(), classes=counts.keys())
    if hasattr(counts, "to_numpy") and hasattr(counts, "index"):  # a pandas Series, as value_counts() gives it
        return ClassCounts(counts.to_numpy(), classes=counts.index)
    return ClassCounts(counts)
