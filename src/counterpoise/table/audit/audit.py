"""What a table can show and what would mislead, found before anything is learned.

Nothing here needs a model. Counts, missing cells and copies come from the table itself. Leaks and drift come from the
out-of-fold signal of one column alone (`signal.py`). Exact binomial tests give the smallest effect that the test part
can show.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.decide.binomial import POWER, least_right, p_value
from counterpoise.decide.measured import share
from counterpoise.errors import UserError
from counterpoise.table.asked import words_of
from counterpoise.table.audit.drift import Drift, Moved, late_rows, most_moved_class, periods_of, spelled, time_places
from counterpoise.table.audit.facts import Audit, ClassFacts, Copies, Groups, Leak, MissingCells, SmallestEffect
from counterpoise.table.audit.findings import findings_of, verdict_of
from counterpoise.table.audit.leaks import find_late_times, find_leak, late_dates
from counterpoise.table.features.ages import learn_dates
from counterpoise.table.features.columns import refused_cells
from counterpoise.table.features.growth import Growing, growing_columns, row_order
from counterpoise.table.features.identifiers import Identifier, find_identifier, tells_classes
from counterpoise.table.features.reference_day import day_of
from counterpoise.table.features.seeming_dates import read_as_text
from counterpoise.table.features.signal import FOLDS, cells_of, signal
from counterpoise.table.reading.date_columns import dates_of
from counterpoise.table.reading.named_columns import option_words, parts_of, refuse_ignored
from counterpoise.table.reading.numbers import Marks
from counterpoise.table.reading.table import Table, check_columns, read_table, with_numbers, without_empty_rows
from counterpoise.table.reading.target import Labels, read_labels
from counterpoise.table.rows.enough import counts_of
from counterpoise.table.rows.split import Split, folds_of, sample_rows, split_rows

_LEVEL = 0.05
_MOST_ROWS = 300_000
_LEAST_OF_CLASS = 1000


def audit_table(
    path: str | Path,
    *,
    target: str,
    time: str | None = None,
    group: str | None = None,
    ignore: str | Sequence[str] = (),
    dates: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    as_of: Any = None,
    seed: int = 0,
) -> Audit:
    r"""Check a table before anything is learned from it.

    Parameters
    ----------
    path
        A file that `read_table` reads.
    target
        The column with the classes.
    time
        A column of dates, times or numbers that orders the rows: the audit compares later rows with earlier ones.
    group
        A column that shows which rows belong together (a customer, a patient).
    ignore
        Columns to omit: names and patterns, in a list or separated by commas.
    dates
        "day-first" or "month-first", for dates such as 03/04/2024 where nothing else decides.
    decimal, thousands
        The mark before a fraction and between groups of digits, as for `counterpoise.train`.
    as_of
        Day of the table: later dates were not known then.
    seed
        Seed of the split into three parts, 0 or more; default 0.

    Raises
    ------
    UserError
        If the table cannot be read, a column is absent, or the target is not a class.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "loans.csv")
    ...     lines = [f"{k},{k * k % 89},{'' if k % 9 else k % 7},{int(k % 9 == 0)}" for k in range(900)]
    ...     _ = path.write_text("id,income,closed,bad\n" + "\n".join(lines))
    ...     found = audit_table(path, target="bad")
    >>> [(leak.column, leak.certain) for leak in found.leaks], [one.column for one in found.identifiers]
    ([('closed', True)], ['id'])
    """
    if seed < 0:
        raise UserError(f"seed is {seed}; it must be 0 or more")
    marks = Marks(decimal, thousands)
    table = read_table(Path(path), spelled=True, ignore=parts_of("ignore", ignore))
    refuse_ignored(table.ignored, {"target": target, "time": time, "group": group}, table.frame.columns)
    table, refused = dates_of(with_numbers(table, [target], marks), [target, *table.ignored], dates)
    table = without_empty_rows(table)
    if time in refused:
        raise UserError(f"{table.path}: {refused[time]}")
    labels = read_labels(table, target)
    day = day_of(as_of)
    found = audit(table, labels, None, target=target, time=time, group=group, seed=seed, refused=refused, as_of=day)
    certain = [leak.column for leak in found.leaks if leak.certain]
    if not certain:
        return found
    read = {"dates": dates, "decimal": decimal, "thousands": thousands, "as_of": None if day is None else str(day)}
    words = words_of(time=time, group=group, **read, ignore=[*table.ignored, *certain])
    words = ["counterpoise", "train", str(table.path), *option_words("target", target), *words]
    return replace(found, command=shlex.join(words))


def audit(
    table: Table,
    labels: Labels,
    split: Split | None,
    *,
    target: str,
    time: str | None = None,
    group: str | None = None,
    seed: int = 0,
    refused: Mapping[str, str] | None = None,
    as_of: date | None = None,
) -> Audit:
    """The audit of a table that was already read, and perhaps split.

    Parameters
    ----------
    table, labels
        Results of `read_table` and `read_labels`.
    split
        The parts for training, calibration and test; None for stratified parts, or with `time` for the last fifth as
        test.
    target, time, group
        Names of columns.
    seed
        Seed of the parts and folds that are made here.
    refused
        Reasons why columns could not be read, by name.
    as_of
        Day of the table.
    """
    check_columns(table, [name for name in (target, time, group) if name is not None])
    for option, name in (("time", time), ("group", group)):
        if name == target:
            raise UserError(f"{option} is {name!r}, which is the target; name another column")
    if not table.frame.width > 1:
        raise UserError(f"{table.path} has no column besides {target!r}; there is nothing to learn from")
    frame, codes = table.frame.drop(table.ignored, strict=False), labels.codes
    names = tuple(str(one) for one in labels.classes)
    places = None if time is None else time_places(frame[time])
    parts = split if split is not None else _parts(codes, places, seed)
    columns = [name for name in frame.columns if name != target]
    constant, doubled = _same(frame, columns)
    looked = [name for name in columns if name not in constant and name != group]
    leaks, moved = _looked_at(frame.select(looked), codes, names, places, seed)
    if time is not None:
        known = {leak.column for leak in leaks}
        leaks += [leak for leak in find_late_times(frame, looked, time) if leak.column not in known]
    doubts = ((name, refused_cells(table, frame[name])) for name in columns if name != group)
    stuck = {**(refused or {}), **{name: why for name, why in doubts if why is not None}}
    named = [name for name in looked if name != time and name not in stuck]
    identifiers = _identifiers(frame.select(named), codes, parts.train)
    counts = np.bincount(codes, minlength=len(names))
    found = Audit(
        table=table.path.name,
        target=target,
        rows=frame.height,
        columns=frame.width,
        classes=class_facts(labels, parts),
        imbalance_ratio=float(counts.max() / max(counts.min(), 1)),
        smallest_effect=smallest_effect(codes, labels, parts.test),
        missing=_missing(frame, columns),
        constant=constant,
        duplicate_columns=doubled,
        copies=_copies(frame, codes, {target, *(one.column for one in identifiers)}, parts),
        leaks=tuple(sorted(leaks, key=lambda leak: (not leak.certain, -leak.auc))),
        identifiers=tuple(identifiers),
        drift=None if time is None or places is None else _drift(frame[time], places, codes, names, moved),
        groups=None if group is None else _groups(frame[group], parts),
        refused=tuple(stuck.values()),
        ignored=table.ignored,
        growing=_growing(frame, looked, time, identifiers),
        late=late_dates(frame, looked, as_of),
        dates=_dates(frame.select(looked), labels, parts.train, time, as_of) if split is None else (),
        seeming=read_as_text(frame.select(looked)) if split is None else (),
    )
    found = replace(found, readings=table.said, alike=labels.alike)
    found = replace(found, findings=findings_of(found))
    return replace(found, verdict=verdict_of(found))


def _dates(
    frame: pl.DataFrame, labels: Labels, learned: NDArray[np.int64], time: str | None, as_of: date | None
) -> tuple[str, ...]:
    dated = (column for column in frame.get_columns() if column.dtype in (pl.Date, pl.Datetime))
    values = {column.name: column for column in dated if column.null_count() < len(column)}
    classes = pl.DataFrame({"class": labels.codes[learned]})
    ordered = () if time is not None else row_order(frame, values)
    return learn_dates(values, learned, classes, time=time, as_of=as_of).said + ordered


def _growing(
    frame: pl.DataFrame, names: list[str], time: str | None, identifiers: Sequence[Identifier]
) -> tuple[Growing, ...]:
    named = {one.column for one in identifiers}
    return growing_columns(frame, [name for name in names if name not in named], time)


def _identifiers(frame: pl.DataFrame, codes: NDArray[np.int64], learned: NDArray[np.int64]) -> list[Identifier]:
    """The columns that identify rows; training sees only its own rows, and finds the same ones."""
    found = []
    for column in frame:
        tells = partial(lambda one: tells_classes(one.gather(learned), codes[learned]), column)
        found.append(find_identifier(column, tells))
    return [one for one in found if one is not None]


def _parts(codes: NDArray[np.int64], places: NDArray[np.int64] | None, seed: int) -> Split:
    if places is None:
        return split_rows(codes, seed=seed)
    tested = late_rows(places)
    earlier = np.flatnonzero(~tested)
    held = late_rows(places[earlier], 0.25)
    return Split(earlier[~held], earlier[held], np.flatnonzero(tested))


def _same(frame: pl.DataFrame, columns: list[str]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Columns with one value, and pairs of equal columns."""
    flat = [name for name in columns if not (frame[name].dtype.is_nested() or frame[name].dtype == pl.Object)]
    if not flat:
        return (), ()
    distinct = frame.select(pl.col(flat).n_unique()).row(0)
    constant = [name for name, values in zip(flat, distinct, strict=True) if values < 2]
    doubled: list[tuple[str, str]] = []
    seen: dict[tuple[int, int], list[str]] = {}
    at = np.arange(1, 2 * frame.height, 2, dtype=np.uint64)
    for name, values in zip(flat, distinct, strict=True):
        if values < 2:
            continue
        column = frame[name]
        alike = seen.setdefault((values, int((_bits(column) * at).sum())), [])
        twin = next((one for one in alike if frame[one].equals(column, null_equal=True)), None)
        if twin is None:
            alike.append(name)
        else:
            doubled.append((name, twin))
    return tuple(constant), tuple(doubled)


