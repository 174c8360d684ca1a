"""Probabilities as a model gives them, and the effect of re-weighting the classes on them.

There are three shapes: (N,) of the positive class, (N, C) of exclusive classes, and, with `multilabel=True`, (N, L) of
labels that do not exclude each other. Any change of the classes' weight in training (weights, sampling, another prior)
multiplies the odds of each class by a constant; dividing by the constant undoes it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.rows import real_numbers
from counterpoise.errors import UserError

Float64Array = NDArray[np.float64]

ROW_SUM_TOLERANCE = 0.01
"""How far from 1 the probabilities of a row may sum to: files round them."""


def checked_probability(probability: ArrayLike, *, multilabel: bool = False) -> Float64Array:
    """Probabilities as float64 (N,), (N, C) with rows that sum to 1, or (N, L), or `UserError`.

    Examples
    --------
    >>> checked_probability([[0.7, 0.7]])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: probability sums to 1.4 in row 0, but exclusive classes sum to 1; for labels that \
do not exclude each other work on one column at a time or, where there is the option, with multilabel=True
    """
    values = real_numbers("probability", probability)
    if multilabel and values.ndim != 2:
        raise UserError(f"probability has shape {values.shape}; with multilabel=True it must be (N, L)")
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] < 2 and not multilabel):
        raise UserError(
            f"probability has shape {values.shape}; it must be (N,), of the positive class, or (N, C) with two or more "
            "classes"
        )
    bad = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(bad):
        where = f"row {bad[0][0]}" + (f", column {bad[0][1]}" if values.ndim == 2 else "")
        raise UserError(f"probability {values[tuple(bad[0])]} in {where} lies outside 0 to 1")
    if values.ndim == 2 and not multilabel:
        sums = values.sum(axis=1)
        off = np.abs(sums - 1) > ROW_SUM_TOLERANCE
        if off.any():
            row = int(np.argmax(off))
            raise UserError(
                f"probability sums to {sums[row]:.6g} in row {row}, but exclusive classes sum to 1; for labels "
                "that do not exclude each other work on one column at a time or, where there is the option, with "
                "multilabel=True"
            )
    return values


def side_by_side(probability: Float64Array) -> Float64Array:
    """(N,) of the positive class as (N, 2); (N, C) as it is.

    Examples
    --------
    >>> side_by_side(np.array([0.25]))
    array([[0.75, 0.25]])
    """
    return np.stack([1 - probability, probability], axis=1) if probability.ndim == 1 else probability


def per_side(name: str, values: Float64Array, probability: Float64Array, *, multilabel: bool = False) -> Float64Array:
    """Refuse numbers that are not one for each class: (2,), (C,), or (2, L) of negatives and positives.

    Examples
    --------
    >>> per_side("weights", np.ones(3), np.ones(5))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: weights has shape (3,), but probability (N,) has two classes; pass two numbers, for \
class 0 and class 1
    """
    if multilabel:
        if values.shape != (2, probability.shape[1]):
            raise UserError(
                f"{name} has shape {values.shape[1:]}, but probability has {probability.shape[1]} labels; pass one "
                "number, or one per label"
            )
        return values
    classes = 2 if probability.ndim == 1 else probability.shape[1]
    if values.shape != (classes,):
        pass_this = "two numbers, for class 0 and class 1" if classes == 2 else f"{classes} numbers, in class order"
        owner = "probability (N,) has two" if probability.ndim == 1 else f"probability has {classes}"
        raise UserError(f"{name} has shape {values.shape}, but {owner} classes; pass {pass_this}")
    return values


def reweighted(probability: Float64Array, factor: Float64Array, excludes: str) -> Float64Array:
    """Each class's probability times its factor, normalised again; a probability of 0 or 1 stays what it is.

    Parameters
    ----------
    probability
        Probabilities (N,), (N, C), or (N, L) with a factor (2, L).
    factor
        Factors, finite, >= 0: (2,) or (C,); (2, L) for labels.
    excludes
        What set a factor to 0, for the message about a row without any other class.

    Examples
    --------
    >>> reweighted(np.array([0.5, 1.0]), np.array([1.0, 3.0]), "the weights")
    array([0.75, 1.  ])
    """
    factor = factor / factor.max(axis=0)
    if probability.ndim == 1 or factor.ndim == 2:
        wanted = probability * factor[1]
        total = wanted + (1 - probability) * factor[0]
    else:
        wanted = probability * factor
        total = wanted.sum(axis=1, keepdims=True)
    if not np.all(total > 0):
        row = int(np.argwhere(total <= 0)[0][0])
        raise UserError(f"probability in row {row} lies only on what {excludes} excludes (share 0)")
    return np.asarray(wanted / total)
