"""How much memory there is, and how much a table takes: a table that does not fit is refused before it is read."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from counterpoise.errors import UserError

_READ_PER_BYTE, _READ_PER_CELL, _READ_PER_COLUMN = 2.0, 32.0, 25_000.0
"""What reading takes for each byte of text, cell and column, measured with numbers and words."""
_LEARN_PER_CELL = 80.0
"""What training takes for each cell besides: the matrix, its copies, and what learners make of it."""
_PROGRAM = 600e6
"""What the program and its libraries take before the first row."""
_LEARNED, _JUDGED = 0.6, 0.2
"""Of the rest, for the rows to learn from and for the scores of the others; what is left is for blocks on their way."""
_PER_JUDGED = 100.0
_FEWEST_ROWS = 5_000
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def bytes_of(memory: str | float) -> int:
    """An amount of memory in bytes.

    Parameters
    ----------
    memory
        A number of bytes, or text such as 4GB, 512MB, 1.5g or 2GiB.

    Examples
    --------
    >>> bytes_of("4GB"), bytes_of("1.5 GiB"), bytes_of(512)
    (4000000000, 1610612736, 512)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", str(memory).lower())
    if found is None or found[2] not in _UNITS or not float(found[1]):
        raise UserError(f"memory is {memory!r}; write an amount such as 4GB or 512MB")
    return round(float(found[1]) * _UNITS[found[2]])


class Allowance:
    """How many rows of a table an amount of memory has room for.

    Parameters
    ----------
    path
        Path of the table, for messages.
    memory
        Bytes that the training may take.
    columns, targets
        Number of columns that are kept, and of those that are targets.

    Raises
    ------
    UserError
        If there is hardly room for the program, or the machine has less memory than that.

    Examples
    --------
    >>> one = Allowance(Path("t.csv"), 2_000_000_000, 20)
    >>> one.rows, one.judged
    (525000, 2800000)
    """

    def __init__(self, path: Path, memory: int, columns: int, targets: int = 1) -> None:
        there = available_memory()
        if there is not None and memory > there + _PROGRAM:
            raise UserError(f"memory is {_amount(memory)}, but {_amount(there)} is available; name no more than that")
        rest = max(0.0, memory - _PROGRAM)
        self.rows = int(_LEARNED * rest / (_LEARN_PER_CELL * columns))
        self.judged = max(1, int(_JUDGED * rest / (_PER_JUDGED * targets)))
        if self.rows < _FEWEST_ROWS:
            needed = _PROGRAM + _FEWEST_ROWS * _LEARN_PER_CELL * columns / _LEARNED
            raise UserError(
                f"memory is {_amount(memory)}, too little to learn from {path}: {_FEWEST_ROWS:,} rows of "
                f"{columns:,} columns take {_amount(needed)}"
            )


class Room:
    """The memory for a file of delimited text that is read in blocks: one that would not fit is refused on the way.

    Parameters
    ----------
    path
        Path of the table, for messages.
    columns
        Number of columns that are kept.

    Raises
    ------
    UserError
        If so many columns alone need more memory than is available.
    """

    def __init__(self, path: Path, columns: int) -> None:
        self._path, self._columns, self._there = path, columns, available_memory()
        self._rows = self._text = 0
        self.take(0, 0)

    def take(self, rows: int, text: int) -> None:
        """Count rows that were read, and the bytes of their text; raise `UserError` if they do not fit."""
        self._rows, self._text = self._rows + rows, self._text + text
        cells = _READ_PER_CELL * self._columns * self._rows
        needed = _READ_PER_BYTE * self._text + cells + _READ_PER_COLUMN * self._columns
        what = f"{self._text / 1e6:,.0f} MB of text in {self._columns:,} columns"
        _refuse_too_large(self._path, needed, self._there, what)


def refuse_too_many_cells(path: Path, rows: int, columns: int) -> None:
    """Refuse a table that says how large it is, and does not fit into memory."""
    needed = _READ_PER_CELL * rows * columns + _READ_PER_COLUMN * columns
    _refuse_too_large(path, needed, available_memory(), f"{rows:,} rows of {columns:,} columns")


def refuse_to_learn(path: Path, rows: int, columns: int) -> None:
    """Refuse to learn from a table that was read, and whose matrices do not fit into memory as well."""
    _refuse_too_large(
        path,
        _LEARN_PER_CELL * rows * columns,
        available_memory(),
        f"to learn from {rows:,} rows of {columns:,} columns",
    )


def _refuse_too_large(path: Path, needed: float, there: int | None, what: str) -> None:
    if there is not None and needed > there:
        raise UserError(
            f"{path} is too large for this machine: {what} takes {_amount(needed)} of memory or more, and "
            f"{_amount(there)} is available. Leave columns out with --ignore; train takes --memory, such as "
            f"--memory {max(there // 2 * 10**-9, 1):.0f}GB, and then holds only a part of the frequent rows"
        )


def available_memory() -> int | None:
    """Bytes of memory that this process may still take, or None where nobody says.

    Examples
    --------
    >>> available_memory() > 0
    True
    """
    found = [one for source in (_of_machine, _of_groups, _of_process) for one in source()]
    return max(0, min(found)) if found else None


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        yield 1024 * int(lines["MemAvailable"].split()[0])
        return
    with suppress(OSError, ValueError, AttributeError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups() -> Iterator[int]:
    """Of each control group that the process is in, such as a container: its limit less what it holds for good."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, place = line.split(":", 2)
            if kinds in ("", "memory"):
                top = Path("/sys/fs/cgroup", kinds)
                names = ("memory.max", "memory.current") if not kinds else _OF_VERSION_1
                for group in (top / place.lstrip("/"), *(top / place.lstrip("/")).parents):
                    if not group.is_relative_to(top):
                        break
                    yield from _of_group(group, *names)


_OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def _of_group(group: Path, limit: str, used: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # "max" is no limit
        most, held = int((group / limit).read_text()), int((group / used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield most - held + int(stat.get("inactive_file", 0))  # which is given back when it is needed


def _of_process() -> Iterator[int]:
    with suppress(ImportError, OSError, ValueError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            yield most - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _amount(of_bytes: float) -> str:
    """Bytes for a reader.

    Examples
    --------
    >>> _amount(3.2e9), _amount(5e6)
    ('3.2 GB', '5 MB')
    """
    return f"{of_bytes / 1e9:.3g} GB" if of_bytes >= 1e8 else f"{of_bytes / 1e6:.3g} MB"
