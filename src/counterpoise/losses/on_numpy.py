"""Loss, gradient and diagonal curvature of NumPy arrays, by the compiled kernels."""

from contextlib import suppress
from typing import Any

import numpy as np

from counterpoise.arrays import numpy_namespace
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Arguments, arguments_of, check_recipe, warn_about_one_weight
from counterpoise.losses.kernel import AS_IT_IS, OWN_THREADS, TYPES, compiled, layout, threads_here, types_and_options
from counterpoise.losses.reduction import check_reduction
from counterpoise.recipes import Recipe, SoftmaxRecipe

IGNORED = -1
"""What stands for an ignored target once the arguments have their one form."""


def loss_and_gradient(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    ignore_index: float | None = None,
    class_axis: int = -1,
    *,
    curvature: bool = False,
    out: Any = None,
) -> Any:
    """The loss with its gradient by the logits, and its diagonal curvature if asked, for NumPy arrays.

    Parameters
    ----------
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis
        As in `loss`; arrays are NumPy's or can be turned into them.
    curvature
        Also give the diagonal of the Hessian, d2 loss / d logit_i^2. It can be negative (focus, robustness).
    out
        A floating array of the logits' shape that the gradient is written to; it may be `logits`, which saves memory.

    Returns
    -------
    tuple
        (loss, gradient) or (loss, gradient, curvature). The loss is as in `loss`, the others have the logits' shape and
        are those of the reduced loss; with "none", those of each entry's own loss. Of the logits' dtype, float32 for
        half precision; sums are taken in float64.

    Raises
    ------
    UserError
        As `loss` does, and for an `out` that does not fit.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> value, gradient = loss_and_gradient(np.array([[0.0, 0.0]]), [1], softmax.cross_entropy())
    >>> gradient
    array([[ 0.5, -0.5]])
    """
    check_reduction(reduction, normalizer)
    if not isinstance(logits, np.ndarray | np.generic | list | tuple):
        raise UserError(
            f"loss_and_gradient takes NumPy arrays; found {type(logits).__module__}.{type(logits).__qualname__}. "
            "Other frameworks differentiate counterpoise.loss themselves"
        )
    value, derivatives = _computed(
        logits,
        target,
        recipe,
        sample_weight,
        reduction,
        normalizer,
        ignore_index,
        class_axis,
        orders=2 if curvature else 1,
        out=out,
    )
    return (value, *derivatives)


def numpy_loss(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: Any,
    ignore_index: float | None,
    class_axis: int,
) -> Any:
    """The value alone; arguments as in `loss`."""
    return _computed(logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis, orders=0)[
        0
    ]


def newton_slopes(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    *,
    factor: float,
    per_gradient: float,
    floor: float,
    region: int = OWN_THREADS,
) -> tuple[Any, Any]:
    """Gradient and curvature of the summed loss, the curvature fit for Newton steps.

    Parameters
    ----------
    logits, target, recipe, sample_weight
        As in `loss`.
    factor
        Multiplies the curvature.
    per_gradient
        The least curvature per unit of the gradient's size, >= 0.
    floor
        The least curvature, > 0.
    region
        Whose threads to use, as `kernel.region_of` names them.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> plain = sigmoid.binary_cross_entropy()
    >>> _, curvature = newton_slopes(np.zeros(1), np.ones(1), plain, None, factor=1.0, per_gradient=0.8, floor=1e-16)
    >>> curvature
    array([0.4])
    """
    newton = (factor, per_gradient, floor)
    _, (gradient, curvature) = _computed(
        logits, target, recipe, sample_weight, "sum", None, None, -1, orders=2, newton=newton, region=region
    )
    return gradient, curvature