def _bits(column: pl.Series) -> NDArray[np.uint64]:
    """(N,), a number for each cell, equal for equal cells."""
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        return column.to_physical().cast(pl.Float64).to_numpy().view(np.uint64)
    return column.cast(pl.String).hash().to_numpy()


def _looked_at(
    frame: pl.DataFrame,
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    places: NDArray[np.int64] | None,
    seed: int,
) -> tuple[list[Leak], list[Moved]]:
    """Columns that give the class away, and how well each column alone separates later rows from earlier ones."""
    rows = sample_rows(codes, _MOST_ROWS, seed=seed, least=_LEAST_OF_CLASS)
    if len(rows) < frame.height:
        frame, codes, places = frame[rows], codes[rows], None if places is None else places[rows]
    classes = len(names)
    rare = codes == np.argmin(np.bincount(codes, minlength=classes))
    fold = folds_of(codes, FOLDS, seed=seed)
    late = None if places is None else late_rows(places).astype(np.int64)
    late_fold = None if late is None else folds_of(late, FOLDS, seed=seed)
    leaks: list[Leak] = []
    moved: list[Moved] = []
    for column in frame.get_columns():
        cells = cells_of(column, rare, classes=classes)
        if cells is None:
            continue
        leak = find_leak(column.name, cells, signal(cells, codes, fold, classes), names)
        if leak is not None:
            leaks.append(leak)
        if late is not None and late_fold is not None:
            auc = float(signal(cells, late, late_fold, 2).auc[1])
            moved.append(Moved(column.name, 0.5 if np.isnan(auc) else auc))
    return leaks, moved


