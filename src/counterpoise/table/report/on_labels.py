"""Sections of the page of several labels: what to expect, each label, promises, groups, and what the models are."""

from collections import Counter
from typing import Any

import numpy as np

from counterpoise.decide.measured import Measured
from counterpoise.goals import Constraint
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.report.blocks import (
    Bar,
    Bars,
    Bullets,
    Folded,
    Grid,
    Paragraph,
    Section,
    Tile,
    Tiles,
)
from counterpoise.table.report.on_rows import repeat_section
from counterpoise.table.report.stops import BROKEN, kept
from counterpoise.table.training.outcome import Outcome, Outcomes
from counterpoise.wording import interval, percent, plural

_MOST_ROWS = 40
FIGURES = ("precision", "recall", "f1", "average_precision")
_TITLE = {"macro_f1": "macro F1", "macro_average_precision": "macro average precision"}
_MEANING = {
    "macro_f1": "mean F1 of the labels",
    "macro_average_precision": "ranking: mean precision over all recalls, of the labels",
}


def sections_of(training: Outcomes) -> tuple[Section, ...]:
    """All that the page shows below its headline."""
    made = (
        _expectations(training),
        _labels(training),
        _promises(training),
        _notes(training),
        _groups(training),
        _models(training),
        repeat_section(training),
    )
    return tuple(one for one in made if one is not None)


def won(training: Outcomes) -> str:
    """Of how many labels each kind of model is the best, and whether another loss ever was."""
    every = [one.verdict for one in training.trainings.values()]
    counted = Counter("a blend" if len(one.members) > 1 else one.winner.label for one in every)
    models = ", ".join(f"{label} ({plural(n, 'label')})" for label, n in counted.most_common())
    raced = any(entry.loss not in (PLAIN, "") for one in every for entry in one.entries)
    if not raced:
        return f"Best on held-out rows: {models}."
    other = sum(any(one.entries[place].loss != PLAIN for place, _ in one.members) for one in every)
    tuned = "plain cross-entropy" + ("" if training.goal.ranking else " with a tuned threshold")
    if not other:
        return f"No loss beat {tuned} on any label. Best on held-out rows: {models}."
    return f"A loss other than {tuned} takes part in {plural(other, 'label')}. Best on held-out rows: {models}."


def threshold_of(training: Outcome) -> float:
    """The threshold of one label."""
    return float(np.asarray(training.judged.threshold))


def worst_first(training: Outcomes) -> list[tuple[str, Outcome]]:
    """The labels with their outcomes, by F1, the lowest first."""

    def worth(item: tuple[str, Outcome]) -> tuple[float, float]:
        metrics = item[1].judged.metrics
        return metrics["f1"].value, metrics["average_precision"].value

    return sorted(training.trainings.items(), key=worth)


def _expectations(training: Outcomes) -> Section:
    tiles = tuple(
        Tile(name, _TITLE[name], f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}", _MEANING[name])
        for name, one in training.metrics.items()
    )
    said = [
        f"{name}: {int(one.judged.confusion[1, 1])} of the {int(one.judged.target.sum())} test rows that have it are "
        f"found, with {int(one.judged.confusion[0, 1])} false alerts."
        for name, one in worst_first(training)[:3]
    ]
    blocks: list[Any] = [Tiles(tiles)]
    if training.not_learned:
        blocks += [
            Paragraph("These labels were not learned, and the model does not predict them:", "warning"),
            Bullets(tuple(f"{name}: {why}." for name, why in training.not_learned.items())),
        ]
    blocks += [
        Paragraph("The labels with the lowest F1:"),
        Bullets(tuple(said)),
        Paragraph(
            "All labels are measured on the same rows, so their errors are correlated. The intervals of the means "
            "are widened accordingly, by a bootstrap of these rows.",
            "muted",
        ),
    ]
    return Section("What to expect on rows like these", "expect", tuple(blocks))


