"""The threshold panel: the slider, and the numbers that move with it."""

import math

from counterpoise.decide.measured import Measured
from counterpoise.table.report.blocks import Kept, Panel, Tile
from counterpoise.table.report.stops import Stops, cost_per_1000, costs_of, kept, rate_of, slider_data, stops_of
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import percent


def stops_for(training: Outcome) -> Stops:
    """The slider's places of a training with two classes."""
    judged = training.judged
    assert isinstance(judged.threshold, float)
    return stops_of(judged.target, judged.probability, judged.threshold)


def panel_of(training: Outcome, stops: Stops) -> Panel:
    """The panel as it stands at the model's own threshold."""
    here = stops.counts(stops.chosen)
    rates = {name: rate_of(name, here) for name in ("precision", "recall", "alerts", "fpr")}
    costs = costs_of(training.goal)
    flagged, rows = int(here.tp + here.fp), int(here.tp + here.fp + here.fn + here.tn)
    tiles = (
        _share("precision", "precision", rates["precision"], "of the alerts are right", flagged),
        _share("recall", "recall", rates["recall"], "of the positives are found", rows),
        Tile(
            "alerts",
            "alerts per 1,000 rows",
            *_figures(rates["alerts"], 1000),
            f"{flagged:,} of the {rows:,} test rows",
        ),
        _share("fpr", "false alerts", rates["fpr"], "of the negatives are flagged", rows),
        Tile("cost", "cost of 1,000 rows", *_figures(cost_per_1000(here, costs)), "at the costs below"),
    )
    negative, positive = (str(name) for name in training.labels.classes)
    return Panel(
        positive=positive,
        negative=negative,
        threshold=f"{stops.threshold[stops.chosen]:.4g}",
        stops=len(stops.threshold),
        chosen=stops.chosen,
        tiles=tiles,
        confusion=((int(here.tn), int(here.fp)), (int(here.fn), int(here.tp))),
        kept=tuple(Kept(str(one), kept(one, rate_of(one.rate, here))) for one in training.goal.constraints),
        costs=(f"{costs['fn']:g}", f"{costs['fp']:g}"),
        data=slider_data(stops, training.goal),
    )


def figure(value: float) -> str:
    """A number with three digits that mean something, as the page's script writes it.

    Examples
    --------
    >>> figure(1234567.0), figure(0.012345), figure(40.0)
    ('1,230,000', '0.0123', '40')
    """
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    rounded = math.floor(round(value / step, 9) + 0.5) * step  # a half goes up, as in the page's script
    return f"{float(f'{rounded:.12g}'):,.15g}"


def _share(key: str, name: str, found: Measured, meaning: str, rows: int) -> Tile:
    if rows == 0:
        return Tile(key, name, "none", "no alert", meaning)
    return Tile(key, name, percent(found.value), f"{percent(found.low)} to {percent(found.high)}", meaning)


def _figures(found: Measured, times: float = 1.0) -> tuple[str, str]:
    value, low, high = (figure(times * one) for one in (found.value, found.low, found.high))
    return value, f"{low} to {high}"
