"""Whether new rows are those of the training with other class shares, and nothing else.

An estimate of class shares assumes that each class still looks as it did. Then the share of rows in each part of a
column is the mix, by the class shares, of what it was in each class. If it is not, the column itself has changed, and
the estimated shift of the classes may really be a changed unit, another kind of rows or another month.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PARTS = 10
_MOST_HISTOGRAMS = 5_000
_MOST_COPIED = 4_096
_MOST_KEPT = 16_384
_SURELY = 4.0
"""Standard errors: of 300 parts of columns, one in fifty tables has one so far off by chance."""
_LEFT = 0.15
"""So large a part of what has changed may be left over."""
_BY_CHANCE = 2.0


def class_histograms(
    matrix: Floats, codes: NDArray[np.int64], classes: int, categorical: Collection[int] = ()
) -> list[dict[str, Any]]:
    """Of each feature how many training rows of each class lie in each of its parts, for decision.json.

    Parameters
    ----------
    matrix
        The training rows (N, F), NaN where a value is missing.
    codes
        Class indices of the rows, (N,).
    classes
        Number of classes.
    categorical
        Indices of features that are codes: each frequent code is a part of its own.

    Returns
    -------
    list
        For each feature the borders of its parts ("edges" of a number, or frequent "codes"), and the "rows" of each
        class in each part: missing, below the first edge, from it on, …, or missing, the codes, all others. Empty if
        there are too many features and classes to keep them all.

    Examples
    --------
    >>> class_histograms(np.array([[1.0], [2.0], [3.0], [np.nan]]), np.array([0, 0, 1, 1]), 2)
    [{'edges': [2.0, 3.0], 'rows': [[0, 1], [1, 0], [1, 0], [0, 1]]}]
    """
    if matrix.shape[1] * classes > _MOST_HISTOGRAMS:
        return []
    found: list[dict[str, Any]] = []
    for place in range(matrix.shape[1]):
        column = matrix[:, place]
        held = column[~np.isnan(column)]
        if place in categorical:
            values, rows = np.unique(held, return_counts=True)
            marks = np.sort(values[np.argsort(-rows, kind="stable")[: _PARTS - 1]])
        else:
            marks = (
                np.unique(np.quantile(held, np.linspace(0, 1, _PARTS + 1)[1:], method="higher")) if len(held) else held
            )
            marks = marks[marks > held.min()] if len(held) else marks
        one = {"codes" if place in categorical else "edges": marks.tolist()}
        counted = np.bincount(_parts(column, one) * classes + codes, minlength=(len(marks) + 2) * classes)
        found.append({**one, "rows": counted.reshape(-1, classes).tolist()})
    return found


def sample(matrix: Floats) -> Floats:
    """Some thousands of the rows, evenly."""
    return matrix[:: max(1, -(-len(matrix) // _MOST_COPIED))]


def fingerprints(matrix: Floats) -> list[int]:
    """A number for each row (N, F), equal for equal rows.

    Examples
    --------
    >>> one, other, again = fingerprints(np.array([[1.0, np.nan], [2.0, 1.0], [1.0, np.nan]]))
    >>> one == again, one == other
    (True, False)
    """
    odd = np.random.default_rng(0).integers(0, 2**63, matrix.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    bits = np.where(np.isnan(matrix), 0.5, matrix + 0.0).view(np.uint64)
    found: list[int] = ((bits ^ (bits >> np.uint64(29))) @ odd).tolist()
    return found


def distinct_share(matrix: Floats) -> float:
    """The share of rows that copy no other, of some thousands.

    Examples
    --------
    >>> distinct_share(np.array([[1.0], [2.0], [1.0], [1.0]]))
    0.5
    """
    few = fingerprints(sample(matrix))
    return len(set(few)) / max(1, len(few))


class ClassMix:
    """New rows, which come in blocks, compared with the training rows of each class: an even sample of them all.

    Of the rows every one is kept, then every second, fourth, … so that they fit. So the blocks make no difference.

    Parameters
    ----------
    histograms
        Result of `class_histograms`, by feature; empty if nothing was kept.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> codes = (rng.random(3000) < 0.1).astype(int)
    >>> learned = rng.normal(size=(3000, 2)) + codes[:, None]
    >>> kept = dict(zip(["size", "wind"], class_histograms(learned, codes, 2)))
    >>> other_shares, changed = ClassMix(kept), ClassMix(kept)
    >>> other_shares.add(rng.normal(size=(900, 2)) + (np.arange(900)[:, None] < 450))
    >>> changed.add(rng.normal(size=(900, 2)) + [0.5, 0.0])
    >>> other_shares.unexplained([0.5, 0.5], [0.9, 0.1]), bool(changed.unexplained([0.5, 0.5], [0.9, 0.1]))
    ([], True)
    """

    def __init__(self, histograms: Mapping[str, Mapping[str, Any]]) -> None:
        self._histograms = histograms
        self._step, self._seen = 1, 0
        self._kept: list[Floats] = []

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self._histograms)

    @property
    def distinct(self) -> float:
        """The share of rows that copy no other, of some thousands."""
        return distinct_share(self._sample()) if self._kept else 0.0

    def add(self, matrix: Floats) -> None:
        """Look at rows (N, F)."""
        if not self._histograms:
            return
        self._kept.append(matrix[-self._seen % self._step :: self._step].copy())
        self._seen += len(matrix)
        while sum(map(len, self._kept)) > _MOST_KEPT:
            self._kept = [np.concatenate(self._kept)[::2].copy()]
            self._step *= 2

    def _sample(self) -> Floats:
        self._kept = [np.concatenate(self._kept)] if len(self._kept) > 1 else self._kept
        return self._kept[0]

    def _counted(self) -> dict[str, Floats]:
        """Of each feature the number of sampled rows in each of its parts."""
        return {
            name: np.bincount(
                _parts(self._sample()[:, place], one) if self._kept else [], minlength=len(one["rows"])
            ).astype(np.float64)
            for place, (name, one) in enumerate(self._histograms.items())
        }

    def unexplained(
        self, shares: Sequence[float] | Floats, prior: Sequence[float] | Floats, independent: float = 1.0
    ) -> list[str]:
        """The features that are not as the classes mixed by these shares would have them, the worst first.

        There are none if the shares explain nearly all that has changed since the training, and not one column alone
        says so: where the rest of them is as it was in training, it is that column which has changed.

        Parameters
        ----------
        shares, prior
            Class shares of the new rows and of the training rows, (C,).
        independent
            Share of rows that carry new information: copies of others do not.
        """
        names, counted = list(self._histograms), self._counted()
        found = [
            self._misfit(name, counted[name], np.asarray(shares), np.asarray(prior), independent) for name in names
        ]
        left, moved, far, gained = (np.array([one[part] for one in found]) for part in range(4))
        without = gained.sum() - gained  # above 0 where the training's shares fit the other features better
        explained = left.sum() <= _LEFT * max(moved.sum(), 0.0) and not (without > _BY_CHANCE).any()
        if not names or explained:
            return []
        sure = far > _SURELY
        if gained.sum() <= _BY_CHANCE:
            sure |= without > _BY_CHANCE
        if not sure.any():
            sure = left == left.max()
        return [names[place] for place in np.argsort(-far, kind="stable") if sure[place]]

    def _misfit(
        self, name: str, counted: Floats, shares: Floats, prior: Floats, independent: float
    ) -> tuple[float, float, float, float]:
        """How far a feature is from these shares and from the training's, from both in standard errors, and their lead.

        The lead is that of the training's shares, in chi-square.
        """
        rows = np.asarray(self._histograms[name]["rows"], np.float64)
        of_class = np.maximum(rows.sum(axis=0), 1)
        total = max(1.0, counted.sum())
        now = counted / total
        chance = _chance(total * independent, rows / of_class, of_class, shares)
        off, before = ((now - rows / of_class @ one) ** 2 for one in (shares, prior))
        return (
            float((off - chance).sum()),
            float((before - chance).sum()),
            float(np.sqrt(min((off / chance).max(), (before / chance).max()))),
            float(((off - before) / chance).sum()),
        )


def _chance(rows: float, within: Floats, of_class: Floats, shares: Floats) -> Floats:
    """The variance of the difference in each part, for so many new rows, that no part of the training is free of."""
    rows = max(1.0, rows)
    expected = within @ shares
    smoothed = (within * of_class + 0.5) / (of_class + 1)
    learned = (shares**2 * smoothed * (1 - smoothed) / of_class).sum(axis=1)
    return np.asarray(np.maximum(expected, 1 / rows) / rows + learned)


def _parts(column: Floats, one: Mapping[str, Any]) -> NDArray[np.int64]:
    """The part of each row: 0 where it is missing."""
    if "codes" in one:
        codes = np.asarray(one["codes"], np.float64)
        place = np.searchsorted(codes, column).clip(0, max(0, len(codes) - 1))
        known = codes[place] == column if len(codes) else np.zeros(len(column), np.bool_)
        part = np.where(known, place + 1, len(codes) + 1)
    else:
        part = np.searchsorted(np.asarray(one["edges"], np.float64), column, side="right") + 1
    return np.where(np.isnan(column), 0, part).astype(np.int64)
