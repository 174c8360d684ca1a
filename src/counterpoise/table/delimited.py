"""CSV and its relatives: from the bytes of a file to cells of text.

A CSV says neither its encoding nor its delimiter. Each is read off the file, and what cannot be told is an error with
its place, not a guess.
"""

import csv
import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from counterpoise.errors import UserError
from counterpoise.table.memory import read_within_memory
from counterpoise.table.named_columns import ignored_columns

SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
_UNPACK = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
}
_SEPARATORS = ",;\t|"
_MOST_SAID = 500


def read_delimited(
    path: Path, *, ignore: Sequence[str] = (), keep: Collection[str] = ()
) -> tuple[pl.DataFrame, tuple[str, ...], str]:
    """Read the cells of a .csv, .tsv or .txt file, also within .gz or .zip, as they are spelled.

    Parameters
    ----------
    path
        The file.
    ignore, keep
        As in `read_table`.

    Returns
    -------
    tuple
        The columns, the names of those that are ignored, and what separates the cells.

    Raises
    ------
    UserError
        If the file is not text, or not a table, or nothing matches what is to be ignored.

    Warns
    -----
    UserWarning
        If it is not UTF-8 and was read as Windows-1252, or has rows that are too short.
    """
    with unpacked(path) as (file, inner):
        raw = in_utf8(read_within_memory(file, path), path)
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # the line ends of old Macs, which Excel still offers
    header = header_of(raw, inner, path)
    raw = without_blank_lines(raw, len(header.names))
    frame = _cells(raw, header.separator, header.names, path)
    warn_of_short_rows(raw, frame, header.separator, path)
    ignored = ignored_columns(frame.columns, ignore, path)
    return frame.drop([name for name in ignored if name not in keep]), ignored, header.separator


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file.

    Parameters
    ----------
    names
        Of the columns.
    separator
        What lies between two cells.
    length
        Of the line with its end, in bytes.
    """

    names: list[str]
    separator: str
    length: int


def header_of(raw: bytes, name: str, path: Path) -> Header:
    r"""Read the first line of UTF-8 text.

    Parameters
    ----------
    raw
        The text, or its beginning.
    name
        Of the file without its compression.
    path
        For messages.

    Examples
    --------
    >>> header_of(b"size;kind\n1;oak\n", "t.csv", Path("t.csv"))
    Header(names=['size', 'kind'], separator=';', length=10)
    """
    length = raw.find(b"\n") + 1 or len(raw)
    line = raw[:length].decode("utf-8-sig").rstrip("\r\n")
    if not line.strip():
        raise UserError(f"{path} has an empty first line; a CSV starts with its column names")
    separator = "\t" if name.lower().endswith(".tsv") else _separator(line)
    return Header(_names(line, separator, path), separator, length)


def numbers(column: pl.Series) -> pl.Series:
    """Text as numbers, null where it is none.

    Examples
    --------
    >>> numbers(pl.Series(["1", "x"])).to_list()
    [1.0, None]
    """
    return column.cast(pl.Float64, strict=False)


def first_line(error: BaseException) -> str:
    r"""What an error of a library says, without its advice.

    Examples
    --------
    >>> first_line(OSError("no space\nhint: buy a disk")), first_line(EOFError())
    ('no space', 'EOFError')
    """
    line = str(error)[:_MOST_SAID].strip().partition("\n")[0]  # some quote the whole file
    return line or type(error).__name__


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open the text of a file, and say its name without its compression; all that can be wrong with it is one error."""
    suffix = path.suffix.lower()
    bare = path.name[: -len(suffix)] if suffix in PACKED else path.name
    try:
        with path.open("rb") as file:
            magic = file.read(8)
            file.seek(0)
            for mark, (kind, command) in _UNPACK.items():
                if magic.startswith(mark):
                    raise UserError(f"{path} is compressed with {kind}; unpack it first: {command} {path}")
            if magic.startswith(b"PAR1"):
                raise UserError(f"{path} is a Parquet file; name it {path.stem}.parquet")
            if magic.startswith(b"PK\x03\x04") or suffix == ".zip":
                with _in_zip(file, path) as (inner, name):
                    yield inner, name
            elif magic.startswith(b"\x1f\x8b") or suffix == ".gz":
                with gzip.open(file) as inner:
                    yield cast(BinaryIO, inner), bare
            elif suffix in PACKED:
                raise UserError(f"{path} is not compressed as its name says; rename it to {bare}")
            else:
                yield file, bare
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}); is it cut short?") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


@contextmanager
def _in_zip(file: BinaryIO, path: Path) -> Iterator[tuple[BinaryIO, str]]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [one for one in archive.namelist() if not one.endswith("/") and not one.startswith("__MACOSX/")]
            if "xl/workbook.xml" in names:
                raise UserError(f"{path} is an Excel workbook; save the sheet as CSV")
            tables = [one for one in names if one.lower().endswith(SUFFIXES)]
            if len(tables) != 1:
                held = f"{len(tables)} tables" if tables else "no .csv"
                shown = ", ".join(map(repr, (tables or names)[:5])) or "nothing"
                raise UserError(f"{path} holds {held} ({shown}); a zip must hold exactly one")
            with archive.open(tables[0]) as inner:
                yield cast(BinaryIO, inner), tables[0]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}); unpack it first") from None


