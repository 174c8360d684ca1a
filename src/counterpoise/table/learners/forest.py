"""The sums of a booster's trees, equal to LightGBM's to the last bit and several times as fast.

A booster walks each row down each tree, and every step waits for the one before. Here all nodes of a tree are compared
for many rows at once, and none waits (Lucchese et al., "QuickScorer", SIGIR 2015).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import counterpoise._kernels as _kernels
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
MOST_LEAVES = 64
ZERO_OF_LIGHTGBM = float(np.float32(1e-35))
_ALL_LEAVES = 2**64 - 1
_WORD = 64


class Node(NamedTuple):
    """A split of a tree.

    Parameters
    ----------
    column
        Index of the column that it splits on.
    threshold
        Threshold: rows above it go right; unused if there are codes.
    kept
        The leaves (a bit for each) that rows which go right can reach.
    missing_above
        Whether a missing value goes right; unused if there are codes.
    codes
        For a split on categories: whether what is missing, and each code after that, goes left; others go right.
    """

    column: int
    threshold: float
    kept: int
    missing_above: bool
    codes: bytes | None = None


class Forest:
    """Trees, ready to be added up.

    Parameters
    ----------
    features
        Number of columns of a row.
    outputs
        Number of sums; the trees add to them in turn.
    trees
        The nodes and the leaves of each, from left to right. A row that goes right at a node can never reach the
        leaves left of it, and of those that remain it has the first; so every node leaves the last one.
    zero
        Largest absolute value that counts as 0.

    Raises
    ------
    ValueError
        If a node splits on a column that there is not or leaves a row no leaf, or a tree has no leaf or more than 64.
    """

    def __init__(
        self, features: int, outputs: int, trees: Sequence[tuple[Sequence[Node], Sequence[float]]], zero: float = 0.0
    ) -> None:
        if any(not 0 <= node.column < features for of_tree, _ in trees for node in of_tree):
            raise ValueError(f"a node splits on a column that is not among the {features} of a row")
        if any(not 1 <= len(of_leaves) <= MOST_LEAVES for _, of_leaves in trees):
            raise ValueError(f"a tree needs 1 to {MOST_LEAVES} leaves")
        self.features, self.outputs, self._count = features, outputs, len(trees)
        nodes: list[Node] = []
        values: list[float] = []
        missing_left: list[int] = []
        missing_right: list[int] = []
        asks: list[int] = []
        leaves: list[int] = []
        for of_tree, of_leaves in trees:
            for group, begun in enumerate((missing_left, missing_right, asks)):
                begun.append(len(nodes))
                nodes += [node for node in of_tree if _group(node) == group]
            leaves.append(len(values))
            values += of_leaves
        sets = {codes: place for place, codes in enumerate(dict.fromkeys(node.codes for node in nodes if node.codes))}
        self._kernel = _kernels.Forest(  # which checks all of it once more: it reads memory by it
            features,
            outputs,
            zero,
            [node.column for node in nodes],
            [node.threshold for node in nodes],
            [node.kept for node in nodes],
            [-1 if node.codes is None else sets[node.codes] for node in nodes],
            missing_left,
            missing_right,
            asks,
            leaves,
            values,
            [len(codes) - 1 for codes in sets],
            [word for codes in sets for word in _words(codes)],
        )

    @classmethod
    def read(cls, text: str) -> "Forest | None":
        """The trees of LightGBM's text format; None where there are some that this cannot add up.

        Those are trees of more than 64 leaves or of linear leaves, where 0 counts as missing, averages, and other
        versions of the format.

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
        missing, categorical = grown.kind >> 2, grown.kind & CATEGORICAL == CATEGORICAL
        known = categorical | (missing == NONE_MISSING) | (missing == NAN_IS_MISSING)
        if not known.all() or grown.leaves.max() > MOST_LEAVES:
            return None
        # where training saw none missing, LightGBM takes one for 0
        above = np.where(missing == NONE_MISSING, grown.threshold < 0, grown.kind & DEFAULT_LEFT == 0).tolist()
        columns, thresholds, asks = grown.feature.tolist(), grown.threshold.tolist(), categorical.tolist()
        left, right, values = grown.left.tolist(), grown.right.tolist(), grown.leaf.tolist()
        sets = [b"\0" + one.tobytes() for one in grown.sets]  # what is missing goes right
        trees: list[tuple[list[Node], list[float]]] = []
        first_set = 0
        for nodes, leaves in grown.trees():
            kept, order = _from_left_to_right(left[nodes], right[nodes])
            own = [
                Node(column, threshold, mask, side, sets[first_set + int(threshold)] if asked else None)
                for column, threshold, mask, side, asked in zip(
                    columns[nodes], thresholds[nodes], kept, above[nodes], asks[nodes], strict=True
                )
            ]
            first_set += grown.sets_of[len(trees)]
            trees.append((own, [values[leaves][leaf] for leaf in order]))
        return cls(grown.features, grown.outputs, trees, ZERO_OF_LIGHTGBM)

    def sums(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """Raw scores (N,) of rows (N, features), or (N, outputs) of several; of the first rounds, or of all."""
        if matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise ValueError(f"matrix is {matrix.shape}, but the trees take (N, {self.features})")
        matrix = np.require(matrix, np.float64, ["ALIGNED"])
        row, column = (stride // matrix.itemsize for stride in matrix.strides)
        found = np.empty((len(matrix), self.outputs))
        count = self._count if rounds is None else min(self._count, rounds * self.outputs)
        threads = 1 if len(matrix) == 1 else threads_here()
        self._kernel.add_up(count, matrix.ctypes.data, len(matrix), row, column, found.ctypes.data, threads)
        return found[:, 0] if self.outputs == 1 else found


def _group(node: Node) -> int:
    """The kernel takes those that send missing values left first, then those that send them right, then the sets."""
    return 2 if node.codes is not None else int(node.missing_above)


def _words(codes: bytes) -> list[int]:
    """The bits of a set, 64 to a word, and one more for whatever else there is, which is not in the set.

    Examples
    --------
    >>> _words(bytes([0, 1, 1]))
    [6]
    """
    bits = np.frombuffer(codes, np.bool_)
    whole = np.zeros(len(codes) // _WORD * _WORD + _WORD, np.bool_)
    whole[: len(bits)] = bits
    words: list[int] = np.packbits(whole, bitorder="little").view("<u8").tolist()
    return words


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
