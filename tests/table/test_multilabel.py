"""Labels that a row may have at once: each is learned and measured by itself, on the rows where it is known."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.decide.measured import Measured
from counterpoise.errors import UserError
from counterpoise.table import predict_table
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.racing.trials import Unfinished
from counterpoise.table.reading.files import delimited
from counterpoise.table.reading.table import read_table
from counterpoise.table.report import several

pytestmark = pytest.mark.slow

FAST = {"learners": ["logistic"], "budget": 3.0}
ODD = "y_<script>alert(1)</script>"


def many_labels(rows=400, seed=0):
    """Three labels, one of them unknown in a third of the rows, and one that only two rows have."""
    rng = np.random.default_rng(seed)
    size, wind = rng.normal(size=(2, rows))
    noise = 0.4 * rng.normal(size=(3, rows))
    kind = rng.choice(["oak", "fir"], rows)
    unknown = pl.Series(rng.random(rows) < 1 / 3)
    return pl.DataFrame(
        {
            "size": size,
            "wind": wind,
            "kind": kind,
            "y_tall": (size + noise[0] > 1.2).astype(int),
            "y_bent": pl.Series((wind + (kind == "fir") + noise[1] > 1.5).astype(int)).set(unknown, None),
            ODD: (size + wind + noise[2] > 1.8).astype(int),
            "y_few": [1, 1] + [0] * (rows - 2),
        }
    )


@pytest.fixture(scope="module")
def frame():
    return many_labels()


@pytest.fixture(scope="module")
def result(frame):
    return cp.train(frame, target="y_*", **FAST)


@pytest.fixture(scope="module")
def bounded(frame):
    """Thresholds from a calibration part, so that the model that was measured is the one that is kept."""
    return cp.train(frame, target=["y_tall", "y_bent"], goal="recall where precision >= 0.3", **FAST)


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "trees.csv"
    frame.write_csv(path)
    return path


def words(path, out, *more):
    return ["train", str(path), "--target", "y_*", "--learner", "logistic", "--budget", "3s", "--out", str(out), *more]


@pytest.fixture(scope="module")
def directory(path, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "model"
    assert main(words(path, out)) == 0
    return out


def test_each_label_is_learned_but_the_one_of_two_rows(result, frame):
    assert result.model.labels == ("y_tall", "y_bent", ODD)
    assert result.not_learned == {"y_few": "2 rows have it; at least 4 are needed"}
    probability = result.predict_proba(frame)
    assert probability.shape == (400, 3)
    assert ((probability > 0) & (probability < 1)).all()
    decided = result.predict(frame)
    assert decided.dtype == np.int64
    cuts = [result.decision[name].threshold for name in result.model.labels]
    np.testing.assert_array_equal(decided, probability >= cuts)
    truth = frame.select(result.model.labels).fill_null(0).to_numpy()
    known = frame["y_bent"].is_not_null().to_numpy()
    assert [f1_score(truth[known, k], decided[known, k]) > 0.6 for k in range(3)] == [True] * 3


def test_a_row_takes_no_part_in_a_label_that_it_lacks(result, frame):
    known = np.flatnonzero(frame["y_bent"].is_not_null())
    bent = result["y_bent"]
    parts = np.concatenate([bent.split.train, bent.split.calibration, bent.split.test])
    np.testing.assert_array_equal(np.sort(parts), known)
    assert (
        bent.counts.n.tolist()
        == frame["y_bent"].drop_nulls().value_counts(sort=False).sort("y_bent")["count"].to_list()
    )
    assert len(bent.judged.target) == len(bent.split.test)
    assert result["y_tall"].counts.total == 400
    np.testing.assert_array_equal(np.intersect1d(bent.split.test, result["y_tall"].split.test), bent.split.test)


def test_figures_are_scikit_learns(bounded, frame):
    decided = bounded.predict(frame)
    probability = bounded.predict_proba(frame)
    f1, precision = [], []
    for place, name in enumerate(bounded.model.labels):
        label = bounded[name]
        truth = frame[name].gather(label.split.test).to_numpy()
        said = decided[label.split.test, place]
        f1.append(f1_score(truth, said))
        precision.append(average_precision_score(truth, probability[label.split.test, place]))
        assert label.judged.metrics["precision"].value == pytest.approx(precision_score(truth, said))
        assert set(label.split.calibration) & set(label.split.train) == set()
    assert bounded.metrics["macro_f1"].value == pytest.approx(np.mean(f1))
    assert bounded.metrics["macro_average_precision"].value == pytest.approx(np.mean(precision))
    for one in bounded.metrics.values():
        assert 0 <= one.low < one.value < one.high <= 1


def test_a_bound_is_promised_or_not_for_each_label(bounded):
    from counterpoise.table.report.several import page

    shown = page(bounded)
    assert "What is promised, and what is not" in shown
    for name, ruling in bounded.decision.items():
        assert re.search(
            rf"<th scope=\"row\">{name}</th><td class=\"left\">{'' if ruling.promised else 'not '}promised", shown
        )


def test_the_directory(directory, frame, tmp_path):
    facts = json.loads((directory / "decision.json").read_text())
    assert facts["kind"] == "multilabel"
    assert list(facts["columns"]) == ["size", "wind", "kind"]
    assert facts["not_learned"] == {"y_few": "2 rows have it; at least 4 are needed"}
    assert list(facts["labels"]) == ["y_tall", "y_bent", ODD]
    folders = {one["folder"] for one in facts["labels"].values()}
    assert {place.name for place in directory.iterdir()} == folders | {"decision.json", "report.html", "model_card.md"}
    assert {file.suffix for file in directory.rglob("*") if file.is_file()} <= {
        ".json",
        ".html",
        ".md",
        ".safetensors",
    }
    model = cp.load(directory)
    assert model.labels == ("y_tall", "y_bent", ODD)
    assert model["y_tall"].classes == (0, 1)
    for name in model.labels:
        own = json.loads((directory / facts["labels"][name]["folder"] / "decision.json").read_text())
        assert model.decision[name].threshold == own["threshold"] == facts["labels"][name]["threshold"]
    again = cp.train(frame, target="y_*", **FAST)
    again.save(tmp_path / "again")
    np.testing.assert_array_equal(cp.load(tmp_path / "again").predict_proba(frame), again.predict_proba(frame))
    np.testing.assert_array_equal(model.predict_proba(frame), again.predict_proba(frame))


def test_the_page_and_the_card_say_what_was_not_learned(directory):
    page, card = (directory / "report.html").read_text(), (directory / "model_card.md").read_text()
    for text in (page, card):
        assert "2 rows have it; at least 4 are needed" in text
        assert "<script>alert" not in text
    assert "Learned 3 of 4 labels" in page
    assert page.count('<section id="') == page.count('<li><a href="#') >= 5


def test_a_damaged_label_is_refused(directory, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    own = next(copy.glob("0-*/decision.json"))
    with pytest.raises(UserError, match="is one label of the model in"):
        cp.load(own.parent)
    whole = (copy / "decision.json").read_text()
    (copy / "decision.json").write_text(whole.replace('"threshold": 0.', '"threshold": 0.1'))
    with pytest.raises(UserError, match="was changed since training wrote it"):
        cp.load(copy)
    (copy / "decision.json").write_text(whole)
    own.write_text(own.read_text().replace('"threshold": 0.', '"threshold": 0.1'))
    with pytest.raises(UserError, match="checksum"):
        cp.load(copy)
    own.unlink()
    with pytest.raises(UserError, match=r"has no 0-y_tall/decision\.json"):
        cp.load(copy)


def test_predict_writes_two_columns_per_label(directory, frame, tmp_path, capsys):
    new = tmp_path / "new.parquet"
    frame.drop("y_tall", "y_bent", "y_few").write_parquet(new)
    out = tmp_path / "said.parquet"
    assert main(["predict", str(directory), str(new), "-o", str(out)]) == 0
    said = pl.read_parquet(out)
    model = cp.load(directory)
    assert said.columns == [f"{what}_{name}" for what in ("probability", "decision") for name in model.labels]
    np.testing.assert_allclose(said.to_numpy()[:, :3], model.predict_proba(frame), rtol=1e-12)
    np.testing.assert_array_equal(said.to_numpy()[:, 3:], model.predict(frame))
    shown = capsys.readouterr().out
    assert f"y_tall {model.predict(frame)[:, 0].sum()}" in shown
    assert "ignored" not in shown


def test_the_reason_of_an_interval_stands_on_a_line_of_its_own_so_that_the_table_of_labels_fits(result):
    tall = result["y_tall"]
    metrics = {**tall.judged.metrics, "recall": Measured(1.0, 0.5, 1.0, "all of 3 rows")}
    tall = replace(tall, judged=replace(tall.judged, metrics=metrics))
    whole = several.page(replace(result, trainings={**result.trainings, "y_tall": tall}))
    assert "<td>1.00 (0.50 to 1.00;\nall of 3 rows)</td>" in whole


def test_each_label_has_the_importance_of_its_columns(result, directory):
    tall, bent = result["y_tall"].importance, result["y_bent"].importance
    assert tall[0].column == "size" and tall[0].drop > 2 * tall[0].error
    assert bent[0].column == "wind" and bent[0].drop > 2 * bent[0].error
    every = [one for label in result.trainings.values() for one in label.importance]
    for column, stored in json.loads((directory / "decision.json").read_text())["importance"].items():
        surest = max((one for one in every if one.column == column), key=lambda one: one.drop - one.error)
        assert (stored["drop"], stored["error"]) == pytest.approx((surest.drop, surest.error))


def test_a_column_of_nothing_known_is_refused_only_where_some_label_needs_it():
    rng = np.random.default_rng(1)
    frame = many_labels(900).with_columns(shade=pl.Series(rng.choice(["deep", "light"], 900)))
    model = cp.train(frame, target=["y_tall", "y_bent"], **FAST).model
    assert model.facts["importance"]["shade"]["drop"] <= model.facts["importance"]["shade"]["error"]
    with (
        pytest.warns(UserWarning, match="the model did as well without the column"),
        pytest.warns(UserWarning, match="column 'shade' is missing or unknown in 100% of the rows"),
    ):
        model.predict_proba(frame.with_columns(shade=pl.lit("dappled")))
    with pytest.raises(UserError, match="column 'kind'"):
        model.predict_proba(frame.with_columns(kind=pl.lit("yew")))


def test_predict_in_blocks_leaves_rows_empty_and_tells_drift(directory, frame, tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "PIECE", 512)
    monkeypatch.setattr(delimited, "SAMPLE", 0)
    with pytest.warns(UserWarning, match="column 'size' lies outside the training range"):
        expected = cp.load(directory).predict_proba(frame.with_columns(pl.col("size") + 5))
    cells = (frame["size"] + 5).cast(pl.String).to_list()
    cells[7], cells[200] = "tall", "inf"
    frame.with_columns(pl.Series("size", cells)).write_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="column 'size' lies outside the training range"):
        done = predict_table(directory, tmp_path / "t.csv", tmp_path / "said.csv")
    said = pl.read_csv(tmp_path / "said.csv")
    assert (done.rows, done.unscored, done.ignored) == (400, 2, ())
    for name in said.columns:
        assert said[name].is_null().arg_true().to_list() == [7, 200]
    assert tuple(done.decided.values()) == said[:, 3:].sum().row(0)
    kept = np.delete(np.arange(400), [7, 200])
    np.testing.assert_allclose(said[kept, :3].to_numpy(), expected[kept], rtol=1e-9)


@pytest.mark.parametrize("prior", ["auto", "0.2", "0.2,0.3,0.5"])
def test_a_prior_is_for_one_target(directory, path, tmp_path, prior, capsys):
    assert main(["predict", str(directory), str(path), "-o", str(tmp_path / "p.csv"), "--prior", prior]) == 2
    assert "the model decides on 3 labels, each with its own share; omit it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_each_label_explains_itself(directory, frame):
    moved = cp.load(directory)["y_tall"].explain(frame[:50])
    assert moved.shape == (50, 3)
    strength = {name: float(moved[name].abs().mean()) for name in moved.columns}
    assert max(strength, key=strength.get) == "size"


def test_the_service_answers_probabilities_and_the_labels_decided(directory, frame):
    needs("httpx")
    from starlette import testclient

    from counterpoise.table.using.serve import application

    model, client = cp.load(directory), testclient.TestClient(application(directory))
    rows = frame.select("size", "wind", "kind").to_dicts()
    found = client.post("/predict", json={"rows": rows}).json()["predictions"]
    np.testing.assert_allclose([list(one["probability"].values()) for one in found], model.predict_proba(frame))
    assert {tuple(one["probability"]) for one in found} == {model.labels}
    said = [[int(name in one["decision"]) for name in model.labels] for one in found]
    np.testing.assert_array_equal(said, model.predict(frame))
    assert max(len(one["decision"]) for one in found) > 1 > min(len(one["decision"]) for one in found)
    health = client.get("/health").json()
    assert (health["classes"], health["goal"]) == (list(model.labels), "f1")
    described = client.get("/openapi.json").json()
    assert described["info"]["title"] == "Counterpoise: 3 labels"
    (one,) = (
        answer["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]["properties"]
        for status, answer in described["paths"]["/predict"]["post"]["responses"].items()
        if status == "200"
    )
    assert one["decision"]["items"]["enum"] == list(one["probability"]["properties"]) == list(model.labels)


def test_one_label_is_exported_by_its_name(directory, frame, path, tmp_path, capsys):
    needs("onnx")
    import onnxruntime

    to = ["export", str(directory), "--onnx", str(tmp_path / "m.onnx")]
    assert main(to) == 2
    assert "decides on several labels, and a file holds one; name one (--label): 'y_tall'" in capsys.readouterr().err
    assert main([*to, "--label", "y_few"]) == 2
    assert "has no label 'y_few'; name one (--label): 'y_tall', 'y_bent'" in capsys.readouterr().err
    assert main([*to, "--label", ODD]) == 0
    model = cp.load(directory)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    matrix = to_matrix(read_table(path), model.schema)
    probability, decision = session.run(None, {"features": matrix})
    np.testing.assert_allclose(probability[:, 1], model.predict_proba(frame)[:, 2], atol=1e-5)
    np.testing.assert_array_equal(decision, model.predict(frame)[:, 2])


def test_the_terminal_says_what_was_not_learned(path, tmp_path, capsys):
    assert main(words(path, tmp_path / "out", "--slice", "kind")) == 0
    shown = capsys.readouterr().out
    assert "left out  not learned: y_few (2 rows have it; at least 4 are needed)" in shown
    assert "macro average precision" in shown
    assert "Rates by kind" in (tmp_path / "out" / "report.html").read_text()


def test_an_interrupted_run_goes_on_to_the_same_files(path, directory, tmp_path, monkeypatch):
    out, put, written = tmp_path / "out", Unfinished.put, []

    def interrupted(self, key, arrays):
        if len(written) == 4:  # the first label is finished, the second is not
            raise KeyboardInterrupt
        written.append(key)
        put(self, key, arrays)

    monkeypatch.setattr(Unfinished, "put", interrupted)
    assert main(words(path, out)) == 130
    assert not out.exists()
    monkeypatch.setattr(Unfinished, "put", lambda self, key, arrays: (written.append(key), put(self, key, arrays)))
    assert main(words(path, out, "--resume")) == 0
    assert len(written) == len(set(written))
    assert len({key.partition("\0")[0] for key in written}) == 3
    for file in directory.rglob("*"):
        if file.is_file():
            assert (out / file.relative_to(directory)).read_bytes() == file.read_bytes(), file
