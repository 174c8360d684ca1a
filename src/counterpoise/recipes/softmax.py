"""The named losses for exclusive classes. Each is a row: which parameters it sets, and whose idea it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from counterpoise.arrays import Float64Array
from counterpoise.errors import UserError
from counterpoise.recipes.named import named
from counterpoise.recipes.numbers import one_number, per_class
from counterpoise.recipes.softmax_recipe import SoftmaxRecipe
from counterpoise.weights import ClassCounts, as_class_counts, class_weights, resolve_weight
from counterpoise.weights.by_class import in_class_order

Counts = ClassCounts | Sequence[int] | Mapping[Any, int]
Weight = str | Mapping[Any, float] | Iterable[float] | float | None

__all__ = [
    "SoftmaxRecipe",
    "balanced_softmax",
    "cdt",
    "class_balanced",
    "cross_entropy",
    "expected_cost",
    "focal",
    "generalized",
    "ldam",
    "logit_adjusted",
    "logit_scaled",
    "poly1",
    "recall",
    "vector_scaling",
    "weighted",
]


def _recipe(name: str, counts: Counts | None, **parameters: Any) -> SoftmaxRecipe:
    known = None if counts is None else as_class_counts(counts)
    prior = None if known is None or known.total == 0 else known.prior
    names = None if known is None else known.classes
    return SoftmaxRecipe(name=f"softmax.{name}", prior=prior, class_names=names, **parameters)


def _weight(weight: Weight, counts: Counts | None, normalize: str = "classes") -> Float64Array:
    return resolve_weight(weight, None if counts is None else as_class_counts(counts), normalize=normalize)


def _all_present(name: str, counts: Counts) -> ClassCounts:
    known = as_class_counts(counts)
    if (known.n == 0).any():
        absent = known.classes[int(np.argmin(known.n))]
        raise UserError(f"{name} takes the logarithm or a root of the counts, but class {absent!r} has no sample")
    return known


def _frequency_ratio(name: str, counts: Counts, gamma: float) -> Float64Array:
    n, power = _all_present(name, counts).n, one_number("gamma", gamma)
    with np.errstate(over="ignore", under="ignore"):
        ratio: Float64Array = (n / n.max()) ** power
    if not (np.isfinite(ratio) & (ratio > 0)).all():
        raise UserError(f"gamma is {power:g}, which takes (n / max n)^gamma beyond the range of numbers here")
    return ratio


def _times_log_prior(name: str, counts: Counts, tau: float) -> Float64Array:
    prior, strength = _all_present(name, counts).prior, one_number("tau", tau)
    with np.errstate(over="ignore"):
        offset: Float64Array = strength * np.log(prior)
    if not np.isfinite(offset).all():
        raise UserError(f"tau is {strength:g}, which takes tau log(prior) beyond the range of numbers")
    return offset


@named("softmax.cross_entropy", source="-")
def cross_entropy(counts: Counts | None = None) -> SoftmaxRecipe:
    """Plain cross-entropy: the yardstick for every other loss.

    Parameters
    ----------
    counts
        Training counts, only for the prior.

    Examples
    --------
    >>> cross_entropy()
    softmax.cross_entropy()
    """
    return _recipe("cross_entropy", counts)


@named("softmax.weighted", source="King & Zeng 2001")
def weighted(counts: Counts | None = None, *, weight: Weight = "inverse", normalize: str = "classes") -> SoftmaxRecipe:
    """Cross-entropy times the weight of each sample's true class.

    Parameters
    ----------
    counts
        Training counts; needed unless `weight` is given as numbers.
    weight
        Name of a scheme of `class_weights`, an array (C,), or a mapping or pandas Series from class to weight; default
        "inverse".
    normalize
        Normalisation of a scheme's weights, as in `class_weights`.

    References
    ----------
    King & Zeng, Logistic regression in rare events data, Political Analysis 2001.

    Examples
    --------
    >>> weighted([90, 10]).weight
    array([0.2, 1.8])
    """
    return _recipe("weighted", counts, weight=_weight(weight, counts, normalize))


@named("softmax.logit_scaled", source="folklore; not a weighted loss")
def logit_scaled(counts: Counts | None = None, *, weight: Weight = "inverse") -> SoftmaxRecipe:
    """Logits multiplied by class weights: often asked for, and *not* a weighted loss.

    It stretches the logits of rare classes, which changes their gradient by the same factor whatever the true class
    is; see `docs/questions.md`, question 2.

    Parameters
    ----------
    counts
        Training counts; needed unless `weight` is given as numbers.
    weight
        As in `weighted`; every weight > 0.

    Examples
    --------
    >>> logit_scaled([90, 10]).scale
    array([0.2, 1.8])
    """
    return _recipe("logit_scaled", counts, scale=per_class("weight", _weight(weight, counts), above=0.0))


@named("softmax.class_balanced", source="Cui et al. 2019")
def class_balanced(counts: Counts, *, beta: float = 0.999) -> SoftmaxRecipe:
    """Weights by the effective number of samples, between none (beta 0) and inverse (beta to 1).

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.
    beta
        Parameter of the effective number, in [0, 1); default 0.999.

    References
    ----------
    Cui et al., Class-balanced loss based on effective number of samples, CVPR 2019, equation 2.

    Examples
    --------
    >>> class_balanced([90, 10], beta=0.9).weight.round(3)
    array([0.789, 1.211])
    """
    return _recipe("class_balanced", counts, weight=class_weights(counts, "effective_number", beta=beta))


@named("softmax.focal", source="Lin et al. 2017")
def focal(counts: Counts | None = None, *, gamma: float = 2.0, weight: Weight = None) -> SoftmaxRecipe:
    """Cross-entropy that plays down samples that are already right by (1 - p)^gamma.

    Parameters
    ----------
    counts
        Training counts; needed only for a weight scheme, and for the prior.
    gamma
        Focus, >= 0.
    weight
        As in `weighted`; default none.

    References
    ----------
    Lin et al., Focal loss for dense object detection, ICCV 2017, equation 4.

    Examples
    --------
    >>> focal(gamma=2.0)
    softmax.focal(focus=2)
    """
    return _recipe("focal", counts, focus=one_number("gamma", gamma, low=0.0), weight=_weight(weight, counts))


@named("softmax.balanced_softmax", source="Ren et al. 2020")
def balanced_softmax(counts: Counts) -> SoftmaxRecipe:
    """Cross-entropy on logits shifted by the log counts; equal to logit adjustment with tau 1.

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.

    References
    ----------
    Ren et al., Balanced meta-softmax for long-tailed visual recognition, NeurIPS 2020, equation 3.

    Examples
    --------
    >>> balanced_softmax([90, 10]).offset.round(3)
    array([4.5  , 2.303])
    """
    return _recipe("balanced_softmax", counts, offset=np.log(_all_present("balanced_softmax", counts).n))


@named("softmax.logit_adjusted", source="Menon et al. 2021")
def logit_adjusted(counts: Counts, *, tau: float = 1.0) -> SoftmaxRecipe:
    """Cross-entropy on logits shifted by the log prior, so that rare classes need a larger margin.

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.
    tau
        Strength of the shift; 1 is Fisher-consistent for the balanced error, 0 is plain cross-entropy.

    References
    ----------
    Menon et al., Long-tail learning via logit adjustment, ICLR 2021, equation 10.

    Examples
    --------
    >>> logit_adjusted([90, 10]).offset.round(3)
    array([-0.105, -2.303])
    """
    return _recipe("logit_adjusted", counts, offset=_times_log_prior("logit_adjusted", counts, tau))


@named("softmax.ldam", source="Cao et al. 2019")
def ldam(counts: Counts, *, max_margin: float = 0.5, scale: float = 30.0, weight: Weight = None) -> SoftmaxRecipe:
    """A margin for each class that grows as it gets rarer; made for normalised logits (cosines).

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.
    max_margin
        Margin of the rarest class; default 0.5.
    scale
        Temperature of the softmax, > 0; default 30. The margin lies inside it.
    weight
        As in `weighted`; the paper re-weights late in training ("deferred").

    References
    ----------
    Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019, equation 13.

    Examples
    --------
    >>> ldam([10_000, 16]).margin
    array([0.1, 0.5])
    """
    n = _all_present("ldam", counts).n.astype(np.float64)
    margin = one_number("max_margin", max_margin, low=0.0) * (n / n.min()) ** -0.25
    temperature = one_number("scale", scale, above=0.0)
    return _recipe("ldam", counts, margin=margin, temperature=temperature, weight=_weight(weight, counts))


@named("softmax.cdt", source="Ye et al. 2020")
def cdt(counts: Counts, *, gamma: float = 0.3) -> SoftmaxRecipe:
    """Class-dependent temperatures: the logits of rare classes are shrunk in training, so they must grow.

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.
    gamma
        Strength; 0 is plain cross-entropy.

    References
    ----------
    Ye et al., Identifying and compensating for feature deviation in imbalanced deep learning, 2020, equation 4.

    Examples
    --------
    >>> cdt([100, 1], gamma=0.5).scale
    array([1. , 0.1])
    """
    return _recipe("cdt", counts, scale=_frequency_ratio("cdt", counts, gamma))


@named("softmax.vector_scaling", source="Kini et al. 2021")
def vector_scaling(counts: Counts, *, gamma: float = 0.3, tau: float = 1.0, weight: Weight = None) -> SoftmaxRecipe:
    """Scaled and shifted logits and class weights together: cdt, logit adjustment and weighting in one.

    Parameters
    ----------
    counts
        Training counts; every class needs at least one sample.
    gamma
        Strength of the scale, as in `cdt`.
    tau
        Strength of the offset, as in `logit_adjusted`.
    weight
        As in `weighted`; default none.

    References
    ----------
    Kini et al., Label-imbalanced and group-sensitive classification under overparameterization, NeurIPS 2021,
    equation 2.

    Examples
    --------
    >>> vector_scaling([90, 10], gamma=0.0).offset.round(3)
    array([-0.105, -2.303])
    """
    return _recipe(
        "vector_scaling",
        counts,
        scale=_frequency_ratio("vector_scaling", counts, gamma),
        offset=_times_log_prior("vector_scaling", counts, tau),
        weight=_weight(weight, counts),
    )


@named("softmax.poly1", source="Leng et al. 2022")
def poly1(counts: Counts | None = None, *, epsilon: float = 1.0) -> SoftmaxRecipe:
    """Cross-entropy plus epsilon (1 - p).

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
    softmax.poly1(poly=2)
    """
    return _recipe("poly1", counts, poly=one_number("epsilon", epsilon, low=-1.0))


@named("softmax.generalized", source="Zhang & Sabuncu 2018")
def generalized(counts: Counts | None = None, *, q: float = 0.7) -> SoftmaxRecipe:
    """Generalised cross-entropy (1 - p^q) / q, which mislabelled samples cannot dominate.

    Parameters
    ----------
    counts
        Training counts, only for the prior.
    q
        Robustness, 0 < q <= 1; default 0.7. Near 0 the loss is cross-entropy, at 1 it is 1 - p.

    References
    ----------
    Zhang & Sabuncu, Generalized cross entropy loss for training deep neural networks with noisy labels,
    NeurIPS 2018, equation 6.

    Examples
    --------
    >>> generalized(q=0.5)
    softmax.generalized(robustness=0.5)
    """
    return _recipe("generalized", counts, robustness=one_number("q", q, above=0.0, high=1.0))


@named("softmax.recall", source='the question "minimise 100 - recall %"')
def recall(counts: Counts, *, classes: Any = None) -> SoftmaxRecipe:
    """1 - p on the classes asked for, nothing on the others: the mean over the training data is 1 - soft recall.

    Alone it is least where everything is given to the asked classes; `docs/questions.md`, question 1, says what to do.

    Parameters
    ----------
    counts
        Training counts; the given classes need at least one sample.
    classes
        A class or a list of classes; default: the rarest. With several, the mean is 1 - their mean soft recall.

    Examples
    --------
    >>> recall([90, 10])
    softmax.recall(weight=[0, 10], robustness=1, prior=[0.9, 0.1])
    """
    known = as_class_counts(counts)
    asked: list[Any] = (
        [known.classes[int(np.argmin(known.n))]]
        if classes is None
        else [classes]
        if isinstance(classes, str) or not isinstance(classes, Iterable)
        else list(dict.fromkeys(classes))
    )
    if not asked:
        raise UserError("recall of no class is asked for; name at least one class")
    weight = np.zeros(len(known))
    for name in asked:
        if name not in known.classes:
            raise UserError(f"recall of class {name!r} is asked for, but the classes are {list(known.classes)}")
        place = known.classes.index(name)
        if known.n[place] == 0:
            raise UserError(f"recall of class {name!r} is asked for, but it has no sample")
        # N / n rather than 1 / n: it is the mean over all N samples that shall be 1 - recall
        weight[place] = known.total / (known.n[place] * len(asked))
    return _recipe("recall", counts, robustness=1.0, weight=weight)


@named("softmax.expected_cost", source="Elkan 2001")
def expected_cost(cost: Any, *, counts: Counts | None = None) -> SoftmaxRecipe:
    """The expected cost under the softmax probabilities, sum_k p_k cost[y, k].

    Parameters
    ----------
    cost
        Costs (C, C): `cost[y, k]` is the cost of choosing k where y is true. Or a table or mapping by class.
    counts
        Training counts, for the prior and the names of the classes.

    References
    ----------
    Elkan, The foundations of cost-sensitive learning, IJCAI 2001, equation 1.

    Examples
    --------
    >>> expected_cost([[0, 1], [10, 0]]).cost
    array([[ 0.,  1.],
           [10.,  0.]])
    """
    if counts is not None:
        counts = as_class_counts(counts)
        cost = in_class_order("cost", cost, counts.classes)
    return _recipe("expected_cost", counts, weight=0.0, cost=cost)
