"""Columns of numbers: the written forms that fit their cells, or why a column is in doubt."""

import re
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.reading.missing import without_marks
from counterpoise.table.reading.numbers import (
    MARKS,
    MINUS,
    READINGS,
    SCALES,
    THOUSANDS,
    WORDS,
    Marks,
    NumberFormat,
    read_exactly,
    read_figures,
    unit_of,
)
from counterpoise.table.reading.sample import sample_of
from counterpoise.wording import quoted

CODE = r"^[+-]?0[0-9]"
"""A code such as 007 is not a number: as one it would be equal to 7."""
_LIKE_A_NUMBER = r"^[^0-9]{0,6}[0-9][0-9.,'’‘ʼ´`\s]*(?:[eE][-+]?[0-9]+)?[^0-9]{0,6}$"
LOOKED_AT = 200
_LIKELY = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A column of numbers that are not all plain, or may be others than they seem.

    Parameters
    ----------
    cells
        Text of the column; marks of a missing value are empty.
    readings
        Possible written forms of the numbers: several if they give different numbers.
    pointed
        Whether a cell has a dot or a comma.
    short, long
        Whether there are whole numbers without marks, other than 0, of at most three digits and of more.
    padded
        Whether a cell ends in 0 after a dot or comma.
    """

    cells: pl.Series
    readings: tuple[NumberFormat, ...]
    pointed: bool
    short: bool
    long: bool
    padded: bool

    @property
    def proves(self) -> str | None:
        """The mark that stands before fractions, if the column leaves no doubt about it."""
        return self.readings[0].decimal if len(self.readings) == 1 and self.pointed else None

    def decided(self, habit: str | None, separator: str | None, marks: Marks) -> tuple[NumberFormat | None, str]:
        """How the numbers are written, and why where that is not plain to see; None where it is in doubt.

        Parameters
        ----------
        habit
            The mark before fractions that other columns prove.
        separator
            The separator of the cells; if it is a comma, a dot stands before fractions.
        marks
            The user's marks.
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
            f"give the decimal mark: --decimal {self.readings[0].decimal} makes it {one}, "
            f"--decimal {self.readings[1].decimal} makes it {other} (in Python decimal=)"
        )

    def read(self, how: NumberFormat) -> tuple[pl.Series, "Example | None"]:
        """The numbers, whole ones as such; and a cell that is not as plain as 2591."""
        values = read_figures(self.cells, how)
        odd = (self.cells.cast(pl.Float64, strict=False) != values).fill_null(True) & values.is_not_null()
        row, many = int(odd.arg_max() or 0), int(odd.sum())
        example = Example(self.cells.name, self.cells[row], values[row], many) if many else None
        held = values.drop_nulls()
        whole = ((held == held.round(0)) & (held.abs() < 2**53)).all()
        fraction = re.escape(how.decimal) + "[0-9]"
        return values.cast(pl.Int64) if whole and not self.cells.str.contains(fraction).any() else values, example


def looked_at(text: pl.Series) -> Looked | str | None:
    """What a column of numbers allows; why it is in doubt; or None for anything else."""
    text = without_marks(text, among_numbers=True)
    held = text.drop_nulls()
    sample = sample_of(held, LOOKED_AT)
    if int(sample.str.contains(_LIKE_A_NUMBER).sum()) <= _LIKELY * len(sample):
        return None
    counted = held.value_counts()
    spelled, times = counted[text.name], counted["count"].to_numpy()
    cells = spelled.str.replace_all(MINUS, "-")
    residue = cells.str.replace_all(r"[0-9.,'’‘ʼ´`\s()+-]", "")
    units = residue.replace_strict({one: unit_of(one) for one in residue.unique()}, return_dtype=pl.String)
    known = [unit for unit in units.drop_nulls().unique().sort() if unit] + [""]
    digits = cells.str.replace_all("[^0-9.,'’‘ʼ´`\\s]", "").str.strip_chars()
    best = _readings(cells, times, known, digits)
    values = best[0][1]
    strays = int(times[values.is_null().to_numpy()].sum())
    coded = cells.str.contains(CODE)
    if strays:
        return None if coded.any() else _strays(text, spelled.filter(values.is_null()), values, times)
    if (coded & ~cells.str.contains(r"[.,]")).any():
        return None
    bare = bool(set(known) & set(SCALES)) and (values.filter(units == "") != 0).any()
    used = [unit for unit in known if unit or bare]
    if len(used) > 1:
        return _mixed(text, spelled, units, used)
    plain = digits.filter(digits.str.contains("^[1-9][0-9]*$"))
    return Looked(
        text,
        tuple(replace(how, unit=known[0]) for how, _ in best),
        pointed=digits.str.contains("[.,]").any(),
        short=bool((plain.str.len_chars() <= 3).any()),
        long=bool((plain.str.len_chars() > 3).any()),
        padded=digits.str.contains("[.,][0-9]*0$").any(),
    )


def _readings(
    cells: pl.Series, times: NDArray[np.int64], units: list[str], digits: pl.Series
) -> list[tuple[NumberFormat, pl.Series]]:
    """The ways to write numbers under which most cells are some, with these; one way for the same numbers."""
    present = [mark for mark, spelled in THOUSANDS.items() if digits.str.contains(spelled).any()]
    found: list[tuple[int, NumberFormat, pl.Series]] = []
    for how in READINGS:
        if how.thousands not in ("", *present) or (how.decimal == "," and not set(MARKS) & set(present)):
            continue
        parts = [read_exactly(cells, replace(how, unit=unit)) for unit in units]
        values = pl.select(pl.coalesce(parts)).to_series()
        found.append((int(times[values.is_not_null().to_numpy()].sum()), how, values))
    most = max(held for held, _, _ in found)
    best: list[tuple[NumberFormat, pl.Series]] = []
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
        + (f" (and {strays - 1} other cells are not numbers)" if strays > 1 else "")
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


@dataclass(frozen=True, slots=True)
class Example:
    """A cell that is not plain, its number, and how many such cells its column has."""

    column: str
    cell: str
    value: float
    many: int
