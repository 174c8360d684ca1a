"""The main job keeps its promises: same files for the same seed, honest parts, a model that stands alone."""

import errno
import json
import os
import subprocess
import sys

import lightgbm
import numpy as np
import polars as pl
import pytest

from counterpoise import goals
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.recipes import from_dict
from counterpoise.table import load, predict_table, train_table
from counterpoise.table.features.cells import read_rows
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.entries import Entry, Race
from counterpoise.table.racing.scoring import penalised
from counterpoise.table.racing.trials import Trials
from counterpoise.table.racing.verdict import verdict_of
from counterpoise.table.reading.table import read_table
from counterpoise.table.report.sentences import headline
from counterpoise.weights import ClassCounts

pytestmark = pytest.mark.slow


def test_decision_json_holds_what_was_promised(trained):
    out, facts = trained
    found = json.loads((out / "decision.json").read_text())
    assert found["classes"] == ["no", "yes"]
    assert found["positive"] == "yes"
    assert found["goal"] == "recall where precision >= 0.4"
    assert found["threshold"] == facts.judged.threshold
    assert found["versions"]["lightgbm"] == lightgbm.__version__
    assert from_dict(found["recipe"]).to_dict() == facts.verdict.winner.recipe.to_dict()
    names = ["precision", "recall", "f1", "average_precision", "roc_auc", "balanced_accuracy", "log_loss"]
    for name in names:
        one = found["metrics"]["test"][name]
        assert one["low"] <= one["value"] <= one["high"]
    assert [one["learner"] for one in found["comparison"]] == [*["lightgbm"] * 4, "blend"]
    assert [one["loss"] for one in found["comparison"] if one["chosen"]] == [facts.verdict.winner.label]


def test_model_text_alone_gives_the_logits(trained, table):
    out, facts = trained
    bundle = load(out)
    _, matrix = read_rows(read_table(table, spelled=True), bundle.schema)
    logits = lightgbm.Booster(model_file=str(out / "model.txt")).predict(matrix)
    probability = facts.verdict.winner.recipe.posterior(logits)
    np.testing.assert_allclose(probability[facts.split.test], facts.judged.probability, rtol=1e-9)


def test_prediction_repeats_the_test_figures(trained, table, tmp_path):
    out, facts = trained
    predict_table(out, table, tmp_path / "p.parquet")
    frame = pl.read_parquet(tmp_path / "p.parquet")
    assert frame.columns == ["probability_no", "probability_yes", "decision"]
    assert frame.height == 400
    test = frame[facts.split.test.tolist()]
    truth = pl.read_csv(table)["label"].gather(facts.split.test)
    found = ((test["decision"] == "yes") & (truth == "yes")).sum() / (truth == "yes").sum()
    assert found == pytest.approx(facts.judged.metrics["recall"].value)
    np.testing.assert_allclose(frame["probability_no"] + frame["probability_yes"], 1)


def test_rows_are_predicted_one_by_one_as_together(trained, table, tmp_path):
    out, _ = trained
    predict_table(out, table, tmp_path / "all.csv")
    pl.read_csv(table)[[7, 3]].drop("label").write_csv(tmp_path / "two.csv")
    predict_table(out, tmp_path / "two.csv", tmp_path / "some.csv")
    whole, some = pl.read_csv(tmp_path / "all.csv"), pl.read_csv(tmp_path / "some.csv")
    assert whole[[7, 3]].equals(some)


def test_same_seed_same_bytes(trained, table, tmp_path):
    out, facts = trained
    train_table(table, target="label", goal=facts.goal, learners=("lightgbm",), out=tmp_path / "again")
    for name in ("model.txt", "decision.json", "report.html"):
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_same_bytes_under_any_hash_seed(tmp_path, imbalanced):
    imbalanced(150).write_parquet(tmp_path / "t.parquet")
    code = "import sys; from counterpoise.cli import main; sys.exit(main())"
    words = ["train", "t.parquet", "--target", "label", "--goal", "cost fn=9 fp=1", "--out"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, *words, seed],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for seed in ("1", "2", "3")
    ]
    assert [run.wait() for run in runs] == [0, 0, 0]
    names = [sorted(str(f.relative_to(tmp_path / seed)) for f in (tmp_path / seed).rglob("*")) for seed in "123"]
    assert names[0] == names[1] == names[2]
    for name in names[0]:
        if (tmp_path / "1" / name).is_file():
            assert len({(tmp_path / seed / name).read_bytes() for seed in "123"}) == 1, name


def test_the_parts_are_disjoint_and_the_threshold_is_the_calibration_parts(trained):
    from counterpoise.decide import choose_threshold

    out, facts = trained
    parts = facts.split
    assert len({*parts.train, *parts.calibration, *parts.test}) == 400
    bundle = load(out)
    _, matrix = read_rows(read_table(facts.table, spelled=True), bundle.schema)
    scores = bundle.probability(matrix)[:, 1][parts.calibration]
    again = choose_threshold(facts.labels.codes[parts.calibration], scores, facts.goal)
    assert again.threshold == pytest.approx(facts.judged.threshold)


