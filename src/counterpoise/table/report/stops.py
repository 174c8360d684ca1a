"""Where the report's threshold slider stops, and what each place does on the test rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured, share
from counterpoise.decide.sweep import sweep
from counterpoise.goals import Confusion, Constraint, Cost, Goal

MOST_STOPS = 300
KEPT, LIKELY, BROKEN = "kept", "kept, within noise", "not kept"
_SHARES = ("precision", "recall", "alerts", "fpr")
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """Thresholds and their counts.

    Parameters
    ----------
    threshold
        Thresholds, rising, (S,); a row is flagged when its probability is at least the threshold.
    at
        Counts at each threshold, (S,).
    chosen
        Index of the threshold that the model decides by.
    """

    threshold: NDArray[np.float64]
    at: Confusion
    chosen: int

    def counts(self, place: int) -> Confusion:
        """The counts at one place, as numbers."""
        tp, fp, fn, tn = (float(np.asarray(part)[place]) for part in (self.at.tp, self.at.fp, self.at.fn, self.at.tn))
        return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def stops_of(
    target: NDArray[np.int64], probability: NDArray[np.float64], threshold: float, most: int = MOST_STOPS
) -> Stops:
    """Every distinct decision on the test rows, or a good choice of them; always the model's own.

    Examples
    --------
    >>> stops = stops_of(np.array([0, 1, 1]), np.array([0.2, 0.4, 0.8]), 0.5)
    >>> stops.threshold.round(3), stops.at.tp, stops.chosen
    (array([0. , 0.3, 0.5, 1. ]), array([2., 2., 1., 0.]), 2)
    """
    every = sweep(target, probability)
    own = int(every.places(threshold))
    places = np.arange(len(every.tp))
    if len(places) > most:
        few = np.geomspace(1, every.flagged[-1], most // 2)
        found = np.linspace(0, every.tp[-1], most // 2)
        places = np.union1d(np.searchsorted(every.flagged, few), np.searchsorted(every.tp, found))
    places = np.union1d(places, own)[::-1]
    thresholds = every.threshold_at(places)
    chosen = int(np.flatnonzero(places == own)[0])
    thresholds[chosen] = threshold
    return Stops(thresholds, every.at(places), chosen)


def rate_of(name: str, at: Confusion) -> Measured:
    """A rate at one threshold with its 95 % interval.

    Examples
    --------
    >>> str(rate_of("precision", Confusion(tp=8, fp=2, fn=2, tn=88)))
    '0.800 [0.444, 0.975]'
    """
    tp, fp, fn, tn = float(at.tp), float(at.fp), float(at.fn), float(at.tn)
    part, whole = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "alerts": (tp + fp, tp + fp + fn + tn),
        "fpr": (fp, fp + tn),
    }[name]
    return share(part, whole)


def kept(constraint: Constraint, found: Measured) -> str:
    """What became of a bound, in words.

    Examples
    --------
    >>> kept(Constraint("precision", 0.5), Measured(0.6, 0.4, 0.8))
    'kept, within noise'
    """
    if constraint.at_least:
        sure, likely = found.low >= constraint.bound, found.value >= constraint.bound
    else:
        sure, likely = found.high <= constraint.bound, found.value <= constraint.bound
    return KEPT if sure else LIKELY if likely else BROKEN


def slider_data(stops: Stops, goal: Goal) -> dict[str, Any]:
    """What the page's script needs: plain data for JSON.

    Examples
    --------
    >>> stops = stops_of(np.array([0, 1, 1]), np.array([0.2, 0.4, 0.8]), 0.5)
    >>> data = slider_data(stops, Goal("f1"))
    >>> data["tp"], data["recall"]["low"][0]
    ([2, 2, 1, 0], 0.158114)
    """
    each = [stops.counts(place) for place in range(len(stops.threshold))]
    data: dict[str, Any] = {
        "threshold": stops.threshold.tolist(),
        "tp": [int(one.tp) for one in each],
        "fp": [int(one.fp) for one in each],
        "positives": int(each[0].tp + each[0].fn),
        "negatives": int(each[0].fp + each[0].tn),
        "chosen": stops.chosen,
        "costs": costs_of(goal),
    }
    for name in _SHARES:
        ends = [rate_of(name, one) for one in each]
        data[name] = {
            "low": [round(one.low, _DIGITS) for one in ends],
            "high": [round(one.high, _DIGITS) for one in ends],
        }
    data["kept"] = [[kept(bound, rate_of(bound.rate, one)) for one in each] for bound in goal.constraints]
    return data


def costs_of(goal: Goal) -> dict[str, float]:
    """What the four outcomes cost: the goal's costs, or 1 for every error.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> costs_of(goal("cost fn=500 fp=10")), costs_of(Goal("f1"))
    ({'fn': 500.0, 'fp': 10.0, 'tp': 0.0, 'tn': 0.0}, {'fn': 1.0, 'fp': 1.0, 'tp': 0.0, 'tn': 0.0})
    """
    if isinstance(goal.costs, Cost) and not goal.costs.columns:
        return goal.costs.numbers()
    return {"fn": 1.0, "fp": 1.0, "tp": 0.0, "tn": 0.0}


def cost_per_1000(at: Confusion, costs: dict[str, float]) -> Measured:
    """What 1,000 rows like the test rows cost.

    The share of positives is taken as it is among them; the intervals of recall and of the false alerts are combined
    by the recovery of variances (Zou and Donner, Statistics in Medicine 2008), which the page's script does too.

    Examples
    --------
    >>> str(cost_per_1000(Confusion(tp=8, fp=2, fn=2, tn=88), costs_of(Goal("f1"))))
    '40.000 [15.218, 101.531]'
    """
    positives, negatives = float(at.tp + at.fn), float(at.fp + at.tn)
    rows = positives + negatives
    weights = (
        1000 * positives / rows * (costs["fn"] - costs["tp"]),
        1000 * negatives / rows * (costs["fp"] - costs["tn"]),
    )
    errors = (share(float(at.fn), positives), share(float(at.fp), negatives))
    fixed = 1000 * (positives * costs["tp"] + negatives * costs["tn"]) / rows
    value = fixed + sum(weight * one.value for weight, one in zip(weights, errors, strict=True))
    below = sum((weight * (one.value - one.low)) ** 2 for weight, one in zip(weights, errors, strict=True)) ** 0.5
    above = sum((weight * (one.high - one.value)) ** 2 for weight, one in zip(weights, errors, strict=True)) ** 0.5
    return Measured(value, value - below, value + above)
