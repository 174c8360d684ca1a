"""What a loss is given, brought to one form and checked: logits with the classes last, a target, a weight per row.

Shapes and dtypes are always checked. Values are checked where they can be seen, that is not while a framework
traces or compiles, nor on an accelerator, where looking would stall it; there a class out of range gives NaN.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpoise.arrays import Array, Namespace, namespace
from counterpoise.errors import ClassWeightWarning, UserError
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.parameters import at_least_single


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a loss in their one form.

    `logits` are (..., C), at least float32. `target` is integer (...) where it names classes (`hard`), else of
    the logits' shape and dtype. `keep` is False for ignored entries, or None where nothing is ignored.
    `weight` is the sample weight of each entry of the unreduced loss, or None.
    """

    xp: Namespace
    logits: Array
    target: Array
    hard: bool
    keep: Array | None
    weight: Array | None
    classes: int


def _static(shape: tuple[Any, ...]) -> str:
    return (
        "(" + ", ".join(str(s) if isinstance(s, int) else "?" for s in shape) + ("," if len(shape) == 1 else "") + ")"
    )


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two shapes can be equal; sizes that are unknown while tracing are taken on trust."""
    return len(a) == len(b) and all(
        m == n for m, n in zip(a, b, strict=True) if isinstance(m, int) and isinstance(n, int)
    )


def _to_framework(xp: Namespace, name: str, value: Any, like: Array) -> Array:
    """`value` as an array of the logits' framework; lists, NumPy arrays and columns are converted."""
    if xp.name == "numpy" and hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if xp.name == "numpy":
        value = np.asarray(value)
        if value.dtype.kind in "OUS":
            raise UserError(
                f"{name} is of dtype {value.dtype}; a loss needs numbers. Make class names integers 0 to C - 1 first"
            )
        return value
    try:
        theirs = namespace(value)
    except UserError:
        theirs = None
    if theirs is xp:
        return value
    converted = np.asarray(value)
    if converted.dtype.kind in "OUS":
        raise UserError(f"{name} is of dtype {converted.dtype}; a loss needs numbers")
    dtype = {"i": xp.int64, "u": xp.int64, "b": xp.bool}.get(converted.dtype.kind, like.dtype)
    return xp.constant(converted, like, dtype)


def _checked_logits(logits: Any, recipe: Recipe, class_axis: int) -> tuple[Namespace, Array, int]:
    if isinstance(logits, list | tuple):
        logits = np.asarray(logits, dtype=np.float64)
    xp = namespace(logits)
    if not xp.is_floating(logits):
        raise UserError(f"logits are of dtype {logits.dtype}; they must be floating (raw scores, not classes)")
    dimensions = len(xp.shape(logits))
    if isinstance(recipe, SoftmaxRecipe) and dimensions < 1:
        raise UserError("logits are one number; a softmax loss needs a class axis, as in (N, C)")
    if dimensions and not -dimensions <= class_axis < dimensions:
        raise UserError(
            f"class_axis is {class_axis}, but logits of shape {_static(xp.shape(logits))} have {dimensions} axes"
        )
    logits = at_least_single(xp, logits)
    if xp.name == "numpy" and np.isnan(logits).any():
        place = [int(i) for i in np.argwhere(np.isnan(logits))[0]]
        raise UserError(f"logits{place} is NaN; the model diverged or its input was missing")
    if xp.name == "numpy" and isinstance(recipe, SoftmaxRecipe) and np.isposinf(logits).any():
        place = [int(i) for i in np.argwhere(np.isposinf(logits))[0]]
        raise UserError(f"logits{place} is +inf; only -inf is allowed, which masks a class")
    classes = 1
    if dimensions > 1 or (dimensions and isinstance(recipe, SoftmaxRecipe)):
        logits = xp.moveaxis(logits, class_axis, -1)
        classes = xp.shape(logits)[-1]
    if recipe.classes is not None and isinstance(classes, int) and recipe.classes != classes:
        kind = "classes" if isinstance(recipe, SoftmaxRecipe) else "labels"
        raise UserError(f"logits have {classes} {kind} on axis {class_axis}, but the recipe has {recipe.classes}")
    if not isinstance(classes, int):
        raise UserError(f"the number of classes on axis {class_axis} must be known when the loss is traced")
    return xp, logits, classes


