"""One page that says what was found: facts here, words and order in the template beside this file."""

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from counterpoise.decide.measured import Measured
from counterpoise.decide.multiclass import confusion_matrix
from counterpoise.goals import Constraint, Goal
from counterpoise.table import pictures

if TYPE_CHECKING:
    from counterpoise.table.train import Training

_FEW = 30
"""With fewer rows than this a headline says how many there are; a percentage would promise too much."""

_MEANING = {
    "precision": "of the alerts are right",
    "recall": "of the positives are found",
    "specificity": "of the negatives are passed",
    "alerts": "of all rows are flagged",
    "fpr": "of the negatives are flagged",
    "f1": "precision and recall in one number",
    "balanced_accuracy": "mean recall of the classes",
    "average_precision": "ranking: mean precision over all recalls",
    "roc_auc": "ranking: a positive above a negative",
    "log_loss": "probabilities: lower is better",
    "macro_f1": "mean F1 of the classes",
    "mcc": "correlation of truth and decision",
    "g_mean": "geometric mean of the classes' recalls",
    "cost": "per row, in your units",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A measure on the test rows, with what it means."""

    name: str
    value: str
    low: str
    high: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class and where its rows went."""

    name: str
    rows: int
    share: str
    train: int
    calibration: int
    test: int
    recall: str
    precision: str


@dataclass(frozen=True, slots=True)
class LossRow:
    """A loss and how it did on the folds."""

    label: str
    tuned: str
    error: str
    untuned: str
    log_loss: str
    average_precision: str
    rounds: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """A constraint of the goal and what became of it."""

    asked: str
    calibration: str
    test: str
    kept: str


@dataclass(frozen=True, slots=True)
class Picture:
    """SVG and the sentence under it."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the page shows."""

    table: str
    target: str
    positive: str | None
    rows: int
    imbalance: str
    goal: str
    verdict: str
    met: bool
    headline: str
    reason: str
    sentences: tuple[str, ...]
    promises: tuple[PromiseRow, ...]
    not_promised: tuple[str, ...]
    classes: tuple[ClassRow, ...]
    losses: tuple[LossRow, ...]
    measure: str
    tests: tuple[Fact, ...]
    confusion: tuple[tuple[int, ...], ...]
    compared: Picture
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    command: str
    predict: str
    versions: tuple[tuple[str, str], ...]
    threshold: str


def facts_of(training: "Training") -> Facts:
    """Turn what was found into what is shown."""
    labels, judged, split = training.labels, training.judged, training.split
    names = [str(name) for name in labels.classes]
    n = {
        part: np.bincount(labels.codes[rows], minlength=len(names))
        for part, rows in (("train", split.train), ("calibration", split.calibration), ("test", split.test))
    }
    classes = tuple(
        ClassRow(
            name,
            int(training.counts.n[k]),
            percent(float(training.counts.prior[k])),
            int(n["train"][k]),
            int(n["calibration"][k]),
            int(n["test"][k]),
            _interval(judged.recall[k]) if judged.recall else "",
            _interval(judged.precision[k]) if judged.precision else "",
        )
        for k, name in enumerate(names)
    )
    goal = training.goal
    sign = -1.0 if goal.minimise else 1.0
    losses = tuple(
        LossRow(
            entry.label,
            f"{sign * entry.score:.3f}",
            f"{entry.error:.3f}",
            f"{sign * float(entry.untuned.mean()):.3f}",
            f"{entry.log_loss:.4g}",
            "" if entry.average_precision is None else f"{entry.average_precision:.3f}",
            entry.rounds,
            place == training.verdict.chosen,
        )
        for place, entry in enumerate(training.verdict.entries)
    )
    return Facts(
        table=training.table.name,
        target=training.target,
        positive=None if labels.positive is None else str(labels.positive),
        rows=training.counts.total,
        imbalance=f"{training.counts.imbalance_ratio:.3g}",
        goal=str(goal),
        verdict=training.verdict.sentence,
        met=judged.met,
        headline=headline(training),
        reason=judged.reason,
        sentences=_sentences(training),
        promises=tuple(_promise(training, constraint) for constraint in goal.constraints),
        not_promised=_not_promised(training),
        classes=classes,
        losses=losses,
        measure=goal.label + _penalty(goal),
        tests=tuple(_fact(name, found) for name, found in judged.metrics.items()),
        confusion=tuple(tuple(int(cell) for cell in row) for row in judged.confusion) if len(names) == 2 else (),
        compared=_compared(training),
        pictures=tuple(_pictures(training, names, n["test"])),
        notes=training.notes,
        columns=tuple((column.name, column.kind) for column in training.schema.columns),
        command=training.command,
        predict="counterpoise predict DIRECTORY NEW_TABLE -o predictions.parquet",
        versions=tuple(training.versions.items()),
        threshold=f"{judged.threshold:.4g}" if isinstance(judged.threshold, float) else "",
    )


def _penalty(goal: Goal) -> str:
    if not goal.constraints:
        return ""
    unit = "" if goal.costs is None else ", in units of the largest cost"
    return f", {'plus' if goal.minimise else 'less'} twice what a constraint lacks{unit}"


def headline(training: "Training") -> str:
    """The result in one sentence, on the test rows."""
    metrics = training.judged.metrics
    if training.binary:
        (_, wrong), (missed, right) = training.judged.confusion.tolist()
        found = (
            f"Finds {_part(right, right + missed)} rows where {training.target} is "
            f"{training.labels.positive!s}; {_alerts(right, right + wrong)}."
        )
        return (
            found if training.judged.met else f"The goal cannot be met here. The closest: {found[0].lower()}{found[1:]}"
        )
    return (
        f"Finds {percent(metrics['balanced_accuracy'].value)} of the rows of a class on average; "
        f"macro F1 {metrics['macro_f1'].value:.3f}."
    )


def _part(part: int, whole: int) -> str:
    """A share in words: as a percentage only where enough rows stand behind it.

    Examples
    --------
    >>> _part(4, 5), _part(40, 50)
    ('4 of 5', '80% of the')
    """
    return f"{part} of {whole}" if whole < _FEW else f"{percent(part / whole)} of the"


def _alerts(right: int, alerts: int) -> str:
    """What became of the alerts, in words.

    Examples
    --------
    >>> _alerts(4, 5), _alerts(40, 50), _alerts(0, 0)
    ('4 of its 5 alerts are right', '80% of its alerts are right', 'it raises no alert')
    """
    if alerts == 0:
        return "it raises no alert"
    if alerts == 1:
        return f"its only alert is {'right' if right else 'wrong'}"
    return (
        f"{right} of its {alerts} alerts are right"
        if alerts < _FEW
        else (f"{percent(right / alerts)} of its alerts are right")
    )


def render(training: "Training") -> str:
    """The page as HTML, with everything in it."""
    from jinja2 import Environment, StrictUndefined

    template = files("counterpoise.table").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(template).render(facts=facts_of(training))


def percent(share: float) -> str:
    """A share for a reader, with two or three digits that mean something.

    Examples
    --------
    >>> percent(0.5), percent(0.00194), percent(1.0)
    ('50%', '0.19%', '100%')
    """
    value = 100 * share
    if value == 0 or value >= 99.95:
        return f"{value:.0f}%"
    return f"{value:.1f}%".replace(".0%", "%") if value >= 1 else f"{value:.2g}%"


def _interval(found: Measured) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _fact(name: str, found: Measured) -> Fact:
    digits = 4 if name in ("log_loss", "cost", "alerts", "fpr") else 3
    value, low, high = (f"{number:.{digits}f}" for number in (found.value, found.low, found.high))
    return Fact(name.replace("_", " "), value, low, high, _MEANING.get(name, ""))


def _sentences(training: "Training") -> tuple[str, ...]:
    judged = training.judged
    if not training.binary:
        return _weakest(training)
    positive = f"where {training.target} is {training.labels.positive!s}"
    precision, recall, alerts = (judged.metrics[name] for name in ("precision", "recall", "alerts"))
    if judged.metrics["alerts"].value == 0:
        return ("On the test rows it flagged nothing.",)
    (_, wrong), (missed, right) = judged.confusion.tolist()
    return (
        f"Of 1,000 rows it flags about {1000 * alerts.value:.0f} "
        f"(likely between {1000 * alerts.low:.0f} and {1000 * alerts.high:.0f}).",
        _of_100("alerts", "are right", right, right + wrong, precision),
        _of_100(f"rows {positive}", "are found", right, right + missed, recall),
    )


def _of_100(rows: str, done: str, part: int, whole: int, found: Measured) -> str:
    """What a share means for 100 rows; with few test rows behind it first of all how few.

    Examples
    --------
    >>> _of_100("alerts", "are right", 4, 4, Measured(1.0, 0.398, 1.0))
    'Of 100 alerts likely between 40 and 100 are right: of the 4 among the test rows 4 are.'
    >>> _of_100("alerts", "are right", 40, 50, Measured(0.8, 0.663, 0.9))
    'Of 100 alerts about 80 are right (likely between 66 and 90).'
    """
    ends = f"likely between {100 * found.low:.0f} and {100 * found.high:.0f}"
    if whole < _FEW:
        return f"Of 100 {rows} {ends} {done}: of the {whole} among the test rows {part} {'is' if part == 1 else 'are'}."
    return f"Of 100 {rows} about {100 * found.value:.0f} {done} ({ends})."


def _weakest(training: "Training") -> tuple[str, ...]:
    """The classes that are found worst, which an average hides."""
    matrix, classes = training.judged.confusion, training.labels.classes
    true = matrix.sum(axis=1)
    tested = np.flatnonzero(true)
    order = tested[np.argsort((np.diagonal(matrix) / np.maximum(true, 1))[tested], kind="stable")][:3]
    worst = ", ".join(f"{classes[k]!s} ({matrix[k, k]} of {true[k]} test rows)" for k in order)
    return (f"Found worst: {worst}.",)


def _promise(training: "Training", constraint: Constraint) -> PromiseRow:
    judged = training.judged
    assert judged.decision is not None  # goals with constraints have two classes
    found = judged.metrics[constraint.rate]
    held = float(getattr(judged.decision.confusion, constraint.rate))
    sure = found.low >= constraint.bound if constraint.at_least else found.high <= constraint.bound
    likely = found.value >= constraint.bound if constraint.at_least else found.value <= constraint.bound
    kept = "kept" if sure else "kept, within noise" if likely else "not kept"
    return PromiseRow(str(constraint), f"{held:.3f}", str(found), kept)


def _not_promised(training: "Training") -> tuple[str, ...]:
    said = [
        "That these figures hold on rows of another kind: the test rows come from the same table. If the "
        "rows have a time or belong to groups, a random split flatters.",
        f"More than the intervals say: they are what {len(training.split.test):,} test rows allow to say "
        "with 95% confidence, one measure at a time.",
    ]
    decision = training.judged.decision
    if training.goal.constraints and decision is not None and not decision.promised:
        said.insert(
            0,
            "That a bound of the goal holds on new rows: the threshold was set on the calibration rows, and "
            "the table above shows what became of it on the test rows.",
        )
    return tuple(said)


def _compared(training: "Training") -> Picture:
    entries = training.verdict.entries
    sign = -1.0 if training.goal.minimise else 1.0
    return Picture(
        "The losses on the same folds",
        pictures.comparison(
            [entry.label for entry in entries],
            [sign * entry.score for entry in entries],
            [entry.error for entry in entries],
            training.verdict.chosen,
            f"{training.goal.label}, mean and standard error",
        ),
        "Orange: chosen. Dotted: plain cross-entropy.",
    )


def _pictures(
    training: "Training", names: list[str], rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[Picture]:
    judged = training.judged
    if isinstance(judged.threshold, float):
        target, probability, threshold = judged.target, judged.probability, judged.threshold
        promises = [(one.rate, one.bound) for one in training.goal.constraints]
        return [
            Picture(
                "Precision against recall",
                pictures.precision_recall(target, probability, threshold, promises),
                "Each point of the curve is a threshold. Orange: the chosen one. Test rows.",
            ),
            Picture(
                "What moving the threshold does",
                pictures.trade_off(target, probability, threshold, names[1]),
                "Left: more alerts, more found. Right: fewer and surer. Test rows.",
            ),
            Picture(
                "Are the probabilities honest?",
                pictures.reliability(target, probability),
                "On the dotted line they are. Groups of test rows with 95% intervals.",
            ),
            Picture(
                "How the two classes score",
                pictures.scores(target, probability, threshold, names),
                "What lies right of the orange line is flagged. Test rows.",
            ),
        ]
    plain = confusion_matrix(judged.target, judged.probability.argmax(axis=1), len(names))
    shares = np.diagonal(plain) / np.maximum(plain.sum(axis=1), 1)
    return [
        Picture(
            "Recall of each class",
            pictures.per_class(names, rows.tolist(), judged.recall, shares.tolist()),
            "With 95% intervals; in brackets the test rows. Orange: without thresholds.",
        ),
        Picture(
            "What is taken for what",
            pictures.confusions(names, judged.confusion),
            "Each row of the picture is a true class; dark is where its test rows went.",
        ),
    ]
