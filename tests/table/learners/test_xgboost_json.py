"""XGBoost's JSON is read wholly or refused; what is accepted, XGBoost reads as it is."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
import xgboost

from counterpoise.errors import UserError
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.learners.xgboost_json import checked
from mutations import changes, damaged

KINDS = tuple(f"k{place}" for place in range(12))
SCHEMA = Schema((Column("size", "number"), Column("kind", "category", KINDS), Column("wind", "number")))


def rows(count=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    x[:, 1] = rng.integers(0, len(KINDS), count)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def matrix(x, label=None):
    return xgboost.DMatrix(
        x, label=label, feature_names=SCHEMA.model_names, feature_types=["q", "c", "q"], enable_categorical=True
    )


def grown(classes=2, rounds=3):
    x = rows()
    score = np.nan_to_num(x[:, 0]) + 1.5 * (np.nan_to_num(x[:, 1]) % 3 == 1)
    label = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    given = {"max_depth": 3, "nthread": 1, "verbosity": 0, "disable_default_eval_metric": True}
    several = {"num_class": classes, "base_score": [0.5] * classes} if classes > 2 else {"base_score": -1.5}

    def plain(raw, _):
        raw = raw.reshape(len(x), -1)
        p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True) if classes > 2 else 1 / (1 + np.exp(-raw))
        target = np.eye(classes)[label] if classes > 2 else label[:, None]
        return p - target, np.maximum(p * (1 - p), 1e-3)

    return xgboost.train(given | several, matrix(x, label), rounds, obj=plain)


@pytest.fixture(scope="module")
def written():
    return bytes(grown().save_raw("json"))


def test_splits_on_categories_are_in_it(written):
    trees = json.loads(written)["learner"]["gradient_booster"]["model"]["trees"]
    assert any(tree["categories"] for tree in trees)


@pytest.mark.parametrize("classes", [2, 4])
def test_what_is_accepted_xgboost_reads_as_before(classes):
    booster = grown(classes)
    again = xgboost.Booster()
    outputs = 1 if classes == 2 else classes
    again.load_model(bytearray(checked(bytes(booster.save_raw("json")), SCHEMA, outputs, "model.json")))
    other = matrix(rows(seed=1))
    np.testing.assert_array_equal(again.predict(other, output_margin=True), booster.predict(other, output_margin=True))


MODEL = ("learner", "gradient_booster", "model")
TREE = (*MODEL, "trees", 1)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ((*TREE, "left_children", 0), 99, "a child that is no node after its parent"),
        ((*TREE, "left_children", 0), 0, "a child that is no node after its parent"),
        ((*TREE, "left_children", 0), -2, "a child that is no node after its parent"),
        ((*TREE, "left_children", 0), 2, "do not reach each node once"),
        ((*TREE, "right_children", 0), -1, "a child that is no node after its parent"),
        ((*TREE, "right_children", 0), 2**31, "does not hold whole numbers"),
        ((*TREE, "right_children", 0), True, "does not hold whole numbers"),
        ((*TREE, "parents", 1), 1, "parents are not those"),
        ((*TREE, "split_indices", 0), 3, "split_indices is out of range"),
        ((*TREE, "split_indices", 0), -1, "split_indices is out of range"),
        ((*TREE, "split_type", 0), 2, "split_type is out of range"),
        ((*TREE, "split_conditions", 0), 1e39, "not a float32"),
        ((*TREE, "split_conditions", -1), 1e31, "split_conditions is out of range"),
        ((*TREE, "split_conditions", 0), float("nan"), "not a JSON number"),
        ((*TREE, "split_conditions", 0), "1", "does not hold numbers"),
        ((*TREE, "default_left", 0), 7, "default_left is out of range"),
        ((*TREE, "sum_hessian"), [], "sum_hessian has 0 values"),
        ((*TREE, "categories"), [0], "categories are more or less|are not those of its splits"),
        ((*TREE, "categories_nodes"), [0, 1, 2, 3, 4, 5], "are not those of its splits on categories"),
        ((*TREE, "categories_sizes"), [10**9], "are not those of its splits on categories|more or less"),
        ((*TREE, "tree_param", "num_nodes"), "1000000000", "does not have a value for each node"),
        ((*TREE, "tree_param", "num_nodes"), "-1", "num_nodes is '-1'"),
        ((*TREE, "tree_param", "num_deleted"), "1", "num_deleted is '1'"),
        ((*TREE, "tree_param", "size_leaf_vector"), "4", "size_leaf_vector is '4'"),
        ((*TREE, "id"), 7, "trees is not that of"),
        ((*MODEL, "tree_info", 1), 9, "tree_info is not that of"),
        ((*MODEL, "iteration_indptr", 1), 3, "iteration_indptr is not that of"),
        ((*MODEL, "gbtree_model_param", "num_trees"), "9", "num_trees is not that of"),
        ((*MODEL, "gbtree_model_param", "num_parallel_tree"), "0", "num_parallel_tree is not that of"),
        ((*MODEL, "cats", "enc"), [1], "enc has 1 values"),
        (("learner", "learner_model_param", "base_score"), "[1E0,2E0]", "base_score has 2 values"),
        (("learner", "learner_model_param", "base_score"), "[NaN]", "not a JSON number"),
        (("learner", "learner_model_param", "base_score"), "[" * 9999, "is damaged"),
        (("learner", "learner_model_param", "num_class"), "5", "does not fit the columns and classes"),
        (("learner", "learner_model_param", "num_feature"), "5", "does not fit the columns and classes"),
        (("learner", "feature_types", 0), "c", "does not fit the columns and classes"),
        (("learner", "objective", "name"), "binary:hinge", "objective is not what XGBoost names"),
        (("learner", "gradient_booster", "name"), "dart", "name is 'dart'"),
        (("learner", "attributes", "x"), "y", "attributes has 'x'"),
        (("version",), [3], "version has 1 values"),
        (("learner",), [], "learner is \\[\\]; it must be an object"),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_makes_no_sense(written, path, value, words):
    found = json.loads(written)
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(UserError, match=words):
        checked(json.dumps(found).encode(), SCHEMA, 1, "model.json")


def test_a_set_of_codes_that_the_column_does_not_have(written):
    found = json.loads(written)
    tree = next(tree for tree in found["learner"]["gradient_booster"]["model"]["trees"] if tree["categories"])
    tree["categories"][0] = 300_000_000
    with pytest.raises(UserError, match="are not codes of its column"):
        checked(json.dumps(found).encode(), SCHEMA, 1, "model.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 10**6, b"{}", b"null", b"\xff", b"1" * 10**5])
def test_what_is_no_json(data):
    with pytest.raises(UserError, match=r"^model\.json"):
        checked(data, SCHEMA, 1, "model.json")


READ_ALL = """
import sys
import numpy, xgboost
rows = numpy.array([[0.0] * 3, [numpy.nan] * 3, [1e30, 11.0, -1e30], [-1.0, 5.0, 3.0]])
names, kinds = sys.argv[2].split(), ["q", "c", "q"]
data = xgboost.DMatrix(rows, feature_names=names, feature_types=kinds, enable_categorical=True)
texts = open(sys.argv[1], "rb").read().split(b"\\0")
for text in texts:
    booster = xgboost.Booster()
    booster.load_model(bytearray(text))
    assert numpy.isfinite(booster.predict(data, output_margin=True)).all()
print(len(texts))
"""


def test_what_damage_leaves_readable_xgboost_reads(written, tmp_path):
    """Of a thousand mishaps what is still accepted is given to XGBoost, in a process that may crash."""
    rng, accepted, refused = random.Random(0), [], 0
    structured = list(changes(json.loads(written)))
    tried = [damaged(written, rng) for _ in range(500)]
    tried += [json.dumps(value).encode() for _, _, value in rng.sample(structured, 500)]
    for data in tried:
        try:
            accepted.append(checked(data, SCHEMA, 1, "model.json"))
        except UserError:
            refused += 1
    assert refused > 700
    assert len(accepted) > 50
    (tmp_path / "texts").write_bytes(b"\0".join(accepted))
    command = [sys.executable, "-c", READ_ALL, str(tmp_path / "texts"), " ".join(SCHEMA.model_names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, str(len(accepted))), done.stderr
