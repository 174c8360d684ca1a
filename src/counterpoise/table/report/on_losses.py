"""The sections on the race: the losses that were compared, and the blend."""

import numpy as np

from counterpoise.goals import Goal
from counterpoise.table.report.blocks import Bar, Bars, Paragraph, Section
from counterpoise.table.training.outcome import Outcome
from counterpoise.ties import levels
from counterpoise.wording import percent

_MOST_LOSSES = 30


def losses_section(training: Outcome) -> Section:
    """All that ran in the race."""
    goal, verdict = training.goal, training.verdict
    sign = -1.0 if goal.minimise else 1.0
    best: dict[str, int] = {}
    for place, entry in enumerate(verdict.entries):
        if entry.label not in best or entry.score > verdict.entries[best[entry.label]].score:
            best[entry.label] = place
    best[verdict.winner.label] = verdict.chosen
    places = list(best.values())
    standing = levels([verdict.entries[place].score for place in places])
    order = [places[k] for k in np.argsort(-standing, kind="stable")]
    if verdict.chosen not in order[:_MOST_LOSSES]:
        order.insert(_MOST_LOSSES - 1, verdict.chosen)
    bars = []
    for place in order[:_MOST_LOSSES]:
        entry = verdict.entries[place]
        value, room = sign * entry.score, 2 * entry.error
        text = f"{value:.3f} ± {room:.3f}"
        mark = "chosen" if place == verdict.chosen else ""
        bars.append(Bar(entry.label, value, value - room, value + room, text, mark, tone=mark))
    low, high = min(one.low for one in bars), max(one.high for one in bars)
    room = 0.04 * (high - low) or 0.01
    first = verdict.entries[0]
    caption = f"{goal.label}{_penalty(goal)}: mean over the folds and two standard errors. Line: {first.label}."
    table = Bars(caption, ("loss", goal.label), tuple(bars), low - room, high + room, reference=sign * first.score)
    return Section(
        "The losses compared",
        "losses",
        (
            Paragraph(verdict.sentence),
            table,
            Paragraph(
                "All were judged on the same folds, each fold with a threshold chosen on the others. A loss other than "
                "the plain one is chosen only if it is ahead, fold by fold, by more than two standard errors; "
                "differences within folds are more precise than these intervals, which include the variation "
                "between folds that all losses share.",
                "muted",
            ),
        ),
    )


def _penalty(goal: Goal) -> str:
    if not goal.constraints:
        return ""
    unit = "" if goal.costs is None else ", in units of the largest cost"
    return f", {'plus' if goal.minimise else 'minus'} twice the shortfall of a constraint{unit}"


def blend_section(training: Outcome) -> Section | None:
    """The members of the blend; nothing where one model won alone."""
    if not training.members:
        return None
    bars = tuple(Bar(name, share, 0.0, share, percent(share)) for name, share in training.members)
    said = Paragraph("The probability is the mean of these models' probabilities, weighted by their shares.")
    return Section("What the model is made of", "blend", (said, Bars("Shares", ("model", "share"), bars)))