def softmax_arguments(
    logits: Any,
    target: Any,
    recipe: SoftmaxRecipe,
    sample_weight: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Arguments:
    """The arguments of a softmax loss in their one form."""
    xp, z, classes = _checked_logits(logits, recipe, class_axis)
    if classes == 0:
        raise UserError(f"logits of shape {_static(xp.shape(z))} have no class")
    if recipe.weight.ndim == 0 and recipe.weight not in (0, 1) and classes > 2:
        warnings.warn(
            f"one weight ({recipe.weight:g}) for all {classes} classes only scales the loss; it favours no class. Pass "
            "one weight per class, for instance class_weights(counts)",
            ClassWeightWarning,
            stacklevel=4,
        )
    shape = xp.shape(z)
    y = _to_framework(xp, "target", target, z)
    y_shape = xp.shape(y)
    hard = not xp.is_floating(y) and not xp.is_boolean(y) and _same(y_shape, shape[:-1])
    column = not xp.is_floating(y) and not xp.is_boolean(y) and classes > 1 and _same(y_shape, (*shape[:-1], 1))
    if column:
        y, hard = xp.reshape(y, shape[:-1]), True
    if not hard:
        moved = xp.moveaxis(y, class_axis, -1) if len(y_shape) == len(shape) else y
        if not _same(xp.shape(moved), shape):
            raise UserError(_target_shape_problem(xp, y, y_shape, z, class_axis))
        y = xp.astype(moved, z.dtype)
    else:
        y = xp.astype(y, xp.int64)
    keep = None
    if ignore_index is not None:
        if not hard:
            raise UserError("ignore_index is for integer targets; give rows of a soft target sample_weight 0 instead")
        keep = y != ignore_index
        y = xp.where(keep, y, xp.constant(0, y, y.dtype))
    if xp.is_concrete(y) and xp.is_concrete(z):
        _check_softmax_values(xp, z, y, hard, classes)
    weight = _row_weight(xp, sample_weight, z, shape[:-1])
    return Arguments(xp, z, y, hard, keep, weight, classes)


def _target_shape_problem(xp: Namespace, y: Array, y_shape: tuple[Any, ...], z: Array, class_axis: int) -> str:
    moved = list(xp.shape(z))
    classes = moved.pop()
    given = moved.copy()
    given.insert(class_axis % (len(moved) + 1), classes)
    problem = (
        f"logits {_static(tuple(given))} with class_axis={class_axis} want an integer target {_static(tuple(moved))} "
        f"or a soft target {_static(tuple(given))}; found {_static(y_shape)} of dtype {y.dtype}"
    )
    if xp.is_floating(y) and _same(y_shape, tuple(moved)):
        return problem + ". Class indices must be integers"
    for axis in range(len(given)):
        rest = given[:axis] + given[axis + 1 :]
        if axis != class_axis % len(given) and _same(y_shape, tuple(rest)):
            return problem + f". Is the class axis {axis}? Pass class_axis={axis}"
    return problem


def _check_softmax_values(xp: Namespace, z: Array, y: Array, hard: bool, classes: int) -> None:
    if hard:
        flat = np.asarray(y)
        if flat.size and (flat.min() < 0 or flat.max() >= classes):
            found = flat[(flat < 0) | (flat >= classes)].flat[0]
            hint = "" if found >= 0 else "; pass ignore_index if it marks rows to leave out"
            raise UserError(
                f"target holds class {found}, but the recipe has {classes} classes (0 to {classes - 1}){hint}"
            )
    elif xp.name == "numpy":
        bad = ~(np.isfinite(y) & (y >= 0))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            raise UserError(f"target{place} is {y[tuple(place)]}; a soft target's shares are finite and at least 0")
    if xp.name == "numpy" and z.size:
        masked = np.isneginf(z).all(axis=-1)
        if masked.any():
            place = [int(i) for i in np.argwhere(masked)[0]]
            raise UserError(f"logits{place} are -inf for every class; at least one class must be possible")


def sigmoid_arguments(
    logits: Any,
    target: Any,
    recipe: SigmoidRecipe,
    sample_weight: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Arguments:
    """The arguments of a sigmoid loss in their one form."""
    xp, z, classes = _checked_logits(logits, recipe, class_axis)
    shape = xp.shape(z)
    y = _to_framework(xp, "target", target, z)
    y_shape = xp.shape(y)
    if len(y_shape) == len(shape) > 1:
        y = xp.moveaxis(y, class_axis, -1)
    elif _same((*y_shape, 1), shape) or _same(y_shape, (*shape, 1)):
        y = xp.reshape(y, shape)
    if not _same(xp.shape(y), shape):
        raise UserError(
            f"a sigmoid loss wants a target of the logits' shape {_static(xp.shape(logits))}; found {_static(y_shape)}"
        )
    keep = None
    if ignore_index is not None:
        keep = y != xp.constant(ignore_index, y, y.dtype)
    y = xp.astype(y, z.dtype)
    if keep is not None:
        y = xp.where(keep, y, 0.0)
    if xp.is_concrete(y):
        values = np.asarray(xp.stop_gradient(y))
        bad = ~((values >= 0) & (values <= 1))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            raise UserError(
                f"target{place} is {values[tuple(place)]:g}; a sigmoid target lies between 0 and 1 "
                "(pass ignore_index if it marks entries to leave out)"
            )
    weight = _element_weight(xp, sample_weight, z, shape, class_axis)
    return Arguments(xp, z, y, False, keep, weight, classes)


def _checked_weight(xp: Namespace, sample_weight: Any, z: Array) -> Array:
    weight = _to_framework(xp, "sample_weight", sample_weight, z)
    weight = xp.astype(weight, z.dtype)
    if xp.is_concrete(weight):
        values = np.asarray(xp.stop_gradient(weight))
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            raise UserError(f"sample_weight{place} is {values[tuple(place)]}; weights are finite and at least 0")
    return weight


def _row_weight(xp: Namespace, sample_weight: Any, z: Array, rows: tuple[Any, ...]) -> Array | None:
    """A weight for each row of a softmax loss: given per row, or per sample and spread over its pixels."""
    if sample_weight is None:
        return None
    weight = _checked_weight(xp, sample_weight, z)
    shape = xp.shape(weight)
    if len(shape) == len(rows) + 1 and shape[-1] == 1:
        weight = xp.reshape(weight, shape[:-1])
        shape = shape[:-1]
    if _same(shape, rows):
        return weight
    if len(shape) == 0 or (len(shape) < len(rows) and _same(shape, rows[: len(shape)])):
        return _spread(xp, weight, rows, len(rows) - len(shape))
    if len(shape) == len(rows) and all(given in (1, size) for given, size in zip(shape, rows, strict=True)):
        return xp.broadcast_to(weight, rows)
    raise UserError(
        f"sample_weight has shape {_static(shape)}, but the loss has one row for each of {_static(rows)}; "
        "pass one weight per sample, or per row"
    )


def _element_weight(
    xp: Namespace, sample_weight: Any, z: Array, shape: tuple[Any, ...], class_axis: int
) -> Array | None:
    """A weight for each element of a sigmoid loss: given per element, or per row and spread over its labels."""
    if sample_weight is None:
        return None
    weight = _checked_weight(xp, sample_weight, z)
    given = xp.shape(weight)
    if len(given) == len(shape) and len(shape):
        weight = xp.moveaxis(weight, class_axis, -1) if len(shape) > 1 else weight
        given = xp.shape(weight)
        if _same(given, shape):
            return weight
        if _same(given, (*shape[:-1], 1)):
            return _spread(xp, xp.reshape(weight, shape[:-1]), shape, 1)
    elif len(given) == 0:
        return _spread(xp, weight, shape, len(shape))
    elif _same(given, shape[: len(given)]) and len(given) < len(shape):
        return _spread(xp, weight, shape, len(shape) - len(given))
    elif _same(given, (*shape, 1)):
        return xp.reshape(weight, shape)
    raise UserError(
        f"sample_weight has shape {_static(given)}, but the loss has shape {_static(shape)}; "
        "pass one weight per row (N,), or per element"
    )


def _spread(xp: Namespace, weight: Array, shape: tuple[Any, ...], missing: int) -> Array:
    """`weight` with `missing` trailing axes, broadcast to `shape`."""
    return xp.broadcast_to(weight[(..., *(None,) * missing)], shape)


def arguments_of(
    logits: Any, target: Any, recipe: Recipe, sample_weight: Any, ignore_index: float | None, class_axis: int
) -> Arguments:
    """The arguments of a loss of either family in their one form."""
    if isinstance(recipe, SoftmaxRecipe):
        return softmax_arguments(logits, target, recipe, sample_weight, ignore_index, class_axis)
    if isinstance(recipe, SigmoidRecipe):
        return sigmoid_arguments(logits, target, recipe, sample_weight, ignore_index, class_axis)
    raise UserError(
        f"recipe is {recipe!r}; pass a recipe, such as counterpoise.recipe('softmax.focal') or softmax.focal()"
    )
