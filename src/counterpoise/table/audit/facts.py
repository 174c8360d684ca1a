"""What an audit finds: plain records, which `audit` fills and `findings` and `page` put into words."""

from dataclasses import asdict, dataclass
from typing import Any

from counterpoise.table.audit.drift import Drift
from counterpoise.table.features.growth import Growing
from counterpoise.table.features.identifiers import Identifier


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, and what to do about it.

    Parameters
    ----------
    severity
        "stop": results would be wrong; "look": they may be; "note": good to know.
    title
        What was found, in a few words.
    text
        What was found, with numbers.
    do
        What to do; empty where nothing needs to be done.
    """

    severity: str
    title: str
    text: str
    do: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that gives the class away.

    Parameters
    ----------
    column
        Its name.
    why
        The evidence, in words.
    auc
        Of the column alone, out of fold, in [0, 1]; with more than two classes of the one it tells worst.
    certain
        Whether no honest column is likely to look like this.
    of_class
        The one class of several that it tells from all others, as honest columns also do; None where it gives the
        whole target away.
    """

    column: str
    why: str
    auc: float
    certain: bool
    of_class: str | None = None


@dataclass(frozen=True, slots=True)
class LateDates:
    """A column with dates after the day of the table.

    Parameters
    ----------
    column
        Its name.
    rows
        In how many rows.
    why
        The same in words.
    """

    column: str
    rows: int
    why: str


SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class, and the rows that each part gets.

    Parameters
    ----------
    name
        As text.
    rows, share
        In the whole table.
    train, calibration, test
        Rows in the three parts.
    """

    name: str
    rows: int
    share: float
    train: int
    calibration: int
    test: int


@dataclass(frozen=True, slots=True)
class SmallestEffect:
    """What the test rows of the rarest class could tell about its recall.

    Parameters
    ----------
    of_class
        The rarest class.
    rows
        Its test rows.
    low, high
        Where a recall could lie that is measured as one half: the exact 95 % interval.
    gain
        The smallest true gain over a recall of one half that an exact binomial test (5 %, one-sided) finds in four
        cases of five; None where no gain could be shown.
    """

    of_class: str
    rows: int
    low: float
    high: float
    gain: float | None


@dataclass(frozen=True, slots=True)
class MissingCells:
    """A column that is not always filled in."""

    column: str
    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows that are equal in every column but identifiers.

    Parameters
    ----------
    rows
        Rows that repeat an earlier one, the class included.
    across
        Test rows whose columns also occur in the other two parts.
    contradicting
        Rows whose columns occur with another class too: no model can be right about all of them.
    """

    rows: int
    across: int
    contradicting: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that belong together.

    Parameters
    ----------
    group
        The column.
    groups
        Number of groups.
    largest
        Rows of the largest.
    across
        Test rows whose group is also in the other two parts.
    """

    group: str
    groups: int
    largest: int
    across: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was found; plain facts.

    Parameters
    ----------
    table, target
        What was looked at.
    rows, columns
        Its size, the target included.
    classes
        In order; of two the second is the positive one.
    imbalance_ratio
        Rows of the most frequent class for each of the rarest.
    smallest_effect
        What the test part could tell.
    missing
        Columns with missing cells, the emptiest first.
    constant
        Columns with one value, or none.
    duplicate_columns
        Pairs of columns with equal cells: the later one, and the one that it repeats.
    copies
        Equal rows.
    leaks
        Columns that give the class away, certain ones first.
    identifiers
        Columns that name rows.
    drift
        What changes over time, where a time was named.
    groups
        Where a group was named.
    refused
        Columns that training refuses as they are, each with its cell in a sentence.
    growing
        Columns of numbers that grow with time, so that later rows lie outside of what is learned.
    late
        Columns with dates after the day of the table, where it is given.
    dates
        How dates are learned, in sentences; in training the notes say it.
    readings
        Sentences on text that was read as numbers or dates, and on rows that were left out.
    alike
        Sentences on classes that only differ by capital letters or blanks.
    ignored
        Columns that were left out on request.
    command
        What trains without the columns that give the class away; None where there are none.
    findings
        The same in words, the gravest first.
    verdict
        In one or two sentences.
    """

    table: str
    target: str
    rows: int
    columns: int
    classes: tuple[ClassFacts, ...]
    imbalance_ratio: float
    smallest_effect: SmallestEffect
    missing: tuple[MissingCells, ...]
    constant: tuple[str, ...]
    duplicate_columns: tuple[tuple[str, str], ...]
    copies: Copies
    leaks: tuple[Leak, ...]
    identifiers: tuple[Identifier, ...]
    drift: Drift | None
    groups: Groups | None
    refused: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    growing: tuple[Growing, ...] = ()
    late: tuple[LateDates, ...] = ()
    dates: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    command: str | None = None
    findings: tuple[Finding, ...] = ()
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"schema": SCHEMA} | asdict(self)
