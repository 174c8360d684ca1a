"""The ONNX file gives the model's probabilities and decisions, in another program."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.recipes import sigmoid, softmax
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.learners import LEARNERS, Job, Rows
from counterpoise.table.model.one import Member, Model, Ruling
from counterpoise.table.model.onnx.export import METADATA, check, export_onnx, made_up_rows, to_onnx
from counterpoise.table.model.onnx.trees import LESS, LESS_OR_EQUAL, MEMBER, of_lightgbm, of_symmetric, of_xgboost
from counterpoise.table.reading.table import Table
from counterpoise.weights import ClassCounts

pytestmark = pytest.mark.slow


def table(rows, classes, seed=0):
    """Numbers with a long tail, flags, dates, categories of which some are rare, and empty cells."""
    rng = np.random.default_rng(seed)
    size, tail = rng.normal(size=rows), np.exp(3 * rng.normal(size=rows))
    kind = rng.choice([f"kind {k}" for k in range(40)], rows)
    score = size + 0.3 * np.log(tail) + (np.char.str_len(kind) > 6) + rng.logistic(size=rows)
    frame = pl.DataFrame(
        {
            "size": size,
            "tail": tail,
            "flag": rng.random(rows) < 0.3,
            "kind": kind,
            "few": rng.choice(["a", "b", "c"], rows),
            "when": pl.Series(rng.integers(0, 10**9, rows) * 10**6).cast(pl.Datetime("us")),
        }
    )
    frame = frame.with_columns(
        pl.when(pl.Series(rng.random(rows) < 0.15)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
    )
    cuts = np.quantile(score, [0.85] if classes == 2 else np.linspace(0.5, 0.95, classes - 1))
    return frame, np.digitize(score, cuts)


def made(learner, classes, recipe=None, rows=400, rounds=20):
    frame, codes = table(rows, classes)
    whole = Table(frame.with_columns(y=pl.Series(codes)), Path("t"), typed=True)
    schema = learn_schema(whole, "y", np.arange(rows))
    counts = ClassCounts(np.bincount(codes).tolist())
    recipe = recipe(counts) if recipe else LEARNERS[learner].recipes(counts)[0][1]
    job = Job(Rows(to_matrix(whole, schema), codes), schema, recipe, counts, rounds=rounds)
    member = Member(f"{learner}, {recipe.name}", learner, recipe, 1.0, LEARNERS[learner].fit(job).model)
    names = ("no", "yes") if classes == 2 else tuple(range(classes))
    threshold = 0.3 if classes == 2 else np.linspace(0.1, 0.4, classes)
    ruling = Ruling(cp.goal("f1"), threshold, False, True, "")
    return Model((member,), names, ruling, schema, "y", {})


def run(model, matrix):
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "decision"], {"features": matrix})


def agrees(model, tolerance=1e-5):
    fresh = to_matrix(Table(table(300, 2, seed=9)[0], Path("t"), typed=True), model.schema)
    for matrix in (fresh, made_up_rows(model)):
        probability, decision = run(model, matrix)
        expected = model.probability(matrix)
        np.testing.assert_allclose(probability, expected, atol=tolerance, rtol=0)
        np.testing.assert_array_equal(decision, model.decision.apply(expected))


SIGMOID = {
    "plain": sigmoid.binary_cross_entropy,
    "weighted": lambda counts: sigmoid.weighted(counts, pos_weight=7.0),
    "focal": lambda counts: sigmoid.focal(counts, gamma=2.0),
    "robust": lambda counts: sigmoid.generalized(counts, q=0.4),
    "adjusted": sigmoid.logit_adjusted,
}
SOFTMAX = {
    "plain": softmax.cross_entropy,
    "weighted": lambda counts: softmax.weighted(counts, weight="inverse"),
    "focal": lambda counts: softmax.focal(counts, gamma=2.0),
    "robust": lambda counts: softmax.generalized(counts, q=0.4),
    "margins": softmax.ldam,
    "balanced": softmax.balanced_softmax,
}


@pytest.mark.parametrize("recipe", SIGMOID)
def test_two_classes_under_every_loss(recipe):
    agrees(made("logistic", 2, SIGMOID[recipe], rounds=6), 1e-6)


@pytest.mark.parametrize("recipe", SOFTMAX)
def test_several_classes_under_every_loss(recipe):
    agrees(made("logistic", 4, SOFTMAX[recipe], rounds=6), 1e-6)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("learner", ["lightgbm", "xgboost", "catboost"])
def test_trees(learner, classes):
    agrees(made(learner, classes, rows=1500, rounds=30), 1e-6)


def test_trees_of_lightgbm_are_exact():
    model = made("lightgbm", 2, rows=1500, rounds=40)
    ensemble = of_lightgbm(model.members[0].fitted.booster, "")
    assert {LESS_OR_EQUAL, MEMBER} == set(ensemble.modes)
    assert {0, 1} == set(ensemble.missing_true)
    agrees(model, 1e-12)


def test_trees_of_xgboost_have_sets_of_categories():
    model = made("xgboost", 2, rows=1500, rounds=40)
    ensemble, _ = of_xgboost(model.members[0].fitted.booster)
    assert {LESS, MEMBER} == set(ensemble.modes)
    assert len(ensemble.members) > 2 * ensemble.modes.count(MEMBER)
    agrees(model, 1e-6)


def test_trees_of_catboost_are_exact():
    needs("catboost")
    model = made("catboost", 2, rows=1500, rounds=40)
    ensemble = of_symmetric(model.members[0].fitted)
    assert {LESS_OR_EQUAL, MEMBER} == set(ensemble.modes)
    assert {0, 1} == set(ensemble.missing_true)
    agrees(model, 1e-12)


def test_a_network():
    needs("torch")
    agrees(made("mlp", 4, rounds=2))


def test_a_tree_that_is_one_leaf():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 30)
    frame = pl.DataFrame({"x": rng.normal(size=60), "y": codes})
    schema = learn_schema(Table(frame, Path("t"), typed=True), "y", np.arange(60))
    counts = ClassCounts([30, 30])
    recipe = sigmoid.binary_cross_entropy(counts)
    job = Job(Rows(frame.select("x").to_numpy(), codes), schema, recipe, counts, {"min_data_in_leaf": 60}, rounds=3)
    member = Member("stump", "lightgbm", recipe, 1.0, LEARNERS["lightgbm"].fit(job).model)
    model = Model((member,), ("no", "yes"), Ruling(cp.goal("f1"), 0.5, False, True, ""), schema, "y", {})
    np.testing.assert_allclose(run(model, np.zeros((2, 1)))[0], 0.5)


def blend():
    first, second = made("lightgbm", 2), made("logistic", 2, SIGMOID["weighted"], rounds=4)
    members = (replace(first.members[0], share=0.7), replace(second.members[0], share=0.3))
    return replace(first, members=members)


def test_a_blend_mixes_probabilities():
    agrees(blend())


def test_one_row_and_none():
    model = made("lightgbm", 2)
    matrix = made_up_rows(model)
    np.testing.assert_allclose(run(model, matrix[:1])[0], run(model, matrix)[0][:1])
    assert run(model, matrix[:0])[0].shape == (0, 2)


def test_what_cannot_be_exported_names_the_member():
    with pytest.raises(UserError, match=r"logistic, .*: the posterior of .* cannot be exported"):
        to_onnx(made("logistic", 2, sigmoid.asymmetric, rounds=1))


def test_the_check_finds_a_difference():
    model = made("lightgbm", 2)
    other = replace(model, members=(replace(model.members[0], recipe=SIGMOID["weighted"](ClassCounts([3, 1]))),))
    with pytest.raises(UserError, match="probabilities that are"):
        check(model, to_onnx(other))


def test_the_command_writes_a_file_that_says_what_it_is(tmp_path, imbalanced, capsys):
    frame = imbalanced(400)
    trained = cp.train(frame, target="label", learners=("lightgbm",), budget=10.0)
    trained.save(tmp_path / "m")
    out = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "m"), "--onnx", str(out)]) == 0
    assert "checked" in capsys.readouterr().out
    onnx.checker.check_model(onnx.load(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    described = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert described["classes"] == ["no", "yes"]
    assert described["columns"][2] == {
        "name": "kind",
        "kind": "category",
        "features": [2],
        "categories": ["elm", "fir", "oak"],
        "form": "",
        "zone": "",
    }
    assert described["features"][-1:] == ["day weekday"]
    assert described["reference"] is None
    model = cp.load(tmp_path / "m")
    matrix = to_matrix(Table(frame, Path("t"), typed=True), model.schema)
    probability, decision = session.run(None, {"features": matrix})
    np.testing.assert_allclose(probability, model.predict_proba(frame), atol=1e-9)
    assert [described["classes"][place] for place in decision] == model.predict(frame).tolist()
    with pytest.raises(UserError, match="exists already"):
        export_onnx(tmp_path / "m", out)


def test_a_label_of_a_model_without_labels(tmp_path, imbalanced):
    cp.train(imbalanced(300), target="label", learners=("logistic",), budget=2.0).save(tmp_path / "m")
    with pytest.raises(UserError, match="decides on one target, 'label', and has no labels; omit label"):
        export_onnx(tmp_path / "m", tmp_path / "m.onnx", label="yes")


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(UserError, match=r"onnx is not installed: pip install 'counterpoise\[onnx\]'"):
        export_onnx(tmp_path, tmp_path / "m.onnx")
