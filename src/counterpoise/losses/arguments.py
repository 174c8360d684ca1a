"""What a loss is given, brought to one form and checked: logits with the classes last, a target, a weight per row.

Shapes and dtypes are always checked. Values are checked where they can be seen, that is not while a framework
traces or compiles, nor on an accelerator, where looking would stall it; there a bad value gives NaN.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpoise.arrays import Array, Namespace, namespace, shape_text
from counterpoise.errors import UserError, warn_about_weights
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.logits import checked_logits


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


def counted_only(given: Arguments) -> Arguments:
    """The arguments with logits of 0 where an entry does not count: whatever they are, no gradient sees them."""
    xp, counts = given.xp, given.keep
    if given.weight is not None:
        counts = given.weight != 0 if counts is None else counts & (given.weight != 0)
    if counts is None:
        return given
    if len(xp.shape(counts)) < len(xp.shape(given.logits)):
        counts = counts[..., None]
    return dataclasses.replace(given, logits=xp.where(counts, given.logits, 0.0))


def warn_about_one_weight(recipe: SoftmaxRecipe, classes: int) -> None:
    """Say that one weight for several classes favours none."""
    if recipe.weight.ndim == 0 and recipe.weight not in (0, 1) and classes > 2:
        warn_about_weights(
            f"one weight ({recipe.weight:g}) for all {classes} classes only scales the loss; it favours no class. Pass "
            "one weight per class, for instance class_weights(counts)"
        )


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two shapes can be equal; sizes that are unknown while tracing are taken on trust."""
    return len(a) == len(b) and all(
        m == n for m, n in zip(a, b, strict=True) if isinstance(m, int) and isinstance(n, int)
    )


def to_framework(xp: Namespace, name: str, value: Any, like: Array) -> Array:
    """`value` as an array of the logits' framework; lists, columns and arrays of other frameworks are converted."""
    if not isinstance(value, np.ndarray | np.generic):
        try:
            theirs = namespace(value)
        except UserError:
            theirs = None
        if theirs is xp:
            if "string" in str(value.dtype):
                raise UserError(f"{name} holds text; a loss needs numbers. Make class names integers 0 to C - 1 first")
            return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        converted = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError:
        raise UserError(f"{name} has rows of different lengths") from None
    if converted.size == 0 and isinstance(value, list):
        converted = converted.astype(np.int64)
    if converted.dtype.kind not in "biuf" and converted.dtype.name != "bfloat16":
        raise UserError(
            f"{name} is of dtype {converted.dtype}; a loss needs numbers. Make class names integers 0 to C - 1 first"
        )
    if xp.name == "numpy":
        return converted
    dtype = {"i": xp.int64, "u": xp.int64, "b": xp.bool}.get(converted.dtype.kind, like.dtype)
    return xp.constant(converted, like, dtype)


def refuse_values(xp: Namespace, name: str, array: Array, bad: Any, problem: str) -> Array:
    """The array, after an error for a bad value that can be seen; one that cannot be seen becomes NaN.

    `bad` is a function of an array of either kind.
    """
    if not xp.is_concrete(array):
        return xp.where(bad(array), float("nan"), array)
    values = np.asarray(array.detach() if hasattr(array, "detach") else array)
    found = np.argwhere(bad(values))
    if len(found):
        place = [int(i) for i in found[0]]
        raise UserError(f"{name}{place if place else ''} is {values[tuple(place)]:g}; {problem}")
    return array


