"""The sums of LightGBM's trees, to the last bit as LightGBM adds them and several times as fast.

LightGBM walks each row down each tree, and every step waits for the one before. Here all nodes of a tree are compared
for many rows at once, and none waits (Lucchese et al., "QuickScorer", SIGIR 2015).
"""

import numpy as np
from numpy.typing import NDArray

from counterpoise import _kernels
from counterpoise.losses.kernel import threads_here
from counterpoise.table.learners.lightgbm_text import (
    CATEGORICAL,
    DEFAULT_LEFT,
    NAN_IS_MISSING,
    NONE_MISSING,
    Grown,
    OtherKindError,
    parse,
)

WORTH_READING = 10_000
"""For fewer rows LightGBM has the sums before the trees are read."""
_MOST_LEAVES = 64
_ALL_LEAVES = 2**64 - 1

Node = tuple[int, float, int, bool]
"""A column, a threshold, the leaves (a bit for each) that rows above it can reach, whether what is missing is above."""


class Forest:
    """Trees of numbers, ready to be added up.

    Parameters
    ----------
    features
        How many columns a row has.
    outputs
        How many sums; trees take turns.
    trees
        The nodes and the leaves of each, from left to right. A row that is above a node's threshold can never reach
        the leaves left of it, and of those that remain it has the first; so every node leaves the last one.

    Raises
    ------
    ValueError
        If a node splits on a column that there is not or leaves a row no leaf; or if a tree does not have one leaf more
        than nodes, or has more than 64 leaves.
    """

    def __init__(self, features: int, outputs: int, trees: list[tuple[list[Node], list[float]]]) -> None:
        if any(not 0 <= node[0] < features for of_tree, _ in trees for node in of_tree):
            raise ValueError(f"a node splits on a column that there is not among {features}")
        if any(len(of_leaves) != len(of_tree) + 1 or len(of_leaves) > _MOST_LEAVES for of_tree, of_leaves in trees):
            raise ValueError(f"a tree has one leaf more than nodes, and {_MOST_LEAVES} at most")
        self.features, self.outputs, self._count = features, outputs, len(trees)
        nodes: list[Node] = []
        values: list[float] = []
        missing_left, missing_right, leaves = [], [], []
        for of_tree, of_leaves in trees:
            missing_left.append(len(nodes))
            leaves.append(len(values))
            nodes += sorted(of_tree, key=lambda node: node[3])
            missing_right.append(len(nodes) - sum(node[3] for node in of_tree))
            values += of_leaves
        column, threshold, kept, _ = (list(part) for part in zip(*nodes, strict=True)) if nodes else ([], [], [], [])
        self._kernel = _kernels.Forest(  # which checks all of it once more: it reads memory by it
            features, outputs, column, threshold, kept, missing_left, missing_right, leaves, values
        )

    @classmethod
    def read(cls, text: str) -> "Forest | None":
        """The trees of LightGBM's text format; None where there are some that this cannot add up.

        Those are trees of more than 64 leaves, of splits on categories or of linear leaves, where 0 counts as missing,
        averages, and other versions of the format.

        Raises
        ------
        UserError
            If the text is not what LightGBM writes: a child that is shared, or out of range.

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
        try:
            return cls.of(parse(text.encode()))
        except OtherKindError:
            return None

    @classmethod
    def of(cls, grown: Grown) -> "Forest | None":
        """The same of trees that were read before."""
        missing = grown.kind >> 2
        known = (grown.kind & CATEGORICAL == 0) & ((missing == NONE_MISSING) | (missing == NAN_IS_MISSING))
        if not known.all() or grown.leaves.max() > _MOST_LEAVES:
            return None
        # where training saw none missing, LightGBM takes one for 0
        above = np.where(missing == NONE_MISSING, grown.threshold < 0, grown.kind & DEFAULT_LEFT == 0)
        columns, thresholds, missing_above = grown.feature.tolist(), grown.threshold.tolist(), above.tolist()
        left, right, values = grown.left.tolist(), grown.right.tolist(), grown.leaf.tolist()
        trees = []
        for nodes, leaves in grown.trees():
            kept, order = _from_left_to_right(left[nodes], right[nodes])
            own = zip(columns[nodes], thresholds[nodes], kept, missing_above[nodes], strict=True)
            trees.append((list(own), [values[leaves][leaf] for leaf in order]))
        return cls(grown.features, grown.outputs, trees)

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


def _from_left_to_right(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """Of each node the leaves that a row above it can reach, and the order of the leaves; children follow their parent.

    Examples
    --------
    >>> kept, order = _from_left_to_right([1, -1], [-2, -3])
    >>> [format(mask & 7, "03b") for mask in kept], order
    (['100', '110'], [0, 2, 1])
    """
    under = [1] * len(left)  # leaves
    for node in reversed(range(len(left))):
        under[node] = sum(1 if child < 0 else under[child] for child in (left[node], right[node]))
    kept, first, order = [], [0] * len(left), [0] * (len(left) + 1)
    for node, children in enumerate(zip(left, right, strict=True)):
        place = first[node]
        for child in children:
            if child < 0:
                order[place] = ~child
            else:
                first[child] = place
            place += 1 if child < 0 else under[child]
        left_of_it = 1 if left[node] < 0 else under[left[node]]
        kept.append(_ALL_LEAVES ^ ((1 << first[node] + left_of_it) - (1 << first[node])))
    return kept, order
