"""The softmax family, for exclusive classes: its parameters, its posterior, its best constant logits.

    u = scale_s (a * z + b),  c_k = logsumexp(u) - u_k  with s m_k taken off u_k where k is the truth
    loss = sum_k t_k w_k phi(c_k)  [+ sum_k t_k sum_j p_j A[k, j]]

with s the temperature, a the scale, b the offset, m the margin, w the weight, A the cost.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.errors import UserError, nearest_name
from counterpoise.recipes.constant import best_constant_logits
from counterpoise.recipes.derived import derived, kept
from counterpoise.recipes.logits import checked_logits, refuse_bad_logits
from counterpoise.recipes.numbers import PerClass, one_number, per_class, prior_of
from counterpoise.recipes.odds import odds_against_all
from counterpoise.recipes.parameters import Parameters
from counterpoise.recipes.posterior import posterior_of
from counterpoise.recipes.shape import Shape
from counterpoise.recipes.stored import stored_family
from counterpoise.weights import ClassCounts

WEIGHT_BY = ("true", "predicted", "pair")


@stored_family
@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False, repr=False)
class SoftmaxRecipe(Parameters):
    """What a softmax loss does with its logits. Each default changes nothing: plain cross-entropy.

    Parameters
    ----------
    weight
        Factor of each class's loss, >= 0.
    scale
        Factor of each class's logit, > 0.
    offset
        Shift of each class's scaled logit.
    margin
        Amount subtracted from the logit of the true class, inside the temperature.
    focus
        Exponent of 1 - p, >= 0, which plays down samples that are already right.
    robustness
        Robustness q, from 0 (log loss) to 1 (1 - p), which bounds the loss of a mislabelled sample.
    poly
        Coefficient of an extra 1 - p, >= -1.
    smoothing
        Share of the target that is spread evenly over all classes, in [0, 1).
    temperature
        Factor of all shifted logits, > 0.
    weight_by
        Origin of a sample's weight: its "true" class; its "predicted" class, the one with the highest logit; or the
        "pair", `cost[true, predicted]`. The prediction is held constant in the gradient.
    cost
        Costs (C, C), finite: `cost[y, k]` is the cost of choosing k where y is true. With `weight_by="pair"` they are
        the weights of the pairs (>= 0); otherwise the expected cost of the softmax probabilities is added to the loss.
    prior
        Class shares of the training data, from which `posterior(prior=...)` starts. The named recipes set it.
    name
        Name of the recipe.
    class_names
        Names of the classes in the order of the parameters, where it was made from counts that name them: labels,
        counts and priors that name them too go by these. It changes no loss, and recipes compare without it.

    Raises
    ------
    UserError
        For a parameter out of its range, or per-class parameters of different lengths.

    Examples
    --------
    >>> SoftmaxRecipe(weight=[1.0, 9.0], focus=2.0)
    softmax(weight=[1, 9], focus=2)
    """

    weight: PerClass = 1.0
    scale: PerClass = 1.0
    offset: PerClass = 0.0
    margin: PerClass = 0.0
    focus: float = 0.0
    robustness: float = 0.0
    poly: float = 0.0
    smoothing: float = 0.0
    temperature: float = 1.0
    weight_by: str = "true"
    cost: Any = None
    prior: Any = None
    name: str = "softmax"
    class_names: tuple[Hashable, ...] | None = None

    family: ClassVar[str] = "softmax"
    per_class_names: ClassVar[tuple[str, ...]] = ("weight", "scale", "offset", "margin", "cost", "prior")

    def __post_init__(self) -> None:
        self._set(
            weight=per_class("weight", self.weight, low=0.0),
            scale=per_class("scale", self.scale, above=0.0),
            offset=per_class("offset", self.offset),
            margin=per_class("margin", self.margin),
            focus=one_number("focus", self.focus, low=0.0),
            robustness=one_number("robustness", self.robustness, low=0.0, high=1.0),
            poly=one_number("poly", self.poly, low=-1.0),
            smoothing=one_number("smoothing", self.smoothing, low=0.0, below=1.0),
            temperature=float(per_class("temperature", self.temperature, above=0.0, dimensions=0)),
        )
        if self.weight_by not in WEIGHT_BY:
            raise nearest_name("weight_by", self.weight_by, WEIGHT_BY)
        if self.cost is not None:
            pair = self.weight_by == "pair"
            cost = per_class("cost", self.cost, dimensions=2, low=0.0 if pair else -np.inf)
            if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
                raise UserError(f"cost must be square, (true class, chosen class); found shape {cost.shape}")
            self._set(cost=cost)
        elif self.weight_by == "pair":
            raise UserError('weight_by="pair" needs cost, a (C, C) matrix of [true class, chosen class]')
        if self.prior is not None:
            self._set(prior=prior_of("prior", self.prior))
        self._set(class_names=self._checked_names())
        self._agree_on_classes()
        if self.class_names is not None and self.classes not in (None, len(self.class_names)):
            raise UserError(f"class_names has {len(self.class_names)} names but the recipe has {self.classes} classes")

    def _reordered(self, order: list[int]) -> Self:
        assert self.class_names is not None
        moved = {name: getattr(self, name) for name in self.per_class_names}
        moved = {name: value[order] for name, value in moved.items() if value is not None and value.ndim > 0}
        if self.cost is not None and self.cost.ndim == 2:
            moved["cost"] = self.cost[np.ix_(order, order)]
        return self.changed(**moved, class_names=tuple(self.class_names[place] for place in order))

    @property
    def shape(self) -> Shape:
        """phi, the shape that the loss gives to a cross-entropy."""
        return Shape(self.focus, self.robustness, self.poly)

    @property
    def adds_expected_cost(self) -> bool:
        """Whether the expected cost is a term of the loss."""
        return self.cost is not None and self.weight_by != "pair"

    def _why_no_posterior(self) -> str | None:
        if self.adds_expected_cost:
            return "an expected cost is least where all probability lies on the cheapest class, whatever p(y | x) is"
        if self.robustness == 1:
            return "at robustness 1 (1 - p) the best answer is all probability on one class, whatever p(y | x) is"
        if not self.shape.invertible:
            return f"at poly {self.poly:g} the loss has no slope at some scores, so they do not determine p(y | x)"
        if self.weight_by != "pair" and (self.weight == 0).any():
            return "a class of weight 0 is never learned, so its scores carry no information"
        if self.weight_by == "pair" and (self.cost == 0).any():
            return "pairs of weight 0 are never learned, so their scores carry no information"
        return None

    def posterior(self, logits: Array, prior: Any = None, *, class_axis: int = -1) -> Array:
        """Honest class probabilities from the logits of a model that was trained with this loss.

        Weights, offsets, margins, scales, focus and smoothing all distort softmax(logits); at the optimum of the
        expected loss the distortion is known and is undone in closed form.

        Parameters
        ----------
        logits
            The model's logits, (..., C), of any framework and floating dtype; -inf masks a class.
        prior
            Class shares (C,) of the data to predict, or counts, or shares by class index, if they differ from those of
            the training data. The recipe must then know the training prior; named recipes that got counts do.
        class_axis
            Axis of the classes; default -1.

        Returns
        -------
        array
            The probabilities p(y | x), of the logits' framework, summing to 1 over the classes; float32 for half
            precision.

        Raises
        ------
        UserError
            If the loss has no posterior (robustness 1, a weight of 0, an expected cost), or for a wrong shape.

        References
        ----------
        Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities, 2002 (prior);
        Charoenphakdee et al., On focal loss for class-posterior probability estimation, CVPR 2021 (focus).

        Examples
        --------
        >>> import numpy as np
        >>> SoftmaxRecipe(weight=[1.0, 9.0]).posterior(np.zeros(2)).round(3)
        array([0.9, 0.1])
        """
        return posterior_of(self, logits, prior, class_axis)

    @np.errstate(all="ignore")  # branches that are not taken overflow or divide by 0 on their way
    def _posterior(self, logits: Array, prior: Any, class_axis: int) -> Array:
        reason = self._why_no_posterior()
        if reason is not None:
            raise UserError(f"{self.name} has no posterior: {reason}")
        xp, z, classes = checked_logits(logits, self, class_axis)
        refuse_bad_logits(xp, z, self.family, class_axis)

        def const(value: Float64Array) -> Array:
            return xp.parameter(value, z, z.dtype)

        odds = odds_against_all(
            xp,
            z,
            classes,
            scale=self.scale,
            offset=self.offset,
            margin=np.zeros(()),
            temperature=self.temperature,
        ).against
        margin = self.temperature * const(self.margin)
        log_q = -xp.softplus(odds)
        log_p = log_q - self.shape.log_slope(xp, odds + margin)
        if self.margin.any():
            # 1 - q (1 - e^-sm)
            log_p = log_p + xp.log(xp.exp(-xp.softplus(-odds)) + xp.exp(log_q - margin))
        if self.weight_by == "true":
            log_p = log_p - const(derived(np.log, self.weight))
        elif self.weight_by == "pair":
            log_p = log_p - xp.take(const(derived(_log_transposed, self.cost)), xp.argmax(z, -1))
        probability = _normalized(xp, log_p)
        if self.smoothing:
            smoothed = (probability - self.smoothing / classes) / (1 - self.smoothing)
            clipped = xp.maximum(smoothed, 0.0)
            probability = clipped / xp.sum(clipped, -1, True)
        if prior is not None:
            probability = self._moved_to(xp, probability, prior_of("prior", self._prior_in_order(prior), classes))
        return xp.moveaxis(probability, -1, class_axis)

    def _moved_to(self, xp: Namespace, probability: Array, prior: Float64Array) -> Array:
        if self.prior is None:
            raise UserError(
                "posterior(prior=...) needs the training prior; make the recipe with counts, or with prior=counts.prior"
            )
        if (self.prior == 0).any():
            raise UserError("the training prior holds a class of share 0, which no new prior can bring back")
        moved = probability * xp.parameter(kept(prior / self.prior), probability, probability.dtype)
        sums = xp.sum(moved, -1, True)
        if xp.name == "numpy" and not sums.all():
            row = [int(i) for i in np.argwhere(sums[..., 0] == 0)[0]]
            raise UserError(f"logits{row or ''} leave only classes that the new prior excludes (share 0)")
        return moved / sums

    def initial_logits(self, counts: ClassCounts | Any) -> Float64Array:
        """The constant logits that minimise the expected loss: where a booster or a bias should start.

        Parameters
        ----------
        counts
            Samples per class of the training data; every class needs at least one.

        Returns
        -------
        numpy.ndarray
            Constant logits, float64 (C,); for plain cross-entropy the log of the prior.

        Raises
        ------
        UserError
            If the minimum lies at infinity (recall, expected cost), or a class has no sample.

        Examples
        --------
        >>> SoftmaxRecipe().initial_logits([90, 10]).round(3)
        array([-0.105, -2.303])
        """
        counts = self._counts_in_order(counts)
        if self.classes not in (None, len(counts)):
            raise UserError(f"counts have {len(counts)} classes, but the recipe has {self.classes}")
        if (counts.n == 0).any():
            absent = counts.classes[int(np.argmin(counts.n))]
            raise UserError(f"class {absent!r} has no sample, so its best constant logit is -inf; leave it out")
        reason = self._why_no_posterior()
        if reason is not None:
            raise UserError(
                f"{self.name} has no best constant logits: {reason}. Start from "
                "softmax.cross_entropy().initial_logits(counts)"
            )
        classes = len(counts)
        target = (1 - self.smoothing) * counts.prior + self.smoothing / classes
        margin = np.broadcast_to(self.temperature * self.margin, (classes,))
        found: list[tuple[float, Float64Array]] = []
        for weight, chosen in self._weights_of_constant(classes):
            log_q = best_constant_logits(self.shape, target * weight, margin)
            logits: Float64Array = (log_q / self.temperature - self.offset) / self.scale
            if chosen is None:
                return logits
            if int(np.argmax(logits)) == chosen:
                odds = np.log(-np.expm1(log_q)) - log_q
                loss = (target * weight * self.shape.derivatives(odds + margin).value).sum()
                found.append((float(loss), logits))
        if not found:
            raise UserError(
                f"{self.name} has no best constant logits: under weight_by={self.weight_by!r} each choice of a class "
                "makes another one best. Start from softmax.cross_entropy().initial_logits(counts)"
            )
        return min(found, key=lambda pair: pair[0])[1]

    def _weights_of_constant(self, classes: int) -> list[tuple[Float64Array, int | None]]:
        """The weights that a constant prediction meets, for each class that it can choose."""
        if self.weight_by == "pair":
            return [(self.cost[:, k], k) for k in range(classes)]
        if self.weight_by == "predicted":
            return [(np.ones(classes), None)]
        return [(np.broadcast_to(self.weight, (classes,)), None)]


def _log_transposed(cost: Float64Array) -> Float64Array:
    logarithms: Float64Array = np.log(cost.T)
    return logarithms


def _normalized(xp: Any, log_p: Array) -> Array:
    # the cap keeps inf - inf out where one class alone is left
    capped = xp.minimum(log_p, 1e30)
    e = xp.exp(capped - xp.max(capped, -1, True))
    return e / xp.sum(e, -1, True)
