"""The rates of counts: each a row, its loss written as a ratio of errors, so that small losses keep their digits."""

from counterpoise.arrays import Array, Namespace
from counterpoise.rates.average import ratio
from counterpoise.rates.counts import Counts
from counterpoise.rates.rate import positive_number, rate


@rate()
def recall(counts: Counts) -> Array:
    """1 - soft recall, FN / (TP + FN): the share of the positives that is missed.

    Alone it is least where everything is flagged; a term or a goal must pay for false alarms.

    Examples
    --------
    >>> import numpy as np
    >>> float(recall(np.array([0.0, 100.0, 0.0]), [1, 1, 0]))
    0.25
    """
    return ratio(counts.xp, counts.fn, counts.positives)


@rate()
def precision(counts: Counts) -> Array:
    """1 - soft precision, FP / (TP + FP): the share of the flagged that is false; 1 where nothing is flagged.

    Examples
    --------
    >>> import numpy as np
    >>> float(precision(np.array([100.0, 100.0, -100.0]), [1, 0, 0]))
    0.5
    """
    return ratio(counts.xp, counts.fp, counts.flagged, undefined=1.0)


@rate()
def f_beta(counts: Counts, *, beta: float = 1.0) -> Array:
    """1 - soft F-beta, in which recall counts beta times as much as precision.

    Other Parameters
    ----------------
    beta
        > 0.

    References
    ----------
    van Rijsbergen, Information Retrieval, 1979, chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> float(f_beta(np.array([100.0, 100.0, -100.0]), [1, 0, 0], beta=2.0).round(4))
    0.1667
    """
    squared = positive_number("beta", beta) ** 2
    errors = squared * counts.fn + counts.fp
    return ratio(counts.xp, errors, (1 + squared) * counts.tp + errors)


def _tversky_loss(counts: Counts, alpha: float, beta: float) -> Array:
    errors = positive_number("alpha", alpha) * counts.fp + positive_number("beta", beta) * counts.fn
    return ratio(counts.xp, errors, counts.tp + errors)


def _power(xp: Namespace, loss: Array, exponent: float) -> Array:
    """A loss to a power, with slope 0 at 0."""
    nothing = loss == 0
    return xp.where(nothing, 0.0, xp.exp(exponent * xp.log(xp.where(nothing, 1.0, loss))))


@rate()
def tversky(counts: Counts, *, alpha: float = 0.3, beta: float = 0.7) -> Array:
    """1 - the soft Tversky index TP / (TP + alpha FP + beta FN); Dice at 1/2 and 1/2, Jaccard at 1 and 1.

    Other Parameters
    ----------------
    alpha, beta
        What a false alarm and a miss count, > 0.

    References
    ----------
    Salehi, Erdogmus and Gholipour, Tversky loss function for image segmentation, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(tversky(np.array([100.0, 100.0, -100.0]), [1, 0, 0]).round(4))
    0.2308
    """
    return _tversky_loss(counts, alpha, beta)


@rate()
def focal_tversky(counts: Counts, *, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3) -> Array:
    """The Tversky loss of each class to the power 1 / gamma: with gamma above 1 small losses keep a large slope.

    Other Parameters
    ----------------
    alpha, beta
        What a false alarm and a miss count, > 0.
    gamma
        > 0; 1 is the Tversky loss.

    References
    ----------
    Abraham and Khan, A novel focal Tversky loss function with improved attention U-Net, ISBI 2019.

    Examples
    --------
    >>> import numpy as np
    >>> float(focal_tversky(np.array([100.0, 100.0, -100.0]), [1, 0, 0]).round(4))
    0.333
    """
    return _power(counts.xp, _tversky_loss(counts, alpha, beta), 1 / positive_number("gamma", gamma))


@rate()
def dice(counts: Counts) -> Array:
    """1 - the soft Dice coefficient 2 TP / (2 TP + FP + FN), which is F1.

    Over all rows and pixels of the batch, not per image.

    References
    ----------
    Sudre et al., Generalised Dice overlap as a deep learning loss function, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(dice(np.array([100.0, 100.0, -100.0]), [1, 0, 0]).round(4))
    0.3333
    """
    errors = counts.fp + counts.fn
    return ratio(counts.xp, errors, 2 * counts.tp + errors)


@rate()
def jaccard(counts: Counts) -> Array:
    """1 - the soft Jaccard index (intersection over union) TP / (TP + FP + FN).

    References
    ----------
    Rahman and Wang, Optimizing intersection-over-union in deep neural networks, ISVC 2016.

    Examples
    --------
    >>> import numpy as np
    >>> float(jaccard(np.array([100.0, 100.0, -100.0]), [1, 0, 0]))
    0.5
    """
    errors = counts.fp + counts.fn
    return ratio(counts.xp, errors, counts.tp + errors)


def _mean_missed(counts: Counts) -> Array:
    """The mean over the classes at hand of the share that is missed."""
    xp = counts.xp
    there = xp.astype(counts.positives != 0, counts.tp.dtype)
    return ratio(xp, xp.sum(ratio(xp, counts.fn, counts.positives)), xp.sum(there))


