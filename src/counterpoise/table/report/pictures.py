"""The pictures of the report: SVG text, the same bytes for the same numbers.

Matplotlib draws; the letters stay letters, so that the browser's font sets them and they can be searched and read
aloud. Marks that move with the threshold slider know their place at each stop.
"""

import html
import io
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.calibration_error import ReliabilityBin, reliability_curve
from counterpoise.decide.sweep import sweep
from counterpoise.goals import Constraint
from counterpoise.table.report.blocks import Picture
from counterpoise.table.report.stops import Stops

INK, MUTED, GRID = "#1b2733", "#56636f", "#e3e8ed"
BLUE, ORANGE, GREEN, RED, PALE = "#1f5fa8", "#a34a06", "#26724a", "#b3261e", "#9aa7b3"
_MOST_POINTS = 400
MOST_CLASSES = 30
_EDGE = 1e-6
_TICKS = (1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def precision_recall(
    target: NDArray[np.int64], probability: NDArray[np.float64], stops: Stops, bounds: Sequence[Constraint]
) -> str:
    """Precision against recall on the test rows, with the promised bounds and the place of the threshold."""
    every = sweep(target, probability).confusion
    recall, precision = _thin(every.recall[1:], every.precision[1:])
    figure, axes = _figure()
    axes.step(np.r_[0, recall], np.r_[precision[0], precision], where="pre", color=BLUE, linewidth=1.8)
    share = float(np.mean(target))
    axes.axhline(share, color=MUTED, linewidth=1, linestyle=":")
    axes.annotate("flagging at random", (0, share + 0.01), ha="left", va="bottom", color=MUTED, fontsize=9)
    _bounds(axes, bounds, {"recall": axes.axvline, "precision": axes.axhline})
    axes.set(xlabel="recall: share of the positives found", ylabel="precision: share of alerts right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    shown = np.where(stops.at.alerts > 0, stops.at.precision, precision[0])
    ring = bool(stops.at.alerts[stops.chosen] > 0)  # without an alert there is no precision
    return _svg("precision-recall", figure, _point(axes, stops.at.recall, shown, stops.chosen, ring=ring))


def roc(target: NDArray[np.int64], probability: NDArray[np.float64], stops: Stops, bounds: Sequence[Constraint]) -> str:
    """Recall against the share of false alerts on the test rows, with the place of the threshold."""
    every = sweep(target, probability).confusion
    figure, axes = _figure()
    axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=":")
    axes.annotate("flagging at random", (0.62, 0.58), ha="left", va="top", color=MUTED, fontsize=9)
    axes.plot(*_thin(every.fpr, every.recall), color=BLUE, linewidth=1.8)
    _bounds(axes, bounds, {"recall": axes.axhline, "fpr": axes.axvline})
    axes.set(xlabel="false alerts: share of the negatives flagged", ylabel="recall: share of the positives found")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    return _svg("roc", figure, _point(axes, stops.at.fpr, stops.at.recall, stops.chosen))


def trade_off(target: NDArray[np.int64], probability: NDArray[np.float64], stops: Stops, name: str) -> str:
    """Precision, recall and alerts over the threshold, on the test rows."""
    every = sweep(target, probability)
    cuts = _log_odds(every.threshold[1:-1])
    figure, axes = _figure()
    for label, rate, colour, style in (
        ("precision", every.confusion.precision, BLUE, "-"),
        ("recall", every.confusion.recall, GREEN, "--"),
        ("rows flagged", every.confusion.alerts, MUTED, ":"),
    ):
        axes.plot(*_thin(cuts, rate[1:-1]), color=colour, linewidth=1.9, linestyle=style, label=label)
    _probability_axis(axes, cuts)
    axes.set(xlabel=f"threshold on the probability of {_short(name)}", ylim=(-0.02, 1.05))
    figure.legend(frameon=False, fontsize=9.5, loc="outside upper left", ncols=3, handlelength=2.2)
    return _svg("trade-off", figure, _rule(axes, stops))


def scores(target: NDArray[np.int64], probability: NDArray[np.float64], stops: Stops, names: Sequence[str]) -> str:
    """How the probabilities of the two classes lie, on the test rows."""
    place = _log_odds(probability)
    edges = np.linspace(place.min() - 1e-9, place.max() + 1e-9, 41)
    figure, axes = _figure()
    for value, colour in ((0, PALE), (1, BLUE)):
        rows = place[target == value]
        axes.hist(
            rows,
            edges,
            weights=np.full(len(rows), 100 / len(rows)),
            histtype="stepfilled",
            facecolor=(colour, 0.55),
            edgecolor=colour,
            linewidth=1.2,
            label=f"{_short(names[value])} ({len(rows):,})",
        )
    _probability_axis(axes, place)
    axes.set(xlabel=f"probability of {_short(names[1])}", ylabel="% of the class's rows")
    figure.legend(frameon=False, fontsize=9.5, loc="outside upper left", ncols=2)
    return _svg("scores", figure, _rule(axes, stops))


def reliability(
    target: NDArray[np.int64], after: NDArray[np.float64], before: NDArray[np.float64] | None, said: str, seen: str
) -> str:
    """Said against seen in groups of test rows that hold equal shares of the positives; before and after correction."""
    from matplotlib.ticker import NullLocator

    curves = [(groups_of(target, after), BLUE, "o", "as given")]
    if before is not None:
        curves.insert(0, (groups_of(target, before), ORANGE, "D", "before correction"))
    figure, axes = _figure()
    floor = 0.3 / len(target)
    lowest = max(floor, min(one.said for curve, *_ in curves for one in curve)) / 2
    rare = lowest < 0.03
    ends = (lowest, 1.0) if rare else (0.0, 1.0)
    axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle=":")
    for curve, colour, mark, label in curves:
        _intervals(axes, curve, floor if rare else 0.0, colour, mark, label)
    if rare:
        axes.set(xscale="log", yscale="log", xlim=(ends[0], 1.3), ylim=(floor / 2, 1.3))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_locator(NullLocator())
    else:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set(xlabel=said, ylabel=seen)
    figure.legend(frameon=False, fontsize=9.5, loc="outside upper left", ncols=2)
    return _svg("reliability", figure)


