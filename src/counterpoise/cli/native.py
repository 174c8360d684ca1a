"""What compiled libraries write to standard error by themselves, past Python: shown like all else, but for panics.

Rust prints several lines about a damaged file before Python hears of it, and says what only its authors understand; the
one line that we say then is enough. Where memory cannot be had it ends the process, so another one has to speak.
"""

import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from counterpoise.errors import printable

_STANDARD_ERROR = 2
_PANIC = re.compile(r"thread '.*panicked at ")
_NO_MEMORY = re.compile(r"memory allocation of (\d+) bytes failed")


@contextmanager
def native_messages() -> Iterator[None]:
    """While the command runs, only Python writes to the terminal; what others write is read by a small process first.

    Nothing is done where standard error is not Python's own, as in tests and notebooks, or where no process can fork.
    """
    if not (_is_own(sys.stderr) and hasattr(os, "fork")):
        yield
        return
    os.environ["RUST_BACKTRACE"] = "0"
    python, saved = sys.stderr, os.dup(_STANDARD_ERROR)
    for stream in (sys.stdout, python):  # what they hold must not be written twice
        if stream is not None:
            stream.flush()
    reading, writing = os.pipe()
    reader = os.fork()
    if reader == 0:
        os.close(writing)
        _read(reading)
    os.close(reading)
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)
    own = os.fdopen(saved, "w", encoding=python.encoding, errors="backslashreplace", buffering=1)
    sys.stderr = own
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            own.flush()
        os.dup2(saved, _STANDARD_ERROR)  # which ends what the reader reads
        sys.stderr = python
        with suppress(OSError, ValueError):
            own.close()
        os.waitpid(reader, 0)


def _is_own(stream: TextIO | None) -> bool:
    if stream is not sys.__stderr__ or stream is None:
        return False
    with suppress(OSError, ValueError):
        return stream.fileno() == _STANDARD_ERROR
    return False


def _read(reading: int) -> None:
    """The whole life of the process that reads: whoever is stopped, it says what there was to say."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with os.fdopen(reading, encoding="utf-8", errors="backslashreplace") as lines:
            for line in worth_saying(lines):
                os.write(_STANDARD_ERROR, line.encode("ascii", errors="backslashreplace") + b"\n")
    finally:
        os._exit(0)


def worth_saying(lines: Iterable[str]) -> Iterator[str]:
    r"""The lines that a reader understands: after a panic of Rust there are none.

    Examples
    --------
    >>> list(worth_saying(["libgomp: Invalid value\n", "\n", "thread 'a' panicked at x.rs:1:2:\n", "assertion\n"]))
    ['libgomp: Invalid value']
    >>> print(*worth_saying(["memory allocation of 2000 bytes failed\n"]))
    counterpoise: 2,000 bytes of memory could not be allocated: the table is damaged, or too large for this machine
    """
    for line in lines:
        if _PANIC.match(line):
            break
        if found := _NO_MEMORY.match(line):
            yield (
                f"counterpoise: {int(found[1]):,} bytes of memory could not be allocated: the table is damaged, "
                "or too large "
                "for this machine"
            )
        elif line.strip() and not line.startswith("note: run with `RUST_BACKTRACE"):
            yield printable(line.rstrip("\n"))
    for _ in lines:  # so that whoever writes more is not stopped
        pass
