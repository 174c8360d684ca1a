"""The schema that is learned from the columns of the training rows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.ages import Dated, learn_dates
from counterpoise.table.features.columns import dates_of, kind_of, numbers_of
from counterpoise.table.features.date_parts import SINCE
from counterpoise.table.features.identifiers import Identifier, find_identifier, tells_classes
from counterpoise.table.features.schema import (
    CALENDAR,
    CATEGORY,
    DATE,
    DATES,
    DATETIME,
    FLAG,
    IGNORED,
    NUMBER,
    TEXT,
    Column,
    Schema,
)
from counterpoise.table.features.text import Text, text_unit
from counterpoise.table.reading.kinds import MOSTLY_ONCE
from counterpoise.table.reading.numbers import PLAIN
from counterpoise.table.reading.table import Table, check_columns, refuse_doubtful

_ONLY_NAMES = "numbers that only name rows"


_NEVER_REPEATS = "text that never repeats"


def learn_schema(
    table: Table,
    target: str | tuple[str, ...],
    rows: NDArray[np.int64],
    *,
    leave_out: Sequence[str] = (),
    time: str | None = None,
    as_of: date | None = None,
    absolute: bool = False,
) -> Schema:
    """Decide what each column is, from the training rows.

    Parameters
    ----------
    table
        The whole table: a cell that cannot be used is an error wherever it is.
    target
        The column that is not a feature, or several of them.
    rows
        The training rows; categories and words are learned on these.
    leave_out
        Columns that are neither features nor targets: groups, weights.
    time
        The column that orders the rows. From a date only month, weekday and hour are used, from a number nothing: what
        always grows does not predict later rows. The ages of other dates are counted up to it.
    as_of
        Day up to which ages are counted; None: the newest date of a column.
    absolute
        Whether dates themselves are features too.

    Examples
    --------
    >>> from pathlib import Path
    >>> frame = pl.DataFrame({"size": [1, 2, 3], "kind": ["a", "b", "a"], "none": [None] * 3})
    >>> frame = frame.with_columns(y=pl.Series([0, 1, 0]))
    >>> schema = learn_schema(Table(frame, Path("t.parquet"), typed=True), "y", np.arange(3))
    >>> [(column.name, column.kind) for column in schema.columns], schema.dropped
    ([('size', 'number'), ('kind', 'category')], (('none', 'empty'),))
    """
    targets = (target,) if isinstance(target, str) else target
    check_columns(table, [*targets, *leave_out, *([] if time is None else [time])])
    columns: list[Column] = []
    dropped = [(name, IGNORED) for name in table.ignored]
    texts: dict[str, Text] = {}
    for whole in table.frame.get_columns():
        name = whole.name
        if name in targets or name in leave_out or name in table.ignored:
            continue
        found = _learn_column(table, whole, rows, targets, in_time=name == time)
        if isinstance(found, str):
            dropped.append((name, found))
        elif isinstance(found, Column):
            columns.append(found)
        else:
            texts[name] = found
            columns.append(Column(name, TEXT, unit=found.unit, found=found.names))
    values = {one.name: dates_of(table.frame[one.name], one, table) for one in columns if one.kind in DATES}
    classes = table.frame.select(targets)[rows]
    dated = learn_dates(values, rows, classes, time=time, as_of=as_of, absolute=absolute)
    columns = _with_parts(columns, dated, dropped)
    if not columns:  # a table holds more than names: what seems to count its rows is a measurement
        measured = [name for name, reason in dropped if reason.startswith(_ONLY_NAMES)]
        columns = [Column(name, NUMBER) for name in measured]
        dropped = [pair for pair in dropped if pair[0] not in measured]
    if not any(column.parts for column in columns):
        raise UserError(
            f"{table.path} has no column to learn from besides {', '.join(map(repr, targets))}"
            + ("".join(f"; {name!r} is {reason}" for name, reason in dropped[:5]))
        )
    return Schema(tuple(columns), tuple(dropped), texts, dated.reference, dated.said)


def _learn_column(
    table: Table, whole: pl.Series, rows: NDArray[np.int64], targets: tuple[str, ...], *, in_time: bool
) -> Column | Text | str:
    """What a column is; or why it is not used."""
    name = whole.name
    kind = kind_of(whole)
    if kind is None:
        return "empty" if whole.null_count() == len(whole) else f"type {whole.dtype}"
    if in_time and kind not in (DATE, DATETIME):
        return "the order in time"
    refuse_doubtful(table, name)
    trained = whole.gather(rows)
    named = None
    if kind in (NUMBER, CATEGORY) and not in_time:
        named = find_identifier(whole, lambda: _tells(trained, table.frame.select(targets)[rows]))
        if named is not None and named.certain:
            return _left_out(named, kind)
    if kind == NUMBER:
        return _learn_number(
            numbers_of(whole, table)[rows], Column(name, NUMBER, figures=table.figures.get(name, PLAIN))
        )
    seen = trained.drop_nulls()
    if len(seen) == 0:
        return "empty"
    if seen.n_unique() == 1 and len(seen) == len(rows) and kind not in DATES:
        return "constant"
    if kind == FLAG:
        return Column(name, kind)
    if kind != CATEGORY:
        zone = getattr(whole.dtype, "time_zone", None) or ""
        return Column(name, CALENDAR if in_time else kind, form=table.forms.get(name, ""), zone=zone)
    return _learn_words(trained.cast(pl.String), table.frame.select(targets)[rows], named)


def _tells(trained: pl.Series, targets: pl.DataFrame) -> bool:
    """Whether the column predicts a class of any target, on the rows where that is known."""
    for target in targets:
        known = target.is_not_null()
        codes = target.filter(known).rank("dense").to_numpy().astype(np.int64) - 1
        if tells_classes(trained.filter(known), codes):
            return True
    return False


def _with_parts(columns: list[Column], dated: Dated, dropped: list[tuple[str, str]]) -> list[Column]:
    """The columns with what their dates become; those of which nothing is used are added to the dropped."""
    needed = {part.removeprefix(SINCE) for parts in dated.parts.values() for part in parts if part.startswith(SINCE)}
    needed |= {dated.reference.column} if dated.reference is not None else set()
    kept = []
    for one in columns:
        if one.kind in DATES and not dated.parts[one.name] and one.name not in needed:
            dropped.append((one.name, "dates without information beyond their time"))
        else:
            kept.append(replace(one, dated=dated.parts[one.name]) if one.kind in DATES else one)
    return kept


def _learn_number(trained: NDArray[np.float64], column: Column) -> Column | str:
    seen = trained[~np.isnan(trained)]
    if len(seen) == 0:
        return "empty"
    return "constant" if len(seen) == len(trained) and seen.min() == seen.max() else column


def _learn_words(trained: pl.Series, targets: pl.DataFrame, named: Identifier | None) -> Column | Text | str:
    """A category or free text, by whether values repeat; short names are text where a word in them tells a class."""
    seen = trained.drop_nulls()
    counted = seen.value_counts(sort=False)
    once = float((counted["count"] == 1).sum() / len(seen))
    unit = text_unit(seen) if once > MOSTLY_ONCE else None
    text = Text.learn(trained, unit, targets) if unit else None
    if text is not None:
        return text if named is None or len(text.telling) else _left_out(named, CATEGORY)
    categories = tuple(sorted(counted.filter(pl.col("count") > 1)[seen.name].to_list()))
    return Column(seen.name, CATEGORY, categories, once) if categories else _NEVER_REPEATS


def _left_out(named: Identifier, kind: str) -> str:
    """Why a column of names is not used."""
    if kind == NUMBER:
        return f"{_ONLY_NAMES}: {named.why}"
    return f"text that hardly repeats: {named.why}" if named.repeats else _NEVER_REPEATS
