"""LightGBM's text is read wholly or refused; what is accepted, LightGBM reads as it is."""

import random
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings

from counterpoise.errors import UserError
from counterpoise.table.learners.forest import Forest
from counterpoise.table.learners.lightgbm_text import OtherKindError, parse
from mutations import damaged
from trees import Tree, forests, lightgbm_text, rows

COLUMNS = 4


@settings(max_examples=60, deadline=None)
@given(trees=forests(), table=rows(COLUMNS, 20))
def test_any_trees_are_read_as_lightgbm_reads_them(trees, table):
    text, matrix = lightgbm_text(trees, COLUMNS), np.array(table)
    expected = np.zeros(len(table))
    for tree in trees:
        expected += [tree.value(row) for row in table]
    assert np.array_equal(Forest.read(text).sums(matrix), expected)
    booster = lightgbm.Booster(model_str=parse(text.encode()).text)
    assert np.array_equal(booster.predict(matrix, raw_score=True), expected)


def written(**settings):
    """What LightGBM writes of trees with splits on a category and missing values."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4)).round(2)
    x[:, 1] = rng.integers(0, 40, 600)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0]) + (np.nan_to_num(x[:, 1]) % 3 == 1) + rng.normal(size=600) > 1
    given = {"objective": "binary", "verbosity": -1, "num_leaves": 6, "min_data_in_leaf": 5, "cat_smooth": 1} | settings
    data = lightgbm.Dataset(x, label=y, categorical_feature=[1], feature_name=["größe", "b", "c", "d"])
    return lightgbm.train(given | {"num_threads": 1}, data, 5).model_to_string(), x


@pytest.fixture(scope="module")
def text():
    return written()[0]


@pytest.mark.parametrize("settings", [{}, {"min_gain_to_split": 1e9}, {"extra_trees": True}, {"max_cat_to_onehot": 90}])
def test_what_is_accepted_lightgbm_reads_as_before(settings):
    text, x = written(**settings)
    grown = parse(text.encode())
    assert grown.names == ("größe", "b", "c", "d")
    assert "objective" not in grown.text
    one, other = lightgbm.Booster(model_str=text), lightgbm.Booster(model_str=grown.text)
    assert np.array_equal(one.predict(x, raw_score=True), other.predict(x))


def test_a_child_that_two_nodes_share():
    """Its node 2 is reached by no path, and yet it has a leaf more than nodes."""
    trees = [
        Tree([0, 1, 0], [0.0] * 3, [True] * 3, [True] * 3, [1, -1, -3], [1, -2, -4], [0.0, 0.1, 0.2, 0.3], [None] * 3)
    ]
    with pytest.raises(UserError, match=r"tree 0: its nodes make no tree: one, or a leaf, is the child of none or of"):
        Forest.read(lightgbm_text(trees, 2))


def test_shared_children_take_no_time():
    """The two children of each node are both the next one: 2^30 paths."""
    below = [*range(1, 30), -1]
    tree = Tree([0] * 30, [0.0] * 30, [True] * 30, [True] * 30, below, [*below[:-1], -2], [0.0] * 31, [None] * 30)
    with pytest.raises(UserError, match="tree 0: its nodes make no tree"):
        Forest.read(lightgbm_text([tree], 1))


def changed(text, old, new):
    """With a line of tree 1 changed, and the length of the tree with it."""
    trees = text.split("\nTree=")
    begun = next(line for line in trees[2].split("\n") if line.startswith(old))
    trees[2] = trees[2].replace(begun, new(begun) if callable(new) else new)
    text = "\nTree=".join(trees)
    sizes = next(line for line in text.split("\n") if line.startswith("tree_sizes="))
    blocks = text.partition("\n\n")[2].partition("end of trees")[0].split("Tree=")[1:]
    return text.replace(sizes, "tree_sizes=" + " ".join(str(len(block) + len("Tree=")) for block in blocks))


def first_as(value):
    """The line with its first number replaced."""
    return lambda line: "=".join([line.partition("=")[0], " ".join([value, *line.partition("=")[2].split()[1:]])])


def one_more(line):
    return line + " 0"


@pytest.mark.parametrize(
    ("fact", "value", "message"),
    [
        ("num_leaves", "num_leaves=0", "tree 1 has no leaf"),
        ("num_leaves", "num_leaves=7", "split_feature has 5 values"),
        ("num_leaves", "num_leaves=-6", "no line that tells num_leaves"),
        ("num_leaves", "num_leaves=99999999999", "no line that tells num_leaves"),
        ("num_cat", "num_cat=1000000000", "num_cat is not the number"),
        ("num_cat", "num_cat=0", "num_cat is not the number"),
        ("split_feature", first_as("4"), "split_feature is out of range"),
        ("split_feature", first_as("-1"), "no line that tells split_feature"),
        ("split_feature", one_more, "split_feature has 6 values"),
        ("threshold", first_as("nan"), "no line that tells threshold"),
        ("threshold", first_as("0x1p3"), "no line that tells threshold"),
        ("threshold", one_more, "threshold has 6 values"),
        ("decision_type", first_as("12"), "decision_type is out of range"),
        ("decision_type", first_as("127"), "decision_type is out of range"),
        ("left_child", first_as("5"), "a child that is not a leaf and no node after it"),
        ("left_child", first_as("0"), "a child that is not a leaf and no node after it"),
        ("left_child", first_as("-7"), "a child that is not a leaf and no node after it"),
        ("left_child", first_as("-2147483648"), "a child that is not a leaf and no node after it"),
        ("right_child", first_as("-1"), "its nodes make no tree"),
        ("right_child", one_more, "right_child has 6 values"),
        ("leaf_value", first_as("nan"), "no line that tells leaf_value"),
        ("leaf_value", first_as("inf"), "no line that tells leaf_value"),
        ("leaf_value", first_as("1e300"), "leaf_value is beyond 1e\\+100"),
        ("leaf_value", first_as("1e999"), "leaf_value is beyond 1e\\+100"),
        ("leaf_value", one_more, "leaf_value has 7 values"),
        ("leaf_count", one_more, "leaf_count has 7 values"),
        ("internal_value", one_more, "internal_value has 6 values"),
        ("cat_boundaries", "cat_boundaries=0 900000000", "cat_boundaries do not divide"),
        ("cat_boundaries", "cat_boundaries=1 2", "cat_boundaries do not divide"),
        ("cat_boundaries", "cat_boundaries=0", "num_cat is not the number"),
        ("cat_threshold", one_more, "cat_boundaries do not divide"),
        ("cat_threshold", first_as("9999999999"), "more than 32 bits"),
        ("is_linear", "is_linear=7", "no line that tells is_linear"),
        ("shrinkage", "shrinkage=nan", "no line that tells shrinkage"),
        ("shrinkage", "shrinkage=0.1\nshrinkage=0.1", "does not have 17 lines"),
        ("split_gain", "split_gains=1", "no line that tells split_gain"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),  # str(function) holds an address, and xdist refuses
)
def test_a_fact_that_makes_no_sense(text, fact, value, message):
    with pytest.raises(UserError, match=message):
        parse(changed(text, fact + "=", value).encode())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version=v4", "version=4", "version is b'4'"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0", "0 trees per round"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "2 trees per round"),
        ("num_class=1", "num_class=9999999", "trees per round"),
        ("num_class=1\n", "", "the header is not tree, version, num_class"),
        ("max_feature_idx=3", "max_feature_idx=4", "feature_names does not have 5 values"),
        ("feature_names=größe", "feature_names=größe x", "feature_names does not have 4 values"),
        ("feature_infos=", "feature_infos=\t", "feature_infos is"),
        ("tree_sizes=", "tree_sizes=1", "tree_sizes is not the length"),
        ("tree_sizes=", "tree_sizes=0 ", "does not have 17 lines|tree_sizes is not the length"),
        ("Tree=2", "Tree=3", "tree 2 calls itself 3"),
        ("end of trees", "end of tree", "tree_sizes is not the length"),
    ],
)
def test_a_header_that_makes_no_sense(text, old, new, message):
    assert old in text
    with pytest.raises(UserError, match=message):
        parse(text.replace(old, new).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [("version=v4", "version=v5"), ("label_index=0", "label_index=0\naverage_output"), ("is_linear=0", "is_linear=1")],
)
def test_what_only_lightgbm_reads(text, old, new):
    with pytest.raises(OtherKindError):
        parse(text.replace(old, new).encode())
    assert Forest.read(text.replace(old, new)) is None


READ_ALL = """
import pickle, sys
from pathlib import Path
import lightgbm, numpy
rows = numpy.array([[0.0] * 4, [numpy.nan] * 4, [1e308] * 4, [-1.0] * 4, [3.0, 7.0, -3.0, 1e-36]])
texts = Path(sys.argv[1]).read_text().split("\\0")
for text in texts:
    found = lightgbm.Booster(model_str=text).predict(rows)
    assert numpy.isfinite(found).all()
print(len(texts))
"""


def test_what_damage_leaves_readable_lightgbm_reads(text, tmp_path):
    """A thousand mishaps; what is still accepted is given to LightGBM, in a process that may crash."""
    rng, accepted, refused = random.Random(0), [], 0
    for _ in range(1000):
        try:
            accepted.append(parse(damaged(text.encode(), rng)).text)
        except UserError:
            refused += 1
    assert refused > 700
    assert len(accepted) > 50
    (tmp_path / "texts").write_text("\0".join(accepted), encoding="utf-8")
    command = [sys.executable, "-c", READ_ALL, str(Path(tmp_path, "texts"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, str(len(accepted))), done.stderr
