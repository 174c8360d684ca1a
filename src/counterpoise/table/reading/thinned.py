"""What is known of the rows of a table that are not all held in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Thinned:
    """A table of which some rows are held, to learn from, and others lie in files, to be judged on.

    Parameters
    ----------
    rows
        Number of rows of the whole table.
    stands_for
        Number of rows that each held row stands for, (N,): 1 for those of a rare class.
    judged
        Arrow files with the rows for the threshold and for the test, in the order of the table.
    places
        Place of each row of these files in the table, from 0, (M,).
    tested
        Whether each row of these files is for the test, (M,); else it is for the threshold.
    aside
        Targets, groups and slices of these rows (M rows), as the files have them.
    how
        How rows were assigned to the parts, in a sentence.
    kept
        What is held of each class of the training part, in a sentence.
    """

    rows: int
    stands_for: NDArray[np.float64]
    judged: tuple[Path, ...]
    places: NDArray[np.uint64]
    tested: NDArray[np.bool_]
    aside: pl.DataFrame
    how: str
    kept: str

    @property
    def weights(self) -> NDArray[np.float64]:
        """Number of rows that each row stands for: of those that are held, then of those in files (N + M,)."""
        return np.concatenate([self.stands_for, np.ones(len(self.tested))])

    def even(self, seed: int) -> NDArray[np.bool_]:
        """Whether each held row is in a sample in which every row of the table is equally likely (N,).

        Examples
        --------
        >>> nothing = np.zeros(0, np.uint64)
        >>> one = Thinned(9, np.array([1.0, 4.0, 4.0]), (), nothing, nothing > 0, pl.DataFrame(), "", "")
        >>> one.even(0)[1:]
        array([ True,  True])
        """
        drawn = np.random.default_rng([seed, 3]).random(len(self.stands_for))
        return np.asarray(drawn < self.stands_for / self.stands_for.max())
