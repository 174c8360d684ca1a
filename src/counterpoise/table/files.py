"""Writing a file: completely or not at all, never over another one unasked, and harmless when opened.

A spreadsheet runs a cell of a CSV that begins with = + - or @ as a formula. Such text may come from anybody who filled
in a form, so it is written with an apostrophe before it. Numbers and Parquet files are not changed.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISCHR, S_ISFIFO, S_ISSOCK
from typing import BinaryIO

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.unfinished import unfinished

_FORMULA = r"^[\s\x00]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]"
_OWN_OUTPUT = re.compile("/dev/(?:stdout|stderr|fd/[0-9]+)$|/proc/(?:self|[0-9]+)/fd/[0-9]+$")
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
        refuse_existing(out, streams=True)
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise UserError(f"{out} ends neither in .parquet nor in .csv")


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with an apostrophe before each text, and each column name, that a spreadsheet would run.

    Parameters
    ----------
    frame
        Content of a CSV file.

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
    """Write a whole CSV or Parquet file, or nothing; a file that appeared there meanwhile is kept by default.

    Text that a spreadsheet would run as a formula is quoted in a CSV.
    """
    with appended(out, overwrite=overwrite) as append:
        append(frame)


@contextmanager
def appended(out: Path, *, overwrite: bool = False) -> Iterator[Callable[[pl.DataFrame], None]]:
    """What appends frames of one schema to a CSV or Parquet file, which appears when all are there, or never.

    Memory holds one frame. A Parquet file needs its room on the disk twice meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with appended(Path(directory, "t.parquet")) as append:
    ...         append(pl.DataFrame({"x": [1]}))
    ...         append(pl.DataFrame({"x": [2]}))
    ...     pl.read_parquet(Path(directory, "t.parquet"))["x"].to_list()
    [1, 2]
    """
    with whole_file(out, overwrite=overwrite) as partial:
        if out.suffix.lower() == ".csv":
            with partial.open("xb") as file:
                yield _to_csv(file)
            return
        files: list[Path] = []

        def append(frame: pl.DataFrame) -> None:
            files.append(partial.with_name(f"{len(files)}.arrow"))
            with _as_os_error():
                frame.write_ipc(files[-1])

        yield append
        with _as_os_error():
            pl.scan_ipc(files, glob=False).sink_parquet(partial)


def _to_csv(file: BinaryIO) -> Callable[[pl.DataFrame], None]:
    """What appends frames to a CSV file that is open, the names of the columns before the first."""
    begun = False

    def append(frame: pl.DataFrame) -> None:
        nonlocal begun
        harmless = without_formulas(frame)
        if begun:
            harmless.write_csv(file, include_header=False)
        else:
            harmless.write_csv(file)
        begun = True

    return append


def write_text(text: str, out: Path) -> None:
    """Write a whole file of UTF-8, or nothing."""
    with whole_file(out, overwrite=False) as partial:
        partial.write_bytes(text.encode())


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Polars says of a full disk that something did not compute."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise OSError(str(error).splitlines()[0]) from None


@contextmanager
def whole_file(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A name to write to, which becomes `out` at the end, if there is anything; a pipe or terminal gets its bytes."""
    try:
        if is_stream(out):
            with tempfile.TemporaryDirectory() as directory:
                partial = Path(directory, "whole")
                yield partial
                if partial.exists():
                    with partial.open("rb") as whole, out.open("ab") as stream:
                        shutil.copyfileobj(whole, stream)
            return
        with unfinished(out) as place:
            partial = place / "whole"
            yield partial
            if partial.exists():
                _put(partial, out, overwrite)
    except FileExistsError:
        raise UserError(f"{out} exists already; name another place or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None


def _put(whole: Path, out: Path, overwrite: bool) -> None:
    if overwrite:
        whole.replace(out)
        return
    try:
        os.link(whole, out)  # fails where there is something, which renaming would replace
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with out.open("xb"):
            whole.replace(out)


def is_stream(out: Path) -> bool:
    """Whether a name stands for a pipe, a terminal or an output of this process, which has no content to lose.

    Examples
    --------
    >>> is_stream(Path("/dev/null")), is_stream(Path("/dev")), is_stream(Path("nowhere"))
    (True, False, False)
    """
    try:
        mode = out.stat().st_mode
    except OSError:
        return False
    return S_ISFIFO(mode) or S_ISCHR(mode) or S_ISSOCK(mode) or _OWN_OUTPUT.match(str(out)) is not None


def refuse_existing(out: Path, *, streams: bool = False) -> None:
    """Raise `UserError` before the work, not after it, if the place is taken or cannot be written.

    Parameters
    ----------
    out
        Path of a new file or directory.
    streams
        Whether a pipe or a terminal is enough, as for a single file.

    Examples
    --------
    >>> refuse_existing(Path("/"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: / exists already; name another place or remove it
    """
    if streams and is_stream(out):
        return
    try:
        out.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    else:
        raise UserError(f"{out} exists already; name another place or remove it")
    above = next(place for place in out.absolute().parents if place.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {out}: {above} is not writable")
