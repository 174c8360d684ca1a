"""A trained model of several labels that a row may have at once: one classifier of two classes for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.cells import read_rows
from counterpoise.table.features.novelty import REFUSE
from counterpoise.table.features.schema import Schema
from counterpoise.table.model.description import Description
from counterpoise.table.model.one import Member, Model, Ruling
from counterpoise.table.monitoring.remarks import Remarks
from counterpoise.table.reading.frames import table_of


@dataclass(frozen=True, slots=True, eq=False)
class MultilabelModel:
    """A classifier of table rows: what `counterpoise.load` gives for several labels.

    Parameters
    ----------
    models
        Model of each label, by the name of its column. All use the same features.
    schema
        The map from columns to features.
    target
        Columns of the labels, including those that could not be learned and have no model.
    facts
        Content of decision.json.
    """

    models: Mapping[str, Model]
    schema: Schema
    target: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return tuple(self.models)

    @property
    def classes(self) -> tuple[str, ...]:
        """The same."""
        return self.labels

    @property
    def targets(self) -> tuple[str, ...]:
        """The same as `target`; of one target it has one name."""
        return self.target

    @property
    def members(self) -> tuple[Member, ...]:
        """The fitted learners of all labels."""
        return tuple(member for model in self.models.values() for member in model.members)

    @property
    def training_shares(self) -> None:
        """None: each label has a share of its own."""

    @property
    def description(self) -> Description:
        """How the service describes the model."""
        return Description(
            title=f"{len(self.labels)} labels",
            summary="A probability per label and the labels decided for each row",
            target={"type": "array", "items": {"type": "string"}},
            decision={"type": "array", "items": {"type": "string", "enum": list(self.labels)}, "uniqueItems": True},
        )

    @property
    def decision(self) -> dict[str, Ruling]:
        """Of each label: how its probability becomes a decision."""
        return {name: model.decision for name, model in self.models.items()}

    def __getitem__(self, label: str) -> Model:
        """The model of one label alone: it explains, too."""
        return self.models[label]

    def for_label(self, label: str | None, where: str) -> Model:
        """The model of one label; `where` names this one in the error for a label that is absent or unknown."""
        if label in self.labels:
            return self[label]
        found = "decides on several labels, and a file holds one" if label is None else f"has no label {label!r}"
        named = ", ".join(map(repr, self.labels[:10])) + (", ..." if len(self.labels) > 10 else "")
        raise UserError(f"{where} {found}; name one (--label): {named}")

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """The probability that a row has each label (N, L), in the order of `labels`.

        Parameters
        ----------
        frame
            A pandas or Polars data frame with the columns of the training table; those of the labels may be absent.
        as_of
            As for `Model.predict_proba`.
        unknown
            Treatment of a column that matters and whose categories or texts are all unknown to the model: "refuse" the
            rows, or count the cells as "missing".

        Raises
        ------
        UserError
            If a column is absent, or holds what the model cannot use, or nothing that it knows.

        Warns
        -----
        UserWarning
            As `counterpoise predict`: of new categories, and of columns that are not what they were.
        """
        table, matrix = read_rows(table_of(frame, only=self.schema.names), self.schema, as_of)
        probability = self.probability(matrix)
        Remarks(self.schema, self.facts, self.classes, self.training_shares, unknown).tell(table, matrix, probability)
        return probability

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.int64]:
        """1 where a row is decided to have a label, else 0 (N, L), at the thresholds of `decision`."""
        return self.decide(self.predict_proba(frame, as_of=as_of, unknown=unknown))

    def probability(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `predict_proba`, from the feature matrix."""
        return np.stack([model.probability(matrix)[:, 1] for model in self.models.values()], axis=1)

    def decide(self, probability: ArrayLike) -> NDArray[np.int64]:
        """As `predict`, from probabilities (N, L)."""
        found = np.asarray(probability, np.float64)
        rulings = self.decision.values()
        return np.stack([ruling.apply(found[:, place]) for place, ruling in enumerate(rulings)], axis=1)

    def written(self, probability: NDArray[np.float64], decided: NDArray[np.int64]) -> pl.DataFrame:
        """What a file of predictions holds of rows with these probabilities and decisions (N, L)."""
        return pl.DataFrame(
            {f"probability_{name}": probability[:, place] for place, name in enumerate(self.labels)}
            | {f"decision_{name}": decided[:, place] for place, name in enumerate(self.labels)}
        )

    def answers(self, decided: NDArray[np.int64]) -> list[list[str]]:
        """The labels that each row has, from decisions (N, L)."""
        return [[label for label, has in zip(self.labels, row, strict=True) if has] for row in decided.tolist()]
