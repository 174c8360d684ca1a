"""The rows for the threshold and for the test, with their scores: held in memory, or read from files in blocks."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.model.one import Member, naive, posterior
from counterpoise.table.reading.date_columns import with_dates
from counterpoise.table.reading.table import Table, with_numbers
from counterpoise.table.reading.thinned import Thinned
from counterpoise.table.rows.split import Split
from counterpoise.table.training.importance import MOST_ROWS, drawn_rows
from counterpoise.table.training.of_thinned import blocks_of
from counterpoise.table.training.prepared import Prepared

Drawn = tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.float64] | None]


class Judges(Protocol):
    """The rows of the calibration and test parts."""

    def posterior(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Honest probabilities of some of the rows, (N,) or (N, C)."""

    def naive(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same from the logits alone."""

    def column(self, name: str) -> pl.DataFrame:
        """A column of the test rows."""

    def drawn(self, target: NDArray[np.int64], seed: int) -> Drawn:
        """Test rows to shuffle columns of: their columns, classes, and the weight of each; None: 1."""


def judges_of(ready: Prepared, split: Split, members: tuple[Member, ...]) -> Judges:
    """The rows that judge the members."""
    if ready.table.thinned is None:
        return _Held(ready, split, members)
    return _InFiles(ready, ready.table.thinned, split, members)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    ready: Prepared
    split: Split
    members: tuple[Member, ...]

    def posterior(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return posterior(self.members, self.ready.matrix[rows])

    def naive(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return naive(self.members, self.ready.matrix[rows])

    def column(self, name: str) -> pl.DataFrame:
        return self.ready.table.frame[self.split.test].select(name)

    def drawn(self, target: NDArray[np.int64], seed: int) -> Drawn:  # noqa: ARG002
        return self.ready.table.frame[self.split.test], target, None


class _InFiles:
    def __init__(self, ready: Prepared, thinned: Thinned, split: Split, members: tuple[Member, ...]) -> None:
        self._ready, self._thinned, self._split, self._first = ready, thinned, split, len(thinned.stands_for)
        honest, plain = [], []
        for table, _ in blocks_of(ready.table, thinned, ready.schema):
            matrix = to_matrix(table, ready.schema, ready.schema.day)
            honest.append(posterior(members, matrix))
            plain.append(naive(members, matrix))
        self._posterior, self._naive = np.concatenate(honest), np.concatenate(plain)

    def posterior(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self._posterior[rows - self._first])

    def naive(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self._naive[rows - self._first])

    def column(self, name: str) -> pl.DataFrame:
        table, asked = self._ready.table, self._ready.asked
        cells = self._thinned.aside[self._split.test - self._first].select(name)
        read = with_numbers(Table(cells, table.path, table.typed, separator=table.separator), (), asked.marks)
        return with_dates(read, (), asked.dates).frame

    def drawn(self, target: NDArray[np.int64], seed: int) -> Drawn:
        rows, weight = drawn_rows(target, MOST_ROWS, np.random.default_rng([seed, 4]))
        order = np.argsort(rows, kind="stable")
        rows, weight = rows[order], weight[order]
        places, frames, first = self._split.test[rows] - self._first, [], 0
        for table, _ in blocks_of(self._ready.table, self._thinned, self._ready.schema):
            here = places[(places >= first) & (places < first + table.frame.height)] - first
            frames.append(table.frame[here])
            first += table.frame.height
        return pl.concat(frames, how="vertical_relaxed"), target[rows], weight
