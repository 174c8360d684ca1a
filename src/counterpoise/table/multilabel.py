"""Several labels that a row may have at once: a training of two classes for each, over the same features and parts.

The rows are split once for all labels, so that each part gets its share of every label's positives, and the columns
become features once. Then each label is raced, grown, given its threshold and measured by itself, on the rows where it
is known; what the binary training knows of a table, `Training` knows here of each label. The budget is divided: where
it is short, only plain cross-entropy takes part, on a sample of the rows, and the negatives that a model grows from are
thinned (those that are left count for all).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table import bundle
from counterpoise.table.asked import DEFAULT_LEARNERS, Asked, command_of, versions_of
from counterpoise.table.drift import time_places
from counterpoise.table.enough import counts_of, group_places, row_weights
from counterpoise.table.features import Schema, learn_schema, to_matrix
from counterpoise.table.forms import LABEL, MULTILABEL
from counterpoise.table.judged import judge, without_promise
from counterpoise.table.labels import ManyLabels, read_many_labels
from counterpoise.table.learners import Rows
from counterpoise.table.learners.thinning import thinned
from counterpoise.table.macro import drawn_measures, macro
from counterpoise.table.model import Ruling, naive, posterior
from counterpoise.table.multilabel_model import MultilabelModel
from counterpoise.table.notes import columns_not_used, date_notes, growth_notes, weight_notes
from counterpoise.table.novelty import REFUSE
from counterpoise.table.race import Progress, Race, candidates, how_many_folds, race
from counterpoise.table.read import Table, check_columns
from counterpoise.table.reference_day import day_of
from counterpoise.table.shift import column_facts
from counterpoise.table.slices import Slice, slices_of
from counterpoise.table.split import Split, folds_of, split_labels
from counterpoise.table.target import Labels
from counterpoise.table.train import Training, decision_facts, grower, silent
from counterpoise.table.trials import Part, Trials

LEARNERS_OF_MANY = ("lightgbm", "logistic")
"""Those of the default learners that are quick enough to fit one label after another."""
_LEAST = 4
"""Rows that must have a label, and rows that must not: to learn from, to set the threshold and to test on."""
_FEW = 5
_SHARE_FOR_RACES = 0.4
"""Of the budget; the rest is for growing the models and measuring them."""
_CELLS_PER_SECOND = 4.5e6
_SECONDS_PER_FIT = 0.1
_FULL = 8
"""Contestants of the usual two learners with all of their losses."""
_LEAST_RACED, _LEAST_GROWN = 1_000, 3_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is time for, the same for every label.

    Parameters
    ----------
    every_loss
        Whether all losses are raced, or plain cross-entropy only.
    raced, grown
        At most so many rows are raced on, and grown from.
    folds
        At most so many.
    again
        Whether the models are grown once more from all rows after they were measured.
    """

    every_loss: bool
    raced: int
    grown: int
    folds: int
    again: bool


