"""A linear classifier under any recipe: scikit-learn's LogisticRegression with the loss exchanged.

With W the coefficients, b the intercepts and v the sample weights, it minimises

    C sum_i v_i loss(W x_i + b, y_i) + |W|^2 / 2

divided by C sum_i v_i. L-BFGS sees other variables: columns are centred, and each variable is multiplied by the root
of its curvature at the start. That leaves the minimum where it is, but raw tables converge, and `tol` means the
same for a class of three rows as for one of a million.
"""

import warnings
from typing import Any, Self

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from counterpoise.losses import loss_and_gradient
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.recipes.numbers import one_number
from counterpoise.sklearn.classifier import RecipeChoice, RecipeClassifier, best_constant, logits_of, score_columns

Float64Array = NDArray[np.float64]


class LinearClassifier(RecipeClassifier):
    """A linear model trained by L-BFGS on a recipe's own loss, with honest probabilities.

    Under plain cross-entropy it has the coefficients of scikit-learn's `LogisticRegression(C=C)`.

    Parameters
    ----------
    recipe
        The loss: a recipe; a name such as "softmax.logit_adjusted" or, for two classes, "sigmoid.focal"; or a function
        of the training counts such as `functools.partial(cp.softmax.logit_adjusted, tau=0.5)`. Names and functions make
        the recipe from the classes seen by `fit`. Default: plain cross-entropy.
    C
        Inverse strength of the L2 penalty on the coefficients, > 0; default 1. `numpy.inf` is no penalty.
    fit_intercept
        Whether the logits have a constant, which is not penalised; default True.
    max_iter
        Largest number of iterations of L-BFGS; default 1000.
    tol
        Tolerance, default 1e-6: iterations stop when no entry of the gradient, per root of curvature, is larger, or
        when the loss no longer falls.

    Attributes
    ----------
    classes_
        The labels in order, (C,); logits, counts and coefficients have the same order.
    coef_
        Coefficients, (1, D) for two classes, else (C, D), of the dtype of the training data.
    intercept_
        Constants of the logits, (1,) or (C,).
    counts_
        `ClassCounts` of the training labels. Whole sample weights repeat their rows; others are scaled to mean 1, and
        the sums are rounded.
    recipe_
        The recipe that was trained.
    n_iter_
        Number of iterations.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Focal, robust, recall and expected-cost losses are not convex. Training starts at the best constant logits, hence
    gives the same answer every time, but it may be a local minimum.

    A recipe of the softmax family and two classes: one row of coefficients gives the score f, and the logits are
    (-f/2, f/2).

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [2.0], [3.0], [2.0], [4.0]])
    >>> model = LinearClassifier("softmax.logit_adjusted").fit(rows, ["no", "no", "no", "no", "yes", "yes"])
    >>> model.predict([[0.0], [9.0]]).tolist()
    ['no', 'yes']
    >>> model.predict_proba(rows)[:, 1].mean().round(3)
    np.float64(0.333)
    """

    coef_: NDArray[np.floating[Any]]
    intercept_: NDArray[np.floating[Any]]
    n_iter_: int

    def __init__(
        self,
        recipe: RecipeChoice = None,
        *,
        C: float = 1.0,  # noqa: N803
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
    ) -> None:
        self.recipe = recipe
        self.C = C
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn coefficients.

        Parameters
        ----------
        X
            Features (N, D), dense or sparse, float64 or float32 (kept), finite.
        y
            Labels (N,), of at least two classes.
        sample_weight
            Weight of each row's loss, (N,), >= 0; default 1.

        Returns
        -------
        LinearClassifier
            The fitted classifier itself.

        Raises
        ------
        UserError
            For fewer than two classes, a recipe that does not fit the classes, or a parameter out of range.
        """
        penalty = 0.0 if np.inf == self.C else 1 / one_number("C", self.C, above=0.0)
        tol = one_number("tol", self.tol, above=0.0)
        most = int(one_number("max_iter", self.max_iter, low=1))
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])  # noqa: N806
        places, weight = self._learn_classes(X, y, sample_weight)
        total = float(len(places) if weight is None else weight.sum())
        scores = MeanLoss(self.recipe_, places, weight, total, score_columns(self.classes_))
        objective = PenalizedLoss(X, scores, penalty / total, self.fit_intercept)
        start = best_constant(self.recipe_, self.counts_) if self.fit_intercept else np.zeros(1)
        found = minimise(objective, objective.start(start), most=most, tol=tol)
        self.n_iter_ = int(found.nit)
        if not found.success:
            warnings.warn(
                f"L-BFGS stopped after {self.n_iter_} iterations, before it converged to tol={tol:g}; "
                "raise max_iter, or lower C",
                ConvergenceWarning,
                stacklevel=2,
            )
        coefficients, intercepts = objective.model(found.x)
        if isinstance(self.recipe_, SoftmaxRecipe) and np.ptp(self.recipe_.scale) == 0 and len(intercepts) > 1:
            # what all logits have in common changes no loss: the least penalty is without it
            coefficients, intercepts = coefficients - coefficients.mean(axis=0), intercepts - intercepts.mean()
        self.coef_, self.intercept_ = coefficients.astype(X.dtype), intercepts.astype(X.dtype)
        return self

    def _logits(self, X: Any) -> NDArray[np.floating[Any]]:  # noqa: N803
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)  # noqa: N806
        scores = np.asarray(X @ self.coef_.T + self.intercept_)
        return logits_of(self.recipe_, scores)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MeanLoss:
    """The mean loss and its derivatives by the scores.

    Parameters
    ----------
    recipe
        The loss.
    places
        Class indices (N,).
    weight
        Weights of the rows, (N,), or None.
    total
        Divisor of the sum of the loss.
    columns
        Number of scores per row: 1 for two classes, else one per class.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> value, slope = MeanLoss(sigmoid.focal(gamma=0.0), np.array([0, 1]), None, 2.0, 1).loss(np.zeros((2, 1)))
    >>> round(value, 3), slope.tolist()
    (0.693, [[0.25], [-0.25]])
    """

    def __init__(
        self, recipe: Recipe, places: NDArray[np.intp], weight: Float64Array | None, total: float, columns: int
    ) -> None:
        self.recipe, self.places, self.weight, self.total, self.columns = recipe, places, weight, total, columns

    def loss(self, scores: NDArray[np.floating[Any]]) -> tuple[float, Float64Array]:
        """The mean loss, and the gradient (N, K) of it."""
        value, gradient = self._derivatives(scores, curvature=False)
        if gradient.ndim == 1:
            gradient = gradient[:, None]
        elif self.columns == 1:
            gradient = (gradient[:, 1:] - gradient[:, :1]) / 2
        return float(value) / self.total, gradient / self.total

    def curvature(self, scores: NDArray[np.floating[Any]]) -> Float64Array:
        """About the curvature of the mean loss by each column of scores, >= 0."""
        bend = np.abs(self._derivatives(scores, curvature=True)[2]).sum(axis=0) / self.total
        # of (-f/2, f/2), where the loss depends on the difference only
        return np.atleast_1d(bend if len(np.atleast_1d(bend)) == self.columns else bend.mean())

    def _derivatives(self, scores: NDArray[np.floating[Any]], *, curvature: bool) -> Any:
        logits = logits_of(self.recipe, scores.astype(np.float64))
        return loss_and_gradient(logits, self.places, self.recipe, self.weight, "sum", curvature=curvature)


class PenalizedLoss:
    """What L-BFGS minimises, a function of the scaled variables (K, D + 1).

    Parameters
    ----------
    X
        Features (N, D), dense or sparse.
    scores
        The mean loss.
    penalty
        Factor of half the sum of squared coefficients.
    fit_intercept
        Whether there is a constant.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> rows, places = np.array([[0.0], [1.0]]), np.array([0, 1])
    >>> objective = PenalizedLoss(rows, MeanLoss(sigmoid.binary_cross_entropy(), places, None, 2.0, 1), 0.1, True)
    >>> found = minimise(objective, objective.start(np.zeros(1)), most=100, tol=1e-6)
    >>> [part.round(3).tolist() for part in objective.model(found.x)]
    [[[1.568]], [-0.784]]
    """

    def __init__(self, X: Any, scores: MeanLoss, penalty: float, fit_intercept: bool) -> None:  # noqa: N803
        self.X, self.scores, self.penalty, self.fit_intercept = X, scores, penalty, fit_intercept
        moments = StandardScaler(with_mean=False).fit(X, sample_weight=scores.weight)
        self.variance = moments.var_
        self.mean = moments.mean_ if fit_intercept else np.zeros_like(moments.mean_)
        if not fit_intercept:
            self.variance = self.variance + moments.mean_**2

    def start(self, constant: Float64Array) -> Float64Array:
        """The variables at which all logits are this constant; fixes their scale."""
        columns = self.scores.columns
        intercepts = np.broadcast_to(constant, (columns,))
        bend = self.scores.curvature(np.broadcast_to(intercepts, (self.X.shape[0], columns)))[:, None]
        scale = np.sqrt(np.concatenate([bend * self.variance + self.penalty, bend], axis=1))
        self.scale = np.where(scale > 0, scale, 1.0)
        variables = np.zeros_like(self.scale)
        variables[:, -1] = intercepts
        return (variables * self.scale).ravel()

    def model(self, variables: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Coefficients and intercepts."""
        plain = variables.reshape(self.scale.shape) / self.scale
        coefficients = plain[:, :-1]
        return coefficients, plain[:, -1] - coefficients @ self.mean

    def variables(self, coefficients: Float64Array, intercepts: Float64Array) -> Float64Array:
        """What `model` makes these of, at the present scale."""
        constants = intercepts + coefficients @ self.mean
        scaled: Float64Array = (np.concatenate([coefficients, constants[:, None]], axis=1) * self.scale).ravel()
        return scaled

    def __call__(self, variables: Float64Array) -> tuple[float, Float64Array]:
        """The value and the gradient."""
        coefficients, intercepts = self.model(variables)
        value, by_score = self.scores.loss(self.X @ coefficients.T.astype(self.X.dtype) + intercepts)
        by_intercept = by_score.sum(axis=0)[:, None]
        by_coefficient = (self.X.T @ by_score.astype(self.X.dtype)).T + self.penalty * coefficients
        by_coefficient = by_coefficient - by_intercept * self.mean
        if not self.fit_intercept:
            by_intercept = np.zeros_like(by_intercept)
        gradient = np.concatenate([by_coefficient, by_intercept], axis=1) / self.scale
        return value + self.penalty / 2 * float((coefficients**2).sum()), gradient.ravel()


def minimise(objective: PenalizedLoss, start: Float64Array, *, most: int, tol: float) -> Any:
    """What SciPy's L-BFGS finds from there, in at most so many iterations.

    Examples
    --------
    >>> found = minimise(lambda x: (float(x @ x), 2 * x), np.ones(2), most=10, tol=1e-6)
    >>> found.x.round(3).tolist()
    [0.0, 0.0]
    """
    return scipy.optimize.minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": most,
            "maxls": 50,
            "maxcor": 30,  # the usual 10 take twice the iterations where columns are collinear
            "gtol": tol,
            "ftol": 64 * np.finfo(np.float64).eps,
        },
    )
