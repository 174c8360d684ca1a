"""The arguments of a loss, checked and in one form: logits with the classes last, a target, a weight per row.

Shapes and dtypes are always checked. Values are checked where they can be seen. They cannot while a framework traces or
compiles, nor on an accelerator, which a check would stall; there a bad value gives NaN.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from counterpoise.arrays import Array, Namespace, namespace, shape_text, value_text
from counterpoise.errors import UserError, warn_about_weights
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.logits import checked_logits, refuse_bad_logits

CLASS_WEIGHT = {"softmax": "weight", "sigmoid": "pos_weight"}
"""The parameter of a recipe that PyTorch's own losses have too, by family."""


_RECIPES = (SoftmaxRecipe, SigmoidRecipe)


class Call(NamedTuple):
    """The arguments of a loss as the user gave them, in the order of `counterpoise.loss`."""

    logits: Any
    target: Any
    recipe: Recipe
    sample_weight: Any = None
    reduction: str = "mean"
    normalizer: Any = None
    ignore_index: Any = None
    class_axis: int = -1

    def checked(self, class_weight: Any = None) -> "Arguments":
        """The arguments in their one form, after an error for what is wrong with them."""
        given = (self.logits, self.target, self.recipe, self.sample_weight, self.ignore_index, self.class_axis)
        return arguments_of(*given, class_weight)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a loss in their one form.

    `logits` are (..., C), at least float32. `target` is integer (...) where it names classes (`hard`), else of
    the logits' shape and dtype. `keep` is False for ignored entries, or None where nothing is ignored.
    `weight` is the sample weight of each entry of the unreduced loss, or None. `class_weight` is what replaces the
    recipe's weight of each class, or None. The logits of entries that do not count are not read: values without a
    meaning there have become 0.
    """

    xp: Namespace
    logits: Array
    target: Array
    hard: bool
    keep: Array | None
    weight: Array | None
    classes: int
    class_weight: Array | None = None


def warn_about_one_weight(recipe: SoftmaxRecipe, classes: int) -> None:
    """Warn that one weight for several classes favours none."""
    if recipe.weight.ndim == 0 and recipe.weight not in (0, 1) and classes > 2:
        warn_about_weights(
            f"one weight ({recipe.weight:g}) for all {classes} classes only scales the loss; it favours no class. Pass "
            "one weight per class, for instance class_weights(counts)"
        )


def same_shape(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two shapes can be equal; sizes that are unknown while tracing are taken on trust."""
    return len(a) == len(b) and all(_can_be_equal(m, n) for m, n in zip(a, b, strict=True))


def _can_be_equal(m: Any, n: Any) -> bool:
    if isinstance(m, int) and isinstance(n, int):
        return m == n
    if "SymInt" in (type(m).__name__, type(n).__name__):  # PyTorch's compiler answers, and holds the program to it
        return bool(m == n)
    return True


def checked_ignore_index(ignore_index: Any, *, whole: bool) -> int | float | None:
    """The value of ignored targets, as a Python number.

    Parameters
    ----------
    ignore_index
        The user's value.
    whole
        Whether targets are class indices, hence integers of 64 bits; otherwise any number is valid, and NaN excludes
        NaN.

    Examples
    --------
    >>> checked_ignore_index(np.int64(-100), whole=True)
    -100
    """
    if ignore_index is None:
        return None
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | float | np.number):
        raise UserError(f"ignore_index is {value_text(ignore_index)}; it must be one number")
    if not whole:
        return float(ignore_index)
    if not isinstance(ignore_index, int | np.integer) and not float(ignore_index).is_integer():
        raise UserError(f"ignore_index is {ignore_index!r}; class indices are integers")
    ignored = int(ignore_index)
    if abs(ignored) >= 2**63:
        raise UserError(f"ignore_index is {ignore_index!r}, which no target of 64 bits can hold")
    return ignored


def checked_class_axis(class_axis: Any) -> int:
    """The axis of the classes, as a number of Python.

    Examples
    --------
    >>> checked_class_axis(np.int64(1))
    1
    """
    if isinstance(class_axis, bool) or not isinstance(class_axis, int | np.integer):
        raise UserError(f"class_axis is {value_text(class_axis)}; it must be an integer")
    return int(class_axis)


