"""Finished fits of a race, kept on disk next to the result, so that an interrupted run loses none of them.

While a run works towards `out` it owns `out`.unfinished. There, `run.json` holds the request, and `trials/` a file per
finished fit, written at once or not at all. The lock on it goes with the process, however that ends.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from counterpoise.errors import UserError

Arrays = dict[str, NDArray[Any]]


class Trials:
    """What was found for a key, kept in memory only.

    Examples
    --------
    >>> trials = Trials()
    >>> trials.put("lightgbm, fold 1", {"curve": np.zeros(3)})
    >>> trials.get("lightgbm, fold 1")["curve"].shape, trials.get("lightgbm, fold 2")
    ((3,), None)
    """

    def __init__(self) -> None:
        self._held: dict[str, Arrays] = {}

    def get(self, key: str) -> Arrays | None:
        """What was put there, or None."""
        return self._held.get(key)

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep it."""
        self._held[key] = arrays


class Part(Trials):
    """The trials of one part of the work, among those of all.

    Examples
    --------
    >>> whole = Trials()
    >>> Part(whole, "label a").put("fold 1", {"curve": np.zeros(3)})
    >>> Part(whole, "label b").get("fold 1"), list(Part(whole, "label a").get("fold 1"))
    (None, ['curve'])
    """

    def __init__(self, whole: Trials, name: str) -> None:
        super().__init__()
        self._whole, self._name = whole, name

    def get(self, key: str) -> Arrays | None:
        """As of the whole."""
        return self._whole.get(f"{self._name}\0{key}")

    def put(self, key: str, arrays: Arrays) -> None:
        """As of the whole."""
        self._whole.put(f"{self._name}\0{key}", arrays)


class Unfinished(Trials):
    """The same on disk: a context that holds the lock, and removes everything when `done` was called.

    Parameters
    ----------
    out
        Directory of the result.
    asked
        Everything that determines the trials, as plain data: a run resumes only a run with the same request.
    resume
        Whether to continue from what an interrupted run left.

    Raises
    ------
    UserError
        If another run is at work there; if one was interrupted there and `resume` is False; if that was asked something
        else; if the place cannot be written.
    """

    def __init__(self, out: Path, asked: Mapping[str, Any], *, resume: bool) -> None:
        super().__init__()
        self.place = out.absolute().with_name(f"{out.absolute().name}.unfinished")
        self._asked = json.loads(json.dumps(asked))
        self._resume = resume
        self._lock = FileLock(str(self.place) + ".lock")
        self._done = False

    def __enter__(self) -> Self:
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            if not Path(self._lock.lock_file).exists():  # a place that takes no files looks like one that is taken
                raise UserError(f"cannot write next to {self.place}: no file can be made there") from None
            raise UserError(
                f"another run is writing {self.place.with_suffix('')}; wait for it, or name another --out"
            ) from None
        except OSError as error:
            raise UserError(f"cannot write next to {self.place}: {error.strerror or error}") from None
        try:
            self._begin()
        except BaseException:
            self._release()
            raise
        return self

    def _begin(self) -> None:
        facts = self.place / "run.json"
        if not facts.is_file():
            if self._resume and not self.place.exists():
                raise UserError(f"nothing to resume: there is no {self.place}; omit --resume to start")
            if self.place.exists():  # it was killed before it began, or while it was removed
                self._clear()
            _write(facts, json.dumps(self._asked, indent=2).encode())
            return
        if not self._resume:
            raise UserError(f"{self.place} was left by an interrupted run; add --resume to continue, or remove it")
        try:
            found = dict(json.loads(facts.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{facts} is damaged ({error}); remove {self.place} and start again") from None
        other = [name for name, value in self._asked.items() if found.get(name) != value]
        if other:
            name = other[0]
            raise UserError(
                f"the interrupted run in {self.place} had another {name} ({found.get(name)!r}, now "
                f"{self._asked[name]!r}); use the same options, or remove it and start again"
            )

    def _clear(self) -> None:
        """Remove what another run left: none of its trials may be taken for one of this run."""
        try:
            shutil.rmtree(self.place)
        except OSError as error:
            raise UserError(f"cannot remove {self.place}: {error.strerror or error}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a mistake in what was asked leaves nothing that would be worth resuming
        if self._done or (isinstance(error, UserError) and not any((self.place / "trials").glob("*.npz"))):
            shutil.rmtree(self.place, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        # removed while it is held: after the release it may be another run's, which would go on without a lock
        with suppress(OSError):  # Windows removes no open file
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def done(self) -> None:
        """The result is written; what led there may go."""
        self._done = True

    def get(self, key: str) -> Arrays | None:
        """What this run or the interrupted one put there, or None."""
        try:
            # NumPy leaves a file open that it opened itself and found torn
            with self._file(key).open("rb") as file, np.load(file, allow_pickle=False) as held:
                return dict(held)
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            return None

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep it, at once or not at all."""
        place = self._file(key)
        partial = place.with_suffix(".partial")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            partial.replace(place)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UserError(
                f"cannot write {place}: {error.strerror or error}; --resume continues from the finished trials"
            ) from None

    def _file(self, key: str) -> Path:
        return self.place / "trials" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def _write(place: Path, data: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(place)
    except OSError as error:
        raise UserError(f"cannot write {place}: {error.strerror or error}") from None
