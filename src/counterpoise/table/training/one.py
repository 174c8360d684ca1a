"""Learn a target of two or more classes."""

from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.multiclass import check_multiclass_goal
from counterpoise.errors import UserError, warn_user
from counterpoise.goals import Goal
from counterpoise.table.asked import DEFAULT_BUDGET, Asked, class_of_interest, command_of
from counterpoise.table.audit.audit import audit
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Rows
from counterpoise.table.monitoring.class_mix import class_histograms, distinct_share
from counterpoise.table.monitoring.shift import column_facts
from counterpoise.table.racing.entries import ProgressCallback
from counterpoise.table.racing.fits import HERE, Fits
from counterpoise.table.racing.trials import Trials
from counterpoise.table.reading.table import Table, check_columns
from counterpoise.table.reading.target import Labels, read_labels
from counterpoise.table.reading.thinned import Thinned
from counterpoise.table.rows.enough import both_sides, counts_of, enough_rows, several_folds
from counterpoise.table.rows.split import Split, sample_rows, split_rows
from counterpoise.table.training.facts import facts_of_one
from counterpoise.table.training.notes import notes_of
from counterpoise.table.training.of_thinned import audit_of_thinned, parts_of, with_judged
from counterpoise.table.training.outcome import Outcome
from counterpoise.table.training.prepared import Circumstances, Prepared, prepared
from counterpoise.table.training.target import Sample, Task, folds_for, learn_target

CALIBRATED = 0.2
"""Of the rows, kept for a threshold with a promise."""
SHARE_FOR_RACE = 0.6
"""Of the budget; the rest is for growing the model and measuring it."""
_LEAST_OF_SEVERAL = 3
# What the comparison of losses may take, in rows x trees per round (x columns): minutes on two cores.
_MOST_SCORES = 250_000
_MOST_CELLS = 10_000_000


def learn_one(table: Table, asked: Asked, trials: Trials, progress: ProgressCallback, fits: Fits = HERE) -> Outcome:
    """Train, compare and decide for the target column `asked.target`.

    Raises
    ------
    UserError
        For a column that is absent or cannot be used, too few rows of a class, or a goal that does not fit.
    """
    begun = monotonic()
    positive, goal = asked.positive, asked.goal
    if goal is not None:
        positive, goal = class_of_interest(goal, positive)
    check_columns(table, asked.extra_columns)
    labels = read_labels(with_judged(table, [asked.target]), asked.target, positive)
    for alike in labels.alike:
        warn_user(f"target {asked.target!r}: {alike}")
    thinned = table.thinned
    if thinned is not None:
        labels = replace(labels, stands_for=thinned.weights)
    goal = _goal_of(labels, goal, asked.target)
    circumstances = Circumstances.of(table, asked)
    if thinned is not None:
        split = parts_of(thinned)
    else:
        split = split_rows(
            labels.codes,
            seed=asked.seed,
            calibration=CALIBRATED if goal.constraints else 0.0,
            time=circumstances.time,
            group=circumstances.group,
        )
    learned = counts_of(labels, split.train)
    both_sides(labels, split, learned, asked)
    ready = prepared(table, asked, goal, (asked.target,), split, circumstances)
    progress("reading the table", 1.0)
    raced = _raced(ready, labels)
    fold = folds_for(ready, labels, raced)
    several_folds(labels, labels.codes[raced], fold, asked)
    task = Task(
        name=asked.target,
        labels=labels,
        known=None,
        split=split,
        raced=Sample(raced),
        fold=fold,
        grown=Sample(split.train, None if thinned is None else thinned.stands_for),
        losses=asked.recipes,
        again=True,
        deadline=begun + SHARE_FOR_RACE * asked.budget,
    )
    found = learn_target(ready, task, trials, progress, fits)
    look = audit if thinned is None else audit_of_thinned
    audited = look(table, labels, split, target=asked.target, time=asked.time, group=asked.group, seed=asked.seed)
    found = replace(
        found,
        audit=audited,
        notes=notes_of(ready, found, len(raced)),
        command=command_of(table.path, asked, positive, goal),
    )
    rows = Rows(ready.matrix, labels.codes, circumstances.weight)
    return replace(
        found, facts=facts_of_one(found) | _looked_like(rows, labels, split, ready.schema, thinned, asked.seed)
    )


def _goal_of(labels: Labels, goal: Goal | None, target: str) -> Goal:
    """The goal that fits the classes, where each has rows enough for it."""
    counts = counts_of(labels, np.arange(len(labels.codes)))
    if labels.positive is not None:
        enough_rows(labels, counts, target)
        return goal or Goal("f1")
    goal = goal or Goal("macro_f1")
    check_multiclass_goal(goal)
    if int(counts.n.max()) < _LEAST_OF_SEVERAL:
        raise UserError(
            f"target {target!r}: no class has more than 2 rows, so none is left to set the thresholds on; "
            "at least one class needs 3"
        )
    return goal


def _raced(ready: Prepared, labels: Labels) -> NDArray[np.int64]:
    """The training rows on which learners and losses are compared: as many as there is time for."""
    train, asked = ready.split.train, ready.asked
    trees = len(labels.classes) if labels.positive is None else 1
    most = min(_MOST_CELLS // ready.matrix.shape[1], _MOST_SCORES) / trees
    most = max(1, int(asked.budget / DEFAULT_BUDGET * most))
    stands_for = None if labels.stands_for is None else labels.stands_for[train]
    return train[sample_rows(labels.codes[train], most, seed=asked.seed, stands_for=stands_for)]


def _looked_like(
    rows: Rows, labels: Labels, split: Split, schema: Schema, thinned: Thinned | None, seed: int
) -> dict[str, Any]:
    """What the training rows were like, for those who later ask whether new rows are."""
    matrix, codes = rows.matrix[split.train], labels.codes[split.train]
    even = matrix if thinned is None else matrix[thinned.even(seed)]
    columns = column_facts(even, schema.features, frozenset(schema.categorical))
    parts = class_histograms(matrix, codes, len(labels.classes), frozenset(schema.categorical))
    for name, one in zip(schema.features, parts, strict=False):
        columns[name]["parts"] = one
    return {"columns": columns, "distinct": distinct_share(even)}
