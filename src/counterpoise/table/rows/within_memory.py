"""A table that may be larger than memory, read once in blocks: what is learned from is held, the rest goes to files.

One row in five of each class is for the test and one for the threshold. These are not thinned: they go to files, block
by block, and are scored from there, so what is measured and promised is that of the whole table. Of the others all rows
of the rare classes are held, and as many of the frequent ones as memory has room for; each of these stands for several.
Which rows are held depends on the seed and their places in the table alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.asked import Asked
from counterpoise.table.features.cells import meaning
from counterpoise.table.reading.files.delimited import one_separator, opened
from counterpoise.table.reading.files.table_files import NO_PARQUET, TableFiles, no_parquet, table_files
from counterpoise.table.reading.labels import named_labels
from counterpoise.table.reading.memory import Allowance
from counterpoise.table.reading.named_columns import ignored_columns
from counterpoise.table.reading.table import Table, check_columns, empty_rows, is_empty, read_table, rows_of
from counterpoise.table.reading.thinned import Thinned
from counterpoise.table.reading.words import as_words
from counterpoise.table.rows.dealing import TEST, TRAIN, AtRandom, Block, ByGroup, Dealer, by_time
from counterpoise.table.rows.draws import key_of, uniform
from counterpoise.wording import listed

_BLOCK = 131_072
_LEAST_SIZE = 5
"""One row in so many is for the test, and one for the threshold, unless that is more than memory can judge."""
_SLACK = 1.25
_MOST_CLASSES = 5_000
_MOST_TOGETHER, _BUCKETS = 8, 500
"""Labels of which each combination is a class of its own; the combinations of more are classes by chance."""
_UNKNOWN = "\x1f"
"""Between the values of several labels, which may be empty."""


def read_within(path: Path, asked: Asked, memory: int, place: Path) -> Table:
    """Read a table whole if it fits into some memory, and otherwise thinned.

    Parameters
    ----------
    path
        As for `read_table`.
    asked
        The request.
    memory
        Bytes that the training may take.
    place
        A folder for the rows that are not held.

    Returns
    -------
    Table
        With cells as they are spelled; `thinned` is None if all rows are held.

    Raises
    ------
    UserError
        As `read_table`; if the memory is too small, or a row has no target.
    """
    found = table_files(path)
    names = found.columns
    ignored = ignored_columns(names, asked.ignore, path)
    kept = [name for name in names if name not in ignored or name in asked.shown_columns]
    empty = Table(pl.DataFrame(schema=dict.fromkeys(kept, pl.String)), path, found.typed)
    targets = asked.targets or named_labels(empty, asked.target) or (asked.target,)
    check_columns(empty, [*targets, *asked.extra_columns])
    if asked.time is not None and asked.group is not None:
        raise UserError("time and group together need the whole table in memory; omit memory, or one of the two")
    allowed = Allowance(path, memory, len(kept), len(targets))
    reading = _Reading(found)
    size = max(_LEAST_SIZE, -(-reading.about_rows() // allowed.judged))
    dealer = _dealer(asked, path, reading, kept, size)
    keeper = _Keeper(allowed.rows, targets, asked, place)
    for frame in reading.blocks(kept):
        keeper.add(frame, dealer)
    if keeper.whole:
        return read_table(path, spelled=True, ignore=asked.ignore, keep=asked.shown_columns)
    table = Table(keeper.frame(), path, found.typed, ignored=ignored, separator=reading.separator, said=keeper.said)
    more = f"; one row in {size} for the test, and as many for the threshold" if size > _LEAST_SIZE else ""
    return keeper.thinned(table, dealer.how + more)


def _dealer(asked: Asked, path: Path, reading: "_Reading", columns: list[str], size: int) -> Dealer:
    if asked.group is not None:
        return ByGroup(asked.seed, size, asked.group)
    if asked.time is None:
        return AtRandom(asked.seed, size)
    first = Table(reading.first(columns), path, reading.typed, separator=reading.separator)
    return by_time(reading.blocks([asked.time]), asked.time, first, size, asked.seed, asked.marks, asked.dates)


class _Reading:
    """The rows of the files of a table, as often as they are asked for."""

    def __init__(self, found: TableFiles) -> None:
        self.separator: str | None = None
        self.typed = found.typed
        self._found = found

    def about_rows(self) -> int:
        """The number of rows: exactly, or for text by the length of the first ones."""
        files = self._found.files
        if self._found.typed:
            return sum(map(rows_of, files))
        first = self.first(self._found.columns)
        length = first.estimated_size() / max(first.height, 1) + first.width
        return round(sum(file.stat().st_size * _UNPACKED.get(file.suffix.lower(), 1) for file in files) / length)

    def first(self, columns: list[str]) -> pl.DataFrame:
        """The first rows."""
        return next((frame for frame in self.blocks(columns) if frame.height), pl.DataFrame(schema=columns))

    def blocks(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """The rows with some of the columns, in order."""
        return self._typed(columns) if self._found.typed else self._spelled(columns)

    def _typed(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        for file in self._found.files:
            try:
                rows = pl.scan_parquet(file, glob=False).select(columns)
                for frame in rows.collect_batches(chunk_size=_BLOCK, maintain_order=True):
                    yield from frame.iter_slices(_BLOCK)
            except NO_PARQUET as error:
                raise no_parquet(file, error) from None

    def _spelled(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        separators: dict[str, Path] = {}
        for file in self._found.files:
            with opened(file) as source:
                separators.setdefault(source.separator, file)
                self.separator = one_separator(separators)
                for frame in source.blocks():
                    yield frame.select(columns)


_UNPACKED = {".gz": 5, ".zip": 5}
"""About how many times as long the text of a packed file is."""


class _Classes:
    """The classes as they are spelled, and their rows so far."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._places: dict[str, int] = {}
        self.names: list[str] = []
        self._keys = np.zeros(0, np.uint64)
        self.rows = np.zeros(0, np.int64)
        self.train = np.zeros(0, np.int64)

    def codes(self, cells: pl.Series) -> NDArray[np.int64]:
        """The place of each cell's class (N,)."""
        spelled = {one: meaning(one) for one in cells.unique().to_list()}
        for one in sorted(spelled, key=lambda one: (spelled[one], one)):
            if spelled[one] not in self._places:
                self._places[spelled[one]] = len(self._places)
                self.names.append(one)
        new = len(self._places) - len(self.rows)
        if len(self._places) > _MOST_CLASSES:
            raise UserError(
                f"the target has more than {_MOST_CLASSES:,} distinct values; is it a number to estimate, or an "
                "identifier? a class has rows that repeat it"
            )
        if new:
            added = [key_of(self._seed, f"class {one}") for one in list(self._places)[-new:]]
            self._keys = np.concatenate([self._keys, *added])
            self.rows, self.train = (np.concatenate([one, np.zeros(new, np.int64)]) for one in (self.rows, self.train))
        places = {one: self._places[same] for one, same in spelled.items()}
        return cells.replace_strict(places, return_dtype=pl.Int64).to_numpy().astype(np.int64)

    def block(self, frame: pl.DataFrame, places: NDArray[np.uint64], codes: NDArray[np.int64]) -> Block:
        """The rows with what is needed to deal them; they are counted."""
        counted = np.bincount(codes, minlength=len(self.rows))
        order = np.argsort(codes, kind="stable")
        before = np.empty(len(codes), np.int64)
        begun = np.cumsum(counted) - counted
        before[order] = np.arange(len(codes)) - begun[codes[order]] + self.rows[codes[order]]
        self.rows = self.rows + counted
        return Block(frame, places, self._keys[codes], before)


