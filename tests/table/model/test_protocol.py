"""A model of two classes, of more, and of labels: one way to use it, and every door answers as `predict` does."""

import json

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table
from counterpoise.table.model.onnx.export import export_onnx
from counterpoise.table.using import serve

pytestmark = pytest.mark.slow

TARGETS = {
    "text": (lambda at: {"y": np.where(at["x"] > 1.2, "yes", "no")}, "y"),
    "flag": (lambda at: {"y": at["x"] > 1.2}, "y"),
    "grades": (lambda at: {"y": np.digitize(at["x"], [-0.8, 1.0])}, "y"),
    "labels": (lambda at: {"y_a": at["x"] > 1.2, "y_b": at["z"] > 1.0}, "y_*"),
    "one label": (lambda at: {"y_a": at["x"] > 1.2}, ["y_a"]),
}


TYPES = {"string": str, "array": list, "boolean": bool, "integer": int}


def content(described):
    """The schema of what is answered where all is well."""
    return described["responses"]["200"]["content"]["application/json"]["schema"]


def columns(rows=300, seed=0):
    x, z = np.random.default_rng(seed).normal(size=(2, rows))
    return {"x": x, "z": z}


@pytest.fixture(scope="module", params=TARGETS)
def place(request, tmp_path_factory):
    targets, target = TARGETS[request.param]
    out = tmp_path_factory.mktemp("model") / "model"
    frame = pl.DataFrame(columns() | targets(columns()))
    cp.train(frame, target=target, learners=["lightgbm"], budget=20).save(out)
    return out


@pytest.fixture
def rows():
    return pl.DataFrame(columns(60, seed=1))


def members(model, decided):
    """Of each row its classes: one, or the labels that it has."""
    if decided.ndim == 1:
        return [[one] for one in decided.tolist()]
    return [[label for label, has in zip(model.classes, row, strict=True) if has] for row in decided]


def test_every_row_is_decided_at_every_door_as_predict_decides_it(place, rows, tmp_path):
    model = load(place)
    expected = members(model, model.predict(rows))
    decided = model.decide(model.predict_proba(rows))
    assert decided.shape == (len(rows), len(model.classes))
    assert [[name for name, has in zip(model.classes, row, strict=True) if has] for row in decided] == expected
    answered = json.loads(serve.answer(model, json.dumps({"rows": rows.to_dicts()}).encode(), 100).body)["predictions"]
    of_service = [one["decision"] for one in answered]
    assert [one if isinstance(one, list) else [one] for one in of_service] == expected
    rows.write_parquet(tmp_path / "rows.parquet")
    found = predict_table(place, tmp_path / "rows.parquet", tmp_path / "out.parquet")
    assert found.decided == {str(name): sum(name in one for one in expected) for name in model.classes}
    written = pl.read_parquet(tmp_path / "out.parquet").select(pl.col("^decision.*$"))
    alone = written.to_series().to_numpy() if written.columns == ["decision"] else written.to_numpy()
    assert members(model, alone) == expected


def test_columns_of_the_target_are_known_to_the_model(place, rows, tmp_path):
    model = load(place)
    also = {name: pl.lit(0) for name in model.targets} | {"other": pl.lit(0)}
    rows.with_columns(**also).write_parquet(tmp_path / "rows.parquet")
    assert predict_table(place, tmp_path / "rows.parquet", tmp_path / "out.parquet").ignored == ("other",)


def test_the_description_admits_what_the_service_answers_and_no_more(place, rows):
    model = load(place)
    pages = serve.application(place)._pages
    paths = json.loads(pages["/openapi.json"].body)["paths"]
    served = json.loads(pages["/health"].body)
    health = content(paths["/health"]["get"])["properties"]
    answered = content(paths["/predict"]["post"])["properties"]["predictions"]["items"]["properties"]
    assert type(served["target"]) is TYPES[health["target"]["type"]]
    answers = json.loads(serve.answer(model, json.dumps({"rows": rows.to_dicts()}).encode(), 100).body)["predictions"]
    assert list(answered["probability"]["properties"]) == served["classes"] == list(answers[0]["probability"])
    decision = answered["decision"]
    assert {type(one["decision"]) for one in answers} == {TYPES[decision["type"]]}
    values = decision["enum"] if "enum" in decision else decision["items"]["enum"]
    assert values == list(model.classes)


def test_a_label_is_asked_for_where_there_are_labels_and_only_there(place, tmp_path):
    model = load(place)
    several = model.targets == model.classes
    with pytest.raises(UserError, match="has no label 'c'; name one" if several else "has no labels; omit label"):
        export_onnx(place, tmp_path / "c.onnx", label="c")
    if several:
        with pytest.raises(UserError, match="decides on several labels"):
            export_onnx(place, tmp_path / "none.onnx")
    assert export_onnx(place, tmp_path / "one.onnx", label=model.classes[0] if several else None) > 0


def test_class_shares_are_adjusted_of_one_target_alone(place, rows, tmp_path):
    model = load(place)
    rows.write_parquet(tmp_path / "rows.parquet")
    shares = np.full(len(model.classes), 1 / len(model.classes))
    if model.training_shares is None:
        with pytest.raises(UserError, match=f"the model decides on {len(model.classes)} labels"):
            predict_table(place, tmp_path / "rows.parquet", tmp_path / "out.parquet", prior=shares)
    else:
        np.testing.assert_allclose(model.training_shares.sum(), 1)
        found = predict_table(place, tmp_path / "rows.parquet", tmp_path / "out.parquet", prior=shares)
        assert found.prior == tuple(shares)
