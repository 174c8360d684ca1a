"""Changed class shares: probabilities adjusted to a new prior, and the prior of unlabelled rows estimated.

A model learns p(y | x) for the class shares of its training data. If the shares change and each class still looks as it
did (label shift), p'_k is p_k times new share / old share, normalised.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.decide.probability import Float64Array, checked_probability, per_side, reweighted, side_by_side
from counterpoise.decide.rows import real_numbers
from counterpoise.errors import UserError
from counterpoise.ties import ROUNDING
from counterpoise.weights import ClassCounts, LabelCounts
from counterpoise.weights.by_class import in_class_order
from counterpoise.wording import plural

_TOLERANCE = 1e-10
_MOST_STEPS = 200
_FEWEST = 10
"""Labelled rows that the unlabelled ones must be worth: of fewer, a share of a half is off by a sixth (one sigma)."""


def adjust_prior(probability: ArrayLike, prior: Any, *, to: Any, multilabel: bool = False) -> Float64Array:
    """Probabilities for data whose class shares differ from the training data's.

    Parameters
    ----------
    probability
        Probabilities, (N,) of the positive class or (N, C), in [0, 1], honest for the training data: undo weights first
        (`undo_weights`).
    prior
        Class shares of the training data, such as `counts.prior`: (C,), summing to 1, or a mapping or pandas Series
        from class index to share, or counts; for two classes also one number, the share of positives.
    to
        Class shares of the data to predict, in the same forms. A share of 0 rules a class out.
    multilabel
        Whether probability is (N, L) of labels that do not exclude each other; default False. Both priors are then the
        share of positives of each label, (L,).

    Returns
    -------
    numpy.ndarray
        float64, of the shape of `probability`; rows sum to 1. Certain rows (0 and 1) stay certain.

    Raises
    ------
    UserError
        For probabilities outside [0, 1], shares that do not sum to 1, a class with training share 0 and a new
        share above it, or a row whose classes are all ruled out.

    References
    ----------
    Saerens, Latinne & Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, Neural
    Computation 2002, equation 2.4.

    Examples
    --------
    >>> adjust_prior([0.5, 0.9], [0.5, 0.5], to=[0.99, 0.01]).round(4)
    array([0.01  , 0.0833])
    """
    values = checked_probability(probability, multilabel=multilabel)
    old = _shares("prior", prior, values, multilabel)
    new = _shares("to", to, values, multilabel)
    lost = np.argwhere((old == 0) & (new > 0))
    if len(lost):
        raise UserError(
            f"prior is 0 for {_side(lost[0], old)}, which no new prior can bring back; set `to` to 0 there too, "
            "or train the model with rows of that class"
        )
    return reweighted(values, np.divide(new, old, out=np.zeros_like(new), where=old > 0), "the new prior")


def estimate_prior(probability: ArrayLike, prior: Any, *, multilabel: bool = False) -> Float64Array:
    """The class shares of unlabelled rows, from the probabilities that a model gives them.

    They are the shares under which the rows are most likely, if each class looks as it did in training. Counting
    decisions or averaging probabilities instead is biased towards the training shares.

    Parameters
    ----------
    probability
        Probabilities of the unlabelled rows, (N,) of the positive class or (N, C), honest for the training data. Any
        distortion (weights, an uncalibrated model) biases the result.
    prior
        Class shares of the training data, as in `adjust_prior`; each above 0.
    multilabel
        As in `adjust_prior`.

    Returns
    -------
    numpy.ndarray
        Class shares, float64 (C,), summing to 1, (2,) for probability (N,); with `multilabel`, (L,) shares of
        positives.

    Raises
    ------
    UserError
        As `adjust_prior`; and where the rows say less about the shares than ten labelled rows would, which is so of
        fewer than ten rows, and of more where the model does not tell the classes apart.

    Notes
    -----
    The likelihood is that of Saerens et al.'s EM algorithm. It is concave, so Newton's method finds the same maximum in
    a few steps, where EM crawls if the classes overlap.

    References
    ----------
    Saerens, Latinne & Decaestecker, Neural Computation 2002, section 2.2.

    Examples
    --------
    >>> estimate_prior([0.9, 0.9, 0.8, 0.1] * 10, [0.5, 0.5]).round(3)
    array([0.203, 0.797])
    """
    values = checked_probability(probability, multilabel=multilabel)
    old = _shares("prior", prior, values, multilabel)
    if len(values) == 0:
        raise UserError("probability has no rows, so the prior cannot be estimated")
    if (old == 0).any():
        raise UserError(f"prior is 0 for {_side(np.argwhere(old == 0)[0], old)}; leave a class without rows out")
    if multilabel:
        return np.array([_most_likely(side_by_side(p), old[:, k])[1] for k, p in enumerate(values.T)])
    return _most_likely(side_by_side(values), old)


def _shares(name: str, given: Any, probability: Float64Array, multilabel: bool) -> Float64Array:
    """Checked shares (2,), (C,), or (2, L)."""
    sides = range(probability.shape[1] if probability.ndim == 2 else 2)
    if isinstance(given, ClassCounts | LabelCounts):
        given = given.prior
    shares = real_numbers(name, in_class_order(name, given, sides))
    bad = np.argwhere(~((shares >= 0) & (shares <= 1)))
    if len(bad):
        raise UserError(f"{name} holds {shares[tuple(bad[0])]:g}; class shares lie between 0 and 1")
    if multilabel:
        if shares.ndim == 0:
            shares = np.full(probability.shape[1], shares)
        return per_side(name, np.stack([1 - shares, shares]), probability, multilabel=True)
    if shares.ndim == 0:
        shares = np.stack([1 - shares, shares])
    shares = per_side(name, shares, probability)
    if abs(shares.sum() - 1) > 1e-6:
        raise UserError(f"{name} sums to {shares.sum():.6g}; class shares sum to 1")
    return np.asarray(shares / shares.sum(), np.float64)


def _side(place: Any, shares: Float64Array) -> str:
    return (
        f"class {place[0]}" if shares.ndim == 1 else f"the {('negatives', 'positives')[place[0]]} of label {place[1]}"
    )


def _most_likely(probability: Float64Array, prior: Float64Array) -> Float64Array:
    """Maximise mean log(odds @ share) - sum(share) over shares >= 0; the maximum sums to 1 without being told."""
    odds = probability / probability.sum(axis=1, keepdims=True) / prior
    share = prior
    for _ in range(_MOST_STEPS):
        relative = odds / (odds @ share)[:, None]
        bend = relative.T @ relative / len(odds)
        step = _best_of_quadratic(bend, relative.mean(axis=0)) - share
        if np.abs(step).max() < _TOLERANCE:
            _refuse_flat(bend, share, len(odds))
            share = share + step
            return np.asarray(share / share.sum(), np.float64)
        share = share + _uphill(odds, share, step) * step
    _refuse_flat(bend, share, len(odds))  # where it is flat, rounding alone says where a step leads
    raise UserError(f"no prior was found in {_MOST_STEPS} steps; the likelihood of these {len(odds)} rows is too flat")


def _best_of_quadratic(bend: Float64Array, slope: Float64Array) -> Float64Array:
    """Where the likelihood, if it were the quadratic with this slope and curvature, is largest; all shares >= 0."""
    from scipy.optimize import nnls  # slow to import, and an extra

    ridge = 1e-14 * np.trace(bend) * np.eye(len(bend))  # where rows do not tell classes apart it is singular
    root = np.linalg.cholesky(bend + ridge)
    return np.asarray(nnls(root.T, np.linalg.solve(root, 2 * slope - 1))[0])


@np.errstate(divide="ignore")  # a step too long leaves rows that no class explains
def _uphill(odds: Float64Array, share: Float64Array, step: Float64Array) -> float:
    """How much of the step raises the likelihood; some part does, since it is concave."""
    before = np.log(odds @ share).mean() - share.sum()
    part = 1.0
    while part > 1e-9:
        there = share + part * step
        if np.log(odds @ there).mean() - there.sum() >= before - 1e-15:
            break
        part /= 2
    return part


def _refuse_flat(bend: Float64Array, share: Float64Array, rows: int) -> None:
    """The smallest eigenvalue is the information of an unlabelled row in labelled rows: 1 if classes are certain."""
    held = share > 1e-9
    root = np.sqrt(share[held])
    information = float(np.linalg.eigvalsh(root[:, None] * bend[np.ix_(held, held)] * root)[0])
    if information * rows < _FEWEST * (1 - ROUNDING):
        raise UserError(
            f"the probabilities of {plural(rows, 'row')} contain too little to estimate the shares of the "
            f"classes: less than {_FEWEST} labelled rows would; give more rows, or a model that separates them"
        )
