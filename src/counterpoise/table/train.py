"""The main job: read, split, race, decide, measure, write.

Three parts of the table see three different things. The training part chooses the loss (on folds) and
grows the model; the calibration part, which the model has not seen, sets the threshold; the test part,
which nothing has seen, says what all of it is worth.
"""

import platform
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass, ranking
from counterpoise.decide.multiclass import (
    check_multiclass_goal,
    choose_class_thresholds,
    confusion_matrix,
    decide_classes,
)
from counterpoise.decide.threshold import Decision, choose_threshold
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.lightgbm import library
from counterpoise.table import bundle
from counterpoise.table.boost import finish, grow
from counterpoise.table.features import Schema, learn_schema, to_matrix
from counterpoise.table.race import Progress, Verdict, how_many_folds, race
from counterpoise.table.read import Labels, Table, read_labels, read_table
from counterpoise.table.report import render
from counterpoise.table.slices import Slice
from counterpoise.table.split import Split, folds_of, sample_rows, split_rows
from counterpoise.weights import ClassCounts

_LEAST_OF_TWO = 4
# What the comparison of losses may take, in rows x trees per round (x columns): minutes on two cores.
_MOST_SCORES = 250_000
_MOST_CELLS = 10_000_000


def _silent(step: str, done: float) -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The chosen model on rows that it has not seen.

    Parameters
    ----------
    decision
        The threshold and its reason (two classes), or None.
    threshold
        A number, or one per class.
    met, reason
        Whether the goal's constraints hold on the calibration rows, and one sentence.
    target, probability
        Of the test rows.
    metrics
        On the test rows, at the threshold.
    recall, precision
        Per class, with more than two of them.
    confusion
        On the test rows (C, C): rows the truth, columns the decision.
    naive
        What the logits would say of the test rows by a plain sigmoid or softmax, without the posterior correction.
    """

    decision: Decision | None
    threshold: float | NDArray[np.float64]
    met: bool
    reason: str
    target: NDArray[np.int64]
    probability: NDArray[np.float64]
    metrics: dict[str, Measured]
    recall: list[Measured]
    precision: list[Measured]
    confusion: NDArray[np.int64]
    naive: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Everything that was found and decided: what the summary, the report and decision.json tell.

    Parameters
    ----------
    table, out
        Where the rows came from and where the results are.
    target, labels, counts
        The column, its classes, and the rows of each in the whole table.
    goal, seed
        What was asked.
    split
        Who learned, set the threshold and judged.
    schema
        The columns used and dropped.
    verdict
        The comparison of the losses.
    judged
        The threshold and what it does on the test rows.
    notes
        What the reader should know besides.
    command
        What repeats all this.
    versions
        Of the software.
    members
        What a blend is made of: label and share.
    health
        What had to be steadied in the learners, in sentences.
    importance
        Column, how much worse the model is without it, and the standard error of that.
    slices
        The rates of groups of test rows.
    audit
        Of the table; it has `sections()`.
    """

    table: Path
    out: Path
    target: str
    labels: Labels
    counts: ClassCounts
    goal: Goal
    seed: int
    split: Split
    schema: Schema
    verdict: Verdict
    judged: Judged
    notes: tuple[str, ...]
    command: str
    versions: dict[str, str]
    members: tuple[tuple[str, float], ...] = ()
    health: tuple[str, ...] = ()
    importance: tuple[tuple[str, float, float], ...] = ()
    slices: tuple[Slice, ...] = ()
    audit: Any | None = None

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return self.labels.positive is not None


