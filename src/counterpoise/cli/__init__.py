"""The command `counterpoise`."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, cast

from counterpoise.errors import UserError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one line on standard error and exit code 2.

    Parameters
    ----------
    arguments
        The words after `counterpoise`; by default those of the process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> main(["--version"])
    counterpoise 0.1.0
    0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # GNU's OpenMP threads wait for each other spinning: beside other work LightGBM took 50 times as long
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        from counterpoise.cli.commands import run
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("typer", "rich", "click"):
            raise
        return _complain(f"{error.name} is not installed: pip install 'counterpoise[table]'")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = cast(Any, _warn)
            return run(words or ["--help"])
    except UserError as error:
        return _complain(str(error))
    except OSError as error:
        if error.filename is None:  # no file's fault
            raise
        return _complain(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        kept = "; --resume goes on with what is finished" if words[:1] == ["train"] else ""
        _complain(f"interrupted; nothing was written{kept}")
        return 130


def _warn(message: Warning | str, *_: Any) -> None:
    _complain(f"warning: {message}")


def _complain(message: str) -> int:
    print("counterpoise: " + " ".join(message.split()), file=sys.stderr)
    return 2
