"""LightGBM, XGBoost or CatBoost under any recipe, as a scikit-learn classifier.

The host's own estimator does the boosting and keeps all its parameters; here it gets the recipe's gradient and
curvature, the constant to start from, and the same loss to stop on.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils.validation import (
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from counterpoise.errors import UserError
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.sklearn.classifier import RecipeChoice, RecipeClassifier, best_constant, fine_counts, logits_of

_OWN_WEIGHTS: dict[str, tuple[Any, ...]] = {
    "class_weight": (),
    "is_unbalance": (False,),
    "scale_pos_weight": (1,),
    "pos_bagging_fraction": (1,),
    "neg_bagging_fraction": (1,),
    "class_weights": (),
    "auto_class_weights": ("None",),
}
"""The hosts' parameters that weigh or thin out classes, with the values that do not."""


class BoosterClassifier(RecipeClassifier):
    """A gradient booster trained on a recipe's own loss, with honest probabilities.

    Under plain cross-entropy it grows the trees that LightGBM and XGBoost grow by themselves. CatBoost by itself starts
    from 0 and chooses some parameters by the loss's name: here its trees are those of two classes with
    `boost_from_average=True` and a `learning_rate`.

    Parameters
    ----------
    estimator
        `lightgbm.LGBMClassifier`, `xgboost.XGBClassifier` or `catboost.CatBoostClassifier` with any parameters. It is
        copied, and the copy's objective and metric are replaced. Its own weights (`class_weight`, `scale_pos_weight`,
        …) are refused: weights belong to the recipe.
    recipe
        As in `LinearClassifier`.

    Attributes
    ----------
    estimator_
        The trained copy. Its raw scores are `decision_function`: the start is baked into it.
    classes_, counts_, recipe_, n_features_in_, feature_names_in_
        As in `LinearClassifier`.

    Notes
    -----
    Training starts at `recipe_.initial_logits(counts_)`, or at 0 where the loss has no best constant (recall, expected
    cost). With two classes one tree is grown in a round, also for a recipe of the softmax family, whose logits are then
    (-f/2, f/2) of the score f.

    Examples
    --------
    >>> from lightgbm import LGBMClassifier
    >>> rows = np.arange(200.0)[:, None]
    >>> label = np.where(rows[:, 0] >= 180, "rare", "common")
    >>> host = LGBMClassifier(n_estimators=50, n_jobs=1, verbosity=-1)
    >>> model = BoosterClassifier(host, "sigmoid.focal").fit(rows, label)
    >>> model.predict([[3.0], [199.0]]).tolist()
    ['common', 'rare']
    >>> model.predict_proba(rows)[:, 1].mean().round(2)
    np.float64(0.1)
    """

    estimator_: Any

    def __init__(self, estimator: Any, recipe: RecipeChoice = None) -> None:
        self.estimator = estimator
        self.recipe = recipe

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        **fit_params: Any,
    ) -> Self:
        """Grow trees.

        Parameters
        ----------
        X
            Features (N, D): an array, a sparse matrix, or a data frame, which is passed on unchanged, with its
            categories. NaN is missing.
        y
            Labels (N,), of at least two classes.
        sample_weight
            Weight of each row's loss, (N,), >= 0; default 1.
        eval_set
            Rows on which the recipe's loss is followed: (X, y) or (X, y, sample_weight), or a list of these. Set the
            estimator's `early_stopping_rounds` to stop on it.
        **fit_params
            Further arguments of the estimator's own `fit`, such as `callbacks` or `categorical_feature`.

        Returns
        -------
        BoosterClassifier
            The fitted classifier itself.

        Raises
        ------
        UserError
            For an estimator of no known host, or with class weights of its own; for fewer than two classes; for a
            recipe that does not fit the classes.
        """
        host = host_of(self.estimator)
        adapter = importlib.import_module(f"counterpoise.{host}")
        X, y = self._checked(X, y, reset=True)  # noqa: N806
        places, weight = self._learn_classes(X, y, sample_weight)
        objective = adapter.Objective(self.recipe_)
        if isinstance(self.recipe_, SoftmaxRecipe) and len(self.classes_) == 2:
            if host == "catboost":
                raise UserError(
                    f"{self.recipe_.name} is a softmax recipe and y has two classes, for which CatBoost grows one tree "
                    "a round; take the sigmoid recipe of the same loss, such as 'sigmoid.focal'"
                )
            objective = OneScore(objective)
        start = best_constant(self.recipe_, fine_counts(places, weight, self.classes_))
        parts = [eval_set] if isinstance(eval_set, tuple) else list(eval_set or [])
        held_out = [self._held_out(*part) for part in parts]
        self.estimator_ = clone(self.estimator)
        _FIT[host](self.estimator_, objective, Samples(X, places, weight), held_out, start, fit_params)
        adapter.bake_start(self.estimator_, start)
        return self

    def _held_out(self, X: Any, y: Any, sample_weight: Any = None) -> "Samples":  # noqa: N803
        X, y = self._checked(X, y, reset=False)  # noqa: N806
        places = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[places] != y
        if unknown.any():
            raise UserError(
                f"eval_set holds class {y[unknown].tolist()[0]!r}, which is not among the training labels "
                f"{self.classes_[:10].tolist()}; leave its rows out"
            )
        return Samples(X, places, None if sample_weight is None else np.asarray(sample_weight, np.float64))

    def _checked(self, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:  # noqa: N803
        """Features and labels after scikit-learn's checks; of a data frame only the names and sizes are looked at."""
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            X = validate_data(  # noqa: N806
                self, X, reset=reset, accept_sparse="csr", ensure_all_finite="allow-nan", ensure_min_samples=1 + reset
            )
        if isinstance(y, str) and y == "no_validation":
            return X
        if y is None:
            raise UserError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_consistent_length(X, y)
        return X, y

    def _logits(self, X: Any) -> NDArray[np.floating[Any]]:  # noqa: N803
        check_is_fitted(self)
        scores = _SCORES[host_of(self.estimator_)](self.estimator_, self._checked(X, reset=False))
        return logits_of(self.recipe_, scores.reshape(scores.shape[0], -1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Features, class places and weights."""

    X: Any
    places: NDArray[np.intp]
    weight: NDArray[np.float64] | None

    def start(self, constant: NDArray[np.float64]) -> NDArray[np.float64]:
        """The constant for each row, (N,) or (N, C)."""
        each = np.tile(constant, (len(self.places), 1))
        return each if len(constant) > 1 else each[:, 0]


@dataclass(frozen=True, slots=True)
class OneScore:
    """A host's objective of a softmax recipe and two classes, as a function of the one score f of (-f/2, f/2)."""

    objective: Any

    def __call__(self, label: Any, score: Any, sample_weight: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Gradient and curvature by the score."""
        logits = logits_of(self.objective.recipe, np.asarray(score)[:, None])
        gradient, curvature = self.objective(label, logits, sample_weight)
        # both hosts double the curvature of two classes; without it, that of f is the square of the mean root
        return (gradient[:, 1] - gradient[:, 0]) / 2, np.sqrt(curvature).mean(axis=1) ** 2 / 2

    def metric(self, label: Any, score: Any, sample_weight: Any = None) -> Any:
        """The mean loss, as the host wants it."""
        logits = logits_of(self.objective.recipe, np.asarray(score)[:, None])
        return self.objective.metric(label, logits, sample_weight)


def host_of(estimator: Any) -> str:
    """The library of an estimator: "lightgbm", "xgboost" or "catboost".

    Raises
    ------
    UserError
        For any other estimator, and for one that weighs classes itself.

    Examples
    --------
    >>> from lightgbm import LGBMClassifier
    >>> host_of(LGBMClassifier())
    'lightgbm'
    """
    found = [name for name in (kind.__module__.partition(".")[0] for kind in type(estimator).__mro__) if name in _FIT]
    if not found or not is_classifier(estimator):
        raise UserError(
            f"estimator is {type(estimator).__name__}; BoosterClassifier takes an LGBMClassifier, an "
            "XGBClassifier or a CatBoostClassifier. For a linear model there is LinearClassifier"
        )
    for name, neutral in _OWN_WEIGHTS.items():
        for spelled, value in _given(estimator, found[0], name).items():
            if not any(value == one for one in neutral):
                raise UserError(
                    f"estimator has {spelled}={value!r}, but the recipe weighs the classes; leave {spelled} out and "
                    "take recipe='softmax.weighted'"
                )
    for spelled, value in _given(estimator, found[0], "num_class").items():
        raise UserError(f"estimator has {spelled}={value!r}, but the classes are those of y; leave {spelled} out")
    return found[0]


def _given(estimator: Any, host: str, name: str) -> dict[str, Any]:
    """A parameter that the user set, by each spelling of it that the host knows."""
    spellings = {name}
    if host == "lightgbm":
        spellings = importlib.import_module("lightgbm.basic")._ConfigAliases.get(name)  # the only list there is
    elif name == "loss_function":
        spellings = {"loss_function", "objective"}  # of CatBoost, in which the second one wins
    return {key: value for key, value in estimator.get_params().items() if key in spellings and value is not None}


def _fit_lightgbm(
    model: Any,
    objective: Any,
    rows: Samples,
    held_out: list[Samples],
    start: NDArray[np.float64],
    extra: dict[str, Any],
) -> None:
    # a feature that cannot be split at all is an error under a custom objective, and harmless otherwise
    given = {"feature_pre_filter": False} | model.get_params()
    for name, value in (("objective", objective), ("metric", "None")):
        given |= dict.fromkeys((name, *_given(model, "lightgbm", name)), value)
    model.set_params(**given)
    if held_out:
        features, labels = tuple(part.X for part in held_out), tuple(part.places for part in held_out)
        if "eval_X" in inspect.signature(model.fit).parameters:  # since 4.7 LightGBM wants them apart
            extra = {"eval_X": features, "eval_y": labels} | extra
        else:
            extra = {"eval_set": list(zip(features, labels, strict=True))} | extra
        extra = {
            "eval_sample_weight": [part.weight for part in held_out],
            "eval_init_score": [part.start(start) for part in held_out],
            "eval_metric": objective.metric,
        } | extra
    model.fit(rows.X, rows.places, sample_weight=rows.weight, init_score=rows.start(start), **extra)


def _fit_xgboost(
    model: Any,
    objective: Any,
    rows: Samples,
    held_out: list[Samples],
    start: NDArray[np.float64],
    extra: dict[str, Any],
) -> None:
    model.set_params(objective=objective, eval_metric=objective.metric, disable_default_eval_metric=True)
    if held_out:
        extra = {
            "eval_set": [(part.X, part.places) for part in held_out],
            "base_margin_eval_set": [part.start(start) for part in held_out],
            "verbose": False,
        } | extra
        if any(part.weight is not None for part in held_out):
            extra["sample_weight_eval_set"] = [
                np.ones(len(part.places)) if part.weight is None else part.weight for part in held_out
            ]
    model.fit(rows.X, rows.places, sample_weight=rows.weight, base_margin=rows.start(start), **extra)


def _fit_catboost(
    model: Any,
    objective: Any,
    rows: Samples,
    held_out: list[Samples],
    start: NDArray[np.float64],
    extra: dict[str, Any],
) -> None:
    pool = importlib.import_module("catboost").Pool
    columns = {"cat_features": extra.pop("cat_features", None)}

    def pooled(part: Samples) -> Any:
        return pool(part.X, part.places, weight=part.weight, baseline=part.start(start), **columns)

    # the start is given, and CatBoost refuses to look for one where it does not know the loss
    losses = dict.fromkeys(("loss_function", *_given(model, "catboost", "loss_function")), objective)
    model.set_params(**losses, eval_metric=objective.metric, boost_from_average=False)
    if len(start) > 1:
        model.set_params(classes_count=len(start))  # CatBoost looks at a custom objective's labels too late
    model.fit(pooled(rows), eval_set=[pooled(part) for part in held_out] or None, **extra)


_FIT: dict[str, Callable[..., None]] = {
    "lightgbm": _fit_lightgbm,
    "xgboost": _fit_xgboost,
    "catboost": _fit_catboost,
}
_SCORES: dict[str, Callable[[Any, Any], NDArray[Any]]] = {
    "lightgbm": lambda model, X: model.predict(X, raw_score=True),  # noqa: N803
    "xgboost": lambda model, X: model.predict(X, output_margin=True),  # noqa: N803
    "catboost": lambda model, X: model.predict(X, prediction_type="RawFormulaVal"),  # noqa: N803
}
