"""The arguments of a compiled kernel: a recipe in its form, and arrays as addresses and strides.

This is the only file that passes addresses; it holds the arrays until the call returns.
"""

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import counterpoise._kernels as _kernels
from counterpoise.recipes import Recipe, SoftmaxRecipe

TYPES = {"float16": 1, "bfloat16": 2, "float32": 3, "float64": 4, "int32": 5, "int64": 6}
"""The kernel's numbers for the dtypes that it reads."""

REDUCTIONS = {"none": 0, "sum": 1, "mean": 2, "weighted_mean": 3, "nonzero_mean": 4}
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
        found = _compiled[id(recipe), classes] = recipe, make(*parameters(recipe, classes))
    return found[1]


def parameters(recipe: Recipe, classes: int) -> tuple[Any, ...]:
    """The numbers of a recipe for so many classes, in the order in which the kernel takes them: lists, then scalars."""
    return _softmax(recipe, classes) if isinstance(recipe, SoftmaxRecipe) else _sigmoid(recipe)


def _softmax(recipe: SoftmaxRecipe, classes: int) -> tuple[Any, ...]:
    def each(value: Any) -> list[float]:
        numbers: list[float] = np.broadcast_to(value, (classes,)).tolist()
        return numbers

    s = recipe.temperature
    return (
        each(recipe.weight),
        each(s * recipe.scale),
        each(s * recipe.offset),
        each(s * recipe.margin),
        [] if recipe.cost is None else recipe.cost.reshape(-1).tolist(),
        recipe.focus,
        recipe.robustness,
        recipe.poly,
        recipe.smoothing,
        ("true", "predicted", "pair").index(recipe.weight_by),
        recipe.adds_expected_cost,
    )


def _sigmoid(recipe: Any) -> tuple[Any, ...]:
    shape = (recipe.classes or 1,)

    def each(value: Any) -> list[float]:
        numbers: list[float] = np.broadcast_to(value, shape).tolist()
        return numbers

    s = recipe.temperature
    return (
        each(recipe.pos_weight),
        each(recipe.neg_weight),
        each(s * recipe.scale),
        each(s * recipe.offset),
        recipe.pos_focus,
        recipe.neg_focus,
        recipe.clip,
        recipe.robustness,
        recipe.poly,
        recipe.smoothing,
    )


def types_and_options(
    dtypes: Sequence[str | None],
    recipe: Recipe,
    reduction: str,
    ignore_index: Any,
    *,
    fresh: bool = True,
    newton: tuple[float, float, float] = AS_IT_IS,
) -> tuple[Any, ...]:
    """The last arguments of `call`, which both families take.

    Parameters
    ----------
    dtypes
        Names of the dtypes of logits, target, sample weight, gradient and loss; None for an absent array.
    recipe, reduction, ignore_index
        As in `loss`.
    fresh
        Whether the gradient's memory is untouched.
    newton
        Bounds that make a curvature fit for Newton steps.
    """
    logits, target, weight, gradient, value = (0 if dtype is None else TYPES[dtype] for dtype in dtypes)
    number = int if isinstance(recipe, SoftmaxRecipe) else float
    ignored = (False, number(0)) if ignore_index is None else (True, number(ignore_index))
    return logits, target, weight, gradient, fresh, value, *ignored, REDUCTIONS[reduction], *newton


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
