"""The files of a table: one, those of a folder, or those that a pattern names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.reading.files.delimited import names_of
from counterpoise.table.reading.files.unpacked import PACKED, SUFFIXES, first_line
from counterpoise.table.reading.named_columns import is_pattern

NO_PARQUET = (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException)
"""What Polars raises for a file that is damaged; a panic is no `Exception`."""
_PARQUET = (".parquet", ".pq")
_SPECIAL = ((S_ISFIFO, "a pipe"), (S_ISSOCK, "a socket"), (S_ISCHR, "a device"), (S_ISBLK, "a device"))


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The files of one table, in the order of their names.

    Parameters
    ----------
    files
        At least one file.
    typed
        Whether they are Parquet, which declares its types; else they are delimited text.
    """

    files: tuple[Path, ...]
    typed: bool

    @property
    def columns(self) -> list[str]:
        """The names of the columns, without the rows."""
        return list(parquet_schema(self.files[0])) if self.typed else names_of(self.files[0])


def table_files(path: Path) -> TableFiles:
    """Find the files of a table, and check that they have the same columns.

    Parameters
    ----------
    path
        A file of Parquet or delimited text; a folder of Parquet files, or else of text files; or a pattern of such
        files, such as days/*.csv.

    Raises
    ------
    UserError
        If there is no such file, if one is neither Parquet nor text, or if they differ in their columns or types.

    Examples
    --------
    >>> table_files(Path("nothing.csv"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: no such file: nothing.csv
    """
    files = named_files(path)
    kinds = [is_parquet(file) for file in files]
    if len(set(kinds)) > 1:
        text, parquet = files[kinds.index(False)], files[kinds.index(True)]
        raise UserError(f"{path} names files of text and of Parquet, such as {text} and {parquet}; name one kind")
    if len(files) > 1:
        (_refuse_other_types if kinds[0] else _refuse_other_names)(files)
    return TableFiles(tuple(files), kinds[0])


def named_files(path: Path) -> list[Path]:
    """The files that a path or a pattern names, by name; a file that cannot be read is found where it is read.

    Raises
    ------
    UserError
        If a folder has no file of a table, or nothing matches a pattern.
    """
    try:
        if path.exists() or not is_pattern(str(path)):
            found = [path]
        else:
            found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        inside = {one: sorted(file for file in one.iterdir() if _is_one(file)) for one in found if one.is_dir()}
    except (OSError, ValueError) as error:
        raise _not_read(path, error) from None
    if not found:
        raise UserError(f"no file matches {path}; put the pattern in quotes, and check the folder")
    empty = [folder for folder, files in inside.items() if not files]
    if empty:
        raise UserError(f"{empty[0]} is a directory without .parquet or .csv files; name a CSV or Parquet file")
    return [file for one in found for file in (_preferred(inside[one]) if one in inside else [one])]


def _is_one(path: Path) -> bool:
    return is_table(path) and path.is_file()


def _preferred(files: list[Path]) -> list[Path]:
    """Of a folder's files the Parquet ones; those of text may be copies of them."""
    return [one for one in files if one.suffix.lower() in _PARQUET] or files


def is_table(path: Path) -> bool:
    """Whether a file is one of a table, by its name.

    Examples
    --------
    >>> is_table(Path("days.csv.gz")), is_table(Path("days.parquet")), is_table(Path("README.md"))
    (True, True, False)
    """
    return path.suffix.lower() in _PARQUET or _is_delimited(path)


def _is_delimited(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        return suffixes[-1] == ".zip" or (len(suffixes) > 1 and suffixes[-2] in SUFFIXES)
    return bool(suffixes) and suffixes[-1] in SUFFIXES


def is_parquet(file: Path) -> bool:
    """Whether a file of a table is Parquet; else it is delimited text.

    Raises
    ------
    UserError
        If there is no such file, or it is neither.
    """
    try:
        found = file.stat()
    except FileNotFoundError:
        raise UserError(f"no such file: {file}") from None
    except (OSError, ValueError) as error:
        raise _not_read(file, error) from None
    if not S_ISREG(found.st_mode):
        special = ((S_ISDIR, "a directory"), *_SPECIAL)
        kind = next((said for is_one, said in special if is_one(found.st_mode)), "no file")
        raise UserError(f"{file} is {kind}, which cannot be read twice; save its rows as a file first")
    if found.st_size == 0:
        raise UserError(f"{file} is empty")
    if file.suffix.lower() in _PARQUET:
        return True
    if _is_delimited(file):
        return False
    raise UserError(
        f"{file} is neither .csv, .tsv, .csv.gz nor .parquet"
        + ("; save the sheet as CSV" if file.suffix.lower() in (".xlsx", ".xls", ".ods") else "")
    )


def parquet_schema(file: Path) -> dict[str, pl.DataType]:
    """The names and types of the columns of a Parquet file."""
    try:
        return dict(pl.scan_parquet(file, glob=False).collect_schema())
    except NO_PARQUET as error:
        raise no_parquet(file, error) from None


def no_parquet(file: Path, error: BaseException) -> UserError:
    """What is wrong with a file that Polars could not read."""
    return UserError(f"{file} is not a readable Parquet file ({first_line(error)})")


def _refuse_other_types(files: Sequence[Path]) -> None:
    schemas = [parquet_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        _refuse_other_columns(files[0], list(schemas[0]), file, list(schema))
        for name, dtype in schemas[0].items():
            other = schema[name]
            if other != dtype and not (other.is_numeric() and dtype.is_numeric()) and pl.Null not in (other, dtype):
                raise UserError(f"{file}: column {name!r} is {other}, but {dtype} in {files[0].name}; use one type")


def _refuse_other_names(files: Sequence[Path]) -> None:
    first = names_of(files[0])
    for file in files[1:]:
        _refuse_other_columns(files[0], first, file, names_of(file))


def _refuse_other_columns(first: Path, columns: list[str], file: Path, others: list[str]) -> None:
    odd = set(others) ^ set(columns)
    if odd:
        shown = ", ".join(map(repr, sorted(odd)[:5]))
        raise UserError(f"{file} and {first.name} differ in their columns: only one of them has {shown}")


def _not_read(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})")
