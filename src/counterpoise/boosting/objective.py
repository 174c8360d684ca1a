"""What the objectives of LightGBM, XGBoost and CatBoost share: slopes of a round, start, loss, honest probabilities."""

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.boosting.labels import finite_numbers, refuse_nothing_to_learn, target_of
from counterpoise.boosting.newton import LEAST_CURVATURE, is_plain, newton
from counterpoise.errors import UserError
from counterpoise.losses.arguments import check_recipe
from counterpoise.losses.kernel import OWN_THREADS, region_of
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.weights import ClassCounts
from counterpoise.weights.by_class import class_indices, plain, shown

FURTHEST_STEP = 5.0
"""The furthest that a leaf of any loss but the plain one moves a logit, before the learning rate."""

CONTAINS_A_START = (
    "the model contains a start already, and a second one would be added to it; call bake_start once for each "
    "training, and train again if the first start was wrong"
)

_PARTS_OF_ALL = 10**12


def installed(module: str, title: str) -> Any:
    """A host itself, or an error that says how to get it.

    Examples
    --------
    >>> installed("lightgbm", "LightGBM").__name__
    'lightgbm'
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"{title} is not installed: pip install 'counterpoise[boosting]'") from None


def threads_of(host: Any) -> int:
    """Whose threads compute an objective: the host's own, where its loaded library says which file it is.

    Examples
    --------
    >>> threads_of(None)
    0
    """
    place = getattr(host, "_name", None)
    return region_of(place) if isinstance(place, str) and place else OWN_THREADS


@dataclass(frozen=True, eq=False)
class RecipeObjective:
    """A recipe with what every host needs to boost under it; each host's `Objective` adds the host's own calls.

    Parameters
    ----------
    recipe
        The loss.
    scale
        Factor of gradient and curvature, > 0; default 1. Trees depend on it only through parameters that are sums of
        curvature (`min_sum_hessian_in_leaf`, `min_child_weight`, L2 regularisation).
    floor
        Smallest curvature of a row, after scaling, > 0; default 1e-16.
    max_step
        Largest step of a logit in one leaf, before the learning rate, > 0. The default, None, means no bound
        (`math.inf`) for plain cross-entropy, so that it grows the trees of the built-in objective, and 5 for every
        other loss. The attribute `step` holds the bound in force.

    Raises
    ------
    UserError
        For what is no recipe, or a number out of its range.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> RecipeObjective(sigmoid.focal()).step, RecipeObjective(sigmoid.binary_cross_entropy()).step
    (5.0, inf)
    """

    recipe: Recipe
    scale: float = 1.0
    floor: float = LEAST_CURVATURE
    max_step: float | None = None
    step: float = field(init=False, repr=False)
    _last: tuple[Any, NDArray[Any], Any] | None = field(default=None, init=False, repr=False, compare=False)
    _from_counts: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_recipe(self.recipe)
        bound = (math.inf if is_plain(self.recipe) else FURTHEST_STEP) if self.max_step is None else self.max_step
        for name, value in (("scale", self.scale), ("floor", self.floor), ("max_step", bound)):
            if not isinstance(value, int | float | np.number) or not value > 0:
                raise UserError(f"{name} is {value!r}; it must be a number above 0")
        object.__setattr__(self, "step", float(bound))

        names = self.recipe.class_names
        if names is not None and class_indices(names) is not None:
            raise UserError(
                f"{self.recipe.name} was made from counts whose classes are {shown(names)}, but a booster's labels are "
                f"class indices, 0 first; make it of counts in the order 0 to {len(names) - 1}"
            )

    def _same_classes(self, model: Any) -> None:
        """Raise where a scikit-learn class put its labels in another order than the counts of the recipe."""
        classes = getattr(model, "classes_", None)
        if classes is not None and len(classes) and self.recipe.for_classes(list(classes)) is not self.recipe:
            raise UserError(
                f"{self.recipe.name} was made from counts whose classes are {shown(self.recipe.class_names or ())}, "
                f"but the model has the order {shown(map(plain, classes))}, so each class got the parameters of "
                "another one; make the recipe of counterpoise.count(labels), and train again"
            )

    def _settings(self) -> tuple[Any, ...]:
        return self.recipe, self.scale, self.floor, self.max_step

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._settings(), self._from_counts  # a copy has no use for labels

    def __setstate__(self, from_counts: bool) -> None:
        object.__setattr__(self, "_from_counts", from_counts)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash((type(self), self._settings()))

    def initial_logits(self, label: ArrayLike | ClassCounts, weight: ArrayLike | None = None) -> Any:
        """The constant that training should start from: the best answer without any feature.

        Parameters
        ----------
        label
            Training labels (N,), as the host gets them: 0 and 1 (or between, for a sigmoid recipe), or whole numbers
            from 0 to C - 1. Or `ClassCounts` of all training rows, where several workers hold them.
        weight
            Sample weights (N,), >= 0, if the model is trained with them; default None.

        Returns
        -------
        float or numpy.ndarray
            One number for a sigmoid recipe, float64 (C,) for a softmax recipe.

        Raises
        ------
        UserError
            If the loss has no best constant (recall), or a class has no sample.

        Examples
        --------
        >>> from counterpoise.recipes import sigmoid
        >>> round(RecipeObjective(sigmoid.binary_cross_entropy()).initial_logits([0, 0, 0, 1]), 4)
        -1.0986
        """
        if isinstance(label, ClassCounts):
            if weight is not None:
                raise UserError("weight goes with labels; pass counts in which the weights are contained already")
            if np.count_nonzero(label.n) < 2:
                raise UserError(f"counts are {label}; two classes need samples, so that there is something to learn")
            object.__setattr__(self, "_from_counts", True)
            return self.recipe.initial_logits(label)
        if self.recipe.class_names is not None and np.asarray(label).dtype.kind not in "biuf":
            raise UserError(
                f"label must be class indices; this recipe has the classes {shown(self.recipe.class_names)}, of which "
                "the first is 0"
            )
        numbers = finite_numbers("label", label)
        refuse_nothing_to_learn(numbers)
        weights = np.ones(numbers.shape) if weight is None else finite_numbers("weight", weight)
        if weights.shape != numbers.shape:
            raise UserError(f"weight has shape {weights.shape} and label {numbers.shape}; pass one of each per row")
        mass = self._mass(numbers, weights)
        # a recipe takes whole counts, and depends on their shares alone
        return self.recipe.initial_logits(ClassCounts(np.rint(mass / mass.sum() * _PARTS_OF_ALL).astype(np.int64)))

    def _mass(self, label: NDArray[Any], weight: NDArray[Any]) -> NDArray[np.float64]:
        """Weight per class, (C,)."""
        if isinstance(self.recipe, SigmoidRecipe):
            positive = float(np.sum(label * weight, dtype=np.float64))
            return np.array([float(np.sum(weight, dtype=np.float64)) - positive, positive])
        classes = self.recipe.classes or int(np.max(label)) + 1
        places = target_of(self.recipe, label, np.empty((len(label), classes)), several="")
        return np.bincount(places, weights=weight, minlength=classes).astype(np.float64)

    def start(
        self, label: ArrayLike | ClassCounts, weight: ArrayLike | None = None, *, rows: int | None = None
    ) -> NDArray[np.float64]:
        """`initial_logits`, once per row, as the host wants it with a data set.

        The hosts forget it when the data set is gone. Call `bake_start(model, start)` after training, and the
        model holds it; without that its scores, and the probabilities made of them, are off by the start.

        Parameters
        ----------
        label, weight
            Labels and weights of the training rows, as in `initial_logits`.
        rows
            Number of rows of the result, such as the length of a validation set or of a worker's shard; default: the
            number of labels. Counts need it.

        Returns
        -------
        numpy.ndarray
            Constant logits, float64, (rows,) for a sigmoid recipe, (rows, C) for a softmax recipe.

        Examples
        --------
        >>> from counterpoise.recipes import softmax
        >>> RecipeObjective(softmax.cross_entropy()).start([0, 0, 0, 1], rows=2).round(3).tolist()
        [[-0.288, -1.386], [-0.288, -1.386]]
        """
        constant = np.asarray(self.initial_logits(label, weight))
        if rows is None and isinstance(label, ClassCounts):
            raise UserError("rows is missing: counts do not tell how many rows this data set has; pass rows=len(data)")
        length = rows if rows is not None else len(np.asarray(label))
        return np.tile(constant, (length, *(1,) * constant.ndim))

    def _target(self, label: Any, logits: NDArray[Any], *, several: str) -> NDArray[Any]:
        """Checked labels, made again only when they change: LightGBM gives one array, XGBoost a new copy each round."""
        last, form = self._last, (logits.dtype, logits.shape)
        if last is not None and last[2] == form and np.array_equal(last[0], label):
            return last[1]
        if not self._from_counts:  # else this is one worker of several, whose rows may be of one class
            refuse_nothing_to_learn(label)
        target = target_of(self.recipe, label, logits, several=several)
        # a copy, since the caller may write other labels into the array
        object.__setattr__(self, "_last", (np.array(label), np.array(target), form))
        return target

    def _slopes(
        self, logits: NDArray[Any], label: Any, weight: Any, *, factor: float, several: str, region: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        gradient, curvature = newton(
            self.recipe,
            logits,
            self._target(label, logits, several=several),
            weight,
            factor=factor,
            floor=self.floor / self.scale,
            max_step=self.step,
            region=region,
        )
        if self.scale != 1.0:
            gradient *= self.scale
            curvature *= self.scale
        return gradient, curvature


def one_constant(start: ArrayLike, classes: int) -> NDArray[np.float64]:
    """The constant in a start that was given once, (), (1,) or (C,), or for each row, (N,) or (N, C).

    Raises
    ------
    UserError
        If rows start from different numbers, which no constant of a model can hold; or for the wrong shape.

    Examples
    --------
    >>> one_constant([[1.0, 2.0], [1.0, 2.0]], 2)
    array([1., 2.])
    """
    given = np.asarray(start, np.float64)
    whole = given.ndim <= 1 and given.size == classes
    rows = given.reshape(1, classes) if whole else given.reshape(-1, 1) if given.ndim == 1 and classes == 1 else given
    if rows.ndim != 2 or rows.shape[1] != classes or not len(rows):
        raise UserError(
            f"the start has shape {given.shape}, but the model has {classes} score(s) per row; pass the result "
            "of objective.start(label)"
        )
    if (rows != rows[0]).any():
        raise UserError(
            "the start differs between rows, and a model holds one constant only; pass the result of "
            "objective.start(label)"
        )
    constant: NDArray[np.float64] = rows[0]
    return constant


def probabilities(recipe: Recipe, logits: ArrayLike) -> NDArray[Any]:
    """Honest probabilities of every class from raw scores, as scikit-learn's `predict_proba` has them.

    Parameters
    ----------
    recipe
        The loss that the model was trained with.
    logits
        Raw scores, (N,) for a sigmoid recipe, (N, C) for a softmax recipe.

    Returns
    -------
    numpy.ndarray
        Probabilities, (N, 2) or (N, C); rows sum to 1.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> probabilities(sigmoid.weighted([90, 10]), [0.0]).round(3).tolist()
    [[0.9, 0.1]]
    """
    scores = np.asarray(logits)
    dimensions = 2 if isinstance(recipe, SoftmaxRecipe) else 1
    if scores.ndim != dimensions:
        wanted = "(N, C)" if dimensions == 2 else "(N,)"
        raise UserError(
            f"the raw scores have shape {scores.shape}, but a {recipe.family} recipe has logits {wanted}; pass the "
            "recipe that the model was trained under"
        )
    posterior = np.asarray(recipe.posterior(scores if scores.dtype.kind == "f" else scores.astype(np.float64)))
    return posterior if dimensions == 2 else np.stack([1 - posterior, posterior], axis=1)