def in_utf8(raw: bytes, path: Path, *, line: int = 1) -> bytes:
    r"""Text in UTF-8, whatever it was in before.

    Parameters
    ----------
    raw
        Whole lines.
    path, line
        For messages: the file, and the number of the first line.

    Examples
    --------
    >>> in_utf8("ä".encode("utf-16"), Path("t.csv")).decode()
    'ä'
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16").encode()
        except UnicodeError:
            raise no_utf_16(path) from None
    if (place := raw.find(b"\0")) >= 0:
        raise UserError(
            f"{path} is no text: byte {place + 1} is zero; name a CSV file in UTF-8, or a Parquet file as .parquet"
        )
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return _of_windows(raw, error, path, line)
    return raw


def no_utf_16(path: Path) -> UserError:
    """The error for a file with the mark of UTF-16 that is none.

    Examples
    --------
    >>> no_utf_16(Path("t.csv"))
    UserError('t.csv begins like UTF-16 but is not; is it cut short? save it as UTF-8')
    """
    return UserError(f"{path} begins like UTF-16 but is not; is it cut short? save it as UTF-8")


def _of_windows(raw: bytes, error: UnicodeDecodeError, path: Path, line: int) -> bytes:
    line += raw.count(b"\n", 0, error.start)
    where = f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8"
    if any(ord(one) > 127 and not 0xDC80 <= ord(one) <= 0xDCFF for one in set(raw.decode(errors="surrogateescape"))):
        raise UserError(f"{where}, although other letters are; correct that cell, or save the file again as UTF-8")
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        raise UserError(f"{where}, nor Windows-1252; save the file as UTF-8") from None
    warnings.warn(f"{where}; the file was read as Windows-1252. Save it as UTF-8 if letters look wrong", stacklevel=2)
    return text.encode()


def _separator(header: str) -> str:
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def _names(header: str, separator: str, path: Path) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(header), delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path} has a first line that names no columns ({first_line(error)})") from None
    refuse_twice(names, path)
    return names


def refuse_twice(names: list[str], path: Path) -> None:
    """Refuse column names that occur twice, with their places.

    Examples
    --------
    >>> refuse_twice(["x", "y", "x"], Path("t.csv"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: t.csv has more than one column named 'x' (columns 1, 3); rename one
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not twice:
        return
    if len(twice) > 1:
        more = f" and {len(twice) - 5} others" if len(twice) > 5 else ""
        raise UserError(f"{path} has more than one column named {', '.join(map(repr, twice[:5]))}{more}; rename them")
    places = ", ".join(str(place + 1) for place, name in enumerate(names) if name == twice[0])
    raise UserError(f"{path} has more than one column named {twice[0]!r} (columns {places}); rename one")


def _cells(raw: bytes, separator: str, names: list[str], path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(raw, separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        problem = too_long(raw, separator, len(names)) or first_line(error)
        raise UserError(f"{path} is not a readable CSV file ({problem})") from None
    if frame.width == len(names):  # Polars keeps the doubled quotes of a quoted name
        frame.columns = names
    return frame


def without_blank_lines(raw: bytes, columns: int) -> bytes:
    r"""A blank line is no row, but for one column, where it is an empty cell; within quotes it is text.

    Examples
    --------
    >>> without_blank_lines(b"1,2\n\n3,4\n", 2)
    b'1,2\n3,4\n'
    """
    return re.sub(rb"\n(?:[ \t]*\r?\n)+", b"\n", raw) if columns > 1 and b'"' not in raw else raw


def warn_of_short_rows(raw: bytes, frame: pl.DataFrame, separator: str, path: Path, *, line: int = 1) -> bool:
    """Some programs leave out empty cells at the end of a row; a file that was cut short looks alike.

    Parameters
    ----------
    raw
        Text in UTF-8, its first line the header.
    frame
        Its rows.
    separator
        What lies between two cells.
    path, line
        For the message: the file, and the number of the first line.

    Returns
    -------
    bool
        Whether it warned.
    """
    last = frame.get_column(frame.columns[-1])
    if frame.width < 2 or not last.null_count():
        return False
    if b'"' not in raw and raw.rstrip(b"\r\n").count(separator.encode()) >= (frame.width - 1) * (frame.height + 1):
        return False
    short = [(line - 1 + number, cells) for number, cells in _rows(raw, separator) if 0 < cells < frame.width]
    if short:
        more = f" and {len(short) - 1:,} other lines" if len(short) > 1 else ""
        warnings.warn(
            f"{path}, line {short[0][0]}{more}: {short[0][1]} fields where the header has {frame.width}; the others "
            "count as missing. Is the file whole?",
            stacklevel=2,
        )
    return bool(short)


def too_long(raw: bytes, separator: str, fields: int, *, line: int = 1) -> str | None:
    r"""Where a row has more cells than the header, if one has; `line` is the number of the first line.

    Examples
    --------
    >>> too_long(b"x,y\n1,2,3\n", ",", 2)
    'line 2 has 3 fields, the header 2'
    """
    for number, cells in _rows(raw, separator):
        if cells > fields:
            return f"line {line - 1 + number} has {cells} fields, the header {fields}"
    return None


def _rows(raw: bytes, separator: str) -> Iterator[tuple[int, int]]:
    """The line on which each row ends, from 1, and how many cells it has, however long they are."""
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(raw)))
    try:
        reader = csv.reader(io.StringIO(raw.decode("utf-8-sig", errors="replace")), delimiter=separator)
        for row in reader:
            yield reader.line_num, len(row)
    except csv.Error:  # what this reader cannot take, the other one has said
        return
    finally:
        csv.field_size_limit(limit)
