"""The arguments of a compiled kernel: a recipe in its form, and arrays as addresses and strides.

This is the only file that passes addresses; it holds the arrays until the call returns.
"""

import ctypes
import os
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

import counterpoise._kernels as _kernels
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe

TYPES = {kind.name: kind for kind in _kernels.Type if kind is not _kernels.Type.nothing}
"""The dtypes that the kernel reads, by name."""

FLOATING = frozenset(name for name in TYPES if "float" in name)
WHOLE = frozenset(TYPES) - FLOATING
SINGLE = frozenset({"float32", "float64"})
"""The dtypes of sample weights, and of every floating array but logits where XLA calls the kernel."""

AS_IT_IS = (1.0, 0.0, 0.0)
"""A curvature that is not made fit for Newton steps: its factor, its least per gradient, its floor."""

OWN_THREADS = 0
"""In place of the address of a function that runs another one on the threads of OpenMP."""

_MOST_THREADS = 256  # as in native/threads.cpp
_MOST_COMPILED, _MOST_CLASSES = 256, 1_000_000
_compiled: dict[tuple[int, int], tuple[Recipe, Any]] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a recipe that every call needs: computed once, since a small batch takes less time than that."""

    recipe: Recipe
    softmax: bool
    classes: int | None
    one_weight: bool


_facts: dict[int, Facts] = {}


def facts_of(recipe: Recipe) -> Facts:
    """Family, number of classes, and whether one weight that is not 0 or 1 stands for all classes.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> facts_of(softmax.balanced_softmax([90, 10])).classes
    2
    """
    found = _facts.get(id(recipe))
    if found is None:
        if len(_facts) >= _MOST_COMPILED:
            _facts.clear()
        softmax = isinstance(recipe, SoftmaxRecipe)
        one_weight = isinstance(recipe, SoftmaxRecipe) and recipe.weight.ndim == 0 and recipe.weight not in (0, 1)
        found = _facts[id(recipe)] = Facts(recipe, softmax, recipe.classes, one_weight)
    return found


def compiled(recipe: Recipe, classes: int) -> Any:
    """The recipe as the kernel takes it for so many classes; made once and kept.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> recipe = softmax.focal()
    >>> compiled(recipe, 3) is compiled(recipe, 3)
    True
    """
    # the recipe is kept with it, so that no other one can get its id
    found = _compiled.get((id(recipe), classes))
    if found is None:
        kept = list(_compiled)  # at once: another thread may add to it meanwhile
        if len(kept) >= _MOST_COMPILED or classes + sum(held for _, held in kept) > _MOST_CLASSES:
            _compiled.clear()
        make = _kernels.Softmax if isinstance(recipe, SoftmaxRecipe) else _kernels.Sigmoid
        found = _compiled[id(recipe), classes] = recipe, make(**parameters(recipe, classes))
    return found[1]


def parameters(recipe: Recipe, classes: int) -> dict[str, Any]:
    """The parameters of a recipe for so many classes as the kernel names them: numbers, and lists of one per class.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> parameters(softmax.focal(gamma=3), 2)["focus"]
    3.0
    """
    return _softmax(recipe, classes) if isinstance(recipe, SoftmaxRecipe) else _sigmoid(recipe)


def _softmax(recipe: SoftmaxRecipe, classes: int) -> dict[str, Any]:
    s = recipe.temperature
    each = {
        "weight": recipe.weight,
        "scale": s * recipe.scale,
        "offset": s * recipe.offset,
        "margin": s * recipe.margin,
    }
    return {
        **{name: np.broadcast_to(value, (classes,)).tolist() for name, value in each.items()},
        "pair": [] if recipe.cost is None else recipe.cost.reshape(-1).tolist(),
        **{name: getattr(recipe, name) for name in ("focus", "robustness", "poly", "smoothing")},
        "weight_by": ("true", "predicted", "pair").index(recipe.weight_by),
        "adds_expected_cost": recipe.adds_expected_cost,
    }


def _sigmoid(recipe: SigmoidRecipe) -> dict[str, Any]:
    shape, s = (recipe.classes or 1,), recipe.temperature
    each = {"pos_weight": recipe.pos_weight, "neg_weight": recipe.neg_weight}
    each |= {"scale": s * recipe.scale, "offset": s * recipe.offset}
    return {
        **{name: np.broadcast_to(value, shape).tolist() for name, value in each.items()},
        **{
            name: getattr(recipe, name)
            for name in ("pos_focus", "neg_focus", "clip", "robustness", "poly", "smoothing")
        },
    }


@lru_cache(_MOST_COMPILED)
def options(
    logits: str,
    target: str,
    sample_weight: str | None,
    gradient: str | None,
    loss: str,
    *,
    reduction: str,
    fresh: bool = True,
    newton: tuple[float, float, float] = AS_IT_IS,
) -> _kernels.Options:
    """What a call of either family needs besides its recipe, the places of the rows, and addresses.

    Parameters
    ----------
    logits, target, sample_weight, gradient, loss
        Names of their dtypes; None for an absent array.
    reduction
        As in `loss`.
    fresh
        Whether the gradient's memory is untouched.
    newton
        Bounds that make a curvature fit for Newton steps.
    """
    return _kernels.Options(
        logits=TYPES[logits],
        target=TYPES[target],
        sample_weight=_kernels.Type.nothing if sample_weight is None else TYPES[sample_weight],
        gradient=_kernels.Type.nothing if gradient is None else TYPES[gradient],
        loss=TYPES[loss],
        reduction=getattr(_kernels.Reduction, reduction),
        fresh=fresh,
        curvature_factor=newton[0],
        per_gradient=newton[1],
        floor=newton[2],
    )


class Given(NamedTuple):
    """Shape of an array, and the name of its dtype, or None for one that the kernel does not know."""

    shape: tuple[int, ...]
    dtype: str | None


def takes(recipe: Recipe, class_axis: Any, logits: Given, target: Given, sample_weight: Given | None) -> bool:
    """Whether the kernel computes the loss of arrays of such shapes and dtypes without a copy in another form.

    Parameters
    ----------
    recipe, class_axis
        As in `loss`.
    logits, target, sample_weight
        Shapes and dtypes of the arrays; None for no weight.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> takes(softmax.focal(), -1, Given((5, 3), "float32"), Given((5,), "int64"), None)
    True
    >>> takes(softmax.focal(), -1, Given((5, 3), "float32"), Given((5,), "float32"), None)
    False
    """
    shape = logits.shape
    axes = len(shape)
    if logits.dtype not in FLOATING or axes == 0 or 0 in shape:
        return False
    if type(class_axis) is not int or not -axes <= class_axis < axes:
        return False
    facts = facts_of(recipe)
    if facts.classes is not None and facts.classes != (shape[class_axis] if facts.softmax or axes > 1 else 1):
        return False
    rows = shape
    if facts.softmax:
        axis = class_axis % axes
        rows = shape[:axis] + shape[axis + 1 :]
        if target.shape != (rows if target.dtype in WHOLE else shape):
            return False
    elif target.shape != shape:
        return False
    if target.dtype not in TYPES:
        return False
    return sample_weight is None or (sample_weight.shape == rows and sample_weight.dtype in SINGLE)


def can_ignore(recipe: Recipe, target_dtype: str | None, ignore_index: Any) -> bool:
    """Whether the kernel can look for this value in a target: a class index among integers, any number elsewhere.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid, softmax
    >>> can_ignore(softmax.focal(), "int64", -100), can_ignore(softmax.focal(), "int64", 0.5)
    (True, False)
    >>> can_ignore(sigmoid.focal(), "float32", 0.5)
    True
    """
    if ignore_index is None:
        return True
    if not facts_of(recipe).softmax:
        return type(ignore_index) in (int, float)
    return type(ignore_index) is int and abs(ignore_index) < 2**63 and target_dtype in WHOLE


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the classes of each row are: rows are (outer, inner), strides count elements."""

    outer: int
    inner: int
    classes: int
    outer_stride: int
    inner_stride: int
    class_stride: int

    @property
    def strides(self) -> tuple[int, int, int]:
        """Those of the rows, outer and inner, and that of the classes."""
        return self.outer_stride, self.inner_stride, self.class_stride


