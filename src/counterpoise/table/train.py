"""The main job: read, split, race, decide, measure, write.

Three parts of the table see three different things. The training part chooses learner and loss (on folds) and grows the
model; the test part, which nothing has seen, says what all of it is worth. The threshold is set on rows that the model
which scored them has not seen: where the goal has bounds on a calibration part of its own, since a promise is about one
model and rows that are new to it; else on the rows that each fold held out. In the latter case the saved model is then
grown once more, from all rows: positives are too rare to leave a fifth of them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from numbers import Integral
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.decide.multiclass import check_multiclass_goal
from counterpoise.errors import UserError, warn_user
from counterpoise.goals import Goal
from counterpoise.table import bundle
from counterpoise.table.asked import DEFAULT_BUDGET, DEFAULT_LEARNERS, Asked, class_of_interest, command_of, versions_of
from counterpoise.table.audit import Audit, audit
from counterpoise.table.card import model_card
from counterpoise.table.class_mix import class_histograms, distinct_share
from counterpoise.table.date_columns import with_dates
from counterpoise.table.drift import time_places
from counterpoise.table.enough import both_sides, counts_of, enough_rows, group_places, row_weights, several_folds
from counterpoise.table.features import Schema, learn_schema, to_matrix
from counterpoise.table.frames import table_of
from counterpoise.table.importance import Importance, importance_of
from counterpoise.table.judged import Judged, judge, without_promise
from counterpoise.table.labels import named_labels
from counterpoise.table.learners import LEARNERS, Job, Rows
from counterpoise.table.memory import refuse_to_learn
from counterpoise.table.model import Member, Model, Ruling, naive, posterior
from counterpoise.table.named_columns import parts_of, refuse_ignored
from counterpoise.table.notes import notes_of
from counterpoise.table.novelty import REFUSE
from counterpoise.table.race import Progress, Race, Verdict, candidates, how_many_folds, race
from counterpoise.table.read import Table, check_columns, read_table, with_numbers, without_empty_rows
from counterpoise.table.reference_day import day_of
from counterpoise.table.report import heart, render
from counterpoise.table.shift import column_facts
from counterpoise.table.slices import Slice, slices_of
from counterpoise.table.split import Split, folds_of, sample_rows, split_rows
from counterpoise.table.target import Labels, read_labels
from counterpoise.table.trials import Trials, Unfinished
from counterpoise.weights import ClassCounts

if TYPE_CHECKING:
    from counterpoise.table.multilabel import MultilabelTraining

_LEAST_OF_SEVERAL = 3
# What the comparison of losses may take, in rows x trees per round (x columns): minutes on two cores.
_MOST_SCORES = 250_000
_MOST_CELLS = 10_000_000
_SHARE_FOR_RACE = 0.6
"""Of the budget; the rest is for growing the model and measuring it."""


def silent(step: str, done: float) -> None:
    """The progress that nobody asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Everything that was found and decided: what the summary, the report and decision.json tell.

    Parameters
    ----------
    table
        Where the rows came from.
    out
        Where the results are, or None where they were not written.
    asked
        What was asked.
    labels, counts
        The classes, and the rows of each in the whole table.
    goal
        What was reached for.
    split
        Who learned, set the threshold and judged.
    schema
        The columns used and dropped.
    verdict
        The comparison of learners and losses.
    judged
        The threshold and what it does on the test rows.
    fitted
        What predicts.
    notes
        What the reader should know besides.
    command
        What repeats all this.
    versions
        Of the software.
    importance
        How much worse the test rows are ranked without each column.
    slices
        The rates of groups of test rows.
    audit
        Of the table.
    facts
        All of decision.json, but for the fingerprints of the files.
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
    judged: Judged
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
        """What decided everything that is random."""
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
        """What had to be steadied, in sentences."""
        found = self.verdict.health
        return (found.sentence,) if found is not None and found.broken else ()

    @property
    def decision(self) -> Ruling:
        """How probabilities become decisions."""
        return self.model.decision

    def predict(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[Any]:
        """As `Model.predict`."""
        return self.model.predict(frame, as_of=as_of, unknown=unknown)

    def predict_proba(self, frame: Any, *, as_of: Any = None, unknown: str = REFUSE) -> NDArray[np.float64]:
        """As `Model.predict_proba`."""
        return self.model.predict_proba(frame, as_of=as_of, unknown=unknown)

    def explain(self, frame: Any, *, as_of: Any = None) -> pl.DataFrame:
        """As `Model.explain`."""
        return self.model.explain(frame, as_of=as_of)

    def _repr_html_(self) -> str:
        return heart(self)

    def save(self, directory: str | Path) -> None:
        """Write the directory that `counterpoise.load` and `counterpoise predict` read: new, at once or not at all."""
        bundle.write(Path(directory), _files(self))


def train(
    frame: Any,
    *,
    target: str | Sequence[str],
    positive: str | float | bool | None = None,
    goal: Goal | str | None = None,
    learners: Sequence[str] = DEFAULT_LEARNERS,
    time: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    slice: str | None = None,
    ignore: str | Sequence[str] = (),
    dates: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    as_of: Any = None,
    absolute_time: bool = False,
    budget: float = DEFAULT_BUDGET,
    seed: int = 0,
    progress: Progress = silent,
) -> "Training | MultilabelTraining":
    """Train, compare and decide on a data frame.

    Parameters
    ----------
    frame
        pandas or Polars; or the path of a CSV or Parquet file.
    target
        The column with the classes. A list of columns, names with commas between them or a pattern such as "y_*": a row
        may have several of these labels at once; a cell is 1 or 0, or missing where that is not known.
    positive
        The class of interest; of two the default is the rarer, and of more than two it makes the others one class.
    goal
        What to reach, as `counterpoise.goal` reads it; f1 by default, macro_f1 with more than two classes. A class that
        it names is the positive one.
    learners
        Of lightgbm, logistic, xgboost, catboost, mlp and keras; each runs with every loss that suits it.
    time, group, weight, slice
        Names of columns: the latest rows judge what was learned from the earlier ones; rows of one group stay together;
        how much each row counts in training (> 0); by what the report breaks its figures down.
    ignore
        Columns to leave out: a list, or names with commas between them; patterns such as "id*". The model does not ask
        for them. The column of `slice` may be one.
    dates
        "day-first" or "month-first", for columns of dates such as 03/04/2024 where nothing in the table decides.
    decimal, thousands
        The mark before a fraction ("." or ",") and between groups of digits (",", ".", " ", "'" or "" for none) of
        numbers that are text, where neither their column nor another one tells.
    as_of
        The day of the table, to which the ages of its dates count: a date, or text as 2024-01-31. None: the newest date
        of a column, if ages tell anything.
    absolute_time
        Whether dates themselves are features too, although those of later rows lie outside of what was learned.
    budget
        Seconds that it may take, about; what there is no time for is left out, and the notes say so.
    seed
        Same seed, same result.
    progress
        Called with the step and its share done.

    Returns
    -------
    Training
        `.predict(frame)`, `.predict_proba(frame)`, `.decision`, `.save(directory)`; a notebook shows the heart of its
        report. Of several labels a `MultilabelTraining` with the same, a column per label.

    Raises
    ------
    UserError
        For a column that is absent or cannot be used, too few rows of a class, or a goal that does not fit.

    Examples
    --------
    >>> import numpy as np, polars as pl, counterpoise as cp
    >>> size = np.random.default_rng(0).normal(size=300)
    >>> frame = pl.DataFrame({"size": size, "rare": np.where(size > 1.5, "yes", "no")})
    >>> result = cp.train(frame, target="rare", learners=["lightgbm"])
    >>> result.predict(pl.DataFrame({"size": [-1.0, 2.0]})).tolist()
    ['no', 'yes']
    """
    aim = Goal.parse(goal) if isinstance(goal, str) else goal
    listed = tuple(_name("target", one) or "" for one in target) if isinstance(target, list | tuple) else ()
    asked = Asked(
        target=",".join(listed) if listed else _name("target", target) or "",
        positive=None if positive is None else str(positive),
        goal=aim,
        learners=(learners,) if isinstance(learners, str) else tuple(learners),
        time=_name("time", time),
        group=_name("group", group),
        weight=_name("weight", weight),
        slice=_name("slice", slice),
        budget=budget,
        seed=seed,
        targets=listed,
        ignore=parts_of("ignore", ignore),
        dates=dates,
        decimal=decimal,
        thousands=thousands,
        as_of=as_of,
        absolute_time=absolute_time,
    )
    if isinstance(frame, str | Path):
        table = read_table(Path(frame), spelled=True, ignore=asked.ignore, keep=asked.shown_columns)
    else:
        table = table_of(frame, ignore=asked.ignore, keep=asked.shown_columns)
    return _train(table, asked, None, Trials(), progress)


def _name(option: str, column: Any) -> str | None:
    """The name of a column, which pandas also makes of numbers."""
    if column is not None and not isinstance(column, (str, Integral)):
        raise UserError(f"{option} is a {type(column).__name__}; name a column")
    return None if column is None else str(column)


def train_table(
    path: Path,
    *,
    target: str,
    out: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
    **asked: Any,
) -> "Training | MultilabelTraining":
    """Train, compare and decide on one table, and write the directory `out`.

    Parameters
    ----------
    path
        CSV or Parquet.
    target
        The column with the classes, or columns of labels, as in `Asked`.
    out
        A new directory; by default `counterpoise-<name of the table>`.
    resume
        Whether to go on with what an interrupted run towards `out` left.
    progress
        Called with the step and its share done.
    **asked
        As in `Asked`.

    Returns
    -------
    Training
        All facts.
    """
    place = out if out is not None else Path(f"counterpoise-{path.name.split('.')[0]}")
    what = Asked(target, **asked)
    if what.goal is not None:
        class_of_interest(what.goal, what.positive)  # a goal that is refused is refused before a long read
    bundle.refuse_existing(place)
    progress("reading the table", 0.0)
    table = read_table(path, spelled=True, ignore=what.ignore, keep=what.shown_columns)
    run = {
        name: ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in asdict(what).items()
        if name not in ("budget", "goal")
    }
    # fits of two versions in one race would be no comparison
    run |= {
        "software": str(versions_of(what.learners)),
        "goal": str(what.goal),
        "table": bundle.fingerprint(_content(table)),
    }
    with Unfinished(place, run, resume=resume) as trials:
        bundle.refuse_existing(place)  # another run may have ended since
        training = _train(table, what, place, trials, progress)
        progress("writing the report", 0.0)
        training.save(place)
        trials.done()
    progress("writing the report", 1.0)
    return training


def _content(table: Table) -> bytes:
    """What tells this table from another: names, types and a hash of all rows."""
    frame = table.frame
    plain = [one for one in frame.columns if not frame[one].dtype.is_nested()]
    rows = frame.select(plain).hash_rows(seed=0).to_numpy() if plain else np.zeros(0)
    return repr(frame.schema).encode() + rows.tobytes()


def _train(
    table: Table, asked: Asked, out: Path | None, trials: Trials, progress: Progress
) -> "Training | MultilabelTraining":
    begun = monotonic()
    refuse_ignored(table.ignored, asked.named_columns)
    refuse_to_learn(table.path, *table.frame.shape)
    targets = asked.targets or named_labels(table, asked.target)
    names = targets or (asked.target,)
    table = with_numbers(table, names, asked.marks)
    table = without_empty_rows(with_dates(table, [*names, *table.ignored], asked.dates))
    if targets:
        from counterpoise.table.multilabel import train_labels  # it trains each label as a target of its own

        return train_labels(table, replace(asked, targets=targets), out, trials, progress)
    positive, goal = asked.positive, asked.goal
    if goal is not None:
        positive, goal = class_of_interest(goal, positive)
    check_columns(table, asked.extra_columns)
    labels = read_labels(table, asked.target, positive)
    for alike in labels.alike:
        warn_user(f"target {asked.target!r}: {alike}")
    counts = counts_of(labels, np.arange(len(labels.codes)))
    if labels.positive is not None:
        goal = goal or Goal("f1")
        enough_rows(labels, counts, asked.target)
    else:
        goal = goal or Goal("macro_f1")
        check_multiclass_goal(goal)
        if int(counts.n.max()) < _LEAST_OF_SEVERAL:
            raise UserError(
                f"target {asked.target!r}: no class has more than 2 rows, so none is left to set the thresholds on; "
                "at least one class needs 3"
            )
    time = None if asked.time is None else time_places(table.frame[asked.time])
    group, weight = group_places(table, asked.group), row_weights(table, asked.weight)
    kept = 0.2 if goal.constraints else 0.0
    split = split_rows(labels.codes, seed=asked.seed, calibration=kept, time=time, group=group)
    learned = counts_of(labels, split.train)
    both_sides(labels, split, learned, asked)
    schema = learn_schema(
        table,
        asked.target,
        split.train,
        leave_out=[name for name in (asked.group, asked.weight) if name is not None],
        time=asked.time,
        as_of=day_of(asked.as_of),
        absolute=asked.absolute_time,
    )
    rows = Rows(to_matrix(table, schema, schema.day), labels.codes, weight)
    progress("reading the table", 1.0)
    trees = len(labels.classes) if labels.positive is None else 1
    most = max(1, int(asked.budget / DEFAULT_BUDGET * min(_MOST_CELLS // rows.matrix.shape[1], _MOST_SCORES) / trees))
    raced = split.train[sample_rows(labels.codes[split.train], most, seed=asked.seed)]
    fold = folds_of(
        labels.codes[raced],
        how_many_folds(counts_of(labels, raced)),
        seed=asked.seed,
        time=None if time is None else time[raced],
        group=None if group is None else group[raced],
    )
    several_folds(labels, labels.codes[raced], fold, asked)
    deadline = begun + _SHARE_FOR_RACE * asked.budget
    course = Race(rows.at(raced), fold, learned, schema, goal, asked.seed, trials, deadline, progress)
    verdict = race(course, candidates(asked.learners, learned, asked.recipes))
    grow = grower(verdict, schema, asked, progress)
    members = measured = grow(rows.at(split.train), learned, "growing the model")
    progress("measuring on the test rows", 0.0)
    held = split.calibration if len(split.calibration) else raced
    scores = posterior(members, rows.matrix[held]) if len(split.calibration) else verdict.winner.probability
    tested = (posterior(members, rows.matrix[split.test]), naive(members, rows.matrix[split.test]))
    judged = judge(labels, split.test, labels.codes[held], scores, tested, learned, goal, asked.seed)
    if group is not None and judged.decision is not None and judged.decision.promised:
        judged = without_promise(judged, goal, group[held])
    importance = importance_of(
        lambda frame: posterior(measured, to_matrix(Table(frame, table.path, table.typed), schema, schema.day)),
        table.frame[split.test],
        _words_first(schema),
        judged.target,
        goal,
        seed=asked.seed,
    )
    slices: tuple[Slice, ...] = ()
    if asked.slice is not None:
        decided = Ruling(goal, judged.threshold, False, False, "").apply(judged.probability)
        slices = slices_of(
            table.frame[split.test].select(asked.slice),
            judged.target,
            decided,
            classes=labels.classes,
            binary=labels.positive is not None,
        )
    audited = audit(table, labels, split, target=asked.target, time=asked.time, group=asked.group, seed=asked.seed)
    notes = notes_of(table, asked, schema, labels, split, learned, verdict, members, rows, len(raced), judged)
    progress("measuring on the test rows", 1.0)
    if not len(split.calibration):
        members = grow(rows, counts, "growing the model from all rows")
    training = Training(
        table=table.path,
        out=out,
        asked=asked,
        labels=labels,
        counts=counts,
        goal=goal,
        split=split,
        schema=schema,
        verdict=verdict,
        judged=judged,
        fitted=members,
        notes=notes,
        command=command_of(table.path, asked, positive, goal),
        versions=versions_of(asked.learners),
        importance=importance,
        slices=slices,
        audit=audited,
    )
    return replace(training, facts=decision_facts(training) | _looked_like(rows, labels, split, schema))


def _looked_like(rows: Rows, labels: Labels, split: Split, schema: Schema) -> dict[str, Any]:
    """What the training rows were like, for those who later ask whether new rows are."""
    matrix, codes = rows.matrix[split.train], labels.codes[split.train]
    columns = column_facts(matrix, schema.features, frozenset(schema.categorical))
    parts = class_histograms(matrix, codes, len(labels.classes), frozenset(schema.categorical))
    for name, one in zip(schema.features, parts, strict=False):
        columns[name]["parts"] = one
    return {"columns": columns, "distinct": distinct_share(matrix)}


def _words_first(schema: Schema) -> list[str]:
    """All columns; of many only the first are looked at, and what is new in words is refused or not by importance."""
    words = schema.text
    return sorted((one.name for one in schema.columns), key=lambda name: name not in words)


def grower(
    verdict: Verdict, schema: Schema, asked: Asked, progress: Progress
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


def _part_done(progress: Progress, step: str, done: int, parts: int, part: float) -> None:
    progress(step, (done + min(1.0, part)) / parts)


def _files(training: Training) -> dict[str, bytes]:
    """Everything that the directory holds."""
    files = bundle.model_files(training.fitted, training.schema.arrays())
    return bundle.whole_directory(training.facts, files, render(training), model_card(training))


def decision_facts(training: Training) -> dict[str, Any]:
    """What decision.json holds, but for the fingerprints of the files."""
    judged, labels, verdict = training.judged, training.labels, training.verdict
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
        "format": bundle.FORMAT,
        "recipe": verdict.winner.recipe.to_dict(),
        "members": [
            {"label": one.label, "learner": one.learner, "recipe": one.recipe.to_dict(), "share": one.share}
            for one in training.fitted
        ],
        "threshold": threshold,
        "classes": list(labels.classes),
        "positive": labels.positive,
        "goal": str(training.goal),
        "met": judged.met,
        "promised": judged.decision is not None and judged.decision.promised,
        "reason": judged.reason,
        "verdict": verdict.sentence,
        "health": "" if verdict.health is None else verdict.health.sentence,
        "metrics": {"test": test},
        "target": training.target,
        "weight": training.asked.weight,
        "counts": dict(zip(map(str, labels.classes), training.counts.n.tolist(), strict=True)),
        "rows": {
            "train": len(training.split.train),
            "calibration": len(training.split.calibration),
            "test": len(training.split.test),
        },
        "split": training.split.how,
        "seed": training.seed,
        "rounds": verdict.winner.rounds,
        "comparison": [
            {
                "loss": entry.label,
                "learner": entry.learner,
                "recipe": entry.recipe.to_dict(),
                "chosen": place == verdict.chosen,
                "rounds": entry.rounds,
                "score": entry.score,
                "standard_error": entry.error,
                "folds": entry.scores.tolist(),
                "untuned": float(entry.untuned.mean()),
                "log_loss": entry.log_loss,
                "average_precision": entry.average_precision,
            }
            for place, entry in enumerate(verdict.entries)
        ],
        "schema": training.schema.to_dict(),
        "importance": {one.column: {"drop": one.drop, "error": one.error} for one in training.importance},
        "notes": list(training.notes),
        "command": training.command,
        "versions": training.versions,
    }
