"""Any recipe as an XGBoost objective, with its metric, its start and its probabilities.

    objective = Objective(recipe)
    settings = {"base_score": objective.initial_logits(label), "disable_default_eval_metric": True}
    booster = xgboost.train(settings, DMatrix(rows, label), obj=objective, custom_metric=objective.metric)
    probability = objective.predict_proba(booster, other_rows)

The model keeps `base_score`, so nothing needs baking. `XGBClassifier` takes it for a probability where there are two
classes; give its `fit` a `base_margin` and call `bake_start`.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.boosting.labels import target_of
from counterpoise.boosting.newton import is_plain, loss_and_mass
from counterpoise.boosting.objective import (
    CONTAINS_A_START,
    RecipeObjective,
    installed,
    one_constant,
    probabilities,
    threads_of,
)
from counterpoise.errors import UserError
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.weights import ClassCounts

_OWN_SHARE = 1e-6
"""What XGBoost adds to the share of each class before it takes the log, to start from."""

_MARK = "counterpoise_start"
_SEVERAL = "give XGBoost the parameter num_class"


class Objective(RecipeObjective):
    """A recipe as what XGBoost calls: `xgboost.train`, `xgboost.cv` and its scikit-learn classes.

    Parameters
    ----------
    recipe, scale, floor, max_step
        As in `counterpoise.boosting.objective.RecipeObjective`.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from counterpoise.recipes import sigmoid
    >>> rows = np.arange(100.0)[:, None]
    >>> label = (rows[:, 0] > 80).astype(int)
    >>> objective = Objective(sigmoid.focal(gamma=2.0))
    >>> settings = {"base_score": objective.initial_logits(label), "nthread": 1}
    >>> booster = xgboost.train(settings, xgboost.DMatrix(rows, label), 20, obj=objective)
    >>> objective.predict_proba(booster, np.array([[10.0], [90.0]])).argmax(axis=1)
    array([0, 1])
    """

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Gradient and curvature, each of the shape of the logits.

        Parameters
        ----------
        first, second
            Logits and `xgboost.DMatrix`, as `xgboost.train` calls; or labels and logits, as its scikit-learn
            classes call.
        sample_weight
            Sample weights of the second form, (N,).

        Raises
        ------
        UserError
            If logits and recipe are of different families, labels name no class, or all are of one class.
        """
        logits, label, weight = _arguments(first, second, sample_weight)
        # XGBoost's softmax objectives double their curvature
        factor = 2.0 if logits.ndim == 2 else 1.0
        region = threads_of(getattr(installed("xgboost", "XGBoost").core, "_LIB", None))
        return self._slopes(logits, label, weight, factor=factor, several=_SEVERAL, region=region)

    def metric(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        """The mean loss, for `custom_metric=` and for `eval_metric=`: lower is better.

        XGBoost itself rounds a custom metric to six decimals. Among the workers of its collective the mean is over the
        rows of all of them; XGBoost alone would take the mean of the workers' means.

        Parameters
        ----------
        first, second, sample_weight
            As XGBoost calls an objective.

        Returns
        -------
        tuple or float
            "loss" and the loss per row (per unit of weight where rows have weights); to the scikit-learn classes,
            which take a plain number, the loss alone.
        """
        logits, label, weight = _arguments(first, second, sample_weight)
        target = target_of(self.recipe, label, logits, several=_SEVERAL)
        total, mass = _of_all_workers(*loss_and_mass(self.recipe, logits, target, weight))
        value = total / mass if mass else 0.0
        return ("loss", value) if hasattr(second, "get_label") else value

    def initial_logits(self, label: ArrayLike | ClassCounts, weight: ArrayLike | None = None) -> Any:
        """The constant that training should start from: what `xgboost.train` takes as `base_score`.

        Parameters
        ----------
        label, weight
            Training labels and their weights, (N,); or `ClassCounts` of all rows, where several workers hold them.

        Returns
        -------
        float or list of float
            One number for a sigmoid recipe, one per class for a softmax recipe; the latter sum to 0, as XGBoost's own
            do, where that changes no probability.

        Examples
        --------
        >>> from counterpoise.recipes import softmax
        >>> [round(x, 3) for x in Objective(softmax.cross_entropy()).initial_logits([0, 0, 0, 1])]
        [0.549, -0.549]
        """
        found = super().initial_logits(label, weight)
        if not isinstance(self.recipe, SoftmaxRecipe):
            return found
        if is_plain(self.recipe):
            found = np.log(np.exp(found) + _OWN_SHARE)
        if (self.recipe.scale == np.max(self.recipe.scale)).all():
            found = found - found.mean()
        return found.tolist()

    def predict_proba(self, model: Any, data: Any = None) -> NDArray[Any]:
        """Honest probabilities of every class.

        Parameters
        ----------
        model
            A `Booster` or a scikit-learn estimator of XGBoost that was trained with this objective. Or raw scores, (N,)
            or (N, C), without `data`.
        data
            Features, in any form that the model, or `xgboost.DMatrix`, takes.

        Returns
        -------
        numpy.ndarray
            (N, 2) for a sigmoid recipe, (N, C) for a softmax recipe; rows sum to 1. Of the best round, if training
            stopped early.

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
        if data is None:
            return probabilities(self.recipe, model)
        self._same_classes(model)
        if hasattr(model, "get_booster"):
            return probabilities(self.recipe, model.predict(data, output_margin=True))
        xgboost = installed("xgboost", "XGBoost")
        matrix = data if isinstance(data, xgboost.DMatrix) else xgboost.DMatrix(data)
        best = model.attr("best_iteration")
        rounds = (0, 0 if best is None else int(best) + 1)
        return probabilities(self.recipe, model.predict(matrix, output_margin=True, iteration_range=rounds))


def _of_all_workers(total: float, mass: float) -> tuple[float, float]:
    """The sums over the workers that XGBoost trains on, in one exchange; of one process its own."""
    collective = installed("xgboost", "XGBoost").collective
    if not collective.is_distributed():
        return total, mass
    sums = collective.allreduce(np.array([total, mass]), collective.Op.SUM)
    return float(sums[0]), float(sums[1])


def _arguments(first: Any, second: Any, weight: Any) -> tuple[NDArray[Any], Any, Any]:
    """Logits, labels and weights from either of XGBoost's two orders."""
    if hasattr(second, "get_label"):
        weight = second.get_weight()
        return np.asarray(first), second.get_label(), weight if weight.size else None
    return np.asarray(second), first, weight


def bake_start(model: Any, start: ArrayLike) -> None:
    """Make the constant that training started from the model's `base_score`.

    XGBoost forgets a data set's `base_margin`: without this, the model's scores lack the constant. A model that was
    trained with `base_score` needs nothing. The model's attribute `counterpoise_start` marks what was done.

    Parameters
    ----------
    model
        A trained `Booster`, or a fitted scikit-learn estimator; changed in place.
    start
        The result of `Objective.start`, or the constant itself: one number, or one per class.

    Raises
    ------
    UserError
        If the model contains a start already; if the start differs between rows, is not of the model's shape, or is
        too large for the float32 probability in which XGBoost keeps it where the model is a logistic one.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from counterpoise.recipes import sigmoid
    >>> rows = np.arange(100.0)[:, None]
    >>> label = (rows[:, 0] > 80).astype(int)
    >>> objective = Objective(sigmoid.focal(gamma=2.0))
    >>> start = objective.start(label)
    >>> model = xgboost.XGBClassifier(objective=objective, n_estimators=20, n_jobs=1)
    >>> model = model.fit(rows, label, base_margin=start)
    >>> bake_start(model, start)
    >>> objective.predict_proba(model, [[10.0], [90.0]]).argmax(axis=1)
    array([0, 1])
    """
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    saved = json.loads(booster.save_raw("json"))
    learner = saved["learner"]
    shape = learner["learner_model_param"]
    constant = one_constant(start, max(1, int(shape["num_class"]), int(shape["num_target"])))
    if booster.attr(_MARK) is not None:
        raise UserError(CONTAINS_A_START)
    if learner["objective"]["name"] in ("binary:logistic", "binary:logitraw", "reg:logistic"):
        constant = (1 / (1 + np.exp(-constant))).astype(np.float32).astype(np.float64)
        if not ((constant > 0) & (constant < 1)).all():
            raise UserError(
                f"XGBoost cannot keep a start of {np.asarray(start).flat[0]:.4g} as a float32 probability; train with "
                "xgboost.train, which takes it as base_score"
            )
    if learner["gradient_booster"]["name"] == "gblinear" and len(constant) > 1:
        # a linear model gives every class the base score of the first one; its biases come last
        weights = learner["gradient_booster"]["model"]["weights"]
        weights[-len(constant) :] = (np.array(weights[-len(constant) :]) + constant).tolist()
        constant = np.zeros_like(constant)
    shape["base_score"] = f"[{','.join(f'{value:.9g}' for value in constant)}]"
    learner["attributes"][_MARK] = "baked"
    booster.load_model(bytearray(json.dumps(saved), "utf-8"))
