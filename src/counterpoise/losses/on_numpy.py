"""Loss, gradient and diagonal curvature of NumPy arrays, by the compiled kernels."""

from contextlib import suppress
from functools import cache
from types import NoneType
from typing import Any

import numpy as np

from counterpoise.arrays import numpy_namespace
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Arguments, Call, check_recipe, warn_about_one_weight
from counterpoise.losses.kernel import (
    AS_IT_IS,
    OWN_THREADS,
    TYPES,
    Given,
    can_ignore,
    compiled,
    layout,
    options,
    takes,
    threads_here,
)
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
    """The loss with its gradient with respect to the logits and, on request, its diagonal curvature, for NumPy arrays.

    Parameters
    ----------
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis
        As in `loss`; arrays are NumPy's or can be turned into them.
    curvature
        Whether to return the diagonal of the Hessian too, d2 loss / d logit_i^2; default False. It can be negative
        (focus, robustness).
    out
        Floating array of the logits' shape for the gradient; it may be `logits`, which saves memory.

    Returns
    -------
    tuple
        (loss, gradient) or (loss, gradient, curvature). The loss is as in `loss`. Gradient and curvature have the
        logits' shape and belong to the reduced loss; with "none", to each entry's own loss. They have the logits'
        dtype, float32 for half precision; sums are taken in float64.

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
    call = Call(logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis)
    value, derivatives = _computed(call, orders=2 if curvature else 1, out=out)
    return (value, *derivatives)


def numpy_loss(call: Call) -> Any:
    """The value alone."""
    return _computed(call, orders=0)[0]


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
        Factor of the curvature.
    per_gradient
        Smallest curvature per unit of the gradient's size, >= 0.
    floor
        Smallest curvature, > 0.
    region
        Owner of the threads, as `kernel.region_of` names them.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> plain = sigmoid.binary_cross_entropy()
    >>> _, curvature = newton_slopes(np.zeros(1), np.ones(1), plain, None, factor=1.0, per_gradient=0.8, floor=1e-16)
    >>> curvature
    array([0.4])
    """
    newton = (factor, per_gradient, floor)
    call = Call(logits, target, recipe, sample_weight, "sum")
    _, (gradient, curvature) = _computed(call, orders=2, newton=newton, region=region)
    return gradient, curvature


def _computed(
    call: Call,
    *,
    orders: int,
    out: Any = None,
    newton: tuple[float, float, float] = AS_IT_IS,
    region: int = OWN_THREADS,
) -> tuple[Any, list[Any]]:
    """The value and the requested derivatives; `out` as in `loss_and_gradient`, the rest as in `newton_slopes`."""
    check_recipe(call.recipe)
    given = _at_most_double(call)
    call = _as_the_kernel_takes(given)
    logits = call.logits
    dtype = np.dtype(np.float64 if logits.dtype == np.float64 else np.float32)
    derivatives = [np.empty_like(logits, dtype, subok=False) for _ in range(orders)]
    if out is not None:
        _check_out(out, given.logits)
        fits = out.dtype == dtype or (dtype == np.float32 and out.itemsize < 4)
        others = (given.target, given.sample_weight)
        apart = not any(isinstance(array, np.ndarray) and np.may_share_memory(out, array) for array in others)
        if orders == 1 and fits and apart and _is_ordinary(out):
            derivatives[0] = out
    run = _softmax if isinstance(call.recipe, SoftmaxRecipe) else _sigmoid
    value, odd = run(call, derivatives, newton, region)
    if odd:
        given.checked()  # says what is wrong, and where
        if out is not None and np.may_share_memory(out, given.logits):
            raise UserError("logits, target or sample_weight hold NaN or another value that has no loss")
        if dtype == np.float32:  # finite logits whose loss does not fit into single precision on the way
            wide = given._replace(logits=np.asarray(given.logits).astype(np.float64))
            again, found = _computed(wide, orders=orders, newton=newton)
            with np.errstate(over="ignore"):
                value = np.asarray(again)
                derivatives = [array.astype(dtype) for array in found]
    if out is not None and derivatives[0] is not out:
        out[...] = derivatives[0]
        derivatives[0] = out
    return value.astype(dtype)[()], derivatives