def groups_of(target: NDArray[np.int64], probability: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """Groups of rows of rising probability, with about equal numbers of positives.

    Examples
    --------
    >>> len(groups_of(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.9])))
    3
    """
    return reliability_curve(target, probability, bins=max(1, min(8, int(target.sum()))), positive_only=True)


def confusions(names: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """Shares of each true class that went to each decision; of many classes the most frequent."""
    order = np.argsort(-matrix.sum(axis=1), kind="stable")[:MOST_CLASSES]
    order = np.sort(order)
    share = (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))[np.ix_(order, order)]
    several = len(order) > 8
    figure, axes = _figure(height=max(3.4, 1.2 + 0.17 * len(order)))
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolor="white", linewidth=0.6)
    axes.invert_yaxis()
    axes.grid(False)
    if not several:
        for row, column in np.ndindex(*share.shape):
            colour = "white" if share[row, column] > 0.55 else INK
            count = f"{matrix[order[row], order[column]]:,}"
            axes.text(column + 0.5, row + 0.5, count, ha="center", va="center", color=colour, fontsize=9.5)
    middle = np.arange(len(order)) + 0.5
    size = 9 if len(order) <= 16 else 7.5
    turn = 90 if several else 30 if max(len(names[k]) for k in order) > 4 else 0
    axes.set_xticks(middle, [_short(names[k], 12) for k in order], rotation=turn, rotation_mode="anchor", fontsize=size)
    for tick in axes.get_xticklabels() if turn else ():
        tick.set(ha="right", va="center" if turn == 90 else "top")
    axes.set_yticks(middle, [_short(names[k], 16) for k in order], fontsize=size)
    axes.tick_params(length=0)
    axes.set(xlabel="decided", ylabel="true")
    return _svg("confusions", figure)


def advantages(groups: Sequence[tuple[str, Sequence[tuple[str, float, float, float]]]], axis: str) -> str:
    """By how much each loss is ahead of the first of its learner: (label, difference, low, high) of each."""
    lines = sum(len(rows) + 1 for _, rows in groups)
    figure, axes = _figure(height=1.0 + 0.3 * lines)
    places: list[int] = []
    labels: list[str] = []
    for name, rows in groups:
        places.append(len(places))
        labels.append(_short(name, 34))
        for label, value, low, high in rows:
            place = len(places)
            colour = BLUE if low > 0 else ORANGE if high < 0 else MUTED
            axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot([value], [place], "o", color=colour, markersize=7)
            places.append(place)
            labels.append(_short(label, 34))
    axes.axvline(0.0, color=INK, linewidth=1)
    axes.set_yticks(places, labels)
    for tick, label in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if label in {_short(name, 34) for name, _ in groups} else "normal")
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=axis, ylim=(len(places) - 0.4, -0.6))
    return _svg("advantages", figure)


def _intervals(axes: Any, curve: Sequence[ReliabilityBin], floor: float, colour: str, mark: str, label: str) -> None:
    said = np.maximum([one.said for one in curve], floor)
    seen = np.maximum([one.found.value for one in curve], floor)
    low = np.maximum([one.found.low for one in curve], floor / 2)
    high = np.maximum([one.found.high for one in curve], seen)
    axes.errorbar(
        said,
        seen,
        yerr=[np.maximum(seen - low, 0), high - seen],
        fmt=mark,
        color=colour,
        markerfacecolor=colour if mark == "o" else "white",
        elinewidth=1,
        markersize=5.5,
        capsize=2,
        label=label,
    )


def _bounds(axes: Any, bounds: Sequence[Constraint], lines: dict[str, Any]) -> None:
    said: dict[str, Any] = {"va": "bottom", "color": RED, "fontsize": 9}
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
    for one in bounds:
        if one.rate not in lines:
            continue
        lines[one.rate](one.bound, color=RED, linewidth=1, linestyle="--")
        if lines[one.rate] == axes.axhline:
            axes.annotate(str(one), (0.0, one.bound + 0.01), ha="left", bbox=ground, **said)
        else:
            axes.annotate(str(one), (one.bound - 0.01, 0.02), ha="right", bbox=ground, **said)


