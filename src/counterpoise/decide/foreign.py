"""Repair of probabilities of models that were trained elsewhere, on weighted classes or on sampled rows.

A loss that counts class k w_k times (`scale_pos_weight`, `class_weight`, `pos_weight`) and data in which a row of class
k is w_k times as likely to be kept have the same optimum: q_k proportional to w_k p_k. So p_k is proportional to
q_k / w_k, exactly and without data. For models trained with Counterpoise's losses use `recipe.posterior`, which
undoes margins, focus and the rest too.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.decide.probability import Float64Array, checked_probability, per_side, reweighted
from counterpoise.decide.rows import real_numbers
from counterpoise.errors import UserError
from counterpoise.weights.by_class import in_class_order, keyed


def undo_weights(probability: ArrayLike, weights: Any, *, multilabel: bool = False) -> Float64Array:
    """Honest probabilities from those of a model that was trained with class weights.

    Parameters
    ----------
    probability
        The model's probabilities, (N,) of the positive class or (N, C), in [0, 1].
    weights
        Factor of each class's loss in training, (C,), finite, > 0; only the ratios matter. For two classes also one
        number, the weight of the positives: XGBoost's and LightGBM's `scale_pos_weight`, PyTorch's `pos_weight`. Or a
        mapping or pandas Series from each class, 0 to C - 1, to its weight, like `class_weight` of scikit-learn and
        Keras. scikit-learn's `class_weight="balanced"` is N / (C n_k), `1 / counts.prior`.
    multilabel
        Whether probability is (N, L) of labels that do not exclude each other; default False. The weights are then one
        `pos_weight`, or one per label, (L,).

    Returns
    -------
    numpy.ndarray
        float64, of the shape of `probability`; rows sum to 1. The order of binary scores does not change.

    Raises
    ------
    UserError
        For probabilities outside [0, 1], or a weight that is not above 0 or missing for a class.

    Notes
    -----
    Undone is the weight only. What the model has not learned, or overfitted, stays; see `calibrate`. Probabilities
    that were rounded to 1, as float32 rounds all above 1 - 3e-8, have lost what could be repaired.

    References
    ----------
    Elkan, The foundations of cost-sensitive learning, IJCAI 2001, theorem 2.

    Examples
    --------
    >>> undo_weights([0.5, 0.95], 19.0).round(3)
    array([0.05, 0.5 ])
    >>> undo_weights([[0.25, 0.75]], {0: 1.0, 1: 3.0})
    array([[0.5, 0.5]])
    """
    values = checked_probability(probability, multilabel=multilabel)
    if multilabel and keyed("weights", weights):
        raise UserError(
            "weights is a mapping of classes, but labels that exclude nothing have one pos_weight each, (L,)"
        )
    given = _positive("weights", in_class_order("weights", weights, _classes_of(values)))
    if multilabel:
        positive = np.broadcast_to(given, values.shape[1]) if given.ndim == 0 else given
        given = np.stack([np.ones_like(positive), positive])
    elif given.ndim == 0:
        given = np.stack([np.ones(()), given])
    given = per_side("weights", given, values, multilabel=multilabel)
    return reweighted(values, given.min(axis=0) / given, "the weights")


def undo_sampling(probability: ArrayLike, rates: Any) -> Float64Array:
    """Honest probabilities from those of a model that was trained on under- or over-sampled classes.

    Parameters
    ----------
    probability
        The model's probabilities, (N,) of the positive class or (N, C), in [0, 1].
    rates
        Share of the rows of each class that was kept, (C,), finite, > 0: 0.1 if every tenth row was kept, 5 if each row
        was used five times. Only the ratios matter. Or a mapping or pandas Series from each class, 0 to C - 1, to its
        rate.

    Returns
    -------
    numpy.ndarray
        float64, of the shape of `probability`; rows sum to 1.

    Raises
    ------
    UserError
        As `undo_weights`.

    Notes
    -----
    Rows must have been kept at random within their class. Rows that were made up (SMOTE) have changed what the
    classes look like, which no formula undoes.

    References
    ----------
    Dal Pozzolo, Caelen, Johnson & Bontempi, Calibrating probability with undersampling for unbalanced
    classification, SSCI 2015, equation 4.

    Examples
    --------
    >>> undo_sampling([0.5], [0.01, 1.0]).round(4)
    array([0.0099])
    """
    values = checked_probability(probability)
    given = _positive("rates", in_class_order("rates", rates, _classes_of(values)))
    if given.ndim == 0:
        raise UserError(f"rates is the one number {given:g}, which does not name its class; pass one rate per class")
    given = per_side("rates", given, values)
    return reweighted(values, given.min() / given, "the sampling")


def _classes_of(probability: Float64Array) -> range:
    return range(2 if probability.ndim == 1 else probability.shape[1])


def _positive(name: str, given: Any) -> Float64Array:
    numbers = real_numbers(name, given)
    bad = np.argwhere(~((numbers > 0) & np.isfinite(numbers)))
    if len(bad):
        where = f"{name}[{bad[0][0]}]" if numbers.ndim else name
        raise UserError(f"{where} is {numbers[tuple(bad[0])]:g}; it must be a finite number above 0")
    return numbers
