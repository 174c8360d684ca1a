"""A table as it was read, from a file, a folder of files or a pattern, and its target."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.reading.files.delimited import read_delimited
from counterpoise.table.reading.files.table_files import NO_PARQUET, TableFiles, no_parquet, table_files
from counterpoise.table.reading.kinds import read_text
from counterpoise.table.reading.memory import refuse_too_many_cells
from counterpoise.table.reading.named_columns import ignored_columns
from counterpoise.table.reading.numbers import SAID_NOTHING, Marks, NumberFormat
from counterpoise.table.reading.thinned import Thinned
from counterpoise.table.reading.words import as_words
from counterpoise.wording import data_rows, listed, quoted


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it was read.

    Parameters
    ----------
    frame
        The columns, typed.
    path
        Path of the table, for messages.
    typed
        Whether the file declares its types (Parquet), so that they are trusted.
    forms
        Written form of the dates in columns that were text, by name.
    ignored
        Columns that are omitted on request; few of them are in the frame, and none is learned from.
    declared
        Columns that their type declares to be categories, although they may hold numbers.
    separator
        The separator of the cells of a text file.
    figures
        Written form of the numbers in columns that were text and are not plain, by name.
    doubts
        Reasons why columns cannot be learned from as they are, by name.
    said
        Decisions of the reading, in sentences.
    thinned
        What is known of the rows that are not in the frame; None where all are.
    """

    frame: pl.DataFrame
    path: Path
    typed: bool
    forms: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    declared: frozenset[str] = frozenset()
    separator: str | None = None
    figures: Mapping[str, NumberFormat] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    thinned: Thinned | None = None


def read_table(path: Path, *, spelled: bool = False, ignore: Sequence[str] = (), keep: Collection[str] = ()) -> Table:
    r"""Read a CSV file (.csv, .tsv, .txt, also in .gz or .zip), a Parquet file, or several of one kind.

    Parameters
    ----------
    path
        As for `table_files`: the file; or a folder or a pattern, whose files are parts of one table.
    spelled
        Whether all cells of a CSV stay text as they are spelled, including marks of missing values; `with_numbers` and
        `with_dates` read them later.
    ignore
        Columns that are not read, by name or pattern: the content of their cells does no harm.
    keep
        Names of columns that are read even if they are ignored.

    Raises
    ------
    UserError
        If there is no such file, if it is not what its name says, if it has no rows, or if nothing matches what is to
        be ignored.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "t.csv")
    ...     _ = path.write_text("kind,size\noak,3\nfir,NA\n")
    ...     read_table(path).frame.dtypes
    [String, Int64]
    """
    found = table_files(path)
    if found.typed:
        frame, ignored = _read_parquet(path, ignore, keep, found)
        table = Table(frame, path, typed=True, ignored=ignored)
    else:
        frame, ignored, separator = read_delimited(found.files, path, ignore=ignore, keep=keep)
        _refuse_quoted_lines(frame, separator, path)
        table = Table(frame, path, typed=False, separator=separator, ignored=ignored)
    if table.frame.height == 0:
        raise UserError(f"{path} has no rows")
    return table if spelled or table.typed else with_numbers(table)


def with_numbers(table: Table, leave_out: Collection[str] = (), marks: Marks = SAID_NOTHING) -> Table:
    """The same with numbers and flags for text that is such, and how the numbers were written.

    Parameters
    ----------
    table
        The table to learn from.
    leave_out
        Targets: in a table with declared types their text is names, which stay unchanged.
    marks
        The user's decimal and thousands marks.

    Examples
    --------
    >>> table = Table(pl.DataFrame({"price": ["$1,250.50", "$3"], "kind": [" a", "NA"]}), Path("t.parquet"), typed=True)
    >>> found = with_numbers(table, ["kind"])
    >>> found.frame.rows(), found.figures["price"].in_words
    ([(1250.5, 'a'), (3.0, None)], '$ amounts with thousands commas')
    """
    kept = leave_out if table.typed else ()
    words = [one.name for one in table.frame.get_columns() if _is_words(one, table, kept)]
    frame = table.frame.with_columns(as_words(table.frame[name]) for name in words)
    text = [one.name for one in frame.get_columns() if one.dtype == pl.String and one.name not in words]
    if not text:
        return replace(table, frame=frame)
    read = read_text(frame.select(text), separator=table.separator, typed=table.typed, marks=marks)
    return replace(
        table,
        frame=frame.with_columns(read.frame.get_columns()),
        figures=read.figures,
        doubts=read.doubts,
        said=(*table.said, *read.said),
    )


