"""Whether new rows are like those that a model learned from: their columns, and their share of each class."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.prior import estimate_prior
from counterpoise.errors import UserError
from counterpoise.wording import percent

Floats = NDArray[np.float64]

_FEWEST_ROWS = 100
_MORE_MISSING = 0.2
_MEAN_MOVED = 0.5
"""In standard deviations of the training rows."""
_MOST_CELLS = 1_000_000
_SHARE_CHANGED = 1.25
_CHANCE = 1e-3
_SURELY = 4.0
"""Standard errors."""
_FURTHEST = 10.0
"""So many times a class's share may be what it was, or so small a part of it, and still be believed."""
_FEWEST_OF_CLASS = 20


def column_facts(matrix: Floats, features: list[str], categorical: Collection[int] = ()) -> dict[str, dict[str, Any]]:
    """Of each feature its share of missing values, mean, standard deviation, range and typical value.

    Parameters
    ----------
    matrix
        The training rows (N, F), NaN where a value is missing.
    features
        Names of the features.
    categorical
        Indices of the features that are codes: for these the typical value is the most frequent one, otherwise the
        median.

    Examples
    --------
    >>> column_facts(np.array([[1.0], [3.0], [3.0], [np.nan]]), ["size"])["size"]["typical"]
    3.0
    """
    seen = ColumnStatistics(features)
    seen.add(matrix)
    found: dict[str, dict[str, Any]] = {name: dict(one) for name, one in seen.facts().items()}
    for place, name in enumerate(features):
        column = matrix[:, place]
        held = column[~np.isnan(column)]
        if len(held):
            found[name] |= {"low": float(held.min()), "high": float(held.max())}
            typical = np.bincount(held.astype(np.int64)).argmax() if place in categorical else np.median(held)
            found[name]["typical"] = float(typical)
    return found


class ColumnStatistics:
    """The same of rows that come in blocks, and how they differ from those of the training.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = column_facts(rng.normal(size=(500, 2)), ["size", "wind"])
    >>> now = ColumnStatistics(["size", "wind"])
    >>> now.add(rng.normal(size=(500, 2)) + [2.0, 0.0])
    >>> now.drift(before)
    ["column 'size' has mean 2.03; in training it was -0.0878 (2.1 standard deviations)"]
    """

    def __init__(self, features: list[str]) -> None:
        self._features = features
        self._rows = 0
        self._held = np.zeros(len(features))
        self._mean = np.zeros(len(features))
        self._squares = np.zeros(len(features))

    def add(self, matrix: Floats) -> None:
        """Count rows (N, F)."""
        self._rows += len(matrix)
        for place in range(matrix.shape[1]):
            column = matrix[:, place]
            column = column[~np.isnan(column)]
            if not len(column):
                continue
            mean, held = float(column.mean()), self._held[place]
            apart, both = mean - self._mean[place], held + len(column)
            # the sums of squares of two samples about their common mean (Chan et al.)
            self._squares[place] += float(((column - mean) ** 2).sum()) + apart**2 * held * len(column) / both
            self._mean[place] += apart * len(column) / both
            self._held[place] = both

    def facts(self) -> dict[str, dict[str, float]]:
        """As `column_facts`; a feature without values has mean and deviation 0."""
        deviation = np.sqrt(self._squares / np.maximum(self._held, 1))
        found = zip(self._features, 1 - self._held / max(1, self._rows), self._mean, deviation, strict=True)
        return {
            name: {"missing": float(missing), "mean": float(mean), "deviation": float(spread)}
            for name, missing, mean, spread in found
        }

    def drift(
        self,
        before: Mapping[str, Mapping[str, float]],
        categories: frozenset[str] = frozenset(),
        days: frozenset[str] = frozenset(),
    ) -> list[str]:
        """A sentence for each feature that has changed; none for fewer than 100 rows.

        Parameters
        ----------
        before
            The result of `column_facts` in training.
        categories
            Features that are codes, whose mean has no meaning.
        days
            Features that are days since 1970.
        """
        if self._rows < _FEWEST_ROWS:
            return []
        said = []
        for name, now in self.facts().items():
            then = before.get(name)
            if then is None:
                continue
            if now["missing"] - then["missing"] > _MORE_MISSING:
                said.append(
                    f"column {name!r} is missing or unknown in {percent(now['missing'])} of the rows; in "
                    f"training it was in {percent(then['missing'])}"
                )
            elif name not in categories and now["missing"] < 1:
                said += _moved(name, now["mean"], then, name in days)
        return said


def _moved(name: str, mean: float, then: Mapping[str, float], is_day: bool) -> list[str]:
    """A sentence if the mean of a feature lies outside of all training rows, or far from their mean."""
    low, high = then.get("low", mean), then.get("high", mean)
    if not low <= mean <= high:
        shown = shown_apart([mean, low, high], is_day)
        return [
            f"column {name!r} lies outside the training range: its mean is {shown[0]}; in training it ranged from "
            f"{shown[1]} to {shown[2]}"
        ]
    apart = abs(mean - then["mean"])
    if not apart > _MEAN_MOVED * then["deviation"] > 0:
        return []
    shown = shown_apart([mean, then["mean"]], is_day)
    return [
        f"column {name!r} has mean {shown[0]}; in training it was {shown[1]} ({apart / then['deviation']:.1f} "
        "standard deviations)"
    ]


