"""The picture of the results in the README: what the losses cost, the framework's plain loss being 1.

`python -m benchmarks.speed.picture` draws it again from results.json.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.results import FOLDER
from benchmarks.speed.results import Result, amount, number, read

PICTURE = FOLDER.parent / "docs" / "images" / "ratios.svg"
LEFT, WIDTH, LINE = 330, 400, 26
# colours that read on light and on dark pages, since not every viewer tells the picture which it is on
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #57606a }
.title { font-size: 15px; font-weight: 600 }
.plain { fill: #8c959f; fill-opacity: .25 }
.ours { fill: #2da27f }
.range { stroke: #24292f; stroke-width: 1.5 }
.bar { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #b1bac4 }
  .ours { fill: #3fb68e }
  .range { stroke: #d1d9e0 }
  .bar { stroke: #ff7b72 }
}
"""
PARTS = ("torch", "tensorflow", "jax", "boosters", "linear")


@dataclass(frozen=True)
class Bar:
    """A claim's rows as one bar."""

    claim: str
    low: float
    middle: float
    high: float
    bar: float
    amounts: str


def bars(results: Sequence[Result]) -> list[Bar]:
    """A bar for each claim that compares with a plain loss and was measured."""
    drawn = []
    for claim in dict.fromkeys(result.claim for result in results if result.part in PARTS):
        rows = [result for result in results if result.claim == claim and result.ratio is not None]
        if not rows or "time in the objective" in claim or "chunked" in claim:  # no plain loss to compare with
            continue
        ratios = [row.ratio for row in rows if row.ratio is not None]
        typical = min(rows, key=lambda row: abs((row.ratio or 0.0) - statistics.median(ratios)))
        drawn.append(
            Bar(
                claim.split(", against")[0],
                min(ratios),
                statistics.median(ratios),
                max(ratios),
                rows[0].bar or 1.0,
                f"{amount(typical.ours, typical.unit)} : {amount(typical.peer, typical.unit)}",
            )
        )
    return drawn


def as_svg(drawn: Sequence[Bar]) -> str:
    """The picture."""
    most = max([1.0, *(max(bar.high, bar.bar) for bar in drawn)])
    height = 64 + LINE * len(drawn) + 24

    def across(ratio: float) -> float:
        return round(LEFT + WIDTH * ratio / most, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" width="960" height="{height}" role="img">',
        "<title>Time and memory of Counterpoise's losses, relative to each framework's plain loss</title>",
        f"<style>{STYLE}</style>",
        '<text class="title" x="12" y="24">Imbalance losses, relative to the framework\'s own plain loss</text>',
        '<text x="12" y="46">grey: plain = 1 · green: median of the recipes · line: all of them · '
        "red: the most that is allowed</text>",
    ]
    for place, bar in enumerate(drawn):
        top = 62 + LINE * place
        middle = top + LINE // 2
        lines += [
            f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(bar.claim)}</text>',
            f'<rect class="plain" x="{LEFT}" y="{top + 4}" width="{across(1.0) - LEFT:.1f}" height="{LINE - 8}"/>',
            f'<rect class="ours" x="{LEFT}" y="{top + 4}" width="{across(bar.middle) - LEFT:.1f}" '
            f'height="{LINE - 8}"/>',
            f'<line class="range" x1="{across(bar.low)}" x2="{across(bar.high)}" y1="{middle}" y2="{middle}"/>',
            f'<line class="bar" x1="{across(bar.bar)}" x2="{across(bar.bar)}" y1="{top + 2}" y2="{top + LINE - 2}"/>',
            f'<text x="{LEFT + WIDTH + 60}" y="{middle + 4}" text-anchor="end">{number(bar.middle)}</text>',
            f'<text x="{LEFT + WIDTH + 76}" y="{middle + 4}">{escape(bar.amounts)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write(results: Sequence[Result], path: Path) -> None:
    """Draw the results into a file; nothing where there is nothing to draw."""
    drawn = bars(results)
    if drawn:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_svg(drawn))


if __name__ == "__main__":
    write(read(FOLDER), PICTURE)
