"""Calibration: a map, learned on held-out rows, from a model's probabilities to honest ones.

Where the distortion is known, undo it first (`recipe.posterior`, `undo_weights`, `adjust_prior`): that needs no
rows. The rest is what the model has not learned or has overfitted, and only held-out rows show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.isotonic import IsotonicMap, VennAbersMap
from counterpoise.decide.multiclass import checked_classes
from counterpoise.decide.probability import Float64Array, checked_probability, side_by_side
from counterpoise.decide.rows import as_array, check_weight, checked_rows, each_weight, real_numbers, whole_number
from counterpoise.decide.scaling import ScalingMap
from counterpoise.errors import UserError, nearest_name
from counterpoise.ties import first_largest, one_score

Map = ScalingMap | IsotonicMap | VennAbersMap

METHODS = ("auto", "none", "temperature", "platt", "beta", "vector", "isotonic", "venn_abers")
_ALIASES = {"identity": "none", "logistic": "platt", "sigmoid": "platt"}
_ONE_VERSUS_REST: dict[str, type[IsotonicMap] | type[VennAbersMap]] = {
    "isotonic": IsotonicMap,
    "venn_abers": VennAbersMap,
}
# From the least to the most that is learned. Isotonic regression alone says 0 and 1, which a log loss cannot forgive.
_RACE_OF_TWO = ("none", "temperature", "platt", "beta", "venn_abers")
_RACE_OF_MORE = ("none", "temperature", "platt", "vector")
_FOLDS = 5
_GROUPS = 2048
_MOST_REPEATED = 10_000_000
_LUCK = 1.645
"""Standard errors by which a difference in log loss is more than luck: one-sided 95 %."""
_SLACK = 1e-6
"""Of a log loss: what is nothing, whatever the luck. The maps of many classes are found to about 1e-8."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrator:
    """A fitted calibration; call it with probabilities like those it was fitted on.

    Parameters
    ----------
    method
        The fitted method: one of "none", "temperature", "platt", "beta", "vector", "isotonic", "venn_abers".
    classes
        Number of classes C; 2 for probabilities (N,).
    maps
        The fitted maps: none for "none", else one, or one per class.
    log_loss
        Log loss in nats of each method that "auto" tried, on rows that it had not seen.
    reason
        Reason for this method, in a sentence.

    Examples
    --------
    >>> same = Calibrator("none", 2)
    >>> same([0.1, 0.9])
    array([0.1, 0.9])
    """

    method: str
    classes: int
    maps: tuple[Map, ...] = ()
    log_loss: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def __call__(self, probability: ArrayLike) -> Float64Array:
        """Calibrated probabilities.

        Parameters
        ----------
        probability
            Probabilities, (N,) of the positive class or (N, C), as in `calibrate`; a calibrator of two classes takes
            both.

        Returns
        -------
        numpy.ndarray
            float64, of the same shape; rows sum to 1.
        """
        values = checked_probability(probability)
        rows = side_by_side(values)
        if rows.shape[1] != self.classes:
            raise UserError(f"probability has {rows.shape[1]} classes, but the calibrator was fitted on {self.classes}")
        calibrated = self._apply(rows)
        return calibrated[:, 1] if values.ndim == 1 else calibrated

    def _apply(self, rows: Float64Array) -> Float64Array:
        if not self.maps:
            return rows
        if isinstance(self.maps[0], ScalingMap):
            return self.maps[0](rows)
        if self.classes == 2:
            return side_by_side(self.maps[0](rows[:, 1]))
        one_each = np.stack([curve(rows[:, k]) for k, curve in enumerate(self.maps)], axis=1)
        total = one_each.sum(axis=1, keepdims=True)
        # a row to which every curve gives 0 has only its own probabilities to go by
        return np.where(total > 0, one_each, rows) / np.where(total > 0, total, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and texts, for JSON.

        Examples
        --------
        >>> Calibrator("none", 2).to_dict()
        {'method': 'none', 'classes': 2, 'maps': [], 'log_loss': {}, 'reason': ''}
        """
        return {
            "method": self.method,
            "classes": self.classes,
            "maps": [one.to_dict() for one in self.maps],
            "log_loss": dict(self.log_loss),
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The calibrator that `to_dict` described.

        Raises
        ------
        UserError
            If the mapping is none that `to_dict` wrote.
        """
        try:
            method = plain["method"]
            kind: type[Map] = _ONE_VERSUS_REST.get(method, ScalingMap)
            maps = tuple(kind.from_dict(one) for one in plain["maps"])
            known = method in METHODS[1:] and bool(maps) == (method != "none")
            if known:
                return cls(method, int(plain["classes"]), maps, dict(plain["log_loss"]), str(plain["reason"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"this is not the dict of a calibrator ({type(error).__name__}: {error})") from None
        raise UserError(f"this is not the dict of a calibrator: method {method!r} with {len(maps)} maps")


def calibrate(
    target: ArrayLike,
    probability: ArrayLike,
    method: str = "auto",
    *,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
) -> Calibrator:
    """Learn on held-out rows how to make a model's probabilities honest.

    Parameters
    ----------
    target
        True classes 0 to C - 1, (N,), of rows that the model was not fitted on; each class at least twice, except for
        "none" and "temperature".
    probability
        The model's probabilities, (N,) of class 1 or (N, C), in [0, 1].
    method
        "none" (or "identity"); "temperature"; "platt" (or "logistic", or scikit-learn's "sigmoid"); "beta" and
        "vector", which are one method, called beta for two classes and vector for more; "isotonic" (scikit-learn's) and
        "venn_abers", which with more than two classes treat each against the rest and normalise. The default, "auto",
        takes the simplest method whose log loss in stratified 5-fold cross-validation is no worse than the best one's
        by more than luck, so probabilities that are already honest stay as they are.
    sample_weight
        Weight of each row, (N,), >= 0. Whole numbers repeat their rows; others are scaled to mean 1.
    seed
        Seed of the folds; default 0.

    Returns
    -------
    Calibrator
        A frozen, picklable calibrator; `to_dict` gives JSON. For two classes a higher score never gets a lower
        probability. "temperature", "platt" and "beta" keep different scores different, unless they learn a scale of 0
        from scores without information; "isotonic" and "venn_abers" make steps.

    Raises
    ------
    UserError
        For scores outside [0, 1], NaN, one class only, a class with a single row, or an unknown method.

    Notes
    -----
    Not in the race of "auto": "isotonic", whose probabilities of 0 and 1 one row can refute. With two classes and more
    than about 10,000 rows the race fits its maps on groups of rows with neighbouring scores, to save time; each is
    judged on single rows, and the one that is chosen is fitted on all of them.

    References
    ----------
    As in the maps' own documentation: Platt 1999, Zadrozny & Elkan 2002, Vovk & Petej 2014, Guo et al. 2017, Kull et
    al. 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> honest = rng.random(2000) ** 3
    >>> target = rng.random(2000) < honest
    >>> calibrator = calibrate(target, honest**0.5)
    >>> calibrator.method, calibrator([0.5]).round(2)
    ('platt', array([0.24]))
    """
    if not isinstance(method, str) or _ALIASES.get(method, method) not in METHODS:
        raise nearest_name("calibration method", method, (*METHODS, *_ALIASES))
    method = _ALIASES.get(method, method)
    seed = whole_number("seed", seed)
    truth, rows, weight = _held_out(target, probability, sample_weight)
    classes = rows.shape[1]
    if method in ("beta", "vector"):
        method = "beta" if classes == 2 else "vector"
    counts = np.bincount(truth, minlength=classes)
    if method not in ("none", "temperature") and counts.min() < 2:
        raise UserError(
            f"target has {counts.min()} row(s) of class {counts.argmin()}; method {method!r} needs at least two of "
            "each class: give more rows"
            + ("" if classes == 2 else ', or use "temperature", which learns one number for all')
        )
    floor = _floor(probability)
    if method != "auto":
        return Calibrator(method, classes, _fit(method, truth, rows, weight, floor), reason="as asked for")
    race = _RACE_OF_TWO if classes == 2 else _RACE_OF_MORE
    folds = _stratified(truth, min(_FOLDS, int(counts.min())), seed)
    losses = _unseen_log_losses(race, truth, rows, weight, floor, folds)
    chosen, reason = _simplest_of_the_best(losses, weight)
    means = {name: float(np.average(rowwise, weights=weight)) for name, rowwise in losses.items()}
    return Calibrator(chosen, classes, _fit(chosen, truth, rows, weight, floor), means, reason)


def _held_out(
    target: ArrayLike, probability: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[NDArray[np.int64], Float64Array, Float64Array]:
    values = checked_probability(probability)
    if values.ndim == 1:
        flag, values, given = checked_rows(target, values, sample_weight)  # without rows of weight 0
        truth, weight = flag.astype(np.int64), each_weight(given, len(flag))
    else:
        truth, _ = checked_classes(target, values)
        weight = np.ones(len(truth)) if sample_weight is None else real_numbers("sample_weight", sample_weight)
        if weight.shape != truth.shape:
            raise UserError(f"sample_weight has shape {weight.shape}; pass one number per row, {truth.shape}")
        check_weight(weight)
        if len(np.unique(truth[weight > 0])) < 2:
            raise UserError("target has rows of fewer than two classes; calibration needs at least two")
    if (weight != np.floor(weight)).any():
        weight = weight * (len(weight) / weight.sum())
    rows = side_by_side(values)
    return _as_repetitions(truth, rows / rows.sum(axis=1, keepdims=True), weight)


def _as_repetitions(
    truth: NDArray[np.int64], rows: Float64Array, weight: Float64Array
) -> tuple[NDArray[np.int64], Float64Array, Float64Array]:
    """The rows in an order of their own, rows of integer weight w repeated w times, in the folds too.

    Probabilities that differ only by rounding are made equal, so that the order, and the steps of a curve, do not
    depend on rounding.
    """
    kept = weight > 0
    truth, rows, weight = truth[kept], rows[kept], weight[kept]
    if rows.shape[1] == 2:
        rows = side_by_side(one_score(rows[:, 1]))
        key = -rows[:, 1]
    else:
        rows = np.stack([one_score(column) for column in rows.T], axis=1)
        # one number that tells rows apart, whatever processor sums it: a wrapping sum of whole ones
        places = np.stack([np.unique(column, return_inverse=True)[1] for column in rows.T], axis=1).astype(np.uint64)
        factors = np.random.default_rng(0).integers(1 << 63, size=rows.shape[1], dtype=np.uint64)
        key = (places * factors).sum(axis=1, dtype=np.uint64)
    order = np.lexsort((weight, key, truth))
    if (weight == np.floor(weight)).all() and weight.sum() <= _MOST_REPEATED:
        order = np.repeat(order, weight[order].astype(np.int64))
        return truth[order], rows[order], np.ones(len(order))
    return truth[order], rows[order], weight[order]


def _floor(probability: ArrayLike) -> float:
    """Half the rounding of the numbers' own type near 1: a nearer probability cannot be separated from 0 or 1."""
    dtype = as_array("probability", probability).dtype
    return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps) / 2


def _fit(
    method: str, truth: NDArray[np.int64], rows: Float64Array, weight: Float64Array, floor: float
) -> tuple[Map, ...]:
    classes = rows.shape[1]
    if method == "none":
        return ()
    if method in _ONE_VERSUS_REST:
        curve = _ONE_VERSUS_REST[method]
        places = (1,) if classes == 2 else range(classes)
        return tuple(curve.fit((truth == k).astype(np.float64), rows[:, k], weight) for k in places)
    return (ScalingMap.fit(np.eye(classes)[truth], rows, weight, method=method, floor=floor),)


def _stratified(truth: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row; every class is spread over all folds."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(truth), np.int64)
    for k in np.unique(truth):
        places = rng.permutation(np.flatnonzero(truth == k))
        fold[places] = np.arange(len(places)) % folds
    return fold


def _unseen_log_losses(
    race: Sequence[str],
    truth: NDArray[np.int64],
    rows: Float64Array,
    weight: Float64Array,
    floor: float,
    folds: NDArray[np.int64],
) -> dict[str, Float64Array]:
    """Each row's log loss under each method fitted on the other folds."""
    losses = {method: np.empty(len(truth)) for method in race}
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        others = _pooled(truth[~out], rows[~out], weight[~out])
        for method in race:
            said = Calibrator(method, rows.shape[1], _fit(method, *others, floor))._apply(rows[out])
            losses[method][out] = -np.log(np.maximum(said[np.arange(out.sum()), truth[out]], floor))
    return losses


def _pooled(
    truth: NDArray[np.int64], rows: Float64Array, weight: Float64Array
) -> tuple[NDArray[np.int64], Float64Array, Float64Array]:
    """Many rows of two classes as a few: neighbours by score, all at that of the middle one.

    The maps of the race are fitted on these, in a fraction of the time. They have two or three numbers, or steps far
    wider than a group, so they hardly differ; each map is then judged on every single row. Groups hold equal parts of
    the classes' weights taken together, so a rare class is in groups as small as a row.
    """
    if rows.shape[1] > 2 or len(truth) <= 4 * _GROUPS:
        return truth, rows, weight
    _, first, place = np.unique(rows[:, 1], return_index=True, return_inverse=True)  # equal scores stay together
    below = np.cumsum(np.bincount(place, weight / np.bincount(truth, weight)[truth]))
    group = np.unique(np.floor(below * (_GROUPS / 2) + 1e-9).astype(np.int64), return_inverse=True)[1]
    start = np.searchsorted(group, np.arange(group[-1] + 2))
    middle = rows[first[(start[:-1] + start[1:] - 1) // 2]]
    cells: Float64Array = np.bincount(2 * group[place] + truth, weight).astype(np.float64)
    there: NDArray[np.int64] = np.flatnonzero(cells)
    return there % 2, middle[there // 2], cells[there]


def _simplest_of_the_best(losses: Mapping[str, Float64Array], weight: Float64Array) -> tuple[str, str]:
    mean = {name: float(np.average(rowwise, weights=weight)) for name, rowwise in losses.items()}
    best = list(mean)[int(first_largest([-loss for loss in mean.values()], _SLACK * min(mean.values())))]
    for name, rowwise in losses.items():
        luck = _LUCK * _standard_error(rowwise - losses[best], weight)
        if mean[name] - mean[best] <= luck + _SLACK * mean[best]:
            break
    if name == "none":
        return name, f"no method lowers the log loss of {mean[name]:.4g} by more than luck"
    reason = f"log loss {mean[name]:.4g} on rows not seen, {mean['none']:.4g} without calibration"
    return name, reason if name == best else f"{reason}; {best} is better by no more than luck"


def _standard_error(difference: Float64Array, weight: Float64Array) -> float:
    share = weight / weight.sum()
    away = difference - (share * difference).sum()
    return float(np.sqrt((share**2 * away**2).sum()))