def is_kept(target: Array, ignored: float) -> Array:
    """Whether each target differs from the ignored value, which may be NaN.

    Examples
    --------
    >>> is_kept(np.array([0.0, -1.0, np.nan]), -1), is_kept(np.array([0.0, -1.0, np.nan]), np.nan)
    (array([ True, False,  True]), array([ True,  True, False]))
    """
    return target != ignored if ignored == ignored else target == target


def _without_unseen(xp: Namespace, z: Array, keep: Array | None, weight: Array | None, family: str) -> Array:
    """The logits, with 0 in ignored entries, and for values without a meaning where the weight is 0.

    Such logits may be NaN; in a product with 0 they would still make the gradient NaN. Those of weight 0 that have a
    meaning stay, since the slope by the weight is the loss.
    """
    softmax = family == "softmax"
    if keep is not None:
        z = xp.where(xp.with_axis(keep) if softmax else keep, z, 0.0)
    if weight is None:
        return z
    if not softmax:
        return xp.where((weight == 0) & (z != z), 0.0, z)
    impossible = xp.max(z, -1, True) == -float("inf")
    return xp.where(xp.with_axis(weight == 0) & (impossible | (z != z) | (z == float("inf"))), 0.0, z)


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
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        return xp.constant(converted, like, dtype)


