"""The directory that training writes; `loading` reads it.

    decision.json   recipe, threshold, classes, goal, columns, comparison, test metrics with intervals, and the SHA-256
                    of the files but the card, and of itself
    report.html     what was found, for people
    model_card.md   the same in a page of text, which its owner may change
    model.txt       the model in its native format (LightGBM's text; others have their own); of a blend, a folder each:
                    0-lightgbm/model.txt, 1-logistic/network.safetensors, …
    text.safetensors   of a table with free text: its words and components

Of several labels decision.json has the columns and the folder of each label; a folder holds the label's own
decision.json and model.

Nothing in it is a pickle. It appears at once or not at all: it is written next to its place and then renamed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.files import refuse_existing
from counterpoise.table.model.one import Member
from counterpoise.table.tensors import bytes_of
from counterpoise.table.unfinished import unfinished

DECISION, REPORT, CARD, TEXT = "decision.json", "report.html", "model_card.md", "text.safetensors"
SEAL = "sha256"
FORMAT = 3


def folder_of(place: int, learner: str, members: int) -> str:
    """Where the files of a member are: a model of one member has no folders.

    Examples
    --------
    >>> folder_of(1, "logistic", 2), folder_of(0, "lightgbm", 1)
    ('1-logistic/', '')
    """
    return "" if members == 1 else f"{place}-{learner}/"


def label_folder(place: int, label: str) -> str:
    """Where a label's files are: any text may be the name of a column, and two may differ in case only.

    Examples
    --------
    >>> label_folder(2, "größe / m")
    '2-gr_e_m'
    """
    return f"{place}-{re.sub(r'[^A-Za-z0-9_-]+', '_', label)[:40]}"


def model_files(members: tuple[Member, ...], arrays: dict[str, NDArray[Any]]) -> dict[str, bytes]:
    """The files of all members and of the schema's arrays, by their place in the directory."""
    found = {
        folder_of(place, one.learner, len(members)) + name: data
        for place, one in enumerate(members)
        for name, data in one.fitted.files().items()
    }
    return found | ({TEXT: bytes_of(arrays)} if arrays else {})


def whole_directory(facts: Mapping[str, Any], files: Mapping[str, bytes], page: str, card: str) -> dict[str, bytes]:
    """Everything that a directory holds: the report is sealed with the model's files, the card may be written on.

    Parameters
    ----------
    facts
        Content of decision.json without the checksums of the files.
    files
        Files of the model.
    page, card
        The report and the model card.
    """
    checked = {**files, REPORT: page.encode()}
    named = {name: fingerprint(data) for name, data in sorted(checked.items())}
    decision = to_json(sealed({**facts, "files": named}))
    return {**checked, DECISION: decision.encode(), CARD: card.encode()}


def write(out: Path, files: Mapping[str, bytes]) -> None:
    """Write a new directory with these files, or nothing."""
    refuse_existing(out)
    try:
        with unfinished(out) as place:
            whole = place / "whole"
            whole.mkdir()
            for name, data in files.items():
                file = whole / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            refuse_existing(out)  # the work took minutes; renaming fails on all but an empty directory
            whole.rename(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None


def to_json(facts: Mapping[str, Any]) -> str:
    """One stable spelling: same facts, same bytes.

    Examples
    --------
    >>> print(to_json({"threshold": 0.25}), end="")
    {
      "threshold": 0.25
    }
    """
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with a SHA-256 of themselves: a threshold that somebody changed by hand is no longer the one judged.

    Examples
    --------
    >>> list(sealed({"threshold": 0.25}))
    ['threshold', 'sha256']
    """
    return {**facts, SEAL: fingerprint(to_json(facts).encode())}


def fingerprint(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal.

    Examples
    --------
    >>> fingerprint(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()
