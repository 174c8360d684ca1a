"""The sections on the data: the columns that matter, the rows, and how to repeat the training."""

from typing import Any

from counterpoise.table.report.blocks import Bar, Bars, Bullets, Command, Folded, Grid, Heading, Paragraph, Section
from counterpoise.table.training.importance import measure_of
from counterpoise.table.training.outcome import Outcome, Outcomes


def importance_section(training: Outcome) -> Section | None:
    """The columns that matter; nothing where it was not measured."""
    if not training.importance:
        return None
    measure = measure_of(training.goal, training.binary).replace("_", " ")
    bars = [
        Bar(name, drop, drop - 2 * error, drop + 2 * error, f"{drop:.3f} ± {2 * error:.3f}")
        for name, drop, error in training.importance
    ]
    low, high = min(0.0, *(one.low for one in bars)), max(one.high for one in bars)
    caption = f"How much {measure} {'rises' if measure == 'log loss' else 'falls'} without the column"
    first, rest = (
        Bars(caption, ("column", "change"), tuple(part), low, max(high, low + 1e-9), reference=0.0)
        for part in (bars[:20], bars[20:])
    )
    blocks: list[Any] = [
        Paragraph(
            "Each column's values were shuffled among the test rows, which removes its information. Two columns "
            "with the same information replace each other, so both may look unimportant. ± is two standard errors."
        ),
        first,
    ]
    if rest.bars:
        blocks.append(Folded(f"{len(rest.bars)} more columns", (rest,)))
    return Section("Which columns matter", "columns", tuple(blocks))


def data_section(training: Outcome) -> Section | None:
    """What was left out and why; nothing where all columns are used."""
    if training.audit is None:
        return None
    blocks: list[Any] = [Paragraph(training.audit.verdict)]
    for finding in training.audit.findings:
        said = tuple(one for one in (finding.text, finding.do) if one)
        blocks += [Heading(finding.title[0].upper() + finding.title[1:]), Bullets(said)]
    return Section("The data", "data", tuple(blocks))


def repeat_section(training: Outcome | Outcomes) -> Section:
    """The command that trains the same model."""
    schema = training.schema
    columns = tuple((column.name, column.kind) for column in schema.columns)
    unused = tuple((name, f"not used: {why}") for name, why in schema.dropped)
    versions = " · ".join(f"{name} {version}" for name, version in training.versions.items())
    return Section(
        "Repeat it, use it",
        "repeat",
        (
            Command("To repeat it:", training.command),
            Command("To use it:", "counterpoise predict DIRECTORY NEW_TABLE -o predictions.parquet"),
            Folded(
                f"{len(columns):,} columns and the software",
                (Grid("Columns", ("column", "kind"), columns + unused, left=(1,)), Paragraph(versions, "muted")),
            ),
        ),
    )
