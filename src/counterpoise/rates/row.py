"""A rate as a row of the table of rates: how its loss follows from soft counts or from entries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterpoise.arrays import Array
from counterpoise.errors import UserError, nearest_name
from counterpoise.rates.average import Average, averaged, check_average, check_class
from counterpoise.rates.counts import Counts, counts_of
from counterpoise.rates.entries import Entries

OfCounts = Callable[..., Any]


Defined = Callable[[Counts], Array]


@dataclass(frozen=True, slots=True)
class Row:
    """One rate.

    `per_class` gives the losses (C,) from `Counts`; where `ranked`, from `Entries`, and where they are defined.
    `defined` says which classes a counted rate is defined for. `of_classes` is the loss of exclusive classes as a
    whole, which is then the macro average.
    """

    name: str
    per_class: OfCounts
    parameters: dict[str, Any]
    ranked: bool = False
    defined: Defined = lambda counts: counts.positives != 0
    of_classes: OfCounts | None = None

    def checked(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, of which none may be unknown."""
        for name in parameters:
            if name not in self.parameters:
                if not self.parameters:
                    raise UserError(f"{self.name} has no parameter {name!r}; it has none")
                raise nearest_name(f"parameter of {self.name}", name, self.parameters)
        return parameters

    def loss(self, entries: Entries, average: Average, class_weight: Any, parameters: dict[str, Any]) -> Array:
        """The loss of entries."""
        if not self.ranked:
            return self.loss_of_counts(counts_of(entries), average, class_weight, parameters)
        xp, entries = entries.xp, entries.gathered()
        if not isinstance(average, str):
            check_class(average, entries.classes)
            entries, average = (entries.of_class(average), 0)
        elif average == "micro":
            entries, average = entries.pooled(), "macro"
        losses, defined = self.per_class(entries, **parameters)
        value = averaged(xp, losses, defined, xp.sum_rows(entries.positive), average, class_weight)
        return xp.astype(value, entries.odds.dtype)

    def loss_of_counts(self, counts: Counts, average: Average, class_weight: Any, parameters: dict[str, Any]) -> Array:
        """The loss of soft counts."""
        xp = counts.xp
        if self.of_classes is not None and counts.exclusive and average == "macro":
            if class_weight is not None:
                raise UserError(f"{self.name} of exclusive classes is one number of all of them; drop class_weight")
            return xp.astype(self.of_classes(counts, **parameters), counts.dtype)
        if not isinstance(average, str):
            check_class(average, counts.classes)
            if counts.classes == 1:
                counts, average = (counts if average == 1 else counts.swapped()), 0
        elif average == "micro":
            counts, average = counts.each(lambda count: xp.sum(count)[None]), "macro"
        losses = self.per_class(counts, **parameters)
        value = averaged(xp, losses, self.defined(counts), counts.positives, average, class_weight)
        return xp.astype(value, counts.dtype)


ROWS: dict[str, Row] = {}
"""Every rate by name."""


def row_named(name: str) -> Row:
    """The row of a rate.

    Raises
    ------
    UserError
        For an unknown name, with the nearest known one.
    """
    if name not in ROWS:
        raise nearest_name("rate", name, ROWS)
    return ROWS[name]


def of_counts(
    name: str, counts: Counts, average: Average = "macro", class_weight: Any = None, **parameters: Any
) -> Array:
    """The loss 1 - rate of soft counts, for loops that keep their own: of several batches, devices or past steps.

    Parameters
    ----------
    name
        Name of a rate of counts: any of `counterpoise.rates.names` but roc_auc, partial_auc and average_precision.
    counts
        Counts from `soft_counts` or `remembered`.
    average, class_weight, parameters
        As in the rate's own function.

    Raises
    ------
    UserError
        For an unknown name, average or parameter, and for a rate of rankings.

    Examples
    --------
    >>> import numpy as np
    >>> from counterpoise.rates import soft_counts
    >>> float(of_counts("precision", soft_counts(np.array([0.0, 100.0]), [0, 1])).round(3))
    0.333
    """
    row = row_named(name)
    if row.ranked:
        raise UserError(f"{name} compares rows with each other and has no counts; pass logits to rates.{name}")
    check_average(average, class_weight)
    return row.loss_of_counts(counts, average, class_weight, row.checked(parameters))
