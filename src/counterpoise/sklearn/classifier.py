"""What the linear model and the boosters share: labels, counts, the recipe made of them, the posterior."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from counterpoise.errors import UserError
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe, recipe, recipes, sigmoid, softmax
from counterpoise.weights import ClassCounts

_PARTS_OF_ALL = 10**12

RecipeChoice = Recipe | str | Callable[[ClassCounts], Recipe] | None
"""A recipe; its name; a function that makes it of the training counts; or None, plain cross-entropy."""


class NoPosteriorError(UserError, AttributeError):
    """Probabilities are asked for under a recipe that has none.

    An AttributeError too, so that scikit-learn sees a classifier without `predict_proba` and takes its scores instead.

    Examples
    --------
    >>> issubclass(NoPosteriorError, UserError)
    True
    """


class RecipeClassifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that learns logits under a recipe and answers with the recipe's posterior."""

    recipe: RecipeChoice
    classes_: NDArray[Any]
    counts_: ClassCounts
    recipe_: Recipe
    _why_no_posterior: str

    @abstractmethod
    def _logits(self, X: Any) -> NDArray[np.floating[Any]]:  # noqa: N803
        """The recipe's logits: (N,) for the sigmoid family, (N, C) for the softmax family."""

    def decision_function(self, X: Any) -> NDArray[np.floating[Any]]:  # noqa: N803
        """The logits that were trained: raw scores, before the recipe's posterior.

        Parameters
        ----------
        X
            Features (N, D), like the training data.

        Returns
        -------
        numpy.ndarray
            Scores (N,) for two classes, larger for `classes_[1]`; else (N, C).
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.ndim == 2 and logits.shape[1] == 2 else logits

    @property
    def predict_proba(self) -> Callable[[Any], NDArray[np.floating[Any]]]:
        """Honest class probabilities, `recipe_.posterior` of the logits, for classes as frequent as in training.

        Called with X, (N, D), like the training data, it gives (N, C), in the order of `classes_`, rows summing to 1.

        Raises
        ------
        UserError
            If the recipe has no posterior (recall, expected cost, a weight of 0). It is an AttributeError too: for
            scikit-learn, as `hasattr` says, the classifier then has no `predict_proba`.
        """
        if getattr(self, "_why_no_posterior", ""):
            raise NoPosteriorError(
                f"{self._why_no_posterior}. Use predict or decision_function; CalibratedClassifierCV learns "
                "probabilities from the latter"
            )
        return self._predict_proba

    def _predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:  # noqa: N803
        logits = self._logits(X)
        probability: NDArray[np.floating[Any]] = self.recipe_.posterior(logits)
        return probability if probability.ndim == 2 else np.stack([1 - probability, probability], axis=1)

    _predict_proba.__name__ = "predict_proba"  # scikit-learn asks a method for its name

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class; where the recipe has no posterior, the class with the highest score.

        Parameters
        ----------
        X
            Features (N, D), like the training data.

        Returns
        -------
        numpy.ndarray
            Labels (N,), from `classes_`.
        """
        check_is_fitted(self)
        scores = self._logits(X) if self._why_no_posterior else self._predict_proba(X)
        chosen = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)
        labels: NDArray[Any] = self.classes_[chosen]
        return labels

    def _learn_classes(self, X: Any, y: Any, sample_weight: Any) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:  # noqa: N803
        """Set `classes_`, `counts_` and `recipe_`; return class places and checked weights."""
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(
                f"{type(self).__name__} needs at least two classes, but y holds one class only: "
                f"{self.classes_.tolist()}"
            )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise UserError("sample_weight is 0 for every row; at least one row must count")
        self.counts_ = _counts(places, weight, self.classes_)
        self.recipe_ = _made(self.recipe, self.counts_)
        self._why_no_posterior = ""
        try:
            self.recipe_.posterior(logits_of(self.recipe_, np.zeros((1, score_columns(self.classes_)))))
        except UserError as reason:
            self._why_no_posterior = str(reason)
        return places, weight


