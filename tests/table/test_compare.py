"""A comparison says what its folds say: paired, with ranks, in files that others can read."""

import xml.etree.ElementTree as Tree

import numpy as np
import polars as pl
import pytest
from scipy import stats

from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table.compare import as_csv, compare_table, interval
from counterpoise.table.learners import LEARNERS
from counterpoise.table.racing.scoring import standard_error

pytestmark = pytest.mark.slow

WEIGHTED = ["weighted", "focal"]


@pytest.fixture(scope="module")
def compared(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    return compare_table(table, target="label", out=out, learners=["lightgbm", "logistic"], recipes=WEIGHTED)


def test_each_learner_is_held_against_its_own_plain_loss(compared):
    found = [(line.learner, line.loss, line.ahead is None) for line in compared.lines if line.loss in WEIGHTED]
    assert found == [(name, loss, False) for name in ("lightgbm", "logistic") for loss in WEIGHTED]
    for name in ("lightgbm", "logistic"):
        plain = next(line for line in compared.lines if line.learner == name and line.ahead is None)
        assert plain.loss == "plain cross-entropy"
        for line in compared.lines:
            if line.learner == name and line.ahead is not None:
                assert line.ahead.value == pytest.approx(line.score.value - plain.score.value)
                assert line.ahead.low <= line.ahead.value <= line.ahead.high


def test_ranks_and_rows_add_up(compared):
    n = len(compared.lines)
    assert sum(line.rank for line in compared.lines) == pytest.approx(n * (n + 1) / 2)
    assert (compared.rows, compared.total, compared.folds) == (400, 400, 5)
    assert all(0 <= line.score.value <= 1 and line.log_loss > 0 for line in compared.lines)


def test_the_interval_is_students_with_the_corrected_error():
    scores = np.array([0.3, 0.5, 0.4, 0.45, 0.2])
    found = interval(scores)
    low, high = stats.t.interval(0.95, 4, loc=scores.mean(), scale=standard_error(scores))
    assert (found.low, found.high) == pytest.approx((low, high))
    naive = scores.std(ddof=1) / np.sqrt(5)
    assert found.high - found.low > 2 * stats.t.ppf(0.975, 4) * naive


def test_the_files_hold_the_lines(compared):
    frame = pl.read_csv(compared.out / "comparison.csv")
    assert frame.height == len(compared.lines)
    assert frame["score"].to_list() == [line.score.value for line in compared.lines]
    assert frame.filter(pl.col("ahead_of_plain").is_null())["loss"].unique().to_list() == ["plain-cross-entropy"]
    assert (compared.out / "comparison.csv").read_text() == as_csv(compared.lines)
    svg = Tree.parse(compared.out / "comparison.svg").getroot()
    words = " ".join(svg.itertext())
    assert "LightGBM" in words and "Logistic regression" in words and "focal" in words
    assert compared.sentence in svg.get("aria-label", "")


def test_the_same_seed_gives_the_same_lines(table, tmp_path):
    asked = {"target": "label", "learners": ["logistic"], "recipes": ["weighted"]}
    first, second = (compare_table(table, out=tmp_path / name, **asked) for name in ("a", "b"))
    plain = [(line.score, line.ahead, line.rank, line.log_loss) for line in first.lines]
    assert plain == [(line.score, line.ahead, line.rank, line.log_loss) for line in second.lines]


def test_a_learner_that_fails_does_not_stop_the_others(table, tmp_path, monkeypatch):
    def fail(_):
        raise UserError("no tree can be grown")

    broken = LEARNERS["lightgbm"]
    monkeypatch.setitem(
        LEARNERS, "lightgbm", type(broken)(**{k: getattr(broken, k) for k in broken.__slots__} | {"fit": fail})
    )
    both = ["lightgbm", "logistic"]
    found = compare_table(table, target="label", out=tmp_path / "out", learners=both, recipes=["focal"])
    assert {line.learner for line in found.lines} == {"logistic"}
    assert found.left_out == ("LightGBM: no tree can be grown",)
    with pytest.raises(UserError, match="no tree can be grown"):
        compare_table(table, target="label", out=tmp_path / "none", learners=["lightgbm"])
    assert not (tmp_path / "none").exists()


def test_the_command(table, tmp_path, capsys):
    out = tmp_path / "out"
    words = [
        "compare",
        str(table),
        "--target",
        "label",
        "--learner",
        "logistic",
        "--recipe",
        "focal",
        "--out",
        str(out),
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "ahead of plain" in said and "focal" in said and "400 rows, 5 folds." in said
    assert main(words) == 2  # it is there already
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, said",
    [
        (["--recipe", "focul"], "focal"),
        (["--learner", "lightgmb"], "lightgbm"),
        (["--target", "lable"], "label"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(table, tmp_path, capsys, more, said):
    words = ["compare", str(table), "--target", "label", "--learner", "logistic", "--out", str(tmp_path / "out"), *more]
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
