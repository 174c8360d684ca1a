"""Soft confusion counts: a row of which p is said to be positive adds p to the flagged and 1 - p to the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterpoise.arrays import Array, Namespace
from counterpoise.losses.replicas import Replicas
from counterpoise.rates.entries import Entries, entries_of
from counterpoise.recipes.shape import chances

SMALLEST = 2e-38
"""A probability below is 0: float32 has few digits there, XLA none, and every type and framework is to say the same."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The four soft counts of each class against the rest, (C,), and the logits' dtype; `exclusive`: classes are.

    Examples
    --------
    >>> import numpy as np
    >>> soft_counts(np.array([0.0, 100.0]), [1, 1]).tp
    array([1.5])
    """

    xp: Namespace
    tp: Array
    fp: Array
    fn: Array
    tn: Array
    exclusive: bool
    dtype: Any

    @property
    def positives(self) -> Array:
        """The weight of the positives of each class."""
        return self.tp + self.fn

    @property
    def negatives(self) -> Array:
        """The weight of the negatives of each class."""
        return self.fp + self.tn

    @property
    def flagged(self) -> Array:
        """The weight of what is said to be positive."""
        return self.tp + self.fp

    @property
    def classes(self) -> int:
        """C."""
        return int(self.xp.length(self.tp, 0) or 0)

    def each(self, function: Callable[[Array], Array]) -> "Counts":
        """The counts after a function of each of the four."""
        tp, fp, fn, tn = (function(count) for count in (self.tp, self.fp, self.fn, self.tn))
        return Counts(self.xp, tp, fp, fn, tn, self.exclusive, self.dtype)

    def of_all(self, replicas: Replicas) -> "Counts":
        """The counts of the whole batch, from those of one replica."""
        tp, fp, fn, tn = replicas.total(self.tp, self.fp, self.fn, self.tn)
        return Counts(self.xp, tp, fp, fn, tn, self.exclusive, self.dtype)

    def swapped(self) -> "Counts":
        """The same counts with the negative class taken as the positive one."""
        return Counts(self.xp, self.tn, self.fn, self.fp, self.tp, self.exclusive, self.dtype)


def soft_counts(
    logits: Any,
    target: Any,
    class_axis: int = -1,
    sample_weight: Any = None,
    ignore_index: float | None = None,
    *,
    multilabel: bool = False,
) -> Counts:
    """The soft counts of a batch, for `of_counts` and `remembered`.

    Parameters
    ----------
    logits, target, class_axis, sample_weight, ignore_index, multilabel
        As in `counterpoise.rates.recall`.

    Returns
    -------
    Counts
        The counts tp, fp, fn and tn, (C,) each, in float64 where the framework and the device support it.

    Raises
    ------
    UserError
        As `counterpoise.rates.recall`.

    Examples
    --------
    >>> import numpy as np
    >>> counts = soft_counts(np.array([[0.0, 0.0], [-np.inf, 0.0]]), [0, 1])
    >>> counts.tp, counts.fp
    (array([0.5, 1. ]), array([0. , 0.5]))
    """
    return counts_of(entries_of(logits, target, class_axis, sample_weight, ignore_index, multilabel))


def counts_of(entries: Entries) -> Counts:
    """The soft counts of entries that are already in their one form."""
    xp = entries.xp
    at = chances(xp, -entries.odds)
    flagged, passed = (xp.where(p < SMALLEST, 0.0, p) for p in (at.right, at.wrong))
    tp, fp, fn, tn = (
        xp.sum_rows(weight * share)
        for weight, share in (
            (entries.positive, flagged),
            (entries.negative, flagged),
            (entries.positive, passed),
            (entries.negative, passed),
        )
    )
    return Counts(xp, tp, fp, fn, tn, entries.exclusive, entries.odds.dtype)
