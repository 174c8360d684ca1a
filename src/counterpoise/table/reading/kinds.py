"""What the cells of a table's text are: numbers, flags or words; decided by the column and by the file as a whole.

A number written in one of two ways, such as 2,591, is decided by the other cells of its column; else by the marks that
other columns prove, or by what separates the cells; else by nobody but the user: then the column is in doubt, and
whoever wants to learn from it is told how to say what is meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.reading.missing import MISSING, without_marks
from counterpoise.table.reading.numbers import (
    MARKS,
    MINUS,
    PLAIN,
    READINGS,
    SCALES,
    THOUSANDS,
    WORDS,
    Figures,
    read_exactly,
    read_figures,
    unit_of,
)
from counterpoise.wording import listed, plural, quoted

_CODE = r"^[+-]?0[0-9]"
"""A code such as 007 is no number: as one it would be equal to 7."""
_WHOLE = r"^[+-]?[0-9]+$"
_SURE_POINT = r"^[+-]?(?:0?\.|[0-9]{4,}\.)|\.(?:[0-9]{0,2}|[0-9]{4,})$|[eE]"
"""A dot before a fraction, which 2.591 need not have."""
_LIKE_A_NUMBER = r"^[^0-9]{0,6}[0-9][0-9.,'’‘ʼ´`\s]*(?:[eE][-+]?[0-9]+)?[^0-9]{0,6}$"
_WITH_A_MEASURE = r"^[-+]?[0-9][0-9.,'\s]*?\s?([^\W\d_]{1,4}|°[CF]?)$"
_LOOKED_AT = 200
_MOSTLY = 0.9
_SHOWN = 5
_LIKELY = 0.3
MOSTLY_ONCE = 0.5


@dataclass(frozen=True, slots=True)
class Marks:
    """What the user says about numbers; it decides where columns do not.

    Parameters
    ----------
    decimal
        What stands before the fraction, "." or ","; None if it is not said.
    thousands
        What stands between groups of digits: ",", ".", " ", "'" or "" for nothing; None if it is not said.
    """

    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        if self.decimal not in (None, *MARKS):
            raise UserError(f"decimal is {self.decimal!r}; it is the mark before a fraction: '.' or ','")
        if self.thousands not in (None, "", ".", ",", " ", "'"):
            raise UserError(
                f"thousands is {self.thousands!r}; it is the mark between groups of digits: ',', '.', ' ' or \"'\", or "
                "'' for none"
            )
        if self.decimal is not None and self.decimal == self.thousands:
            raise UserError(f"decimal and thousands are both {self.decimal!r}; a mark has one meaning")

    def allow(self, how: Figures) -> bool:
        """Whether numbers may be written so."""
        if self.decimal not in (None, how.decimal):
            return False
        return self.thousands is None or (how.decimal != self.thousands and how.thousands in ("", self.thousands))


SAID_NOTHING = Marks()


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Columns of text after they were read.

    Parameters
    ----------
    frame
        Numbers and flags are such; the rest is text without blanks around it. Empty where a mark for missing was.
    figures
        How the numbers were written of columns where that is not plainly, by name.
    doubts
        Why columns cannot be learned from as they are, by name.
    said
        Sentences on columns with numbers that are not written plainly.
    """

    frame: pl.DataFrame
    figures: Mapping[str, Figures]
    doubts: Mapping[str, str]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """A column of numbers that are not all plain, or may be others than they seem.

    Parameters
    ----------
    cells
        Its text, missing where a mark of a missing value stands.
    readings
        How the numbers may be written: several where they then are not the same numbers.
    pointed
        Whether a cell has a dot or a comma.
    short, long
        Whether there are whole numbers without marks, other than 0, of at most three digits and of more.
    padded
        Whether a cell ends in 0 after a dot or comma.
    """

    cells: pl.Series
    readings: tuple[Figures, ...]
    pointed: bool
    short: bool
    long: bool
    padded: bool

    @property
    def proves(self) -> str | None:
        """The mark that stands before fractions, if the column leaves no doubt about it."""
        return self.readings[0].decimal if len(self.readings) == 1 and self.pointed else None

    def decided(self, habit: str | None, separator: str | None, marks: Marks) -> tuple[Figures | None, str]:
        """How the numbers are written, and why where that is not plain to see; None where it is in doubt.

        Parameters
        ----------
        habit
            The mark before fractions that other columns prove.
        separator
            What separates cells: where a comma does, a dot stands before fractions.
        marks
            What the user says.
        """
        if len(self.readings) == 1:
            how = self.readings[0]
            return (how if self.pointed or habit in (None, how.thousands) else replace(how, decimal=habit)), ""
        allowed = [how for how in self.readings if marks.allow(how)]
        if len(allowed) == 1:
            return allowed[0], "as asked"
        others = "" if habit is None else f"as other columns have decimal {WORDS[habit]}s"
        grouped, fraction = sorted(self.readings, key=lambda how: how.thousands, reverse=True)
        if grouped.thousands and fraction.thousands:
            return next((how for how in self.readings if how.decimal == habit), None), others
        mark = fraction.decimal
        # a fraction is written with as many digits in each cell, whole numbers too, or without zeros at its end
        surely_grouped = self.short and self.padded and not self.long
        if habit is None and separator == ",":
            habit, others = ".", "as commas separate the cells"
        if habit == mark:
            return (None if surely_grouped else fraction), others
        if habit is not None:  # programs write 48.137 in any country; a comma before a fraction is somebody's habit
            return (grouped if mark == "," or (self.short and not self.long) else None), others
        if mark == ".":
            return (None if surely_grouped or separator == ";" else fraction), ""
        if surely_grouped:
            return grouped, "as whole numbers below 1,000 have no comma"
        return (fraction if separator == ";" and not self.short else None), "as semicolons separate the cells"

    @property
    def doubt(self) -> str:
        """For the reader: a cell that is two numbers, and how to say which."""
        first, second = (read_figures(self.cells, how) for how in self.readings[:2])
        row = int((first != second).fill_null(False).arg_max() or 0)
        one, other = f"{first[row]:.15g}", f"{second[row]:.15g}"
        return (
            f"column {self.cells.name!r} holds {self.cells[row]!r} in data row {row + 1}, which is {one} or {other}; "
            f"say which mark stands before a fraction: --decimal {self.readings[0].decimal} makes it {one}, "
            f"--decimal {self.readings[1].decimal} makes it {other} (in Python decimal=)"
        )

    def read(self, how: Figures) -> tuple[pl.Series, "_Example | None"]:
        """The numbers, whole ones as such; and a cell that is not as plain as 2591."""
        values = read_figures(self.cells, how)
        odd = (self.cells.cast(pl.Float64, strict=False) != values).fill_null(True) & values.is_not_null()
        row, many = int(odd.arg_max() or 0), int(odd.sum())
        example = _Example(self.cells.name, self.cells[row], values[row], many) if many else None
        held = values.drop_nulls()
        whole = ((held == held.round(0)) & (held.abs() < 2**53)).all()
        fraction = re.escape(how.decimal) + "[0-9]"
        return values.cast(pl.Int64) if whole and not self.cells.str.contains(fraction).any() else values, example


