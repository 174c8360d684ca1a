"""How far probabilities are from the truth: calibration errors, the Brier score in parts, reliability with intervals.

For a rare class the usual errors are small for any model: nearly all rows are easy negatives with a probability near 0.
So each has a form for the positives alone. `positive_only` measures the same gap at the scores of the positives: how
far the model's probability is from the true one there.

Several classes are each taken against the rest; `positive` names one of them, otherwise errors are their mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.isotonic import isotonic_regression
from counterpoise.decide.measured import Measured, share
from counterpoise.decide.multiclass import checked_classes
from counterpoise.decide.probability import Float64Array, checked_probability
from counterpoise.decide.rows import checked_rows, each_weight, real_numbers, whole_number
from counterpoise.errors import UserError, nearest_name
from counterpoise.ties import one_score

KINDS = ("ece", "smooth")
_MOST_BINS = 1 << 30
_CELLS = 1 << 14
"""Of the grid on which smooth errors are computed."""


def calibration_error(
    target: ArrayLike,
    probability: ArrayLike,
    kind: str = "ece",
    positive_only: bool = False,
    *,
    positive: int | None = None,
    bins: int = 15,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The mean gap between the model's probabilities and the true ones, 0 for honest probabilities, at most 1.

    Parameters
    ----------
    target
        True classes 0 to C - 1, (N,), of rows that neither model nor calibrator were fitted on. All may be of one
        class.
    probability
        Probabilities, (N,) of class 1 or (N, C), in [0, 1].
    kind
        "ece" (default), the expected calibration error: rows are sorted into bins, and the gap is the difference of the
        means in a bin. "smooth": a kernel instead of bins. Its width is the error itself, so there is nothing to
        choose, and a small change of the scores never causes a jump.
    positive_only
        Whether to average over the positive rows instead of all rows, so that easy negatives hide nothing; default
        False. The result is E[|p(s) - s| given y = 1], where p(s) is the share of positives at the score s. For this
        each row is weighted by p(s), which isotonic regression estimates (with scikit-learn).
    positive
        The class to measure against the rest, if there are several; default: the mean of all classes' errors.
    bins
        Number of bins of "ece"; default 15. Bins have equal mass (of positives with `positive_only`), since the first
        of several equally wide bins would hold nearly all rows of a rare class. Rows with equal scores share a bin, so
        there may be fewer.
    sample_weight
        Weight of each row, (N,), >= 0.

    Returns
    -------
    float
        The error, in [0, 1].

    Raises
    ------
    UserError
        For scores outside [0, 1], NaN, no row, an unknown kind, or `positive_only` without a positive row.

    Notes
    -----
    No kind is corrected for chance: honest probabilities p in bins of n rows have an "ece" of about
    sqrt(2 p (1 - p) / (pi n)) by luck, and a "smooth" error that falls as slowly. Compare models on the same rows.

    References
    ----------
    Naeini, Cooper & Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015 (ece);
    Blasiok & Nakkiran, Smooth ECE: principled reliability diagrams via kernel smoothing, ICLR 2024 (smooth).

    Examples
    --------
    >>> target = np.repeat([0, 1, 0, 1], [90, 10, 50, 50])
    >>> said = np.repeat([0.1, 0.7], [100, 100])
    >>> round(calibration_error(target, said), 3)
    0.1
    >>> round(calibration_error(target, said, positive_only=True), 3)
    0.167
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise nearest_name("kind of calibration error", kind, KINDS)
    bins = min(whole_number("bins", bins, 1), _MOST_BINS)
    errors = []
    for flag, scores, weight in _against_the_rest(target, probability, positive, sample_weight, both=False):
        if positive_only and not flag.any():
            raise UserError("positive_only asks about positive rows, and target has none (of one of the classes)")
        mass = weight * _share_of_positives(flag, scores, weight) if positive_only else weight
        gap = (scores - flag) * mass / mass.sum()
        errors.append(_binned(scores, gap, mass, bins) if kind == "ece" else _smooth(scores, gap))
    return float(np.mean(errors))


@dataclass(frozen=True, slots=True)
class BrierScore:
    """The mean squared error of probabilities and its parts: value = reliability - resolution + uncertainty.

    Parameters
    ----------
    value
        Mean of (probability - truth)^2; with several classes the sum over them.
    reliability
        The part that recalibration would remove; 0 for honest probabilities.
    resolution
        How much better the recalibrated probabilities are than the prior for every row.
    uncertainty
        The score of the prior for every row.
    positives, negatives
        Means over the rows of the class, and over the others; the first shows a rare class alone. With several classes
        they are sums, like `value`.

    Examples
    --------
    >>> BrierScore(0.125, 0.0, 0.125, 0.25, 0.125, 0.125).skill
    0.5
    """

    value: float
    reliability: float
    resolution: float
    uncertainty: float
    positives: float
    negatives: float

    @property
    def skill(self) -> float:
        """1 - value / uncertainty: 0 for the prior, 1 for certainty that is right, below 0 for worse than the prior."""
        return 1 - self.value / self.uncertainty


def brier_score(
    target: ArrayLike,
    probability: ArrayLike,
    *,
    positive: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> BrierScore:
    """The Brier score, decomposed.

    The groups of Murphy's decomposition are those of isotonic regression: there is no number of bins to choose, and the
    three parts add up exactly. (With bins they do not, if probabilities vary within a bin.)

    Parameters
    ----------
    target, probability, positive, sample_weight
        As in `calibration_error`.

    Returns
    -------
    BrierScore
        The score of one class against the rest, or the sum over several classes.

    References
    ----------
    Murphy, A new vector partition of the probability score, Journal of Applied Meteorology 1973; Dimitriadis, Gneiting
    & Jordan, Stable reliability diagrams for probabilistic classifiers, PNAS 2021; Wallace & Dahabreh, Class
    probability estimates are unreliable for imbalanced data (and how to fix them), ICDM 2012 (positives).

    Examples
    --------
    >>> found = brier_score([0, 1, 0, 1], [0.5, 0.5, 0.0, 1.0])
    >>> found.value, found.reliability, found.resolution, found.uncertainty
    (0.125, 0.0, 0.125, 0.25)
    """
    parts = []
    for flag, scores, weight in _against_the_rest(target, probability, positive, sample_weight, both=True):
        error = (scores - flag) ** 2
        recalibrated = isotonic_regression().fit_transform(scores, flag, sample_weight=weight)
        prior = np.average(flag, weights=weight)
        value = np.average(error, weights=weight)
        best = np.average((recalibrated - flag) ** 2, weights=weight)
        uncertainty = prior * (1 - prior)
        sides = [np.average(error, weights=weight * (flag == side)) for side in (1, 0)]
        parts.append([value, max(value - best, 0.0), max(uncertainty - best, 0.0), uncertainty, *sides])
    return BrierScore(*(float(total) for total in np.sum(parts, axis=0)))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows with similar probabilities.

    Parameters
    ----------
    rows, positives
        Number of rows and of positives in the bin.
    said
        Mean probability of the bin.
    found
        Share of positives in the bin, with its exact 95 % interval.

    Examples
    --------
    >>> str(ReliabilityBin(8, 8, 0.9, share(8, 8)).found)
    '1.000 [0.631, 1.000]'
    """

    rows: int
    positives: int
    said: float
    found: Measured