def test_several_classes(graded):
    out, facts = graded
    found = json.loads((out / "decision.json").read_text())
    assert found["classes"] == [0, 1, 2, 3]
    assert found["positive"] is None
    assert found["goal"] == "macro_f1"
    assert set(found["threshold"]) == {"0", "1", "2", "3"}
    assert set(found["metrics"]["test"]["recall"]) == {"0", "1", "2", "3"}
    assert found["metrics"]["test"]["macro_f1"]["value"] > 0.6
    assert facts.verdict.entries[0].recipe.name.startswith("softmax.")


def test_several_classes_predict(graded, tmp_path):
    out, _ = graded
    done = predict_table(out, out.parent / "grades.parquet", tmp_path / "p.parquet")
    frame = pl.read_parquet(tmp_path / "p.parquet")
    assert frame.columns == [*(f"probability_{k}" for k in range(4)), "decision"]
    assert frame["decision"].dtype == pl.Int64
    np.testing.assert_allclose(frame.select(pl.sum_horizontal(frame.columns[:4])).to_series(), 1)
    assert sum(done.decided.values()) == 420


def entry(scores, loss="focal"):
    from counterpoise.recipes import sigmoid

    values = np.asarray(scores, float)
    names = (f"LightGBM, {loss}", "lightgbm", "steadied", loss)
    return Entry(*names, sigmoid.focal(), 1, np.full(10, 0.5), values, values, 0.1, 0.1)


def course(goal="f1"):
    codes = np.tile([0, 1], 5)
    fold = np.repeat(np.arange(5), 2)
    rows = Rows(np.zeros((10, 1)), codes)
    return Race(rows, fold, ClassCounts([5, 5]), Schema(()), Goal(goal), 0, Trials(), 0.0, lambda *_: None)


@pytest.mark.parametrize(
    "other, chosen",
    [
        ([0.55, 0.65, 0.56, 0.64, 0.6], 1),
        ([0.5, 0.6, 0.5, 0.6, 0.9], 0),
        ([0.51, 0.59, 0.52, 0.58, 0.55], 0),
        ([0.4, 0.5, 0.4, 0.5, 0.45], 0),
    ],
    ids=["clearly better", "one lucky fold", "within noise", "worse"],
)
def test_noise_does_not_win(other, chosen):
    plain = entry([0.5, 0.6, 0.5, 0.6, 0.55], PLAIN)
    verdict = verdict_of((plain, entry(other)), course())
    assert verdict.chosen == chosen
    assert ("No loss beat plain cross-entropy" in verdict.sentence) == (chosen == 0)


def test_a_broken_promise_costs():
    from counterpoise.goals import Confusion

    goal = goals.goal("recall where precision >= 0.5")
    assert penalised(goal, Confusion(tp=10, fp=90, fn=0, tn=0)) < 0.5
    assert penalised(goal, Confusion(tp=0, fp=0, fn=10, tn=90)) == 0.0


def test_a_broken_promise_costs_as_much_as_the_largest_cost():
    from counterpoise.goals import Confusion

    goal = goals.goal("cost fn=1 fp=1000 where recall >= 0.9")
    missed = Confusion(tp=0, fp=0, fn=10, tn=90)
    kept = Confusion(tp=10, fp=20, fn=0, tn=70)
    assert penalised(goal, kept) > penalised(goal, missed)


def test_few_rows_are_counted_in_the_headline(tmp_path, imbalanced):
    imbalanced(150).write_parquet(tmp_path / "t.parquet")
    facts = train_table(tmp_path / "t.parquet", target="label", out=tmp_path / "out")
    (_, wrong), (missed, right) = facts.judged.confusion
    assert headline(facts).startswith(f"Finds {right} of {right + missed} rows where label is yes; ")
    assert f"{right} of its {right + wrong} alerts are right." in headline(facts)


def coded(n=300):
    rng = np.random.default_rng(0)
    kind = rng.integers(1, 4, n)
    rare = rng.random(n) < np.where(kind == 3, 0.6, 0.05)
    return pl.DataFrame({"kind": pl.Series(kind).cast(pl.String), "x": rng.normal(size=n), "y": rare.astype(int)})


@pytest.fixture(scope="module")
def by_kind(tmp_path_factory):
    directory = tmp_path_factory.mktemp("coded")
    coded().write_parquet(directory / "t.parquet")
    train_table(directory / "t.parquet", target="y", out=directory / "m")
    predict_table(directory / "m", directory / "t.parquet", directory / "p.parquet")
    return directory


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt8, pl.Float64, pl.Categorical])
def test_categories_keep_their_meaning_in_another_type(by_kind, tmp_path, dtype):
    column = pl.col("kind") if dtype == pl.Categorical else pl.col("kind").cast(pl.Int64)
    coded().with_columns(column.cast(dtype)).write_parquet(tmp_path / "t.parquet")
    predict_table(by_kind / "m", tmp_path / "t.parquet", tmp_path / "p.parquet")
    assert pl.read_parquet(tmp_path / "p.parquet").equals(pl.read_parquet(by_kind / "p.parquet"))