def layout(shape: tuple[int, ...], strides: tuple[int, ...], class_axis: int) -> Layout | None:
    """The layout of logits, or None where their rows are not evenly spaced.

    Parameters
    ----------
    shape, strides
        Shape and strides of the array, strides in elements.
    class_axis
        Axis of the classes.

    Examples
    --------
    >>> layout((8, 19, 64, 64), (77824, 4096, 64, 1), 1)
    Layout(outer=8, inner=4096, classes=19, outer_stride=77824, inner_stride=1, class_stride=4096)
    >>> layout((5, 3), (3, 1), -1)
    Layout(outer=1, inner=5, classes=3, outer_stride=0, inner_stride=3, class_stride=1)
    """
    axis = class_axis % len(shape)
    before = _merged(shape[:axis], strides[:axis])
    after = _merged(shape[axis + 1 :], strides[axis + 1 :])
    if before is None or after is None:
        return None
    if axis == len(shape) - 1:
        before, after = (1, 0), before
    return Layout(before[0], after[0], shape[axis], before[1], after[1], strides[axis])


def _merged(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int] | None:
    """Size and stride of several axes taken as one, or None where one stride cannot tell."""
    size, step = 1, 0
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length == 1:
            continue
        if size == 1:
            size, step = length, stride
        elif stride == step * size:
            size *= length
        else:
            return None
    return size, step


@cache
def region_of(library: str) -> int:
    """The address of the function that runs another one on the OpenMP threads of a loaded library, or `OWN_THREADS`.

    Such threads spin for a while after each of the library's operations, and keep the processors from any other thread:
    what follows such an operation is best done by them.
    """
    try:
        found = ctypes.cast(ctypes.CDLL(library).GOMP_parallel, ctypes.c_void_p).value
    except (AttributeError, OSError):  # it was built without OpenMP, or with another one
        return OWN_THREADS
    return found or OWN_THREADS


def threads_here() -> int:
    """How many threads NumPy's losses use: OMP_NUM_THREADS, else one per processor that this process may use.

    Of a list the first number counts, as OpenMP says; what is not a number above 0 counts as nothing.
    """
    asked = re.match(r"\s*0*([1-9][0-9]*)\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    if asked:
        return min(int(asked[1][:9]), _MOST_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
