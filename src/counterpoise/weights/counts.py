"""How many samples each class has: the one thing that most imbalance losses are made of.

Counts of parts of a data set add up to the counts of the whole, so labels can be counted file by
file or worker by worker.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.arrays import Float64Array, value_text
from counterpoise.errors import UserError
from counterpoise.frozen import Frozen
from counterpoise.weights.by_class import (
    COUNTED,
    MERGED,
    NAMED,
    Keyed,
    class_indices,
    classes_meant,
    has_gap,
    in_class_order,
    keyed,
    ordered_names,
    plain,
)

Int64Array = NDArray[np.int64]

MOST = 10**15
"""More samples than any data set has; sums of counts stay exact, also as float64."""


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _whole_numbers(name: str, values: Iterable[Any]) -> Int64Array:
    numbers = []
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"{name} must be whole numbers, one per class; found {value_text(values)}")
    for place, value in enumerate(values):
        if np.ndim(value) != 0:
            raise UserError(
                f"{name}[{place}] is {value_text(value)}; a count is a whole number of samples, one for each class"
            )
        try:
            number = value if isinstance(value, int) else float(value)
            whole = int(number)
        except (TypeError, ValueError, OverflowError):
            raise UserError(
                f"{name}[{place}] is {value_text(value)}; a count is a whole number of samples, 0 or more"
            ) from None
        if whole != number or whole < 0:
            raise UserError(f"{name}[{place}] is {value}; a count is a whole number of samples, 0 or more")
        if whole > MOST:
            raise UserError(f"{name}[{place}] is {value}; no data set has more than {MOST} samples")
        numbers.append(whole)
    return np.array(numbers, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False, init=False)
class ClassCounts(Frozen):
    """Samples per class, for exclusive classes.

    Parameters
    ----------
    n
        Samples per class, whole numbers >= 0, in class order; or a mapping, pandas Series or `value_counts()` frame
        from class to number, which is matched by its keys.
    classes
        Names of the classes in the order of the model's outputs, or their number; default 0, 1, 2, …, or the keys of
        `n` in order. A class that is not among the keys counts 0.

    Raises
    ------
    UserError
        If a count is negative or no whole number, or a class is named twice; for keys whose order is in doubt: names in
        another order than sorted, negative class numbers, and those with a gap.

    Examples
    --------
    >>> ClassCounts({1: 10, 0: 90})
    ClassCounts([90, 10])
    >>> counts = ClassCounts([198, 436, 710, 272], classes=["A", "B", "C", "D"])
    >>> counts.total, round(counts.imbalance_ratio, 2)
    (1616, 3.59)
    >>> (counts + ClassCounts([2, 5], classes=["A", "E"])).n.tolist()
    [200, 436, 710, 272, 5]
    """

    n: Int64Array
    classes: tuple[Hashable, ...]

    def __init__(self, n: Iterable[int] | Mapping[Any, int], classes: Iterable[Hashable] | int | None = None) -> None:
        given, listed = keyed("counts", n), class_names(classes)
        if given is not None:
            listed, n = _by_key(given, listed)
        numbers = _whole_numbers("counts", n)
        names = tuple(range(len(numbers))) if listed is None else tuple(listed)
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
        if has_gap(names) and not (has_gap(self.classes) or has_gap(other.classes)):
            ordered_names(names, MERGED)  # which says so: no part was given this gap on purpose
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
class LabelCounts(Frozen):
    """Positives per label, for labels that exclude nothing (multilabel).

    Parameters
    ----------
    positives
        Positive samples of each label, whole numbers >= 0; or a mapping or pandas Series from label to number, whose
        keys are the labels.
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
        self,
        positives: Iterable[int] | Mapping[Any, int],
        total: int | Iterable[int] | Mapping[Any, int],
        labels: Iterable[Hashable] | None = None,
    ) -> None:
        given = keyed("positives", positives)
        if given is not None:
            labels = _labels_of(given) if labels is None else list(labels)
            positives, total = (in_class_order(*one, labels) for one in (("positives", positives), ("total", total)))
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


def class_names(classes: Iterable[Hashable] | int | None) -> list[Hashable] | None:
    """The names of classes that were named, or of which the number was given."""
    if classes is None:
        return None
    if isinstance(classes, int | np.integer):
        return list(range(int(classes)))
    return [plain(name) for name in classes]


def _by_key(given: Keyed, classes: list[Hashable] | None) -> tuple[list[Hashable] | None, list[Any]]:
    """The classes in order, None for 0, 1, 2, …, and the count of each."""
    if classes is None:
        names = ordered_names(given.keys, COUNTED if given.counted else NAMED)
        by_name = dict(zip(given.keys, given.values, strict=True))
    else:
        names = classes
        meant = classes_meant("counts", given.keys, classes, all_of_them=False)
        by_name = dict(zip(meant, given.values, strict=True))
    return from_zero(names), [by_name.get(name, 0) for name in names]


def _labels_of(given: Keyed) -> list[Hashable]:
    """The labels that the keys name: by index; sorted where a program counted; else as they stand, like columns."""
    indices = class_indices(given.keys)
    if indices is not None:
        return list(range(len(indices)))
    return ordered_names(given.keys, COUNTED) if given.counted else given.keys


def _in_order(names: Iterable[Any]) -> list[Hashable]:
    """Names sorted where they can be, so that the order does not depend on which part came first."""
    names = list(names)
    try:
        return sorted(names)
    except TypeError:
        return names


def from_zero(names: list[Hashable]) -> list[Hashable] | None:
    """The default naming, None, for the integers from 0 up."""
    plain_integers = all(type(name) is int for name in names)
    return None if plain_integers and names == list(range(len(names))) else names


def as_class_counts(counts: Any) -> ClassCounts:
    """`ClassCounts` of numbers in class order, or of what names its classes; its own unchanged."""
    if isinstance(counts, ClassCounts):
        return counts
    if isinstance(counts, LabelCounts):
        raise UserError("these are counts of a multilabel target; exclusive classes need cp.count of (N,) labels")
    if isinstance(counts, str) or not (hasattr(counts, "__iter__") or keyed("counts", counts)):
        raise UserError(f"counts must be ClassCounts or a list of numbers per class; found {value_text(counts)}")
    return ClassCounts(counts)