def without_empty_rows(table: Table) -> Table:
    """The same without rows in which no cell is filled, as spreadsheets leave them: nothing can be learned from them.

    Examples
    --------
    >>> table = Table(pl.DataFrame({"size": [1.5, None, 2.5], "kind": ["a", " ", None]}), Path("t.csv"), typed=False)
    >>> found = without_empty_rows(table)
    >>> found.frame.height, found.said
    (2, ('1 row is empty and was left out (data row 2).',))
    """
    if table.thinned is not None or table.frame.width < 2 or not is_empty(table.frame.to_series(0)).any():
        return table
    empty = pl.select(pl.all_horizontal(*map(is_empty, table.frame.get_columns()))).to_series()
    rows = np.flatnonzero(empty.to_numpy())
    if not 0 < len(rows) < table.frame.height:
        return table
    return replace(table, frame=table.frame.filter(~empty), said=(*table.said, empty_rows(rows)))


def empty_rows(rows: NDArray[np.int64]) -> str:
    """A sentence on rows that were left out, from their places."""
    many = "1 row is empty and was" if len(rows) == 1 else f"{len(rows):,} rows are empty and were"
    return f"{many} left out ({data_rows(rows)})."


def is_empty(column: pl.Series) -> pl.Series:
    """Of each cell: whether it is missing, or text of blanks only."""
    missing = column.is_null()
    if column.dtype == pl.String:
        return missing | column.str.contains(r"^\s*$").fill_null(True)
    return missing | column.is_nan().fill_null(True) if column.dtype.is_float() else missing


def _is_words(column: pl.Series, table: Table, targets: Collection[str]) -> bool:
    """Whether the type of a column says that its values are names."""
    if column.dtype in (pl.Categorical, pl.Enum):
        return True
    if column.name in targets:
        return column.dtype == pl.String
    return column.name in table.declared and (column.dtype == pl.String or column.dtype.is_numeric())


def check_columns(table: Table, names: list[str]) -> None:
    """Refuse a table that lacks a column.

    Examples
    --------
    >>> check_columns(Table(pl.DataFrame({"size": [1]}), Path("t.csv"), typed=False), ["sise"])
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: t.csv has no column 'sise'; did you mean 'size'? its columns: size
    """
    columns = table.frame.columns
    present = set(columns)
    absent = [name for name in names if name not in present]
    if not absent:
        return
    if len(columns) == 1 and any(name in columns[0] for name in absent):
        found = f"{table.path} was read as one column, {quoted(columns[0])}"
        if any(separator in columns[0] for separator in ",;\t|"):
            raise UserError(f"{found}: each line is one quoted cell; remove the quotes around the lines")
        raise UserError(f"{found}; comma, semicolon, tab or | must separate the cells")
    if len(absent) == 1:
        close = difflib.get_close_matches(absent[0], columns, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"{table.path} has no column {absent[0]!r}; {hint}its columns: {listed(columns, 30)}")
    raise UserError(
        f"{table.path} lacks the columns {listed(map(repr, absent), 30)}; its columns: {listed(columns, 30)}"
    )


def _refuse_quoted_lines(frame: pl.DataFrame, separator: str, path: Path) -> None:
    """Refuse a file below whose header each line is one cell in quotes that holds the whole row."""
    wide = frame.width
    if wide < 2 or not frame.height or any(one.null_count() < len(one) for one in frame.get_columns()[1:]):
        return
    held = frame.to_series(0).drop_nulls()
    if len(held) and (held.str.count_matches(separator, literal=True) >= wide - 1).all():
        raise UserError(
            f"{path}: each line is one quoted cell, such as {quoted(held[0])}; remove the quotes around the lines"
        )


def refuse_doubtful(table: Table, name: str) -> None:
    """Refuse to learn from a column that cannot be read without more information."""
    if name in table.doubts:
        raise UserError(f"{table.path}: {table.doubts[name]}")


def _read_parquet(
    path: Path, ignore: Sequence[str], keep: Collection[str], found: TableFiles
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns of all files, and the names of those that are ignored."""
    columns = found.columns
    ignored = ignored_columns(columns, ignore, path)
    wanted = [name for name in columns if name not in ignored or name in keep]
    refuse_too_many_cells(path, sum(map(rows_of, found.files)), len(wanted))
    parts = [_read_part(file, wanted) for file in found.files]
    return (parts[0] if len(parts) == 1 else pl.concat(parts, how="vertical_relaxed")), ignored


def rows_of(path: Path) -> int:
    """The number of rows of a Parquet file."""
    try:
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    except NO_PARQUET as error:
        raise no_parquet(path, error) from None


def _read_part(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=columns, glob=False)
    except NO_PARQUET as error:
        raise no_parquet(path, error) from None
