"""Trees written by hand: as a plain walk knows them, as LightGBM writes them, as the kernel takes them."""

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

ZERO = float(np.float32(1e-35))  # up to here LightGBM takes a value for 0
NONE_MISSING, NAN_IS_MISSING = 0, 2


@dataclass
class Tree:
    """Of each node its column, threshold, whether NaN was seen there and goes left, and its children: ~k is leaf k.

    A node with codes sends those left, and all else right.
    """

    columns: list
    thresholds: list
    nan_seen: list
    nan_left: list
    left: list
    right: list
    leaves: list
    codes: list

    def missing_is_above(self, node):
        return not self.nan_left[node] if self.nan_seen[node] else self.thresholds[node] < 0

    def is_above(self, node, value):
        if self.codes[node] is not None:
            return value not in self.codes[node]
        value = 0.0 if abs(value) <= ZERO else value
        return self.missing_is_above(node) if math.isnan(value) else value > self.thresholds[node]

    def value(self, row):
        """Step by step from the root."""
        node = 0 if self.columns else ~0
        while node >= 0:
            node = (self.right if self.is_above(node, row[self.columns[node]]) else self.left)[node]
        return self.leaves[~node]

    def under(self, node):
        """The leaves under a node, from left to right."""
        return [~node] if node < 0 else [*self.under(self.left[node]), *self.under(self.right[node])]


def grown(draw, most_leaves, columns, thresholds):
    """As LightGBM grows a tree: one leaf after the other is split, so children come after their parents.

    The last column is one of categories.
    """
    tree = Tree([], [], [], [], [], [], [draw(st.floats(-4, 4, width=16))], [])
    above = {0: None}  # of each leaf the node that it hangs on
    for node in range(draw(st.integers(0, most_leaves - 1))):
        leaf, new = draw(st.sampled_from(sorted(above))), node + 1
        if above[leaf] is not None:
            parent, side = above[leaf]
            side[parent] = node
        tree.columns.append(draw(st.integers(0, columns - 1)))
        is_category = tree.columns[-1] == columns - 1
        tree.codes.append(draw(st.frozensets(CODES, min_size=1, max_size=6)) if is_category else None)
        tree.thresholds.append(draw(thresholds))
        tree.nan_seen.append(draw(st.booleans()))
        tree.nan_left.append(draw(st.booleans()))
        tree.left.append(~leaf)
        tree.right.append(~new)
        tree.leaves.append(draw(st.floats(-4, 4, width=16)))
        above |= {leaf: (node, tree.left), new: (node, tree.right)}
    return tree


THRESHOLDS = st.sampled_from([-1.5, -1.0, 0.0, ZERO, 0.25, 1.0, 3.0, 1e300, math.inf])
CODES = st.sampled_from([0, 1, 2, 31, 32, 62, 63, 64, 65, 127, 128, 200])
CATEGORIES = st.sampled_from(
    [math.nan, -1.0, 0.0, 1.0, 2.0, 5.0, 31.0, 32.0, 62.0, 63.0, 64.0, 65.0, 127.0, 128.0, 200.0, 1e6]
)
CELLS = st.sampled_from([math.nan, 0.0, -0.0, 1e-36, ZERO, -1.5, -1.0, 0.25, 1.0, 2.0, 3.0, 1e308, math.inf, -math.inf])


def rows(columns=4, most=40):
    """Rows of numbers, the last of which is the code of a category."""
    return st.lists(st.tuples(*[CELLS] * (columns - 1), CATEGORIES), min_size=1, max_size=most)


@st.composite
def forests(draw, most_leaves=64, most_trees=5, columns=4):
    """Some trees."""
    return [grown(draw, most_leaves, columns, THRESHOLDS) for _ in range(draw(st.integers(1, most_trees)))]


def lightgbm_text(trees, columns, outputs=1):
    """The file that LightGBM would write of them."""
    blocks = []
    for place, tree in enumerate(trees):
        kinds = [
            1 if codes is not None else (NAN_IS_MISSING if seen else NONE_MISSING) << 2 | left << 1
            for seen, left, codes in zip(tree.nan_seen, tree.nan_left, tree.codes, strict=True)
        ]
        sets = [bits(codes, 32, first=0) for codes in tree.codes if codes is not None]
        places = iter(range(len(sets)))
        thresholds = [
            f"{one:.17g}" if codes is None else next(places)
            for one, codes in zip(tree.thresholds, tree.codes, strict=True)
        ]
        bounds = [sum(map(len, sets[:place])) for place in range(len(sets) + 1)]
        categories = {"cat_boundaries": bounds, "cat_threshold": [word for one in sets for word in one]} if sets else {}
        facts = {
            "Tree": [place],
            "num_leaves": [len(tree.leaves)],
            "num_cat": [len(sets)],
            "split_feature": tree.columns,
            "split_gain": [1] * len(tree.columns),
            "threshold": thresholds,
            "decision_type": kinds,
            "left_child": tree.left,
            "right_child": tree.right,
            "leaf_value": [f"{one:.17g}" for one in tree.leaves],
            "leaf_weight": [1] * len(tree.leaves),
            "leaf_count": [1] * len(tree.leaves),
            "internal_value": [0] * len(tree.columns),
            "internal_weight": [1] * len(tree.columns),
            "internal_count": [1] * len(tree.columns),
            **categories,
            "is_linear": [0],
            "shrinkage": [1],
        }
        blocks.append("\n".join(f"{name}={' '.join(map(str, held))}" for name, held in facts.items()) + "\n\n\n")
    header = {
        "version": ["v4"],
        "num_class": [outputs],
        "num_tree_per_iteration": [outputs],
        "label_index": [0],
        "max_feature_idx": [columns - 1],
        "feature_names": [f"c{k}" for k in range(columns)],
        "feature_infos": ["[-1:1]"] * columns,
        "tree_sizes": [len(block) for block in blocks],
    }
    lines = [f"{name}={' '.join(map(str, held))}" for name, held in header.items()]
    return "\n".join(["tree", *lines, "", "".join(blocks) + "end of trees\n"])


def bits(codes, width, *, first):
    """Words of a set: bit code + first for each code."""
    words = [0] * ((max(codes) + first) // width + 1)
    for code in codes:
        words[(code + first) // width] |= 1 << (code + first) % width
    return words


def kernel_arguments(trees, columns, outputs=1):
    """What the kernel takes: nodes that send missing values left, then right, then those that ask for a set."""
    column, threshold, kept, place, missing_left, missing_right, asks, leaves, values, sizes, words = (
        [] for _ in range(11)
    )
    for tree in trees:
        order = tree.under(0) if tree.columns else [0]
        leaves.append(len(values))
        for group, begun in enumerate((missing_left, missing_right, asks)):
            begun.append(len(column))
            for node in range(len(tree.columns)):
                codes = tree.codes[node]
                if (2 if codes is not None else tree.missing_is_above(node)) != group:
                    continue
                struck = sum(1 << order.index(leaf) for leaf in tree.under(tree.left[node]))
                column.append(tree.columns[node])
                threshold.append(tree.thresholds[node])
                kept.append(2**64 - 1 - struck)
                place.append(-1 if codes is None else len(sizes))
                if codes is not None:
                    sizes.append(max(codes) + 1)
                    words += bits(codes, 64, first=1)
                    words += [0] * ((sizes[-1] + 1) // 64 + 1 - len(bits(codes, 64, first=1)))  # for codes beyond
        values += [tree.leaves[leaf] for leaf in order]
    nodes = (column, threshold, kept, place)
    return columns, outputs, ZERO, *nodes, missing_left, missing_right, asks, leaves, values, sizes, words
