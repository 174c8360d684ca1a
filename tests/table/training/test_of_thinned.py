"""Training on a table that is larger than the memory it may take."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

import counterpoise as cp
from counterpoise.cli import main
from counterpoise.table import train_table
from counterpoise.table.rows import within_memory

pytestmark = pytest.mark.slow

ROWS, MOST = 12_000, 3_000


def rows(n, seed):
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    positive = size + rng.logistic(size=n) * 0.5 > 2.3
    return pl.DataFrame(
        {
            "size": size.round(4),
            "kind": np.array(list("abc"))[rng.integers(3, size=n)],
            "gap": np.where(~positive & (size < -0.5), np.nan, rng.normal(size=n)),
            "shop": rng.integers(40, size=n),
            "y": np.where(positive, "yes", "no"),
        }
    ).with_columns(pl.col("gap").fill_nan(None))


FRAME = rows(ROWS, 1)
POSITIVE = (FRAME["y"] == "yes").to_numpy()
QUICK = {"target": "y", "learners": ["logistic"], "budget": 60, "memory": "1GB"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    class Small:
        def __init__(self, *_):
            self.rows, self.judged = MOST, 10**9

    monkeypatch.setattr(within_memory, "Allowance", Small)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    found = tmp_path_factory.mktemp("large") / "t.csv"
    FRAME.write_csv(found)
    return found


def test_figures_are_those_of_the_whole_table(path):
    result = cp.train(path, goal="recall where precision >= 0.3", slice="shop", group=None, **QUICK)
    assert result.counts.n.tolist() == [int((~POSITIVE).sum()), int(POSITIVE.sum())]
    assert result.facts["counts"] == {"no": int((~POSITIVE).sum()), "yes": int(POSITIVE.sum())}
    held, calibration, tested = (result.facts["rows"][part] for part in ("train", "calibration", "test"))
    assert held == result.counts.total - calibration - tested
    assert result.facts["rows"]["held"] == len(result.split.train) <= 1.25 * MOST < 0.6 * ROWS
    assert abs(tested - ROWS / 5) <= 2 >= abs(calibration - ROWS / 5)
    assert abs(result.judged.target.mean() - POSITIVE.mean()) < 1e-3
    assert abs(result.judged.probability.mean() / POSITIVE.mean() - 1) < 0.15
    assert abs(np.mean(result.predict_proba(FRAME)[:, 1]) / POSITIVE.mean() - 1) < 0.15
    assert result.judged.decision.promised
    audit = result.audit
    assert audit.rows == ROWS == sum(one.rows for one in audit.classes)
    gap = next(one for one in audit.missing if one.column == "gap")
    assert abs(gap.share - FRAME["gap"].null_count() / ROWS) < 0.03
    (slices,) = result.slices
    assert slices.column == "shop"
    assert sum(one.rows for one in slices.groups) == tested
    assert result.importance[0].column == "size"
    said = " ".join(result.notes)
    assert f"The table has {ROWS:,} rows, more than the memory has room for" in said
    assert f"come from all {calibration:,} and {tested:,} rows of their parts" in said
    assert "--memory 1000000000" in result.command


def test_no_row_needs_a_bound_to_be_judged_by_rows_that_the_model_has_not_seen(path):
    result = cp.train(path, goal="f1", **QUICK)
    assert len(result.split.calibration) > 0
    whole = cp.train(FRAME, goal="f1", **{name: one for name, one in QUICK.items() if name != "memory"})
    new = rows(40_000, 2)
    truth = (new["y"] == "yes").to_numpy()
    precision, of_whole = (average_precision_score(truth, one.predict_proba(new)[:, 1]) for one in (result, whole))
    assert abs(precision - of_whole) < 0.01
    assert abs(float(result.judged.threshold) - float(whole.judged.threshold)) < 0.15


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_several_classes_and_groups(kind, tmp_path):
    frame = FRAME.with_columns(y=pl.when(pl.col("size") > 1).then(pl.lit("maybe")).otherwise(pl.col("y")))
    getattr(frame, f"write_{kind}")(tmp_path / f"t.{kind}")
    result = cp.train(tmp_path / f"t.{kind}", group="shop", **QUICK)
    assert dict(zip(result.labels.classes, result.counts.n.tolist(), strict=True)) == dict(
        frame["y"].value_counts().rows()
    )
    assert result.split.how == "at random, each group in one part"
    assert result.judged.metrics["macro_f1"].value > 0.5


def test_nothing_is_promised_of_groups(path):
    result = cp.train(path, group="shop", goal="recall where precision >= 0.3", **QUICK)
    assert not result.judged.decision.promised
    assert "of only" in result.judged.decision.reason


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_weights_and_a_number_as_target(kind, tmp_path):
    frame = FRAME.with_columns(y=(pl.col("y") == "yes").cast(pl.Int8), w=pl.lit(2.0) + pl.col("shop") % 2)
    getattr(frame, f"write_{kind}")(tmp_path / f"t.{kind}")
    result = cp.train(tmp_path / f"t.{kind}", weight="w", goal="f1", **QUICK)
    assert result.labels.classes == (0, 1)
    assert result.counts.n.tolist() == [int((~POSITIVE).sum()), int(POSITIVE.sum())]
    assert abs(result.judged.probability.mean() / POSITIVE.mean() - 1) < 0.15


def test_the_same_files_again_and_of_parquet(path, tmp_path):
    FRAME.write_parquet(tmp_path / "t.parquet")
    for name, table in (("one", path), ("two", path), ("three", tmp_path / "t.parquet")):
        cp.train(table, goal="f1", **QUICK).save(tmp_path / name)
    one, two, three = (
        {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in (tmp_path / name).rglob("*")
            if file.is_file()
        }
        for name in ("one", "two", "three")
    )
    assert one == two
    models = [file for file in one if file.name not in ("decision.json", "report.html", "model_card.md")]
    assert models
    assert all(one[file] == three[file] for file in models)


def test_a_cell_that_only_a_judged_row_has(path, tmp_path):
    place = tmp_path / "waiting"
    place.mkdir()
    asked = within_memory.Asked("y", seed=0)
    table = within_memory.read_within(path, asked, 10**9, place)
    judged = pl.concat([pl.read_ipc(file) for file in table.thinned.judged])
    row = int(FRAME["size"].cast(pl.String).is_in(judged["size"][5:6].implode()).arg_max())
    cells = FRAME["size"].cast(pl.String)
    FRAME.with_columns(size=cells.scatter(row, "many")).write_csv(tmp_path / "odd.csv")
    with pytest.raises(cp.UserError, match=rf"column 'size', data row {row + 1}: 'many' is not a number; correct it"):
        cp.train(tmp_path / "odd.csv", goal="f1", **QUICK)


def test_bad_input(path):
    with pytest.raises(cp.UserError, match="memory is for the path of a table"):
        cp.train(FRAME, **QUICK)
    with pytest.raises(cp.UserError, match="memory is 'much'; write an amount such as 4GB"):
        cp.train(path, **QUICK | {"memory": "much"})


def test_several_labels(tmp_path):
    frame = FRAME.with_columns(
        y_rare=(pl.col("y") == "yes").cast(pl.Int64),
        y_large=pl.when(pl.col("shop") == 7).then(None).otherwise((pl.col("size") > 1).cast(pl.Int64)),
    ).drop("y")
    frame.write_csv(tmp_path / "t.csv")
    result = cp.train(tmp_path / "t.csv", goal="recall where precision >= 0.3", **QUICK | {"target": "y_*"})
    for name, one in result.trainings.items():
        assert one.counts.n.tolist() == [frame.filter(pl.col(name) == value).height for value in (0, 1)]
        share = frame[name].mean()
        assert abs(one.judged.probability.mean() / share - 1) < 0.15
        assert one.judged.decision.promised
    assert abs(len(result.split.test) - ROWS / 5) < 5
    assert any("more than the memory has room for" in note for note in result.notes)
    assert result["y_large"].judged.metrics["average_precision"].value > 0.95


def test_a_place_that_cannot_be_written(path):
    with pytest.raises(cp.UserError, match="cannot write"):
        train_table(path, out=Path("/proc/nope/m"), **QUICK)


def test_the_command(path, tmp_path):
    words = ["train", str(path), "--target", "y", "--learner", "logistic", "--budget", "5s", "--memory", "1GB"]
    assert main([*words, "--out", str(tmp_path / "m")]) == 0
    assert [one.name for one in tmp_path.iterdir()] == ["m"]  # nothing is left of the rows that waited
    facts = json.loads((tmp_path / "m" / "decision.json").read_text())
    assert sum(facts["counts"].values()) == ROWS
    assert "more than the memory has room for" in (tmp_path / "m" / "report.html").read_text()