def _computed(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: Any,
    ignore_index: float | None,
    class_axis: int,
    *,
    orders: int,
    out: Any = None,
    newton: tuple[float, float, float] = AS_IT_IS,
    region: int = OWN_THREADS,
) -> tuple[Any, list[Any]]:
    check_recipe(recipe)
    given = (_at_most_double(logits), target, recipe, sample_weight, ignore_index, class_axis)
    logits = given[0]
    if not _in_plain_form(*given):
        arguments = arguments_of(*given)
        axis = class_axis if arguments.logits.ndim > 1 else -1
        logits = np.moveaxis(arguments.logits, -1, axis) if arguments.logits.ndim else arguments.logits
        target, sample_weight, ignore_index = _one_form(arguments, recipe, axis)
    elif isinstance(recipe, SoftmaxRecipe):
        warn_about_one_weight(recipe, logits.shape[class_axis])
    logits, target, sample_weight = (_ordinary(array) for array in (logits, target, sample_weight))
    dtype = np.dtype(np.float64 if logits.dtype == np.float64 else np.float32)
    derivatives = [np.empty_like(logits, dtype, subok=False) for _ in range(orders)]
    if out is not None:
        _check_out(out, given[0])
        fits = out.dtype == dtype or (dtype == np.float32 and out.itemsize < 4)
        apart = not any(isinstance(array, np.ndarray) and np.may_share_memory(out, array) for array in given[1:4:2])
        if orders == 1 and fits and apart and _is_ordinary(out):
            derivatives[0] = out
    call = _softmax if isinstance(recipe, SoftmaxRecipe) else _sigmoid
    value, odd = call(
        logits,
        target,
        recipe,
        sample_weight,
        reduction,
        float("nan") if normalizer is None else float(normalizer),
        ignore_index,
        class_axis,
        derivatives,
        newton,
        region,
    )
    if odd:
        arguments_of(*given)  # says what is wrong, and where
        if out is not None and np.may_share_memory(out, given[0]):
            raise UserError("logits, target or sample_weight hold NaN or another value that has no loss")
        if dtype == np.float32:  # finite logits whose loss does not fit into single precision on the way
            wide = (np.asarray(given[0]).astype(np.float64), *given[1:4])
            again, found = _computed(*wide, reduction, normalizer, given[4], class_axis, orders=orders, newton=newton)
            with np.errstate(over="ignore"):
                value = np.asarray(again)
                derivatives = [array.astype(dtype) for array in found]
    if out is not None and derivatives[0] is not out:
        out[...] = derivatives[0]
        derivatives[0] = out
    return value.astype(dtype)[()], derivatives


def _at_most_double(logits: Any) -> Any:
    """Long doubles as doubles, which is all that a loss needs and a kernel takes."""
    array = logits
    if isinstance(logits, list | tuple):
        with suppress(ValueError):  # a list that is no array is explained elsewhere
            array = np.asarray(logits)
    wide = isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f" and array.dtype.itemsize > 8
    return array.astype(np.float64) if wide else logits


def _in_plain_form(
    logits: Any, target: Any, recipe: Recipe, sample_weight: Any, ignore_index: float | None, class_axis: int
) -> bool:
    """Whether the kernel can take the arguments as they are; what it finds wrong in them `arguments_of` can explain."""
    if type(logits) is not np.ndarray or type(target) is not np.ndarray or logits.dtype.name not in TYPES:
        return False
    softmax = isinstance(recipe, SoftmaxRecipe)
    axes = logits.ndim
    if axes == 0 or logits.size == 0 or type(class_axis) is not int or not -axes <= class_axis < axes:
        return False
    if not (logits.dtype.isnative and target.dtype.isnative) or logits.dtype.kind in "iu":
        return False
    shape = logits.shape
    classes = shape[class_axis] if softmax or axes > 1 else 1
    if recipe.classes not in (None, classes):
        return False
    if softmax:
        axis = class_axis % axes
        rows = shape[:axis] + shape[axis + 1 :]
        if target.shape != rows or target.dtype.name not in ("int32", "int64"):
            return False
        if ignore_index is not None and not (type(ignore_index) is int and abs(ignore_index) < 2**63):
            return False
    else:
        rows = shape
        if target.shape != shape or target.dtype.name not in TYPES:
            return False
        if ignore_index is not None and type(ignore_index) not in (int, float):
            return False
    return sample_weight is None or (
        type(sample_weight) is np.ndarray
        and sample_weight.shape == rows
        and sample_weight.dtype.name in ("float32", "float64")
        and sample_weight.dtype.isnative
    )


def _one_form(arguments: Arguments, recipe: Recipe, class_axis: int) -> tuple[Any, Any, Any]:
    """Target, weight and ignored value for logits whose classes are back on their axis."""
    target, keep, weight = arguments.target, arguments.keep, arguments.weight
    ignored = None
    if keep is not None:
        target, ignored = np.where(keep, target, IGNORED), IGNORED
    softmax = isinstance(recipe, SoftmaxRecipe)
    if not arguments.hard and target.ndim:
        target = np.moveaxis(target, -1, class_axis)
    if weight is not None and weight.ndim and not softmax:
        weight = np.moveaxis(weight, -1, class_axis)
    return target, weight, ignored


