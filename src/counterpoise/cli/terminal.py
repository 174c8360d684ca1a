"""Where text leaves for the terminal, and the signals that a terminal sends.

Names and cells come from anybody: what they hold is shown, and steers nothing. A terminal can also be gone, be full, or
lack the letters that we use.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from counterpoise.errors import UserError, printable


class TerminatedError(KeyboardInterrupt):
    """The process is to stop: like Ctrl-C, so that nothing half-written is left.

    Parameters
    ----------
    number
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def say(*lines: str, error: bool = False) -> None:
    r"""Write lines to standard output or to standard error.

    Raises
    ------
    BrokenPipeError
        If nobody reads any more.
    UserError
        If it cannot be written.

    Examples
    --------
    >>> say("a\x1b[2Jb")
    a\x1b[2Jb
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # it was closed before we began
        return
    try:
        print(*map(printable, lines), sep="\n", file=stream, flush=True)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as problem:
        settle()
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise UserError(f"cannot write to standard {'error' if error else 'output'}: {why}") from None


def complain(message: str) -> None:
    """Write one line about what is wrong; where that cannot be written either, the exit code has to do."""
    with suppress(OSError, UserError):
        say("counterpoise: " + " ".join(message.split()), error=True)
    settle()


def settle() -> None:
    """Let what a stream cannot get rid of go nowhere, else the end of the process tries again and fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def occupy_standard_streams() -> None:
    """Open the null device in place of standard streams that are closed: else the next file gets their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


@contextmanager
def running() -> Iterator[None]:
    """While the command runs, a signal to stop is `TerminatedError`, and letters that a terminal lacks are spelled."""
    occupy_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    before: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        with suppress(ValueError):  # only the main thread hears signals
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores one
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows cleans up
    raise TerminatedError(number)