def class_facts(labels: Labels, parts: Split) -> tuple[ClassFacts, ...]:
    """The rows of each class, in the whole table and in its parts."""
    names = tuple(str(one) for one in labels.classes)
    everything = np.arange(len(labels.codes))
    whole, *of_parts = (
        counts_of(labels, rows).n.tolist() for rows in (everything, parts.train, parts.calibration, parts.test)
    )
    return tuple(
        ClassFacts(name, rows, rows / sum(whole), *split)
        for name, rows, *split in zip(names, whole, *of_parts, strict=True)
    )


def smallest_effect(codes: NDArray[np.int64], labels: Labels, test: NDArray[np.int64]) -> SmallestEffect:
    """The smallest difference that the test part can show of the rarest class."""
    one = 1 if labels.positive is not None else int(np.argmin(np.bincount(codes)))
    rows = int((codes[test] == one).sum())
    half = share(rows / 2, rows)
    return SmallestEffect(str(labels.classes[one]), rows, half.low, half.high, _gain(rows))


def _gain(rows: int) -> float | None:
    """The smallest gain over one half that so many rows show, in four cases of five."""
    right = least_right(rows, 0.5, _LEVEL)
    if not np.isfinite(right):
        return None
    low, high = 0.5, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(right, rows, middle) >= POWER else (middle, high)
    return high - 0.5


