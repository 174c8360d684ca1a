"""A place next to a result for unfinished files, so that the result appears at once or never.

It is a directory, locked as long as its owner lives. A process that is killed leaves it behind; the next one that
writes there finds it without a lock, and removes it.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep

try:
    import fcntl
except ImportError:  # Windows locks no directories: there nothing is removed
    fcntl = None  # type: ignore[assignment]

_TRIES, _PAUSE = 100, 0.01
_NAMED = re.compile(r"\.counterpoise-[0-9a-f]{16}\.partial")


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A new directory next to `out`, removed at the end; leftovers of killed processes are removed first.

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
    place = out.with_name(f".counterpoise-{secrets.token_hex(8)}.partial")
    lock = None
    try:
        with _alone_in(out.parent) as alone:  # nobody may find it before it has its lock
            if alone:
                _remove_abandoned(out.parent)
            place.mkdir()
            lock = _locked(place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _alone_in(directory: Path) -> Iterator[bool]:
    """Whether nobody else makes or removes such places in a directory meanwhile; whoever does takes moments."""
    lock = _locked(directory, tries=_TRIES)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _locked(place: Path, *, tries: int = 1) -> int | None:
    """A descriptor that holds the lock on a directory; None where somebody else does, or nobody can."""
    if fcntl is None:
        return None
    with suppress(OSError):
        held = os.open(place, os.O_RDONLY)
        for _ in range(tries):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return held
            except BlockingIOError:
                sleep(_PAUSE)
            except OSError:  # a file system without locks
                break
        os.close(held)
    return None


def _remove_abandoned(directory: Path) -> None:
    with suppress(OSError):
        for one in directory.iterdir():
            if _NAMED.fullmatch(one.name) and one.is_dir() and not one.is_symlink():
                lock = _locked(one)
                if lock is not None:
                    shutil.rmtree(one, ignore_errors=True)
                    os.close(lock)