class _Keeper:
    """What is held of the rows that go by, and what is written to files.

    Parameters
    ----------
    most
        Rows that may be held.
    targets
        Columns of the target.
    asked
        The request.
    place
        Folder of the files.
    """

    def __init__(self, most: int, targets: tuple[str, ...], asked: Asked, place: Path) -> None:
        self._most, self._targets, self._asked, self._place = most, targets, asked, place
        self._classes = _Classes(asked.seed)
        self._shown = list(dict.fromkeys([*targets, *(one for one in (asked.group, asked.slice) if one is not None)]))
        self._all: list[tuple[pl.DataFrame, NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]] = []
        self.whole = True
        self._held: list[pl.DataFrame] = []
        self._codes: list[NDArray[np.int64]] = []
        self._draws: list[NDArray[np.float64]] = []
        self._share = np.ones(0)
        self._least = np.ones(0)  # of each class the smallest draw, whose row is held in any case
        self._read = 0
        self._empty: list[NDArray[np.uint64]] = []
        self._waiting: list[pl.DataFrame] = []
        self._files: list[Path] = []
        self._aside: list[pl.DataFrame] = []
        self._tested: list[NDArray[np.bool_]] = []
        self._places: list[NDArray[np.uint64]] = []

    def add(self, frame: pl.DataFrame, dealer: Dealer) -> None:
        """The next rows."""
        frame, cells, places = self._with_targets(frame)
        if not frame.height:
            return
        codes = self._classes.codes(cells)
        block = self._classes.block(frame, places, codes)
        parts = dealer.parts(block)
        self._classes.train = self._classes.train + np.bincount(
            codes[parts == TRAIN], minlength=len(self._classes.rows)
        )
        waiting = [*self._all, (frame, block.places, codes, parts)]
        if self.whole and sum(rows.height for rows, *_ in waiting) <= self._most:
            self._all = waiting
            return
        self.whole, self._all = False, []
        for one in waiting:
            self._sort(*one)

    @property
    def said(self) -> tuple[str, ...]:
        """The empty rows, in a sentence."""
        rows = np.concatenate([np.zeros(0, np.uint64), *self._empty]).astype(np.int64)
        return (empty_rows(rows),) if len(rows) else ()

    def _with_targets(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series, NDArray[np.uint64]]:
        """The rows that are not empty, the class of each as text, and their places."""
        cells = self._spelled(frame)
        places = np.arange(self._read, self._read + frame.height, dtype=np.uint64)
        self._read += frame.height
        unknown = cells.is_null() | (cells == _UNKNOWN * (len(self._targets) - 1))
        if unknown.any():
            empty = pl.select(pl.all_horizontal(*map(is_empty, frame.get_columns()))).to_series()
            self._empty.append(places[empty.to_numpy()])
            frame, cells, places = frame.filter(~empty), cells.filter(~empty), places[~empty.to_numpy()]
            if cells.null_count():
                row = int(places[int(cells.is_null().arg_max() or 0)]) + 1
                raise UserError(
                    f"target {self._targets[0]!r} is missing in data row {row:,}; drop the rows without it first "
                    "(words such as NA, None and null count as missing)"
                )
        return frame, cells, places

    def _spelled(self, frame: pl.DataFrame) -> pl.Series:
        if len(self._targets) == 1:
            return as_words(frame[self._targets[0]])
        words = [as_words(frame[name]).fill_null("") for name in self._targets]
        together = frame.select(pl.concat_str(words, separator=_UNKNOWN).alias("class")).to_series()
        if len(self._targets) <= _MOST_TOGETHER:
            return together
        kinds = {one: str(int(key_of(0, one)[0]) % _BUCKETS) for one in together.unique().to_list()}
        kinds[_UNKNOWN * (len(self._targets) - 1)] = _UNKNOWN * (len(self._targets) - 1)
        return together.replace_strict(kinds, return_dtype=pl.String)

    def _sort(
        self,
        frame: pl.DataFrame,
        places: NDArray[np.uint64],
        codes: NDArray[np.int64],
        parts: NDArray[np.int64],
    ) -> None:
        """Rows to learn from are held, if they are drawn; the others are written."""
        if len(self._share) < len(self._classes.rows):
            new = np.ones(len(self._classes.rows) - len(self._share))
            self._share, self._least = np.concatenate([self._share, new]), np.concatenate([self._least, new])
        judged, draws = parts != TRAIN, uniform(key_of(self._asked.seed, "held"), places)
        if judged.any():
            rows = frame.filter(pl.Series(judged))
            self._aside.append(rows.select(self._shown))
            self._tested.append(parts[judged] == TEST)
            self._places.append(places[judged])
            self._waiting.append(rows)
            if sum(one.height for one in self._waiting) >= _BLOCK:
                self._write()
        np.minimum.at(self._least, codes[~judged], draws[~judged])
        held = ~judged & ((draws < self._share[codes]) | (draws == self._least[codes]))
        self._held.append(frame.filter(pl.Series(held)))
        self._codes.append(codes[held])
        self._draws.append(draws[held])
        if sum(map(len, self._codes)) > _SLACK * self._most:
            self._thin()

    def _thin(self) -> None:
        """Hold fewer rows of the classes that have most."""
        self._share = _shares(self._classes.train, self._most)
        codes, draws = np.concatenate(self._codes), np.concatenate(self._draws)
        kept = (draws < self._share[codes]) | (draws == self._least[codes])
        self._held = [pl.concat(self._held, how="vertical_relaxed").filter(pl.Series(kept))]
        self._codes, self._draws = [codes[kept]], [draws[kept]]

    def _write(self) -> None:
        if not self._waiting:
            return
        self._files.append(self._place / f"{len(self._files)}.arrow")
        try:
            pl.concat(self._waiting, how="vertical_relaxed").write_ipc(self._files[-1], compression="lz4")
        except (OSError, *NO_PARQUET) as error:
            raise UserError(f"cannot write to {self._place} ({error}); rows for the test wait there") from None
        self._waiting = []

    def frame(self) -> pl.DataFrame:
        """The rows that are held.

        Raises
        ------
        UserError
            If a part has no row, which groups may cause.
        """
        self._write()
        self._thin()
        (found,), self._held = self._held, []
        tested = np.concatenate([np.zeros(0, np.bool_), *self._tested])
        if not found.height or not tested.any() or tested.all():
            raise UserError(
                f"the group column {self._asked.group!r} has too few groups for a training, calibration and test part; "
                "it needs about 10"
            )
        return found

    def thinned(self, table: Table, how: str) -> Table:
        """The table with what is known of its other rows."""
        classes, codes = self._classes, np.concatenate(self._codes)
        kept = np.bincount(codes, minlength=len(classes.train))
        stands_for = (classes.train / np.maximum(kept, 1))[codes]
        aside = pl.concat(self._aside, how="vertical_relaxed")
        thinned = Thinned(
            rows=int(classes.rows.sum()),
            stands_for=stands_for,
            judged=tuple(self._files),
            places=np.concatenate(self._places),
            tested=np.concatenate(self._tested),
            aside=aside,
            how=how,
            kept=_kept_in_words(classes.names, classes.train, kept),
        )
        return replace(table, thinned=thinned)


def _shares(rows: NDArray[np.int64], most: int) -> NDArray[np.float64]:
    """Of each class the share of its rows to hold: as many rows of each as of the others, or all.

    Examples
    --------
    >>> _shares(np.array([900, 50]), 150).round(3).tolist()
    [0.111, 1.0]
    """
    ordered = np.sort(rows)
    left = most
    for place, size in enumerate(ordered):
        level = left / (len(ordered) - place)
        if size > level:
            return np.minimum(1.0, level / np.maximum(rows, 1))
        left -= int(size)
    return np.ones(len(rows))


def _kept_in_words(names: list[str], rows: NDArray[np.int64], kept: NDArray[np.int64]) -> str:
    """What is held of each class of the training part.

    Examples
    --------
    >>> _kept_in_words(["no", "yes"], np.array([900, 50]), np.array([90, 50]))
    '90 of 900 rows of class no, all 50 of class yes'
    """
    order = np.argsort(-rows, kind="stable").tolist()
    said = [
        f"all {rows[one]:,} of class {names[one]}"
        if kept[one] == rows[one]
        else f"{kept[one]:,} of {rows[one]:,} rows of class {names[one]}"
        for one in order
    ]
    return listed(said, 6)