@pytest.mark.parametrize(
    "kind, message",
    [
        (pl.col("kind").cast(pl.Int64) + 0.5, "'kind' holds only values unknown to the model: '3.5', '2.5', '1.5'"),
        (
            pl.col("kind").cast(pl.Int64) == 1,
            "'kind' holds only values unknown to the model: 'false', 'true'; it knows",
        ),
        (pl.concat_list("kind"), "'kind' is of type List"),
        (
            "kind " + pl.col("kind"),
            "'kind' holds only values unknown to the model: 'kind 3', 'kind 2', 'kind 1'; it knows",
        ),
    ],
    ids=["fractions", "flags", "lists", "renamed"],
)
def test_categories_that_lost_their_meaning_are_refused(by_kind, tmp_path, kind, message):
    coded().with_columns(kind=kind).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError) as error:
        predict_table(by_kind / "m", tmp_path / "t.parquet", tmp_path / "p.parquet")
    assert message in str(error.value)
    assert not (tmp_path / "p.parquet").exists()


def test_a_new_category_in_one_row_is_no_mistake(by_kind, tmp_path):
    coded()[:1].with_columns(kind=pl.lit("9")).write_parquet(tmp_path / "t.parquet")
    with pytest.warns(UserWarning, match=r"column 'kind': 1 of 1 values .* missing: '9'"):
        predict_table(by_kind / "m", tmp_path / "t.parquet", tmp_path / "p.parquet")


def test_prediction_touches_no_other_file(by_kind, tmp_path, monkeypatch):
    out, theirs = tmp_path / "p.parquet", tmp_path / ".p.parquet.partial"
    theirs.write_text("mine")
    predict_table(by_kind / "m", by_kind / "t.parquet", out)
    assert theirs.read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == sorted([out, theirs])

    def meanwhile(_, file):
        (tmp_path / "late.csv").write_text("theirs")
        file.write(b"ours")

    monkeypatch.setattr(pl.DataFrame, "write_csv", meanwhile)
    with pytest.raises(UserError, match="exists already"):
        predict_table(by_kind / "m", by_kind / "t.parquet", tmp_path / "late.csv")
    assert (tmp_path / "late.csv").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 3


def test_prediction_without_hard_links(by_kind, tmp_path, monkeypatch):
    from counterpoise.table import files as write

    def no_link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(write.os, "link", no_link)
    predict_table(by_kind / "m", by_kind / "t.parquet", tmp_path / "p.parquet")
    assert pl.read_parquet(tmp_path / "p.parquet").equals(pl.read_parquet(by_kind / "p.parquet"))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("goal", ["average_precision", "cost fn=20 fp=1", "f2", "recall where alerts <= 10%"])
def test_every_kind_of_goal(tmp_path, goal, imbalanced):
    imbalanced(150).write_parquet(tmp_path / "t.parquet")
    facts = train_table(tmp_path / "t.parquet", target="label", goal=goals.goal(goal), out=tmp_path / "out")
    assert facts.goal.objective in facts.judged.metrics
    assert json.loads((tmp_path / "out" / "decision.json").read_text())["goal"] == str(facts.goal)


def test_a_goal_that_cannot_be_met_is_a_result(tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"x": rng.normal(size=300), "y": (rng.random(300) < 0.1).astype(int)})
    frame.write_parquet(tmp_path / "t.parquet")
    facts = train_table(
        tmp_path / "t.parquet",
        target="y",
        goal=goals.goal("recall where precision >= 0.99"),
        out=tmp_path / "o",
    )
    assert not facts.judged.met
    assert json.loads((tmp_path / "o" / "decision.json").read_text())["promised"] is False
    assert "cannot be met here" in facts.judged.reason
    assert "cannot be met here" in (tmp_path / "o" / "report.html").read_text()


def test_smallest_tables(tmp_path):
    pl.DataFrame({"x": range(12), "y": [0] * 8 + [1] * 4}).write_csv(tmp_path / "t.csv")
    facts = train_table(tmp_path / "t.csv", target="y", out=tmp_path / "o")
    assert facts.counts == ClassCounts([8, 4])
    pl.DataFrame({"x": range(14), "y": [0] * 8 + [1] * 4 + [2] * 2}).write_csv(tmp_path / "u.csv")
    assert train_table(tmp_path / "u.csv", target="y", out=tmp_path / "p").labels.positive is None


def test_load_checks_that_the_files_belong_together(trained, tmp_path):
    out, _ = trained
    for name in ("model.txt", "report.html", "decision.json"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    load(tmp_path)
    (tmp_path / "model.txt").write_text((out / "model.txt").read_text().replace("leaf_value=", "leaf_value=0", 1))
    with pytest.raises(UserError, match="is not the file"):
        load(tmp_path)
    (tmp_path / "decision.json").write_text('{"format": 3}')
    with pytest.raises(UserError, match="was changed since training wrote it"):
        load(tmp_path)


def test_nothing_is_left_behind_by_a_failure(tmp_path):
    from counterpoise.table.model import bundle

    with pytest.raises(UserError):
        bundle.write(tmp_path / "out", {"file": b"", "file/in/it": b""})
    assert list(tmp_path.iterdir()) == []
