"""What is different where a table is thinned: its parts, its targets, its audit and its notes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.audit.audit import audit, class_facts, smallest_effect
from counterpoise.table.audit.facts import Audit, Copies, MissingCells
from counterpoise.table.audit.findings import findings_of, verdict_of
from counterpoise.table.features.cells import Problem, usable
from counterpoise.table.features.schema import Schema
from counterpoise.table.reading.numbers import Marks
from counterpoise.table.reading.table import Table, with_numbers
from counterpoise.table.reading.target import Labels
from counterpoise.table.reading.thinned import Thinned
from counterpoise.table.reading.words import as_words
from counterpoise.table.rows.split import Split, split_rows

_BLOCK = 65_536


def with_judged(table: Table, names: list[str]) -> Table:
    """Some columns of all rows: those that are held, then those that lie in files."""
    if table.thinned is None:
        return table
    held, aside = table.frame.select(names), table.thinned.aside.select(names)
    aside = aside.with_columns(as_words(one) for one in aside.get_columns() if one.dtype == pl.String)
    odd = [name for name in names if held[name].dtype != aside[name].dtype]  # a group that was read as a number or date
    spelled = pl.col(odd).cast(pl.String)
    return replace(table, frame=pl.concat([held.with_columns(spelled), aside.with_columns(spelled)]))


def read_numbers(table: Table, names: list[str], marks: Marks) -> Table:
    """As `with_numbers`; the targets of a thinned table are read as those of all rows."""
    if table.thinned is None:
        return with_numbers(table, names, marks)
    held, columns = table.frame.height, table.frame.columns
    whole = with_numbers(with_judged(table, names), names, marks).frame
    aside = table.thinned.aside.with_columns(whole[held:].get_columns())
    others = with_numbers(replace(table, frame=table.frame.drop(names)), names, marks)
    frame = others.frame.with_columns(whole[:held].get_columns()).select(columns)
    return replace(others, frame=frame, thinned=replace(table.thinned, aside=aside))


def parts_of(thinned: Thinned) -> Split:
    """The parts: what is held is for training; the places of the other rows come after it."""
    held = len(thinned.stands_for)
    return Split(
        np.arange(held),
        held + np.flatnonzero(~thinned.tested),
        held + np.flatnonzero(thinned.tested),
        thinned.how,
    )


def blocks_of(table: Table, thinned: Thinned, schema: Schema) -> Iterator[tuple[Table, list[Problem]]]:
    """The rows that lie in files, in blocks, as `usable` gives them."""
    for file in thinned.judged:
        for frame in pl.read_ipc(file).iter_slices(_BLOCK):
            yield usable(Table(frame, table.path, table.typed), schema)


def refuse_odd_cells(table: Table, schema: Schema) -> None:
    """Refuse a cell of these rows that is not what the column holds, before anything is learned."""
    thinned, first = table.thinned, 0
    if thinned is None:
        return
    odd: list[tuple[int, Problem]] = []
    for block, problems in blocks_of(table, thinned, schema):
        odd += [(first + one.row, one) for one in problems]
        first += block.frame.height
    if odd:
        row, one = odd[0]
        more = f" (and {len(odd) - 1:,} other cells cannot be used)" if len(odd) > 1 else ""
        said = one.said(int(thinned.places[row]) + 1)
        raise UserError(f"{table.path}: {said}{more}; correct it, or leave it empty if it is missing")


def audit_of_thinned(table: Table, labels: Labels, split: Split, *, seed: int, **named: Any) -> Audit:
    """The audit: columns are looked at on the rows that are held, and counts are those of the whole table."""
    thinned = table.thinned
    assert thinned is not None
    codes = labels.codes[split.train]
    held = replace(labels, codes=codes, stands_for=None)
    found = audit(table, held, split_rows(codes, seed=seed), seed=seed, **named | {"time": None})
    classes = class_facts(labels, split)
    rows = [one.rows for one in classes]
    found = replace(
        found,
        rows=thinned.rows,
        classes=classes,
        imbalance_ratio=max(rows) / max(min(rows), 1),
        smallest_effect=smallest_effect(labels.codes, labels, split.test),
        missing=_missing(table, thinned, found.missing),
        copies=Copies(0, 0, 0),
        groups=None,
    )
    found = replace(found, findings=findings_of(found))
    return replace(found, verdict=verdict_of(found))


def _missing(table: Table, thinned: Thinned, found: tuple[MissingCells, ...]) -> tuple[MissingCells, ...]:
    """About how many cells of the whole table are missing: each row that is held counts for those it stands for."""
    told = []
    for one in found:
        cells = table.frame[one.column]
        empty = (cells.is_null() | cells.is_nan() if cells.dtype.is_float() else cells.is_null()).fill_null(True)
        share = float(np.average(empty.to_numpy(), weights=thinned.stands_for))
        told.append(MissingCells(one.column, round(share * thinned.rows), share))
    return tuple(sorted(told, key=lambda one: -one.rows))


def thinning_notes(thinned: Thinned, split: Split) -> list[str]:
    """How many rows were read and held, and what that means."""
    return [
        f"The table has {thinned.rows:,} rows, more than the memory has room for. The model was trained on some of the "
        f"training rows: {thinned.kept}. Each row that was kept stands for those of its class that were not.",
        f"The threshold and the figures come from all {len(split.calibration):,} and {len(split.test):,} rows of their "
        "parts, which were not thinned. Learners and losses were compared on a part of the rows that were kept, in "
        "which each class has its share of the whole table.",
        "Columns were looked at on the rows that were kept: numbers of missing cells are estimates, and a column whose "
        "values hardly repeat there may repeat in the whole table. Copies of rows, groups in two parts and changes "
        "with time were not looked for.",
    ]