def _as_the_kernel_takes(call: Call) -> Call:
    """The call, or the same loss of arrays in the shapes, dtypes and byte order that the kernel reads."""
    if not _in_plain_form(call):
        call = _in_one_form(call, call.checked())
    elif isinstance(call.recipe, SoftmaxRecipe):
        warn_about_one_weight(call.recipe, call.logits.shape[call.class_axis])
    logits, target, weight = call.logits, call.target, call.sample_weight
    if _is_ordinary(logits) and _is_ordinary(target) and (weight is None or _is_ordinary(weight)):
        return call
    return call._replace(logits=_ordinary(logits), target=_ordinary(target), sample_weight=_ordinary(weight))


def _at_most_double(call: Call) -> Call:
    """Long doubles as doubles, which is all that a loss needs and a kernel takes."""
    array = logits = call.logits
    if isinstance(logits, list | tuple):
        with suppress(ValueError):  # a list that is no array is explained elsewhere
            array = np.asarray(logits)
    wide = isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f" and array.dtype.itemsize > 8
    return call._replace(logits=array.astype(np.float64)) if wide else call


def _in_plain_form(call: Call) -> bool:
    """Whether the kernel can take the arguments as they are; what it finds wrong in them `arguments_of` can explain."""
    logits, target, weight = call.logits, call.target, call.sample_weight
    if type(logits) is not np.ndarray or type(target) is not np.ndarray or type(weight) not in (np.ndarray, NoneType):
        return False
    of_logits, of_target = Given(logits.shape, _name(logits.dtype)), Given(target.shape, _name(target.dtype))
    of_weight = None if weight is None else Given(weight.shape, _name(weight.dtype))
    return takes(call.recipe, call.class_axis, of_logits, of_target, of_weight) and can_ignore(
        call.recipe, of_target.dtype, call.ignore_index
    )


@cache  # NumPy makes the name anew each time
def _name(dtype: np.dtype[Any]) -> str | None:
    """The name of a dtype whose numbers are in the machine's own byte order."""
    return dtype.name if dtype.isnative else None


def _in_one_form(call: Call, arguments: Arguments) -> Call:
    """The same loss of the arguments in their one form, but with the classes back on their axis."""
    logits, target, keep, weight = arguments.logits, arguments.target, arguments.keep, arguments.weight
    axis = call.class_axis if logits.ndim > 1 else -1
    ignored = None
    if keep is not None:
        target, ignored = np.where(keep, target, IGNORED), IGNORED
    if logits.ndim:
        logits = np.moveaxis(logits, -1, axis)
    if not arguments.hard and target.ndim:
        target = np.moveaxis(target, -1, axis)
    if weight is not None and weight.ndim and not isinstance(call.recipe, SoftmaxRecipe):
        weight = np.moveaxis(weight, -1, axis)
    return call._replace(logits=logits, target=target, sample_weight=weight, ignore_index=ignored)


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


def _dtypes(*arrays: Any) -> Any:
    return [None if array is None else array.dtype.name for array in arrays]


def _steps(array: Any) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def _softmax(call: Call, derivatives: list[Any], newton: tuple[float, float, float], region: int) -> tuple[Any, int]:
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis = call
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
    kernel = compiled(recipe, where.classes).call(
        outer=where.outer,
        inner=where.inner,
        logits=where.strides,
        target=spread.strides,
        gradient=along.strides,
        hard=hard,
        ignore_index=ignore_index,
        options=options(*_dtypes(logits, target, sample_weight, gradient, each), reduction=reduction, newton=newton),
    )
    addresses = map(_address, (logits, target, sample_weight, gradient, second, each))
    by = float("nan") if normalizer is None else float(normalizer)
    odd = kernel(*addresses, by, threads_here(), region)[2]
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


def _sigmoid(call: Call, derivatives: list[Any], newton: tuple[float, float, float], region: int) -> tuple[Any, int]:
    logits, target, recipe, sample_weight, reduction, normalizer, ignore_index, class_axis = call
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
    kernel = compiled(recipe, recipe.classes or 1).call(
        size=logits.size,
        run=run,
        ignore_index=ignore_index,
        options=options(*_dtypes(logits, target, sample_weight, gradient, each), reduction=reduction, newton=newton),
    )
    addresses = map(_address, (logits, target, sample_weight, gradient, second, each))
    by = float("nan") if normalizer is None else float(normalizer)
    odd = kernel(*addresses, by, threads_here(), region)[2]
    for array, buffer in zip(derivatives, written, strict=True):
        if buffer is not array:
            array[...] = buffer
    return each, odd
