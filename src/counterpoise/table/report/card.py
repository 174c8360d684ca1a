"""The model card: the model, its use and its figures, as Markdown."""

import re

from counterpoise.errors import printable
from counterpoise.table.training.notes import columns_not_used
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import percent


def model_card(training: Outcome) -> str:
    """One page of Markdown (the sections of Mitchell et al., Model Cards for Model Reporting, 2019)."""
    judged, split = training.judged, training.split
    classes = ", ".join(
        f"{plain(name)} {n:,}" for name, n in zip(training.labels.classes, training.counts.n.tolist(), strict=True)
    )
    lines = [
        f"# Model card: {plain(training.target)} in {plain(training.table.name)}",
        "",
        "## Model",
        "",
        *(f"- {plain(label)}: {percent(share)}" for label, share in training.members),
        f"- Goal: {training.goal}",
        f"- Decision: {plain(judged.reason)}",
        f"- Verdict: {plain(training.verdict.sentence)}",
        f"- Written by: {', '.join(f'{name} {version}' for name, version in training.versions.items())}",
        "",
        "## Data",
        "",
        f"- {training.counts.total:,} rows; {classes}",
        f"- Learned from {len(split.train):,}, threshold on {len(split.calibration) or len(split.train):,}, tested on "
        f"{len(split.test):,} rows; split {split.how}",
        f"- Columns used: {', '.join(plain(one.name) for one in training.schema.columns)}",
        f"- Columns not used: {plain(columns_not_used(training.schema, None)) or 'none'}",
        "",
        "## Figures on the test rows, with 95% intervals",
        "",
        "| measure | value | from | to | why the value is an end of its interval |",
        "| --- | ---: | ---: | ---: | --- |",
        *(
            f"| {name.replace('_', ' ')} | {one.value:.4g} | {one.low:.4g} | {one.high:.4g} | {one.why} |"
            for name, one in judged.metrics.items()
        ),
        "",
        "## Use and limits",
        "",
        "- Intended for rows like those of the table; probabilities and threshold assume that "
        f"{plain(training.target)} is as frequent there.",
        *(f"- {plain(note)}" for note in training.notes),
        "",
        "## Repeat",
        "",
        *(f"    {line}" for line in training.command.splitlines()),
        "",
    ]
    return "\n".join(lines)


def plain(text: object) -> str:
    """What a table says, so that it is neither markup nor a new line of the card."""
    found = printable(" ".join(str(text).split()))
    return re.sub(r"[&<|`[*_]", lambda sign: f"&#{ord(sign[0])};", found)
