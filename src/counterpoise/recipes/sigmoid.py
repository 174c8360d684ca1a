"""The named losses for binary and multilabel targets. Each is a row: which parameters it sets, and whose idea it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterpoise.errors import UserError, warn_about_weights
from counterpoise.recipes.named import named
from counterpoise.recipes.numbers import one_number, per_class
from counterpoise.recipes.sigmoid_recipe import SigmoidRecipe, positive_share
from counterpoise.weights import ClassCounts, LabelCounts, as_class_counts
from counterpoise.weights import pos_weight as negatives_per_positive
from counterpoise.weights.by_class import in_class_order, keyed

Counts = ClassCounts | LabelCounts | Sequence[int] | Mapping[Any, int]

__all__ = [
    "SigmoidRecipe",
    "asymmetric",
    "binary_cross_entropy",
    "focal",
    "generalized",
    "logit_adjusted",
    "poly1",
    "recall",
    "weighted",
]


def _recipe(name: str, counts: Counts | None, **parameters: Any) -> SigmoidRecipe:
    prior = None if counts is None else positive_share(counts)
    names = None if counts is None or isinstance(counts, LabelCounts) else as_class_counts(counts).classes
    return SigmoidRecipe(name=f"sigmoid.{name}", prior=prior, class_names=names, **parameters)


@named("sigmoid.binary_cross_entropy", source="-")
def binary_cross_entropy(counts: Counts | None = None) -> SigmoidRecipe:
    """Plain binary cross-entropy: the yardstick for every other loss.

    Parameters
    ----------
    counts
        Training counts, only for the prior.

    Examples
    --------
    >>> binary_cross_entropy()
    sigmoid.binary_cross_entropy()
    """
    return _recipe("binary_cross_entropy", counts)


@named("sigmoid.weighted", source="King & Zeng 2001; TensorFlow's weighted_cross_entropy_with_logits")
def weighted(counts: Counts | None = None, *, pos_weight: Any = None) -> SigmoidRecipe:
    """Binary cross-entropy with the loss of positives times pos_weight.

    Parameters
    ----------
    counts
        Training counts; needed unless `pos_weight` is given.
    pos_weight
        Weight of the positives, >= 0: one number or (L,), or a mapping from label to number; default: negatives per
        positive.

    References
    ----------
    King & Zeng, Logistic regression in rare events data, Political Analysis 2001.

    Examples
    --------
    >>> weighted([900, 100]).pos_weight
    array(9.)
    """
    if pos_weight is None:
        if counts is None:
            raise UserError("sigmoid.weighted needs counts or pos_weight")
        pos_weight = negatives_per_positive(counts)
    elif counts is not None:
        if isinstance(counts, LabelCounts):
            pos_weight = in_class_order("pos_weight", pos_weight, counts.labels)
        elif keyed("pos_weight", pos_weight) is not None:
            raise UserError(
                "pos_weight has keys, but counts of two classes need one number: the weight of class 1 over that of "
                "class 0"
            )
        given, share = per_class("pos_weight", pos_weight, low=0.0), positive_share(counts)
        if ((given < 1) & (share < 0.5)).any():
            warn_about_weights(
                f"pos_weight is {given.min():.3g} although positives are the rarer class ({share.min():.3g} of "
                "all): a weight below 1 lowers their influence. Negatives per positive is pos_weight(counts)."
            )
    return _recipe("weighted", counts, pos_weight=pos_weight)


@named("sigmoid.focal", source="Lin et al. 2017")
def focal(counts: Counts | None = None, *, gamma: float = 2.0, alpha: float | None = None) -> SigmoidRecipe:
    """Binary cross-entropy that plays down samples that are already right by (1 - p)^gamma.

    Parameters
    ----------
    counts
        Training counts, only for the prior.
    gamma
        Focus, >= 0.
    alpha
        Weight of the positives, in [0, 1]; negatives get 1 - alpha. Default: 1 for both.

    References
    ----------
    Lin et al., Focal loss for dense object detection, ICCV 2017, equation 5.

    Examples
    --------
    >>> focal(gamma=2.0, alpha=0.25)
    sigmoid.focal(pos_weight=0.25, neg_weight=0.75, pos_focus=2, neg_focus=2)
    """
    focus = one_number("gamma", gamma, low=0.0)
    weights: dict[str, float] = {}
    if alpha is not None:
        alpha = one_number("alpha", alpha, low=0.0, high=1.0)
        weights = {"pos_weight": alpha, "neg_weight": 1 - alpha}
    return _recipe("focal", counts, pos_focus=focus, neg_focus=focus, **weights)


@named("sigmoid.asymmetric", source="Ridnik et al. 2021")
def asymmetric(
    counts: Counts | None = None,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
) -> SigmoidRecipe:
    """Focus on the negatives only; those below a probability of `clip` cost nothing.

    Parameters
    ----------
    counts
        Training counts, only for the prior.
    gamma_positive, gamma_negative
        Focus of positives and of negatives, >= 0.
    clip
        Probability that is subtracted from that of a negative, in [0, 1); default 0.05.

    References
    ----------
    Ridnik et al., Asymmetric loss for multi-label classification, ICCV 2021, equation 7.

    Examples
    --------
    >>> asymmetric()
    sigmoid.asymmetric(neg_focus=4, clip=0.05)
    """
    positive = one_number("gamma_positive", gamma_positive, low=0.0)
    negative = one_number("gamma_negative", gamma_negative, low=0.0)
    return _recipe("asymmetric", counts, pos_focus=positive, neg_focus=negative, clip=clip)


@named("sigmoid.logit_adjusted", source="Menon et al. 2021")
def logit_adjusted(counts: Counts, *, tau: float = 1.0) -> SigmoidRecipe:
    """Binary cross-entropy on logits shifted by the log odds of the prior.

    Parameters
    ----------
    counts
        Training counts of two classes or of labels; both sides need a sample.
    tau
        Strength of the shift; 0 is plain cross-entropy.

    References
    ----------
    Menon et al., Long-tail learning via logit adjustment, ICLR 2021, equation 10, for two classes.

    Examples
    --------
    >>> logit_adjusted([900, 100]).offset.round(3)
    np.float64(-2.197)
    """
    share = positive_share(counts)
    if ((share <= 0) | (share >= 1)).any():
        raise UserError("logit_adjusted takes the log odds of the prior, but a label has only one kind of sample")
    strength = one_number("tau", tau)
    with np.errstate(over="ignore"):
        offset = strength * (np.log(share) - np.log1p(-share))
    if not np.isfinite(offset).all():
        raise UserError(f"tau is {strength:g}, which takes tau times the log odds beyond the range of numbers")
    return _recipe("logit_adjusted", counts, offset=offset)


@named("sigmoid.poly1", source="Leng et al. 2022")
def poly1(counts: Counts | None = None, *, epsilon: float = 1.0) -> SigmoidRecipe:
    """Binary cross-entropy plus epsilon (1 - p).

    Parameters
    ----------
    counts
        Training counts, only for the prior.
    epsilon
        Coefficient, >= -1.

    References
    ----------
    Leng et al., PolyLoss, ICLR 2022, equation 4.

    Examples
    --------
    >>> poly1(epsilon=2.0)
    sigmoid.poly1(poly=2)
    """
    return _recipe("poly1", counts, poly=one_number("epsilon", epsilon, low=-1.0))


@named("sigmoid.generalized", source="Zhang & Sabuncu 2018")
def generalized(counts: Counts | None = None, *, q: float = 0.7) -> SigmoidRecipe:
    """Generalised cross-entropy (1 - p^q) / q, which mislabelled samples cannot dominate.

    Parameters
    ----------
    counts
        Training counts, only for the prior.
    q
        Robustness, 0 < q <= 1; default 0.7.

    References
    ----------
    Zhang & Sabuncu, Generalized cross entropy loss for training deep neural networks with noisy labels, NeurIPS 2018,
    equation 6.

    Examples
    --------
    >>> generalized(q=0.5)
    sigmoid.generalized(robustness=0.5)
    """
    return _recipe("generalized", counts, robustness=one_number("q", q, above=0.0, high=1.0))


@named("sigmoid.recall", source='the question "minimise 100 - recall %"')
def recall(counts: Counts) -> SigmoidRecipe:
    """1 - p on the positives, nothing on the negatives: the mean over the training data is 1 - soft recall.

    Alone it is least where everything is called positive; `docs/questions.md`, question 1, says what to do.

    Parameters
    ----------
    counts
        Training counts of two classes or of labels, with positives.

    Examples
    --------
    >>> recall([900, 100])
    sigmoid.recall(pos_weight=10, neg_weight=0, robustness=1, prior=0.1)
    """
    share = positive_share(counts)
    if (share <= 0).any():
        raise UserError("recall of the positives is asked for, but there are none")
    return _recipe("recall", counts, robustness=1.0, pos_weight=1 / share, neg_weight=0.0)
