"""The text of a file, unpacked and in UTF-8, in pieces.

A text file states neither its compression nor its encoding. Both are inferred from its bytes; if these leave a doubt,
it is an error with its place, not a guess.
"""

import codecs
import gzip
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from counterpoise.errors import UserError

SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
_UNPACK = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
}
_MOST_SAID = 500
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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


class Letters:
    r"""Rows of one file in UTF-8, whatever they were in before: UTF-8, or else Windows-1252.

    Examples
    --------
    >>> letters = Letters(Path("t.csv"))
    >>> letters.in_utf8(b"a\n", 1), letters.in_utf8("\u00e4\n".encode(), 2)
    (b'a\n', b'\xc3\xa4\n')
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = ""  # until a letter outside of ASCII tells

    def in_utf8(self, raw: bytes, line: int) -> bytes:
        """Whole rows in UTF-8; `line` is the number of the first line."""
        if (place := raw.find(b"\0")) >= 0:
            line += raw.count(b"\n", 0, place)
            raise UserError(
                f"{self._path} is not text: a byte in line {line} is zero; name a CSV file in UTF-8, or a Parquet "
                "file as .parquet"
            )
        if raw.isascii():
            return raw
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return self._of_windows(raw, error, line)
        if self._found == "cp1252":
            raise UserError(
                f"{self._path}: letters after line {line} are in UTF-8, and earlier ones in Windows-1252; save the "
                "file again as UTF-8"
            )
        self._found = "utf-8"
        return raw

    def length(self, text: str) -> int:
        """How many bytes of the file a text was."""
        return len(text.encode(self._found or "utf-8"))

    def _of_windows(self, raw: bytes, error: UnicodeDecodeError, line: int) -> bytes:
        line += raw.count(b"\n", 0, error.start)
        where = f"{self._path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8"
        strange = set(raw.decode(errors="surrogateescape"))
        if self._found == "utf-8" or any(ord(one) > 127 and not 0xDC80 <= ord(one) <= 0xDCFF for one in strange):
            raise UserError(f"{where}, although other letters are; correct that cell, or save the file again as UTF-8")
        try:
            text = raw.decode("cp1252")
        except UnicodeDecodeError:
            raise UserError(f"{where}, nor Windows-1252; save the file as UTF-8") from None
        if not self._found:
            warnings.warn(
                f"{where}; the file was read as Windows-1252. Save it as UTF-8 if letters look wrong", stacklevel=2
            )
        self._found = "cp1252"
        return text.encode()


def pieces(file: BinaryIO, path: Path, size: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of the file, and whether each is the last one; UTF-16 becomes UTF-8, and a mark of UTF-8 is left out.

    Raises
    ------
    UserError
        If the file begins like UTF-16 and is none.
    """
    chunk = file.read(size)
    decoder = codecs.getincrementaldecoder("utf-16")() if chunk.startswith(_UTF_16) else None
    chunk = chunk.removeprefix(codecs.BOM_UTF8)
    while True:
        following = file.read(size)
        try:
            yield (chunk if decoder is None else decoder.decode(chunk, not following).encode()), not following
        except UnicodeError:
            raise UserError(f"{path} begins like UTF-16 but is not; is it cut short? save it as UTF-8") from None
        if not following:
            return
        chunk = following
