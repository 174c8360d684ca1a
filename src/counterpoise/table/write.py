"""Writing a table: the whole file or nothing, and never over another one unasked."""

import os
from contextlib import suppress
from pathlib import Path

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.bundle import beside, refuse_existing


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


def write_table(frame: pl.DataFrame, out: Path, *, overwrite: bool = False) -> None:
    """Write a whole CSV or Parquet file, or nothing; what others put there meanwhile stays, unless told otherwise."""
    partial = beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            if out.suffix.lower() == ".csv":
                frame.write_csv(file)
            else:
                frame.write_parquet(file)
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