def _missing(frame: pl.DataFrame, columns: list[str]) -> tuple[MissingCells, ...]:
    whole = frame.select(columns)
    empty = dict(zip(columns, whole.null_count().row(0), strict=True))
    floats = [name for name in columns if frame[name].dtype.is_float()]
    nowhere = dict(zip(floats, whole.select(pl.col(floats).is_nan().sum()).row(0), strict=True)) if floats else {}
    rows = {name: empty[name] + nowhere.get(name, 0) for name in columns}
    ordered = sorted((name for name in columns if rows[name]), key=lambda name: -rows[name])
    return tuple(MissingCells(name, rows[name], rows[name] / frame.height) for name in ordered)


def _copies(frame: pl.DataFrame, codes: NDArray[np.int64], without: set[str], parts: Split) -> Copies:
    columns = [
        one.name
        for one in frame.get_columns()
        if one.name not in without and not one.dtype.is_nested() and one.dtype != pl.Object
    ]
    if not columns:
        return Copies(0, 0, 0)
    _, alike = np.unique(frame.select(columns).hash_rows().to_numpy(), return_inverse=True)
    classes = int(codes.max()) + 1
    kinds = np.unique(alike * classes + codes)
    contested = np.bincount(kinds // classes) > 1
    elsewhere = np.concatenate([parts.train, parts.calibration])
    across = np.isin(alike[parts.test], alike[elsewhere])
    return Copies(len(codes) - len(kinds), int(across.sum()), int(contested[alike].sum()))


def _drift(
    time: pl.Series,
    places: NDArray[np.int64],
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    moved: list[Moved],
) -> Drift:
    late = late_rows(places)
    periods, counted = periods_of(time, places, codes, len(names))
    of_class = most_moved_class(counted)
    return Drift(
        time=time.name,
        since=spelled(time.filter(pl.Series(late)).min()),
        late=int(late.sum()),
        periods=periods,
        class_moved=None if of_class is None else names[of_class[0]],
        lowest=0.0 if of_class is None else of_class[1],
        highest=0.0 if of_class is None else of_class[2],
        columns=tuple(sorted((one for one in moved if one.column != time.name), key=lambda one: -one.auc)),
    )


def _groups(column: pl.Series, parts: Split) -> Groups:
    if column.dtype.is_nested() or column.dtype == pl.Object:
        raise UserError(f"group {column.name!r} holds {column.dtype}; name a column of text or numbers")
    group = column.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
    sizes = np.bincount(group)
    sizes[0] = 0  # rows without a group belong to nobody
    elsewhere = np.concatenate([parts.train, parts.calibration])
    across = np.isin(group[parts.test], group[elsewhere]) & (group[parts.test] > 0)
    return Groups(column.name, int((sizes > 0).sum()), int(sizes.max()), int(across.sum()))
