"""Warnings about rows that a model scored, collected as they go by; the same for every source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError, warn_user
from counterpoise.table.features.date_parts import DAY
from counterpoise.table.features.novelty import REFUSE, Categories
from counterpoise.table.features.schema import Schema
from counterpoise.table.monitoring.class_mix import ClassMix
from counterpoise.table.monitoring.shift import ColumnStatistics, ProbabilitySample
from counterpoise.table.reading.table import Table
from counterpoise.wording import listed

_MOST_DRIFTS = 5


class Remarks:
    """Differences from the training: new categories, changed columns and class shares.

    Parameters
    ----------
    schema, facts, classes
        Schema, facts and classes of the model.
    shares
        Class shares of the training (C,), to compare with those of the rows; None: they are not compared.
    unknown
        As in `Categories`.
    """

    def __init__(
        self,
        schema: Schema,
        facts: Mapping[str, Any],
        classes: Sequence[object],
        shares: NDArray[np.float64] | None,
        unknown: str = REFUSE,
    ) -> None:
        self._schema, self._facts, self._classes, self._shares = schema, facts, tuple(classes), shares
        self._categories = Categories(schema, facts.get("importance"), unknown)
        self._columns = ColumnStatistics(schema.features)
        kept = facts.get("columns", {})
        self._mix = ClassMix({name: kept[name]["parts"] for name in schema.features if "parts" in kept.get(name, {})})
        self._scores = None if shares is None else ProbabilitySample(len(classes))

    def add(self, table: Table, matrix: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
        """Look at rows that `usable` gave, with their features (N, F), and at the probabilities of those scored."""
        self._categories.add(table)
        self._columns.add(matrix)
        self._mix.add(matrix)
        if self._scores is not None:
            self._scores.add(probability)

    def tell(self, table: Table, matrix: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
        """Check rows that are the whole table, and warn at the line of the user's own code."""
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
        drifts = self._drifts()
        said += drifts[:_MOST_DRIFTS]
        if len(drifts) > _MOST_DRIFTS:
            said.append(f"{len(drifts) - _MOST_DRIFTS} more columns have changed since training")
        shift = self._shift()
        return said if shift is None else [*said, shift]

    def estimated_shares(self) -> NDArray[np.float64]:
        """The class shares of the rows (C,), as `--prior auto` takes them.

        Raises
        ------
        UserError
            If columns have changed by more than the classes' shares explain, or the estimate is too far from the
            training's shares.
        """
        assert self._scores is not None  # who asks has refused the models that have none
        assert self._shares is not None
        scores, prior, rows = self._scores, self._shares, sum(self._facts["counts"].values())
        shares = scores.shares(prior, rows, self._independent)
        drifts = self._drifts()
        changed = self._mix.unexplained(shares, prior, self._independent)
        if (changed or not self._mix.known) and (drifts or (changed and (shares != prior).any())):
            why = _changed(changed) if changed else drifts[0]
            raise UserError(
                f"prior auto assumes that each class looks as it did in training, but {why}; give the shares if "
                "they are "
                "known (prior=0.05), otherwise label some of the rows and train again"
            )
        place = scores.far_off(shares, prior)
        if place is not None:
            raise UserError(
                f"prior auto estimates that {shares[place]:.3g} of the rows are {self._classes[place]}, and "
                f"{prior[place]:.3g} of the training rows were: too far apart to be plausible. Give the shares if they "
                "are known (prior=0.05), otherwise label some of the rows and train again"
            )
        return shares

    def _drifts(self) -> list[str]:
        codes = frozenset(self._schema.features[place] for place in self._schema.categorical)
        days = frozenset(one.name + DAY for one in self._schema.columns if DAY in one.dated)
        return self._columns.drift(self._facts.get("columns", {}), codes, days)

    @property
    def _independent(self) -> float:
        """The share of rows with new information, relative to that of the training."""
        return float(min(1.0, self._mix.distinct / max(self._facts.get("distinct", 1.0), 1e-9)))

    def _shift(self) -> str | None:
        """A warning about other class shares, if needed."""
        if self._scores is None or self._shares is None:
            return None
        scores, prior, rows = self._scores, self._shares, sum(self._facts["counts"].values())
        shares = scores.moved(prior, rows, self._independent)
        if shares is None:
            return None
        changed = self._mix.unexplained(shares, prior, self._independent)
        place = 1 if len(prior) == 2 else int(np.argmax(np.abs(np.log(np.maximum(shares, 1e-9) / prior))))
        name, mean, before = self._classes[place], scores.mean[place], prior[place]
        if changed or not self._mix.known:
            why = _changed(changed) if changed else "nothing shows whether anything else changed"
            return (
                f"the mean probability of {name} is {mean:.3g}, and {before:.3g} of the training rows were; but {why}. "
                "So neither the probabilities nor an estimate of the class shares can be relied on: label some rows"
            )
        start = f"about {shares[place]:.3g} of these rows seem to be {name}, and {before:.3g} of the training rows were"
        if scores.far_off(shares, prior) is not None:
            return f"{start}: too far apart to be plausible. Label some of these rows"
        return (
            f"{start} (the mean probability is {mean:.3g}). The probabilities are for the training shares: if each "
            "class still looks as it did, --prior auto adjusts them"
        )


def _changed(features: Sequence[str], most: int = 3) -> str:
    """The warning about features that the shares do not explain.

    Examples
    --------
    >>> _changed(["size"])
    "column 'size' has changed by more than other class shares explain"
    """
    several = ("s", "have") if len(features) > 1 else ("", "has")
    named = listed(map(repr, features), most)
    return f"column{several[0]} {named} {several[1]} changed by more than other class shares explain"
