"""Any recipe as a LightGBM objective.

    booster = lightgbm.train({"objective": Objective(recipe), ...}, Dataset(..., init_score=start))

A boosting round is a Newton step, gradient over curvature. Two things make that safe for losses other
than the plain one: a floor under the curvature, which focal losses turn negative, and a scale, so that
parameters that are sums of curvature (`min_sum_hessian_in_leaf`, `lambda_l2`) mean the same for all.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.losses import loss_and_gradient
from counterpoise.recipes import Recipe, SoftmaxRecipe


def library() -> Any:
    """LightGBM itself, or an error that says how to get it.

    Examples
    --------
    >>> library().__name__
    'lightgbm'
    """
    try:
        return importlib.import_module("lightgbm")
    except ImportError:
        raise UserError("LightGBM is not installed: pip install 'counterpoise[boosting]'") from None


@dataclass(frozen=True, slots=True)
class Objective:
    """Gradient and curvature of a recipe, in the form that `lightgbm.train` takes as an objective.

    Parameters
    ----------
    recipe
        The loss.
    scale
        Multiplies both. Tree structure and leaf values depend on it only through parameters that are
        sums of curvature.
    floor
        The least curvature of a row, after scaling. The default keeps the trees of plain cross-entropy.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> from counterpoise.recipes import sigmoid
    >>> rows = np.arange(100.0)[:, None]
    >>> data = lightgbm.Dataset(rows, label=rows[:, 0] > 80)
    >>> parameters = {"objective": Objective(sigmoid.focal(gamma=2.0)), "verbosity": -1}
    >>> lightgbm.train(parameters, data, num_boost_round=5).num_trees()
    5
    """

    recipe: Recipe
    scale: float = 1.0
    floor: float = 1e-12

    def __call__(self, logits: ArrayLike, dataset: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient and curvature, each of the shape of `logits`."""
        gradient, curvature = slopes(self.recipe, logits, dataset.get_label(), dataset.get_weight())
        return self.scale * gradient, np.maximum(self.scale * curvature, self.floor)


def slopes(
    recipe: Recipe, logits: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient and curvature per row, the curvature with the factor that LightGBM itself uses.

    Parameters
    ----------
    recipe
        The loss.
    logits
        (N,) for the sigmoid family, (N, C) for the softmax family.
    label
        (N,): from 0 to 1 for the sigmoid family, where a number between them is a soft label; whole
        numbers from 0 to C - 1 for the softmax family.
    weight
        How much each row counts, (N,).

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> gradient, curvature = slopes(sigmoid.binary_cross_entropy(), [0.0, 0.0], [0, 1])
    >>> gradient.tolist(), curvature.tolist()
    ([0.5, -0.5], [0.25, 0.25])
    """
    scores = np.asarray(logits, np.float64)
    several = isinstance(recipe, SoftmaxRecipe)
    target = _class_places(label, scores) if several else np.asarray(label, np.float64)
    _, gradient, curvature = loss_and_gradient(
        scores, target, recipe, reduction="sum", curvature=True, sample_weight=weight
    )
    if several and scores.shape[1] > 1:
        # LightGBM's multiclass objective has this factor, since one tree per class moves them all.
        curvature = curvature * (scores.shape[1] / (scores.shape[1] - 1))
    return np.asarray(gradient, np.float64), np.asarray(curvature, np.float64)


def _class_places(label: ArrayLike, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Labels, which LightGBM keeps as float32, as class places."""
    if scores.ndim != 2:
        raise UserError(
            f"a softmax recipe needs logits (N, C), but these have shape {scores.shape}; "
            "give LightGBM the parameter num_class, or take a sigmoid recipe for two classes"
        )
    found = np.asarray(label, np.float64)
    bad = np.flatnonzero(~((found == np.floor(found)) & (found >= 0) & (found < scores.shape[1])))
    if len(bad):
        raise UserError(
            f"label {found[bad[0]]:g} in row {bad[0]} is no class; a softmax recipe needs whole numbers "
            f"from 0 to {scores.shape[1] - 1}"
        )
    return found.astype(np.int64)


def bake_start(booster: Any, start: ArrayLike) -> None:
    """Add the constant that training started from to the leaves of the first trees.

    LightGBM forgets a dataset's `init_score`: without this, the saved model lacks the constant.

    Parameters
    ----------
    booster
        A trained booster; changed in place.
    start
        One number, or one per class.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> rows = np.arange(100.0)[:, None]
    >>> data = lightgbm.Dataset(rows, label=rows[:, 0])
    >>> booster = lightgbm.train({"verbosity": -1, "objective": "l2"}, data, num_boost_round=2)
    >>> before = booster.predict(rows)
    >>> bake_start(booster, 10.0)
    >>> bool(np.allclose(booster.predict(rows), before + 10))
    True
    """
    constants = np.atleast_1d(np.asarray(start, np.float64))
    leaves = [tree["num_leaves"] for tree in booster.dump_model(num_iteration=1)["tree_info"]]
    for tree, constant in enumerate(constants):
        for leaf in range(max(1, leaves[tree])):
            booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) + constant)
