"""Any recipe as a LightGBM objective, with its metric, its start and its probabilities.

    objective = Objective(recipe)
    start = objective.start(label)
    booster = lightgbm.train({"objective": objective}, Dataset(rows, label, init_score=start), feval=objective.metric)
    bake_start(booster, start)
    probability = objective.predict_proba(booster, other_rows)

LightGBM forgets the start of a custom objective, so the model must be given it: that is `bake_start`.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.boosting.labels import target_of
from counterpoise.boosting.newton import mean_loss, newton
from counterpoise.boosting.objective import (
    CONTAINS_A_START,
    RecipeObjective,
    installed,
    one_constant,
    probabilities,
    threads_of,
)
from counterpoise.errors import UserError
from counterpoise.recipes import Recipe

_SEVERAL = "give LightGBM the parameter num_class"


def library() -> Any:
    """LightGBM itself, or an error that says how to get it.

    Examples
    --------
    >>> library().__name__
    'lightgbm'
    """
    return installed("lightgbm", "LightGBM")


class Objective(RecipeObjective):
    """A recipe as what LightGBM calls: `lightgbm.train`, `lightgbm.cv` and its scikit-learn classes.

    Parameters
    ----------
    recipe, scale, floor, max_step
        As in `counterpoise.boosting.objective.RecipeObjective`.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> from counterpoise.recipes import sigmoid
    >>> rows = np.arange(100.0)[:, None]
    >>> label = (rows[:, 0] > 80).astype(int)
    >>> objective = Objective(sigmoid.focal(gamma=2.0))
    >>> start = objective.start(label)
    >>> data = lightgbm.Dataset(rows, label, init_score=start)
    >>> settings = {"objective": objective, "verbosity": -1, "num_threads": 1}
    >>> booster = lightgbm.train(settings, data, num_boost_round=20)
    >>> bake_start(booster, start)
    >>> objective.predict_proba(booster, [[10.0], [90.0]]).argmax(axis=1)
    array([0, 1])
    """

    def __call__(self, first: Any, second: Any, weight: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Gradient and curvature, each of the shape of the logits.

        Parameters
        ----------
        first, second
            Logits and `lightgbm.Dataset`, as `lightgbm.train` calls; or labels and logits, as its scikit-learn
            classes call.
        weight
            Sample weights of the second form, (N,).

        Raises
        ------
        UserError
            If logits and recipe are of different families, labels name no class, or all are of one class.
        """
        logits, label, weight = _arguments(first, second, weight)
        region = threads_of(getattr(library().basic, "_LIB", None))
        return self._slopes(logits, label, weight, factor=_factor(logits), several=_SEVERAL, region=region)

    def metric(self, first: Any, second: Any, weight: Any = None) -> tuple[str, float, bool]:
        """The mean loss, for `feval=` and for `eval_metric=`: lower is better.

        Parameters
        ----------
        first, second, weight
            As LightGBM calls an objective.

        Returns
        -------
        tuple
            "loss", the loss per row (per unit of weight where rows have weights), and False.
        """
        logits, label, weight = _arguments(first, second, weight)
        target = target_of(self.recipe, label, logits, several=_SEVERAL)
        return "loss", mean_loss(self.recipe, logits, target, weight), False

    def predict_proba(self, model: Any, data: Any = None) -> NDArray[Any]:
        """Honest probabilities of every class.

        Parameters
        ----------
        model
            A `Booster` or a scikit-learn estimator of LightGBM that was trained with this objective. If it was trained
            with a start, it must contain it (`bake_start`). Or raw scores, (N,) or (N, C), without `data`.
        data
            Features, in any form that LightGBM accepts for prediction.

        Returns
        -------
        numpy.ndarray
            (N, 2) for a sigmoid recipe, (N, C) for a softmax recipe; rows sum to 1.

        Raises
        ------
        UserError
            If the recipe has no posterior, or the scores do not fit it.

        Examples
        --------
        >>> from counterpoise.recipes import sigmoid
        >>> Objective(sigmoid.weighted([90, 10])).predict_proba([0.0]).round(3).tolist()
        [[0.9, 0.1]]
        """
        self._same_classes(model)
        return probabilities(self.recipe, model if data is None else model.predict(data, raw_score=True))


