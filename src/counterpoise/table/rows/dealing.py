"""The part of each row of a table that is read in blocks: for training, for the threshold or for the test."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.cells import meaning, usable
from counterpoise.table.features.columns import kind_of
from counterpoise.table.features.schema import NUMBER, Column, Schema
from counterpoise.table.reading.date_columns import dates_of, with_dates
from counterpoise.table.reading.dates import ORDERS
from counterpoise.table.reading.numbers import PLAIN, Marks
from counterpoise.table.reading.table import Table, with_numbers
from counterpoise.table.reading.words import as_words
from counterpoise.table.rows.draws import bits, key_of, two_places, uniform

TRAIN, CALIBRATION, TEST = 0, 1, 2
_FIRST_ROWS = 3
_LOOKED_AT = 400_000
"""Times that are held to find out from when on rows are late."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of a table.

    Parameters
    ----------
    frame
        The rows.
    places
        Place of each row in the table, from 0, (N,).
    keys
        A key of each row's class, (N,).
    before
        Number of rows of its class before each row, (N,).
    """

    frame: pl.DataFrame
    places: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    before: NDArray[np.int64]


class Dealer(Protocol):
    """Gives each row its part."""

    @property
    def how(self) -> str:
        """How, in a sentence."""

    def parts(self, block: Block) -> NDArray[np.int64]:
        """TRAIN, CALIBRATION or TEST for each row (N,)."""


@dataclass(frozen=True, slots=True)
class AtRandom:
    """Of each class in every `size` rows one for the threshold and one for the test."""

    seed: int
    size: int
    how: str = "at random, each class by itself"

    def parts(self, block: Block) -> NDArray[np.int64]:
        """As `Dealer`."""
        turn, place = np.divmod(block.before, self.size)
        key = bits(key_of(self.seed, "part"), block.keys, turn.astype(np.uint64))
        test, held = two_places(key, self.size)
        first_test, first_held = two_places(key, _FIRST_ROWS)  # a class of three rows is in every part
        test, held = np.where(turn == 0, first_test, test), np.where(turn == 0, first_held, held)
        return np.where(place == test, TEST, np.where(place == held, CALIBRATION, TRAIN))


@dataclass(frozen=True, slots=True)
class ByGroup:
    """One in every `size` groups for the threshold and one for the test; rows without a group are dealt one by one."""

    seed: int
    size: int
    column: str
    how: str = "at random, each group in one part"

    def parts(self, block: Block) -> NDArray[np.int64]:
        """As `Dealer`."""
        cells = as_words(block.frame[self.column])
        alone = cells.is_null().to_numpy()
        names = cells.unique().drop_nulls().to_list()
        keys = {name: int(key_of(self.seed, f"group {meaning(name)}")[0]) for name in names}
        drawn = uniform(cells.replace_strict(keys, default=0, return_dtype=pl.UInt64).to_numpy())
        drawn = np.where(alone, uniform(key_of(self.seed, "part"), block.places), drawn)
        return np.where(drawn < 1 / self.size, TEST, np.where(drawn < 2 / self.size, CALIBRATION, TRAIN))


@dataclass(frozen=True, slots=True, eq=False)
class ByTime:
    """The latest rows for the test, and those before them for the threshold.

    Parameters
    ----------
    column
        The column of times, and how it is read.
    held, tested
        The first time of the two parts.
    path, typed
        As in `Table`.
    """

    column: Column
    held: pl.Series
    tested: pl.Series
    path: Path
    typed: bool
    how: str = "by time: the latest rows are the test"

    def parts(self, block: Block) -> NDArray[np.int64]:
        """As `Dealer`."""
        table = Table(block.frame.select(self.column.name), self.path, self.typed)
        read, problems = usable(table, Schema((self.column,)), most_problems=1)
        times = read.frame[self.column.name]
        if problems:
            raise UserError(f"{self.path}: {problems[0].said(int(block.places[problems[0].row]) + 1)}")
        if times.null_count():
            row = int(block.places[int(times.is_null().arg_max() or 0)]) + 1
            raise UserError(f"time {self.column.name!r} is missing in data row {row:,}; drop the rows without it")
        if times.dtype.is_numeric():
            times = times.cast(pl.Float64)
        late, middle = ((times >= cut.cast(times.dtype)[0]).to_numpy() for cut in (self.tested, self.held))
        return np.where(late, TEST, np.where(middle, CALIBRATION, TRAIN))


def by_time(
    blocks: Iterable[pl.DataFrame], name: str, table: Table, size: int, seed: int, marks: Marks, order: str | None
) -> ByTime:
    """Read all times once, to find out from when on rows are late.

    Parameters
    ----------
    blocks
        All rows, in order, with the column of times.
    name
        Name of the column.
    table
        The first rows of the table, whose other columns may show the order of day and month.
    size
        One in so many rows is for the test, and one for the threshold.
    seed
        Seed of the sample of times that is held.
    marks, order
        The user's marks of numbers, and the order of day and month.

    Raises
    ------
    UserError
        If the column is neither date, time nor number, or has too few distinct times.
    """
    times = _sampled(blocks, name, seed)
    first, _ = dates_of(with_numbers(table, (), marks), (), order)
    shown = first.forms.get(name)
    read = Table(times.to_frame(), table.path, table.typed, separator=table.separator)
    read = with_dates(with_numbers(read, (), marks), (), shown if shown in ORDERS else order)
    cells = read.frame[name]
    kind = kind_of(cells)
    if not (cells.dtype.is_temporal() or cells.dtype.is_numeric()) or kind is None:
        example = times.drop_nulls().head(1).to_list()
        raise UserError(
            f"time {name!r} holds {cells.dtype}{f', such as {example[0]!r}' if example else ''}; write all dates as "
            "2024-01-31, all times as 2024-01-31 10:30, or name a column of numbers"
        )
    zone = getattr(cells.dtype, "time_zone", None) or ""
    column = Column(name, kind, form=read.forms.get(name, ""), zone=zone, figures=read.figures.get(name, PLAIN))
    if kind == NUMBER:
        cells = cells.cast(pl.Float64)
    ordered = cells.drop_nulls().sort()
    cuts = [ordered.slice(round((1 - share / size) * len(ordered)), 1) for share in (2, 1)]
    if not len(ordered) or not all(map(len, cuts)) or not ordered[0] < cuts[0][0] < cuts[1][0]:
        raise UserError(
            f"the time column {name!r} has too few distinct times for a training, calibration and test part; "
            "name another column, or omit it"
        )
    return ByTime(column, cuts[0], cuts[1], table.path, table.typed)


def _sampled(blocks: Iterable[pl.DataFrame], name: str, seed: int) -> pl.Series:
    """Cells of a column, all equally likely."""
    held: list[pl.Series] = []
    drawn: list[NDArray[np.float64]] = []
    most, first = 1.0, 0
    for block in blocks:
        draws = uniform(key_of(seed, "time"), np.arange(first, first + block.height, dtype=np.uint64))
        first += block.height
        kept = draws < most
        held.append(block[name].filter(pl.Series(kept)))
        drawn.append(draws[kept])
        if sum(map(len, drawn)) > 2 * _LOOKED_AT:
            every, cells = np.concatenate(drawn), pl.concat(held)
            most = float(np.partition(every, _LOOKED_AT)[_LOOKED_AT])
            held, drawn = [cells.filter(pl.Series(every < most))], [every[every < most]]
    return pl.concat(held)
