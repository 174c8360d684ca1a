"""Calibration maps that learn a rising curve from held-out rows: isotonic regression, and Venn-Abers on top of it."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from counterpoise.decide.probability import Float64Array
from counterpoise.errors import UserError
from counterpoise.ties import HAIR


@dataclass(frozen=True, slots=True, eq=False)
class IsotonicMap:
    """A rising, piecewise linear curve from score to probability.

    Parameters
    ----------
    score, value
        Corners of the map, both rising; beyond the ends it is level.

    References
    ----------
    Zadrozny & Elkan, Transforming classifier scores into accurate multiclass probability estimates, KDD 2002.

    Examples
    --------
    >>> IsotonicMap(np.array([0.2, 0.4]), np.array([0.0, 1.0]))(np.array([0.1, 0.3, 0.9]))
    array([0. , 0.5, 1. ])
    """

    score: Float64Array
    value: Float64Array

    def __post_init__(self) -> None:
        for corners in (self.score, self.value):
            corners.setflags(write=False)

    @classmethod
    def fit(cls, positive: Float64Array, score: Float64Array, weight: Float64Array) -> Self:
        """The rising curve of least squares, by scikit-learn."""
        fitted = isotonic_regression().fit(score, positive, sample_weight=weight)
        return cls(fitted.X_thresholds_, fitted.y_thresholds_)

    def __call__(self, score: Float64Array) -> Float64Array:
        """The curve at these scores."""
        return np.asarray(np.interp(score, self.score, self.value))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists."""
        return {"score": self.score.tolist(), "value": self.value.tolist()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """What `to_dict` described."""
        return cls(np.array(plain["score"], np.float64), np.array(plain["value"], np.float64))


def isotonic_regression() -> Any:
    """scikit-learn's, or an error that says how to get it.

    Examples
    --------
    >>> isotonic_regression()
    IsotonicRegression(out_of_bounds='clip', y_max=1.0, y_min=0.0)
    """
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        raise UserError("scikit-learn is not installed: pip install 'counterpoise[sklearn]'") from None
    return IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")


@dataclass(frozen=True, slots=True, eq=False)
class VennAbersMap:
    """The inductive Venn-Abers predictor: isotonic regression with the new row once as a negative, once as a positive.

    The truth lies between the two fits p0 and p1, whatever the scores are; the one probability that costs least log
    loss in the worse case is p1 / (1 - p0 + p1). It is never 0 or 1.

    Parameters
    ----------
    as_negative_from, as_negative
        A new row as a negative gets `as_negative[i]` from the score `as_negative_from[i]` on, and 0 below the first.
    as_positive_to, as_positive
        A new row as a positive gets `as_positive[i]` up to and including the score `as_positive_to[i]`, and 1 above the
        last.

    References
    ----------
    Vovk & Petej, Venn-Abers predictors, UAI 2014; Vovk, Petej & Fedorova, Large-scale probabilistic predictors with and
    without guarantees of validity, NeurIPS 2015, algorithms 1 and 2.

    Examples
    --------
    >>> two = VennAbersMap.fit(np.array([0.0, 1.0]), np.array([0.2, 0.6]), np.ones(2))
    >>> two.both(np.array([0.1, 0.6]))
    (array([0. , 0.5]), array([0.5, 1. ]))
    >>> two(np.array([0.1, 0.6])).round(3)
    array([0.333, 0.667])
    """

    as_negative_from: Float64Array
    as_negative: Float64Array
    as_positive_to: Float64Array
    as_positive: Float64Array

    def __post_init__(self) -> None:
        for steps in (self.as_negative_from, self.as_negative, self.as_positive_to, self.as_positive):
            steps.setflags(write=False)

    @classmethod
    def fit(cls, positive: Float64Array, score: Float64Array, weight: Float64Array) -> Self:
        """Both fits at every score, in O(n log n); a new row has weight 1."""
        scores, place = np.unique(score, return_inverse=True)
        rows: Float64Array = np.bincount(place, weight).astype(np.float64)
        hits: Float64Array = np.bincount(place, weight * positive).astype(np.float64)
        scores, rows, hits = scores[rows > 0], rows[rows > 0], hits[rows > 0]
        upper = _with_a_positive(rows, hits)
        lower = 1 - _with_a_positive(rows[::-1], (rows - hits)[::-1])[::-1]
        last = np.append(np.diff(upper) > 0, True)  # of each level, where it ends
        first = np.append(True, np.diff(lower) > 0)
        return cls(scores[first], lower[first], scores[last], upper[last])

    def both(self, score: Float64Array) -> tuple[Float64Array, Float64Array]:
        """The fits (p0, p1) between which the probability lies; a score that is a step's to rounding is at the step."""
        below = np.searchsorted(self.as_negative_from, score * (1 + HAIR), side="right")
        above = np.searchsorted(self.as_positive_to, score * (1 - HAIR), side="left")
        return np.append(0.0, self.as_negative)[below], np.append(self.as_positive, 1.0)[above]

    def __call__(self, score: Float64Array) -> Float64Array:
        """p1 / (1 - p0 + p1)."""
        as_negative, as_positive = self.both(score)
        return np.asarray(as_positive / (1 - as_negative + as_positive))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists."""
        return {
            "as_negative_from": self.as_negative_from.tolist(),
            "as_negative": self.as_negative.tolist(),
            "as_positive_to": self.as_positive_to.tolist(),
            "as_positive": self.as_positive.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """What `to_dict` described."""
        return cls(
            *(np.array(plain[name], np.float64) for name in ("as_negative_from", "as_negative")),
            *(np.array(plain[name], np.float64) for name in ("as_positive_to", "as_positive")),
        )


def _with_a_positive(rows: Float64Array, hits: Float64Array) -> Float64Array:
    """The isotonic fit at each distinct score, after one positive row of that score has joined.

    Isotonic regression is the slope of the greatest convex minorant of (rows, hits), summed from the left. The new
    row starts at the far left and moves to the right, one score at a time; the minorant right of it is a stack.
    """
    points = [(-1.0, -1.0), (0.0, 0.0), *zip(np.cumsum(rows).tolist(), np.cumsum(hits).tolist(), strict=True)]
    stack: list[tuple[float, float]] = []
    for point in reversed(points):
        _push(stack, point)
    slopes = np.empty(len(rows))
    for k in range(len(rows)):
        (x0, y0), (x1, y1) = stack[-1], stack[-2]
        slopes[k] = (y1 - y0) / (x1 - x0)
        # the rows of score k now come before the new one
        before, start, end = points[k], points[k + 1], points[k + 2]
        moved = (before[0] + end[0] - start[0], before[1] + end[1] - start[1])
        points[k + 1] = moved
        if (moved[1] - y0) * (x1 - x0) < (y1 - y0) * (moved[0] - x0):
            stack.pop()
            _push(stack, moved)
    return slopes


def _push(stack: list[tuple[float, float]], point: tuple[float, float]) -> None:
    """Put a point left of all others on the stack, after those that it leaves above the minorant."""
    while len(stack) > 1:
        (x1, y1), (x2, y2) = stack[-1], stack[-2]
        if (y1 - point[1]) * (x2 - point[0]) < (y2 - point[1]) * (x1 - point[0]):
            break
        stack.pop()
    stack.append(point)