def train_table(
    path: Path,
    *,
    target: str,
    positive: str | None = None,
    goal: Goal | None = None,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress = _silent,
) -> Training:
    """Train, compare and decide on one table, and write the directory `out`.

    Parameters
    ----------
    path
        CSV or Parquet.
    target
        The column with the classes.
    positive
        The class of interest; of two the default is the rarer, and of more than two it makes the
        others one class.
    goal
        What to reach; f1 by default, macro_f1 with more than two classes. A class that it names is the positive one.
    out
        A new directory; by default `counterpoise-<name of the table>`.
    seed
        Same seed, same files.
    progress
        Called with the step and its share done.

    Returns
    -------
    Training
        All facts.
    """
    place = out if out is not None else Path(f"counterpoise-{path.name.split('.')[0]}")
    bundle.refuse_existing(place)
    library()
    if goal is not None:
        positive, goal = _class_of_interest(goal, positive)
    if seed < 0:
        raise UserError(f"seed is {seed}; it must be 0 or more")
    progress("reading the table", 0.0)
    table = read_table(path)
    labels = read_labels(table, target, positive)
    counts = _counts(labels, np.arange(len(labels.codes)))
    if labels.positive is not None:
        goal = goal or Goal("f1")
        _enough(labels, counts, target)
    else:
        goal = goal or Goal("macro_f1")
        check_multiclass_goal(goal)
    split = split_rows(labels.codes, seed=seed)
    if len(split.calibration) == 0:
        raise UserError(
            f"target {target!r}: no class has more than 2 rows, so none is left to set the thresholds on; "
            "at least one class needs 3"
        )
    schema = learn_schema(table, target, split.train)
    matrix = to_matrix(table, schema)
    progress("reading the table", 1.0)
    learned = _counts(labels, split.train)
    trees = len(labels.classes) if labels.positive is None else 1
    most = min(_MOST_CELLS // matrix.shape[1], _MOST_SCORES) // trees
    raced = split.train[sample_rows(labels.codes[split.train], most, seed=seed)]
    verdict = race(
        matrix[raced],
        labels.codes[raced],
        folds_of(labels.codes[raced], how_many_folds(_counts(labels, raced)), seed=seed),
        learned,
        schema,
        goal,
        seed=seed,
        progress=progress,
    )
    progress("growing the model", 0.0)
    winner = verdict.winner
    grown = grow(
        matrix[split.train],
        labels.codes[split.train],
        winner.recipe,
        learned,
        schema,
        rounds=winner.rounds,
        seed=seed,
    )
    progress("growing the model", 1.0)
    progress("measuring on the test rows", 0.0)
    probability = grown.posterior(matrix, winner.rounds)
    judged = _judge(labels, split, learned, probability, goal, seed)
    model = finish(grown)
    progress("measuring on the test rows", 1.0)
    training = Training(
        table=path,
        out=place,
        target=target,
        labels=labels,
        counts=counts,
        goal=goal,
        seed=seed,
        split=split,
        schema=schema,
        verdict=verdict,
        judged=judged,
        notes=_notes(table, schema, labels, split, learned, verdict, probability, len(raced)),
        command=_command(path, target, positive, goal, seed),
        versions=_versions(),
    )
    progress("writing the report", 0.0)
    report = render(training)
    facts = decision_facts(training) | {"model_sha256": bundle.fingerprint(model)}
    bundle.write(place, {bundle.MODEL: model, bundle.DECISION: bundle.to_json(facts), bundle.REPORT: report})
    progress("writing the report", 1.0)
    return training


def decision_facts(training: Training) -> dict[str, Any]:
    """What decision.json holds, but for the fingerprint of the model."""
    judged, labels = training.judged, training.labels
    test: dict[str, Any] = {name: found.to_dict() for name, found in judged.metrics.items()}
    threshold: float | dict[str, float]
    if isinstance(judged.threshold, float):
        threshold = judged.threshold
    else:
        names = [str(name) for name in labels.classes]
        threshold = dict(zip(names, judged.threshold.tolist(), strict=True))
        for name, per_class in (("recall", judged.recall), ("precision", judged.precision)):
            test[name] = dict(zip(names, [one.to_dict() for one in per_class], strict=True))
    return {
        "recipe": training.verdict.winner.recipe.to_dict(),
        "threshold": threshold,
        "classes": list(labels.classes),
        "positive": labels.positive,
        "goal": str(training.goal),
        "met": judged.met,
        "promised": judged.decision is not None and judged.decision.promised,
        "reason": judged.reason,
        "verdict": training.verdict.sentence,
        "metrics": {"test": test},
        "target": training.target,
        "counts": dict(zip(map(str, labels.classes), training.counts.n.tolist(), strict=True)),
        "rows": {
            "train": len(training.split.train),
            "calibration": len(training.split.calibration),
            "test": len(training.split.test),
        },
        "seed": training.seed,
        "rounds": training.verdict.winner.rounds,
        "comparison": [
            {
                "loss": entry.label,
                "recipe": entry.recipe.to_dict(),
                "chosen": place == training.verdict.chosen,
                "rounds": entry.rounds,
                "score": entry.score,
                "standard_error": entry.error,
                "folds": entry.scores.tolist(),
                "untuned": float(entry.untuned.mean()),
                "log_loss": entry.log_loss,
                "average_precision": entry.average_precision,
            }
            for place, entry in enumerate(training.verdict.entries)
        ],
        "schema": training.schema.to_dict(),
        "notes": list(training.notes),
        "versions": training.versions,
    }


def _counts(labels: Labels, rows: NDArray[np.int64]) -> ClassCounts:
    n = np.bincount(labels.codes[rows], minlength=len(labels.classes))
    return ClassCounts(n.tolist(), classes=list(labels.classes))


def _enough(labels: Labels, counts: ClassCounts, target: str) -> None:
    for name, n in zip(labels.classes, counts.n.tolist(), strict=True):
        if n < _LEAST_OF_TWO:
            raise UserError(
                f"target {target!r}: class {name!r} has {n} rows; with two classes each needs at least "
                f"{_LEAST_OF_TWO}, to learn from, to set the threshold and to test on"
            )


def _judge(
    labels: Labels,
    split: Split,
    learned: ClassCounts,
    probability: NDArray[np.float64],
    goal: Goal,
    seed: int,
) -> Judged:
    held, test = split.calibration, split.test
    truth, scores = labels.codes[test], probability[test]
    if labels.positive is None:
        several = choose_class_thresholds(labels.codes[held], probability[held], learned.prior, goal)
        metrics, recall, precision = measure_multiclass(truth, scores, several.threshold, goal, seed=seed)
        matrix = confusion_matrix(truth, decide_classes(scores, several.threshold), len(labels.classes))
        return Judged(None, several.threshold, True, several.reason, truth, scores, metrics, recall, precision, matrix)
    decision = choose_threshold(labels.codes[held], probability[held], goal)
    metrics = measure_binary(truth, scores, decision.threshold, goal, seed=seed)
    matrix = confusion_matrix(truth, scores >= decision.threshold, 2)
    return Judged(decision, decision.threshold, decision.met, decision.reason, truth, scores, metrics, [], [], matrix)


def _notes(
    table: Table,
    schema: Schema,
    labels: Labels,
    split: Split,
    learned: ClassCounts,
    verdict: Verdict,
    probability: NDArray[np.float64],
    raced: int,
) -> tuple[str, ...]:
    notes = []
    if raced < len(split.train):
        notes.append(f"The losses were compared on {raced:,} of the {len(split.train):,} training rows.")
    codes = labels.codes
    constant = float(-(learned.prior * np.log(learned.prior)).sum())
    winner = verdict.winner
    if winner.log_loss >= constant:
        notes.append(
            f"The columns say little about the target: on held-out rows the probabilities are no better than "
            f"the class shares alone (log loss {winner.log_loss:.4g}, shares {constant:.4g})."
        )
    rarest = int(np.argmin(learned.n))
    if learned.n[rarest] < 50:
        notes.append(
            f"Only {learned.n[rarest]} training rows are of class {labels.classes[rarest]}: every figure about "
            "that class is uncertain, and another seed will give another threshold."
        )
    if labels.positive is not None:
        positives = int(codes[split.calibration].sum())
        if positives < 30:
            notes.append(f"The threshold rests on {positives} positive calibration rows.")
        seen, unseen = split.train, split.test
        trained = ranking(codes[seen], probability[seen], np.ones((1, len(seen))))["average_precision"][0]
        if trained < 2 * float(learned.prior[1]) and float(learned.prior[1]) < 0.4:
            notes.append(f"The model ranks even its own training rows badly (average precision {trained:.3f}).")
        if ranking(codes[unseen], probability[unseen], np.ones((1, len(unseen))))["roc_auc"][0] > 0.9995:
            notes.append("The test rows are separated almost perfectly: does a column give the target away?")
    dropped = [f"{name} ({reason})" for name, reason in schema.dropped]
    if dropped:
        more = f", and {len(dropped) - 10} more" if len(dropped) > 10 else ""
        notes.append(f"Columns not used: {', '.join(dropped[:10])}{more}.")
    doubled = table.frame.height - table.frame.n_unique()
    if doubled:
        notes.append(
            f"{doubled:,} rows repeat another row exactly; where copies fall into two parts, "
            "the test is easier than new data."
        )
    return tuple(notes)


def _class_of_interest(goal: Goal, positive: str | None) -> tuple[str | None, Goal]:
    """The positive class, and the goal without its name if it names one."""
    name = goal.class_of_interest
    alone = goal if name is None else goal.without_class()
    alone.check_served("train")
    if name is not None and positive not in (None, name):
        raise UserError(f"the goal speaks of class {name!r}, but positive is {positive!r}; pass one of them")
    return positive if name is None else name, alone


def _command(path: Path, target: str, positive: str | None, goal: Goal, seed: int) -> str:
    words = ["counterpoise", "train", str(path), "--target", target]
    if positive is not None:
        words += ["--positive", positive]
    return shlex.join([*words, "--goal", str(goal), "--seed", str(seed)])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("counterpoise", "lightgbm", "numpy", "polars", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
