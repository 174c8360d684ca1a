"""Notes for the reader of a training, in addition to its figures."""

import numpy as np

from counterpoise.errors import warn_user
from counterpoise.table.asked import Asked
from counterpoise.table.features.growth import growing_columns, row_order
from counterpoise.table.features.schema import CATEGORY, DATES, NUMBER, TEXT, Schema
from counterpoise.table.features.seeming_dates import INSTEAD, read_as_text
from counterpoise.table.reading.table import Table
from counterpoise.table.rows.enough import counts_of
from counterpoise.table.training.of_thinned import thinning_notes
from counterpoise.table.training.outcome import Outcome
from counterpoise.table.training.prepared import Prepared


def notes_of(ready: Prepared, found: Outcome, raced: int) -> tuple[str, ...]:
    """Sentences: what weakens the figures, what was left out, and what a column may have given away."""
    table, asked, schema = ready.table, ready.asked, ready.schema
    labels, split, verdict, judged = found.labels, found.split, found.verdict, found.judged
    learned = counts_of(labels, split.train)
    notes = [] if verdict.health is None or not verdict.health.broken else [verdict.health.sentence]
    notes += [*weight_notes(asked), *table.said, *date_notes(table, schema, asked.time)]
    notes += [f"Target {asked.target!r}: {one}." for one in labels.alike]
    if verdict.left_out:
        notes.append(f"The budget had no time for: {', '.join(verdict.left_out)}.")
    if not len(split.calibration):
        notes.append(
            "The figures are those of a model trained without the test rows; the saved model was trained on all "
            "rows in the same way."
        )
    if raced < len(split.train) and table.thinned is None:
        notes.append(f"The losses were compared on {raced:,} of the {len(split.train):,} training rows.")
    codes = labels.codes
    constant = float(-(learned.prior * np.log(learned.prior)).sum())
    winner = verdict.winner
    if asked.weight is None and winner.log_loss >= constant:  # weights teach other shares than those of the rows
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
        positives = int(codes[split.calibration].sum()) if len(split.calibration) else int(learned.n[1])
        if positives < 30:
            notes.append(f"The threshold is based on {positives} positive rows.")
        trained, share = judged.own_ranking, float(learned.prior[1])
        if trained is not None and trained < 2 * share and share < 0.4:
            notes.append(f"The model ranks even its own training rows poorly (average precision {trained:.3f}).")
        if judged.metrics["roc_auc"].value > 0.9995:
            notes.append("The test rows are separated almost perfectly: does a column give the target away?")
    if schema.dropped:
        notes.append(f"Columns not used: {columns_not_used(schema)}.")
    if table.thinned is not None:
        return (*notes, *thinning_notes(table.thinned, split))
    doubled = table.frame.height - table.frame.n_unique()
    if doubled:
        notes.append(
            f"{doubled:,} rows repeat another row exactly; where copies fall into two parts, "
            "the test is easier than new data."
        )
    return tuple(notes)


def columns_not_used(schema: Schema, most: int | None = 10) -> str:
    """The columns that the model does not use, by reason; the first ones, or all.

    Examples
    --------
    >>> columns_not_used(Schema((), (("a", "constant"), ("b", "empty"), ("c", "constant"))))
    'a, c (constant), b (empty)'
    """
    shown: dict[str, list[str]] = {}
    for name, why in schema.dropped[:most]:
        shown.setdefault(why, []).append(name)
    left = len(schema.dropped) - sum(map(len, shown.values()))
    more = f" and {left:,} more" if left else ""
    return ", ".join(f"{', '.join(names)} ({why})" for why, names in shown.items()) + more


def date_notes(table: Table, schema: Schema, time: str | None) -> list[str]:
    """How dates are learned, and which columns only grow with time; warns of those that seem to hold dates.

    Examples
    --------
    >>> from pathlib import Path
    >>> import polars as pl
    >>> from counterpoise.table.features.schema import Column
    >>> table = Table(pl.DataFrame({"year": [2021, 2022, 2023]}), Path("t.csv"), typed=False)
    >>> date_notes(table, Schema((Column("year", "number"),)), None)
    ["Column 'year' seems to grow with time (years 2021 to 2023): later rows would lie outside the training range."]
    """
    words = [one.name for one in schema.columns if one.kind in (CATEGORY, TEXT)]
    words += [name for name, _ in schema.dropped if name not in table.ignored]
    seeming = list(read_as_text(table.frame[name] for name in words))
    others = list(schema.said)
    names = [one.name for one in schema.columns if one.kind in (NUMBER, CATEGORY)]
    for one in growing_columns(table.frame, names, time):
        end = f"; {INSTEAD}." if one.seems else "."
        (seeming if one.seems else others).append(
            f"Column {one.column!r} seems to grow with time ({one.why}): later rows would lie outside the training "
            f"range{end}"
        )
    dated = [one.name for one in schema.columns if one.kind in DATES] if time is None else []
    for sentence in seeming:
        warn_user(sentence)
    return [*seeming, *others, *row_order(table.frame, dated)]


def weight_notes(asked: Asked) -> list[str]:
    """The effect of a column of weights.

    Examples
    --------
    >>> weight_notes(Asked("fraud"))
    []
    """
    if asked.weight is None:
        return []
    return [
        f"Column {asked.weight!r} weighted the rows in training; the threshold and all figures count each row once."
    ]