def reliability_curve(
    target: ArrayLike, probability: ArrayLike, *, positive: int = 1, bins: int = 10, positive_only: bool = False
) -> tuple[ReliabilityBin, ...]:
    """Predicted probability against observed share, in bins of rising probability: the reliability diagram.

    Parameters
    ----------
    target, probability
        As in `calibration_error`.
    positive
        The class to measure against the rest; default 1. For probability (N,) it is class 1.
    bins
        Largest number of bins, with equal numbers of rows; default 10.
    positive_only
        Whether bins have about equal numbers of positives instead, which places them where the rare class is; scores
        without any positive form one more bin. Default False.

    Returns
    -------
    tuple of ReliabilityBin
        Bins from the lowest to the highest probability, each with its Clopper-Pearson interval. Honest probabilities
        lie in about 95 % of the intervals.

    Examples
    --------
    >>> for one in reliability_curve(np.repeat([0, 1, 0, 1], [9, 1, 5, 5]), np.repeat([0.1, 0.7], 10), bins=2):
    ...     print(one.rows, round(one.said, 3), one.found)
    10 0.1 0.100 [0.003, 0.445]
    10 0.7 0.500 [0.187, 0.813]
    """
    bins = min(whole_number("bins", bins, 1), _MOST_BINS)
    binary = real_numbers("probability", probability).ndim == 1
    positive = whole_number("positive", positive)
    if binary and positive != 1:
        raise UserError(
            f"positive is {positive}, but probability (N,) is that of class 1; pass 1 - probability for class 0"
        )
    ((flag, scores, weight),) = _against_the_rest(target, probability, None if binary else positive, None, both=False)
    if positive_only and not flag.any():
        raise UserError("positive_only asks for bins of positive rows, and target has none")
    mass = _share_of_positives(flag, scores, weight) if positive_only else weight
    place = _equal_mass(scores, mass, bins)
    rows = np.bincount(place)
    positives = np.bincount(place, flag)
    said = np.bincount(place, scores) / rows
    return tuple(
        ReliabilityBin(int(n), int(hits), float(mean), share(float(hits), float(n)))
        for n, hits, mean in zip(rows, positives, said, strict=True)
    )