def softmax_arguments(
    logits: Any,
    target: Any,
    recipe: SoftmaxRecipe,
    sample_weight: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Arguments:
    """The arguments of a softmax loss in their one form."""
    xp, z, classes = checked_logits(logits, recipe, class_axis)
    warn_about_one_weight(recipe, classes)
    shape = xp.shape(z)
    y = to_framework(xp, "target", target, z)
    y_shape = xp.shape(y)
    whole = not xp.is_floating(y) and not xp.is_boolean(y)
    hard = whole and _same(y_shape, shape[:-1])
    if whole and classes > 1 and _same(y_shape, (*shape[:-1], 1)):
        y, hard = xp.reshape(y, shape[:-1]), True
    keep = None
    if hard:
        y = xp.pinned(xp.astype(y, xp.int64), shape[:-1])
        if ignore_index is not None:
            if not isinstance(ignore_index, int | float | np.number) or int(ignore_index) != ignore_index:
                raise UserError(f"ignore_index is {ignore_index!r}; class indices are integers")
            if abs(ignore_index) >= 2**63:
                raise UserError(f"ignore_index is {ignore_index!r}, which no target of 64 bits can hold")
            keep = y != int(ignore_index)
            y = xp.where(keep, y, xp.constant(0, y, y.dtype))
        if xp.is_concrete(y):
            _check_classes(np.asarray(y), classes)
    else:
        moved = xp.moveaxis(y, class_axis, -1) if len(y_shape) == len(shape) else y
        if not _same(xp.shape(moved), shape):
            raise UserError(_target_shape_problem(xp, y, z, class_axis))
        if ignore_index is not None:
            raise UserError("ignore_index is for integer targets; give rows of a soft target sample_weight 0 instead")
        if not xp.is_floating(y) and xp.is_concrete(y):
            _check_one_hot(np.asarray(moved))
        y = refuse_values(
            xp,
            "target",
            xp.pinned(xp.astype(moved, z.dtype), shape),
            lambda t: ~((t >= 0) & (t < float("inf"))),
            "a soft target's shares are finite and at least 0",
        )
    weight = _row_weight(xp, sample_weight, z, shape[:-1])
    return Arguments(xp, z, y, hard, keep, weight, classes)


def _target_shape_problem(xp: Namespace, y: Array, z: Array, class_axis: int) -> str:
    y_shape, moved = xp.shape(y), list(xp.shape(z))
    classes = moved.pop()
    given = moved.copy()
    given.insert(class_axis % (len(moved) + 1), classes)
    problem = (
        f"logits {shape_text(tuple(given))} with class_axis={class_axis} want an integer target "
        f"{shape_text(tuple(moved))} or a soft target {shape_text(tuple(given))}; found {shape_text(y_shape)} "
        f"of dtype {y.dtype}"
    )
    if xp.is_floating(y) and _same(y_shape, tuple(moved)):
        return problem + ". Class indices must be integers"
    for axis in range(len(given)):
        rest = given[:axis] + given[axis + 1 :]
        if axis != class_axis % len(given) and _same(y_shape, tuple(rest)):
            return problem + f". Is the class axis {axis}? Pass class_axis={axis}"
    return problem


def _check_classes(target: Any, classes: int) -> None:
    outside = (target < 0) | (target >= classes)
    if outside.any():
        found = target[outside].flat[0]
        hint = "" if found >= 0 else "; pass ignore_index if it marks rows to leave out"
        raise UserError(f"target holds class {found}, but the recipe has {classes} classes (0 to {classes - 1}){hint}")


def _check_one_hot(target: Any) -> None:
    sums = target.sum(axis=-1)
    if (sums != 1).any():
        place = [int(i) for i in np.argwhere(sums != 1)[0]]
        raise UserError(
            f"target{place} names {sums[tuple(place)]} classes; a one-hot target names one. Labels that do not exclude "
            "each other need the sigmoid family"
        )


def sigmoid_arguments(
    logits: Any,
    target: Any,
    recipe: SigmoidRecipe,
    sample_weight: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Arguments:
    """The arguments of a sigmoid loss in their one form."""
    xp, z, classes = checked_logits(logits, recipe, class_axis)
    shape = xp.shape(z)
    y = to_framework(xp, "target", target, z)
    y_shape = xp.shape(y)
    if len(y_shape) == len(shape) > 1:
        y = xp.moveaxis(y, class_axis, -1)
    elif _same((*y_shape, 1), shape) or _same(y_shape, (*shape, 1)):
        y = xp.reshape(y, shape)
    if not _same(xp.shape(y), shape):
        raise UserError(
            f"a sigmoid loss wants a target of the logits' shape {shape_text(xp.shape(logits))}; "
            f"found {shape_text(y_shape)}"
        )
    y = xp.pinned(xp.astype(y, z.dtype), shape)
    keep = None
    if ignore_index is not None:
        if not isinstance(ignore_index, int | float | np.number):
            raise UserError(f"ignore_index is {ignore_index!r}; it must be one number")
        keep = y != float(ignore_index)
        y = xp.where(keep, y, 0.0)
    y = refuse_values(
        xp,
        "target",
        y,
        lambda t: ~((t >= 0) & (t <= 1)),
        "a sigmoid target lies between 0 and 1 (pass ignore_index if it marks entries to leave out)",
    )
    weight = _element_weight(xp, sample_weight, z, shape, class_axis)
    return Arguments(xp, z, y, False, keep, weight, classes)


def _checked_weight(xp: Namespace, sample_weight: Any, z: Array) -> Array:
    weight = to_framework(xp, "sample_weight", sample_weight, z)
    if xp.name == "numpy" or not xp.is_floating(weight):
        weight = xp.astype(weight, z.dtype)
    weight = refuse_values(
        xp,
        "sample_weight",
        weight,
        lambda w: ~((w >= 0) & (w < float("inf"))),
        "weights are finite and at least 0",
    )
    return xp.astype(weight, z.dtype)


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
        return xp.pinned(weight, rows)
    if len(shape) == 0 or (len(shape) < len(rows) and _same(shape, rows[: len(shape)])):
        return _spread(xp, weight, rows, len(rows) - len(shape))
    if len(shape) == len(rows) > 1 and all(given in (1, size) for given, size in zip(shape, rows, strict=True)):
        return xp.broadcast_to(weight, rows)
    raise UserError(
        f"sample_weight has shape {shape_text(shape)}, but the loss has one row for each of {shape_text(rows)}; "
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
            return xp.pinned(weight, shape)
        if _same(given, (*shape[:-1], 1)):
            return _spread(xp, xp.reshape(weight, shape[:-1]), shape, 1)
    elif len(given) == 0:
        return _spread(xp, weight, shape, len(shape))
    elif _same(given, shape[: len(given)]) and len(given) < len(shape):
        return _spread(xp, weight, shape, len(shape) - len(given))
    elif _same(given, (*shape, 1)):
        return xp.reshape(weight, shape)
    raise UserError(
        f"sample_weight has shape {shape_text(given)}, but the loss has shape {shape_text(shape)}; "
        "pass one weight per row (N,), or per element"
    )


def _spread(xp: Namespace, weight: Array, shape: tuple[Any, ...], missing: int) -> Array:
    """`weight` with `missing` trailing axes, broadcast to `shape`."""
    weight = xp.pinned(weight, shape[: len(shape) - missing])
    return xp.broadcast_to(weight[(..., *(None,) * missing)], shape)


def arguments_of(
    logits: Any, target: Any, recipe: Recipe, sample_weight: Any, ignore_index: float | None, class_axis: int
) -> Arguments:
    """The arguments of a loss of either family in their one form."""
    check_recipe(recipe)
    if isinstance(recipe, SoftmaxRecipe):
        return softmax_arguments(logits, target, recipe, sample_weight, ignore_index, class_axis)
    return sigmoid_arguments(logits, target, recipe, sample_weight, ignore_index, class_axis)


def check_recipe(recipe: Any) -> None:
    """Raise for what is no recipe, such as the name of one."""
    if not isinstance(recipe, SoftmaxRecipe | SigmoidRecipe):
        raise UserError(
            f"recipe is {recipe!r}; pass a recipe, such as counterpoise.recipe('softmax.focal') or softmax.focal()"
        )
