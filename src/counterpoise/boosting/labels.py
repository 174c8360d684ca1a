"""Labels as the hosts of objectives keep them, checked."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.recipes import Recipe, SigmoidRecipe


def target_of(recipe: Recipe, label: ArrayLike, logits: NDArray[Any], *, several: str) -> NDArray[Any]:
    """Labels as a host keeps them, in float32, in the form that the loss takes; checked.

    Parameters
    ----------
    recipe
        The loss, whose family decides the form of a label.
    label
        Labels (N,), of any dtype.
    logits
        The host's raw scores; their shape must fit.
    several
        Advice for the error message: how to make the host grow trees for several classes.

    Returns
    -------
    numpy.ndarray
        int64 (N,) for the softmax family, else of the logits' dtype.

    Raises
    ------
    UserError
        For logits of the other family's shape; for labels that name no class.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> target_of(softmax.focal(), np.float32([0, 2]), np.zeros((2, 3)), several="pass num_class=3")
    array([0, 2])
    """
    found = np.asarray(label)
    if isinstance(recipe, SigmoidRecipe):
        if logits.ndim != 1:
            raise UserError(
                f"a sigmoid recipe is for two classes, logits (N,), but these have shape {logits.shape}; take the "
                f"softmax recipe of the same loss, such as softmax.cross_entropy() or softmax.focal()"
            )
        return found.astype(logits.dtype)
    if logits.ndim != 2:
        raise UserError(
            f"a softmax recipe needs logits (N, C), but these have shape {logits.shape}; {several}, or take the "
            "sigmoid recipe of the same loss for two classes"
        )
    with np.errstate(invalid="ignore"):
        places = found.astype(np.int64)
    classes = logits.shape[1]
    if places.size and (places.min() < 0 or places.max() >= classes or (places != found).any()):
        row = int(np.argmax((places != found) | (places < 0) | (places >= classes)))
        raise UserError(
            f"label {found[row]:g} in row {row} is not a class; a softmax recipe needs whole numbers from 0 to "
            f"{classes - 1}"
        )
    return places


def refuse_nothing_to_learn(label: ArrayLike) -> None:
    """Raise where no tree can learn anything: no row, or one class only.

    Examples
    --------
    >>> refuse_nothing_to_learn([1, 1, 1])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: all 3 labels are 1, so there is nothing to learn; train on rows of two classes
    """
    found = np.ravel(label)
    if found.size == 0:
        raise UserError("the training data have no row; pass at least one row of each of two classes")
    first = found[0]
    if first == np.floor(first) and (found == first).all():
        raise UserError(
            f"all {found.size} labels are {first:g}, so there is nothing to learn; train on rows of two classes"
        )


def finite_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Values as float64 (N,), or `UserError`."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise UserError(f"{name} has shape {found.shape}; it must have one dimension, (N,)")
    try:
        numbers = found.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} must be numbers, but starts with {found.tolist()[0]!r}; "
            "np.unique(labels, return_inverse=True)[1] makes numbers of class names"
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(f"{name} is {numbers[bad[0]]} in row {bad[0]}; leave such rows out")
    return numbers
