"""Any recipe as a CatBoost objective, with its metric, its start and its probabilities.

    objective = Objective(recipe)
    start = objective.start(label)
    model = CatBoostClassifier(loss_function=objective, eval_metric=objective.metric)
    model.fit(rows, label, baseline=start)
    bake_start(model, start)
    probability = objective.predict_proba(model, other_rows)

Three classes or more need `custom_metric=["MultiClass"]` besides, by which CatBoost knows that it must grow for
several classes. It then calls the objective once per row, which takes most of the time.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.boosting.labels import target_of
from counterpoise.boosting.newton import newton
from counterpoise.boosting.objective import CONTAINS_A_START, RecipeObjective, one_constant, probabilities
from counterpoise.errors import UserError
from counterpoise.losses import loss
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe

_MARK = "counterpoise_start"
_SEVERAL = 'where there are three classes or more, give CatBoost custom_metric=["MultiClass"] too'


@dataclass
class Metric:
    """The mean loss of a recipe, for `eval_metric=`: lower is better.

    Parameters
    ----------
    recipe
        The loss.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> metric = Metric(sigmoid.binary_cross_entropy())
    >>> round(metric.get_final_error(*metric.evaluate([np.zeros(2)], np.array([0, 1]), None)), 4)
    0.6931
    """

    recipe: Recipe

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """The sum of losses, and of weights.

        Parameters
        ----------
        approxes
            One array of logits (N,) per class; one alone for a sigmoid recipe.
        target, weight
            Labels and weights (N,); weight may be None.
        """
        logits = np.stack([np.asarray(column) for column in approxes], axis=-1)
        logits = logits[:, 0] if logits.shape[1] == 1 else logits
        labels = target_of(self.recipe, target, logits, several=_SEVERAL)
        total = len(logits) if weight is None else np.sum(weight, dtype=np.float64)
        return float(loss(logits, labels, self.recipe, sample_weight=weight, reduction="sum")), float(total)

    def get_final_error(self, error: float, weight: float) -> float:
        """The mean from the two sums."""
        return error / weight if weight else 0.0

    def is_max_optimal(self) -> bool:
        """False: lower is better."""
        return False


class Objective(RecipeObjective):
    """A recipe as what CatBoost calls, for `loss_function=`; give it `eval_metric=objective.metric` too.

    For three classes or more also give it `custom_metric=["MultiClass"]`.

    Parameters
    ----------
    recipe, scale, floor, max_step
        As in `counterpoise.boosting.objective.RecipeObjective`.

    Examples
    --------
    >>> import catboost, numpy as np
    >>> from counterpoise.recipes import sigmoid
    >>> rows = np.arange(100.0)[:, None]
    >>> label = (rows[:, 0] > 80).astype(int)
    >>> objective = Objective(sigmoid.focal(gamma=2.0))
    >>> start = objective.start(label)
    >>> quiet = {"iterations": 50, "learning_rate": 0.3, "verbose": False, "allow_writing_files": False}
    >>> model = catboost.CatBoostClassifier(loss_function=objective, eval_metric=objective.metric, **quiet)
    >>> bake_start(model.fit(rows, label, baseline=start), start)
    >>> objective.predict_proba(model, [[10.0], [90.0]]).argmax(axis=1)
    array([0, 1])
    """

    @property
    def metric(self) -> Metric:
        """The mean loss, for `eval_metric=`: lower is better."""
        return Metric(self.recipe)

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> NDArray[np.float64]:
        """Slopes of rows of two classes, (N, 2): minus the gradient and minus the curvature.

        Parameters
        ----------
        approxes
            Logits, (N,).
        targets
            Labels, (N,).
        weights
            Sample weights, (N,), or None.

        Raises
        ------
        UserError
            For a softmax recipe. CatBoost shows it within an error of its own.
        """
        logits = np.asarray(approxes)
        target = target_of(self.recipe, targets, logits, several=_SEVERAL)
        slopes = newton(self.recipe, logits, target, weights, floor=self.floor / self.scale, max_step=self.step)
        return np.stack(slopes, axis=1) * -self.scale

    def calc_ders_multi(self, approxes: Any, target: float, weight: float) -> tuple[Any, Any]:
        """Slopes of one row of several classes: minus the gradient (C,), and minus the Hessian (C, C).

        The Hessian is positive definite up to a shift of all logits. It is the loss's own where hard labels meet no
        smoothing, cost or `weight_by`, and its diagonal elsewhere.

        Parameters
        ----------
        approxes
            Logits, (C,).
        target
            The class.
        weight
            Weight of the row.

        Raises
        ------
        UserError
            For a sigmoid recipe. CatBoost shows it within an error of its own.
        """
        recipe = self.recipe
        if isinstance(recipe, SigmoidRecipe):
            raise UserError(
                f"{recipe.name} is a sigmoid recipe, for two classes, but there are {len(approxes)}; take the softmax "
                "recipe of the same loss, such as softmax.cross_entropy() or softmax.focal()"
            )
        place = int(target)
        if place != target or not 0 <= place < len(approxes):
            raise UserError(f"target is {target:g}; a class is a whole number from 0 to {len(approxes) - 1}")
        factor, floor = -self.scale * (1.0 if weight is None else weight), self.floor / self.scale
        if recipe.smoothing or recipe.cost is not None or recipe.weight_by != "true":
            slopes = newton(recipe, np.asarray(approxes)[None], np.array([place]), floor=floor, max_step=self.step)
            return factor * slopes[0][0], factor * np.diag(slopes[1][0])
        gradient, hessian = row_slopes(recipe, np.asarray(approxes), place, 1 / self.step)
        np.fill_diagonal(hessian, np.maximum(np.diag(hessian), floor))
        return factor * gradient, factor * hessian

    def predict_proba(self, model: Any, data: Any = None) -> NDArray[Any]:
        """Honest probabilities of every class.

        Parameters
        ----------
        model
            A CatBoost model that was trained with this objective. If it was trained with a start, it must contain it
            (`bake_start`). Or raw scores, (N,) or (N, C), without `data`.
        data
            Features, or a `Pool` without a baseline (CatBoost would add the baseline a second time).

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
        scores = model if data is None else model.predict(data, prediction_type="RawFormulaVal")
        return probabilities(self.recipe, scores)


