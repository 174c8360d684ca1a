"""The reports of a training of several labels: the page, the card, and the lines in the terminal."""

from pathlib import Path

from counterpoise.table.report.card import plain
from counterpoise.table.report.on_labels import FIGURES, sections_of, threshold_of, won, worst_first
from counterpoise.table.report.shell import fingerprint_of_script, shown
from counterpoise.table.training.notes import columns_not_used
from counterpoise.table.training.outcome import Outcomes
from counterpoise.wording import interval, listed, percent


def page(training: Outcomes) -> str:
    """The report as HTML, with everything in it."""
    return shown(
        "multilabel.html.j2",
        training=training,
        title=_title(training),
        headline=headline(training),
        verdict=verdict(training),
        sections=sections_of(training),
        fingerprint=fingerprint_of_script(),
    )


def heart(training: Outcomes) -> str:
    """What a notebook shows."""
    lines = summary_lines(training)
    return shown("heart.html.j2", training=training, headline=headline(training), lines=lines, panel=None)


def headline(training: Outcomes) -> str:
    """The result in one sentence."""
    learned, every = len(training.trainings), len(training.labels.names)
    labels = f"Learned all {every} labels" if learned == every else f"Learned {learned} of {every} labels"
    return (
        f"{labels}: macro F1 {training.metrics['macro_f1'].value:.3f}, "
        f"macro average precision {training.metrics['macro_average_precision'].value:.3f}."
    )


def verdict(training: Outcomes) -> str:
    """What won, and which labels could not be learned."""
    said = [won(training)]
    unmet = [name for name, one in training.trainings.items() if not one.judged.met]
    if unmet:
        said.append(f"The goal cannot be met for {listed(unmet)}.")
    if training.not_learned:
        said.append(f"Not learned: {'; '.join(f'{name} ({why})' for name, why in training.not_learned.items())}.")
    return " ".join(said)


def card(training: Outcomes) -> str:
    """One page of Markdown, as `card.model_card` of one target."""
    split, first = training.split, next(iter(training.trainings.values()))
    rows = [
        f"| {plain(name)} | {int(one.counts.n[1]):,} of {one.counts.total:,} | "
        + " | ".join(interval(one.judged.metrics[figure]) for figure in FIGURES)
        + f" | {threshold_of(one):.4g} |"
        for name, one in worst_first(training)
    ]
    left = [f"- Not learned: {plain(name)} ({plain(why)})" for name, why in training.not_learned.items()]
    lines = [
        f"# Model card: {len(training.labels.names)} labels in {plain(training.table.name)}",
        "",
        "## Model",
        "",
        f"- One classifier for each of {len(training.trainings)} labels; a row may have several",
        f"- Goal of each: {training.goal}",
        f"- Verdict: {plain(won(training))}",
        *left,
        f"- Written by: {', '.join(f'{name} {version}' for name, version in training.versions.items())}",
        "",
        "## Data",
        "",
        f"- {len(training.labels.codes):,} rows; a row whose label is missing is not used for that label",
        f"- Learned from {len(split.train):,}, thresholds on {len(split.calibration) or len(split.train):,}, tested on "
        f"{len(split.test):,} rows; split {split.how}",
        f"- Columns used: {', '.join(plain(one.name) for one in first.schema.columns)}",
        f"- Columns not used: {plain(columns_not_used(first.schema, None)) or 'none'}",
        "",
        "## Figures on the test rows, with 95% intervals",
        "",
        *(f"- {name.replace('_', ' ')}: {interval(one, 3)}" for name, one in training.metrics.items()),
        "",
        "| label | rows that have it | precision | recall | F1 | average precision | threshold |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        "## Use and limits",
        "",
        "- Intended for rows like those of the table; probabilities and thresholds assume that each label is as "
        "frequent there.",
        *(f"- {plain(note)}" for note in training.notes),
        "",
        "## Repeat",
        "",
        *(f"    {line}" for line in training.command.splitlines()),
        "",
    ]
    return "\n".join(lines)


def summary_lines(training: Outcomes) -> list[tuple[str, str]]:
    """What the command says at the end."""
    positives = {name: float(one.counts.prior[1]) for name, one in training.trainings.items()}
    rarest, commonest = min(positives, key=positives.__getitem__), max(positives, key=positives.__getitem__)
    worst = ", ".join(f"{name} F1 {one.judged.metrics['f1'].value:.2f}" for name, one in worst_first(training)[:3])
    place = training.out or Path("DIR")
    left = [f"{name} ({why})" for name, why in training.not_learned.items()]
    lines = [
        (
            "found",
            f"{len(training.labels.codes):,} rows; {len(training.labels.names)} labels, from {rarest} "
            f"({percent(positives[rarest])} of the rows where it is known) to {commonest} "
            f"({percent(positives[commonest])}); {len(training.schema.columns)} columns to learn from",
        ),
        ("chosen", won(training)),
        ("threshold", f"one per label, for {training.goal} of each"),
        (
            "test",
            "; ".join(f"{name.replace('_', ' ')} {one!s}" for name, one in training.metrics.items())
            + f" (95% intervals); worst: {worst}",
        ),
        ("report", f"{place / 'report.html'}; next: counterpoise predict {place} NEW_TABLE -o predictions.parquet"),
    ]
    return [*lines[:1], ("left out", f"not learned: {'; '.join(left)}"), *lines[1:]] if left else lines


def _title(training: Outcomes) -> str:
    return f"{len(training.labels.names)} labels in {training.table.name}"
