"""The files of a saved directory: read once, each of them the file that decision.json names.

A directory may come from anywhere. Only files that decision.json names, with names that training uses, are read. They
must be regular files within the directory, not links, and must fit in memory together. Other files there are not read.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoise.errors import UserError
from counterpoise.table.model.bundle import DECISION, FORMAT, REPORT, SEAL, fingerprint, sealed
from counterpoise.table.model.forms import LABEL
from counterpoise.table.plain_data import inside, mapping_of, parsed, text

MOST_BYTES = 1_000_000_000
"""Of all files of a model."""
MOST_BYTES_OF_JSON = 50_000_000
"""Of a decision.json or encoding.json, which takes up to twenty times that in memory."""
_MOST_ENTRIES = 20_000
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_check_files = mapping_of(text(form="[0-9a-f]{64}"))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A directory in memory.

    Parameters
    ----------
    path
        Path of the directory.
    facts
        All of decision.json.
    files
        Content of each file that it names, by name.
    """

    path: Path
    facts: dict[str, Any]
    files: Mapping[str, bytes]


def read(path: Path) -> Held:
    """Read a directory that `counterpoise train` wrote.

    Raises
    ------
    UserError
        If there is none, a file is absent or not the one that was written, is a link, or a newer Counterpoise wrote it.
    """
    try:
        if not path.is_dir():
            raise UserError(f"no such directory: {path}; name one that 'counterpoise train' wrote")
        if not os.path.lexists(path / DECISION):
            raise UserError(f"{path} has no {DECISION}; name a directory that 'counterpoise train' wrote")
        _refuse_links(path)
    except OSError as error:  # a folder that this user must not read
        raise UserError(f"{error.filename or path} cannot be read ({error.strerror or error})") from None
    facts = _facts(path)
    _check_names(facts["files"], path)
    sizes = {name: _size(path, name) for name in facts["files"]}
    total = sum(sizes.values())
    if total > MOST_BYTES:
        raise UserError(f"the files of {path} have {total:,} bytes; a model has at most {MOST_BYTES:,}")
    return Held(path, facts, {name: _checked(path, name, sizes[name], facts["files"][name]) for name in sizes})


def sealed_facts(data: bytes, where: str) -> dict[str, Any]:
    """What a decision.json holds, if it is of this format and the one that was sealed; `where` names it.

    Raises
    ------
    UserError
        If it is not.
    """
    facts = parsed(data, where)
    if not isinstance(facts, dict):
        raise UserError(f"{where} is damaged (it is not an object)")
    found = facts.get("format", 1)
    if type(found) is not int or found > FORMAT:
        raise UserError(
            f"{where} was written by a newer Counterpoise (format {str(found)[:20]}; this one reads up to {FORMAT}): "
            "pip install --upgrade counterpoise"
        )
    if found < FORMAT:
        raise UserError(f"{where} was written by an older Counterpoise (format {found}); train again")
    if facts.get(SEAL) != sealed({name: value for name, value in facts.items() if name != SEAL})[SEAL]:
        raise UserError(f"{where} was changed since training wrote it (its checksum differs); train again")
    return facts


def _facts(path: Path) -> dict[str, Any]:
    size = _size(path, DECISION)
    if size > MOST_BYTES_OF_JSON:
        raise UserError(f"{path / DECISION} has {size:,} bytes; it has at most {MOST_BYTES_OF_JSON:,}")
    facts = sealed_facts(_bytes(path, DECISION, size), str(path / DECISION))
    if facts.get("kind") == LABEL:
        raise UserError(f"{path} is one label of the model in {path.parent}; load that, and take its label by name")
    _check_files(facts.get("files"), inside(str(path / DECISION), "files"))
    return facts


def _check_names(files: Mapping[str, str], path: Path) -> None:
    """Raise `UserError` for a name that leads elsewhere, or to a file that another name leads to as well."""
    for name in files:
        if not re.fullmatch(rf"{_PART}(/{_PART}){{0,2}}", name) or name == DECISION:
            outside = Path(name).is_absolute() or ".." in Path(name).parts
            how = "outside of the directory" if outside else "by a name that training does not give"
            raise UserError(f"{path / DECISION} names a file {how}: {name[:100]!r}")
    if len({name.casefold() for name in files}) < len(files):
        raise UserError(f"{path / DECISION} names a file twice")
    if REPORT not in files:
        raise UserError(f"{path / DECISION} does not name {REPORT}")


def _refuse_links(path: Path) -> None:
    """Raise `UserError` if anything in the directory is neither a file nor a folder."""
    places, seen = [path], 0
    while places:
        with os.scandir(places.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > _MOST_ENTRIES:
                    raise UserError(f"{path} holds more than {_MOST_ENTRIES:,} files; name the directory of one model")
                if entry.is_dir(follow_symlinks=False):
                    places.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    kind = "a link" if entry.is_symlink() else "no file"
                    raise UserError(f"{entry.path} is {kind}, and a model has none; copy the files themselves (cp -L)")


def _size(path: Path, name: str) -> int:
    try:
        found = (path / name).lstat()
    except OSError:
        raise UserError(f"{path} has no {name}; name a directory that 'counterpoise train' wrote") from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path / name} is not a file; name a directory that 'counterpoise train' wrote")
    return found.st_size


def _checked(path: Path, name: str, size: int, expected: str) -> bytes:
    data = _bytes(path, name, size)
    if fingerprint(data) != expected:
        raise UserError(f"{path / name} is not the file that {DECISION} belongs to (its checksum differs); train again")
    return data


def _bytes(path: Path, name: str, size: int) -> bytes:
    """The bytes of a file that is no link and no longer than it was; opening waits for nobody."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path / name, flags), "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserError(f"{path / name} is not a file; name a directory that 'counterpoise train' wrote")
            return file.read(size)
    except OSError as error:
        raise UserError(f"{path / name} cannot be read ({error.strerror or error})") from None
