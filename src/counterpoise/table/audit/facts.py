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
        Name of the column.
    why
        The evidence, in words.
    auc
        Out-of-fold AUC of the column alone, in [0, 1]; with more than two classes, for the class that it separates
        worst.
    certain
        Whether no honest column is likely to look like this.
    of_class
        With several classes, the one class that the column separates from all others, as honest columns also do; None
        if it gives the whole target away.
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
        Name of the column.
    rows
        Number of such rows.
    why
        The evidence, in words.
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
        Name of the class, as text.
    rows, share
        Number and share of its rows in the whole table.
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
    """What the test rows of the rarest class can show about its recall.

    Parameters
    ----------
    of_class
        The rarest class.
    rows
        Number of its test rows.
    low, high
        Exact 95 % interval of a recall that is measured as one half.
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
        Number of rows that repeat an earlier one, including the class.
    across
        Number of test rows whose columns also occur in the other two parts.
    contradicting
        Number of rows whose columns also occur with another class: no model can be right about all of them.
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
        Name of the column.
    groups
        Number of groups.
    largest
        Number of rows of the largest group.
    across
        Number of test rows whose group is also in the other two parts.
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
        The examined table and its target.
    rows, columns
        Size of the table, including the target.
    classes
        Classes in order; of two the second is the positive one.
    imbalance_ratio
        Number of rows of the most frequent class per row of the rarest.
    smallest_effect
        The smallest effect that the test part can show.
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
        Columns that identify rows.
    drift
        Changes over time, if a time column was given.
    groups
        Facts about groups, if a group column was given.
    refused
        Columns that training refuses as they are, each with its cell in a sentence.
    growing
        Columns that grow with time, so that later rows lie outside the training range.
    late
        Columns with dates after the day of the table, if it is given.
    dates
        How dates are learned, in sentences; in training the notes report it.
    readings
        Sentences on text that was read as numbers or dates, and on omitted rows.
    seeming
        Sentences on columns of text that seem to hold dates or times of day.
    alike
        Sentences on classes that differ only by capital letters or blanks.
    ignored
        Columns that were omitted on request.
    command
        Command that trains without the columns that give the class away; None if there are none.
    findings
        The same in words, the most serious first.
    verdict
        The verdict in one or two sentences.
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
    seeming: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    command: str | None = None
    findings: tuple[Finding, ...] = ()
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"schema": SCHEMA} | asdict(self)
