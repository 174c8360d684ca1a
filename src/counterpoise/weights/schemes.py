"""Class weights from class counts.

A weight multiplies the loss of every sample of its class. Inverse frequency makes each class
count equally; the other schemes lie between that and no weights at all.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from counterpoise.arrays import Float64Array, value_text
from counterpoise.errors import UserError, nearest_name, warn_about_weights
from counterpoise.weights.by_class import in_class_order, keyed
from counterpoise.weights.counts import ClassCounts, LabelCounts, as_class_counts
from counterpoise.weights.labels import count


def finite_number(name: str, value: Any) -> float:
    """A parameter as a finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} is {value_text(value)}; it must be a number") from None
    if not np.isfinite(number):
        raise UserError(f"{name} is {number}; it must be finite")
    return number


def _inverse(n: Float64Array) -> Float64Array:
    return 1 / n


def _inverse_sqrt(n: Float64Array) -> Float64Array:
    return 1 / np.sqrt(n)


def _power(n: Float64Array, alpha: float = 0.5) -> Float64Array:
    with np.errstate(over="ignore"):
        weights: Float64Array = n**-alpha
    return weights


def _effective_number(n: Float64Array, beta: float = 0.999) -> Float64Array:
    if not 0 <= beta < 1:
        raise UserError(f"beta is {beta}; the effective number of samples needs 0 <= beta < 1")
    if beta == 0:
        return np.ones_like(n)
    # 1 - beta ** n loses every digit where beta is close to 1
    weights: Float64Array = (1 - beta) / -np.expm1(n * np.log(beta))
    return weights


def _median_frequency(n: Float64Array) -> Float64Array:
    weights: Float64Array = np.median(n) / n
    return weights


def _log(n: Float64Array) -> Float64Array:
    weights: Float64Array = np.log(n.sum() / n)
    return weights


SCHEMES: dict[str, Callable[..., Float64Array]] = {
    "inverse": _inverse,
    "inverse_sqrt": _inverse_sqrt,
    "power": _power,
    "effective_number": _effective_number,
    "median_frequency": _median_frequency,
    "log": _log,
}
"""Each scheme's weights before normalisation, as a function of the counts."""

NORMALIZATIONS: dict[str, Callable[[Float64Array, Float64Array], float]] = {
    "none": lambda weights, n: 1.0,  # noqa: ARG005
    "sum": lambda weights, n: float(weights.sum()),  # noqa: ARG005
    "classes": lambda weights, n: float(weights.mean()),  # noqa: ARG005
    "samples": lambda weights, n: float((weights * n).sum() / n.sum()),
    "max": lambda weights, n: float(weights.max()),  # noqa: ARG005
    "min": lambda weights, n: float(weights.min()),  # noqa: ARG005
}
"""What each normalisation divides the weights by."""


def class_weights(
    counts: ClassCounts | Iterable[int],
    scheme: str = "inverse",
    normalize: str = "classes",
    *,
    as_mapping: bool = False,
    **params: float,
) -> Any:
    """One weight per class, larger for rarer classes.

    Parameters
    ----------
    counts
        Samples per class; every class needs at least one. A plain list, a mapping, pandas Series or `value_counts()`
        frame from class to number are also accepted.
    scheme
        "inverse" 1/n; "inverse_sqrt" n^(-1/2); "power" n^(-alpha); "effective_number"
        (1 - beta)/(1 - beta^n); "median_frequency" median(n)/n; "log" log(N/n).
    normalize
        "none"; "sum" (to 1); "classes" (mean 1 over classes); "samples" (mean 1 over training
        samples, scikit-learn's "balanced"); "max" (largest 1); "min" (smallest 1, CatBoost's "Balanced").
    as_mapping
        Whether to return a dict from class to weight, as for Keras, scikit-learn and CatBoost; default False.
    **params
        Parameters of the scheme: `alpha` of "power" (default 0.5), `beta` of "effective_number" (default 0.999).

    Returns
    -------
    numpy.ndarray or dict
        float64 (C,) in class order, or the mapping.

    Raises
    ------
    UserError
        For an unknown scheme or normalisation, a class without samples, or a parameter out of range.

    References
    ----------
    King & Zeng, Logistic regression in rare events data, 2001 (inverse); Cui et al., Class-balanced
    loss based on effective number of samples, CVPR 2019; Eigen & Fergus, ICCV 2015 (median frequency).

    Examples
    --------
    >>> class_weights([198, 436, 710, 272]).round(4)
    array([1.6254, 0.7381, 0.4533, 1.1832])
    >>> class_weights([198, 436, 710, 272], normalize="samples").round(4)
    array([2.0404, 0.9266, 0.569 , 1.4853])
    """
    counts = as_class_counts(counts)
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise nearest_name("scheme", scheme, SCHEMES)
    if not isinstance(normalize, str) or normalize not in NORMALIZATIONS:
        raise nearest_name("normalize", normalize, NORMALIZATIONS)
    for place, number in enumerate(counts.n):
        if number == 0:
            raise UserError(
                f"class {counts.classes[place]!r} has no sample, so no weight can be made from its count; "
                "leave it out, or pass its weight by hand"
            )
    own = inspect.signature(SCHEMES[scheme]).parameters
    for name in params:
        if name not in own or name == "n":
            raise UserError(f"scheme {scheme!r} does not take {name}")
    n = counts.n.astype(np.float64)
    weights = SCHEMES[scheme](n, **{name: finite_number(name, value) for name, value in params.items()})
    if not np.isfinite(weights).all():
        raise UserError(f"scheme {scheme!r} gives weights beyond the range of numbers here; choose other parameters")
    divisor = NORMALIZATIONS[normalize](weights, n)
    if not divisor > 0:
        raise UserError(f"all weights of scheme {scheme!r} are 0 here, so {normalize!r} cannot normalise them")
    weights = weights / divisor
    warn_if_upside_down(weights, counts)
    if as_mapping:
        return dict(zip(counts.classes, weights.tolist(), strict=True))
    return weights


