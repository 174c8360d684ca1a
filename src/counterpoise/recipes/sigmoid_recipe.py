"""The sigmoid family, for binary and multilabel targets: its parameters, its posterior, its best constant logit.

    u = s (a z + b)
    loss = t w+ phi+(softplus(-u)) + (1 - t) w- phi-(softplus(u))

with s the temperature, a the scale, b the offset; t is the target in [0, 1].
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.errors import UserError
from counterpoise.recipes.derived import derived, kept
from counterpoise.recipes.logits import checked_logits, refuse_bad_logits
from counterpoise.recipes.numbers import PerClass, one_number, per_class, prior_of
from counterpoise.recipes.odds import shifted_logit
from counterpoise.recipes.parameters import Parameters
from counterpoise.recipes.posterior import posterior_of
from counterpoise.recipes.shape import Shape
from counterpoise.recipes.stored import stored_family
from counterpoise.weights import ClassCounts, LabelCounts, as_class_counts
from counterpoise.weights.by_class import class_indices, keyed


@stored_family
@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False, repr=False)
class SigmoidRecipe(Parameters):
    """What a sigmoid loss does with its logits. Each default changes nothing: plain binary cross-entropy.

    Parameters
    ----------
    pos_weight, neg_weight
        Factor of the loss of positives and of negatives, >= 0; one number, or one per label.
    scale
        Factor of each logit, > 0.
    offset
        Shift of each scaled logit.
    pos_focus, neg_focus
        Exponent of the probability of being wrong, >= 0, for positives and for negatives.
    clip
        Probability that is subtracted from that of a negative, in [0, 1): negatives below it cost nothing.
    robustness
        Robustness q, from 0 (log loss) to 1 (1 - p).
    poly
        Coefficient of an extra 1 - p, >= -1.
    smoothing
        Smoothing e in the smoothed target t (1 - e) + e / 2, in [0, 1).
    temperature
        Factor of all shifted logits, > 0.
    prior
        Share of positives in the training data (per label), from which `posterior(prior=...)` starts.
    name
        Name of the recipe.
    class_names
        Names of the negative and the positive class, where it was made from counts that name them: labels, counts and
        priors that name them too go by these. It changes no loss, and recipes compare without it.

    Raises
    ------
    UserError
        For a parameter out of its range, or per-label parameters of different lengths.

    Examples
    --------
    >>> SigmoidRecipe(pos_weight=9.0)
    sigmoid(pos_weight=9)
    """

    pos_weight: PerClass = 1.0
    neg_weight: PerClass = 1.0
    scale: PerClass = 1.0
    offset: PerClass = 0.0
    pos_focus: float = 0.0
    neg_focus: float = 0.0
    clip: float = 0.0
    robustness: float = 0.0
    poly: float = 0.0
    smoothing: float = 0.0
    temperature: float = 1.0
    prior: Any = None
    name: str = "sigmoid"
    class_names: tuple[Hashable, ...] | None = None

    family: ClassVar[str] = "sigmoid"
    per_class_names: ClassVar[tuple[str, ...]] = ("pos_weight", "neg_weight", "scale", "offset", "prior")

    def __post_init__(self) -> None:
        self._set(
            pos_weight=per_class("pos_weight", self.pos_weight, low=0.0),
            neg_weight=per_class("neg_weight", self.neg_weight, low=0.0),
            scale=per_class("scale", self.scale, above=0.0),
            offset=per_class("offset", self.offset),
            pos_focus=one_number("pos_focus", self.pos_focus, low=0.0),
            neg_focus=one_number("neg_focus", self.neg_focus, low=0.0),
            clip=one_number("clip", self.clip, low=0.0, below=1.0),
            robustness=one_number("robustness", self.robustness, low=0.0, high=1.0),
            poly=one_number("poly", self.poly, low=-1.0),
            smoothing=one_number("smoothing", self.smoothing, low=0.0, below=1.0),
            temperature=float(per_class("temperature", self.temperature, above=0.0, dimensions=0)),
        )
        if self.prior is not None:
            self._set(prior=_share("prior", self.prior))
        self._set(class_names=self._checked_names())
        self._agree_on_classes()
        if self.class_names is not None and len(self.class_names) != 2:
            raise UserError(f"class_names has {len(self.class_names)} names; a sigmoid loss has two classes")

    def _reordered(self, order: list[int]) -> Self:  # noqa: ARG002
        assert self.class_names is not None
        negative, positive = self.class_names
        raise UserError(
            f"{self.name} was made from counts whose classes are {negative!r} and {positive!r}, so {positive!r} is its "
            f"positive class, but here it is {negative!r}; make it of counts in the order {positive!r}, {negative!r}"
        )

    @property
    def positive_shape(self) -> Shape:
        """phi of the positives."""
        return Shape(self.pos_focus, self.robustness, self.poly)

    @property
    def negative_shape(self) -> Shape:
        """phi of the negatives."""
        return Shape(self.neg_focus, self.robustness, self.poly, self.clip)

    def _why_no_posterior(self) -> str | None:
        if self.robustness == 1:
            return "at robustness 1 (1 - p) the best answer is 0 or 1, whatever p(y | x) is"
        if not (self.positive_shape.invertible and self.negative_shape.invertible):
            return f"at poly {self.poly:g} the loss has no slope at some scores, so they do not determine p(y | x)"
        if not (self.pos_weight.all() and self.neg_weight.all()):
            return "a side of weight 0 is never learned, so the scores carry no information"
        return None

    def _posterior_logit(self, xp: Namespace, u: Array, like: Array) -> Array:
        """The log odds of the smoothed target at which this u is the best answer."""
        weights = xp.parameter(derived(_log_ratio, self.neg_weight, self.pos_weight), like, like.dtype)
        positive, negative = self.positive_shape, self.negative_shape
        return u + weights + negative.log_slope(xp, u) - positive.log_slope(xp, -u)

    def posterior(self, logits: Array, prior: Any = None, *, class_axis: int = -1) -> Array:
        """Honest probabilities of the positive class from the logits of a model trained with this loss.

        Parameters
        ----------
        logits
            The model's logits: (N,), (N, 1), (N, L) or any other shape, of any framework and floating dtype.
        prior
            Share of positives in the data to predict, one number or (L,), or counts, if it differs from that of the
            training data; for two classes also the shares by class, {0: …, 1: …}. The recipe must then know the
            training prior.
        class_axis
            Axis of the labels, for parameters with one value per label.

        Returns
        -------
        array
            The probability p(positive | x), of the logits' shape and framework; float32 for half precision.

        Raises
        ------
        UserError
            If the loss has no posterior (robustness 1, a weight of 0), or for a wrong shape.

        Examples
        --------
        >>> import numpy as np
        >>> SigmoidRecipe(pos_weight=9.0).posterior(np.array([0.0, 3.0])).round(3)
        array([0.1  , 0.691])
        """
        return posterior_of(self, logits, prior, class_axis)

    @np.errstate(all="ignore")  # branches that are not taken overflow or divide by 0 on their way
    def _posterior(self, logits: Array, prior: Any, class_axis: int) -> Array:
        reason = self._why_no_posterior()
        if reason is not None:
            raise UserError(f"{self.name} has no posterior: {reason}")
        xp, z, labels = checked_logits(logits, self, class_axis)
        refuse_bad_logits(xp, z, self.family, class_axis)
        u = shifted_logit(xp, z, scale=self.scale, offset=self.offset, temperature=self.temperature)
        logit = self._posterior_logit(xp, u, z)
        probability = xp.exp(-xp.softplus(-logit))
        if self.smoothing:
            smoothed = (probability - self.smoothing / 2) / (1 - self.smoothing)
            probability = xp.minimum(xp.maximum(smoothed, 0.0), 1.0)
        if prior is not None:
            if self.prior is None:
                raise UserError(
                    "posterior(prior=...) needs the training prior; make the recipe with counts, "
                    "or with prior=share of positives"
                )
            wanted = _share("prior", self._in_order(prior), labels)
            if wanted.shape not in ((), (labels,)):
                raise UserError(f"prior must be one share or {labels} shares, one per label; found {len(wanted)}")
            if ((wanted <= 0) | (wanted >= 1)).any():
                raise UserError("the new prior is 0 or 1; a share of positives lies between, both excluded")
            if ((self.prior <= 0) | (self.prior >= 1)).any():
                raise UserError("the training prior is 0 or 1, so no other prior can be reached from it")
            positive = probability * xp.parameter(kept(wanted / self.prior), z, z.dtype)
            negative = (1 - probability) * xp.parameter(kept((1 - wanted) / (1 - self.prior)), z, z.dtype)
            probability = positive / (positive + negative)
        return xp.moveaxis(probability, -1, class_axis) if len(xp.shape(z)) > 1 else probability

    def _in_order(self, prior: Any) -> Any:
        """A prior given as counts, or by the names of both classes, as the share of positives."""
        if isinstance(prior, ClassCounts) or (self.class_names is not None and keyed("prior", prior) is not None):
            return self._prior_in_order(prior)[1]
        return prior

    def initial_logits(self, counts: ClassCounts | LabelCounts | Any) -> Any:
        """The constant logit that minimises the expected loss: where a booster or a bias should start.

        Parameters
        ----------
        counts
            Counts of two classes (negative, positive), or `LabelCounts`; both sides need a sample.

        Returns
        -------
        float or numpy.ndarray
            Constant logits: one number, or float64 (L,) for `LabelCounts`; for plain cross-entropy the log odds.

        Raises
        ------
        UserError
            If the minimum lies at infinity (recall), or a side has no sample.

        Examples
        --------
        >>> round(SigmoidRecipe().initial_logits([900, 100]), 4)
        -2.1972
        """
        share = positive_share(counts if isinstance(counts, LabelCounts) else self._counts_in_order(counts))
        if ((share <= 0) | (share >= 1)).any():
            raise UserError("a label has only positives or only negatives, so its best constant logit is infinite")
        reason = self._why_no_posterior()
        if reason is not None:
            raise UserError(
                f"{self.name} has no best constant logit: {reason}. Start from "
                "sigmoid.binary_cross_entropy().initial_logits(counts)"
            )
        target = (1 - self.smoothing) * share + self.smoothing / 2
        shape = np.broadcast_shapes(target.shape, (self.classes,) if self.classes else ())
        target, pos_weight, neg_weight, scale, offset = (
            np.broadcast_to(value, shape)
            for value in (target, self.pos_weight, self.neg_weight, self.scale, self.offset)
        )
        low, high = np.full(shape, -600.0), np.full(shape, 600.0)
        for _ in range(90):
            u = (low + high) / 2
            slope = (1 - target) * neg_weight * self.negative_shape.derivatives(u).slope
            slope = slope - target * pos_weight * self.positive_shape.derivatives(-u).slope
            low, high = np.where(slope < 0, u, low), np.where(slope < 0, high, u)
        if (np.abs(low) > 599).any():
            raise UserError(
                f"{self.name} has no best constant logit for a share of positives of {share.max():.4g}: its clipped "
                "negatives never balance so many positives. Start from "
                "sigmoid.binary_cross_entropy().initial_logits(counts)"
            )
        logits = ((low + high) / 2 / self.temperature - offset) / scale
        return logits if shape else float(logits)


def _log_ratio(a: Float64Array, b: Float64Array) -> Float64Array:
    ratio: Float64Array = np.log(a) - np.log(b)
    return ratio


def positive_share(counts: ClassCounts | LabelCounts | Any) -> Float64Array:
    """The share of positives in counts of two classes (a 0-d array) or of labels (L,)."""
    if isinstance(counts, LabelCounts):
        return counts.prior
    counts = as_class_counts(counts)
    if len(counts) != 2:
        raise UserError(
            f"a sigmoid loss is for two classes (negative, positive) or for labels, but counts have {len(counts)} "
            "classes; use the softmax family, or cp.count of multilabel targets (N, L)"
        )
    return np.asarray(counts.prior[1])


def _share(name: str, value: Any, labels: int | None = None) -> Float64Array:
    """Checked shares of positives: given as such, as counts, or by key."""
    found = keyed(name, value)
    if isinstance(value, ClassCounts | LabelCounts):
        value = positive_share(value)
    elif found is not None and labels != 2 and len(found.keys) == 2 and class_indices(found.keys) is not None:
        if labels is None:
            raise UserError(
                f"{name} has the keys 0 and 1, which may be the two classes or two labels; pass the share of positives "
                "as one number, or one per label as a list"
            )
        value = prior_of(name, value, 2)[1]
    share = per_class(name, value, low=0.0)
    if (share > 1).any():
        raise UserError(f"{name} is {share.max():g}; the share of positives lies between 0 and 1")
    return share
