"""The rates of rankings: each compares rows with each other by the log odds of a class, and has no counts.

An entry whose log odds are infinite (a masked class, or the only one that is not) is not ranked.
"""

from collections.abc import Callable

from counterpoise.arrays import Array, Namespace
from counterpoise.errors import UserError, nearest_name
from counterpoise.rates.average import ratio
from counterpoise.rates.entries import Entries
from counterpoise.rates.pairs import LOGISTIC, SIGMOID, pair_sum, precision_sum, squared_hinge_sum
from counterpoise.rates.rate import positive_number, rate
from counterpoise.recipes.numbers import one_number

PairLoss = Callable[[Namespace, Array, Array, Array, float], Array]

_LOG_2 = 0.6931471805599453

SURROGATES: dict[str, PairLoss] = {
    "squared_hinge": lambda xp, z, a, b, margin: squared_hinge_sum(xp, z, a, b, margin) / margin**2,
    "logistic": lambda xp, z, a, b, margin: pair_sum(xp, z / margin, a, b, LOGISTIC) / _LOG_2,
    "sigmoid": lambda xp, z, a, b, margin: pair_sum(xp, z / margin, a, b, SIGMOID),
}
"""What a pair costs; a positive at the negative's score costs 1, 1 and 1/2."""


def _by_class(entries: Entries, loss: Callable[[Array, Array, Array], Array], both: bool) -> tuple[Array, Array]:
    """The loss of each class with its scores and weights (rows,), and where it is defined."""
    xp = entries.xp
    odds = xp.widened(entries.odds)
    ranked = (odds < float("inf")) & (odds > -float("inf"))
    sides = [xp.where(ranked | (side != side), xp.widened(side), 0.0) for side in (entries.positive, entries.negative)]
    positive, negative = (xp.stop_gradient(side) for side in sides)
    odds = xp.where(ranked | (odds != odds), odds, 0.0)
    losses = [loss(odds[:, k], positive[:, k], negative[:, k])[None] for k in range(entries.classes)]
    # NaN, which a wrong class gives while tracing, is not 0: it stays to be seen
    defined = xp.sum(positive, 0) != 0
    return xp.concatenate(losses), defined & (xp.sum(negative, 0) != 0) if both else defined


def _pair_loss(surrogate: str) -> PairLoss:
    if surrogate not in SURROGATES:
        raise nearest_name("surrogate", surrogate, SURROGATES)
    return SURROGATES[surrogate]


@rate(ranked=True)
def roc_auc(entries: Entries, *, surrogate: str = "squared_hinge", margin: float = 1.0) -> tuple[Array, Array]:
    """1 - a soft area under the ROC curve: the mean, over pairs of a positive and a negative, of how badly they stand.

    All pairs enter; weights are those of the two rows, and are held constant in the gradient.

    Other Parameters
    ----------------
    surrogate
        What a pair costs where the positive is d ahead, d a difference of log odds. "squared_hinge":
        max(0, 1 - d / margin)^2, in O(n log n). "logistic": log2(1 + exp(-d / margin)), and "sigmoid":
        1 / (1 + exp(d / margin)), in O(positives x n) time and the
        memory of a block (n^2 where a traced program cannot see the positives). The first two are never below 1 - AUC;
        the last tends to it as the margin goes to 0.
    margin
        > 0.

    References
    ----------
    Yan et al., Optimizing classifier performance via an approximation to the Wilcoxon-Mann-Whitney statistic,
    ICML 2003;
    Gao and Zhou, On the consistency of AUC pairwise optimization, IJCAI 2015.

    Examples
    --------
    >>> import numpy as np
    >>> float(roc_auc(np.array([2.0, 0.5, 0.0]), [1, 1, 0]))
    0.125
    """
    xp, pair_loss, width = entries.xp, _pair_loss(surrogate), positive_number("margin", margin)

    def loss(z: Array, a: Array, b: Array) -> Array:
        return ratio(xp, pair_loss(xp, z, a, b, width), xp.sum(a) * xp.sum(b))

    return _by_class(entries, loss, both=True)


@rate(ranked=True)
def partial_auc(
    entries: Entries,
    *,
    low: float = 0.0,
    high: float = 0.1,
    surrogate: str = "squared_hinge",
    margin: float = 1.0,
) -> tuple[Array, Array]:
    """1 - a soft area under the ROC curve between two false positive rates, over the width between them.

    The negatives are those whose ranks, by the scores as they are, lie between the two rates; the ones at the ends
    count in part.

    Other Parameters
    ----------------
    low, high
        The two rates, 0 <= low < high <= 1.
    surrogate, margin
        As in `roc_auc`.

    References
    ----------
    Narasimhan and Agarwal, A structural SVM based approach for optimizing partial AUC, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> float(partial_auc(np.array([2.0, 1.5, 0.0, -3.0]), [1, 0, 0, 0], high=1 / 3).round(9))
    0.25
    """
    start, end = one_number("low", low, low=0.0, below=1.0), one_number("high", high, above=0.0, high=1.0)
    if start >= end:
        raise UserError(f"low is {low:g} and high {high:g}; low must be the smaller")
    xp, pair_loss, width = entries.xp, _pair_loss(surrogate), positive_number("margin", margin)

    def loss(z: Array, a: Array, b: Array) -> Array:
        within = _between(xp, z, b, start, end)
        return ratio(xp, pair_loss(xp, z, a, within, width), xp.sum(a) * xp.sum(within))

    return _by_class(entries, loss, both=True)


def _between(xp: Namespace, score: Array, negative: Array, low: float, high: float) -> Array:
    """The part of each negative's weight that lies between two false positive rates."""
    order = xp.argsort(-xp.stop_gradient(score))
    reached = xp.cumsum(xp.take_along(negative, order))
    total = xp.sum(negative)
    left = _clipped(xp, reached - low * total, (high - low) * total)
    step = left - xp.concatenate([left[:1] * 0, left[:-1]])
    return xp.take_along(step, xp.argsort(order))


def _clipped(xp: Namespace, array: Array, top: Array) -> Array:
    array = xp.maximum(array, 0.0)
    return xp.where(array > top, top, array)


@rate(ranked=True)
def average_precision(entries: Entries, *, temperature: float = 1.0) -> tuple[Array, Array]:
    """1 - a soft average precision: the mean over positives of the share of negatives among the rows above.

    A row that is d ahead in log odds counts as above by sigmoid(d / temperature). Time and memory as
    of the logistic `roc_auc`. Weights are held constant in the gradient.

    Other Parameters
    ----------------
    temperature
        > 0; towards 0 it is the average precision itself, without a slope.

    References
    ----------
    Brown et al., Smooth-AP: smoothing the path towards large-scale image retrieval, ECCV 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(average_precision(np.array([200.0, 100.0, 0.0]), [1, 0, 1]).round(4))
    0.1667
    """
    xp, scale = entries.xp, positive_number("temperature", temperature)

    def loss(z: Array, a: Array, b: Array) -> Array:
        return ratio(xp, precision_sum(xp, z / scale, a, b), xp.sum(a))

    return _by_class(entries, loss, both=False)