def score_columns(classes: Sized) -> int:
    """How many scores a model gives a row: one for two classes, else one per class.

    Examples
    --------
    >>> score_columns(["no", "yes"]), score_columns(["a", "b", "c"])
    (1, 3)
    """
    return 1 if len(classes) == 2 else len(classes)


def logits_of(recipe: Recipe, scores: NDArray[Any]) -> NDArray[Any]:
    """Logits as the recipe takes them, of scores (N, 1) for two classes, else (N, C).

    A softmax recipe of two classes gets (-f/2, f/2), as its loss depends on the difference only.

    Examples
    --------
    >>> logits_of(softmax.focal(), np.array([[3.0]])).tolist(), logits_of(sigmoid.focal(), np.array([[3.0]])).tolist()
    ([[-1.5, 1.5]], [3.0])
    """
    if not isinstance(recipe, SoftmaxRecipe):
        return scores[:, 0]
    return scores if scores.shape[1] > 1 else np.concatenate([-scores / 2, scores / 2], axis=1)


def best_constant(recipe: Recipe, counts: ClassCounts) -> NDArray[np.float64]:
    """The scores to start from, (K,): the best ones without any feature, or 0 for a loss that has none.

    Examples
    --------
    >>> best_constant(softmax.cross_entropy(), ClassCounts([90, 10])).round(3)
    array([-2.197])
    """
    try:
        logits = np.atleast_1d(recipe.initial_logits(counts))
    except UserError:
        return np.zeros(score_columns(counts))
    return logits[1:] - logits[:1] if len(logits) == 2 else logits


def _counts(places: NDArray[np.intp], weight: NDArray[np.float64] | None, classes: NDArray[Any]) -> ClassCounts:
    """Samples per class. Whole weights repeat their rows; others are only relative."""
    total = np.bincount(places, weights=weight, minlength=len(classes))
    if weight is not None and (weight != np.floor(weight)).any():
        scaled = total * (len(places) / total.sum())
        total = np.where(total > 0, np.maximum(np.rint(scaled), 1), 0)
    return ClassCounts(total.astype(np.int64), classes=classes.tolist())


def fine_counts(places: NDArray[np.intp], weight: NDArray[np.float64] | None, classes: NDArray[Any]) -> ClassCounts:
    """Counts in the exact proportions of the weights, where rounded ones would move a booster's start."""
    total = np.bincount(places, weights=weight, minlength=len(classes))
    return ClassCounts(np.rint(total / total.sum() * _PARTS_OF_ALL).astype(np.int64), classes=classes.tolist())


def _made(choice: Any, counts: ClassCounts) -> Recipe:
    """The recipe that the user chose, checked against the classes."""
    known = f"{len(counts)} classes, {list(counts.classes)[:10]}"
    if choice is None:
        return sigmoid.binary_cross_entropy(counts) if len(counts) == 2 else softmax.cross_entropy(counts)
    if isinstance(choice, str):
        if choice.startswith("sigmoid.") and len(counts) != 2:
            raise _for_two_classes(choice, known)
        return recipe(choice, counts)
    made = choice(counts) if callable(choice) else choice
    if not isinstance(made, SoftmaxRecipe | SigmoidRecipe):
        raise UserError(
            f"recipe is {choice!r}; pass a recipe, a name such as 'softmax.focal', or a function of the class counts "
            "such as softmax.logit_adjusted"
        )
    if isinstance(made, SigmoidRecipe):
        if len(counts) != 2:
            raise _for_two_classes(made.name, known)
        if made.classes not in (None, 1):
            raise UserError(f"{made.name} has parameters for {made.classes} labels, but y is one label; pass numbers")
    elif made.classes not in (None, len(counts)):
        raise UserError(
            f"{made.name} has parameters for {made.classes} classes, but y has {known}; make the recipe of "
            "counterpoise.count(y), or pass its name"
        )
    return made.for_classes(counts.classes)


def _for_two_classes(name: str, known: str) -> UserError:
    twin = name.replace("sigmoid.", "softmax.")
    instead = repr(twin if twin in recipes() else "softmax.cross_entropy")
    return UserError(f"{name} is a loss for two classes, but y has {known}; take the softmax family, such as {instead}")
