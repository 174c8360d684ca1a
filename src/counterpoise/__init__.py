"""Counterpoise: classifiers on imbalanced classes, with honest probabilities and decisions that meet a goal.

    import counterpoise as cp

    counts = cp.count(labels)
    recipe = cp.softmax.logit_adjusted(counts)
    value = cp.loss(logits, target, recipe)         # NumPy, PyTorch, TensorFlow or JAX arrays
    probability = recipe.posterior(logits)

Importing it imports no framework; `cp.torch`, `cp.keras`, `cp.tensorflow`, `cp.jax`, `cp.lightgbm`, `cp.xgboost`,
`cp.catboost` and `cp.sklearn` are imported where they are first used.
"""

import importlib
from typing import Any

from counterpoise.counting import count
from counterpoise.errors import ClassWeightWarning, UserError
from counterpoise.goals import Goal, goal
from counterpoise.losses import linear_loss, loss, loss_and_gradient
from counterpoise.recipes import deferred, recipe, recipes, sigmoid, softmax
from counterpoise.weights import ClassCounts, LabelCounts, class_weights, pos_weight

__version__ = "0.1.0"

__all__ = [
    "ClassCounts",
    "ClassWeightWarning",
    "Goal",
    "LabelCounts",
    "UserError",
    "__version__",
    "class_weights",
    "count",
    "deferred",
    "goal",
    "linear_loss",
    "loss",
    "loss_and_gradient",
    "pos_weight",
    "recipe",
    "recipes",
    "sigmoid",
    "softmax",
]

_SUBMODULES = (
    "catboost",
    "decide",
    "goals",
    "jax",
    "keras",
    "lightgbm",
    "rates",
    "sklearn",
    "table",
    "tensorflow",
    "torch",
    "xgboost",
)


_OF_TABLES = ("load", "train")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"counterpoise.{name}")
    if name in _OF_TABLES:
        return getattr(_table(), name)
    raise AttributeError(f"module 'counterpoise' has no attribute {name!r}")


def _table() -> Any:
    try:
        return importlib.import_module("counterpoise.table")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("counterpoise"):
            raise
        raise UserError(f"{error.name} is not installed: pip install 'counterpoise[table]'") from None