def _arguments(first: Any, second: Any, weight: Any) -> tuple[NDArray[Any], Any, Any]:
    """Logits, labels and weights from either of LightGBM's two orders."""
    if hasattr(second, "get_label"):
        return np.asarray(first), second.get_label(), second.get_weight()
    return np.asarray(second), first, weight


def _factor(logits: NDArray[Any]) -> float:
    """What LightGBM's multiclass objective multiplies its curvature by, since one tree per class moves them all."""
    return logits.shape[1] / (logits.shape[1] - 1) if logits.ndim == 2 and logits.shape[1] > 1 else 1.0


def slopes(
    recipe: Recipe, logits: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient and curvature per row as they are, the curvature with the factor that LightGBM itself uses.

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
        Weight of each row, (N,).

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> gradient, curvature = slopes(sigmoid.binary_cross_entropy(), [0.0, 0.0], [0, 1])
    >>> gradient.tolist(), curvature.tolist()
    ([0.5, -0.5], [0.25, 0.25])
    """
    scores = np.asarray(logits, np.float64)
    target = target_of(recipe, label, scores, several=_SEVERAL)
    return newton(recipe, scores, target, weight, factor=_factor(scores), floor=-np.inf)


def bake_start(model: Any, start: ArrayLike) -> None:
    """Add the constant that training started from to the leaves of the first trees, also of linear ones.

    LightGBM forgets a dataset's `init_score`: without this, the model's scores lack the constant. It marks the trees
    that contain it (shrinkage 1.00001), also in a saved model.

    Parameters
    ----------
    model
        A trained `Booster`, or a fitted scikit-learn estimator; changed in place. A booster that was kept for more
        training (`keep_training_booster=True`) cannot be trained on afterwards, except as an `init_model`.
    start
        The result of `Objective.start`, or the constant itself: one number, or one per class.

    Raises
    ------
    UserError
        If the model contains a start already, has no tree, or is a random forest; if the start differs between rows,
        or is not of the model's shape.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> rows = np.arange(100.0)[:, None]
    >>> data = lightgbm.Dataset(rows, label=rows[:, 0])
    >>> booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, data, num_boost_round=2)
    >>> before = booster.predict(rows)
    >>> bake_start(booster, 10.0)
    >>> bool(np.allclose(booster.predict(rows), before + 10))
    True
    """
    booster = getattr(model, "booster_", model)
    each = booster.num_model_per_iteration()
    constants = one_constant(start, each)
    head, *trees = _TREE.split(booster.model_to_string(num_iteration=-1))
    if not trees:
        raise UserError("the model has no tree, so nothing can contain the start; train at least one round")
    if any(_MARK in tree for tree in trees):
        raise UserError(CONTAINS_A_START)
    if "\naverage_output\n" in head:
        raise UserError("a random forest averages its trees and starts from nothing; bake_start is for boosted trees")
    for place, constant in enumerate(constants):
        trees[place] = _shifted(trees[place], float(constant))
    head = re.sub(r"^tree_sizes=.*\n", "", head, flags=re.MULTILINE)  # LightGBM finds trees without their sizes, too
    booster.model_from_string("".join((head, *trees)))
    booster.free_dataset()


_TREE = re.compile(r"^(?=Tree=\d+$)", re.MULTILINE)
_LEAVES = re.compile(r"^(leaf_value|leaf_const)=(.*)$", re.MULTILINE)  # of a linear leaf the constant is one of its own
_SHRINKAGE = re.compile(r"^shrinkage=.*$", re.MULTILINE)
_MARK = "\nshrinkage=1.00001\n"
"""LightGBM gives trees that contain its own start the shrinkage 1, which serves nothing but `refit`."""


def _shifted(tree: str, constant: float) -> str:
    """The text of a tree whose leaves are moved by a constant, marked."""

    def moved(found: re.Match[str]) -> str:
        return f"{found[1]}={' '.join(repr(float(value) + constant) for value in found[2].split())}"

    return _SHRINKAGE.sub(_MARK.strip(), _LEAVES.sub(moved, tree), count=1)
