"""What every rate is: a row of the table, and the function of logits that is made from it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from counterpoise.arrays import Array
from counterpoise.errors import UserError, nearest_name
from counterpoise.rates.average import Average, averaged, check_average, check_class
from counterpoise.rates.counts import Counts, counts_of
from counterpoise.rates.entries import Entries, entries_of
from counterpoise.recipes.parameters import one_number

_ARGUMENTS = """
    Parameters
    ----------
    logits
        Raw scores, floating; -inf masks a class. One score per row, (N,), (N, 1) or a class axis of size 1: binary, the
        score of the positive class. Else (N, C), (N, ..., C), or the class axis where `class_axis` says, as in
        (N, C, H, W); all rows and pixels count alike.
    target
        Binary and multilabel: 0 to 1, of the logits' shape. Exclusive classes: integers (N, ...), or one-hot or soft
        targets of the logits' shape.
    average
        "macro": the mean over the classes that the rate is defined for. "micro": of all classes pooled. "weighted":
        a mean weighted by the positives of each class. "none": (C,), 0 where not defined. A class index: that class
        alone; where there is one score per row, 1 is the positive class and 0 the other.
    class_axis
        The axis of the classes.
    sample_weight
        As in `counterpoise.loss`: of rows, or of single entries; finite, >= 0.
    ignore_index
        Targets of this value do not count.
    multilabel
        True where each of several classes has a probability of its own (sigmoid), False where they exclude each other
        (softmax).
    class_weight
        (C,), or a mapping or pandas Series by class index, >= 0: the weights of a macro mean.

    Returns
    -------
    array
        The loss, 1 - rate: a scalar, or (C,); of the logits' dtype, float32 for half precision. Nothing to measure
        (empty batch, no positive, all weights 0) gives 0 with zero gradient.

    Raises
    ------
    UserError
        For what `counterpoise.loss` refuses, an unknown average or parameter, and shares that add up to more than 1.
"""


_SECTION = re.compile(r"\n    [A-Z][\w ]+\n    -+\n")


class RateFunction(Protocol):
    """The loss 1 - rate as a function of logits and target."""

    def __call__(
        self,
        logits: Any,
        target: Any,
        average: Average = "macro",
        class_axis: int = -1,
        sample_weight: Any = None,
        ignore_index: float | None = None,
        *,
        multilabel: bool = False,
        class_weight: Any = None,
        **parameters: Any,
    ) -> Array:
        """The loss of a batch."""


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


def rate(ranked: bool = False, **options: Any) -> Callable[[OfCounts], RateFunction]:
    """Register a function of soft counts (or, where `ranked`, of entries) as a rate, and make it one of logits.

    The function's keyword parameters are those of the rate; each is a number or a name with a default.
    """

    def registered(per_class: OfCounts) -> RateFunction:
        name = per_class.__name__
        described = inspect.signature(per_class).parameters.values()
        own = [one for one in described if one.kind is inspect.Parameter.KEYWORD_ONLY]
        row = Row(name, per_class, {one.name: one.default for one in own}, ranked, **options)
        ROWS[name] = row

        def loss(
            logits: Any,
            target: Any,
            average: Average = "macro",
            class_axis: int = -1,
            sample_weight: Any = None,
            ignore_index: float | None = None,
            *,
            multilabel: bool = False,
            class_weight: Any = None,
            **parameters: Any,
        ) -> Array:
            given = (average, class_axis, ignore_index, multilabel, class_weight)
            if type(logits).__module__.startswith("torch"):
                from counterpoise.rates.graph_on_torch import rate_on_torch

                return rate_on_torch(of_batch, name, logits, target, sample_weight, given, parameters)
            return of_batch(logits, target, sample_weight, given, parameters)

        def of_batch(
            logits: Any, target: Any, sample_weight: Any, given: tuple[Any, ...], parameters: dict[str, Any]
        ) -> Array:
            average, class_axis, ignore_index, multilabel, class_weight = given
            check_average(average, class_weight)
            row.checked(parameters)
            entries = entries_of(logits, target, class_axis, sample_weight, ignore_index, multilabel)
            return row.loss(entries, average, class_weight, parameters)

        _document(loss, per_class, own)
        return loss

    return registered


def _document(loss: Any, per_class: OfCounts, own: list[inspect.Parameter]) -> None:
    """Give the function of logits the name, the signature and the words of the row."""
    loss.__name__ = loss.__qualname__ = per_class.__name__
    loss.__module__ = per_class.__module__
    named = [one for one in inspect.signature(loss).parameters.values() if one.name != "parameters"]
    loss.__signature__ = inspect.Signature([*named, *own])
    words = per_class.__doc__ or ""
    section = _SECTION.search(words)
    place = section.start() if section else len(words)
    loss.__doc__ = words[:place].rstrip() + "\n" + _ARGUMENTS + words[place:]


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
        Of a rate of counts: any of `counterpoise.rates.names` but roc_auc, partial_auc and average_precision.
    counts
        From `soft_counts` or `remembered`.
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


def positive_number(name: str, value: float) -> float:
    """A parameter that must be finite and greater than 0."""
    return one_number(name, value, above=0.0)
