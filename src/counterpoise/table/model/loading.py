"""From a saved directory to the model: its files are read and checked, then put together."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from counterpoise import goals
from counterpoise.errors import UserError
from counterpoise.table.features.schema import TEXT as TEXT_KIND
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import LEARNERS, Fitted
from counterpoise.table.model.bundle import DECISION, REPORT, TEXT, folder_of, label_folder
from counterpoise.table.model.directory import Held, read, sealed_facts
from counterpoise.table.model.forms import LABEL, MULTILABEL, check_decision, check_texts, checked_recipe
from counterpoise.table.model.one import Member, Model, Ruling
from counterpoise.table.model.several import MultilabelModel
from counterpoise.table.plain_data import inside, refuse
from counterpoise.table.tensors import arrays_of


def load(path: str | Path) -> Model | MultilabelModel:
    """Read a directory that `counterpoise train` wrote, and check that its files belong together.

    Nothing in it is run or trusted: a number out of its range, an invalid tree, a link or a changed file is refused.

    Parameters
    ----------
    path
        Directory of the model.

    Returns
    -------
    Model
        The model, which predicts, decides and explains; for several labels a `MultilabelModel`.

    Raises
    ------
    UserError
        If there is none, a file is absent or not the one that was written or does not hold what training writes, or a
        newer Counterpoise wrote it.

    Examples
    --------
    >>> load("nowhere")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: no such directory: nowhere; name one that 'counterpoise train' wrote
    """
    return model_of(read(Path(path)))


def model_of(held: Held) -> Model | MultilabelModel:
    """The model that a directory in memory holds.

    Raises
    ------
    UserError
        As `load`.
    """
    facts, where = held.facts, str(held.path / DECISION)
    check_decision(facts, where)
    schema, shared = _schema(held), {REPORT, *_texts(facts)}
    if facts.get("kind") != MULTILABEL:
        _check_names(held, {*shared, *_files_of(facts)})
        return _model(held, "", facts, schema, facts["target"])
    labels = {name: _label(held, name, place) for place, name in enumerate(facts["target"]) if name in facts["labels"]}
    of_labels = (f"{folder}{file}" for folder, own in labels.values() for file in (DECISION, *_files_of(own)))
    _check_names(held, {*shared, *of_labels})
    models = {name: _model(held, folder, own, schema, name) for name, (folder, own) in labels.items()}
    return MultilabelModel({name: models[name] for name in facts["labels"]}, schema, tuple(facts["target"]), facts)


def _label(held: Held, name: str, place: int) -> tuple[str, dict[str, Any]]:
    """The folder of a label, and what its decision.json holds."""
    expected = label_folder(place, name)
    folder = held.facts["labels"][name]["folder"]
    if folder != expected:
        refuse(folder, inside(inside(str(held.path / DECISION), "labels"), name) + ".folder", repr(expected))
    file = f"{folder}/{DECISION}"
    if file not in held.files:
        raise UserError(f"{held.path / DECISION} does not name {file}")
    where = str(held.path / file)
    facts = sealed_facts(held.files[file], where)
    check_decision(facts, where)
    if facts.get("kind") != LABEL or facts["target"] != name or len(facts["classes"]) != 2:
        raise UserError(f"{where} is not that of the label {name!r}")
    return f"{folder}/", facts


def _texts(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return (TEXT,) if any(one["kind"] == TEXT_KIND for one in facts["schema"]["columns"]) else ()


def _files_of(facts: Mapping[str, Any]) -> list[str]:
    """The files that the members of a model have."""
    members = facts["members"]
    unknown = [one["learner"] for one in members if one["learner"] not in LEARNERS]
    if unknown:
        raise UserError(f"{DECISION}: there is no learner {unknown[0][:60]!r}; there are {', '.join(LEARNERS)}")
    return [
        folder_of(place, one["learner"], len(members)) + name
        for place, one in enumerate(members)
        for name in LEARNERS[one["learner"]].files
    ]


def _check_names(held: Held, expected: Iterable[str]) -> None:
    for name in sorted(set(held.files) ^ set(expected)):
        found = "names" if name in held.files else "does not name"
        is_one = "no file" if name in held.files else "a file"
        raise UserError(f"{held.path / DECISION} {found} {name}, which is {is_one} of the model")


def _schema(held: Held) -> Schema:
    facts, where = held.facts["schema"], str(held.path / TEXT)
    if not _texts(held.facts):
        return Schema.from_dict(facts)
    if TEXT not in held.files:
        raise UserError(f"{held.path / DECISION} does not name {TEXT}, which is a file of the model")
    arrays = arrays_of(held.files[TEXT], where)
    check_texts(arrays, facts["columns"], where)
    return Schema.from_dict(facts, arrays)


def _model(held: Held, folder: str, facts: dict[str, Any], schema: Schema, target: str) -> Model:
    """A model of one target, whose files are in a folder."""
    where = str(held.path / folder / DECISION)
    classes, threshold = tuple(facts["classes"]), facts["threshold"]
    members: list[Member] = []
    for place, one in enumerate(facts["members"]):
        found = checked_recipe(one["recipe"], len(classes), f"{inside(where, 'members')}[{place}].recipe")
        alike = (other.recipe for other in members if other.recipe.to_dict() == found.to_dict())
        recipe = next(alike, found)  # members of one loss share it, and `posterior` calls it once
        own = folder + folder_of(place, one["learner"], len(facts["members"]))
        fitted = _fitted(held, own, one["learner"], schema, 1 if len(classes) == 2 else len(classes))
        members.append(Member(one["label"], one["learner"], recipe, one["share"], fitted))
    cut = float(threshold) if len(classes) == 2 else np.array([threshold[str(one)] for one in classes], np.float64)
    ruling = Ruling(goals.goal(facts["goal"]), cut, facts["promised"], facts["met"], facts["reason"])
    model = Model(tuple(members), classes, ruling, schema, target, facts)
    typical = np.vstack([np.zeros(len(schema.features)), np.full(len(schema.features), np.nan)])
    if not np.isfinite(model.probability(typical)).all():
        raise UserError(f"{held.path} gives probabilities that are not numbers; train again")
    return model


def _fitted(held: Held, folder: str, learner: str, schema: Schema, outputs: int) -> Fitted:
    """A member, from the files of its folder; what its library says of them is said with their place."""
    files = {name: held.files[folder + name] for name in LEARNERS[learner].files}
    try:
        return LEARNERS[learner].load(files, schema, outputs)
    except UserError as error:
        raise UserError(
            f"{held.path / folder}/{error}" if str(error).startswith(tuple(files)) else str(error)
        ) from None
    except Exception as error:  # each library has errors of its own
        named = " or ".join(files)
        raise UserError(f"{held.path / folder}/{named} is damaged ({type(error).__name__}: {error})") from None