@dataclass(frozen=True, slots=True)
class _Example:
    """A cell that is not plain, its number, and how many such cells its column has."""

    column: str
    cell: str
    value: float
    many: int


def _sentence(how: str, why: str, examples: list[_Example]) -> str:
    """What was read as what, for the reader; of columns that are written alike in one sentence."""
    one, many = examples[0], sum(each.many for each in examples)
    names, cells = listed((repr(each.column) for each in examples), _SHOWN), plural(many, "cell")
    return (
        f"Column{'s' if len(examples) > 1 else ''} {names} hold{'' if len(examples) > 1 else 's'} {how}: "
        f"{quoted(one.cell)} is read as {one.value:.15g} ({'; '.join(part for part in (cells, why) if part)})."
    )


def read_text(
    frame: pl.DataFrame, *, separator: str | None = None, typed: bool = False, marks: Marks = SAID_NOTHING
) -> Read:
    """Read columns of text.

    Parameters
    ----------
    frame
        Text only.
    separator
        What separates the cells of the file; None where nothing does.
    typed
        Whether whoever wrote the table could have said that a column holds numbers, and did not: whole numbers that
        repeat then are names, if no mark of a missing value stands among them.
    marks
        What the user says.

    Examples
    --------
    >>> frame = pl.DataFrame({"amount": ["688", "2,591"], "share": ["0.5", "n/a"], "kind": [" a", "?"]})
    >>> read = read_text(frame, separator=",")
    >>> read.frame.rows(), read.figures
    ([(688, 0.5, 'a'), (2591, None, None)], {'amount': Figures(decimal='.', thousands=',', unit='')})
    >>> read_text(pl.DataFrame({"amount": ["2,591", "1,234"]})).doubts["amount"].partition("; say")[0]
    "column 'amount' holds '2,591' in data row 1, which is 2591 or 2.591"
    """
    bare = frame.select(pl.all().str.strip_chars())
    held = bare.select(pl.when(~pl.all().is_in(MISSING)).then(pl.all()))
    marked = (bare.null_count().row(0), bare.select((pl.all() == "").sum()).row(0), held.null_count().row(0))
    unmarked = {name for name, null, empty, none in zip(frame.columns, *marked, strict=True) if none == null + empty}
    plain, proofs = _plain_numbers(held, unmarked if typed else set())
    looked, columns, doubts = {}, {}, {}
    for name in frame.columns:
        sure = name in proofs.names or (name in plain and name not in proofs.doubtful)
        found = None if sure else _looked_at(held[name])
        if isinstance(found, str):
            doubts[name] = found
        elif found is not None:
            looked[name] = found
        columns[name] = plain[name] if name in plain else _flags(held[name])
    proved = {*proofs.points, *(one.proves for one in looked.values() if one.proves is not None)}
    habit = marks.decimal or (proved.pop() if len(proved) == 1 else None)
    figures: dict[str, Figures] = {}
    examples: dict[tuple[str, str], list[_Example]] = {}
    for name, one in looked.items():
        how, why = one.decided(habit, separator, marks)
        if how is None:
            doubts[name] = one.doubt
            columns[name] = held[name]
            continue
        columns[name], example = one.read(how)
        if example is not None:
            examples.setdefault((how.in_words, why), []).append(example)
        if how != PLAIN:
            figures[name] = how
    if habit == ",":  # 2.591 in a later file is no fraction either
        figures |= {name: Figures(",") for name in proofs.whole if name not in figures}
    said = [_sentence(*said, found) for said, found in examples.items()]
    measured = (_measure(column) for column in columns.values() if column.dtype == pl.String)
    said += [sentence for sentence in measured if sentence is not None]
    return Read(pl.DataFrame([columns[name] for name in frame.columns]), figures, doubts, tuple(said))


