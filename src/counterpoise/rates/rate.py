"""A rate as a function of logits and target, which is made from its row of the table."""

import inspect
import re
from collections.abc import Callable
from typing import Any, Protocol

from counterpoise.arrays import Array
from counterpoise.rates.average import Average, check_average
from counterpoise.rates.entries import entries_of
from counterpoise.rates.row import ROWS, OfCounts, Row
from counterpoise.recipes.numbers import one_number

_ARGUMENTS = """
    Parameters
    ----------
    logits
        Raw scores, floating; -inf masks a class. One score per row, (N,), (N, 1) or a class axis of size 1: binary, the
        score of the positive class. Else (N, C), (N, ..., C), or the class axis where `class_axis` says, as in
        (N, C, H, W); all rows and pixels count equally.
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


def positive_number(name: str, value: float) -> float:
    """A parameter that must be finite and greater than 0."""
    return one_number(name, value, above=0.0)
