"""Several labels that a row may have at once: a training of two classes for each, over the same features and parts.

The rows are split once for all labels, so that each part gets its share of every label's positives, and the columns
become features once. Then each label is raced, grown, given its threshold and measured by itself, on the rows where it
is known; each label has an `Outcome`, like a single target. The budget is divided. If it is short, only plain
cross-entropy takes part, on a sample of the rows, and the negatives for the final model are thinned (those that are
left count for all).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table.asked import DEFAULT_LEARNERS, Asked, command_of, versions_of
from counterpoise.table.learners import Rows
from counterpoise.table.learners.thinning import thinned
from counterpoise.table.monitoring.shift import column_facts
from counterpoise.table.racing.entries import ProgressCallback, silent
from counterpoise.table.racing.fits import HERE, Fits
from counterpoise.table.racing.trials import Part, Trials
from counterpoise.table.reading.labels import ManyLabels, read_many_labels
from counterpoise.table.reading.table import Table, check_columns
from counterpoise.table.reading.target import Labels
from counterpoise.table.rows.split import Split, sample_rows, split_labels
from counterpoise.table.training.facts import facts_of_one, facts_of_several
from counterpoise.table.training.macro import drawn_measures, macro
from counterpoise.table.training.notes import columns_not_used, date_notes, weight_notes
from counterpoise.table.training.of_thinned import parts_of, thinning_notes, with_judged
from counterpoise.table.training.one import CALIBRATED, SHARE_FOR_RACE
from counterpoise.table.training.outcome import Outcome, Outcomes
from counterpoise.table.training.prepared import Circumstances, Prepared, prepared
from counterpoise.table.training.target import Sample, Task, folds_for, learn_target
from counterpoise.wording import listed

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
class Pace:
    """What there is time for, the same for every label.

    Parameters
    ----------
    every_loss
        Whether all losses are raced, or plain cross-entropy only.
    raced, grown
        Largest numbers of rows for the comparison and for the model.
    folds
        Largest number of folds.
    again
        Whether the models are trained once more on all rows after they were measured.
    """

    every_loss: bool
    raced: int
    grown: int
    folds: int
    again: bool


def pace_of(budget: float, labels: int, rows: int, features: int, learners: int) -> Pace:
    """Decide what there is time for, by sizes alone: on any machine the same.

    Parameters
    ----------
    budget
        Approximate time limit in seconds.
    labels
        Number of labels.
    rows
        Number of training rows of the label that is known most often.
    features, learners
        Number of features and of learners.

    Examples
    --------
    >>> pace_of(300.0, 3, 1_000, 20, 2)
    Pace(every_loss=True, raced=1000, grown=1000, folds=5, again=True)
    >>> pace_of(300.0, 28, 40_000, 366, 2).every_loss
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
    return Pace(every_loss, raced, grown, folds, again)


def learn_several(
    table: Table, asked: Asked, trials: Trials, progress: ProgressCallback, fits: Fits = HERE
) -> Outcomes:
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
    labels = read_many_labels(with_judged(table, list(asked.targets)), asked.targets, asked.positive)
    circumstances, thinned = Circumstances.of(table, asked), table.thinned
    if thinned is not None:
        labels, split = replace(labels, stands_for=thinned.weights), parts_of(thinned)
    else:
        split = split_labels(
            labels.codes,
            seed=asked.seed,
            calibration=CALIBRATED if goal.constraints else 0.0,
            time=circumstances.time,
            group=circumstances.group,
        )
    not_learned = _not_learned(
        labels, split, circumstances.group, promises=bool(goal.constraints) or thinned is not None
    )
    learned = [place for place, name in enumerate(labels.names) if name not in not_learned]
    if not learned:
        first, reason = next(iter(not_learned.items()))
        more = f"; and {len(not_learned) - 1} more" if len(not_learned) > 1 else ""
        raise UserError(f"no label can be learned; {first!r}: {reason}{more}")
    ready = prepared(table, asked, goal, labels.names, split, circumstances)
    progress("reading the table", 1.0)
    rows = max(int(labels.known(place).sum()) for place in learned)
    pace = pace_of(asked.budget, len(learned), rows, ready.matrix.shape[1], len(asked.learners))
    read = monotonic()
    rest = max(asked.budget - (read - begun), asked.budget / 2)
    trainings = {}
    for done, place in enumerate(learned):
        progress("learning the labels", done / len(learned))
        deadline = read + rest * (done + SHARE_FOR_RACE) / len(learned)
        task = _task(ready, labels, place, pace, deadline)
        trainings[task.name] = _learned(learn_target(ready, task, Part(trials, task.name), silent, fits))
    progress("learning the labels", 1.0)
    outcomes = Outcomes(
        table=table.path,
        out=None,
        asked=asked,
        labels=labels,
        goal=goal,
        split=split,
        schema=ready.schema,
        trainings=trainings,
        not_learned=not_learned,
        metrics=_macro(trainings, split, asked.seed),
        notes=_notes(ready, pace, trainings),
        command=command_of(table.path, asked, asked.positive, goal),
        versions=versions_of(asked.learners),
    )
    learned_on = ready.matrix[split.train if thinned is None else thinned.even(asked.seed)]
    columns = column_facts(learned_on, ready.schema.features)
    return replace(outcomes, facts=facts_of_several(outcomes) | {"columns": columns})


