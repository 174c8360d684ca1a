"""Learn one target: compare learners and losses, grow the model, set the threshold and measure.

The table has three parts. The training part chooses learner and loss (on folds) and trains the model; the test part,
which nothing has seen, measures the result. The threshold is set on rows that are new to the model that scored them. If
the goal has bounds, these are a separate calibration part, since a promise is about one model and rows that are new to
it; otherwise they are the held-out rows of each fold. In the latter case the saved model is trained once more, on all
rows: positives are too rare to leave a fifth of them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import ranking
from counterpoise.table.asked import Asked, command_of, versions_of
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import LEARNERS, Job, Rows
from counterpoise.table.model.one import Member, Ruling, posterior
from counterpoise.table.racing.entries import ProgressCallback, Race, Verdict
from counterpoise.table.racing.fits import HERE, Fits
from counterpoise.table.racing.race import candidates, how_many_folds, race
from counterpoise.table.racing.trials import Trials
from counterpoise.table.reading.table import Table
from counterpoise.table.reading.target import Labels
from counterpoise.table.rows.enough import counts_of
from counterpoise.table.rows.split import Split, folds_of
from counterpoise.table.training.importance import Importance, importance_of
from counterpoise.table.training.judged import Evaluation, judge, without_promise
from counterpoise.table.training.judges import Judges, judges_of
from counterpoise.table.training.outcome import Outcome
from counterpoise.table.training.prepared import Prepared
from counterpoise.table.training.slices import Slice, slices_of
from counterpoise.weights import ClassCounts

_LOOKED_AT = 100_000
"""Training rows that tell whether the model learned these at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some rows, and how many rows each stands for; None: each for itself."""

    rows: NDArray[np.int64]
    stands_for: NDArray[np.float64] | None = None

    def of(self, rows: Rows) -> Rows:
        """Of all rows those of the sample, weighted."""
        found = rows.at(self.rows)
        if self.stands_for is None:
            return found
        return replace(found, weight=self.stands_for if found.weight is None else found.weight * self.stands_for)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One target of a prepared table, and what there is time for.

    Parameters
    ----------
    name
        The target.
    labels
        Its classes, and the class of every row of the table.
    known
        The rows whose class is known; None: all.
    split
        The parts, of rows whose class is known.
    raced, fold
        The rows on which learners and losses are compared, and the fold of each.
    grown
        The rows that the model is trained on before it is measured.
    losses
        The names of the losses that take part; None: all.
    again
        Whether the model may be trained once more on all rows after it was measured.
    deadline
        Time at which the comparison must end, by `time.monotonic`.
    """

    name: str
    labels: Labels
    known: NDArray[np.bool_] | None
    split: Split
    raced: Sample
    fold: NDArray[np.int64]
    grown: Sample
    losses: Sequence[str] | None
    again: bool
    deadline: float


def folds_for(ready: Prepared, labels: Labels, rows: NDArray[np.int64], most: int = 5) -> NDArray[np.int64]:
    """The fold of each of the rows on which learners and losses are compared, by time and groups where these count."""
    time, group = ready.circumstances.time, ready.circumstances.group
    return folds_of(
        labels.codes[rows],
        min(most, how_many_folds(counts_of(replace(labels, stands_for=None), rows))),
        seed=ready.asked.seed,
        time=None if time is None else time[rows],
        group=None if group is None else group[rows],
    )


def learn_target(ready: Prepared, task: Task, trials: Trials, progress: ProgressCallback, fits: Fits = HERE) -> Outcome:
    """Learn one target of a prepared table.

    Returns
    -------
    Outcome
        The outcome without audit, notes and facts, which its caller adds.
    """
    labels, split, asked = task.labels, task.split, replace(ready.asked, target=task.name, targets=())
    rows = Rows(ready.matrix, labels.codes, ready.circumstances.weight)
    everywhere = counts_of(labels, np.arange(len(labels.codes)) if task.known is None else np.flatnonzero(task.known))
    learned = counts_of(labels, split.train)
    course = Race(
        task.raced.of(rows),
        task.fold,
        learned,
        ready.schema,
        ready.goal,
        asked.seed,
        trials,
        task.deadline,
        progress,
        fits,
    )
    verdict = race(course, candidates(asked.learners, learned, task.losses))
    if task.raced.stands_for is not None:
        verdict = replace(verdict, health=None)  # it is judged by class shares, which are not those of thinned rows
    grow = grower(verdict, ready.schema, asked, progress)
    members = grow(task.grown.of(rows), learned, "growing the model")
    progress("measuring on the test rows", 0.0)
    judges = judges_of(ready, split, members)
    judged = _judged(ready, task, verdict, members, judges, learned)
    importance = _importance(ready, judges, members, judged)
    slices = _slices(ready, labels, judges, judged)
    progress("measuring on the test rows", 1.0)
    if task.again and not len(split.calibration) and ready.table.thinned is None:
        known = rows if task.known is None else rows.at(task.known)
        members = grow(known, everywhere, "growing the model from all rows")
    return Outcome(
        table=ready.table.path,
        out=None,
        asked=asked,
        labels=labels,
        counts=everywhere,
        goal=ready.goal,
        split=split,
        schema=ready.schema,
        verdict=verdict,
        judged=judged,
        fitted=members,
        notes=(),
        command=command_of(ready.table.path, ready.asked, ready.asked.positive, ready.goal),
        versions=versions_of(asked.learners),
        importance=importance,
        slices=slices,
    )