def plan(budget: float, labels: int, rows: int, features: int, learners: int) -> Plan:
    """Decide what there is time for, by sizes alone: on any machine the same.

    Parameters
    ----------
    budget
        Seconds, about.
    labels
        How many.
    rows
        Of the label that is known most often.
    features, learners
        How many.

    Examples
    --------
    >>> plan(300.0, 3, 1_000, 20, 2)
    Plan(every_loss=True, raced=1000, grown=1000, folds=5, again=True)
    >>> plan(300.0, 28, 40_000, 366, 2).every_loss
    False
    """
    race_seconds = _SHARE_FOR_RACES * budget / labels
    grow_seconds = (1 - _SHARE_FOR_RACES) * budget / labels

    def seconds(fits: int, some: float) -> float:
        return fits * (_SECONDS_PER_FIT + some * features / _CELLS_PER_SECOND)

    def most(fits: int, within: float, least: int) -> int:
        found = (within / fits - _SECONDS_PER_FIT) * _CELLS_PER_SECOND / features
        return int(min(rows, max(least, found)))

    every_loss = seconds(_FULL // 2 * learners * 5, 0.8 * rows) <= race_seconds
    if every_loss or seconds(learners * 5, 0.8 * rows) <= race_seconds:
        raced, folds = rows, 5
    else:
        raced, folds = most(learners * 3, 1.5 * race_seconds, _LEAST_RACED), 3
    again = seconds(2 * learners, rows) <= grow_seconds
    grown = rows if again else most(learners, grow_seconds, _LEAST_GROWN)
    return Plan(every_loss, raced, grown, folds, again)


@dataclass(frozen=True, slots=True, eq=False)
class MultilabelTraining:
    """Everything that was found and decided: what the summary, the report and decision.json tell.

    Parameters
    ----------
    table
        Where the rows came from.
    out
        Where the results are, or None where they were not written.
    asked
        What was asked.
    labels
        The columns of labels, and what they hold.
    goal
        What was reached for, of each label.
    split
        Who learned, set the thresholds and judged.
    schema
        The columns used and dropped.
    trainings
        Of each label that was learned, by name.
    not_learned
        Of each other label the reason.
    metrics
        Means over the learned labels, on the test rows.
    notes
        What the reader should know besides.
    command
        What repeats all this.
    versions
        Of the software.
    facts
        All of decision.json, but for the fingerprints of the files.

    Examples
    --------
    >>> import polars as pl, counterpoise as cp
    >>> size, age = np.random.default_rng(0).normal(size=(2, 300))
    >>> frame = pl.DataFrame({"size": size, "age": age, "y_large": size > 1.5, "y_old": age > 1.0})
    >>> result = cp.train(frame, target="y_*", learners=["logistic"], budget=5)
    >>> result.predict(pl.DataFrame({"size": [0.0, 3.0], "age": [2.5, 3.0]})).tolist()
    [[0, 1], [1, 1]]
    """

    table: Path
    out: Path | None
    asked: Asked
    labels: ManyLabels
    goal: Goal
    split: Split
    schema: Schema
    trainings: Mapping[str, Training]
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

    def __getitem__(self, label: str) -> Training:
        """The training of one label alone."""
        return self.trainings[label]

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.int64]:
        """As `MultilabelModel.predict`."""
        return self.model.predict(frame, as_of=as_of, unknown=unknown)

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """As `MultilabelModel.predict_proba`."""
        return self.model.predict_proba(frame, as_of=as_of, unknown=unknown)

    def _repr_html_(self) -> str:
        from counterpoise.table.multilabel_report import heart

        return heart(self)

    def save(self, directory: str | Path) -> None:
        """Write the directory that `counterpoise.load` and `counterpoise predict` read: new, at once or not at all."""
        bundle.write(Path(directory), _files(self))


