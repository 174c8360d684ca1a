"""The outcome of a training: a plain record, which the report reads, and which `Training` saves, uses and draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterpoise.decide.measured import Measured
from counterpoise.goals import Goal
from counterpoise.table.asked import Asked
from counterpoise.table.audit.facts import Audit
from counterpoise.table.features.schema import Schema
from counterpoise.table.model.one import Member, Model, Ruling
from counterpoise.table.model.several import MultilabelModel
from counterpoise.table.racing.entries import Verdict
from counterpoise.table.reading.labels import ManyLabels
from counterpoise.table.reading.target import Labels
from counterpoise.table.rows.split import Split
from counterpoise.table.training.importance import Importance
from counterpoise.table.training.judged import Evaluation
from counterpoise.table.training.slices import Slice
from counterpoise.weights import ClassCounts


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was found and decided for one target: what the summary, the report and decision.json contain.

    Parameters
    ----------
    table
        Name of the table.
    out
        Directory of the results, or None if they were not written.
    asked
        The request.
    labels, counts
        The classes, and the number of rows of each in the whole table.
    goal
        The goal.
    split
        The parts for training, threshold and test.
    schema
        The columns used and dropped.
    verdict
        The comparison of learners and losses.
    judged
        The threshold and its results on the test rows.
    fitted
        The members that predict.
    notes
        Further notes for the reader.
    command
        The command that repeats the training.
    versions
        Versions of the software.
    importance
        Drop of the ranking measure on the test rows without each column.
    slices
        The rates of groups of test rows.
    audit
        Audit of the table.
    facts
        Content of decision.json, without the checksums of the files.
    """

    table: Path
    out: Path | None
    asked: Asked
    labels: Labels
    counts: ClassCounts
    goal: Goal
    split: Split
    schema: Schema
    verdict: Verdict
    judged: Evaluation
    fitted: tuple[Member, ...]
    notes: tuple[str, ...]
    command: str
    versions: dict[str, str]
    importance: tuple[Importance, ...] = ()
    slices: tuple[Slice, ...] = ()
    audit: Audit | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The column with the classes."""
        return self.asked.target

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.asked.seed

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return self.labels.positive is not None

    @property
    def model(self) -> Model:
        """What predicts: the same that `counterpoise.load` gives after `save`."""
        judged = self.judged
        promised = judged.decision is not None and judged.decision.promised
        ruling = Ruling(self.goal, judged.threshold, promised, judged.met, judged.reason)
        return Model(self.fitted, self.labels.classes, ruling, self.schema, self.target, self.facts)

    @property
    def members(self) -> tuple[tuple[str, float], ...]:
        """What the model is made of: labels and shares."""
        return tuple((one.label, one.share) for one in self.fitted)

    @property
    def health(self) -> tuple[str, ...]:
        """What was steadied, in sentences."""
        found = self.verdict.health
        return (found.sentence,) if found is not None and found.broken else ()

    @property
    def decision(self) -> Ruling:
        """How probabilities become decisions."""
        return self.model.decision


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What was found and decided for several labels: what the summary, the report and decision.json contain.

    Parameters
    ----------
    table
        Name of the table.
    out
        Directory of the results, or None if they were not written.
    asked
        The request.
    labels
        The columns of labels, and their values.
    goal
        The goal of each label.
    split
        The parts for training, thresholds and test.
    schema
        The columns used and dropped.
    trainings
        Outcome of each label that was learned, by name.
    not_learned
        Reason for each other label.
    metrics
        Means over the learned labels, on the test rows.
    notes
        Further notes for the reader.
    command
        The command that repeats the training.
    versions
        Versions of the software.
    facts
        Content of decision.json, without the checksums of the files.
    """

    table: Path
    out: Path | None
    asked: Asked
    labels: ManyLabels
    goal: Goal
    split: Split
    schema: Schema
    trainings: Mapping[str, Outcome]
    not_learned: Mapping[str, str]
    metrics: Mapping[str, Measured]
    notes: tuple[str, ...]
    command: str
    versions: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> MultilabelModel:
        """What predicts: the same that `counterpoise.load` gives after `save`."""
        models = {name: one.model for name, one in self.trainings.items()}
        return MultilabelModel(models, self.schema, self.labels.names, self.facts)

    @property
    def target(self) -> str:
        """The columns of labels, as they were asked for."""
        return self.asked.target

    @property
    def decision(self) -> dict[str, Ruling]:
        """As `MultilabelModel.decision`."""
        return self.model.decision
