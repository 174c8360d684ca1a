"""Logits as a loss or a posterior gets them: of a framework, floating, with the classes last."""

from typing import Any

import numpy as np

from counterpoise.arrays import Array, Namespace, at_least_single, namespace, shape_text
from counterpoise.errors import UserError
from counterpoise.recipes.parameters import Parameters


def checked_logits(logits: Any, recipe: Parameters, class_axis: int) -> tuple[Namespace, Array, int]:
    """The framework's functions, the logits with the classes last and at least float32, and the number of classes.

    Parameters
    ----------
    logits
        An array of any framework, or a list.
    recipe
        The loss, whose per-class parameters must fit. A sigmoid recipe takes one-dimensional logits as rows without
        labels.
    class_axis
        Axis of the classes.

    Raises
    ------
    UserError
        For logits that are not floating, or do not fit the recipe. Their values are `refuse_values`'s.
    """
    if isinstance(logits, list | tuple):
        try:
            logits = np.asarray(logits, dtype=np.float64)
        except (TypeError, ValueError):
            raise UserError("logits must be numbers, in rows of the same length") from None
    xp = namespace(logits)
    if not xp.is_floating(logits):
        raise UserError(f"logits are of dtype {logits.dtype}; they must be floating (raw scores, not classes)")
    softmax = recipe.family == "softmax"
    dimensions = len(xp.shape(logits))
    if softmax and dimensions < 1:
        raise UserError("logits are one number; a softmax loss needs a class axis, as in (N, C)")
    if not isinstance(class_axis, int) or (dimensions and not -dimensions <= class_axis < dimensions):
        shape = shape_text(xp.shape(logits))
        raise UserError(f"class_axis is {class_axis!r}, but logits of shape {shape} have {dimensions} axes")
    z = at_least_single(xp, logits)
    classes: int | None = 1
    if dimensions > 1 or softmax:
        z = xp.moveaxis(z, class_axis, -1)
        classes = xp.length(z, -1)
    if classes is None:
        raise UserError(f"the number of classes on axis {class_axis} must be known when the loss is traced")
    kind = "classes" if softmax else "labels"
    if recipe.classes not in (None, classes):
        raise UserError(f"logits have {classes} {kind} on axis {class_axis}, but the recipe has {recipe.classes}")
    if softmax and classes == 0:
        raise UserError(f"logits of shape {shape_text(xp.shape(logits))} have no class")
    return xp, z, classes


def refuse_bad_logits(xp: Namespace, z: Array, family: str, class_axis: int) -> None:
    """Raise for logits that have no meaning, where NumPy shows them; elsewhere they give NaN.

    Parameters
    ----------
    xp, z
        The result of `checked_logits`.
    family
        "softmax", whose logits may be -inf, which masks a class, but not for all classes; or "sigmoid", whose logits
        may not.
    class_axis
        Axis of the classes in the user's array, for the message.

    Raises
    ------
    UserError
        For NaN; in the softmax family also for +inf and a row of -inf.
    """
    if xp.name != "numpy" or not z.size:
        return
    given = np.moveaxis(z, -1, class_axis) if z.ndim > 1 else z
    _refuse(np.isnan(given), "is NaN; the model diverged or its input was missing")
    if family != "softmax":
        return
    _refuse(np.isposinf(given), "is +inf; only -inf is allowed, which masks a class")
    masked = np.isneginf(z).all(axis=-1)
    if masked.any():
        place = [int(i) for i in np.argwhere(masked)[0]]
        raise UserError(f"logits{place} are -inf for every class; at least one class must be possible")


def _refuse(bad: Array, problem: str) -> None:
    if bad.any():
        raise UserError(f"logits{[int(i) for i in np.argwhere(bad)[0]]} {problem}")
