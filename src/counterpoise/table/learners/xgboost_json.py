"""XGBoost's JSON, read strictly.

XGBoost itself trusts the file: a child out of range or a group that there is not reads memory that is not the model's,
and deep brackets or an empty file end the process. So a file is read here first, by the form that XGBoost writes
(3.1 and later), and XGBoost gets a text made of what was checked.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.schema import Schema
from counterpoise.table.plain_data import (
    Check,
    anything,
    inside,
    list_of,
    mapping_of,
    number,
    parsed,
    record,
    refuse,
    text,
    whole,
)

Ints = NDArray[np.int64]

LARGEST = 1e30
"""Of a leaf: so many of them are still a float32 when they are added up."""
_MOST_TREES = 10_000_000
_LARGEST_SPLIT = float(np.finfo(np.float32).max)
_NO_PARENT = 2**31 - 1
_COUNT = text(form="[0-9]{1,10}")

_WHOLE = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
_REAL = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_OF_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_TREE = record(
    {
        "id": whole(0, _MOST_TREES),
        "tree_param": record(dict.fromkeys(("num_deleted", "num_feature", "num_nodes", "size_leaf_vector"), _COUNT)),
        **dict.fromkeys((*_WHOLE, *_REAL), list_of(anything, least=1)),
        **dict.fromkeys(_OF_CATEGORIES, list_of(anything)),
    }
)
_NO_CATS = record(dict.fromkeys(("enc", "feature_segments", "sorted_idx"), list_of(anything, most=0)))
_FORM: Check = record(
    {
        "version": list_of(whole(0, 1000), least=3, most=3),
        "learner": record(
            {
                "attributes": mapping_of(anything, []),
                "feature_names": list_of(text()),
                "feature_types": list_of(text(one_of=("q", "c"))),
                "gradient_booster": record(
                    {
                        "name": text(one_of=("gbtree",)),
                        "model": record(
                            {
                                "cats": _NO_CATS,
                                "gbtree_model_param": record(dict.fromkeys(("num_parallel_tree", "num_trees"), _COUNT)),
                                "iteration_indptr": list_of(whole(0, _MOST_TREES), least=2),
                                "tree_info": list_of(whole(0, _MOST_TREES), least=1),
                                "trees": list_of(_TREE, least=1, most=_MOST_TREES),
                            }
                        ),
                    }
                ),
                "learner_model_param": record(
                    {
                        "base_score": text(most=10_000_000),
                        "boost_from_average": _COUNT,
                        "num_class": _COUNT,
                        "num_feature": _COUNT,
                        "num_target": _COUNT,
                    }
                ),
                "objective": anything,
            }
        ),
    }
)


def checked(data: bytes, schema: Schema, outputs: int, where: str) -> bytes:
    """A file that XGBoost may read: the same model, of nothing but what was checked.

    Parameters
    ----------
    data
        Content of the file.
    schema, outputs
        Features and number of outputs that it must fit.
    where
        Name of the file, for messages.

    Raises
    ------
    UserError
        If it is not what XGBoost writes, or is for others; the message names the tree and the field.
    """
    found = parsed(data, where)
    _FORM(found, where)
    learner = found["learner"]
    parameters, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    categories = schema.categories
    kinds = ["c" if place in categories else "q" for place in range(len(schema.features))]
    fits = (
        learner["feature_names"] == schema.model_names
        and learner["feature_types"] == kinds
        and int(parameters["num_feature"]) == len(kinds)
        and (int(parameters["num_class"]), int(parameters["num_target"])) == (outputs if outputs > 1 else 0, 1)
    )
    if not fits:
        raise UserError(f"{where} does not fit the columns and classes of the model; train again")
    if learner["objective"] != _objective(outputs):
        raise UserError(f"{inside(where, 'learner')}.objective is not what XGBoost names without one of its own")
    start = parsed(parameters["base_score"].encode(), inside(where, "base_score"))
    list_of(number(low=-LARGEST, high=LARGEST), least=outputs, most=outputs)(start, inside(where, "base_score"))
    parameters["base_score"] = json.dumps(list(map(float, start)))
    _check_order(model, outputs, where)
    _check_trees(model["trees"], [len(categories.get(place, ())) for place in range(len(kinds))], where)
    return json.dumps(found).encode()


def _objective(outputs: int) -> dict[str, Any]:
    """What XGBoost calls the objective of a model that was trained under one of ours; raw scores do without it."""
    if outputs == 1:
        return {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
    return {"name": "multi:softmax", "softmax_multiclass_param": {"num_class": str(outputs)}}


def _check_order(model: Mapping[str, Any], outputs: int, where: str) -> None:
    """Raise `UserError` unless trees take turns, one for each output in each round."""
    trees = len(model["trees"])
    counts = model["gbtree_model_param"]
    told = {
        "num_trees": (int(counts["num_trees"]), trees),
        "num_parallel_tree": (int(counts["num_parallel_tree"]), 1),
        "tree_info": (model["tree_info"], [place % outputs for place in range(trees)]),
        "iteration_indptr": (model["iteration_indptr"], list(range(0, trees + 1, outputs))),
        "trees": ([tree["id"] for tree in model["trees"]], list(range(trees))),
    }
    for name, (found, expected) in told.items():
        if found != expected:
            raise UserError(f"{inside(where, name)} is not that of {trees} trees that take turns for {outputs} outputs")


def _check_trees(trees: Sequence[dict[str, Any]], categories: Sequence[int], where: str) -> None:
    """Raise `UserError` for a number out of its range, or nodes that make no tree."""
    counts = np.array([int(tree["tree_param"]["num_nodes"]) for tree in trees], np.int64)
    for name in (*_WHOLE, *_REAL):
        lengths = np.array([len(tree[name]) for tree in trees], np.int64)
        _refuse_if(lengths != counts, np.arange(len(trees)), name, "does not have a value for each node", where)
    tree_of = np.repeat(np.arange(len(trees)), counts)
    for place, tree in enumerate(trees):
        fixed = {"num_deleted": 0, "num_feature": len(categories), "size_leaf_vector": 1}
        for name, expected in fixed.items():
            if int(tree["tree_param"][name]) != expected:
                refuse(tree["tree_param"][name], f"{where}: tree {place}: {name}", repr(str(expected)))
    held = {name: _whole(trees, name, where) for name in _WHOLE} | {name: _real(trees, name, where) for name in _REAL}
    own = np.arange(len(tree_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    leaf = held["left_children"] == -1
    column, split = held["split_indices"], held["split_conditions"]
    categorical = held["split_type"] == 1
    with_codes = np.flatnonzero(categories)
    checks = {
        "split_indices": (column < 0) | (column >= len(categories)),
        "split_type": ~np.isin(held["split_type"], (0, 1)) | (categorical & (leaf | ~np.isin(column, with_codes))),
        "default_left": ~np.isin(held["default_left"], (0, 1)),
        "split_conditions": ~(np.abs(split) <= np.where(leaf, LARGEST, _LARGEST_SPLIT)),
    }
    for name, wrong in checks.items():
        _refuse_if(wrong, tree_of, name, "is out of range", where)
    _check_children(held, own, counts, tree_of, where)
    for place, tree in enumerate(trees):
        if tree["categories"] or tree["categories_nodes"] or categorical[tree_of == place].any():
            _check_categories(tree, categories, f"{where}: tree {place}")


def _check_children(held: Mapping[str, Any], own: Ints, counts: Ints, tree_of: Ints, where: str) -> None:
    left, right, parents = held["left_children"], held["right_children"], held["parents"]
    first = np.arange(len(own)) - own
    leaf = left == -1
    expected = np.full(len(own), _NO_PARENT)
    seen = np.zeros(len(own), np.int64)
    for name, children in (("left_children", left), ("right_children", right)):
        wrong = np.where(leaf, children != -1, (children <= own) | (children >= counts[tree_of]))
        _refuse_if(wrong, tree_of, name, "holds a child that is no node after its parent", where)
        reached = (first + children)[~leaf]
        np.add.at(seen, reached, 1)
        expected[reached] = own[~leaf]
    _refuse_if(seen != (own > 0), tree_of, "left_children", "and right_children do not reach each node once", where)
    _refuse_if(parents != expected, tree_of, "parents", "are not those whose children the nodes are", where)


def _check_categories(tree: Mapping[str, Any], categories: Sequence[int], where: str) -> None:
    """Raise `UserError` unless each split on a category has its set, of codes that the column has."""
    for name in _OF_CATEGORIES:
        list_of(whole(0, 2**31 - 1))(tree[name], f"{where}: {name}")
    nodes = [node for node, kind in enumerate(tree["split_type"]) if kind == 1]
    sizes = tree["categories_sizes"]
    begun = [sum(sizes[:place]) for place in range(len(sizes))]
    if tree["categories_nodes"] != nodes or len(sizes) != len(nodes) or tree["categories_segments"] != begun:
        raise UserError(f"{where}: categories_nodes, _sizes and _segments are not those of its splits on categories")
    if sum(sizes) != len(tree["categories"]):
        raise UserError(f"{where}: categories are more or less than its splits have")
    for node, start, size in zip(nodes, begun, sizes, strict=True):
        codes = tree["categories"][start : start + size]
        if not codes or max(codes) >= categories[tree["split_indices"][node]]:
            raise UserError(f"{where}: categories of node {node} are not codes of its column")


def _whole(trees: Sequence[dict[str, Any]], name: str, where: str) -> Ints:
    found = list(chain.from_iterable(tree[name] for tree in trees))
    if set(map(type, found)) != {int} or min(found) < -(2**31) or max(found) >= 2**31:
        raise UserError(f"{inside(where, name)} does not hold whole numbers")
    return np.array(found, np.int64)


def _real(trees: Sequence[dict[str, Any]], name: str, where: str) -> NDArray[np.float64]:
    """The numbers, which in the file become such with a point: XGBoost reads lists of one kind."""
    for tree in trees:
        if not set(map(type, tree[name])) <= {int, float}:
            raise UserError(f"{inside(where, name)} does not hold numbers")
        if max(map(abs, tree[name])) > _LARGEST_SPLIT:
            raise UserError(f"{inside(where, name)} holds a number that is not a float32")
        tree[name] = list(map(float, tree[name]))
    return np.array(list(chain.from_iterable(tree[name] for tree in trees)), np.float64)


def _refuse_if(wrong: NDArray[np.bool_], tree_of: Ints, name: str, what: str, where: str) -> None:
    if wrong.any():
        raise UserError(f"{where}: tree {tree_of[wrong.argmax()]}: {name} {what}")
