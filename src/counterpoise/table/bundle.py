"""The directory that training writes and prediction reads.

    model.txt       LightGBM's own text format; its raw scores are the logits
    decision.json   recipe, threshold, classes, goal, columns, comparison, test metrics with intervals
    report.html     what was found, for people

It appears at once or not at all: it is written beside its place and then renamed into it.
"""

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.multiclass import decide_classes
from counterpoise.errors import UserError
from counterpoise.lightgbm import library
from counterpoise.recipes import Recipe, SoftmaxRecipe, from_dict
from counterpoise.table.boost import posterior
from counterpoise.table.features import Schema

MODEL, DECISION, REPORT = "model.txt", "decision.json", "report.html"
Class = str | int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A trained model with everything that its use needs.

    Parameters
    ----------
    path
        Its directory.
    booster
        LightGBM's.
    recipe
        The loss, which turns logits into probabilities.
    classes
        In the order of the probabilities; of two the second is the positive one.
    threshold
        A number for two classes, else one per class.
    schema
        How columns become features.
    facts
        All of decision.json.
    """

    path: Path
    booster: Any
    recipe: Recipe
    classes: tuple[Class, ...]
    threshold: float | NDArray[np.float64]
    schema: Schema
    facts: dict[str, Any]

    def probability(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Honest class probabilities, (N, C)."""
        found = posterior(self.recipe, self.booster.predict(matrix, raw_score=True))
        return found if found.ndim == 2 else np.stack([1 - found, found], axis=1)

    def decide(self, probability: NDArray[np.float64]) -> NDArray[np.int64]:
        """The place of the class that each row of probabilities is decided to be."""
        if isinstance(self.threshold, float):
            return (probability[:, 1] >= self.threshold).astype(np.int64)
        return decide_classes(probability, self.threshold)


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


def beside(out: Path) -> Path:
    """A name for what is not finished, in the same directory: nobody else has it.

    Examples
    --------
    >>> beside(Path("some", "model")).parent.name
    'some'
    """
    return out.with_name(f".counterpoise-{secrets.token_hex(8)}.partial")


def write(out: Path, files: dict[str, str]) -> None:
    """Write a new directory with these files, or nothing."""
    refuse_existing(out)
    partial = beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for name, text in files.items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        refuse_existing(out)  # the work took minutes; renaming fails on all but an empty directory
        partial.rename(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def to_json(facts: dict[str, Any]) -> str:
    """One stable spelling: same facts, same bytes.

    Examples
    --------
    >>> print(to_json({"threshold": 0.25}), end="")
    {
      "threshold": 0.25
    }
    """
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def fingerprint(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal.

    Examples
    --------
    >>> fingerprint("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def load(path: Path) -> Bundle:
    """Read a directory that `counterpoise train` wrote, and check that its files belong together."""
    if not path.is_dir():
        raise UserError(f"no such directory: {path}; name one that 'counterpoise train' wrote")
    for name in (DECISION, MODEL):
        if not (path / name).is_file():
            raise UserError(f"{path} has no {name}; name a directory that 'counterpoise train' wrote")
    try:
        facts = json.loads((path / DECISION).read_text(encoding="utf-8"))
        recipe = from_dict(facts["recipe"])
        schema = Schema.from_dict(facts["schema"])
        classes = tuple(facts["classes"])
        threshold = facts["threshold"]
        if isinstance(threshold, dict):
            threshold = np.array([threshold[str(one)] for one in classes], np.float64)
        else:
            threshold = float(threshold)
        expected = facts["model_sha256"]
        model = (path / MODEL).read_text(encoding="utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{path / DECISION} is damaged ({type(error).__name__}: {error})") from None
    if fingerprint(model) != expected:
        raise UserError(f"{path / MODEL} is not the model that {DECISION} belongs to; train again")
    booster = library().Booster(model_str=model)
    outputs = len(classes) if isinstance(recipe, SoftmaxRecipe) else 1
    if booster.num_feature() != len(schema.features) or booster.num_model_per_iteration() != outputs:
        raise UserError(f"{path / MODEL} does not fit the columns and classes in {DECISION}; train again")
    return Bundle(path, booster, recipe, classes, threshold, schema, facts)