def _check_out(out: Any, logits: Any) -> None:
    if not isinstance(out, np.ndarray) or not numpy_namespace.is_floating(out) or out.dtype.name not in TYPES:
        raise UserError(f"out must be a floating NumPy array; found {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != np.shape(logits):
        raise UserError(f"out has shape {out.shape}, but logits have {np.shape(logits)}")
    if not out.flags.writeable:
        raise UserError("out is read-only")
    if 0 in [step for step, size in zip(out.strides, out.shape, strict=True) if size > 1]:
        raise UserError("out is a broadcast array, whose elements share memory; pass an ordinary one")
    if not isinstance(logits, np.ndarray) or not np.may_share_memory(out, logits):
        return
    same = out.dtype == logits.dtype and out.strides == logits.strides and out.ctypes.data == logits.ctypes.data
    if not same and np.shares_memory(out, logits):
        raise UserError("out shares some memory with logits, which would be overwritten before it is read; pass logits")


def _is_ordinary(array: Any) -> bool:
    return bool(array.flags.aligned and array.dtype.isnative)


def _ordinary(array: Any) -> Any:
    """The array, or a copy in the machine's own byte order with whole steps between its numbers."""
    if array is None or _is_ordinary(array):
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _address(array: Any) -> int:
    if array is None:
        return 0
    return int(array.__array_interface__["data"][0]) if array.dtype.kind != "V" else int(array.ctypes.data)


def _dtypes(*arrays: Any) -> list[str | None]:
    return [None if array is None else array.dtype.name for array in arrays]


def _steps(array: Any) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def _softmax(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: float,
    ignore_index: Any,
    class_axis: int,
    derivatives: list[Any],
    newton: tuple[float, float, float],
    region: int,
) -> tuple[Any, int]:
    hard = target.ndim < logits.ndim
    rows = np.delete(logits.shape, class_axis).tolist()
    if logits.size == 0:
        return np.zeros(rows if reduction == "none" else ()), 0
    logits, where = _evenly_spaced(logits, class_axis)
    written = [_evenly_spaced(array, class_axis, like=where) for array in derivatives]
    spread = where
    if hard:
        target = np.ascontiguousarray(target)
    else:
        target, spread = _evenly_spaced(target, class_axis, like=where)
    if sample_weight is not None:
        sample_weight = np.ascontiguousarray(sample_weight)
    gradient, along = written[0] if written else (None, where)
    second = written[1][0] if len(written) > 1 else None
    each = np.empty(rows if reduction == "none" else ())
    call = compiled(recipe, where.classes).call(
        where.outer,
        where.inner,
        *where.strides,
        hard,
        *spread.strides,
        *along.strides,
        *types_and_options(
            _dtypes(logits, target, sample_weight, gradient, each), recipe, reduction, ignore_index, newton=newton
        ),
    )
    addresses = map(_address, (logits, target, sample_weight, gradient, second, each))
    odd = call(*addresses, normalizer, threads_here(), region)[2]
    for array, (buffer, _) in zip(derivatives, written, strict=True):
        if buffer is not array:
            array[...] = buffer
    return each, odd


def _evenly_spaced(array: Any, class_axis: int, like: Any = None) -> tuple[Any, Any]:
    """The array, or a copy whose rows are evenly spaced, with its layout; the rows split as in `like`."""
    found = layout(array.shape, _steps(array), class_axis)
    if found is None or (like is not None and (found.outer, found.inner) != (like.outer, like.inner)):
        array = np.ascontiguousarray(array)
        found = layout(array.shape, _steps(array), class_axis)
    return array, found


def _sigmoid(
    logits: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any,
    reduction: str,
    normalizer: float,
    ignore_index: Any,
    class_axis: int,
    derivatives: list[Any],
    newton: tuple[float, float, float],
    region: int,
) -> tuple[Any, int]:
    each = np.empty(logits.shape if reduction == "none" else ())
    if logits.size == 0:
        return np.zeros_like(each), 0
    run = 1
    if recipe.classes is not None and logits.ndim > 1:
        run = int(np.prod(logits.shape[class_axis % logits.ndim + 1 :], dtype=np.int64))
    logits, target = np.ascontiguousarray(logits), np.ascontiguousarray(target)
    if target.dtype == np.bool_ or target.dtype.name not in TYPES:
        target = target.astype(np.float64)
    if sample_weight is not None:
        sample_weight = np.ascontiguousarray(sample_weight)
    written = [array if array.flags.c_contiguous else np.empty(array.shape, array.dtype) for array in derivatives]
    gradient, second = [*written, None, None][:2]
    call = compiled(recipe, recipe.classes or 1).call(
        logits.size,
        run,
        *types_and_options(
            _dtypes(logits, target, sample_weight, gradient, each), recipe, reduction, ignore_index, newton=newton
        ),
    )
    addresses = map(_address, (logits, target, sample_weight, gradient, second, each))
    odd = call(*addresses, normalizer, threads_here(), region)[2]
    for array, buffer in zip(derivatives, written, strict=True):
        if buffer is not array:
            array[...] = buffer
    return each, odd