def _labels(training: Outcomes) -> Section:
    ranked = worst_first(training)
    bars = [
        Bar(
            name,
            one.judged.metrics["f1"].value,
            one.judged.metrics["f1"].low,
            one.judged.metrics["f1"].high,
            interval(one.judged.metrics["f1"]),
            f"{int(one.judged.target.sum()):,} of {len(one.judged.target):,} test rows",
        )
        for name, one in ranked
    ]
    grid = Grid(
        "Each label on the test rows, worst first",
        ("label", "rows that have it", "share", "precision", "recall", "F1", "average precision"),
        tuple(
            (
                name,
                f"{int(one.counts.n[1]):,} of {one.counts.total:,}",
                percent(float(one.counts.prior[1])),
                *(_figure(one, figure) for figure in FIGURES),
            )
            for name, one in ranked
        ),
    )
    head, caption = ("label", "F1"), "F1 of each label with its 95% interval, worst first."
    blocks: list[Any] = [Bars(caption, head, tuple(bars[:_MOST_ROWS]))]
    if len(bars) > _MOST_ROWS:
        rest = Bars(caption, head, tuple(bars[_MOST_ROWS:]))
        blocks.append(Folded(f"The {len(bars) - _MOST_ROWS} best labels", (rest,)))
    return Section("Each label", "labels", (*blocks, grid))


def _figure(training: Outcome, name: str) -> str:
    if name == "precision" and training.judged.metrics["alerts"].value == 0:
        return "no alert"
    return interval(training.judged.metrics[name])


def _promises(training: Outcomes) -> Section | None:
    bounds = training.goal.constraints
    if not bounds:
        return None
    shown = [(name, one, [_bound(one, bound) for bound in bounds]) for name, one in training.trainings.items()]
    rows, tones = [], []
    for name, one, states in shown:
        decision = one.judged.decision
        promised = decision is not None and decision.promised
        rows.append((name, "promised" if promised else "not promised", *(text for text, _ in states)))
        tones.append("bad" if any(state == BROKEN for _, state in states) else "good" if promised else "")
    head = ("label", "on new rows", *(f"{bound}, on the test rows" for bound in bounds))
    grid = Grid("What was asked of each label", head, tuple(rows), left=(1,), tones=tuple(tones))
    said = Paragraph("Each promise holds with 95% confidence by itself; among many labels some will be broken.")
    return Section("What is promised, and what is not", "promises", (said, grid))


def _bound(training: Outcome, bound: Constraint) -> tuple[str, str]:
    found: Measured = training.judged.metrics[bound.rate]
    state = kept(bound, found)
    return f"{interval(found)}, {state}", state


def _notes(training: Outcomes) -> Section | None:
    return Section("Worth knowing", "notes", (Bullets(training.notes),)) if training.notes else None


def _groups(training: Outcomes) -> Section | None:
    column = training.asked.slice
    if column is None:
        return None
    warned = [
        f"{name}: {found.warning}" for name, one in training.trainings.items() for found in one.slices if found.warning
    ]
    said: Any = (
        Bullets(tuple(warned))
        if warned
        else Paragraph("For no label is any group worse than the whole by more than chance.")
    )
    rule = "A group is called worse only if that holds after correction for all the rates of its label (Bonferroni)."
    return Section(f"Rates by {column}", "groups", (said, Paragraph(rule, "muted")))


def _models(training: Outcomes) -> Section:
    rows = tuple(
        (
            name,
            f"{threshold_of(one):.4g}",
            " + ".join(f"{label} {percent(share)}" if share < 1 else label for label, share in one.members),
        )
        for name, one in training.trainings.items()
    )
    grid = Grid("The model and the threshold of each label", ("label", "threshold", "model"), rows, left=(2,))
    said = Paragraph(won(training))
    reasons = Bullets(tuple(f"{name}: {one.verdict.sentence}" for name, one in training.trainings.items()))
    return Section("What the models are", "models", (said, grid, Folded("Why, label by label", (reasons,))))
