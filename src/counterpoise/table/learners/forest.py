"""The sums of LightGBM's trees, to the last bit as LightGBM adds them and several times as fast.

LightGBM walks each row down each tree, and every step waits for the one before. Here all nodes of a tree are compared
for many rows at once, and none waits (Lucchese et al., "QuickScorer", SIGIR 2015).
"""

import numpy as np
from numpy.typing import NDArray

from counterpoise import _kernels
from counterpoise.losses.kernel import threads_here

WORTH_READING = 10_000
"""For fewer rows LightGBM has the sums before the trees are read."""
_MOST_LEAVES = 64
_ALL_LEAVES = 2**64 - 1
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NONE_MISSING, _NAN_IS_MISSING = 0, 2


class Forest:
    """Trees of numbers, ready to be added up.

    Parameters
    ----------
    features
        How many columns a row has.
    outputs
        How many sums; trees take turns.
    trees
        The nodes and the leaves of each, from left to right. A node is a column, a threshold, the leaves (one bit for
        each) that rows above it can reach, and whether a missing value counts as above.
    """

    def __init__(
        self, features: int, outputs: int, trees: list[tuple[list[tuple[int, float, int, bool]], list[float]]]
    ) -> None:
        if any(not 0 <= node[0] < features for of_tree, _ in trees for node in of_tree):
            raise ValueError(f"a node splits on a column that there is not among {features}")
        if any(len(of_leaves) != len(of_tree) + 1 or len(of_leaves) > _MOST_LEAVES for of_tree, of_leaves in trees):
            raise ValueError(f"a tree has one leaf more than nodes, and {_MOST_LEAVES} at most")
        self.features, self.outputs, self._count = features, outputs, len(trees)
        nodes: list[tuple[int, float, int, bool]] = []
        values: list[float] = []
        missing_left, missing_right, leaves = [], [], []
        for of_tree, of_leaves in trees:
            missing_left.append(len(nodes))
            leaves.append(len(values))
            nodes += sorted(of_tree, key=lambda node: node[3])
            missing_right.append(len(nodes) - sum(node[3] for node in of_tree))
            values += of_leaves
        column, threshold, kept, _ = (list(part) for part in zip(*nodes, strict=True)) if nodes else ([], [], [], [])
        self._kernel = _kernels.Forest(
            features, outputs, column, threshold, kept, missing_left, missing_right, leaves, values
        )

    @classmethod
    def read(cls, text: str) -> "Forest | None":
        """The trees of LightGBM's text format; None where there are some that this cannot add up.

        Those are trees of more than 64 leaves, of splits on categories or of linear leaves, where 0 counts as missing,
        averages, and other versions of the format.

        Examples
        --------
        >>> import lightgbm
        >>> x = np.random.default_rng(0).normal(size=(1000, 3))
        >>> data = lightgbm.Dataset(x, label=x[:, 0] > x[:, 1])
        >>> booster = lightgbm.train({"objective": "binary", "verbosity": -1}, data, 20)
        >>> sums = Forest.read(booster.model_to_string()).sums(x)
        >>> bool((sums == booster.predict(x, raw_score=True)).all())
        True
        """
        header, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
        known_format = "\nversion=v4\n" in header and "\naverage_output" not in header
        trees = [_tree(_facts(block)) for block in blocks] if known_format else []
        known = [tree for tree in trees if tree is not None]
        if not known or len(known) < len(trees):
            return None
        facts = _facts(header)
        return cls(int(facts["max_feature_idx"]) + 1, int(facts["num_tree_per_iteration"]), known)

    def sums(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """Raw scores (N,) of rows (N, features), or (N, outputs) of several; of the first rounds, or of all."""
        if matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise ValueError(f"matrix is {matrix.shape}, but the trees take (N, {self.features})")
        matrix = np.require(matrix, np.float64, ["ALIGNED"])
        row, column = (stride // matrix.itemsize for stride in matrix.strides)
        found = np.empty((len(matrix), self.outputs))
        count = self._count if rounds is None else min(self._count, rounds * self.outputs)
        self._kernel.add_up(count, matrix.ctypes.data, len(matrix), row, column, found.ctypes.data, threads_here())
        return found[:, 0] if self.outputs == 1 else found


def _facts(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(facts: dict[str, str]) -> tuple[list[tuple[int, float, int, bool]], list[float]] | None:
    """Nodes and leaves, as `Forest` takes them."""
    values = [float(value) for value in facts["leaf_value"].split()]
    if len(values) > _MOST_LEAVES or facts["num_cat"] != "0" or facts.get("is_linear", "0") != "0":
        return None
    if len(values) == 1:
        return [], values
    columns, kinds, left, right = (
        [int(number) for number in facts[name].split()]
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    thresholds = [float(number) for number in facts["threshold"].split()]
    above = []
    for kind, threshold in zip(kinds, thresholds, strict=True):
        missing = kind >> 2 & 3
        if kind & _CATEGORICAL or missing not in (_NONE_MISSING, _NAN_IS_MISSING):
            return None
        # where training saw none missing, LightGBM takes one for 0
        above.append(threshold < 0 if missing == _NONE_MISSING else not kind & _DEFAULT_LEFT)
    order: list[int] = []
    kept = [0] * len(columns)

    def walk(node: int) -> None:
        if node < 0:
            order.append(~node)
            return
        first = len(order)
        walk(left[node])
        kept[node] = _ALL_LEAVES ^ ((1 << len(order)) - (1 << first))
        walk(right[node])

    walk(0)
    return list(zip(columns, thresholds, kept, above, strict=True)), [values[leaf] for leaf in order]
