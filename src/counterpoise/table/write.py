"""Writing a file: the whole of it or nothing, never over another one unasked, and harmless where it is opened.

A spreadsheet runs a cell of a CSV that begins with = + - or @ as a formula. Such text, which may come from anybody who
filled in a form, is written with an apostrophe before it; numbers are left alone, and Parquet is written as it is.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.bundle import beside, refuse_existing

_FORMULA = r"^[\s\x00]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]"
_NUMBER = r"^\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\s*%?$|^\s*-+\s*$|^[+-]inf$"


def check_place(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that cannot be written, before the work rather than after it.

    Examples
    --------
    >>> check_place(Path("scores.txt"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: scores.txt ends neither in .parquet nor in .csv
    """
    if not (overwrite and out.is_file()):
        refuse_existing(out)
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise UserError(f"{out} ends neither in .parquet nor in .csv")


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with an apostrophe before each text, and each column name, that a spreadsheet would run.

    Parameters
    ----------
    frame
        What is to be a CSV.

    Examples
    --------
    >>> without_formulas(pl.DataFrame({"cell": ["=1+1", "-5", "@x", "plain"]}))["cell"].to_list()
    ["'=1+1", '-5', "'@x", 'plain']
    """
    text = [one.name for one in frame.get_columns() if one.dtype in (pl.String, pl.Categorical, pl.Enum)]
    cells = {name: pl.col(name).cast(pl.String) for name in text}
    quoted = [
        pl.when(cell.str.contains(_FORMULA) & ~cell.str.contains(_NUMBER)).then("'" + cell).otherwise(cell).alias(name)
        for name, cell in cells.items()
    ]
    names = pl.Series(frame.columns, dtype=pl.String)
    harmful = names.str.contains(_FORMULA) & ~names.str.contains(_NUMBER)
    harmless = [f"'{name}" if bad else name for name, bad in zip(names, harmful, strict=True)]
    return frame.with_columns(quoted).rename(dict(zip(names, harmless, strict=True)))


def write_table(frame: pl.DataFrame, out: Path, *, overwrite: bool = False) -> None:
    """Write a whole CSV or Parquet file, or nothing; what others put there meanwhile stays, unless told otherwise.

    Text that a spreadsheet would run as a formula is quoted in a CSV.
    """
    if out.suffix.lower() == ".csv":
        _write(lambda file: without_formulas(frame).write_csv(file), out, overwrite=overwrite)
    else:
        _write(lambda file: frame.write_parquet(file), out, overwrite=overwrite)


def write_text(text: str, out: Path) -> None:
    """Write a whole file of UTF-8, or nothing."""
    _write(lambda file: file.write(text.encode()), out, overwrite=False)


def _write(write: Callable[[BinaryIO], object], out: Path, *, overwrite: bool) -> None:
    partial = beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            write(file)
        if overwrite:
            partial.replace(out)
            return
        try:
            os.link(partial, out)  # fails where there is something, which renaming would replace
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with out.open("xb"):
                partial.replace(out)
    except FileExistsError:
        raise UserError(f"{out} exists already; name another place or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
