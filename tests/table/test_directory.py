"""A saved directory is read as it was written, or refused; nothing in it is run."""

import json
import pickletools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import bundle, load


@pytest.fixture(scope="module")
def saved(tmp_path_factory, imbalanced):
    """The model of two learners, each with files of its own."""
    from dataclasses import replace

    out = tmp_path_factory.mktemp("saved") / "model"
    trained = [
        cp.train(imbalanced(250), target="label", learners=(name,), budget=10.0) for name in ("lightgbm", "logistic")
    ]
    members = tuple(replace(one.model.members[0], share=share) for one, share in zip(trained, (0.6, 0.4), strict=True))
    files = bundle.model_files(members, trained[0].schema.arrays())
    described = [
        {"label": one.label, "learner": one.learner, "recipe": one.recipe.to_dict(), "share": one.share}
        for one in members
    ]
    facts = dict(trained[0].facts) | {
        "members": described,
        "files": {name: bundle.fingerprint(data) for name, data in files.items()},
    }
    facts.pop(bundle.SEAL, None)
    texts = {bundle.DECISION: bundle.to_json(bundle.sealed(facts)).encode(), bundle.REPORT: b"<p>", bundle.CARD: b"#"}
    bundle.write(out, files | texts)
    return out


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


NEEDED = ["decision.json", "0-lightgbm/model.txt", "1-logistic/network.safetensors", "1-logistic/encoding.json"]


def refused(path, words):
    with pytest.raises(UserError, match=words):
        load(path)


def test_it_holds_what_it_should(saved):
    found = {str(one.relative_to(saved)) for one in saved.rglob("*") if one.is_file()}
    assert found == {*NEEDED, "report.html", "model_card.md"}
    assert [one.learner for one in load(saved).members] == ["lightgbm", "logistic"]


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file(copy, name):
    (copy / name).unlink()
    refused(copy, f"has no {re.escape(name)}; name a directory that 'counterpoise train' wrote")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_digit_that_changed(copy, name, where):
    data = bytearray((copy / name).read_bytes())
    digits = [place for place, one in enumerate(data) if chr(one).isdigit()] or [len(data) - 1]
    place = digits[int(where * len(digits))]
    data[place] = ord("7") if data[place] != ord("7") else ord("8")
    (copy / name).write_bytes(data)
    refused(copy, "checksum differs|damaged|older|newer")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_cut_short(copy, name, share):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: int(share * len(data))])
    refused(copy, "damaged" if name == "decision.json" else "checksum differs")


def rewritten(path, change):
    """decision.json changed by somebody who knows how to seal it."""
    facts = json.loads((path / "decision.json").read_text(encoding="utf-8"))
    facts.pop(bundle.SEAL)
    change(facts)
    (path / "decision.json").write_text(bundle.to_json(bundle.sealed(facts)), encoding="utf-8")


CHANGES = [
    (lambda facts: facts.update(format=99), r"newer Counterpoise \(format 99; .* pip install --upgrade counterpoise"),
    (lambda facts: facts.update(format="new"), "newer Counterpoise"),
    (lambda facts: facts.update(format=1), r"older Counterpoise \(format 1\); train again"),
    (lambda facts: facts["files"].update({"../secret": "0" * 64}), "outside of the directory: ../secret"),
    (lambda facts: facts["files"].update({"0-lightgbm/../../secret": "0" * 64}), "outside of the directory"),
    (lambda facts: facts["files"].update({"/etc/passwd": "0" * 64}), "outside of the directory: /etc/passwd"),
    (lambda facts: facts["files"].pop("0-lightgbm/model.txt"), "damaged"),
    (lambda facts: facts.pop("schema"), "damaged"),
    (lambda facts: facts.update(files=[1]), "damaged"),
    (lambda facts: facts.update(classes=3), "damaged"),
    (lambda facts: facts["members"][0].update(learner="os.system"), "damaged"),
    (lambda facts: facts["members"][0].update(recipe={"family": "exec"}), "damaged|family|recipe"),
    (lambda facts: facts["schema"]["columns"].pop(), "does not fit the columns"),
    (lambda facts: facts.update(classes=["a", "b", "c"], threshold={"a": 0.1, "b": 0.1, "c": 0.1}), "does not fit"),
]


