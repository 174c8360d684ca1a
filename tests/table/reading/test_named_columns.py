"""Columns as people name them, and what it means to ignore them at each door."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.table.asked import Asked, command_of
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.reading.frames import FRAME
from counterpoise.table.reading.labels import named_labels
from counterpoise.table.reading.named_columns import ignored_columns, joined, matched, parts_of, refuse_ignored
from counterpoise.table.reading.table import Table

needs("lightgbm")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a,b", "c"], ['say "x"', "y"], ["*", "[x]"], ["a\nb", "c"]])
def test_what_is_joined_is_taken_apart_again(names):
    assert list(parts_of("ignore", joined(names))) == names


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,", " , b"])
def test_nothing_between_commas(text):
    with pytest.raises(UserError, match="has an empty name"):
        parts_of("ignore", text)


def test_a_name_that_exists_is_no_pattern():
    assert matched(["y*", "y1"], "y*", "ignore", "t") == ["y*"]
    assert ignored_columns(["x[1]", "x1", "z"], ["x[1]"], "t") == ("x[1]",)
    assert ignored_columns(["x[1]", "x1", "z"], ["x?", "z"], "t") == ("x1", "z")


@pytest.mark.parametrize(
    ("ignore", "message"),
    [
        (["sise"], "matches ignore 'sise'; did you mean 'size'\\? its columns: size, shape"),
        (["q*"], "matches ignore 'q\\*'; its columns"),
        (["*"], "leaves out every column of"),
        (["SIZE"], "did you mean|its columns"),
    ],
)
def test_what_matches_nothing_or_all(ignore, message):
    with pytest.raises(UserError, match=message):
        ignored_columns(["size", "shape"], ignore, "t.csv")


@pytest.mark.parametrize("option", ["target", "time", "group", "weight"])
@pytest.mark.parametrize("said", ["c", ("b", "c"), ("c*",)])
def test_a_column_with_a_part_to_play_is_not_ignored(option, said):
    with pytest.raises(UserError, match=f"ignore leaves out 'c', which is the {option}"):
        refuse_ignored(["a", "c"], {option: said})


def _table(rows=200):
    rng = np.random.default_rng(0)
    size, rare = rng.normal(size=rows), np.arange(rows) % 5 == 0
    return pl.DataFrame(
        {
            "size": size + 2 * rare,
            "paid late": np.where(rare, 1, 0),
            "paid,more": np.where(rare, 2, 0),
            "sex": np.where(size > 0, "f", "m"),
            "odd": [str(k) if k % 2 else "x" for k in range(rows)],  # numbers and words: training refuses neither
            "y": np.where(rare, "bad", "good"),
        }
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_ignored_is_never_asked_for(suffix, tmp_path, capsys):
    path, out = tmp_path / f"t.{suffix}", tmp_path / "m"
    getattr(_table(), f"write_{suffix}")(path)
    words = [
        "train",
        str(path),
        "--target",
        "y",
        "--learner",
        "logistic",
        "--ignore",
        "paid*,odd,sex",
        "--slice",
        "sex",
    ]
    assert main([*words, "--out", str(out)]) == 0
    assert "not used: paid late, paid,more, sex, odd (ignored on request)" in capsys.readouterr().out
    facts = json.loads((out / "decision.json").read_text(encoding="utf-8"))
    assert [name for name, _ in facts["schema"]["dropped"]] == ["paid late", "paid,more", "sex", "odd"]
    assert [column["name"] for column in facts["schema"]["columns"]] == ["size"]
    assert shlex.split(facts["command"])[-4:-2] == ["--ignore", "paid*,odd,sex"]
    for name in ("report.html", "model_card.md"):
        assert "ignored on request" in (out / name).read_text(encoding="utf-8")
    assert "By sex" in (out / "report.html").read_text(encoding="utf-8")
    new = tmp_path / f"new.{suffix}"
    getattr(_table().select("size"), f"write_{suffix}")(new)
    for given in (new, path):
        done = tmp_path / f"{given.stem}-done.csv"
        assert main(["predict", str(out), str(given), "-o", str(done)]) == 0
        assert "does not know" not in capsys.readouterr().out
    assert (tmp_path / "t-done.csv").read_text() == (tmp_path / "new-done.csv").read_text()


def test_of_a_frame_what_is_ignored_may_hold_anything():
    frame = _table().with_columns(lists=pl.Series([[1], [2, 3]] * 100), twins=pl.col("size"))
    result = cp.train(frame, target="y", ignore=["lists", "paid*", "tw?ns"], learners="logistic", budget=5)
    assert [column.name for column in result.schema.columns] == ["size", "sex", "odd"]
    assert "ignore=['lists', 'paid*', 'tw?ns']" in result.command
    same = cp.train(frame, target="y", ignore="lists, paid*, tw?ns", learners="logistic", budget=5)
    unknown = "column 'odd': 100 of 200 values are unknown to the model"
    with pytest.warns(UserWarning, match=unknown):
        expected = result.predict_proba(frame.select("size", "sex", "odd"))
    with pytest.warns(UserWarning, match=unknown):
        assert same.predict_proba(frame.select("size", "sex", "odd")).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_a_model_looks_at_its_own_columns_only(kind):
    frame = _table().select("size", "sex", "y")
    result = cp.train(frame, target="y", learners="logistic", budget=5)
    expected = result.predict_proba(frame).tolist()
    more = frame.with_columns(lists=pl.Series([[1], [2, 3]] * 100), raw=pl.Series([b"x", None] * 100))
    if kind == "pandas":
        more = pd.DataFrame(more.to_dict(as_series=False))
        more["object"] = [{1: 2}] * 200
    assert result.predict_proba(more).tolist() == expected
    assert result.explain(more[:5]).columns == ["size", "sex"]
    misspelled = more.rename({"size": "sise"}) if kind == "polars" else more.rename(columns={"size": "sise"})
    with pytest.raises(UserError, match="no column 'size'; did you mean 'sise'"):
        result.predict(misspelled)


def test_of_several_labels():
    frame = _table().with_columns(y_a=pl.col("size") > 1, y_b=pl.col("size") > 1.5).drop("y")
    result = cp.train(frame, target="y_*", ignore="paid*,odd", learners="logistic", budget=5)
    assert [column.name for column in result.schema.columns] == ["size", "sex"]
    with pytest.raises(UserError, match="ignore leaves out 'y_b', which is the target"):
        cp.train(frame, target="y_*", ignore="y_b", learners="logistic")


def test_compare_ignores_too(tmp_path):
    _table().write_csv(tmp_path / "t.csv")
    words = ["compare", str(tmp_path / "t.csv"), "--target", "y", "--learner", "logistic", "--recipe", "weighted"]
    assert main([*words, "--out", str(tmp_path / "a"), "--ignore", "paid*"]) == 0
    assert main([*words, "--out", str(tmp_path / "b")]) == 0
    with_leak, without = (pl.read_csv(tmp_path / name / "comparison.csv")["score"].max() for name in ("b", "a"))
    assert with_leak == 1.0
    assert without < 1.0


def test_the_audit_names_the_option_and_a_command_that_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _table().write_csv("my t.csv")
    found = audit_table("my t.csv", target="y")
    assert "--ignore 'paid late,\"paid,more\"'" in found.findings[0].do
    assert main(["audit", "my t.csv", "--target", "y"]) == 0
    following = capsys.readouterr().out.splitlines()[-1].removeprefix("Next: counterpoise ")
    assert main([*shlex.split(following), "--learner", "logistic", "--out", "m"]) == 0
    again = audit_table("my t.csv", target="y", ignore=["paid*"])
    assert (again.ignored, again.command) == (("paid late", "paid,more"), None)
    assert again.leaks == ()


def test_the_audit_of_a_frame_names_the_argument():
    result = cp.train(_table(), target="y", learners="logistic", budget=5)
    assert "ignore=['paid late', 'paid,more']" in result.audit.findings[0].do


@pytest.mark.parametrize("ignore", [["y_a"], ["y_*"], ["x", "y_b"]])
@pytest.mark.parametrize("target", ["y_a,y_b", " y_b , y_a", "y_*", '"y_a",y_b'])
def test_a_target_that_is_ignored_is_named_as_such_however_targets_are_written(target, ignore):
    columns = ["x", "y_a", "y_b"]
    with pytest.raises(
        UserError, match=r"ignore leaves out 'y_[ab]', which is the target; take it from one of the two"
    ):
        refuse_ignored(ignored_columns(columns, ignore, Path("t.csv")), {"target": target}, columns)


def test_a_name_with_a_comma_is_that_column_alone():
    refuse_ignored(["a", "b"], {"target": "a,b", "group": "y*"}, ["a", "b", "a,b", "y*"])
    with pytest.raises(UserError, match="ignore leaves out 'a,b', which is the target"):
        refuse_ignored(["a,b"], {"target": ["a,b", "c"]}, ["a", "b", "a,b", "c"])


@pytest.mark.parametrize("names", [["a,b", "c"], ["a", 'b"c', "d,"], ["only, one"]])
def test_a_list_of_targets_and_the_text_of_it_name_the_same_columns(names):
    target = joined(names)
    asked = Asked(target, targets=tuple(names))
    call = command_of(FRAME, asked, None, Goal("f1"))
    assert f"target={names!r}, " in call
    words = shlex.split(command_of(Path("t.csv"), asked, None, Goal("f1")))
    assert parts_of("target", words[words.index("--target") + 1]) == tuple(names)
    table = Table(pl.DataFrame({name: [0, 1] for name in names}), Path("t.csv"), typed=False)
    if target not in names:
        assert named_labels(table, target) == tuple(names)
