"""One value changed anywhere in the JSON of a saved model: a refusal in words, or the very same answers.

Whoever changes it writes the checksums anew. Only numbers that training is free to choose may change the answers, and
these stay probabilities. Of about 12,000 changes a seeded sample is tried.
"""

import json
import random
import re
import shutil
import warnings

import numpy as np
import pytest

from counterpoise.errors import UserError
from counterpoise.table import load
from counterpoise.table.model import bundle
from mutations import changes

FREE = re.compile(
    r"decision\.json (threshold|schema columns \d+ categories \d+|members \d+ recipe \w+)"
    r"|encoding\.json (middle|tail|mean|deviation|missing) \d+|encoding\.json values \d+ \d"
)
SAMPLE = 200
FILES = ["decision.json", "1-logistic/encoding.json"]


def written(directory, name, value):
    """One of the JSON files, with the checksums that belong to it."""
    facts = json.loads((directory / "decision.json").read_bytes()) if name != "decision.json" else value
    if name != "decision.json":
        (directory / name).write_text(json.dumps(value))
        facts["files"][name] = bundle.fingerprint((directory / name).read_bytes())
    facts = {key: one for key, one in facts.items() if key != bundle.SEAL}
    try:
        facts = bundle.sealed(facts)
    except ValueError:  # NaN and halves of characters have no seal
        facts[bundle.SEAL] = "0" * 64
    (directory / "decision.json").write_text(json.dumps(facts))


def answers(directory, matrix_of):
    model = load(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probability = model.predict_proba(matrix_of)
    return probability, np.asarray(model.classes)[model.decision.apply(probability)].tolist()


def tried(original, directory, expected, frame, name, value):
    """What is said of a changed file: "refused", "same", "other", or an answer that is none."""
    for file in FILES:
        shutil.copy(original / file, directory / file)
    written(directory, name, value)
    try:
        probability, decided = answers(directory, frame)
    except UserError as error:
        return "refused" if str(error).count("\n") == 0 and len(str(error)) < 2000 else "refused at length"
    if not (np.isfinite(probability).all() and (probability >= 0).all() and np.allclose(probability.sum(axis=1), 1)):
        return "no probability"
    if set(decided) - {"no", "yes"}:
        return "no class"
    return "same" if np.array_equal(probability, expected[0]) and decided == expected[1] else "other"


@pytest.mark.parametrize("name", FILES)
def test_any_value(blended, tmp_path, imbalanced, name):
    directory = shutil.copytree(blended, tmp_path / "model")
    frame = imbalanced(20, seed=9)
    expected = answers(blended, frame)
    every = list(changes(json.loads((blended / name).read_bytes())))
    wrong, said = [], {}
    for path, how, value in random.Random(0).sample(every, min(SAMPLE, len(every))):
        found = tried(blended, directory, expected, frame, name, value)
        said[found] = said.get(found, 0) + 1
        place = f"{name.partition('/')[2] or name} {' '.join(map(str, path))}"
        if not (found in ("refused", "same") or (found == "other" and FREE.fullmatch(place))):
            wrong.append((place, how, found))
    assert wrong == []
    assert said["refused"] > SAMPLE / 3
