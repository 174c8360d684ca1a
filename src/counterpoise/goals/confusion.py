"""The four counts of a binary decision, and the rates that follow from them.

The counts may be numbers, or arrays with one entry per threshold: every rate works on both. A rate
whose denominator is zero is 0, as in scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Count = float | NDArray[np.float64]


def ratio(part: Count, whole: Count) -> NDArray[np.float64]:
    """`part / whole`, and 0 where `whole` is 0.

    Examples
    --------
    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Found, falsely flagged, missed and correctly passed.

    Parameters
    ----------
    tp, fp, fn, tn
        True positives, false positives, false negatives and true negatives, counted or weighted.

    Examples
    --------
    >>> Confusion(tp=8, fp=2, fn=2, tn=88).f_beta(1.0).round(3)
    np.float64(0.8)
    """

    tp: Count
    fp: Count
    fn: Count
    tn: Count

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the alerts that are right."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the positives that are found."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> NDArray[np.float64]:
        """Share of the negatives that are passed."""
        return ratio(self.tn, self.tn + self.fp)

    @property
    def fpr(self) -> NDArray[np.float64]:
        """Share of the negatives that are flagged."""
        return ratio(self.fp, self.tn + self.fp)

    @property
    def alerts(self) -> NDArray[np.float64]:
        """Share of all rows that are flagged."""
        return ratio(self.tp + self.fp, self.tp + self.fp + self.fn + self.tn)

    @property
    def balanced_accuracy(self) -> NDArray[np.float64]:
        """Mean of recall and specificity."""
        return np.asarray((self.recall + self.specificity) / 2)

    @property
    def g_mean(self) -> NDArray[np.float64]:
        """Geometric mean of recall and specificity."""
        return np.sqrt(self.recall * self.specificity)

    @property
    def mcc(self) -> NDArray[np.float64]:
        """Matthews correlation coefficient."""
        tp, fp, fn, tn = (np.asarray(count, np.float64) for count in (self.tp, self.fp, self.fn, self.tn))
        # The root of each factor, since the product of four large counts loses digits and can overflow.
        scale = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
        return ratio(tp * tn - fp * fn, scale)

    @property
    def macro_f1(self) -> NDArray[np.float64]:
        """Mean of the F1 of the positive and of the negative class."""
        negative = Confusion(tp=self.tn, fp=self.fn, fn=self.fp, tn=self.tp)
        return np.asarray((self.f_beta(1.0) + negative.f_beta(1.0)) / 2)

    def f_beta(self, beta: float) -> NDArray[np.float64]:
        """Weighted harmonic mean of precision and recall; `beta` above 1 favours recall.

        Examples
        --------
        >>> float(Confusion(tp=1, fp=1, fn=0, tn=8).f_beta(2.0).round(3))
        0.833
        """
        found = (1 + beta**2) * np.asarray(self.tp, np.float64)
        return ratio(found, found + beta**2 * np.asarray(self.fn) + np.asarray(self.fp))

    def cost(self, *, fn: float, fp: float, tp: float = 0.0, tn: float = 0.0) -> NDArray[np.float64]:
        """Mean cost per row.

        Examples
        --------
        >>> float(Confusion(tp=8, fp=10, fn=2, tn=80).cost(fn=500, fp=10))
        11.0
        """
        spent = fn * self.fn + fp * self.fp + tp * self.tp + tn * self.tn
        return ratio(spent, self.tp + self.fp + self.fn + self.tn)
