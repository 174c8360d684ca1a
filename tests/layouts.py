"""Hypothesis strategies: one array in every layout that memory allows, and calls of a loss with such arrays."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from counterpoise.recipes import SigmoidRecipe, SoftmaxRecipe

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
ACCURACY = {"float16": 2e-6, "bfloat16": 2e-6, "float32": 2e-6, "float64": 1e-11}
"""Of what is computed from logits that the dtype holds; half precision is computed in single."""


def _poison(dtype):
    return np.nan if dtype.kind in "fV" or dtype.name == "bfloat16" else np.iinfo(dtype).min


@st.composite
def laid_out(draw, values, negative=True):
    """The same values with other strides: axes stored in any order, with gaps of poison between, and backwards."""
    values = np.asarray(values)
    order = draw(st.permutations(range(values.ndim)))
    gaps = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in order]
    starts = [draw(st.integers(0, 2)) for _ in order]
    back = [negative and draw(st.booleans()) for _ in order]
    stored = values.transpose(order)
    room = np.full(
        [start + size * gap for start, size, gap in zip(starts, stored.shape, gaps, strict=True)],
        _poison(values.dtype),
        dtype=values.dtype,
    )
    view = room[tuple(slice(start, None, gap) for start, gap in zip(starts, gaps, strict=True))]
    view = view[tuple(slice(None, None, -1 if flip else 1) for flip in back)]
    view[...] = stored
    view = view.transpose(np.argsort(order))
    view.flags.writeable = draw(st.booleans()) or not negative  # PyTorch warns about read-only arrays
    return view


@st.composite
def repeated(draw, values):
    """The first entry of some axes in place of all others, as a broadcast view whose stride is 0."""
    values = np.asarray(values)
    index = tuple(slice(0, 1) if size and draw(st.booleans()) else slice(None) for size in values.shape)
    return np.broadcast_to(values[index], values.shape)


def any_layout(values, negative=True):
    """Either of the two, or plainly contiguous."""
    return st.one_of(laid_out(values, negative), repeated(values), st.just(np.ascontiguousarray(values)))


REDUCTIONS = ("none", "sum", "mean", "weighted_mean", "nonzero_mean")
sizes = st.integers(0, 4)


def recipe_of(family, kind, classes):
    """A recipe whose parameters differ from class to class."""
    rng = np.random.default_rng(classes)
    weight, scale, offset, margin = rng.uniform(0.2, 2, (4, classes))
    if family == "sigmoid":
        return {
            "plain": SigmoidRecipe(),
            "one": SigmoidRecipe(pos_weight=3.0, pos_focus=2.0, neg_focus=0.7, clip=0.05),
            "each": SigmoidRecipe(pos_weight=weight, neg_weight=margin, scale=scale, offset=offset, pos_focus=1.0),
            "smooth": SigmoidRecipe(pos_weight=weight, smoothing=0.1, robustness=0.4, poly=0.5),
        }[kind]
    each = {"weight": weight, "scale": scale, "offset": offset, "margin": margin}
    return {
        "plain": SoftmaxRecipe(),
        "one": SoftmaxRecipe(focus=2.0, temperature=1.3),
        "each": SoftmaxRecipe(focus=0.5, **each),
        "smooth": SoftmaxRecipe(smoothing=0.1, **each),
        "predicted": SoftmaxRecipe(weight=weight, weight_by="predicted", focus=1.0),
        "cost": SoftmaxRecipe(weight=weight, cost=rng.uniform(0, 3, (classes, classes)) * (1 - np.eye(classes))),
    }[kind]


@dataclass
class Given:
    """One call: arrays in some layout, and what they mean."""

    recipe: object
    logits: np.ndarray
    target: np.ndarray
    options: dict

    def plain(self):
        """Logits, target and options as contiguous arrays, all floating ones in float64."""
        options = {k: _plain(v) if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        return _plain(self.logits), _plain(self.target), options


def _plain(array):
    array = np.array(array, order="C")
    return array if array.dtype.kind == "i" else array.astype(np.float64)


@st.composite
def calls(draw, family, kinds, negative=True):
    """Any call of a family."""
    classes = draw(st.sampled_from([1, 2, 2, 3, 4, 5, 17, 33, 35]))
    rows = draw(st.lists(sizes, min_size=1, max_size=3 if classes < 10 else 2))
    axis = draw(st.integers(-len(rows) - 1, len(rows)))
    shape = list(rows)
    shape.insert(axis % (len(rows) + 1), classes)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dtype = DTYPES[draw(st.sampled_from(list(DTYPES)))]
    logits = draw(any_layout((rng.normal(size=shape) * 3).astype(dtype), negative))
    recipe = recipe_of(family, draw(st.sampled_from(kinds)), classes)
    options = {"reduction": draw(st.sampled_from(REDUCTIONS)), "class_axis": axis}
    if family == "softmax":
        entries, whole = rows, rng.integers(classes, size=rows)
        if draw(st.booleans()):
            options["ignore_index"] = draw(st.sampled_from([0, -1, -100]))
            whole = np.where(rng.uniform(size=rows) < 0.3, options["ignore_index"], whole)
        target = draw(any_layout(whole.astype(draw(st.sampled_from([np.int32, np.int64]))), negative))
    else:
        entries, target = shape, rng.integers(2, size=shape) if draw(st.booleans()) else rng.uniform(size=shape)
        if draw(st.booleans()):
            options["ignore_index"] = -1
            target = np.where(rng.uniform(size=shape) < 0.3, -1, target)
        kept = dtype if target.dtype.kind == "f" else draw(st.sampled_from([np.int32, np.int64, dtype]))
        target = draw(any_layout(target.astype(kept if np.dtype(kept).name != "bfloat16" else np.float32), negative))
    if draw(st.booleans()):
        weight = rng.integers(4, size=entries).astype(draw(st.sampled_from([np.float32, np.float64])))
        options["sample_weight"] = draw(any_layout(weight, negative))
    return Given(recipe, logits, target, options)


def close_to(found, true, accuracy):
    """Relative to the larger of 1 and the largest number."""
    found = np.asarray(found, dtype=np.float64)
    assert found.shape == np.shape(true)
    largest = np.max(np.abs(true), initial=1.0)
    np.testing.assert_allclose(found / largest, true / largest, rtol=0, atol=accuracy)