def _measure(text: pl.Series) -> str | None:
    """A sentence on a column of text whose cells are numbers of one measure, such as 5 kg."""
    held = text.drop_nulls()
    sample = held.gather_every(max(1, len(held) // _LOOKED_AT))
    measures = sample.str.extract(_WITH_A_MEASURE).drop_nulls()
    if measures.is_empty() or int(measures.value_counts(sort=True)["count"][0]) <= _MOSTLY * len(sample):
        return None
    example = sample.filter(sample.str.contains(_WITH_A_MEASURE))[0]
    return f"Column {text.name!r} holds text such as {quoted(example)}: write numbers alone to have them count as such."


@dataclass(frozen=True, slots=True)
class _Proofs:
    """What columns of plain numbers show.

    Parameters
    ----------
    points
        A dot for each column where one surely stands before a fraction.
    doubtful
        Columns in which each dot has three digits behind it, so that it may stand between groups of digits.
    whole
        Columns without any mark.
    names
        Columns of figures that are names: 007, or whole numbers as text where they could be numbers.
    """

    points: tuple[str, ...] = ()
    doubtful: frozenset[str] = frozenset()
    whole: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


def _plain_numbers(held: pl.DataFrame, typed: set[str]) -> tuple[dict[str, pl.Series], _Proofs]:
    """The columns that are numbers without further ado, all at once: a wide table has thousands of them.

    Parameters
    ----------
    held
        Text, missing where a mark of a missing value stands.
    typed
        Columns whose writer chose text for whole numbers.
    """
    figures = held.select(pl.all().cast(pl.Float64, strict=False))
    names = [
        name
        for name, empty, none in zip(held.columns, held.null_count().row(0), figures.null_count().row(0), strict=True)
        if none == empty < held.height
    ]
    if not names:
        return {}, _Proofs()
    chosen = held.select(names)
    coded, dotted = _with(chosen, _CODE), _with(chosen, r"\.")
    early = _with(chosen.select(sorted(dotted)).head(_LOOKED_AT), _SURE_POINT)
    sure = early | _with(chosen.select(sorted(dotted - early)), _SURE_POINT)
    plain = chosen.select([name for name in names if name not in dotted])
    whole = set(plain.columns) - _with(plain.select(~pl.all().str.contains(_WHOLE)), None)
    found = {
        name: _whole_numbers(held[name], figures[name]) if name in whole else figures[name]
        for name in names
        if name not in coded and not (name in typed and name in whole and _repeats(held[name]))
    }
    return found, _Proofs(
        tuple("." for name in found if name in sure),
        frozenset(dotted & found.keys()) - sure,
        tuple(name for name in found if name not in dotted),
        frozenset(names) - found.keys(),
    )


def _with(frame: pl.DataFrame, mark: str | None) -> set[str]:
    """The columns with a cell that matches, or of flags with one that is true."""
    flags = frame if mark is None else frame.select(pl.all().str.contains(mark))
    return {one.name for one in flags.select(pl.all().any()).get_columns() if one.item()}


def _repeats(text: pl.Series) -> bool:
    """Whether most values occur more than once."""
    held = text.drop_nulls()
    return int(held.is_unique().sum()) <= MOSTLY_ONCE * len(held)


def _whole_numbers(text: pl.Series, figures: pl.Series) -> pl.Series:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    # beyond 64 bits; where numbers would make two of them equal, they are names of things
    return text if figures.n_unique() < text.n_unique() else figures


def _flags(text: pl.Series) -> pl.Series:
    """The column as flags if it holds nothing else, else as it is."""
    low = text.str.to_lowercase()
    return low == "true" if text.null_count() < len(text) and low.drop_nulls().is_in(["true", "false"]).all() else text


def _looked_at(text: pl.Series) -> _Looked | str | None:
    """What a column of numbers allows; why it is in doubt; or None for anything else."""
    text = without_marks(text, among_numbers=True)
    held = text.drop_nulls()
    sample = held.gather_every(max(1, len(held) // _LOOKED_AT))
    if int(sample.str.contains(_LIKE_A_NUMBER).sum()) <= _LIKELY * len(sample):
        return None
    counted = held.value_counts()
    spelled, times = counted[text.name], counted["count"].to_numpy()
    cells = spelled.str.replace_all(MINUS, "-")
    residue = cells.str.replace_all(r"[0-9.,'’‘ʼ´`\s()+-]", "")
    units = residue.replace_strict({one: unit_of(one) for one in residue.unique()}, return_dtype=pl.String)
    known = [unit for unit in units.drop_nulls().unique(maintain_order=True) if unit] + [""]
    digits = cells.str.replace_all("[^0-9.,'’‘ʼ´`\\s]", "").str.strip_chars()
    best = _readings(cells, times, known, digits)
    values = best[0][1]
    strays = int(times[values.is_null().to_numpy()].sum())
    coded = cells.str.contains(_CODE)
    if strays:
        return None if coded.any() else _strays(text, spelled.filter(values.is_null()), values, times)
    if (coded & ~cells.str.contains(r"[.,]")).any():
        return None
    bare = bool(set(known) & set(SCALES)) and (values.filter(units == "") != 0).any()
    used = [unit for unit in known if unit or bare]
    if len(used) > 1:
        return _mixed(text, spelled, units, used)
    plain = digits.filter(digits.str.contains("^[1-9][0-9]*$"))
    return _Looked(
        text,
        tuple(replace(how, unit=known[0]) for how, _ in best),
        pointed=digits.str.contains("[.,]").any(),
        short=bool((plain.str.len_chars() <= 3).any()),
        long=bool((plain.str.len_chars() > 3).any()),
        padded=digits.str.contains("[.,][0-9]*0$").any(),
    )


def _readings(
    cells: pl.Series, times: NDArray[np.int64], units: list[str], digits: pl.Series
) -> list[tuple[Figures, pl.Series]]:
    """The ways to write numbers under which most cells are some, with these; one way for the same numbers."""
    present = [mark for mark, spelled in THOUSANDS.items() if digits.str.contains(spelled).any()]
    found: list[tuple[int, Figures, pl.Series]] = []
    for how in READINGS:
        if how.thousands not in ("", *present) or (how.decimal == "," and not set(MARKS) & set(present)):
            continue
        parts = [read_exactly(cells, replace(how, unit=unit)) for unit in units]
        values = pl.select(pl.coalesce(parts)).to_series()
        found.append((int(times[values.is_not_null().to_numpy()].sum()), how, values))
    most = max(held for held, _, _ in found)
    best: list[tuple[Figures, pl.Series]] = []
    for held, how, values in found:
        if held == most and not any(values.equals(other) for _, other in best):
            best.append((how, values))
    return best


def _strays(text: pl.Series, stray: pl.Series, values: pl.Series, times: NDArray[np.int64]) -> str | None:
    """Words among numbers are mistakes, not categories, where they are few or the numbers are measurements."""
    none = values.is_null().to_numpy()
    strays, counted = int(times[none].sum()), int(times[~none].sum())
    few = strays <= max(3, 0.01 * len(text)) and counted >= 2 * strays
    # whole numbers among words may be ticket numbers or codes
    fractions = int(times[(values % 1 != 0).fill_null(False).to_numpy()].sum())
    if not few and not (counted >= strays and fractions > 0.5 * counted):
        return None
    row = int(text.is_in(stray.implode()).fill_null(False).arg_max() or 0)
    return (
        f"column {text.name!r} holds numbers, but data row {row + 1} holds {quoted(text[row])}"
        + (f" (and {strays - 1} other cells are no numbers)" if strays > 1 else "")
        + "; correct it, or leave it empty if it is missing"
    )


def _mixed(text: pl.Series, spelled: pl.Series, units: pl.Series, used: list[str]) -> str:
    first, second = (
        int(text.is_in(spelled.filter(units == unit).implode()).fill_null(False).arg_max() or 0) for unit in used[:2]
    )
    return (
        f"column {text.name!r} holds {text[first]!r} in data row {first + 1} and {text[second]!r} in data row "
        f"{second + 1}; write all of its cells in one unit"
    )
