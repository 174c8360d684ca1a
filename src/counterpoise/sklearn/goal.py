"""A classifier that decides as a goal asks: any of scikit-learn's, its probabilities honest, its threshold chosen.

The threshold is chosen on rows that the model has not seen. Which ones they are decides what can be promised: of rows
set aside an exact test tells what the very model in use does; of cross-fitted scores, what models like it do.
"""

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.utils import get_tags, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _num_samples, check_is_fitted, column_or_1d

from counterpoise import goals
from counterpoise.decide import (
    AgainstRest,
    Calibrator,
    ClassThresholds,
    Decision,
    ReviewBand,
    calibrate,
    choose_class_thresholds,
    choose_review_band,
    choose_threshold,
    decide_by_cost,
)
from counterpoise.decide.binomial import checked_confidence
from counterpoise.decide.multiclass import decide_classes
from counterpoise.decide.threshold import decision_at, known_threshold
from counterpoise.errors import UserError, nearest_name
from counterpoise.goals import CostMatrix, Goal
from counterpoise.goals.goal import MULTICLASS
from counterpoise.ties import reaching

_CROSS_FITTED = (
    "nothing is promised, because the scores are cross-fitted and not those of the final model (cv=0.3 sets rows aside "
    "for a promise); if they were its own"
)


class GoalClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Fits a classifier, calibrates it, and decides as a goal asks.

    Parameters
    ----------
    estimator
        Any classifier with `predict_proba`; it is copied, unless `cv` is "prefit".
    goal
        The goal, as text or `Goal`. For two classes anything that one threshold serves, such as "recall where precision
        >= 0.5", or a review band, such as "precision >= 0.9 and recall >= 0.8 with review <= 5%". For more classes
        macro_f1, balanced_accuracy, g_mean, mcc, or a goal about one class by name, "recall of fraud where precision of
        fraud >= 0.5". For either, a cost matrix with the classes of y. Default "balanced_accuracy".
    confidence
        Confidence of the promise, at least 0.5 and below 1; default 0.95.
    cv
        Rows that the threshold is chosen on; default 5. A fraction: this share is set aside, by class, and the promise
        is exact. "prefit": all given rows, which the fitted `estimator` must not have seen; exact too. A number of
        folds or a splitter: all rows, with cross-fitted scores, and the model is trained on all of them; nothing is
        promised. As everywhere in scikit-learn, the rows of a fraction or a fold depend on the order of the rows, and
        copies of a row may lie on both sides; a splitter by group keeps copies together.
    calibration
        Method of `counterpoise.decide.calibrate` for the probabilities, default "auto"; "none" leaves them unchanged.
    positive
        The positive class of the goal. Default: of two classes the one with fewer rows (whole sample weights repeat
        their rows); with equal numbers, `classes_[1]`. A cost matrix covers all classes and has no positive one.
    random_state
        Seed of the choice of the rows that are set aside; default None.

    Attributes
    ----------
    estimator_
        The fitted classifier.
    classes_
        The labels in order, (C,).
    decision_
        The `Decision`, on the probabilities of `estimator_`, or on those of `predict_proba` where `known_` is True; for
        a goal with review the `ReviewBand`, for several classes `ClassThresholds`, for costs of classes the
        `CostMatrix` in the order of `classes_`.
    known_
        Whether the decision follows from the goal alone, if probabilities are honest: balanced accuracy and cost of two
        classes without a bound, and a cost matrix. Rows could only add noise to it.
    calibrator_
        The map from the probabilities of `estimator_` to those of `predict_proba`.
    threshold_
        Threshold of the decision (for a band its lower end) on the scale of `predict_proba`; None for several classes
        and cost matrices. It is exact where the calibration has no steps. (`venn_abers` and `isotonic` give rows on
        both sides of it the same probability; `predict` separates them by those of `estimator_`.)
    goal_
        The goal as `Goal`.
    positive_
        The positive class of the goal, or None.
    n_features_in_, feature_names_in_
        Those of the fitted classifier.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(8000, 1))
    >>> label = np.where(rows[:, 0] + rng.normal(size=8000) > 2, "fraud", "fine")
    >>> goal = "recall of fraud where precision of fraud >= 0.5"
    >>> model = GoalClassifier(LogisticRegression(), goal, cv=0.5, random_state=0).fit(rows, label)
    >>> model.decision_.promised
    True
    >>> model.predict([[0.0], [3.0]]).tolist()
    ['fine', 'fraud']
    """

    estimator_: Any
    classes_: NDArray[Any]
    decision_: Decision | ReviewBand | ClassThresholds | CostMatrix
    calibrator_: Calibrator
    goal_: Goal
    positive_: Any
    known_: bool
    threshold_: float | None

    def __init__(
        self,
        estimator: Any,
        goal: Goal | str = "balanced_accuracy",
        *,
        confidence: float = 0.95,
        cv: Any = 5,
        calibration: str = "auto",
        positive: Any = None,
        random_state: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.goal = goal
        self.confidence = confidence
        self.cv = cv
        self.calibration = calibration
        self.positive = positive
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit the classifier and choose its threshold.

        Parameters
        ----------
        X
            Features (N, D), in any form that the estimator takes.
        y
            Labels (N,), of at least two classes.
        sample_weight
            Weight of each row, (N,), >= 0, for the estimator, the calibration and the choice. Rows with unequal weights
            get no promise.

        Returns
        -------
        GoalClassifier
            The fitted classifier itself.

        Raises
        ------
        UserError
            For a goal that cannot be read or does not suit the classes, an estimator without probabilities, too few
            rows of a class.
        """
        self.goal_ = goals.goal(self.goal)
        checked_confidence(self.confidence)
        _check_served(self.goal_)
        if not hasattr(self.estimator, "predict_proba"):
            raise UserError(
                f"{type(self.estimator).__name__} gives no probabilities (predict_proba); wrap it in "
                "sklearn.calibration.CalibratedClassifierCV"
            )
        X, y = indexable(X, column_or_1d(y, warn=True))  # noqa: N806
        check_classification_targets(y)
        classes, counts = np.unique(y, return_counts=True)
        if len(classes) < 2:
            raise UserError(
                f"GoalClassifier needs at least two classes, but y holds one class only: {classes.tolist()}"
            )
        if len(classes) > 2 and not (self.goal_.objective in MULTICLASS or self.goal_.classes):
            raise UserError(
                f"Only binary classification is supported for {str(self.goal_)!r}. Unknown label type: multiclass; "
                "name the class, as in 'recall of fraud where precision of fraud >= 0.5'"
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        rows, scores, exact = self._unseen_scores(X, y, sample_weight, int(counts.min()))
        self.classes_ = np.asarray(self.estimator_.classes_)
        unknown = np.setdiff1d(classes, self.classes_)
        if len(unknown):
            raise UserError(
                f"y has the class {unknown.tolist()[0]!r}, but estimator knows {self.classes_.tolist()[:10]}"
            )
        truth = np.searchsorted(self.classes_, np.asarray(y)[rows])
        weight = None if sample_weight is None else sample_weight[rows]
        self._choose(truth, np.asarray(scores, np.float64), weight, exact)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _unseen_scores(
        self,
        X: Any,  # noqa: N803
        y: Any,
        weight: Any,
        smallest: int,
    ) -> tuple[NDArray[np.intp], NDArray[np.floating[Any]], bool]:
        """Set `estimator_`; the rows to choose on, their probabilities, and whether they are that very model's."""
        every = np.arange(_num_samples(X))
        if isinstance(self.cv, str):
            if self.cv != "prefit":
                raise UserError(f"cv is {self.cv!r}; pass 'prefit', a fraction, a number of folds or a splitter")
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            return every, self.estimator_.predict_proba(X), True
        if smallest < 2:
            raise UserError(
                "y has one row of a class; at least two of each class are needed, to fit on and to choose on"
            )
        if isinstance(self.cv, Real) and not isinstance(self.cv, Integral):
            if not 0 < float(self.cv) < 1:
                raise UserError(f"cv is {self.cv}; a fraction of the rows lies between 0 and 1")
            train, rows = train_test_split(
                every, test_size=float(self.cv), stratify=np.asarray(y), random_state=self.random_state
            )
            if len(np.unique(np.asarray(y)[rows])) < len(np.unique(y)):
                raise UserError(
                    f"cv={self.cv} sets no row of some class aside; pass a larger fraction, or a number of folds"
                )
            self.estimator_ = self._fitted(X, y, weight, train)
            return rows, self.estimator_.predict_proba(_take(X, rows)), True
        if isinstance(self.cv, Integral) and self.cv < 2:
            raise UserError(f"cv is {self.cv}; cross-fitting takes at least 2 folds")
        folds = min(int(self.cv), smallest) if isinstance(self.cv, Integral) else self.cv
        given = {} if weight is None else {"sample_weight": weight}
        scores = cross_val_predict(self.estimator, X, y, cv=folds, method="predict_proba", params=given)
        self.estimator_ = self._fitted(X, y, weight, None)
        return every, scores, False

    def _fitted(self, X: Any, y: Any, weight: Any, rows: Any) -> Any:  # noqa: N803
        given = {} if weight is None else {"sample_weight": weight if rows is None else weight[rows]}
        model = clone(self.estimator)
        return model.fit(X, y, **given) if rows is None else model.fit(_take(X, rows), _take(y, rows), **given)

    def _choose(
        self, truth: NDArray[np.intp], scores: NDArray[np.float64], weight: NDArray[np.float64] | None, exact: bool
    ) -> None:
        """Set `calibrator_`, `decision_`, `threshold_` and `positive_`."""
        two = len(self.classes_) == 2
        self.calibrator_ = _calibrator(truth, scores[:, 1] if two else scores, self.calibration, weight)
        self.positive_, self.threshold_, self.known_ = None, None, isinstance(self.goal_.costs, CostMatrix)
        if isinstance(self.goal_.costs, CostMatrix):
            if self.positive is not None:
                raise UserError(
                    f"positive is {self.positive!r}, but a cost matrix means all classes; leave positive out"
                )
            names = tuple(map(str, self.classes_))
            self.decision_ = CostMatrix(names, self.goal_.costs.for_classes(names).tolist())
            return
        self.positive_ = self._class_of_interest(truth, weight)
        if self.positive_ is None:
            count = np.bincount(truth, weight, minlength=len(self.classes_))
            self.decision_ = choose_class_thresholds(
                truth, scores, self.goal_, prior=count / count.sum(), sample_weight=weight
            )
            return
        place = int(np.flatnonzero(self.classes_ == self.positive_)[0])
        goal = self.goal_ if self.goal_.class_of_interest is None else self.goal_.without_class()
        # what is decided of rows to come needs none of these
        self._one = AgainstRest(np.empty(0, np.bool_), np.empty(0), goal, place)
        target = truth == place
        prior = float(np.average(target, weights=weight))
        cut = known_threshold(goal, prior) if two and self.calibration != "none" else None
        self.known_ = cut is not None
        if cut is not None:
            self.decision_ = decision_at(cut, target, self.calibrator_(scores)[:, place], goal, weight)
            self.threshold_ = cut
            return
        choose = choose_review_band if "review" in goal.needs else choose_threshold
        found = choose(target, scores[:, place], goal, self.confidence, weight)
        if not exact and found.met and (goal.constraints or isinstance(found, ReviewBand)):
            found = replace(found, promised=False, missing_positives=None, reason=f"{_CROSS_FITTED}: {found.reason}")
        self.decision_ = found
        self.threshold_ = self._calibrated_threshold(self._least(), place)

    def _class_of_interest(self, truth: NDArray[np.intp], weight: NDArray[np.float64] | None) -> Any:
        name = self.goal_.class_of_interest
        if name is not None:
            known = [_named(label) for label in self.classes_]
            name = name.removesuffix(".0") if name not in known else name
            if self.positive is not None and _named(self.positive) != name:
                raise UserError(f"the goal names class {name!r}, but positive is {self.positive!r}; pass one of them")
            if name not in known:
                raise nearest_name("class", name, known)
            return self.classes_[known.index(name)]
        if self.positive is not None:
            if self.positive not in self.classes_:
                raise UserError(f"positive is {self.positive!r}, but y has the classes {self.classes_.tolist()[:10]}")
            return self.positive
        if len(self.classes_) > 2:
            return None
        return self.classes_[_rarer(truth, weight, self.classes_)]

    def _calibrated_threshold(self, threshold: float, place: int) -> float | None:
        if len(self.classes_) > 2:
            return None
        if not 0 <= threshold <= 1:  # flags no row, whatever the scale
            return threshold
        positive = float(self.calibrator_([threshold if place == 1 else 1 - threshold])[0])
        return positive if place == 1 else 1 - positive

    def _decided_on(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The probabilities that the decision is made on, (N, C)."""
        check_is_fitted(self)
        return self.predict_proba(X) if self.known_ else np.asarray(self.estimator_.predict_proba(X), np.float64)

    def _least(self) -> float:
        """The least score of the rows that are not passed."""
        assert isinstance(self.decision_, Decision | ReviewBand)
        least = self.decision_.lower if isinstance(self.decision_, ReviewBand) else self.decision_.threshold
        # one chosen among scores lies between two of them; one that is known may lie just where scores do
        return float(reaching(least)) if self.known_ else least

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The decided class of each row, (N,), of the labels in `classes_`.

        Where the goal means one of several classes, the rows that it passes go to the most probable other class. Where
        it leaves rows to a person, these are of its class until the person says otherwise: see `review`.
        """
        scores = self._decided_on(X)
        if isinstance(self.decision_, CostMatrix):
            return np.asarray(self.classes_[decide_by_cost(scores, self.decision_)])
        if isinstance(self.decision_, ClassThresholds):
            return np.asarray(self.classes_[decide_classes(scores, self.decision_.threshold)])
        flagged = scores[:, self._one.place] >= self._least()
        return np.asarray(self.classes_[self._one.classes(scores, flagged)])

    def review(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Which rows are left to a person, (N,); none, unless the goal has a review band."""
        scores = self._decided_on(X)
        if not isinstance(self.decision_, ReviewBand):
            return np.zeros(len(scores), np.bool_)
        return np.asarray(self.decision_.apply(scores[:, self._one.place]) == -1)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Calibrated probabilities, (N, C), in the order of `classes_`."""
        check_is_fitted(self)
        scores = np.asarray(self.estimator_.predict_proba(X), np.float64)
        return self.calibrator_(scores)

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """How far each row lies on a class's side of its threshold: (N,), above 0 for `classes_[1]`, or (N, C).

        Under a cost matrix it is what each class would cost, negated.
        """
        scores = self._decided_on(X)
        if isinstance(self.decision_, CostMatrix):
            worth = -scores @ np.asarray(self.decision_.values)
            return np.asarray(worth if len(self.classes_) > 2 else worth[:, 1] - worth[:, 0])
        if isinstance(self.decision_, ClassThresholds):
            over = scores / self.decision_.threshold
            return np.asarray(over if len(self.classes_) > 2 else over[:, 1] - over[:, 0])
        place = self._one.place
        # a row at the threshold is flagged
        margin = scores[:, place] - np.nextafter(self._least(), -np.inf)
        if len(self.classes_) == 2:
            return np.asarray(margin if place == 1 else -margin)
        others = scores.copy()
        others[:, place] = np.where(margin > 0, 1 + margin, margin - 1)
        return others

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        of_estimator = get_tags(self.estimator)
        tags.input_tags.sparse = of_estimator.input_tags.sparse
        tags.input_tags.allow_nan = of_estimator.input_tags.allow_nan
        goal = goals.goal(self.goal)
        tags.classifier_tags.multi_class = goal.objective in MULTICLASS or bool(goal.classes)
        return tags


def _check_served(goal: Goal) -> None:
    """Refuse what cannot be decided from probabilities alone, and say what decides it."""
    if goal.columns:
        raise UserError(
            f"goal {str(goal)!r} takes costs from columns, which GoalClassifier does not have in predict; fit it for "
            "'balanced_accuracy' and decide by counterpoise.decide.decide_by_cost(model.predict_proba(X)[:, 1], "
            "goal.costs.per_row(table))"
        )
    if isinstance(goal.costs, CostMatrix) and (goal.constraints or goal.review is not None):
        raise UserError(
            f"goal {str(goal)!r} has bounds as well as a cost matrix; omit the bounds, or bound one class "
            "against the others, as in 'recall of fraud where precision of fraud >= 0.5'"
        )


def _named(label: Any) -> str:
    """A label as a goal names it: of numbers 1.0 is 1."""
    return str(label).removesuffix(".0") if isinstance(label, Real) else str(label)


def _rarer(truth: NDArray[np.intp], weight: NDArray[np.float64] | None, classes: NDArray[Any]) -> int:
    """The place of the class with fewer rows, of two; of equals the second. Whole weights repeat their rows."""
    rows = np.bincount(truth if weight is None else truth[weight > 0], minlength=2)
    if weight is None or (weight != np.floor(weight)).any():
        return int(rows[1] <= rows[0])
    repeated = np.bincount(truth, weight, minlength=2)
    found = int(repeated[1] <= repeated[0])
    if found != int(rows[1] <= rows[0]):
        warnings.warn(
            f"class {classes.tolist()[found]!r} has more rows, but sample_weight, which repeats them, makes it the "
            "rarer one, so the goal is about it; pass positive= to choose the class",
            UserWarning,
            stacklevel=4,
        )
    return found


def _take(array: Any, rows: NDArray[np.intp]) -> Any:
    from sklearn.utils import _safe_indexing

    return _safe_indexing(array, rows)


def _calibrator(truth: Any, scores: Any, method: str, weight: Any) -> Calibrator:
    """The calibration, or none where "auto" finds too few rows for any."""
    try:
        return calibrate(truth, scores, method, sample_weight=weight)
    except UserError as reason:
        if method != "auto":
            raise
        return Calibrator("none", 2 if scores.ndim == 1 else scores.shape[1], reason=str(reason))
