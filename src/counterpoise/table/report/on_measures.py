"""The sections on measures: calibration, slices, all figures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses
from counterpoise.table.report import pictures
from counterpoise.table.report.blocks import Bar, Bars, Columns, Figures, Folded, Grid, Heading, Paragraph, Section
from counterpoise.table.report.measures import MEANING, written
from counterpoise.table.report.pictures import titled
from counterpoise.table.training.outcome import Outcome
from counterpoise.table.training.slices import LEAST_ROWS, Rate, Slice
from counterpoise.wording import interval, percent


def calibration_section(training: Outcome) -> Section:
    """Whether probabilities are frequencies."""
    judged = training.judged
    before: NDArray[np.float64] | None = judged.naive
    if np.allclose(judged.naive, judged.probability, rtol=1e-6, atol=1e-12):
        before = None
    target, after, early = judged.target, judged.probability, before
    said, seen = f"probability of {training.labels.positive!s}", "observed share of positives"
    if not training.binary:
        said, seen = "probability of the decided class", "observed share of right decisions"
        sure = judged.probability.argmax(axis=1)
        target = (sure == judged.target).astype(np.int64)
        after = judged.probability.max(axis=1)
        if before is not None:
            early = before.max(axis=1)
    loss = float(log_losses(judged.target, judged.probability).mean())
    if before is None:
        words = "The loss of this model does not shift its probabilities, so there was nothing to correct."
    else:
        naive = float(log_losses(judged.target, before).mean())
        words = (
            "The loss shifts the model's raw outputs; its correction removes the shift. Log loss on the test "
            f"rows: {naive:.3g} before, {loss:.3g} after."
        )
    picture = titled(
        "Predicted against observed",
        pictures.reliability(target, after, early, said, seen),
        "Groups of test rows with 95% intervals; on the dotted line, predicted and observed shares agree.",
        f"Reliability diagram; log loss {loss:.3g}." if before is None else f"Reliability diagram. {words}",
    )
    rows = tuple(
        (percent(one.said), interval(one.found, written=percent), f"{one.positives:,} of {one.rows:,}")
        for one in pictures.groups_of(target, after)
    )
    grid = Grid("The groups as given", (said, seen, "rows"), rows)
    blocks = (Paragraph(words), Columns((Figures((picture,)), grid)))
    return Section("Are the probabilities honest?", "calibration", blocks)


def slices_section(training: Outcome) -> Section | None:
    """Groups of rows; nothing where none was asked for."""
    if not training.slices:
        return None
    blocks: list[Any] = []
    for one in training.slices:
        blocks += [Heading(f"By {one.column}"), *_slice(one, training.binary)]
    blocks.append(
        Paragraph(
            "Intervals are exact, at 95%, one at a time. A group is called worse only if that holds after "
            "correction for all the rates examined (Bonferroni). At most one table in twenty has a false warning.",
            "muted",
        )
    )
    return Section("Rates by group", "groups", tuple(blocks))


def _slice(found: Slice, binary: bool) -> list[Any]:
    blocks: list[Any] = [
        Paragraph(f"Worse than the whole by more than chance: {found.warning}", "warning")
        if found.warning
        else Paragraph(f"No group is worse than the whole by more than chance ({found.looks} rates examined).")
        if found.looks
        else Paragraph(f"No group was examined: there is only one, or each has fewer than {LEAST_ROWS} test rows.")
    ]
    if binary:
        return [*blocks, Columns(tuple(_rate_bars(found, place) for place in range(len(found.overall))))]
    head = ("group", *(one.name.removeprefix("recall of ") for one in found.overall[1:]))
    rows = tuple((group.name, *(_counted(one) for one in group.rates[1:])) for group in found.groups)
    return [*blocks, _rate_bars(found, 0), Folded("Recall of each class", (Grid("Found, of all rows", head, rows),))]


def _counted(rate: Rate) -> str:
    return f"{rate.part:,} of {rate.whole:,}{' (worse)' if rate.worse else ''}" if rate.whole else "–"


def _rate_bars(found: Slice, place: int) -> Bars:
    overall = found.overall[place]
    bars = []
    for group in found.groups:
        rate = group.rates[place]
        if rate.whole == 0:
            bars.append(Bar(group.name, None, 0, 0, "no row"))
            continue
        one = rate.measured
        text = interval(one, written=percent) + (" worse" if rate.worse else "")
        note = f"{rate.part:,} of {rate.whole:,}"
        bars.append(Bar(group.name, one.value, one.low, one.high, text, note, tone="bad" if rate.worse else ""))
    middle = overall.part / overall.whole if overall.whole else None
    highest = max((one.high for one in bars), default=1.0)
    top = 1.0 if overall.name not in ("alerts", "fpr") else min(1.0, 1.1 * highest)
    whole = "" if middle is None else f" Over all rows: {percent(middle)}."
    name = {"fpr": "false alerts"}.get(overall.name, overall.name)
    caption = f"{name[0].upper()}{name[1:]}: {MEANING[overall.name]}.{whole}"
    return Bars(caption, ("group", name), tuple(bars), high=top, reference=middle)


def measures_section(training: Outcome) -> Section:
    """All figures of the test rows."""
    metrics = training.judged.metrics
    silent = training.binary and metrics["alerts"].value == 0
    rows = tuple(
        (name.replace("_", " "), *(("none", "no alert") if silent and name == "precision" else written(name, found)))
        for name, found in metrics.items()
    )
    notes = tuple(MEANING.get(name, "") for name in metrics)
    table = Grid("With 95% intervals", ("measure", "value", "95% interval"), rows, notes=notes)
    return Section("All measures on the test rows", "measures", (table,))