def warn_if_upside_down(weights: Float64Array, counts: ClassCounts) -> None:
    """Warn where the rarest class got a smaller weight than the most frequent one."""
    rare, frequent = int(np.argmin(counts.n)), int(np.argmax(counts.n))
    if weights.ndim == 0 or counts.n[rare] == counts.n[frequent] or not weights[rare] < weights[frequent]:
        return
    smallest = "the smallest weight" if weights[rare] == weights.min() else "a small weight"
    largest = "the largest" if weights[frequent] == weights.max() else "a larger one"
    warn_about_weights(
        f"the rarest class ({counts.classes[rare]}, {counts.n[rare]} samples) got {smallest} "
        f"({weights[rare]:.3g}) and the most frequent ({counts.classes[frequent]}, {counts.n[frequent]}) {largest} "
        f"({weights[frequent]:.3g}): these are class frequencies, not inverse frequencies. "
        'Use class_weights(counts, scheme="inverse").',
    )


def resolve_weight(weight: Any, counts: ClassCounts | None, *, normalize: str = "classes") -> Float64Array:
    """A weight per class from an array, from what names its classes, or from the name of a scheme."""
    if weight is None:
        return np.float64(1.0)  # type: ignore[return-value]
    if isinstance(weight, str):
        if weight not in SCHEMES:
            raise nearest_name("weight scheme", weight, SCHEMES)
        if counts is None:
            raise UserError(f"weight={weight!r} is made from the class counts; pass them as the first argument")
        made: Float64Array = class_weights(counts, scheme=weight, normalize=normalize)
        return made
    weight = in_class_order("weight", weight, None if counts is None else counts.classes)
    try:
        values = np.array(list(weight) if isinstance(weight, Iterator) else weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(
            f"weight is {value_text(weight)}; pass numbers, a mapping from class to weight, or a scheme: "
            f"{', '.join(SCHEMES)}"
        ) from None
    if counts is not None and values.ndim == 1:
        if len(values) != len(counts):
            raise UserError(f"weight has {len(values)} values but there are {len(counts)} classes")
        warn_if_upside_down(values, counts)
    return values


def pos_weight(counts: ClassCounts | LabelCounts | Any) -> Any:
    """Negatives per positive: the weight of the positive class that balances a binary problem.

    Parameters
    ----------
    counts
        Counts of two classes (negative, positive), as `ClassCounts`, two numbers, or a mapping or `value_counts()`
        from class to number; or `LabelCounts`, or multilabel targets (N, L) of 0 and 1.

    Returns
    -------
    float or numpy.ndarray
        One number, or float64 (L,) for multilabel.

    Raises
    ------
    UserError
        If there are not two classes, or no positives.

    Examples
    --------
    >>> pos_weight([900, 100])
    9.0
    >>> pos_weight([[1, 0], [0, 0], [0, 1], [0, 1]])
    array([3., 1.])
    """
    if not isinstance(counts, ClassCounts | LabelCounts):
        labels = keyed("counts", counts) is None and np.ndim(counts) == 2
        counts = count(counts) if labels else as_class_counts(counts)
    if isinstance(counts, ClassCounts):
        if len(counts) != 2:
            raise UserError(
                f"pos_weight is for two classes but counts have {len(counts)}; use class_weights for exclusive ones, "
                "or cp.count(labels) first if these are labels"
            )
        if counts.n[1] == 0:
            raise UserError(f"class {counts.classes[1]!r} has no sample, so negatives per positive is infinite")
        return float(counts.n[0] / counts.n[1])
    for name, number in zip(counts.labels, counts.positives, strict=True):
        if number == 0:
            raise UserError(f"label {name!r} has no positive sample, so negatives per positive is infinite")
    return counts.negatives / counts.positives
