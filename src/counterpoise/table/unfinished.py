"""A place beside a result for what is not finished, so that the result appears at once or never.

It is a directory, locked as long as its owner lives. A process that is killed leaves it behind; the next one that
writes beside it finds it without a lock, and removes it.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows locks no directories: there nothing is removed
    fcntl = None  # type: ignore[assignment]

_NAMED = re.compile(r"\.counterpoise-[0-9a-f]{16}\.partial")


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A new directory beside `out`, which is gone in the end; what killed processes left there goes first.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with unfinished(Path(directory, "scores.csv")) as place:
    ...         print(place.parent.name == Path(directory).name, place.is_dir())
    ...     print(list(Path(directory).iterdir()))
    True True
    []
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out.parent)
    place = out.with_name(f".counterpoise-{secrets.token_hex(8)}.partial")
    unlocked = place.with_suffix(".new")  # nobody removes it before it has its lock
    lock = None
    try:
        unlocked.mkdir()
        lock = _locked(unlocked)
        unlocked.rename(place)
        yield place
    finally:
        for one in (unlocked, place):
            shutil.rmtree(one, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked(place: Path) -> int | None:
    """A descriptor that holds the lock on a directory; None where somebody else does, or nobody can."""
    if fcntl is None:
        return None
    held = None
    try:
        held = os.open(place, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if held is not None:
            os.close(held)
        return None
    return held


def _remove_abandoned(directory: Path) -> None:
    with suppress(OSError):
        for one in directory.iterdir():
            if _NAMED.fullmatch(one.name) and one.is_dir() and not one.is_symlink():
                lock = _locked(one)
                if lock is not None:
                    shutil.rmtree(one, ignore_errors=True)
                    os.close(lock)
