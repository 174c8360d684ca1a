"""The sections on the decision: what to expect, the threshold, what is promised."""

from typing import Any

import numpy as np

from counterpoise.goals import Constraint
from counterpoise.table.report import pictures
from counterpoise.table.report.blocks import (
    Bullets,
    Figures,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Section,
    Tile,
    Tiles,
)
from counterpoise.table.report.measures import MEANING, written
from counterpoise.table.report.panel import panel_of, stops_for
from counterpoise.table.report.pictures import titled
from counterpoise.table.report.sentences import expectations, not_promised, promise
from counterpoise.table.report.stops import BROKEN, Stops, kept
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import interval, percent


def expectations_section(training: Outcome) -> Section:
    """What to expect on rows like these."""
    said = Bullets(expectations(training))
    if training.binary:
        return Section("What to expect on rows like these", "expect", (said,))
    metrics = training.judged.metrics
    tiles = tuple(
        Tile(
            name,
            name.replace("_", " "),
            *written(name, metrics[name]),
            MEANING[name],
        )
        for name in ("macro_f1", "balanced_accuracy", "mcc", "log_loss")
    )
    return Section("What to expect on rows like these", "expect", (Tiles(tiles), said))


def notes_section(training: Outcome) -> Section | None:
    """What the reader should know; nothing where there is nothing."""
    said = tuple(dict.fromkeys((*training.health, *training.notes)))
    return Section("Worth knowing", "notes", (Bullets(said),)) if said else None


def threshold_section(training: Outcome) -> Section | None:
    """The slider with its pictures; nothing where there are more than two classes."""
    if not training.binary:
        return None
    judged, stops = training.judged, stops_for(training)
    names = [str(name) for name in training.labels.classes]
    return Section(
        "Move the threshold",
        "threshold",
        (
            Paragraph(f"Chosen on {_where(training)}: {judged.reason}."),
            panel_of(training, stops),
            Figures(_rankings(training, stops, names)),
        ),
    )


def _rankings(training: Outcome, stops: Stops, names: list[str]) -> tuple[Picture, ...]:
    judged, bounds = training.judged, training.goal.constraints
    target, probability, metrics = judged.target, judged.probability, judged.metrics
    here = f"the model's threshold finds {percent(metrics['recall'].value)} of the positives"
    flags = metrics["alerts"].value > 0
    right = f"{percent(metrics['precision'].value)} of its alerts are right" if flags else "it raises no alert"
    marks = "Ring: the model's threshold; dot: the slider."
    of_precision = marks if flags else "Dot: the slider; without an alert the model's threshold has no precision."
    return (
        titled(
            "Precision against recall",
            pictures.precision_recall(target, probability, stops, bounds),
            f"Average precision {interval(metrics['average_precision'])}. {of_precision}",
            f"Curve of precision against recall on the test rows; {here}, and {right}.",
        ),
        titled(
            "ROC: found against false alerts",
            pictures.roc(target, probability, stops, bounds),
            f"Area under the curve {interval(metrics['roc_auc'])}. {marks}",
            f"Curve of recall against the share of false alerts on the test rows; {here}, "
            f"and flags {percent(metrics['fpr'].value)} of the negatives.",
        ),
        titled(
            "What moving the threshold does",
            pictures.trade_off(target, probability, stops, names[1]),
            "Further left: more alerts, more positives found. Further right: fewer alerts, more of them right.",
            f"Precision, recall and the share of rows flagged over all thresholds; {here}, and {right}.",
        ),
        titled(
            "How the two classes score",
            pictures.scores(target, probability, stops, names),
            "Rows to the right of the line are flagged.",
            f"Histograms of the probabilities of {names[0]} and {names[1]} on the test rows: median "
            f"{np.median(probability[target == 0]):.2g} and {np.median(probability[target == 1]):.2g}.",
        ),
    )


def promises_section(training: Outcome) -> Section:
    """What was promised of the goal, and whether it held."""
    blocks: list[Any] = []
    decision = training.judged.decision
    if training.goal.constraints and decision is not None:
        blocks.append(Paragraph(promise(training), "good" if decision.promised else "warning"))
        rows = [_promise(training, one) for one in training.goal.constraints]
        blocks.append(
            Grid(
                "What was asked",
                ("asked", "calibration rows", "test rows", "on the test rows"),
                tuple(row for row, _ in rows),
                left=(3,),
                tones=tuple(tone for _, tone in rows),
            )
        )
    else:
        blocks.append(Paragraph(promise(training)))
    blocks += [Heading("Not promised"), Bullets(not_promised(training))]
    return Section("What is promised, and what is not", "promises", tuple(blocks))


def _promise(training: Outcome, constraint: Constraint) -> tuple[tuple[str, ...], str]:
    judged = training.judged
    assert judged.decision is not None  # goals with constraints have two classes
    found = judged.metrics[constraint.rate]
    held = float(getattr(judged.decision.confusion, constraint.rate))
    state = kept(constraint, found)
    return (str(constraint), f"{held:.3f}", interval(found, 3), state), "bad" if state == BROKEN else "good"


def _where(training: Outcome) -> str:
    """The rows that the threshold was chosen on."""
    return "the calibration rows" if len(training.split.calibration) else "the training rows that each fold held out"