def shown_apart(values: list[float], is_day: bool = False) -> list[str]:
    """Numbers with as many digits as tell the first from the others; days since 1970 as dates.

    Examples
    --------
    >>> shown_apart([20634.2, 20551.7]), shown_apart([2.03, -0.1]), shown_apart([19783.2, 19692.0], is_day=True)
    (['20634', '20552'], ['2.03', '-0.1'], ['2024-03-01', '2023-12-01'])
    """
    if is_day:
        return [(date(1970, 1, 1) + timedelta(days=int(one))).isoformat() for one in values]
    for digits in range(3, 16):
        shown = [f"{one:.{digits}g}" for one in values]
        if shown[0] not in shown[1:] and not any("e" in text for text in shown if digits < 6):
            break
    return shown


class ProbabilitySample:
    """An even sample of the probabilities of rows that come in blocks, large enough for their class shares.

    Parameters
    ----------
    classes
        Number of classes; at most 1,000,000 numbers are kept in all.

    Examples
    --------
    >>> scores = ProbabilitySample(2)
    >>> scores.add(np.tile([[0.9, 0.1]], (300, 1)))
    >>> scores.add(np.tile([[0.1, 0.9]], (100, 1)))
    >>> scores.shares([0.5, 0.5]).round(3)
    array([0.812, 0.188])
    """

    def __init__(self, classes: int) -> None:
        self._most = _MOST_CELLS // classes
        self._step = 1
        self._seen = 0
        self._kept: list[Floats] = []
        self._sum = np.zeros(classes)

    def add(self, probability: Floats) -> None:
        """Note rows (N, C): every one, then every second, fourth, … so that they always fit."""
        self._kept.append(probability[-self._seen % self._step :: self._step].copy())
        self._seen += len(probability)
        self._sum += probability.sum(axis=0)
        while sum(map(len, self._kept)) > self._most:
            self._kept = [np.concatenate(self._kept)[::2].copy()]
            self._step *= 2

    @property
    def mean(self) -> Floats:
        """Of the probabilities, (C,)."""
        return np.asarray(self._sum / max(1, self._seen))

    def shares(self, prior: Any, trained: int | None = None, independent: float = 1.0) -> Floats:
        """The class shares of these rows, by `counterpoise.decide.estimate_prior` from the training shares.

        With the number of training rows given, the result is the training shares unless the mean probability has
        changed. For any model the mean moves with the shares, while the estimate mistakes every flaw of the model for a
        shift.
        """
        if trained is not None and not self._surely_moved(prior, trained, independent).any():
            return np.asarray(prior, np.float64)
        return estimate_prior(np.concatenate(self._kept), prior)

    def _surely_moved(self, prior: Floats, trained: int, independent: float) -> NDArray[np.bool_]:
        """(C,), whether the mean probability of a class is surely not its share of so many training rows."""
        rows = np.concatenate(self._kept)
        chance = np.sqrt(rows.var(axis=0) / (len(rows) * independent) + prior * (1 - prior) / trained)
        return np.asarray(np.abs(self.mean - prior) > _SURELY * chance)

    def moved(self, prior: Floats, trained: int, independent: float = 1.0) -> Floats | None:
        """The class shares of these rows if they are surely, and noticeably, not those of the training.

        Parameters
        ----------
        prior
            Class shares in training, (C,).
        trained
            Number of rows behind these shares.
        independent
            Share of rows that carry new information: copies of others do not.
        """
        if self._seen * independent < _FEWEST_ROWS:
            return None
        try:
            shares = self.shares(prior, trained, independent)
        except UserError:  # the rows do not tell
            return None
        from scipy.special import chdtri

        rows = np.concatenate(self._kept)
        gain = 2 * independent * float(np.log(rows @ (shares / prior)).sum())
        changed = np.maximum(shares, 1e-9) / prior
        place = int(np.argmax(np.abs(np.log(changed))))
        if (self.mean[place] - prior[place]) * (shares[place] - prior[place]) <= 0:
            return None
        if gain < chdtri(len(prior) - 1, _CHANCE) or max(changed[place], 1 / changed[place]) < _SHARE_CHANGED:
            return None
        return shares

    def far_off(self, shares: Floats, prior: Floats) -> int | None:
        """A class whose estimated share is too far from that of the training to be taken for more than a mistake.

        Examples
        --------
        >>> scores = ProbabilitySample(2)
        >>> scores.add(np.tile([[0.9, 0.1]], (300, 1)))
        >>> scores.far_off(np.array([0.999, 0.001]), np.array([0.9, 0.1]))
        1
        """
        enough = np.maximum(shares, prior) * self._seen >= _FEWEST_OF_CLASS
        times = np.maximum(np.maximum(shares, 1e-9) / prior, prior / np.maximum(shares, 1e-9)) * enough
        place = 1 if len(prior) == 2 else int(np.argmax(times))
        return place if times.max() > _FURTHEST else None
