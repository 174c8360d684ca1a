"""The command `counterpoise`."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, cast

from counterpoise.cli.native import native_messages
from counterpoise.cli.terminal import TerminatedError, complain, running, settle
from counterpoise.errors import UserError

__all__ = ["main"]

_MISTAKE, _INTERRUPTED, _SIGNAL, _NOBODY_READS = 2, 130, 128, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one line on standard error and exit code 2.

    Parameters
    ----------
    arguments
        The words after `counterpoise`; default: those of the process.

    Returns
    -------
    int
        The exit code: 0, or 2 for a mistake; after a signal 128 and its number, as shells count.

    Examples
    --------
    >>> main(["--version"])
    counterpoise 0.1.0
    0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # GNU's OpenMP threads wait for each other spinning: with other work LightGBM took 50 times as long
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        with running(), native_messages(), warnings.catch_warnings():
            warnings.showwarning = cast(Any, _warn)
            return _run(words or ["--help"])
    except UserError as error:
        complain(str(error))
    except BrokenPipeError:
        settle()
        return _NOBODY_READS
    except MemoryError:
        complain("there is not enough memory; take a sample of the rows, or a machine with more")
    except OSError as error:
        settle()
        complain(": ".join(str(one) for one in (error.filename, error.strerror or error) if one is not None))
    except KeyboardInterrupt as stopped:
        kept = "; --resume continues from what is finished" if words[:1] == ["train"] else ""
        terminated = isinstance(stopped, TerminatedError)
        complain(f"{'terminated' if terminated else 'interrupted'}; nothing was written{kept}")
        return _SIGNAL + stopped.number if isinstance(stopped, TerminatedError) else _INTERRUPTED
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Polars, which it takes for no `Exception`
            raise
        complain(f"the table cannot be used: {error}; is the file damaged?")
    return _MISTAKE


def _run(words: Sequence[str]) -> int:
    try:
        from counterpoise.cli.commands import run
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("typer", "rich", "click"):
            raise
        raise UserError(f"{error.name} is not installed: pip install 'counterpoise[table]'") from None
    return run(words)


def _warn(message: Warning | str, *_: Any) -> None:
    complain(f"warning: {message}")
