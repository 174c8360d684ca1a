"""What a rate is given, brought to one form: the log odds of each class, and how much each entry weighs on either side.

The family follows from the shape. One score per row, (N,) or a class axis of size 1, is binary: its sigmoid is the
probability of the positive class. Two classes and more exclude each other (softmax), unless `multilabel` says that each
has a sigmoid of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterpoise.arrays import Array, Namespace, namespace, shape_text
from counterpoise.errors import UserError
from counterpoise.losses.arguments import (
    Arguments,
    refuse_values,
    sigmoid_arguments,
    softmax_arguments,
)
from counterpoise.losses.replicas import Replicas
from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.affine import INFINITY
from counterpoise.recipes.logits import checked_logits
from counterpoise.recipes.odds import odds_against_all

_SOFTMAX, _SIGMOID = SoftmaxRecipe(), SigmoidRecipe()
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Entries:
    """Rows and pixels in one axis: `odds`, `positive` and `negative` are (rows, C), at least float32.

    `odds` are the log odds of each class. `positive` is the entry's weight times the target, `negative` its weight
    times one minus the target; both are 0 where the entry is ignored. `exclusive` says that the classes are.
    """

    xp: Namespace
    odds: Array
    positive: Array
    negative: Array
    exclusive: bool

    @property
    def classes(self) -> int:
        """C."""
        return int(self.xp.length(self.odds, -1) or 0)

    def of_class(self, index: int) -> "Entries":
        """One class alone; where there is one score per row, 1 is its class and 0 the other."""
        if self.classes == 1 and index == 0:
            return Entries(self.xp, -self.odds, self.negative, self.positive, False)
        at = slice(None) if self.classes == 1 else slice(index, index + 1)
        return self._each(lambda array: array[:, at])

    def of_all(self, replicas: Replicas) -> "Entries":
        """The entries of the whole batch, from those of one replica."""
        odds, positive, negative = replicas.rows(self.odds, self.positive, self.negative)
        return Entries(self.xp, odds, positive, negative, self.exclusive)

    def pooled(self) -> "Entries":
        """The entries of all classes as those of one."""
        return self._each(lambda array: self.xp.reshape(array, (-1, 1)))

    def gathered(self) -> "Entries":
        """All entries on every device, to be compared with each other."""
        odds, positive, negative = (self.xp.gathered(array) for array in (self.odds, self.positive, self.negative))
        return Entries(self.xp, odds, positive, negative, self.exclusive)

    def _each(self, function: Callable[[Array], Array]) -> "Entries":
        odds, positive, negative = (function(array) for array in (self.odds, self.positive, self.negative))
        return Entries(self.xp, odds, positive, negative, False)


def entries_of(
    logits: Any, target: Any, class_axis: int, sample_weight: Any, ignore_index: float | None, multilabel: bool
) -> Entries:
    """The entries of a batch; arguments as in `counterpoise.rates.recall`."""
    exclusive = not multilabel and _several_classes(logits, class_axis)
    family = _softmax_entries if exclusive else _sigmoid_entries
    return family(logits, target, sample_weight, ignore_index, class_axis)


def _several_classes(logits: Any, class_axis: int) -> bool:
    _, z, classes = checked_logits(logits, _SIGMOID, class_axis)
    if classes == 0:
        raise UserError(f"logits of shape {shape_text(namespace(z).shape(z))} have no class on axis {class_axis}")
    return classes > 1


def _softmax_entries(
    logits: Any, target: Any, sample_weight: Any, ignore_index: float | None, class_axis: int
) -> Entries:
    given = softmax_arguments(logits, target, _SOFTMAX, sample_weight, ignore_index, class_axis)
    xp, z = given.xp, given.logits
    if given.hard:
        known = (given.target >= 0) & (given.target < given.classes)
        is_true = xp.with_axis(given.target) == xp.arange(given.classes, z, given.target.dtype)
        shares = xp.where(xp.with_axis(known), xp.astype(is_true, z.dtype), float("nan"))
    else:
        shares = _checked_shares(given)
    odds = _log_odds(xp, z, given.classes)
    weight = None if given.weight is None else xp.with_axis(given.weight)
    keep = None if given.keep is None else xp.with_axis(given.keep)
    return _flattened(given, odds, shares, weight, keep, exclusive=True)


def _log_odds(xp: Namespace, z: Array, classes: int) -> Array:
    """The log odds of each class, +inf where no other is possible."""
    odds = odds_against_all(
        xp, z, classes, scale=_SOFTMAX.scale, offset=_SOFTMAX.offset, margin=_SOFTMAX.margin, temperature=1.0
    )
    # relative to the largest logit the others of that class vanish, in float32 beyond a gap of 87: a loss has then no
    # more to tell, but a ranking has
    others = xp.where(odds.top, -INFINITY, z)
    second = xp.stop_gradient(xp.max(others, -1, True))
    second = xp.where(second == -INFINITY, 0.0, second)
    spread = xp.sum(xp.exp(others - second), -1, True)
    alone = spread == 0
    lead = xp.where(odds.top, z, 0.0) - second - xp.log(xp.where(alone, 1.0, spread))
    return xp.where(odds.top, xp.where(alone, INFINITY, lead), -odds.against)


def _checked_shares(given: Arguments) -> Array:
    """A soft target's shares, which must add up to at most 1 in each row."""
    xp = given.xp
    sums = refuse_values(
        xp,
        "the sum of target",
        xp.sum(given.target, -1),
        lambda s: (s > 1 + _ROUNDING) | (s != s),
        "the shares of exclusive classes add up to at most 1; labels that do not exclude each other need "
        "multilabel=True",
    )
    return xp.where(xp.with_axis(sums != sums), float("nan"), xp.minimum(given.target, 1.0))


def _sigmoid_entries(
    logits: Any, target: Any, sample_weight: Any, ignore_index: float | None, class_axis: int
) -> Entries:
    given = sigmoid_arguments(logits, target, _SIGMOID, sample_weight, ignore_index, class_axis)
    return _flattened(given, given.logits, given.target, given.weight, given.keep, exclusive=False)


def _flattened(
    given: Arguments, odds: Array, shares: Array, weight: Array | None, keep: Array | None, *, exclusive: bool
) -> Entries:
    xp, classes = given.xp, given.classes
    positive, negative = shares, 1 - shares
    if weight is not None:
        positive, negative = weight * positive, weight * negative
    if keep is not None:
        positive, negative = xp.where(keep, positive, 0.0), xp.where(keep, negative, 0.0)
    odds, positive, negative = (xp.reshape(array, (-1, classes)) for array in (odds, positive, negative))
    return Entries(xp, odds, positive, negative, exclusive)
