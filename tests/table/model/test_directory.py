"""A saved directory is read as it was written, or refused; nothing in it is run."""

import os
import pickletools
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load
from counterpoise.table.model import bundle, directory

pytestmark = pytest.mark.slow


@pytest.fixture
def saved(blended):
    return blended


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


NEEDED = [
    "decision.json",
    "report.html",
    "0-lightgbm/model.txt",
    "1-logistic/network.safetensors",
    "1-logistic/encoding.json",
]


def refused(path, words):
    with pytest.raises(UserError, match=words):
        load(path)


def test_it_holds_what_it_should(saved):
    found = {str(one.relative_to(saved)) for one in saved.rglob("*") if one.is_file()}
    assert found == {*NEEDED, "model_card.md"}
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


def bind(place):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


LINKS = {
    "a link to a file": lambda place, outside: place.symlink_to(outside),
    "a link to a folder": lambda place, outside: place.symlink_to(outside.parent),
    "a link to nothing": lambda place, outside: place.symlink_to(outside / "nothing"),
    "a pipe": lambda place, _: os.mkfifo(place),
    "a socket": lambda place, _: bind(place),
}


@pytest.mark.parametrize("name", ["report.html", "decision.json", "0-lightgbm/model.txt", "more", "0-lightgbm/more"])
@pytest.mark.parametrize("kind", LINKS)
def test_what_is_no_file_is_refused(copy, tmp_path, monkeypatch, kind, name):
    outside = tmp_path / "outside"
    (copy / name).replace(outside) if (copy / name).exists() else outside.write_text("secret")
    monkeypatch.chdir((copy / name).parent)  # the name of a socket is short
    LINKS[kind](Path((copy / name).name), outside)
    refused(copy, "a model has none; copy the files themselves")


def test_a_folder_that_is_a_link_is_refused(copy, tmp_path):
    (copy / "0-lightgbm").rename(tmp_path / "elsewhere")
    (copy / "0-lightgbm").symlink_to(tmp_path / "elsewhere")
    refused(copy, "0-lightgbm is a link, and a model has none")


def test_the_directory_itself_may_be_reached_by_a_link(copy, tmp_path):
    (tmp_path / "current").symlink_to(copy)
    assert len(load(tmp_path / "current").members) == 2


def test_other_files_are_not_read_and_the_card_may_be_written_on(copy):
    (copy / "notes.txt").write_bytes(bytes(1000))
    (copy / "model_card.md").write_text("# What we use it for")
    assert len(load(copy).members) == 2


def test_the_report_that_is_served_is_the_one_that_was_written(copy):
    from counterpoise.table.using.serve import application

    (copy / "report.html").write_text("<script>")
    with pytest.raises(UserError, match=r"report\.html is not the file that decision\.json belongs to"):
        application(copy)


@pytest.mark.parametrize(
    ("limit", "name", "words"),
    [
        ("MOST_BYTES", "report.html", "a model has at most 100"),
        ("MOST_BYTES_OF_JSON", "decision.json", "it has at most 100"),
        ("_MOST_ENTRIES", "report.html", "holds more than 3 files"),
    ],
)
def test_sizes_are_bounded_before_anything_is_read(copy, monkeypatch, limit, name, words):
    monkeypatch.setattr(directory, limit, 3 if limit == "_MOST_ENTRIES" else 100)
    if limit == "MOST_BYTES":
        real = directory._bytes
        monkeypatch.setattr(
            directory,
            "_bytes",
            lambda path, name, size: real(path, name, size) if name == "decision.json" else pytest.fail(),
        )
    assert (copy / name).is_file()
    refused(copy, words)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", "[" * 100_000, '{"format": 3}', "\x00", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e400}'],
)
def test_a_decision_that_is_none(copy, text):
    (copy / "decision.json").write_text(text)
    refused(copy, "damaged|changed|which is not a JSON number")


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
    source = Path(bundle.__file__).parents[1]
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


@pytest.mark.parametrize("inner", ["", "models", "labels/wet"])
def test_a_folder_that_must_not_be_read_is_named(copy, inner, monkeypatch):
    """As of a folder without permission; who tests as root may read all of them."""
    folder = copy / inner
    folder.mkdir(parents=True, exist_ok=True)
    real = os.scandir

    def refusing(path):
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)") as refused:
        load(copy)
    assert str(folder) in str(refused.value)