def train_labels(
    table: Table, asked: Asked, out: Path | None, trials: Trials, progress: Progress
) -> MultilabelTraining:
    """Train, compare and decide for each label of `asked.targets`.

    Raises
    ------
    UserError
        For a column that is absent or cannot be used, a goal that names a class, or if no label can be learned.
    """
    begun = monotonic()
    if asked.learners == DEFAULT_LEARNERS:
        asked = replace(asked, learners=LEARNERS_OF_MANY)
    goal = _goal_of_each(asked.goal)
    check_columns(table, asked.extra_columns)
    if {asked.group, asked.weight} & set(asked.targets):
        raise UserError("targets, group and weight must be different columns")
    labels = read_many_labels(table, asked.targets, asked.positive)
    time = None if asked.time is None else time_places(table.frame[asked.time])
    group, weight = group_places(table, asked.group), row_weights(table, asked.weight)
    kept = 0.2 if goal.constraints else 0.0
    split = split_labels(labels.codes, seed=asked.seed, calibration=kept, time=time, group=group)
    not_learned = _not_learned(labels, split, group, promises=bool(goal.constraints))
    learned = [place for place, name in enumerate(labels.names) if name not in not_learned]
    if not learned:
        first, reason = next(iter(not_learned.items()))
        more = f"; and so on for {len(not_learned) - 1} more" if len(not_learned) > 1 else ""
        raise UserError(f"no label can be learned; {first!r}: {reason}{more}")
    leave_out = [name for name in (asked.group, asked.weight) if name is not None]
    schema = learn_schema(
        table,
        labels.names,
        split.train,
        leave_out=leave_out,
        time=asked.time,
        as_of=day_of(asked.as_of),
        absolute=asked.absolute_time,
    )
    matrix = to_matrix(table, schema, schema.day)
    progress("reading the table", 1.0)
    rows = max(int(labels.known(place).sum()) for place in learned)
    planned = plan(asked.budget, len(learned), rows, matrix.shape[1], len(asked.learners))
    work = _Work(table, asked, out, labels, goal, split, schema, matrix, time, group, weight, planned)
    read = monotonic()
    rest = max(asked.budget - (read - begun), asked.budget / 2)
    trainings = {}
    for done, place in enumerate(learned):
        progress("learning the labels", done / len(learned))
        deadline = read + rest * (done + _SHARE_FOR_RACES) / len(learned)
        name = labels.names[place]
        trainings[name] = _train_label(work, place, Part(trials, name), deadline)
    progress("learning the labels", 1.0)
    training = MultilabelTraining(
        table=table.path,
        out=out,
        asked=asked,
        labels=labels,
        goal=goal,
        split=split,
        schema=schema,
        trainings=trainings,
        not_learned=not_learned,
        metrics=_macro(trainings, split, asked.seed),
        notes=_notes(work, trainings),
        command=command_of(table.path, asked, asked.positive, goal),
        versions=versions_of(asked.learners),
    )
    columns = column_facts(matrix[split.train], schema.features)
    return replace(training, facts=_facts(training) | {"columns": columns})


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What all labels share."""

    table: Table
    asked: Asked
    out: Path | None
    labels: ManyLabels
    goal: Goal
    split: Split
    schema: Schema
    matrix: NDArray[np.float64]
    time: NDArray[np.int64] | None
    group: NDArray[np.int64] | None
    weight: NDArray[np.float64] | None
    plan: Plan


def _train_label(work: _Work, place: int, trials: Trials, deadline: float) -> Training:
    name, labels, known = work.labels.names[place], work.labels.of(place), work.labels.known(place)
    asked = replace(work.asked, target=name, targets=())
    split = _within(work.split, known)
    rows = Rows(work.matrix, labels.codes, work.weight)
    everywhere, learned = counts_of(labels, np.flatnonzero(known)), counts_of(labels, split.train)
    raced, raced_for = _thinned(labels, split.train, work.plan.raced, asked.seed)
    fold = folds_of(
        labels.codes[raced],
        min(work.plan.folds, how_many_folds(counts_of(labels, raced))),
        seed=asked.seed,
        time=None if work.time is None else work.time[raced],
        group=None if work.group is None else work.group[raced],
    )
    course = Race(
        _weighted(rows.at(raced), raced_for),
        fold,
        learned,
        work.schema,
        work.goal,
        asked.seed,
        trials,
        deadline,
        silent,
    )
    verdict = race(course, candidates(asked.learners, learned, asked.recipes if work.plan.every_loss else ()))
    if raced_for is not None:
        verdict = replace(verdict, health=None)  # it is judged by class shares, which are not those of thinned rows
    grow = grower(verdict, work.schema, asked, silent)
    grown, grown_for = _thinned(labels, split.train, work.plan.grown, asked.seed)
    members = grow(_weighted(rows.at(grown), grown_for), learned, "growing the model")
    tested = (posterior(members, work.matrix[split.test]), naive(members, work.matrix[split.test]))
    promises = len(split.calibration) > 0
    held = split.calibration if promises else raced
    scores = posterior(members, work.matrix[held]) if promises else verdict.winner.probability
    stands_for = None if promises else raced_for
    judged = judge(labels, split.test, labels.codes[held], scores, tested, learned, work.goal, asked.seed, stands_for)
    if work.group is not None and judged.decision is not None and judged.decision.promised:
        judged = without_promise(judged, work.goal, work.group[held])
    slices: tuple[Slice, ...] = ()
    if asked.slice is not None:
        groups = work.table.frame[split.test].select(asked.slice)
        decided = judged.probability >= judged.threshold
        slices = slices_of(groups, judged.target, decided, classes=labels.classes)
    if work.plan.again and not promises:
        members = grow(rows.at(known), everywhere, "growing the model from all rows")
    training = Training(
        table=work.table.path,
        out=work.out,
        asked=asked,
        labels=labels,
        counts=everywhere,
        goal=work.goal,
        split=split,
        schema=work.schema,
        verdict=verdict,
        judged=judged,
        fitted=members,
        notes=(f"The budget had no time for: {', '.join(verdict.left_out)}.",) if verdict.left_out else (),
        command=command_of(work.table.path, work.asked, work.asked.positive, work.goal),
        versions=versions_of(asked.learners),
        slices=slices,
    )
    return replace(training, facts=decision_facts(training))


def _goal_of_each(goal: Goal | None) -> Goal:
    found = goal or Goal("f1")
    if "class" in found.needs:
        raise UserError(
            f"goal {str(found)!r} names a class, but each label has a goal of its own, about the rows that have it; "
            "leave 'of' and the name away"
        )
    found.check_served("several labels")
    return found


def _thinned(
    labels: Labels, rows: NDArray[np.int64], most: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """About so many of the rows at most, all of a rare class among them, and how many each stands for; None: one."""
    numbered = thinned(Rows(rows[:, None].astype(np.float64), labels.codes[rows]), most, seed=seed)
    return numbered.matrix[:, 0].astype(np.int64), numbered.weight


def _weighted(rows: Rows, stands_for: NDArray[np.float64] | None) -> Rows:
    if stands_for is None:
        return rows
    return replace(rows, weight=stands_for if rows.weight is None else rows.weight * stands_for)


def _within(split: Split, known: NDArray[np.bool_]) -> Split:
    """The parts, of the rows where a label is known."""
    train, held, tested = (rows[known[rows]] for rows in (split.train, split.calibration, split.test))
    return Split(train, held, tested, split.how)


def _not_learned(
    labels: ManyLabels, split: Split, group: NDArray[np.int64] | None, *, promises: bool
) -> dict[str, str]:
    """The labels that cannot be learned, each with its reason."""
    parts = [("training", split.train, 2), ("test", split.test, 1)]
    parts += [("calibration", split.calibration, 1)] if promises else []
    found: dict[str, str] = {}
    for place, name in enumerate(labels.names):
        codes = labels.codes[:, place]
        for has, have, code in (("has it", "have it", 1), ("lacks it", "lack it", 0)):
            n = int((codes == code).sum())
            said = f"{'no row' if n == 0 else '1 row'} {has}" if n < 2 else f"{n:,} rows {have}"
            lacking = [part for part, rows, least in parts if int((codes[rows] == code).sum()) < least]
            if n < _LEAST:
                found.setdefault(name, f"{said}, and at least {_LEAST} must")
            elif lacking:
                found.setdefault(name, f"{said}, too few of them in the {lacking[0]} part (split {split.how})")
            elif group is not None and len(np.unique(group[split.train][codes[split.train] == code])) < 2:
                found.setdefault(name, f"{said}, in the training part all of one group")
    return found


def _macro(trainings: Mapping[str, Training], split: Split, seed: int) -> dict[str, Measured]:
    tested = [
        (np.searchsorted(split.test, one.split.test), one.judged.target, one.judged.probability, _cut(one))
        for one in trainings.values()
    ]
    draws = drawn_measures(len(split.test), tested, seed=seed)
    return {
        f"macro_{name}": macro([one.judged.metrics[name] for one in trainings.values()], drawn)
        for name, drawn in draws.items()
    }


def _cut(training: Training) -> float:
    assert isinstance(training.judged.threshold, float)  # of two classes it is one number
    return training.judged.threshold


def _notes(work: _Work, trainings: Mapping[str, Training]) -> tuple[str, ...]:
    planned, split = work.plan, work.split
    found = [*weight_notes(work.asked), *work.table.said, *date_notes(work.table, work.schema)]
    found += growth_notes(work.table, work.schema, work.asked.time)
    if not planned.every_loss:
        found.append("The budget had time for plain cross-entropy only; a larger one lets other losses take part.")
    most = max(len(one.split.train) for one in trainings.values())
    if planned.raced < most:
        found.append(
            f"The learners were compared, and the thresholds chosen, on at most {planned.raced:,} of up to {most:,} "
            "training rows of a label; of those without the label each stood for several."
        )
    if planned.grown < most:
        found.append(
            f"The models grew from at most {planned.grown:,} training rows each, in the same way: all rows with the "
            "label, and a part of the others."
        )
    if planned.again and not len(split.calibration):
        found.append(
            "The figures are of models that learned without the test rows; the saved ones learned from all rows, in "
            "the same way."
        )
    late = [name for name, one in trainings.items() if one.verdict.left_out]
    if late:
        found.append(f"Not every contestant had time to run for {_named(late)}.")
    broken = [name for name, one in trainings.items() if one.verdict.health is not None and one.verdict.health.broken]
    if broken:
        found.append(f"LightGBM's defaults broke down on {_named(broken)}; its steadied settings took their place.")
    few = [name for name, one in trainings.items() if int(one.judged.target.sum()) < _FEW]
    if few:
        found.append(f"Figures that say little, since fewer than {_FEW} test rows have the label: {_named(few)}.")
    if work.schema.dropped:
        found.append(f"Columns not used: {columns_not_used(work.schema)}.")
    return tuple(found)


def _named(labels: list[str]) -> str:
    """Some labels for the reader.

    Examples
    --------
    >>> _named(["a", "b"]), _named(list("abcdefgh"))
    ('a, b', '8 labels (a, b, c, d, e, …)')
    """
    return ", ".join(labels) if len(labels) <= 5 else f"{len(labels)} labels ({', '.join(labels[:5])}, …)"


def _facts(training: MultilabelTraining) -> dict[str, Any]:
    """What decision.json holds, but for the fingerprints of the files."""
    split = training.split
    return {
        "format": bundle.FORMAT,
        "kind": MULTILABEL,
        "goal": str(training.goal),
        "target": list(training.labels.names),
        "values": list(training.labels.values),
        "labels": {
            name: {
                "folder": _folder(training, name),
                **{key: one.facts[key] for key in ("threshold", "met", "promised", "reason", "counts", "metrics")},
            }
            for name, one in training.trainings.items()
        },
        "not_learned": dict(training.not_learned),
        "metrics": {"test": {name: one.to_dict() for name, one in training.metrics.items()}},
        "rows": {"train": len(split.train), "calibration": len(split.calibration), "test": len(split.test)},
        "split": split.how,
        "seed": training.asked.seed,
        "schema": training.schema.to_dict(),
        "notes": list(training.notes),
        "command": training.command,
        "versions": training.versions,
    }


def _folder(training: MultilabelTraining, label: str) -> str:
    """Where a label's files are."""
    return bundle.label_folder(training.labels.names.index(label), label)


def _files(training: MultilabelTraining) -> dict[str, bytes]:
    """Everything that the directory holds."""
    from counterpoise.table.multilabel_report import card, page  # they need this file

    files = bundle.model_files((), training.schema.arrays())
    for name, one in training.trainings.items():
        folder = _folder(training, name)
        own = bundle.model_files(one.fitted, {})
        own[bundle.DECISION] = bundle.to_json(bundle.sealed(_own_facts(one))).encode()
        files |= {f"{folder}/{file}": data for file, data in own.items()}
    return bundle.whole_directory(training.facts, files, page(training), card(training))


def _own_facts(training: Training) -> dict[str, Any]:
    """A label's decision.json: without what all labels share."""
    return {name: fact for name, fact in training.facts.items() if name not in ("schema", "command", "versions")} | {
        "kind": LABEL
    }
