"""The trees of LightGBM, XGBoost and CatBoost as one ONNX TreeEnsemble, with missing values and sets of categories."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from counterpoise.errors import UserError
from counterpoise.table.learners.symmetric import Symmetric
from counterpoise.table.model.onnx.graph import TREES, Value

LESS_OR_EQUAL, LESS, MEMBER = 0, 1, 6


@dataclass
class Ensemble:
    """The arrays of the operator; a tree is its root's place among the nodes.

    Parameters
    ----------
    targets
        Number of sums.
    """

    targets: int
    roots: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    true_is_leaf: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    false_is_leaf: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def leaf(self, weight: float, target: int) -> tuple[int, int]:
        """Add a leaf; the pair of its place and 1, for what leads to it."""
        self.leaf_targets.append(target)
        self.leaf_weights.append(weight)
        return len(self.leaf_weights) - 1, 1

    def node(self, feature: int, mode: int, split: float | list[int], *, missing_true: bool) -> int:
        """Add a node, whose children `join` adds; its place."""
        self.features.append(feature)
        self.modes.append(mode)
        if isinstance(split, list):  # the sets of all nodes follow each other, each with NaN at its end
            self.members += [*map(float, split), float("nan")]
            self.splits.append(0.0)
        else:
            self.splits.append(split)
        self.missing_true.append(int(missing_true))
        for one in (self.true, self.true_is_leaf, self.false, self.false_is_leaf):
            one.append(0)
        return len(self.features) - 1

    def join(self, node: int, true: tuple[int, int], false: tuple[int, int]) -> tuple[int, int]:
        """Say where a node leads."""
        (self.true[node], self.true_is_leaf[node]), (self.false[node], self.false_is_leaf[node]) = true, false
        return node, 0

    def root(self, place: tuple[int, int]) -> None:
        """Note a tree; one that is a leaf becomes a node that leads to it both ways."""
        node, is_leaf = place
        if is_leaf:
            node = self.node(0, LESS_OR_EQUAL, 0.0, missing_true=True)
            self.join(node, place, place)
        self.roots.append(node)

    def sums(self, features: Value) -> Value:
        """What the trees say, (N, targets)."""
        from onnx import numpy_helper

        attributes: dict[str, Any] = {
            "n_targets": self.targets,
            "aggregate_function": 1,
            "post_transform": 0,
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_modes": numpy_helper.from_array(np.array(self.modes, np.uint8)),
            "nodes_splits": numpy_helper.from_array(np.array(self.splits, np.float64)),
            "nodes_missing_value_tracks_true": self.missing_true,
            "nodes_truenodeids": self.true,
            "nodes_trueleafs": self.true_is_leaf,
            "nodes_falsenodeids": self.false,
            "nodes_falseleafs": self.false_is_leaf,
            "leaf_targetids": self.leaf_targets,
            "leaf_weights": numpy_helper.from_array(np.array(self.leaf_weights, np.float64)),
        }
        if self.members:
            attributes["membership_values"] = numpy_helper.from_array(np.array(self.members, np.float64))
        return features.call("TreeEnsemble", domain=TREES, **attributes)


def of_lightgbm(booster: Any, label: str) -> Ensemble:
    """The trees of a LightGBM booster; their sum is the logits.

    Raises
    ------
    UserError
        If it has splits that ONNX does not know; `label` names the member in that.
    """
    model = booster.dump_model()
    targets = int(model["num_tree_per_iteration"])
    ensemble = Ensemble(targets)

    def add(node: dict[str, Any], target: int) -> tuple[int, int]:
        if "split_feature" not in node:
            return ensemble.leaf(float(node["leaf_value"]), target)
        if node["decision_type"] == "==":
            codes = [int(code) for code in node["threshold"].split("||")]
            place = ensemble.node(node["split_feature"], MEMBER, codes, missing_true=False)
        elif node["missing_type"] == "Zero":
            raise UserError(f"{label}: trees that take 0 for missing cannot be exported")
        else:
            threshold = float(node["threshold"])
            left = bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0
            place = ensemble.node(node["split_feature"], LESS_OR_EQUAL, threshold, missing_true=left)
        return ensemble.join(place, add(node["left_child"], target), add(node["right_child"], target))

    for tree, one in enumerate(model["tree_info"]):
        ensemble.root(add(one["tree_structure"], tree % targets))
    return ensemble


def of_xgboost(booster: Any) -> tuple[Ensemble, list[float]]:
    """The trees of an XGBoost booster, and the start that is added to their sums; the features must be float32."""
    config = json.loads(booster.save_config())["learner"]["learner_model_param"]
    found = json.loads(config["base_score"])
    start = [float(one) for one in (found if isinstance(found, list) else [found])]
    targets = max(1, int(config["num_class"]))
    ensemble = Ensemble(targets)
    names = {name: place for place, name in enumerate(booster.feature_names)}

    def add(node: dict[str, Any], target: int) -> tuple[int, int]:
        if "leaf" in node:
            return ensemble.leaf(float(node["leaf"]), target)
        split, missing_true = node["split_condition"], node["missing"] == node["yes"]
        if isinstance(split, list):
            place = ensemble.node(names[node["split"]], MEMBER, split, missing_true=missing_true)
        else:
            threshold = float(np.float32(split))
            place = ensemble.node(names[node["split"]], LESS, threshold, missing_true=missing_true)
        children = {child["nodeid"]: child for child in node["children"]}
        return ensemble.join(place, add(children[node["yes"]], target), add(children[node["no"]], target))

    for tree, text in enumerate(booster.get_dump(dump_format="json")):
        ensemble.root(add(json.loads(text), tree % targets))
    return ensemble, start if len(start) == targets else start * targets


def of_symmetric(trees: Symmetric) -> Ensemble:
    """Symmetric trees; their sum lacks the start. The features must be float32."""
    ensemble = Ensemble(len(trees.start))
    level = leaf = 0
    for depth in trees.depth.tolist():
        for target in range(len(trees.start)):
            values = trees.leaf[leaf : leaf + 2**depth, target].tolist()
            ensemble.root(_levels(ensemble, trees, level, depth, values, target))
        level, leaf = level + depth, leaf + 2**depth
    return ensemble


def _levels(
    ensemble: Ensemble, trees: Symmetric, level: int, depth: int, values: list[float], target: int
) -> tuple[int, int]:
    """The node of the last of so many levels, and what is under it; the first half of the values is of who stays."""
    if depth == 0:
        return ensemble.leaf(values[0], target)
    last = level + depth - 1
    column, asked = int(trees.column[last]), int(trees.asked[last])
    codes = [] if asked < 0 else np.flatnonzero(trees.sets[asked][1:]).tolist()
    missing_stays = not trees.missing[last] if asked < 0 else bool(trees.sets[asked][0])
    if codes:
        node = ensemble.node(column, MEMBER, codes, missing_true=missing_stays)
    else:  # no code stays: none is below 0
        border = float(trees.border[last]) if asked < 0 else -1.0
        node = ensemble.node(column, LESS_OR_EQUAL, border, missing_true=missing_stays)
    half = len(values) // 2
    stays = _levels(ensemble, trees, level, depth - 1, values[:half], target)
    return ensemble.join(node, stays, _levels(ensemble, trees, level, depth - 1, values[half:], target))
