"""Every decision that a threshold can make on scored rows, from flagging nothing to flagging everything.

A row is flagged when its probability is at least the threshold, so rows with equal scores are flagged together:
between two distinct scores nothing changes, and a place of the sweep is how many distinct scores are flagged. Scores
that differ only by rounding are equal (`counterpoise.ties`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.rows import checked_rows
from counterpoise.goals import Confusion
from counterpoise.ties import last_of_each

_BLOCK = 1 << 16
MARGIN = 1e-5
"""Of log odds: more than the digits in which machines differ."""
NOTHING = float(np.nextafter(np.float32(1), np.float32(2)))
"""The threshold that flags nothing, on any rows: above every score, also where it is kept as a float32."""

Places = NDArray[np.int64] | int


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What is flagged at each place.

    Parameters
    ----------
    score
        Distinct scores, falling, (G,); of scores that differ only by rounding, the smallest.
    tp
        Flagged positives at each place, counted or weighted, (G + 1,); the first is 0.
    flagged
        Flagged rows at each place, in the same form.
    """

    score: NDArray[np.float64]
    tp: NDArray[Any]
    flagged: NDArray[Any]

    @property
    def positives(self) -> float:
        """All positives, counted or weighted."""
        return float(self.tp[-1])

    @property
    def negatives(self) -> float:
        """All negatives."""
        return float(self.flagged[-1]) - float(self.tp[-1])

    @property
    def confusion(self) -> Confusion:
        """The counts at every place."""
        return self.at(np.arange(len(self.tp)))

    @property
    def threshold(self) -> NDArray[np.float64]:
        """A threshold for every place, falling."""
        return self.threshold_at(np.arange(len(self.tp)))

    def at(self, places: Places) -> Confusion:
        """The counts at some places."""
        tp = np.asarray(self.tp[places], np.float64)
        fp = np.asarray(self.flagged[places], np.float64) - tp
        # of weights the last digit may be lost, and no count is below 0
        return Confusion(tp=tp, fp=fp, fn=self.positives - tp, tn=np.maximum(self.negatives - fp, 0.0))

    def threshold_at(self, places: Places) -> NDArray[np.float64]:
        """Thresholds half-way between two scores, so that the last digit of another machine changes no decision.

        Below all scores it is 0, which flags every new row too; above them `NOTHING`, which flags none.
        """
        place, last = np.asarray(places), len(self.score)
        above = self.score[np.clip(place - 1, 0, last - 1)]
        below = self.score[np.clip(place, 0, last - 1)]
        middle = (above + below) / 2
        middle = np.where(middle > below, middle, above)
        return np.where(place == 0, NOTHING, np.where(place == last, 0.0, middle))

    def just_above(self, rank: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Thresholds a hair above the score of the row that follows the `rank` highest, and their places.

        They depend on that one score alone, never on the rows above it. A hair is `MARGIN`.
        """
        last = len(self.score)
        group = np.searchsorted(self.flagged[1:], rank + 1)
        below = self.score[np.minimum(group, last - 1)]
        above = np.maximum(below + MARGIN * below * (1 - below), np.nextafter(below, 2.0))
        threshold = np.where(group == last, 0.0, np.where(above > 1, NOTHING, above))
        return threshold, self.places(threshold)

    def places(self, threshold: ArrayLike) -> NDArray[np.int64]:
        """The places of given thresholds."""
        return np.asarray(len(self.score) - np.searchsorted(self.score[::-1], threshold))

    def candidates(self) -> Iterator[NDArray[np.int64]]:
        """The places that can be best, in blocks: those whose last score is a positive's, and the first two.

        If the last flagged score belongs to negatives only, flagging less is as good for every goal, unless nothing is
        flagged, which has no precision.
        """
        yield np.arange(2)
        for start in range(0, len(self.score), _BLOCK):
            tp = self.tp[start : start + _BLOCK + 1]
            yield np.flatnonzero(tp[1:] > tp[:-1]) + (start + 1)


def sweep(target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None) -> Sweep:
    """All distinct decisions on scored rows, in O(n log n).

    Examples
    --------
    >>> every = sweep([0, 1, 1], [0.2, 0.4, 0.8])
    >>> every.threshold.round(3), every.confusion.recall
    (array([1. , 0.6, 0.3, 0. ]), array([0. , 0.5, 1. , 1. ]))
    """
    truth, scores, weight = checked_rows(target, probability, sample_weight)
    return sweep_rows(truth, scores) if weight is None else sweep_weighted(truth, scores, weight)


def sweep_rows(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Sweep:
    """The same for checked rows that count once each.

    Sorting numbers is twice as fast as sorting their places, so each score takes its label with it: scores from 0
    to 1 leave the highest bit of their 64 free, and their bits are in order as they are.
    """
    key = (scores + 0.0).view(np.uint64)  # a copy, without -0
    key <<= np.uint64(1)
    key |= truth
    key.sort()
    key = key[::-1]
    found = np.zeros(len(key) + 1, np.int64)
    np.cumsum(key & np.uint64(1), dtype=np.int64, out=found[1:])
    key >>= np.uint64(1)
    last = last_of_each(key.view(np.float64))
    flagged = np.zeros(len(last) + 1, np.int64)
    np.add(last, 1, out=flagged[1:])
    return Sweep(key[last].view(np.float64), found[flagged], flagged)


def sweep_weighted(truth: NDArray[np.bool_], scores: NDArray[np.float64], weight: NDArray[np.float64]) -> Sweep:
    """The same for checked rows with weights."""
    order = np.argsort(scores)[::-1]
    falling = scores[order]
    last = last_of_each(falling)
    tp, fp = (_sums(np.where(truth == side, weight, 0.0)[order], last) for side in (True, False))
    return Sweep(falling[last], tp, tp + fp)


def _sums(weight: NDArray[np.float64], last: NDArray[np.intp]) -> NDArray[np.float64]:
    """0, and the sums of the weights up to these places: of whole units, in 62 bits, so that no order changes them."""
    unit = np.ldexp(1.0, int(np.frexp(weight.max())[1]) + len(weight).bit_length() - 62)
    found = np.zeros(len(last) + 1)
    found[1:] = np.cumsum(np.rint(weight / unit).astype(np.int64))[last] * unit
    return found


def sweep_or_weighted(
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Sweep, float | None]:
    """All distinct decisions, and the number of rows per count: None if all rows have the same weight.

    Rows of different weights are worth fewer rows: Kish's effective number.

    Examples
    --------
    >>> sweep_or_weighted([0, 1], [0.2, 0.8], [3.0, 3.0])[1], sweep_or_weighted([0, 1], [0.2, 0.8], [1.0, 3.0])[1]
    (None, 0.4)
    """
    truth, scores, weight = checked_rows(target, probability, sample_weight)
    if weight is None or np.all(weight == weight[0]):
        return sweep_rows(truth, scores), None
    return sweep_weighted(truth, scores, weight), float(weight.sum() / np.sum(weight**2))
