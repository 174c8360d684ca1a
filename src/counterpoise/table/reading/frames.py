"""Tables that are in memory already: frames of pandas and of Polars.

pandas is never imported here: a frame that arrives has brought it.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import polars as pl

from counterpoise.errors import UserError, warn_user
from counterpoise.table.reading.dates import fixed_zone
from counterpoise.table.reading.files.dialect import refuse_twice
from counterpoise.table.reading.named_columns import ignored_columns
from counterpoise.table.reading.table import Table
from counterpoise.wording import quoted

_THREE_DIGITS = re.compile(r"^-?[0-9]{1,3}\.[0-9]{3}$")
FRAME = Path("the frame")
"""Stands for the path of a table that has none."""


def table_of(
    frame: Any, *, ignore: Sequence[str] = (), keep: Collection[str] = (), only: Collection[str] | None = None
) -> Table:
    """A pandas or Polars frame as a table; its types are trusted, its index is ignored.

    Parameters
    ----------
    frame
        A `pandas.DataFrame` or a `polars.DataFrame`. Cells are numbers, flags, dates, times, text or missing; in a
        column of objects, whole numbers next to text become text.
    ignore, keep
        As in `read_table`.
    only
        The columns that are read; the content of others does no harm. None: all.

    Raises
    ------
    UserError
        If it is something else, has no rows, column names of several levels, two columns of one name, or a cell that
        holds a list, a dict or another object.

    Examples
    --------
    >>> table_of(pl.DataFrame({"size": [1, 2]})).frame.columns
    ['size']
    >>> table_of({"size": [1, 2]})
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: a table is a pandas or a Polars DataFrame, or the path of a file; this is a dict
    """
    declared: frozenset[str] = frozenset()
    if isinstance(frame, pl.LazyFrame):
        raise UserError("a Polars LazyFrame has no rows yet; call its collect() first")
    if isinstance(frame, pl.DataFrame):
        ignored = ignored_columns(frame.columns, ignore, FRAME)
        dropped = [name for name in ignored if name not in keep]
        read = frame.drop(dropped) if dropped else frame
    elif type(frame).__module__.partition(".")[0] == "pandas" and getattr(frame, "ndim", 0) == 2:
        if getattr(frame.columns, "nlevels", 1) > 1:
            raise UserError(
                f"the names of the frame's columns have {frame.columns.nlevels} levels; make one of them: "
                "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
            )
        names = [str(name) for name in frame.columns]
        refuse_twice(names, FRAME)
        ignored = ignored_columns(names, ignore, FRAME)
        read = _of_pandas(frame.loc[:, [name not in ignored or name in keep for name in names]], only)
        declared = frozenset(
            name for name, dtype in zip(names, frame.dtypes, strict=True) if type(dtype).__name__ == "CategoricalDtype"
        )
    else:
        raise UserError(
            f"a table is a pandas or a Polars DataFrame, or the path of a file; this is a {type(frame).__name__}"
        )
    for column in read.get_columns():
        if only is not None and column.name not in only:
            continue
        if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
            place = int(column.is_not_null().arg_max() or 0)
            cell = column[place] if column.null_count() < len(column) else ""
            raise _no_cell(column.name, place, type(cell).__name__ if column.dtype == pl.Object else column.dtype, cell)
    if read.height == 0:
        raise UserError(f"{FRAME} has no rows")
    return Table(read, FRAME, typed=True, ignored=ignored, declared=declared)


def _of_pandas(frame: Any, only: Collection[str] | None) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    return pl.DataFrame(
        [
            _of_column(name, frame.iloc[:, place])
            if only is None or name in only
            else pl.Series(name, [None]).new_from_index(0, len(frame))  # its name helps whoever misspelled another
            for place, name in enumerate(names)
        ]
    )


def _of_column(name: str, column: Any) -> pl.Series:
    if type(column.dtype).__name__ == "SparseDtype":
        column = column.sparse.to_dense()
    dtype = column.dtype
    kind = getattr(dtype, "kind", "O")
    missing = column.isna().to_numpy()
    if type(dtype).__name__ == "ArrowDtype" and kind not in "iuf" and not str(dtype).startswith("timestamp"):
        kind = "O"  # its days, times of day and flags are best as Python's
    if type(dtype).__name__ == "CategoricalDtype":
        values = _of_objects(name, list(dtype.categories))
        codes = pl.Series(column.cat.codes.to_numpy().astype(np.int64))
        return values.gather(codes.set(pl.Series(missing), None)).alias(name)
    if type(dtype).__name__ == "PeriodDtype":
        return _of_column(name, column.dt.start_time)
    if kind in "Mm" and not missing.all():
        zone = column.dt.tz if kind == "M" else None
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone else column
        values = pl.Series(name, plain.to_numpy().astype(f"{kind}8[us]"))
        return values.dt.replace_time_zone("UTC").dt.convert_time_zone(_zone(name, zone)) if zone else values
    if kind in "biuf":
        if isinstance(dtype, np.dtype):
            values = pl.Series(name, column.to_numpy(np.float64) if dtype == np.longdouble else column.to_numpy())
            return values.fill_nan(None) if values.dtype.is_float() else values
        filled = column.to_numpy(dtype=np.dtype(f"{kind}{dtype.itemsize}" if kind != "b" else "bool"), na_value=0)
        return pl.Series(name, filled).set(pl.Series(missing), None)
    if kind == "c":
        raise _no_cell(name, 0, dtype, column.iloc[0])
    cells = column.to_numpy(dtype=object).copy()
    cells[missing] = None
    return _of_objects(name, cells.tolist())


def _zone(column: str, zone: Any) -> str:
    """The name of a time zone; one that has none, such as UTC+02:00, is named by its distance from UTC."""
    # zones of dateutil show their file, /usr/share/zoneinfo/Europe/Berlin, and nothing else that names them
    parts = str(getattr(zone, "_filename", zone)).split("/")
    known = available_timezones()
    for place in range(len(parts)):
        if (name := "/".join(parts[place:])) in known:
            return name
    offsets = {zone.utcoffset(datetime(year, month, 1)) for year in range(1970, 2038) for month in range(1, 13)}
    minutes = int(offsets.pop().total_seconds()) // 60
    name = "UTC" if offsets else fixed_zone(minutes)
    if offsets or (minutes and name == "UTC"):
        warn_user(
            f"column {column!r} has times of the zone {zone}, which has no name such as Europe/Berlin; their month, "
            "weekday and hour are taken in UTC"
        )
    return name


def _of_objects(name: str, cells: Sequence[Any]) -> pl.Series:
    kinds = Counter(type(cell) for cell in cells if cell is not None)
    if all(issubclass(kind, str) for kind in kinds):
        return pl.Series(name, cells, dtype=pl.String)
    for place, cell in enumerate(cells):
        if isinstance(cell, (list, dict, set, tuple, bytes)) or np.ndim(cell):
            raise _no_cell(name, place, type(cell).__name__, cell)
    spelled = any(issubclass(kind, str) for kind in kinds)
    try:
        if not spelled:
            return _of_plain(name, cells)
        return pl.Series(name, [_spelled(cell) for cell in cells], dtype=pl.String)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        odd = _odd_one(cells)
        raise _no_cell(name, odd, type(cells[odd]).__name__, cells[odd]) from None


def _of_plain(name: str, cells: Sequence[Any]) -> pl.Series:
    plain = [cell.item() if isinstance(cell, np.generic) else cell for cell in cells]
    kinds = {type(cell) for cell in plain if cell is not None}
    if kinds and all(issubclass(kind, date) for kind in kinds) and (len(kinds) > 1 or any(map(_zoned, plain))):
        # Polars would take no notice of a zone that only some of them have; the whole column decides what they are
        return pl.Series(name, [None if cell is None else str(cell) for cell in plain], dtype=pl.String)
    if len(kinds) > 1 and kinds <= {bool, int, float, Decimal}:
        number = int if kinds == {bool, int} else float
        plain = [None if cell is None else number(cell) for cell in plain]
    return pl.Series(name, plain, strict=True)


def _zoned(cell: date | None) -> bool:
    return getattr(cell, "tzinfo", None) is not None


def _odd_one(cells: Sequence[Any]) -> int:
    """The place of the first cell that is not of the first one's type, or is too large for any."""
    held = [place for place, cell in enumerate(cells) if cell is not None]
    for place in held:
        cell = cells[place]
        if type(cell) is not type(cells[held[0]]) or (isinstance(cell, int) and abs(cell) >= 2**127):
            return place
    return held[0]


def _spelled(cell: Any) -> str | None:
    """250 next to "V57" is the code "250", whether an empty cell elsewhere made it 250.0 or not."""
    if cell is None:
        return None
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    # of a number that is known 1.125 must not become text that may be 1125
    return str(cell) + "0" * (not isinstance(cell, str) and _THREE_DIGITS.search(str(cell)) is not None)


def _no_cell(name: str, place: int, kind: object, cell: Any) -> UserError:
    return UserError(
        f"{FRAME}: column {name!r} holds {kind} in row {place + 1} ({quoted(cell)}); a cell is a number, a "
        "flag, a date, text or missing: make columns of it, or leave it out"
    )
