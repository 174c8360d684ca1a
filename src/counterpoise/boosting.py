"""What the objectives of LightGBM, XGBoost and CatBoost share: slopes of a round, start, loss, honest probabilities.

A boosting round is a Newton step: a leaf moves its rows by the sum of their gradients over the sum of their
curvatures. Two things make that safe for losses other than the plain one. Where a loss bends down (focal, robust and
poly losses do) there is no Newton step; and where the truth is thought all but impossible, as a very rare class is at
the start, the curvature is so small that a leaf leaps by hundreds. Both end where the curvature of a row is at least
its gradient over the furthest step: then no leaf, being a mean of such steps, goes further either.
"""

import importlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.losses import loss
from counterpoise.losses.arguments import check_recipe
from counterpoise.losses.kernel import OWN_THREADS, region_of
from counterpoise.losses.on_numpy import newton_slopes
from counterpoise.recipes import Recipe, SigmoidRecipe, SoftmaxRecipe
from counterpoise.weights import ClassCounts
from counterpoise.weights.by_class import class_indices, plain, shown

FURTHEST_STEP = 5.0
"""The furthest that a leaf of any loss but the plain one moves a logit, before the learning rate."""

LEAST_CURVATURE = 1e-16
"""What keeps the curvature of rows that are surely right above 0 in float32; it changes no tree."""

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


def is_plain(recipe: Recipe) -> bool:
    """Whether a recipe is plain cross-entropy, of either family.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid, softmax
    >>> is_plain(softmax.cross_entropy([90, 10])), is_plain(sigmoid.focal())
    (True, False)
    """
    return replace(recipe, prior=None) == type(recipe)()


def newton(
    recipe: Recipe,
    logits: NDArray[Any],
    target: NDArray[Any],
    weight: ArrayLike | None = None,
    *,
    factor: float = 1.0,
    floor: float = LEAST_CURVATURE,
    max_step: float = math.inf,
    region: int = OWN_THREADS,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gradient and curvature of each row's loss, the curvature large enough for a Newton step.

    Parameters
    ----------
    recipe
        The loss.
    logits
        Raw scores, floating, (N,) for the sigmoid family, (N, C) for the softmax family.
    target
        Targets (N,): from 0 to 1 for the sigmoid family, class indices for the softmax family.
    weight
        Weight of each row, (N,), >= 0.
    factor
        Factor of the curvature, as in the host's own objective.
    floor
        Smallest curvature of a row, > 0.
    max_step
        Largest ratio of a row's gradient to its curvature, > 0.
    region
        Owner of the threads, as `kernel.region_of` names them.

    Returns
    -------
    tuple of numpy.ndarray
        Gradient and curvature, of the logits' shape and dtype.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> plain, start, label = sigmoid.binary_cross_entropy(), np.array([-6.0, -6.0]), np.array([0, 1])
    >>> gradient, curvature = newton(plain, start, label)
    >>> (-gradient / curvature).round(1).tolist()
    [-1.0, 404.4]
    >>> gradient, curvature = newton(plain, start, label, max_step=2.0)
    >>> (-gradient / curvature).round(1).tolist()
    [-1.0, 2.0]
    """
    return newton_slopes(
        logits, target, recipe, weight, factor=factor, per_gradient=1 / max_step, floor=floor, region=region
    )


def target_of(recipe: Recipe, label: ArrayLike, logits: NDArray[Any], *, several: str) -> NDArray[Any]:
    """Labels as a host keeps them, in float32, in the form that the loss takes; checked.

    Parameters
    ----------
    recipe
        The loss, whose family decides the form of a label.
    label
        Labels (N,), of any dtype.
    logits
        The host's raw scores; their shape must fit.
    several
        Advice for the error message: how to make the host grow trees for several classes.

    Returns
    -------
    numpy.ndarray
        int64 (N,) for the softmax family, else of the logits' dtype.

    Raises
    ------
    UserError
        For logits of the other family's shape; for labels that name no class.

    Examples
    --------
    >>> from counterpoise.recipes import softmax
    >>> target_of(softmax.focal(), np.float32([0, 2]), np.zeros((2, 3)), several="pass num_class=3")
    array([0, 2])
    """
    found = np.asarray(label)
    if isinstance(recipe, SigmoidRecipe):
        if logits.ndim != 1:
            raise UserError(
                f"a sigmoid recipe is for two classes, logits (N,), but these have shape {logits.shape}; take the "
                f"softmax recipe of the same loss, such as softmax.cross_entropy() or softmax.focal()"
            )
        return found.astype(logits.dtype)
    if logits.ndim != 2:
        raise UserError(
            f"a softmax recipe needs logits (N, C), but these have shape {logits.shape}; {several}, or take the "
            "sigmoid recipe of the same loss for two classes"
        )
    with np.errstate(invalid="ignore"):
        places = found.astype(np.int64)
    classes = logits.shape[1]
    if places.size and (places.min() < 0 or places.max() >= classes or (places != found).any()):
        row = int(np.argmax((places != found) | (places < 0) | (places >= classes)))
        raise UserError(
            f"label {found[row]:g} in row {row} is not a class; a softmax recipe needs whole numbers from 0 to "
            f"{classes - 1}"
        )
    return places


def refuse_nothing_to_learn(label: ArrayLike) -> None:
    """Raise where no tree can learn anything: no row, or one class only.

    Examples
    --------
    >>> refuse_nothing_to_learn([1, 1, 1])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: all 3 labels are 1, so there is nothing to learn; train on rows of two classes
    """
    found = np.ravel(label)
    if found.size == 0:
        raise UserError("the training data have no row; pass at least one row of each of two classes")
    first = found[0]
    if first == np.floor(first) and (found == first).all():
        raise UserError(
            f"all {found.size} labels are {first:g}, so there is nothing to learn; train on rows of two classes"
        )


def mean_loss(recipe: Recipe, logits: NDArray[Any], target: NDArray[Any], weight: ArrayLike | None = None) -> float:
    """The loss per row, or per unit of weight where rows have weights, as the hosts' own log losses are.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> round(mean_loss(sigmoid.binary_cross_entropy(), np.zeros(2), np.array([0, 1]), [1, 5]), 4)
    0.6931
    """
    total = None if weight is None else float(np.sum(weight, dtype=np.float64))
    if total == 0:  # a validation set whose rows count nothing
        return 0.0
    return float(loss(logits, target, recipe, sample_weight=weight, normalizer=total))


def _finite_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Values as float64 (N,), or `UserError`."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise UserError(f"{name} has shape {found.shape}; it must have one dimension, (N,)")
    try:
        numbers = found.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} must be numbers, but starts with {found.tolist()[0]!r}; "
            "np.unique(labels, return_inverse=True)[1] makes numbers of class names"
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(f"{name} is {numbers[bad[0]]} in row {bad[0]}; leave such rows out")
    return numbers


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

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.recipe, self.scale, self.floor, self.max_step)  # a copy has no use for labels

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

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
        numbers = _finite_numbers("label", label)
        refuse_nothing_to_learn(numbers)
        weights = np.ones(numbers.shape) if weight is None else _finite_numbers("weight", weight)
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