@pytest.mark.parametrize("change, words", CHANGES)
def test_a_decision_that_makes_no_sense(copy, change, words):
    rewritten(copy, change)
    refused(copy, words)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"format": 3}', "\x00"])
def test_a_decision_that_is_none(copy, text):
    (copy / "decision.json").write_text(text)
    refused(copy, "damaged|changed")


def test_a_threshold_changed_by_hand(copy):
    text = (copy / "decision.json").read_text(encoding="utf-8")
    (copy / "decision.json").write_text(re.sub(r'"threshold": [\d.e-]+', '"threshold": 0.5', text), encoding="utf-8")
    refused(copy, "was changed since training wrote it")


def test_a_half_written_directory_is_no_model(copy):
    half = copy.rename(copy.with_name(".counterpoise-0123.partial"))
    (half / "decision.json").unlink()
    refused(half, "has no decision.json")


def test_no_file_is_a_pickle(saved):
    for file in saved.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            with pytest.raises(ValueError):
                list(pickletools.genops(data))


def test_the_package_knows_no_pickle():
    source = Path(bundle.__file__).parent
    harmful = re.compile(r"\bpickle\b(?!-)|joblib|torch\.load\(|allow_pickle=True|\beval\(|\bexec\(|yaml\.load\(")
    code = list(source.rglob("*.py"))
    assert len(code) > 20
    for file in code:
        text = re.sub(r'"""(.|\n)*?"""', "", file.read_text(encoding="utf-8"))
        found = [line for line in text.splitlines() if harmful.search(line) and not line.lstrip().startswith("#")]
        assert found == [], file


AUDIT = """
import sys, warnings
import counterpoise as cp
cp.load(sys.argv[1])  # imports what it needs
ran = []
def watch(event, arguments):
    if event in ("compile", "exec", "pickle.find_class", "os.system", "subprocess.Popen", "marshal.loads"):
        ran.append((event, str(arguments)[:200]))
sys.addaudithook(watch)
cp.load(sys.argv[1])
sys.exit(str(ran) if ran else 0)
"""


def test_loading_runs_nothing(saved):
    done = subprocess.run([sys.executable, "-c", AUDIT, str(saved)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pandas_and_polars_get_the_same(saved, imbalanced):
    model = load(saved)
    frame = imbalanced(50, seed=2)
    other = pd.DataFrame(frame.to_dict(as_series=False))
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(frame))
    np.testing.assert_array_equal(model.predict(other), model.predict(frame))
    assert model.explain(other).equals(model.explain(frame))
    probability = model.predict_proba(frame)
    assert probability.shape == (50, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    flagged = probability[:, 1] >= model.decision.threshold
    assert model.predict(frame).tolist() == np.where(flagged, "yes", "no").tolist()


def test_explanations_are_in_log_odds(saved, imbalanced):
    model = load(saved)
    frame = imbalanced(60, seed=3)
    found = model.explain(frame)
    assert found.columns == [column.name for column in model.schema.columns]
    hidden = frame.with_columns(pl.lit(model.facts["columns"]["size"]["typical"]).alias("size"))

    def log_odds(of):
        positive = model.predict_proba(of)[:, 1]
        return np.log(positive) - np.log1p(-positive)

    np.testing.assert_allclose(found["size"].to_numpy(), log_odds(frame) - log_odds(hidden), atol=1e-9)
    strength = found.select(pl.all().abs().mean()).row(0, named=True)
    assert max(strength, key=strength.get) == "size"  # which decides most in this table


def test_the_command_says_it_in_one_line(copy, tmp_path, imbalanced, capsys):
    imbalanced(20).write_csv(tmp_path / "t.csv")
    (copy / "0-lightgbm" / "model.txt").write_text("tree")
    assert main(["predict", str(copy), str(tmp_path / "t.csv"), "-o", str(tmp_path / "p.csv")]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "its checksum differs" in shown