def _judged(
    ready: Prepared,
    task: Task,
    verdict: Verdict,
    members: tuple[Member, ...],
    judges: Judges,
    learned: ClassCounts,
) -> Evaluation:
    """The threshold, from rows that are new to the model that scored them, and what it does on the test rows."""
    split, codes, group = task.split, task.labels.codes, ready.circumstances.group
    promises = len(split.calibration) > 0
    held = split.calibration if promises else task.raced.rows
    scores = judges.posterior(held) if promises else verdict.winner.probability
    stands_for = None if promises else task.raced.stands_for
    tested = (judges.posterior(split.test), judges.naive(split.test))
    found = judge(
        task.labels, split.test, codes[held], scores, tested, learned, ready.goal, ready.asked.seed, stands_for
    )
    if task.labels.positive is not None:
        seen = split.train[:_LOOKED_AT]
        weight = np.ones((1, len(seen))) if task.labels.stands_for is None else task.labels.stands_for[None, seen]
        ranked = ranking(codes[seen], posterior(members, ready.matrix[seen]), weight)
        found = replace(found, own_ranking=float(ranked["average_precision"][0]))
    if group is not None and found.decision is not None and found.decision.promised:
        return without_promise(found, ready.goal, group[held])
    return found


def _importance(
    ready: Prepared, judges: Judges, members: tuple[Member, ...], judged: Evaluation
) -> tuple[Importance, ...]:
    table, schema, seed = ready.table, ready.schema, ready.asked.seed
    frame, target, weight = judges.drawn(judged.target, seed)
    return importance_of(
        lambda rows: posterior(members, to_matrix(Table(rows, table.path, table.typed), schema, schema.day)),
        frame,
        _words_first(schema),
        target,
        ready.goal,
        seed=seed,
        weight=weight,
    )


def _words_first(schema: Schema) -> list[str]:
    """All columns; of many only the first are looked at, and what is new in words is refused or not by importance."""
    words = schema.text
    return sorted((one.name for one in schema.columns), key=lambda name: name not in words)


def _slices(ready: Prepared, labels: Labels, judges: Judges, judged: Evaluation) -> tuple[Slice, ...]:
    if ready.asked.slice is None:
        return ()
    return slices_of(
        judges.column(ready.asked.slice),
        judged.target,
        Ruling(ready.goal, judged.threshold, False, False, "").apply(judged.probability),
        classes=labels.classes,
        binary=labels.positive is not None,
    )


def grower(
    verdict: Verdict, schema: Schema, asked: Asked, progress: ProgressCallback
) -> Callable[[Rows, ClassCounts, str], tuple[Member, ...]]:
    """What fits the members of the winner on some rows."""

    def grow(rows: Rows, counts: ClassCounts, step: str) -> tuple[Member, ...]:
        found = []
        for done, (place, share) in enumerate(verdict.members):
            entry = verdict.entries[place]
            learner = LEARNERS[entry.learner]
            recipe = dict(learner.recipes(counts))[entry.loss]
            job = Job(
                rows=rows,
                schema=schema,
                recipe=recipe,
                counts=counts,
                settings=learner.settings[entry.setting],
                rounds=entry.rounds,
                seed=asked.seed,
                each_step=partial(_part_done, progress, step, done, len(verdict.members)),
            )
            found.append(Member(entry.label, entry.learner, recipe, share, learner.fit(job).model))
        progress(step, 1.0)
        return tuple(found)

    return grow


def _part_done(progress: ProgressCallback, step: str, done: int, parts: int, part: float) -> None:
    progress(step, (done + min(1.0, part)) / parts)
