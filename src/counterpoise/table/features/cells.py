"""The values of a table's cells for a model: the same for every source, whatever the type of a column.

Cells of text files, Parquet, frames and requests all come here, and are read as the model's column was in training. A
cell that cannot be read so becomes empty, and is reported as a problem with its row and reason.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors

from counterpoise.errors import UserError, warn_user
from counterpoise.table.features.columns import spans
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.reference_day import NewestDay, day_of, few_rows, odd_day
from counterpoise.table.features.schema import CATEGORY, DATE, DATES, FLAG, NUMBER, TEXT, Column, Schema, kind_in_words
from counterpoise.table.reading.date_columns import as_learned, cell_of
from counterpoise.table.reading.missing import without_marks
from counterpoise.table.reading.numbers import PLAIN, SCALES, meanings, read_figures
from counterpoise.table.reading.table import Table, check_columns
from counterpoise.table.reading.words import as_words
from counterpoise.wording import quoted

INFINITE = "is infinite"
_TRUE, _FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
_FIGURES = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?")


@dataclass(frozen=True, slots=True)
class Problem:
    """A cell that the model cannot use.

    Parameters
    ----------
    row
        Row of the block, from 0.
    column
        Name of the column.
    reason
        What was found, and what was expected.
    """

    row: int
    column: str
    reason: str

    @property
    def why(self) -> str:
        """The same for somebody who knows the row."""
        return f"column {self.column!r}" + (f" {INFINITE}" if self.reason == INFINITE else f": {self.reason}")

    def said(self, row: int) -> str:
        """A sentence that names the column and a row as people count it.

        Examples
        --------
        >>> Problem(0, "size", "'many' is not a number").said(7)
        "column 'size', data row 7: 'many' is not a number"
        """
        if self.reason == INFINITE:
            return f"column {self.column!r} is infinite in data row {row}"
        return f"column {self.column!r}, data row {row}: {self.reason}"


def usable(table: Table, schema: Schema, *, most_problems: int | None = None) -> tuple[Table, list[Problem]]:
    """The table with its cells read in the kinds of the training, and the cells that cannot be read so.

    Parameters
    ----------
    table
        Rows with every column of the schema, of any types.
    schema
        Required kinds of the columns.
    most_problems
        Number of cells of each column to report, the first ones; None for all.

    Examples
    --------
    >>> from pathlib import Path
    >>> schema = Schema((Column("size", "number"), Column("kind", "category", ("7", "oak"))))
    >>> frame = pl.DataFrame({"size": ["1.5", "big"], "kind": [" oak", "7.0"]})
    >>> table, problems = usable(Table(frame, Path("t.csv"), typed=False), schema)
    >>> table.frame.rows(), [one.said(one.row + 1) for one in problems]
    ([(1.5, 'oak'), (None, '7')], ["column 'size', data row 2: 'big' is not a number"])
    """
    check_columns(table, [column.name for column in schema.columns])
    problems: list[Problem] = []
    columns = []
    ready = _ready(table.frame)
    for column in schema.columns:
        if column.kind == NUMBER and column.name in ready and column.figures.unit not in SCALES:
            continue
        cells = table.frame[column.name]
        if column.kind in DATES:
            values, why = as_learned(cells, timed=column.kind != DATE, form=column.form, zone=column.zone)
            wrong = why.is_not_null()
        else:
            values, wrong = _values(cells, column)
            why = None
        columns.append(values.alias(column.name))
        if wrong.any():
            for row in wrong.arg_true().head(len(wrong) if most_problems is None else most_problems):
                cell = cell_of(cells, row)
                reason = _reason(cell, column) if why is None else f"{quoted(cell)} {why[row]}"
                problems.append(Problem(row, column.name, reason))
    return Table(table.frame.with_columns(columns), table.path, table.typed), problems


def _ready(frame: pl.DataFrame) -> set[str]:
    """Columns of finite numbers, all looked at in one call."""
    figures = frame.select(selectors.float())
    finite = figures.select(pl.all().is_finite().all())
    whole = frame.select(selectors.integer() | selectors.boolean()).columns
    return {*whole, *(name for name, good in finite.to_dicts()[0].items() if good)} if figures.width else set(whole)


def _reason(cell: object, column: Column) -> str:
    spelled, how = quoted(cell), column.figures
    try:
        if math.isinf(float(spelled.strip("'"))):
            return INFINITE
    except ValueError:
        pass
    if column.kind == CATEGORY:
        same = [one for one in column.categories if meaning(one) == meaning(spelled.strip("'"))]
        return f"{spelled.strip(chr(39))} is {' or '.join(map(quoted, same))}; write the text"
    if column.kind == NUMBER and any(sign.isdigit() for sign in spelled):
        if how != PLAIN:
            return f"{spelled} is not written as in training: {how.in_words}"
        if len(meant := meanings(str(cell))) > 1:
            return f"{spelled} is {' or '.join(f'{one:.15g}' for one in meant)}; it is not clear which"
    return f"{spelled} is not a {kind_in_words(column.kind)}"


def _values(cells: pl.Series, column: Column) -> tuple[pl.Series, pl.Series]:
    """What the cells are worth, and which of them nothing."""
    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    if column.kind in (NUMBER, FLAG):
        return _numbers(cells, column)
    if column.kind == TEXT:
        return as_words(cells), pl.Series([False])
    distinct = cells.unique()  # far fewer than cells, as a rule
    words = as_words(distinct)
    known = as_categories(words, column.categories)
    if distinct.dtype == pl.String and distinct.equals(known, null_equal=True):
        return cells, pl.Series([False])
    values = cells.replace_strict(distinct, known, return_dtype=pl.String)
    if not cells.dtype.is_numeric():
        return values, pl.Series([False])
    unclear = distinct.filter(words.is_in(unclear_numbers(words, column)).fill_null(False))
    return values, cells.is_in(unclear.implode()).fill_null(False)


def _numbers(cells: pl.Series, column: Column) -> tuple[pl.Series, pl.Series]:
    if cells.dtype == pl.String:
        text = without_marks(cells, among_numbers=True)
        values, held = read_figures(text, column.figures), text.is_not_null()
        if values.null_count() > text.null_count():
            low = text.str.to_lowercase()
            true, false = (low.is_in(words) for words in _words_for_flags(column))
            values = values.set(false.fill_null(False), 0.0).set(true.fill_null(False), 1.0)
    elif cells.dtype.is_numeric() or cells.dtype == pl.Boolean:
        values = cells.cast(pl.Float64).fill_nan(None)
        held = values.is_not_null()
        if column.figures.unit in SCALES:  # nobody knows whether 0.2 or 20 is meant
            values = values.set(values != 0, None)
    elif cells.dtype in (pl.Duration, pl.Time) and column.figures == PLAIN:
        values = spans(cells).cast(pl.Float64)
        held = values.is_not_null()
    else:
        held = cells.is_not_null()
        values = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(cells))
    values = values.set(values.is_infinite(), None)
    if column.kind == FLAG:
        values = values.set((values != 0) & (values != 1), None)
    return values, held & values.is_null()


def _words_for_flags(column: Column) -> tuple[Sequence[str], Sequence[str]]:
    """The words that are 1 and 0: among numbers only those that programs write."""
    return (_TRUE, _FALSE) if column.kind == FLAG else (_TRUE[:1], _FALSE[:1])


def as_categories(words: pl.Series, categories: tuple[str, ...]) -> pl.Series:
    """Words in the model's spelling, if they mean the same: 7.0 is 007 if no other category is that number.

    Examples
    --------
    >>> as_categories(pl.Series(["oak", "7.0", "TRUE", "new"]), ("007", "True", "oak")).to_list()
    ['oak', '007', 'True', 'new']
    """
    new = words.filter(words.is_not_null() & ~words.is_in(categories)).unique()
    known = _by_meaning(categories)
    same = {one: found for one in new if (found := known.get(meaning(one))) is not None}
    return words.replace(same) if same else words


def unclear_numbers(words: pl.Series, column: Column) -> list[str]:
    """Those that are several categories as numbers: pandas makes 7 of 007, and of 7 too."""
    known = _by_meaning(column.categories)
    return [one for one in words.drop_nulls().unique() if known.get(meaning(one), one) is None]


@lru_cache(maxsize=256)
def _by_meaning(categories: tuple[str, ...]) -> dict[str, str | None]:
    """What a category means, and how it is spelled; None where several are the same."""
    found: dict[str, str | None] = {}
    for one in categories:
        same = meaning(one)
        found[same] = None if same in found else one
    return found


def meaning(word: str) -> str:
    """A word in the spelling that all of its spellings as a number or flag share.

    Examples
    --------
    >>> meaning("7.0"), meaning("007"), meaning("True"), meaning("Oak")
    ('7', '7', 'true', 'Oak')
    """
    figures = _FIGURES.fullmatch(word)
    if figures is not None:
        sign, whole, fraction = figures.groups(default="")
        whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
        return ("-" if sign == "-" else "") + whole + (f".{fraction}" if fraction else "")
    low = word.lower()
    return low if low in ("true", "false") else word


def read_rows(table: Table, schema: Schema, as_of: Any = None) -> tuple[Table, NDArray[np.float64]]:
    """Rows that must all be usable, as `usable` gives them, and their features (N, F).

    Parameters
    ----------
    table, schema
        The rows, and the features that the columns become.
    as_of
        Day up to which ages of dates are counted, with a warning if the rows contradict it; None: the newest date of
        the rows, with a warning if they are few.

    Raises
    ------
    UserError
        If a column is absent, or a cell is not what the model was trained on.
    """
    read, problems = usable(table, schema)
    if problems:
        first = problems[0]
        raise UserError(f"{table.path}: {first.said(first.row + 1)}, but the model was trained on that")
    day, reference = day_of(as_of), schema.reference
    if reference is not None and not reference.own:
        newest = NewestDay()
        newest.add(read.frame[reference.column])
        if day is None:
            day = reference.day_from(newest)
            said = few_rows(reference, newest.rows, day)
        else:
            said = odd_day(reference, newest, day)
        if said is not None:
            warn_user(said)
    return read, to_matrix(read, schema, day)
