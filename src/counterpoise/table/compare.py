"""Every loss with every learner on one table, on the same folds.

Nothing is chosen here, so no row is set aside: each contestant is judged on rows that it has not learned from, at the
threshold that is best on the other folds. Losses are compared by their difference on the same folds. Its interval uses
Nadeau and Bengio's standard error and Student's t, since folds share training rows and are few.
"""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import rankdata

from counterpoise.decide.multiclass import check_multiclass_goal
from counterpoise.errors import UserError, nearest_name
from counterpoise.goals import Goal
from counterpoise.table.asked import Asked, class_of_interest
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.reference_day import day_of
from counterpoise.table.files import refuse_existing
from counterpoise.table.learners import LEARNERS, Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.model import bundle
from counterpoise.table.racing.entries import Candidate, Entry, ProgressCallback, Race, silent
from counterpoise.table.racing.race import candidates, entered, how_many_folds
from counterpoise.table.racing.scoring import standard_error
from counterpoise.table.racing.trials import Trials
from counterpoise.table.reading.date_columns import with_dates
from counterpoise.table.reading.named_columns import refuse_ignored
from counterpoise.table.reading.table import read_table, with_numbers, without_empty_rows
from counterpoise.table.reading.target import read_labels
from counterpoise.table.report.pictures import advantages, labelled
from counterpoise.table.rows.enough import counts_of, enough_rows
from counterpoise.table.rows.split import folds_of, sample_rows