def _task(ready: Prepared, labels: ManyLabels, place: int, pace: Pace, deadline: float) -> Task:
    """One label, on the rows where it is known."""
    asked, one, known = ready.asked, labels.of(place), labels.known(place)
    split = _within(ready.split, known)
    raced = _raced(one, split.train, pace.raced, asked.seed)
    return Task(
        name=labels.names[place],
        labels=one,
        known=known,
        split=split,
        raced=raced,
        fold=folds_for(ready, one, raced.rows, pace.folds),
        grown=_thinned(one, split.train, pace.grown, asked.seed),
        losses=asked.recipes if pace.every_loss else (),
        again=pace.again,
        deadline=deadline,
    )


def _learned(found: Outcome) -> Outcome:
    """The outcome of a label with its one note, and its facts."""
    left_out = found.verdict.left_out
    notes = (f"The budget had no time for: {', '.join(left_out)}.",) if left_out else ()
    found = replace(found, notes=notes)
    return replace(found, facts=facts_of_one(found))


def _goal_of_each(goal: Goal | None) -> Goal:
    found = goal or Goal("f1")
    if "class" in found.needs:
        raise UserError(
            f"goal {str(found)!r} names a class, but each label has its own goal, about the rows that have it; "
            "omit 'of' and the name"
        )
    found.check_served("several labels")
    return found


def _raced(labels: Labels, rows: NDArray[np.int64], most: int, seed: int) -> Sample:
    """The rows on which learners are compared; of a thinned table with the classes' shares of the whole."""
    if labels.stands_for is None:
        return _thinned(labels, rows, most, seed)
    return Sample(rows[sample_rows(labels.codes[rows], most, seed=seed, stands_for=labels.stands_for[rows])])


def _thinned(labels: Labels, rows: NDArray[np.int64], most: int, seed: int) -> Sample:
    """About so many of the rows at most, all of a rare class among them."""
    weight = None if labels.stands_for is None else labels.stands_for[rows]
    numbered = thinned(Rows(rows[:, None].astype(np.float64), labels.codes[rows], weight), most, seed=seed)
    return Sample(numbered.matrix[:, 0].astype(np.int64), numbered.weight)


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
        weight = np.ones(len(codes)) if labels.stands_for is None else labels.stands_for
        for has, have, code in (("has it", "have it", 1), ("lacks it", "lack it", 0)):
            n = int(np.sum(weight[codes == code]))
            said = f"{'no row' if n == 0 else '1 row'} {has}" if n < 2 else f"{n:,} rows {have}"
            lacking = [part for part, rows, least in parts if int((codes[rows] == code).sum()) < least]
            if n < _LEAST:
                found.setdefault(name, f"{said}; at least {_LEAST} are needed")
            elif lacking:
                found.setdefault(name, f"{said}, too few of them in the {lacking[0]} part (split {split.how})")
            elif group is not None and len(np.unique(group[split.train][codes[split.train] == code])) < 2:
                found.setdefault(name, f"{said}; those in the training part are all in one group")
    return found


def _macro(trainings: Mapping[str, Outcome], split: Split, seed: int) -> dict[str, Measured]:
    tested = [
        (np.searchsorted(split.test, one.split.test), one.judged.target, one.judged.probability, _cut(one))
        for one in trainings.values()
    ]
    draws = drawn_measures(len(split.test), tested, seed=seed)
    return {
        f"macro_{name}": macro([one.judged.metrics[name] for one in trainings.values()], drawn)
        for name, drawn in draws.items()
    }


def _cut(training: Outcome) -> float:
    assert isinstance(training.judged.threshold, float)  # of two classes it is one number
    return training.judged.threshold


def _notes(ready: Prepared, pace: Pace, trainings: Mapping[str, Outcome]) -> tuple[str, ...]:
    table, schema, split = ready.table, ready.schema, ready.split
    found = [*weight_notes(ready.asked), *table.said, *date_notes(table, schema, ready.asked.time)]
    if not pace.every_loss:
        found.append("The budget had time for plain cross-entropy only; a larger one lets other losses take part.")
    most = max(len(one.split.train) for one in trainings.values())
    if pace.raced < most and table.thinned is None:
        found.append(
            f"The learners were compared, and the thresholds chosen, on at most {pace.raced:,} of up to {most:,} "
            "training rows of a label; each row without the label stood for several."
        )
    if pace.grown < most:
        found.append(
            f"Each model was grown from at most {pace.grown:,} training rows, in the same way: all rows with the "
            "label, and a part of the others."
        )
    if pace.again and not len(split.calibration):
        found.append(
            "The figures are those of models trained without the test rows; the saved models were trained on all "
            "rows in the same way."
        )
    late = [name for name, one in trainings.items() if one.verdict.left_out]
    if late:
        found.append(f"Not every contestant had time to run for {_labels(late)}.")
    broken = [name for name, one in trainings.items() if one.verdict.health is not None and one.verdict.health.broken]
    if broken:
        found.append(f"LightGBM's defaults broke down on {_labels(broken)}; its steadied settings took their place.")
    few = [name for name, one in trainings.items() if int(one.judged.target.sum()) < _FEW]
    if few:
        found.append(f"Uncertain figures, because fewer than {_FEW} test rows have the label: {_labels(few)}.")
    if schema.dropped:
        found.append(f"Columns not used: {columns_not_used(schema)}.")
    return (*found, *([] if table.thinned is None else thinning_notes(table.thinned, split)))


def _labels(names: list[str]) -> str:
    """Some labels for the reader, with their number where not all are named.

    Examples
    --------
    >>> _labels(["a", "b"]), _labels(list("abcdefgh"))
    ('a, b', '8 labels (a, b, c, d, e and 3 more)')
    """
    return listed(names) if len(names) <= 5 else f"{len(names)} labels ({listed(names)})"
