"""The directory that training writes and prediction reads.

    decision.json   recipe, threshold, classes, goal, columns, comparison, test metrics with intervals, and the SHA-256
                    of the model's files
    report.html     what was found, for people
    model_card.md   the same in a page of text
    model.txt       the model in its native format (LightGBM's text; others have their own); of a blend, a folder each:
                    0-lightgbm/model.txt, 1-logistic/network.safetensors, …
    text.safetensors   of a table with free text: its words and components

Of several labels decision.json has the columns and the folder of each label; a folder holds the label's own
decision.json and model.

Nothing in it is a pickle. It appears at once or not at all: it is written beside its place and then renamed into it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.recipes import from_dict
from counterpoise.table.features import Schema
from counterpoise.table.learners import LEARNERS
from counterpoise.table.model import Member, Model, Ruling
from counterpoise.table.multilabel_model import LABEL, MULTILABEL, MultilabelModel
from counterpoise.table.unfinished import unfinished

DECISION, REPORT, CARD, TEXT = "decision.json", "report.html", "model_card.md", "text.safetensors"
SEAL = "sha256"
FORMAT = 3


def refuse_existing(out: Path) -> None:
    """Raise `UserError` if something is already there, or nothing can be: said before the work, not after it.

    Examples
    --------
    >>> refuse_existing(Path("/"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: / exists already; name another place or remove it
    """
    try:
        out.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    else:
        raise UserError(f"{out} exists already; name another place or remove it")
    above = next(place for place in out.absolute().parents if place.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {out}: {above} may not be written to")


def folder_of(place: int, learner: str, members: int) -> str:
    """Where the files of a member are: a model of one member has no folders.

    Examples
    --------
    >>> folder_of(1, "logistic", 2), folder_of(0, "lightgbm", 1)
    ('1-logistic/', '')
    """
    return "" if members == 1 else f"{place}-{learner}/"


def model_files(members: tuple[Member, ...], arrays: dict[str, NDArray[Any]]) -> dict[str, bytes]:
    """The files of all members and of the schema's arrays, by their place in the directory."""
    from safetensors.numpy import save

    found = {
        folder_of(place, one.learner, len(members)) + name: data
        for place, one in enumerate(members)
        for name, data in one.fitted.files().items()
    }
    # it writes the memory of an array as it lies there
    rows_first = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return found | ({TEXT: save(rows_first)} if rows_first else {})


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


def load(path: str | Path) -> Model | MultilabelModel:
    """Read a directory that `counterpoise train` wrote, and check that its files belong together.

    Parameters
    ----------
    path
        The directory.

    Returns
    -------
    Model
        It predicts, decides and explains; of several labels a `MultilabelModel`.

    Raises
    ------
    UserError
        If there is none, a file is absent or not the one that was written, or a newer Counterpoise wrote it.

    Examples
    --------
    >>> load("nowhere")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: no such directory: nowhere; name one that 'counterpoise train' wrote
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"no such directory: {path}; name one that 'counterpoise train' wrote")
    if not (path / DECISION).is_file():
        raise UserError(f"{path} has no {DECISION}; name a directory that 'counterpoise train' wrote")
    facts = _facts(path)
    found = facts.get("format", 1)
    if not isinstance(found, int) or found > FORMAT:
        raise UserError(
            f"{path} was written by a newer Counterpoise (format {found}; this one reads up to {FORMAT}): "
            "pip install --upgrade counterpoise"
        )
    if found < FORMAT:
        raise UserError(f"{path} was written by an older Counterpoise (format {found}); train again")
    if facts != sealed({name: value for name, value in facts.items() if name != SEAL}):
        raise UserError(f"{path / DECISION} was changed since training wrote it (its checksum differs); train again")
    if facts.get("kind") == LABEL:
        raise UserError(f"{path} is one label of the model in {path.parent}; load that, and take its label by name")
    try:
        files = {name: _checked(path, name, expected) for name, expected in facts["files"].items()}
        if facts.get("kind") == MULTILABEL:
            return _several(facts, files)
        return _model(facts, files, _schema(facts, files))
    except UserError:
        raise
    except Exception as error:  # each format's library has errors of its own
        raise UserError(f"{path / DECISION} is damaged ({type(error).__name__}: {error})") from None


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads((path / DECISION).read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise TypeError("no object")
    except (ValueError, OSError, TypeError, RecursionError) as error:
        raise UserError(f"{path / DECISION} is damaged ({type(error).__name__}: {error})") from None
    return facts


def _checked(path: Path, name: str, expected: str) -> bytes:
    place = path / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{path / DECISION} names a file outside of the directory: {name}")
    if not place.is_file():
        raise UserError(f"{path} has no {name}; name a directory that 'counterpoise train' wrote")
    data = place.read_bytes()
    if fingerprint(data) != expected:
        raise UserError(f"{place} is not the file that {DECISION} belongs to (its checksum differs); train again")
    return data


def _schema(facts: dict[str, Any], files: dict[str, bytes]) -> Schema:
    from safetensors.numpy import load as arrays_of

    return Schema.from_dict(facts["schema"], arrays_of(files[TEXT]) if TEXT in files else None)


def _several(facts: dict[str, Any], files: dict[str, bytes]) -> MultilabelModel:
    schema = _schema(facts, files)
    models = {}
    for label, said in facts["labels"].items():
        folder = f"{said['folder']}/"
        own = {name.removeprefix(folder): data for name, data in files.items() if name.startswith(folder)}
        models[label] = _model(json.loads(own.pop(DECISION)), own, schema)
    return MultilabelModel(models, schema, tuple(facts["target"]), facts)


def _model(facts: dict[str, Any], files: dict[str, bytes], schema: Schema) -> Model:
    classes = tuple(facts["classes"])
    outputs = 1 if len(classes) == 2 else len(classes)
    threshold = facts["threshold"]
    if isinstance(threshold, dict):
        threshold = np.array([threshold[str(one)] for one in classes], np.float64)
    else:
        threshold = float(threshold)
    members = []
    for place, one in enumerate(facts["members"]):
        folder = folder_of(place, one["learner"], len(facts["members"]))
        own = {name.removeprefix(folder): data for name, data in files.items() if name.startswith(folder)}
        fitted = LEARNERS[one["learner"]].load(own, schema, outputs)
        members.append(Member(one["label"], one["learner"], from_dict(one["recipe"]), one["share"], fitted))
    ruling = Ruling(Goal.parse(facts["goal"]), threshold, facts["promised"], facts["met"], facts["reason"])
    return Model(tuple(members), classes, ruling, schema, facts["target"], facts)