def refuse_values(xp: Namespace, name: str, array: Array, bad: Any, problem: str) -> Array:
    """The array; a bad value raises an error if it can be seen, and becomes NaN if not.

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
    hard = whole and same_shape(y_shape, shape[:-1])
    if whole and classes > 1 and same_shape(y_shape, (*shape[:-1], 1)):
        y, hard = xp.reshape(y, shape[:-1]), True
    keep = None
    if hard:
        y = xp.pinned(xp.astype(y, xp.int64), shape[:-1])
        ignored = checked_ignore_index(ignore_index, whole=True)
        if ignored is not None:
            keep = y != ignored
            y = xp.where(keep, y, xp.constant(0, y, y.dtype))
        if xp.is_concrete(y):
            _check_classes(np.asarray(y), classes)
    else:
        moved = xp.moveaxis(y, class_axis, -1) if len(y_shape) == len(shape) else y
        if not same_shape(xp.shape(moved), shape):
            raise UserError(_target_shape_problem(xp, y, z, class_axis))
        if ignore_index is not None:
            raise UserError("ignore_index is for integer targets; give rows of a soft target sample_weight 0 instead")
        if not xp.is_floating(y) and xp.is_concrete(y):
            _check_one_hot(np.asarray(moved))
        y = refuse_values(
            xp,
            "target",
            xp.pinned(xp.astype(moved, z.dtype), shape),
            lambda t: (t < 0) | (t != t) | (t == float("inf")),
            "a soft target's shares are finite and at least 0",
        )
    weight = _row_weight(xp, sample_weight, z, shape[:-1])
    z = _without_unseen(xp, z, keep, weight, "softmax")
    refuse_bad_logits(xp, z, "softmax", class_axis)
    return Arguments(xp, z, y, hard, keep, weight, classes)


def _target_shape_problem(xp: Namespace, y: Array, z: Array, class_axis: int) -> str:
    y_shape, moved = xp.shape(y), list(xp.shape(z))
    classes = moved.pop()
    given = moved.copy()
    given.insert(class_axis % (len(moved) + 1), classes)
    problem = (
        f"logits {shape_text(tuple(given))} with class_axis={class_axis} need an integer target "
        f"{shape_text(tuple(moved))} or a soft target {shape_text(tuple(given))}; found {shape_text(y_shape)} "
        f"of dtype {y.dtype}"
    )
    if xp.is_floating(y) and same_shape(y_shape, tuple(moved)):
        return problem + ". Class indices must be integers"
    for axis in range(len(given)):
        rest = given[:axis] + given[axis + 1 :]
        if axis != class_axis % len(given) and same_shape(y_shape, tuple(rest)):
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
    elif same_shape((*y_shape, 1), shape) or same_shape(y_shape, (*shape, 1)):
        y = xp.reshape(y, shape)
    if not same_shape(xp.shape(y), shape):
        raise UserError(
            f"a sigmoid loss needs a target of the logits' shape {shape_text(xp.shape(logits))}; "
            f"found {shape_text(y_shape)}"
        )
    y = xp.pinned(xp.astype(y, z.dtype), shape)
    keep = None
    ignored = checked_ignore_index(ignore_index, whole=False)
    if ignored is not None:
        keep = is_kept(y, ignored)
        y = xp.where(keep, y, 0.0)
    y = refuse_values(
        xp,
        "target",
        y,
        lambda t: (t < 0) | (t != t) | (t > 1),
        "a sigmoid target lies between 0 and 1 (pass ignore_index if it marks entries to leave out)",
    )
    weight = _element_weight(xp, sample_weight, z, shape, class_axis)
    z = _without_unseen(xp, z, keep, weight, "sigmoid")
    refuse_bad_logits(xp, z, "sigmoid", class_axis)
    return Arguments(xp, z, y, False, keep, weight, classes)


def _checked_weight(xp: Namespace, sample_weight: Any, z: Array) -> Array:
    weight = to_framework(xp, "sample_weight", sample_weight, z)
    if not xp.is_floating(weight):
        weight = xp.astype(weight, z.dtype)
    # before the cast, so that an error shows the number that was passed
    single = "64" not in str(z.dtype)
    # a narrower type holds infinity and nothing else beyond; NumPy would warn of a bound that it cannot hold
    narrow = "64" not in str(weight.dtype)
    beyond = np.inf if narrow or not single else float(np.nextafter(np.finfo(np.float32).max, np.inf, dtype=np.float64))
    weight = refuse_values(
        xp,
        "sample_weight",
        weight,
        lambda w: (w < 0) | (w != w) | (w >= beyond),
        "weights are finite" + (" (float32, as the logits are)" if single else "") + " and at least 0",
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
    if same_shape(shape, rows):
        return xp.pinned(weight, rows)
    if len(shape) == 0 or (len(shape) < len(rows) and same_shape(shape, rows[: len(shape)])):
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
        if same_shape(given, shape):
            return xp.pinned(weight, shape)
        if same_shape(given, (*shape[:-1], 1)):
            return _spread(xp, xp.reshape(weight, shape[:-1]), shape, 1)
    elif len(given) == 0:
        return _spread(xp, weight, shape, len(shape))
    elif same_shape(given, shape[: len(given)]) and len(given) < len(shape):
        return _spread(xp, weight, shape, len(shape) - len(given))
    elif same_shape(given, (*shape, 1)):
        return xp.reshape(weight, shape)
    raise UserError(
        f"sample_weight has shape {shape_text(given)}, but the loss has shape {shape_text(shape)}; "
        "pass one weight per row (N,), or per element"
    )


def _spread(xp: Namespace, weight: Array, shape: tuple[Any, ...], missing: int) -> Array:
    """`weight` with `missing` trailing axes, broadcast to `shape`."""
    weight = xp.pinned(weight, shape[: len(shape) - missing])
    for _ in range(missing):
        weight = xp.with_axis(weight)
    return xp.broadcast_to(weight, shape)


def arguments_of(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    ignore_index: float | None,
    class_axis: int,
    class_weight: Any = None,
) -> Arguments:
    """The arguments of a loss of either family in their one form."""
    check_recipe(recipe)
    given = (sample_weight, ignore_index, class_axis)
    if isinstance(recipe, SoftmaxRecipe):
        arguments = softmax_arguments(logits, target, recipe, *given)
    else:
        arguments = sigmoid_arguments(logits, target, recipe, *given)
    if class_weight is None:
        return arguments
    return dataclasses.replace(arguments, class_weight=_checked_class_weight(arguments, class_weight))


def _checked_class_weight(arguments: Arguments, class_weight: Array) -> Array:
    """Class weights in the dtype of the logits; those that cannot be are an error, or NaN."""
    xp = arguments.xp
    axes = len(xp.shape(class_weight))
    if axes > 1 or (axes == 1 and xp.length(class_weight, 0) != arguments.classes):
        raise UserError(
            f"the class weights have shape {shape_text(xp.shape(class_weight))}, but logits have {arguments.classes} "
            "classes; pass one weight per class, in class order"
        )
    weight = refuse_values(
        xp,
        "the class weight",
        class_weight,
        lambda w: (w < 0) | (w != w) | (w == float("inf")),
        "weights are finite and at least 0",
    )
    return xp.astype(weight, arguments.logits.dtype)


def check_recipe(recipe: Any) -> None:
    """Raise an error for anything but a recipe, such as the name of one."""
    if not isinstance(recipe, _RECIPES):
        raise UserError(
            f"recipe is {value_text(recipe)}; pass a recipe, such as counterpoise.recipe('softmax.focal') or "
            "softmax.focal()"
        )