def row_slopes(
    recipe: SoftmaxRecipe, logits: NDArray[np.float64], place: int, least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (C,) and Hessian (C, C) of one row with a hard label, the Hessian made positive.

    With o the log odds against the truth, r the other classes' shares among themselves and v = r - truth, the loss
    w T(o) has the gradient w T' v and the Hessian w (T'' v v' + T' (diag r - r r')), whose second part is never
    negative.

    Parameters
    ----------
    recipe
        A loss without smoothing, cost or weights by prediction.
    logits
        Logits of one row, (C,).
    place
        Index of the true class.
    least
        Smallest ratio of T'' to T'.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> gradient, hessian = row_slopes(softmax.cross_entropy(), np.zeros(2), 0, 0.0)
    >>> gradient.tolist(), hessian.tolist()
    ([-0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
    """
    u = recipe.temperature * (recipe.scale * logits + recipe.offset)
    own = float(u[place])
    u[place] = -math.inf
    top = float(u.max())
    r = np.exp(u - top)
    total = float(r.sum())
    r /= total
    odds = top + math.log(total) - own + recipe.temperature * _of_class(recipe.margin, place)
    _, slope, bend = (float(part) for part in recipe.shape.derivatives(np.asarray(odds)))
    weight = _of_class(recipe.weight, place)
    v = r.copy()
    v[place] = -1.0
    chain = recipe.temperature * recipe.scale
    hessian = np.outer(v, v * max(bend, least * slope)) - np.outer(r, r * slope)
    hessian.flat[:: len(r) + 1] += r * slope
    return v * (weight * slope * chain), hessian * np.multiply.outer(weight * chain, chain)


def _of_class(value: NDArray[np.float64], place: int) -> float:
    return float(value if value.ndim == 0 else value[place])


def bake_start(model: Any, start: ArrayLike) -> None:
    """Add the constant that training started from to the model's bias.

    CatBoost forgets a pool's baseline: without this, the model's scores lack the constant. It marks the model in its
    metadata, also when it is saved; a model that trains on from it (`init_model`) has no mark.

    Parameters
    ----------
    model
        A trained CatBoost model; changed in place.
    start
        The result of `Objective.start`, or the constant itself: one number, or one per class.

    Raises
    ------
    UserError
        If the model contains a start already; if the start differs between rows, or is not of the model's shape.

    Examples
    --------
    >>> import catboost
    >>> quiet = {"iterations": 2, "verbose": False, "allow_writing_files": False}
    >>> model = catboost.CatBoostClassifier(**quiet).fit([[0], [1], [2]], [0, 1, 1])
    >>> before = model.predict([[1]], prediction_type="RawFormulaVal")
    >>> bake_start(model, 10.0)
    >>> model.predict([[1]], prediction_type="RawFormulaVal") - before
    array([10.])
    """
    scale, bias = model.get_scale_and_bias()
    constant = np.atleast_1d(bias) + one_constant(start, np.size(bias))
    metadata = model.get_metadata()
    if _MARK in metadata.keys():  # noqa: SIM118  # CatBoost's metadata have no other way to ask
        raise UserError(CONTAINS_A_START)
    model.set_scale_and_bias(scale, constant.tolist())
    metadata[_MARK] = "in the bias"