MOST_ROWS = 20_000
"""So many rows are compared on, fewer with several classes: a tree or more per class and round."""
CSV, PICTURE = "comparison.csv", "comparison.svg"
_COVERED = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over the folds and the ends of its 95 % interval.

    Parameters
    ----------
    value, low, high
        The estimate and its ends, in the goal's own unit.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """One learner with one loss.

    Parameters
    ----------
    learner, setting, loss
        Names of learner, setting and loss.
    score
        The goal's score; higher is better, also with costs.
    ahead
        Difference of the score from that of the learner's plain cross-entropy on the same folds; None for the latter
        itself.
    rank
        Mean rank among all lines over the folds; 1 is the best.
    untuned
        Score without a tuned threshold: flag at 0.5, or the most probable class.
    log_loss, average_precision
        Measures of the honest out-of-fold probabilities; the latter is None with more than two classes.
    seconds
        Time of all folds in seconds.
    """

    learner: str
    setting: str
    loss: str
    score: Interval
    ahead: Interval | None
    rank: float
    untuned: float
    log_loss: float
    average_precision: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison and its result.

    Parameters
    ----------
    out
        Directory of the comparison.
    goal
        The goal.
    rows, total
        Number of rows that were compared on, and of all rows.
    folds
        Number of folds.
    lines
        Lines by learner, plain cross-entropy first.
    left_out
        Learners that could not learn from this table, each with the reason.
    """

    out: Path
    goal: Goal
    rows: int
    total: int
    folds: int
    lines: tuple[Line, ...]
    left_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For the reader.

        Examples
        --------
        >>> line = Line("lightgbm", "steadied", "focal", Interval(0.5, 0.4, 0.6), None, 1.0, 0.4, 0.1, 0.5, 2.0)
        >>> Comparison(Path("out"), Goal("f1"), 100, 100, 5, (line,), ()).sentence
        'No loss is clearly ahead of plain cross-entropy with a tuned threshold.'
        """
        ahead = [line for line in self.lines if line.ahead is not None and line.ahead.low > 0]
        tuned = "" if self.goal.ranking else " with a tuned threshold"
        if not ahead:
            return f"No loss is clearly ahead of plain cross-entropy{tuned}."
        named = ", ".join(f"{line.loss} with {LEARNERS[line.learner].title}" for line in ahead)
        others = sum(line.ahead is not None for line in self.lines)
        return (
            f"Clearly ahead of plain cross-entropy{tuned}: {named}. Of {others} differences at 95 %, one in forty "
            "is this large by chance alone."
        )


def compare_table(
    path: Path,
    *,
    target: str,
    out: Path,
    learners: Sequence[str] | None = None,
    recipes: Sequence[str] | None = None,
    positive: str | None = None,
    goal: Goal | None = None,
    ignore: Sequence[str] = (),
    dates: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    as_of: Any = None,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> Comparison:
    """Compare losses and learners on one table, and write comparison.csv and comparison.svg.

    Parameters
    ----------
    path
        A CSV or Parquet file.
    target
        The column with the classes.
    out
        A new directory.
    learners
        Names of `LEARNERS`; default: all that are installed.
    recipes
        Names of losses, such as focal or weighted-square-root; by default all. Plain cross-entropy always runs.
    positive
        The class of interest; of two classes the default is the rarer. With more than two, the others become one class.
    goal
        The goal; default f1, or macro_f1 with more than two classes.
    ignore
        Columns to omit: names and patterns.
    dates
        "day-first" or "month-first", for dates such as 03/04/2024 where nothing else decides.
    decimal, thousands
        The mark before a fraction and between groups of digits, as for `counterpoise.train`.
    as_of
        Day up to which ages of dates are counted; None: the newest date of a column.
    seed
        Seed; the same seed gives the same folds.
    progress
        Function that is called with the step and the share of it that is done.

    Raises
    ------
    UserError
        For a column, learner or loss that there is not, a goal that does not fit, or a directory that exists.
    """
    refuse_existing(out)
    asked = Asked(
        target,
        positive,
        goal,
        tuple(learners or installed_learners()),
        seed=seed,
        ignore=tuple(ignore),
        dates=dates,
        decimal=decimal,
        thousands=thousands,
        as_of=as_of,
    )
    progress("reading the table", 0.0)
    course, total = _course(path, asked, progress)
    contestants = _contestants(asked.learners, course, recipes)
    entries: dict[Candidate, tuple[Entry, float]] = {}
    left_out: dict[str, str] = {}
    for place, one in enumerate(contestants):
        if one.learner.name in left_out:
            continue
        begun = monotonic()
        try:
            step = f"comparing {one.label} ({place + 1} of {len(contestants)})"
            entries[one] = entered(replace(course, trials=Trials()), one, step), monotonic() - begun
        except UserError as error:
            left_out[one.learner.name] = f"{one.learner.title}: {error}"
    lines = _lines([found for found in entries.items() if found[0].learner.name not in left_out])
    if not lines:
        raise UserError("; ".join(left_out.values()))
    rows = len(course.rows.codes)
    done = Comparison(out, course.goal, rows, total, course.folds, lines, tuple(left_out.values()))
    bundle.write(out, {CSV: as_csv(lines).encode(), PICTURE: picture(done).encode()})
    return done


def installed_learners() -> list[str]:
    """The learners whose packages are installed.

    Examples
    --------
    >>> "lightgbm" in installed_learners()
    True
    """
    return [name for name, one in LEARNERS.items() if all(importlib.util.find_spec(it) for it in one.packages)]


def recipe_name(label: str) -> str:
    """A loss as `--recipe` takes it.

    Examples
    --------
    >>> recipe_name("weighted, square root")
    'weighted-square-root'
    """
    return re.sub(r"\W+", "-", label)


def as_csv(lines: Sequence[Line]) -> str:
    """One row per line, its intervals in columns of their own."""
    rows = [
        {
            "learner": line.learner,
            "setting": line.setting,
            "loss": recipe_name(line.loss),
            **_columns("score", line.score),
            **_columns("ahead_of_plain", line.ahead),
            "mean_rank": line.rank,
            "score_untuned": line.untuned,
            "log_loss": line.log_loss,
            "average_precision": line.average_precision,
            "seconds": line.seconds,
        }
        for line in lines
    ]
    return pl.DataFrame(rows, infer_schema_length=None).write_csv()


def picture(done: Comparison) -> str:
    """The gain of each loss over plain cross-entropy with the same learner, as SVG."""
    groups = []
    for name in dict.fromkeys(line.learner for line in done.lines):
        own = [line for line in done.lines if line.learner == name]
        rows = [
            (_label(line), line.ahead.value, line.ahead.low, line.ahead.high) for line in own if line.ahead is not None
        ]
        groups.append((f"{LEARNERS[name].title}: {own[0].score.value:.3g}", rows))
    axis = f"{done.goal.label}: gain over plain"
    said = f"{axis} cross-entropy with the same learner, with 95 % intervals. {done.sentence}"
    return labelled(advantages(groups, axis), said)


def _label(line: Line) -> str:
    return line.loss if line.loss != PLAIN else f"{line.loss}, {line.setting}"


def _columns(name: str, found: Interval | None) -> dict[str, float | None]:
    ends = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _course(path: Path, asked: Asked, progress: ProgressCallback) -> tuple[Race, int]:
    """The common settings of all contestants, and the number of rows of the table."""
    table = read_table(path, spelled=True, ignore=asked.ignore)
    refuse_ignored(table.ignored, asked.named_columns, table.frame.columns)
    table = with_numbers(table, [asked.target], asked.marks)
    table = without_empty_rows(with_dates(table, [asked.target, *table.ignored], asked.dates))
    positive, goal = (asked.positive, None) if asked.goal is None else class_of_interest(asked.goal, asked.positive)
    labels = read_labels(table, asked.target, positive)
    codes = labels.codes
    everything = np.arange(len(codes))
    if labels.positive is not None:
        goal = goal or Goal("f1")
        enough_rows(labels, counts_of(labels, everything), asked.target)
    else:
        goal = goal or Goal("macro_f1")
        check_multiclass_goal(goal)
    outputs = 1 if labels.positive is not None else len(labels.classes)
    kept = sample_rows(codes, max(1, 2 * MOST_ROWS // (1 + outputs)), seed=asked.seed)
    counts = counts_of(labels, kept)
    schema = learn_schema(table, asked.target, kept, as_of=day_of(asked.as_of))
    rows = Rows(to_matrix(table, schema, schema.day), codes).at(kept)
    fold = folds_of(rows.codes, how_many_folds(counts), seed=asked.seed)
    progress("reading the table", 1.0)
    return Race(rows, fold, counts, schema, goal, asked.seed, Trials(), inf, progress), len(codes)


def _contestants(learners: Sequence[str], course: Race, recipes: Sequence[str] | None) -> list[Candidate]:
    everyone = candidates(learners, course.counts)
    known = list(dict.fromkeys(recipe_name(one.loss) for one in everyone))
    for name in recipes or ():
        if name not in known:
            raise nearest_name("recipe", name, known)
    return [one for one in everyone if recipes is None or one.loss == PLAIN or recipe_name(one.loss) in recipes]


def _lines(found: Sequence[tuple[Candidate, tuple[Entry, float]]]) -> tuple[Line, ...]:
    if not found:
        return ()
    scores = np.stack([entry.scores for _, (entry, _) in found])
    ranks = rankdata(-scores, axis=0).mean(axis=1)
    plain = {one.learner.name: entry.scores for one, (entry, _) in found if one.leads}
    return tuple(
        Line(
            one.learner.name,
            one.setting,
            one.loss,
            interval(entry.scores),
            None if one.leads else interval(entry.scores - plain[one.learner.name]),
            float(rank),
            float(entry.untuned.mean()),
            entry.log_loss,
            entry.average_precision,
            seconds,
        )
        for (one, (entry, seconds)), rank in zip(found, ranks, strict=True)
    )


def interval(scores: NDArray[np.float64]) -> Interval:
    """The mean of scores on cross-validation folds, and its 95 % interval.

    Examples
    --------
    >>> found = interval(np.array([0.1, 0.2, 0.3]))
    >>> [round(one, 3) for one in (found.low, found.value, found.high)]
    [-0.193, 0.2, 0.593]
    """
    mean = float(scores.mean())
    reach = float(stdtrit(len(scores) - 1, (1 + _COVERED) / 2)) * standard_error(scores)
    return Interval(mean, mean - reach, mean + reach)