def _against_the_rest(
    target: ArrayLike,
    probability: ArrayLike,
    positive: int | None,
    sample_weight: ArrayLike | None,
    *,
    both: bool,
) -> list[tuple[Float64Array, Float64Array, Float64Array]]:
    """Zeros and ones, scores and weights, each (N,), of every class asked for; with rows on `both` sides of it."""
    values = checked_probability(probability)
    if values.ndim == 1:
        if positive is not None:
            raise UserError("positive names a class of probability (N, C), but probability is (N,), that of class 1")
        return [_checked(target, values, sample_weight, both)]
    truth, _ = checked_classes(target, values)
    classes = values.shape[1]
    if positive is not None and not (isinstance(positive, int | np.integer) and 0 <= positive < classes):
        raise UserError(f"positive is {positive!r}, but probability has the classes 0 to {classes - 1}")
    # of two classes one is the other's mirror image
    asked = [positive] if positive is not None else [1] if classes == 2 else list(range(classes))
    absent = [k for k in asked if not np.any(truth == k) or np.all(truth == k)]
    if absent and both:
        which = "no row is" if not np.any(truth == absent[0]) else "every row is"
        raise UserError(f"{which} of class {absent[0]}; its calibration needs rows on both sides")
    return [_checked((truth == k).astype(np.float64), values[:, k], sample_weight, both) for k in asked]


def _checked(
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None, both: bool
) -> tuple[Float64Array, Float64Array, Float64Array]:
    flag, scores, weight = checked_rows(target, probability, sample_weight, both=both)
    return flag.astype(np.float64), one_score(scores), each_weight(weight, len(flag))


def _share_of_positives(flag: Float64Array, scores: Float64Array, weight: Float64Array) -> Float64Array:
    return np.asarray(isotonic_regression().fit_transform(scores, flag, sample_weight=weight), np.float64)


def _equal_mass(scores: Float64Array, mass: Float64Array, bins: int) -> NDArray[np.int64]:
    """The bin of each row: rising with the score, of about equal mass, equal scores together."""
    place = np.unique(scores, return_inverse=True)[1]
    held = np.bincount(place, mass)
    below = np.cumsum(held) - held
    # a score belongs where the middle of its mass lies; rounding must not decide
    wanted = np.minimum(np.floor((below + held / 2) / held.sum() * bins + 1e-9), bins - 1)
    wanted = np.maximum.accumulate(np.where(held > 0, wanted, -1))
    return np.unique(wanted, return_inverse=True)[1][place]


def _binned(scores: Float64Array, gap: Float64Array, mass: Float64Array, bins: int) -> float:
    return float(np.abs(np.bincount(_equal_mass(scores, mass, bins), gap)).sum())


def _smooth(scores: Float64Array, gap: Float64Array) -> float:
    """The width at which the smoothed error is equal to the width."""
    transform = _on_grid(scores, gap)

    def error(width: float) -> float:
        return float(np.abs(_blurred(transform, width)).sum())

    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return error((low + high) / 2)


def _on_grid(scores: Float64Array, mass: Float64Array) -> NDArray[np.complex128]:
    """The Fourier transform of masses at scores in [0, 1] and, mirrored, in [1, 2], on cells shared by neighbours."""
    place = scores * _CELLS - 0.5
    left = np.floor(place)
    part = place - left
    cells = np.zeros(_CELLS)
    for cell, amount in ((left, mass * (1 - part)), (left + 1, mass * part)):
        inside = np.clip(cell, 0, _CELLS - 1).astype(np.int64)  # mass beyond an end is reflected into the last cell
        cells += np.bincount(inside, amount, minlength=_CELLS)
    return np.asarray(np.fft.rfft(np.concatenate([cells, cells[::-1]])))


def _blurred(transform: NDArray[np.complex128], width: float) -> Float64Array:
    """Masses on [0, 1] after a Gaussian kernel of this width that is reflected at both ends."""
    damped = transform * np.exp(-((np.pi * width * np.arange(len(transform))) ** 2) / 2)
    return np.asarray(np.fft.irfft(damped, 2 * _CELLS)[:_CELLS])