@rate(defined=lambda counts: counts.positives + counts.negatives != 0, of_classes=_mean_missed)
def balanced_accuracy(counts: Counts) -> Array:
    """1 - soft balanced accuracy: the mean of the shares of positives and of negatives that are taken for the other.

    Where only one of the two is there, its share alone. For exclusive classes the macro average is the mean of their
    recalls, as scikit-learn's `balanced_accuracy_score`.

    References
    ----------
    Brodersen et al., The balanced accuracy and its posterior distribution, ICPR 2010.

    Examples
    --------
    >>> import numpy as np
    >>> float(balanced_accuracy(np.array([100.0, 100.0, -100.0]), [1, 0, 0]))
    0.25
    """
    xp = counts.xp
    sides = [(counts.fn, counts.positives), (counts.fp, counts.negatives)]
    there = sum(xp.astype(whole != 0, whole.dtype) for _, whole in sides)
    return ratio(xp, sum(ratio(xp, part, whole) for part, whole in sides), there)


def _log_kept(xp: Namespace, missed: Array, kept: Array, whole: Array) -> tuple[Array, Array]:
    """The logarithm of kept / whole (0 where there is none), from whichever of the two parts is the smaller; and where.

    The second answer is where nothing at all is kept.
    """
    share, rest = ratio(xp, kept, whole, undefined=1.0), ratio(xp, missed, whole)
    none, few = share == 0, share < 0.5
    of_share = xp.log(xp.where(few & ~none, share, 1.0))
    return xp.where(few, of_share, xp.log1p(-xp.where(few, 0.0, rest))), none


def _geometric_loss(xp: Namespace, mean_log: Array, none: Array) -> Array:
    return xp.where(none, 1.0, -xp.expm1(xp.where(none, 0.0, mean_log)))


def _geometric_of_classes(counts: Counts) -> Array:
    """1 - the geometric mean of the recalls of the classes at hand."""
    xp = counts.xp
    logs, none = _log_kept(xp, counts.fn, counts.tp, counts.positives)
    there = xp.astype(counts.positives != 0, counts.tp.dtype)
    any_none = xp.sum(xp.astype(none, counts.tp.dtype)) > 0
    return _geometric_loss(xp, ratio(xp, xp.sum(logs), xp.sum(there)), any_none)


@rate(of_classes=_geometric_of_classes)
def g_mean(counts: Counts) -> Array:
    """1 - the geometric mean of soft recall and soft specificity.

    For exclusive classes the macro average is the geometric mean of their recalls, as imbalanced-learn's
    `geometric_mean_score`. Where one class is missed entirely the loss is 1, without a slope in the other classes.

    References
    ----------
    Kubat and Matwin, Addressing the curse of imbalanced training sets: one-sided selection, ICML 1997.

    Examples
    --------
    >>> import numpy as np
    >>> float(g_mean(np.array([100.0, 100.0, -100.0]), [1, 0, 0]).round(4))
    0.2929
    """
    xp = counts.xp
    recalled, no_recall = _log_kept(xp, counts.fn, counts.tp, counts.positives)
    passed, none_passed = _log_kept(xp, counts.fp, counts.tn, counts.negatives)
    sides = 1 + xp.astype(counts.negatives != 0, counts.tp.dtype)
    return _geometric_loss(xp, (recalled + passed) / sides, no_recall | none_passed)


def _correlation_loss(xp: Namespace, covariance: Array, spread: Array, other: Array) -> Array:
    """1 - covariance / sqrt(spread * other), which is 1 where either is 0."""
    flat = (spread <= 0) | (other <= 0)
    logs = xp.log(xp.where(flat, 1.0, spread)) + xp.log(xp.where(flat, 1.0, other))
    return 1 - xp.where(flat, 0.0, covariance * xp.exp(-0.5 * logs))


def _correlation_of_classes(counts: Counts) -> Array:
    """1 - R_K, the correlation of several classes (Gorodkin 2004); 0 where there is not a row."""
    xp = counts.xp
    total = xp.sum(counts.positives)
    true, said, right = (
        ratio(xp, part, xp.broadcast_to(total, xp.shape(part)))
        for part in (counts.positives, counts.flagged, counts.tp)
    )
    # 1 - sum p^2 = sum p (1 - p), which loses no digits where one class is nearly all
    loss = _correlation_loss(xp, xp.sum(right - said * true), xp.sum(said * (1 - said)), xp.sum(true * (1 - true)))
    return xp.where(total == 0, 0.0, loss)


@rate(of_classes=_correlation_of_classes)
def mcc(counts: Counts) -> Array:
    """1 - the soft Matthews correlation coefficient; 1 where all are said, or are, of one class. From 0 to 2.

    For exclusive classes the macro average is the correlation R_K, as scikit-learn's `matthews_corrcoef`.

    References
    ----------
    Abhishek and Hamarneh, Matthews correlation coefficient loss for deep convolutional networks, ISBI 2021;
    Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> float(mcc(np.array([100.0, 100.0, -100.0]), [1, 0, 0]).round(4))
    0.5
    """
    xp = counts.xp
    total = counts.positives + counts.negatives
    tp, fp, fn, tn = (ratio(xp, part, total) for part in (counts.tp, counts.fp, counts.fn, counts.tn))
    spread, other = (tp + fp) * (tn + fn), (tp + fn) * (tn + fp)
    return _correlation_loss(xp, tp * tn - fp * fn, spread, other)
