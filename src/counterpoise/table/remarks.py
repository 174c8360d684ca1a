"""What is to be said of rows that a model scored: the same at every door, as they go by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import warn_user
from counterpoise.table.features import Schema
from counterpoise.table.novelty import REFUSE, Categories
from counterpoise.table.read import Table
from counterpoise.table.shift import Columns, Scores

_MOST_DRIFTS = 5


class Remarks:
    """What is not as it was in training: new categories, columns and class shares.

    Parameters
    ----------
    schema, facts, classes
        Of the model.
    shares
        Whether class shares are looked at: only of one target, whose rows counted alike in training.
    unknown
        As in `Categories`.
    """

    def __init__(
        self,
        schema: Schema,
        facts: Mapping[str, Any],
        classes: Sequence[object],
        *,
        shares: bool,
        unknown: str = REFUSE,
    ) -> None:
        self._schema, self._facts, self._classes = schema, facts, tuple(classes)
        self._categories = Categories(schema, facts.get("importance"), unknown)
        self._columns = Columns(schema.features)
        weighted = facts.get("weight") is not None  # its probabilities are for other shares than the rows'
        self.scores = Scores(len(classes)) if shares and not weighted and "counts" in facts else None

    def add(self, table: Table, matrix: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
        """Look at rows that `usable` gave, with their features (N, F), and at the probabilities of those scored.

        Raises
        ------
        UserError
            If the first ones hold text of which the model knows nothing.
        """
        self._categories.add(table)
        self._columns.add(matrix)
        if self.scores is not None:
            self.scores.add(probability)

    def tell(self, table: Table, matrix: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
        """Look at rows that are all there is, and warn at the line of the user's own code."""
        self.add(table, matrix, probability)
        for sentence in self.said(table.path):
            warn_user(sentence)

    def said(self, path: Path) -> list[str]:
        """The sentences.

        Raises
        ------
        UserError
            If a column holds nothing that the model knows.
        """
        said = self._categories.said(path)
        codes = frozenset(self._schema.features[place] for place in self._schema.categorical)
        drifts = self._columns.drift(self._facts.get("columns", {}), codes)
        said += drifts[:_MOST_DRIFTS]
        if len(drifts) > _MOST_DRIFTS:
            said.append(f"{len(drifts) - _MOST_DRIFTS} more columns are not as they were in training")
        if self.scores is not None:
            prior, rows = training_shares(self._facts, self._classes), sum(self._facts["counts"].values())
            shift = self.scores.prior_shift(prior, self._classes, rows)
            said += [] if shift is None else [shift]
        return said


def training_shares(facts: Mapping[str, Any], classes: Sequence[object]) -> NDArray[np.float64]:
    """Class shares of the training table (C,), in the order of the classes."""
    counts = np.array([facts["counts"][str(name)] for name in classes], np.float64)
    return np.asarray(counts / counts.sum())
