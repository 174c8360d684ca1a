"""The parts of a page: a section is a title and some blocks, and a block is plain data.

`blocks.html.j2` shows each kind; a new section needs no new HTML.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or some; `tone` is "", "muted", "good" or "warning"."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A title within a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences in a list."""

    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """What to type, and what for."""

    purpose: str
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first column names the row; `left` are the other columns of words, which stand left.

    `tones` gives a row a tone: "good", "bad" or ""; `notes` say what the rows are.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = ()
    tones: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval, drawn and written; `mark` is another value to compare with."""

    name: str
    value: float | None
    low: float
    high: float
    text: str
    note: str = ""
    mark: float | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Values with intervals on one scale, a row each; `reference` is drawn through all rows."""

    caption: str
    head: tuple[str, str]
    bars: tuple[Bar, ...]
    low: float = 0.0
    high: float = 1.0
    reference: float | None = None

    def place(self, value: float) -> float:
        """Where a value lies on the scale, in percent.

        Examples
        --------
        >>> Bars("", ("", ""), (), low=1.0, high=3.0).place(2.5)
        75.0
        """
        width = self.high - self.low
        return round(100 * min(1.0, max(0.0, (value - self.low) / width)) if width > 0 else 0.0, 2)


@dataclass(frozen=True, slots=True)
class Picture:
    """SVG and the sentence under it."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Pictures side by side where there is room."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side where there is room."""

    blocks: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that open on demand, and in print."""

    summary: str
    blocks: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its interval; in the threshold panel the script finds it by `key`."""

    key: str
    name: str
    value: str
    ends: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few numbers that matter most."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A bound of the goal and what became of it at the panel's threshold."""

    asked: str
    state: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The threshold slider and what moves with it; what is shown first is the model's own threshold.

    Parameters
    ----------
    positive, negative
        The classes.
    threshold
        Threshold as text.
    stops, chosen
        Number of places of the slider, and index of the model's threshold.
    tiles
        Tiles with figures.
    confusion
        Confusion matrix of the test rows, (2, 2).
    kept
        Bounds of the goal.
    costs
        Costs of a missed positive and of a false alert, as text.
    data
        Data for the script, from `stops.slider_data`.
    """

    positive: str
    negative: str
    threshold: str
    stops: int
    chosen: int
    tiles: tuple[Tile, ...]
    confusion: tuple[tuple[int, int], tuple[int, int]]
    kept: tuple[Kept, ...]
    costs: tuple[str, str]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    title
        Heading of the section.
    anchor
        Target of links.
    blocks
        Content of the section.
    """

    title: str
    anchor: str
    blocks: tuple[Any, ...]
