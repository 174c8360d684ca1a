"""Writing an ONNX graph as formulas, and the parts of every model: encoding of columns, honest posterior.

All is double precision but the layers of networks, which are float32 as in the model. The formulas are those of
`Encoding.apply`, `SigmoidRecipe.posterior` and `SoftmaxRecipe.posterior`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.errors import UserError
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.recipes.shape import Shape
from counterpoise.table.features.encoding import LIMIT, Encoding
from counterpoise.table.learners.network import Layers

TREES = "ai.onnx.ml"
_FAR = 1e150
_NOTHING = -1e300
_VANISHED = -30.0


class Graph:
    """The nodes and constants of a graph, in order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: ArrayLike, dtype: Any = np.float64) -> "Value":
        """A constant of the graph."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value, dtype).reshape(np.shape(value)), name)
        )
        return Value(self, name)

    def call(
        self, operator: str, *inputs: "Value", domain: str = "", name: str | None = None, **attributes: Any
    ) -> "Value":
        """The result of an ONNX operator."""
        from onnx import helper

        result = name or f"v{len(self.nodes)}"
        names = [one.name for one in inputs]
        self.nodes.append(helper.make_node(operator, names, [result], domain=domain, **attributes))
        return Value(self, result)


@dataclass(frozen=True, slots=True)
class Value:
    """A value that the graph computes; a number combined with it is a double constant."""

    graph: Graph
    name: str

    def call(self, operator: str, *others: Any, **attributes: Any) -> "Value":
        """An operator whose first input this is."""
        rest = [one if isinstance(one, Value) else self.graph.constant(one) for one in others]
        return self.graph.call(operator, self, *rest, **attributes)

    def __add__(self, other: Any) -> "Value":
        return self.call("Add", other)

    def __sub__(self, other: Any) -> "Value":
        return self.call("Sub", other)

    def __mul__(self, other: Any) -> "Value":
        return self.call("Mul", other)

    def __truediv__(self, other: Any) -> "Value":
        return self.call("Div", other)

    def __neg__(self) -> "Value":
        return self.call("Neg")

    def cast(self, dtype: Any) -> "Value":
        """In another type."""
        from onnx import helper

        return self.call("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def columns(self, places: Sequence[int] | Any) -> "Value":
        """Some of the columns of a matrix."""
        return self.call("Gather", self.graph.constant(places, np.int64), axis=1)

    def where(self, condition: "Value", other: Any) -> "Value":
        """The value where the condition holds, else the other."""
        rest = other if isinstance(other, Value) else self.graph.constant(other)
        return self.graph.call("Where", condition, self, rest)


def encoded(features: Value, encoding: Encoding) -> Value:
    """`Encoding.apply` of the feature matrix, float32 (N, D)."""
    graph = features.graph
    parts = []
    if len(encoding.numbers):
        numbers = features.columns(encoding.numbers)
        apart = (numbers - encoding.middle).call("Clip", -_FAR, _FAR)
        tail = encoding.tail
        ratio = (apart.call("Abs") / np.where(tail > 0, tail, 1.0)).call("Min", np.finfo(np.float64).max)
        drawn_in = apart.call("Sign") * (ratio + 1.0).call("Log")
        values = drawn_in.where(graph.constant(tail > 0, np.bool_), apart)
        standard = ((values - encoding.mean) / encoding.deviation).call("Clip", -LIMIT, LIMIT)
        parts.append(graph.constant(0.0).where(numbers.call("IsNaN"), standard).cast(np.float32))
    if len(encoding.missing):
        parts.append(features.columns(encoding.missing).call("IsNaN").cast(np.float32))
    if len(encoding.values):
        places, codes = encoding.values.T
        parts.append(features.columns(places).call("Equal", codes.astype(np.float64)).cast(np.float32))
    if not parts:
        return features.columns([]).cast(np.float32)
    return graph.call("Concat", *parts, axis=1)


def network(columns: Value, layers: Layers) -> Value:
    """Logits of dense layers (N, outputs)."""
    graph = columns.graph
    for place, (weight, bias) in enumerate(layers):
        columns = columns.call("MatMul", graph.constant(weight, np.float32))
        columns = columns.call("Add", graph.constant(bias, np.float32))
        if place + 1 < len(layers):
            columns = columns.call("Relu")
    return columns.cast(np.float64)


def posterior(logits: Value, recipe: Recipe, label: str) -> Value:
    """Honest probabilities (N, C) from logits (N, 1) or (N, C).

    Raises
    ------
    UserError
        If the recipe has parameters whose posterior is not written here; `label` names the member in that.
    """
    shape = recipe.positive_shape if isinstance(recipe, SigmoidRecipe) else recipe.shape
    if shape.poly or recipe.smoothing or getattr(recipe, "clip", 0) or getattr(recipe, "weight_by", "true") != "true":
        raise UserError(
            f"{label}: the posterior of {recipe.name} with poly, clip, smoothing or weights that are not of the true "
            "class cannot be exported; train with plain cross-entropy, weights or focal"
        )
    return _of_two(logits, recipe) if isinstance(recipe, SigmoidRecipe) else _of_several(logits, recipe)


def _of_two(logits: Value, recipe: SigmoidRecipe) -> Value:
    u = (logits * recipe.scale + recipe.offset) * recipe.temperature
    moved = u + (np.log(recipe.neg_weight) - np.log(recipe.pos_weight))
    moved = moved + _log_slope(recipe.negative_shape, u) - _log_slope(recipe.positive_shape, -u)
    return logits.graph.call("Concat", (-moved).call("Sigmoid"), moved.call("Sigmoid"), axis=1)


def _of_several(logits: Value, recipe: SoftmaxRecipe) -> Value:
    u = (logits * recipe.scale + recipe.offset) * recipe.temperature
    weight, margin = np.log(recipe.weight), recipe.temperature * np.asarray(recipe.margin)
    if recipe.shape == Shape() and not margin.any():
        shifted: Value = u - weight
        return shifted.call("Softmax", axis=-1)
    odds = _odds_against_all(u, recipe)
    log_q = -odds.call("Softplus")
    log_p: Value = log_q - _log_slope(recipe.shape, odds + margin) - weight
    if margin.any():
        log_p = log_p + ((-(-odds).call("Softplus")).call("Exp") + (log_q - margin).call("Exp")).call("Log")
    return log_p.call("Softmax", axis=-1)


def _odds_against_all(u: Value, recipe: SoftmaxRecipe) -> Value:
    """Of each class the log odds of all others, (N, C): a sum over the others alone, which loses no digit near 1."""
    classes = int(recipe.classes or 0)
    others = u.call("Unsqueeze", u.graph.constant([1], np.int64)) + np.diag(np.full(classes, _NOTHING))
    return others.call("ReduceLogSumExp", u.graph.constant([2], np.int64), keepdims=0) - u


def _log_slope(shape: Shape, odds: Value) -> Value:
    """`Shape.log_slope` without clip and poly."""
    q, g = shape.robustness, shape.focus
    log_n, log_p = -(-odds).call("Softplus"), -odds.call("Softplus")
    if g == 0:
        return log_p * q
    inner = -log_p if q == 0 else ((log_p * q).call("Exp") - 1.0) * (-1.0 / q)
    vanished = odds.call("Less", _VANISHED)
    ratio = odds.graph.constant(1.0).where(vanished, inner / log_n.call("Exp"))
    return log_n * g + log_p * q + (ratio * (log_p * (1 - q)).call("Exp") * g + 1.0).call("Log")
