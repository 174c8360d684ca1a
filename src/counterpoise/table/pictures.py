"""The pictures of the report: SVG text, the same bytes for the same numbers."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured
from counterpoise.decide.sweep import sweep

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, GREEN, RED = "#2563a8", "#d9822b", "#2f855a", "#b83232"
_MOST_POINTS = 400


def precision_recall(
    target: NDArray[np.int64],
    probability: NDArray[np.float64],
    threshold: float,
    promises: Sequence[tuple[str, float]],
) -> str:
    """Precision against recall on the test rows, with the chosen point and the promised bounds."""
    every = sweep(target, probability).confusion
    here = _place(target, probability, threshold)
    recall, precision = every.recall[1:], every.precision[1:]
    figure, axes = _figure()
    axes.step(np.r_[0, recall], np.r_[precision[0], precision], where="pre", color=BLUE, linewidth=1.8)
    share = float(np.mean(target))
    axes.axhline(share, color=MUTED, linewidth=1, linestyle=":")
    axes.annotate("flag at random", (0, share), ha="left", va="bottom", color=MUTED, fontsize=9)
    for rate, bound in promises:
        if rate == "precision":
            axes.axhline(bound, color=RED, linewidth=1, linestyle="--")
        elif rate == "recall":
            axes.axvline(bound, color=RED, linewidth=1, linestyle="--")
    axes.plot([every.recall[here]], [every.precision[here]], "o", color=ORANGE, markersize=9, zorder=5)
    axes.set(xlabel="recall: share of positives found", ylabel="precision: share of alerts right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    return _svg(figure)


def trade_off(target: NDArray[np.int64], probability: NDArray[np.float64], threshold: float, name: str) -> str:
    """Precision, recall and alerts over the threshold, on the test rows."""
    every = sweep(target, probability)
    cuts = np.clip(every.threshold[1:-1], 1e-6, 1)
    figure, axes = _figure()
    for label, rate, colour in (
        ("precision", every.confusion.precision, BLUE),
        ("recall", every.confusion.recall, GREEN),
        ("rows flagged", every.confusion.alerts, MUTED),
    ):
        axes.plot(*_thin(cuts, rate[1:-1]), color=colour, linewidth=1.8, label=label)
    axes.axvline(max(threshold, 1e-6), color=ORANGE, linewidth=1.6)
    axes.annotate(f" {threshold:.3g}", (max(threshold, 1e-6), 1.04), color=ORANGE, fontsize=10, ha="left", va="center")
    if len(cuts) and np.median(cuts) < 0.05:
        axes.set_xscale("log")
    axes.set(xlabel=f"threshold on the probability of {_short(name)}", ylim=(-0.02, 1.1))
    figure.legend(frameon=False, fontsize=9, loc="outside upper center", ncols=3)
    return _svg(figure)


def reliability(target: NDArray[np.int64], probability: NDArray[np.float64]) -> str:
    """Said against seen: mean probability and share of positives in groups of test rows."""
    figure, axes = _figure()
    groups = _groups(target, probability)
    said = np.array([probability[rows].mean() for rows in groups])
    from counterpoise.decide.measured import share

    seen = [share(float(target[rows].sum()), float(len(rows))) for rows in groups]
    value = np.array([one.value for one in seen])
    low, high = np.array([one.low for one in seen]), np.array([one.high for one in seen])
    floor = 0.3 / len(target)
    ends = (max(floor, min(said.min(), 1)) / 2, 1.0)
    axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle=":")
    shown = np.maximum(value, floor)
    axes.errorbar(
        np.maximum(said, floor),
        shown,
        yerr=[shown - np.maximum(low, floor / 2), np.maximum(high - shown, 0)],
        fmt="o",
        color=BLUE,
        ecolor=BLUE,
        elinewidth=1,
        markersize=5,
        capsize=2,
    )
    axes.set(xscale="log", yscale="log", xlim=(ends[0], 1.3), ylim=(floor / 2, 1.3))
    axes.set(xlabel="probability said", ylabel="share of positives seen")
    return _svg(figure)


def scores(target: NDArray[np.int64], probability: NDArray[np.float64], threshold: float, names: Sequence[str]) -> str:
    """How the probabilities of the two classes lie, on the test rows."""
    logit = np.clip(np.log(np.clip(probability, 1e-9, 1)) - np.log(np.clip(1 - probability, 1e-9, 1)), -14, 14)
    edges = np.linspace(logit.min() - 1e-9, logit.max() + 1e-9, 41)
    figure, axes = _figure()
    for value, colour in ((0, MUTED), (1, BLUE)):
        rows = logit[target == value]
        axes.hist(
            rows,
            edges,
            weights=np.full(len(rows), 100 / len(rows)),
            color=colour,
            alpha=0.65,
            label=f"{_short(names[value])} ({len(rows)})",
        )
    at = np.clip(threshold, 1e-9, 1 - 1e-9)
    axes.axvline(np.log(at) - np.log1p(-at), color=ORANGE, linewidth=1.6)
    ticks = np.array([0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    places = np.log(ticks) - np.log1p(-ticks)
    inside = (places >= edges[0]) & (places <= edges[-1])
    axes.set_xticks(places[inside], [f"{tick:g}" for tick in ticks[inside]], minor=False)
    axes.set(xlabel="probability", ylabel="% of the class's rows")
    axes.legend(frameon=False, fontsize=9)
    return _svg(figure)


def comparison(labels: Sequence[str], values: Sequence[float], errors: Sequence[float], chosen: int, axis: str) -> str:
    """The losses and how far noise goes: mean and standard error over the folds."""
    figure, axes = _figure(height=0.9 + 0.55 * len(labels))
    for place, (value, error) in enumerate(zip(values, errors, strict=True)):
        colour = ORANGE if place == chosen else BLUE
        axes.errorbar(value, -place, xerr=error, fmt="o", color=colour, markersize=8, capsize=3, elinewidth=1.6)
    axes.axvline(values[0], color=MUTED, linewidth=1, linestyle=":")
    axes.set_yticks([-place for place in range(len(labels))], labels)
    axes.set(xlabel=axis, ylim=(-len(labels) + 0.4, 0.6))
    return _svg(figure)


def per_class(names: Sequence[str], rows: Sequence[int], recall: Sequence[Measured], plain: Sequence[float]) -> str:
    """Recall of every class with its interval, and what the most probable class alone would give."""
    order = np.argsort(-np.asarray(rows), kind="stable")[:30]
    figure, axes = _figure(height=1.0 + 0.34 * len(order))
    for place, k in enumerate(order):
        one = recall[k]
        axes.errorbar(
            one.value,
            -place,
            xerr=[[one.value - one.low], [one.high - one.value]],
            fmt="o",
            color=BLUE,
            markersize=6,
            capsize=2,
            elinewidth=1.2,
            label="as decided" if place == 0 else None,
        )
        axes.plot(
            plain[k],
            -place,
            "|",
            color=ORANGE,
            markersize=13,
            markeredgewidth=2.4,
            label="most probable class" if place == 0 else None,
        )
    axes.set_yticks(range(0, -len(order), -1), [f"{_short(names[k])} ({rows[k]})" for k in order])
    axes.set(xlabel="recall on the test rows", xlim=(-0.03, 1.03), ylim=(-len(order) + 0.4, 1.2))
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper left", bbox_to_anchor=(0, 1.02))
    return _svg(figure)


def confusions(names: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """Shares of each true class that went to each decision."""
    figure, axes = _figure(height=3.8)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    small = len(names) > 8
    if not small:
        for row, column in np.ndindex(*matrix.shape):
            colour = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=9)
    turn = 90 if small else 35 if max(map(len, names)) > 4 else 0
    axes.set_xticks(range(len(names)), [_short(name, 12) for name in names], rotation=turn, fontsize=8)
    if turn == 35:
        for tick in axes.get_xticklabels():
            tick.set_ha("right")
    axes.set_yticks(range(len(names)), [_short(name, 16) for name in names], fontsize=8)
    axes.set(xlabel="decided", ylabel="true")
    return _svg(figure)


def _place(target: NDArray[np.int64], probability: NDArray[np.float64], threshold: float) -> int:
    """Where in the sweep this threshold stands: by the number of rows that it flags."""
    confusion = sweep(target, probability).confusion
    flagged = np.asarray(confusion.tp) + np.asarray(confusion.fp)
    return int(np.argmin(np.abs(flagged - np.sum(probability >= threshold))))


def _groups(target: NDArray[np.int64], probability: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Up to eight groups of rising probability that hold equal shares of the positives."""
    order = np.argsort(probability, kind="stable")
    positives = max(1, int(target.sum()))
    groups = max(2, min(8, positives // 4))
    passed = np.cumsum(target[order]) / positives
    name = np.minimum((passed * groups).astype(int), groups - 1)
    return [order[name == one] for one in range(groups) if np.any(name == one)]


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(x) <= _MOST_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(int))
    return x[kept], y[kept]


def _short(name: str, most: int = 22) -> str:
    return (name if len(name) <= most else name[: most - 1] + "…").replace("$", r"\$")


def _figure(height: float = 3.2) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    figure = Figure(figsize=(4.9, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=10)
    axes.xaxis.label.set(color=INK, size=10.5)
    axes.yaxis.label.set(color=INK, size=10.5)
    return figure, axes


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "counterpoise", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    body = text.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # The page sets the size; a fixed one would be cut off on a phone.
    opening, rest = body.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", opening) + ">" + rest
