"""A trained model, whether of one target or of several labels: whoever uses it need not know which."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.schema import Schema
from counterpoise.table.model.description import Description
from counterpoise.table.model.one import Member, Model


class TrainedModel(Protocol):
    """What `Model` and `MultilabelModel` have in common; predict, the service and the export use nothing else."""

    @property
    def schema(self) -> Schema:
        """How columns become features."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """All of decision.json."""

    @property
    def classes(self) -> tuple[str | int | float | bool, ...]:
        """The classes or labels (C), in the order of the probabilities."""

    @property
    def members(self) -> tuple[Member, ...]:
        """All fitted learners."""

    @property
    def target(self) -> str | tuple[str, ...]:
        """The name of the column that is predicted, or of the columns."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the columns that are predicted."""

    @property
    def training_shares(self) -> NDArray[np.float64] | None:
        """The class shares (C,) that the probabilities are for; None where the probabilities are not those of rows."""

    @property
    def description(self) -> Description:
        """For the description of the service."""

    def for_label(self, label: str | None, where: str) -> Model:
        """The model of one target that a label names; `where` names this one in an error."""

    def probability(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Honest probabilities (N, C), from the feature matrix (N, F)."""

    def decide(self, probability: NDArray[np.float64]) -> NDArray[np.int64]:
        """1 where a row is decided as a class, or to have a label, else 0 (N, C), from probabilities (N, C)."""

    def written(self, probability: NDArray[np.float64], decided: NDArray[np.int64]) -> pl.DataFrame:
        """What a file of predictions holds of rows with these probabilities and decisions (N, C)."""

    def answers(self, decided: NDArray[np.int64]) -> list[Any]:
        """What the service answers for each row (N, C): its class, or a list of its labels."""