def _probability_axis(axes: Any, places: NDArray[np.float64]) -> None:
    """Probabilities at their log odds: near 0 and 1 there is as much to see as in the middle."""
    ends = (float(places.min()), float(places.max())) if len(places) else (-1.0, 1.0)
    room = max(0.05 * (ends[1] - ends[0]), 0.1)
    low, high = ends[0] - room, ends[1] + room
    ticks = _log_odds(np.asarray(_TICKS))
    inside = np.flatnonzero((ticks >= low) & (ticks <= high))
    axes.set_xticks(ticks[inside], [f"{_TICKS[k]:g}" for k in inside])
    axes.set_xlim(low, high)


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fewer points, at even steps along the curve rather than along its rows: a steep part keeps its shape."""
    if len(x) <= _MOST_POINTS:
        return x, y
    spread = [np.ptp(one) or 1.0 for one in (x, y)]
    step = np.abs(np.diff(x)) / spread[0] + np.abs(np.diff(y)) / spread[1]
    along = np.r_[0, np.cumsum(step)]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _MOST_POINTS)))
    kept = np.unique(np.r_[0, np.minimum(kept, len(x) - 1), len(x) - 1])
    return x[kept], y[kept]


def _short(name: str, most: int = 22) -> str:
    """A name that fits, in which Matplotlib sees no formula."""
    return (name if len(name) <= most else name[: most - 1] + "…").replace("$", r"\$")


def _figure(height: float = 3.3) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    figure = Figure(figsize=(4.9, height), layout="constrained", dpi=72)  # a unit of the SVG is a pixel
    axes = figure.subplots()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=10, color=PALE)
    axes.xaxis.label.set(color=INK, size=10.5)
    axes.yaxis.label.set(color=INK, size=10.5)
    return figure, axes


def _point(axes: Any, x: NDArray[np.float64], y: NDArray[np.float64], chosen: int, *, ring: bool = True) -> str:
    """A ring where the model decides, and a dot that follows the slider."""
    places = _places(axes, x, y)
    dot = _mark('<circle r="4.5"/>', places, chosen, "mark")
    return _mark('<circle r="7" fill="none"/>', [places[chosen]], 0, "mark-chosen") + dot if ring else dot


def _rule(axes: Any, stops: Stops) -> str:
    """A line where the model decides, and one that follows the slider."""
    left, right = axes.get_xlim()
    x = np.clip(_log_odds(stops.threshold), left, right)
    bottom, top = axes.get_ylim()
    places = [(one, 0.0) for one, _ in _places(axes, x, np.full(len(x), bottom))]
    (_, low), (_, high) = _places(axes, np.array([left, left]), np.array([bottom, top]))
    line = f'<line y1="{low:g}" y2="{high:g}"/>'
    return _mark(line, [places[stops.chosen]], 0, "mark-chosen") + _mark(line, places, stops.chosen, "mark")


def _places(axes: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    figure = axes.figure
    with _whatever_the_alphabet():
        figure.draw_without_rendering()  # lays the axes out
    at = axes.transData.transform(np.column_stack([x, y]))
    return [(round(float(a), 1), round(float(figure.bbox.height - b), 1)) for a, b in at]


def _mark(shape: str, places: list[tuple[float, float]], now: int, kind: str) -> str:
    track = f' data-track="{json.dumps(places, separators=(",", ":"))}"' if len(places) > 1 else ""
    return f'<g class="{kind}"{track} transform="translate({places[now][0]:g} {places[now][1]:g})">{shape}</g>'


@contextmanager
def _whatever_the_alphabet() -> Iterator[None]:
    """Without the warnings of letters that Matplotlib's font lacks: the reader's browser has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _svg(name: str, figure: Any, marks: str = "") -> str:
    """SVG without a size of its own, whose ids begin with the picture's name: the page holds several."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "counterpoise", "svg.fonttype": "none"}), _whatever_the_alphabet():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    body = text.getvalue()
    body = body[body.index("<svg") :]
    body, _, described = body.partition("<metadata>")
    body = body.rstrip() + described.partition("</metadata>")[2]
    body = re.sub(r"<!--[^<]*?-->\n?", "", body)
    body = re.sub(r"<[^<>]*>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", tag[0]), body)
    opening, rest = body.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f"{opening}>{rest.rstrip().removesuffix('</svg>')}{marks}</svg>"


def labelled(svg: str, text: str) -> str:
    """The picture with what it shows in words, for those who do not see it.

    Examples
    --------
    >>> labelled('<svg viewBox="0 0 1 1"></svg>', "a < b")
    '<svg role="img" aria-label="a &lt; b" viewBox="0 0 1 1"></svg>'
    """
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(text)}"', 1)


def titled(title: str, svg: str, caption: str, words: str) -> Picture:
    """The picture as a block of the page, with what it shows in words."""
    return Picture(title, labelled(svg, words), caption)
