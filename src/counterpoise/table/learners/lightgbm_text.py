r"""LightGBM's text format, read strictly.

LightGBM itself trusts the file: a child out of range, a wrong count or a cycle crash the process or never end. So a
file is read here first, by the grammar that LightGBM writes (version v4), and LightGBM gets what was checked.

    tree
    version=v4
    num_class=1            … max_feature_idx, feature_names, feature_infos
    tree_sizes=711 798     bytes of each tree

    Tree=0
    num_leaves=3           … one line per fact, numbers with a blank between them
    left_child=1 -1        of each node; -1 is leaf 0, -2 is leaf 1


    end of trees           what follows is for people, and is not read
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CATEGORICAL, DEFAULT_LEFT = 1, 2
NONE_MISSING, ZERO_IS_MISSING, NAN_IS_MISSING = 0, 1, 2
_KINDS = [kind | missing << 2 for kind in range(4) for missing in (NONE_MISSING, ZERO_IS_MISSING, NAN_IS_MISSING)]
LARGEST = 1e100
"""Of a leaf: so many of them are still a number when they are added up."""

_END = b"end of trees\n"
_INT, _NUMBER = rb"\d{1,10}", rb"-?\d{1,20}(?:\.\d{1,25})?(?:e[+-]?\d{1,3})?"
_CHILD, _BOUND, _ANY = rb"-?\d{1,10}", _NUMBER + rb"|-?inf", _NUMBER + rb"|-?inf|-?nan"
_RANGE = rb"none|\[(?:" + _ANY + rb"):(?:" + _ANY + rb")\]|-?\d{1,10}(?::-?\d{1,10})*"


def _list_of(token: bytes) -> bytes:
    return rb"(?:(?:%b)(?: (?:%b))*)?" % (token, token)


_HEADER = {
    name: re.compile(pattern)
    for name, pattern in {
        "version": rb"v\d{1,3}",
        "num_class": _INT,
        "num_tree_per_iteration": _INT,
        "label_index": _INT,
        "max_feature_idx": _INT,
        "objective": rb"[ -~]*",
        "feature_names": rb"[^\x00-\x1f]*",
        "feature_infos": _list_of(_RANGE),
        "tree_sizes": _list_of(_INT),
    }.items()
}
_OBJECTIVE = "objective"  # what turns sums into probabilities; our files name none, nor does LightGBM get one

_TREE = {
    name: re.compile(pattern)
    for name, pattern in {
        "Tree": _INT,
        "num_leaves": _INT,
        "num_cat": _INT,
        "split_feature": _list_of(_INT),
        "split_gain": _list_of(_ANY),
        "threshold": _list_of(_BOUND),
        "decision_type": _list_of(_INT),
        "left_child": _list_of(_CHILD),
        "right_child": _list_of(_CHILD),
        "leaf_value": _list_of(_NUMBER),
        "leaf_weight": _list_of(_ANY),
        "leaf_count": _list_of(_INT),
        "internal_value": _list_of(_ANY),
        "internal_weight": _list_of(_ANY),
        "internal_count": _list_of(_INT),
        "cat_boundaries": _list_of(_INT),
        "cat_threshold": _list_of(_INT),
        "is_linear": rb"0",
        "shrinkage": _NUMBER,
    }.items()
}
_CATEGORIES = ("cat_boundaries", "cat_threshold")
_PLAIN = [name for name in _TREE if name not in _CATEGORIES]
_PER_NODE = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_PER_NODE_TOLD = ("internal_value", "internal_weight", "internal_count")
_PER_LEAF_TOLD = ("leaf_weight", "leaf_count")  # a tree of one leaf may leave them out


class OtherKindError(UserError):
    """Trees that LightGBM knows and that are not read here: another version, linear leaves, averages."""


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """The trees of a file, one after the other.

    Parameters
    ----------
    features
        Number of columns of a row.
    outputs
        Number of sums; the trees add to them in turn.
    names
        Names of the columns in the file.
    text
        Text for LightGBM: all that was checked, and nothing else.
    leaves
        Number of leaves of each tree (T,); a tree has one node fewer.
    feature, kind, threshold, left, right
        Parts of each node, those of the first tree first.
    leaf
        Value of each leaf, in the same order.
    sets_of
        Number of sets of categories in each tree (T,); the threshold of a split on categories is the index of its set.
    sets
        Whether each code is in a set; the sets of the first tree first.
    """

    features: int
    outputs: int
    names: tuple[str, ...]
    text: str
    leaves: Ints
    feature: Ints
    kind: Ints
    threshold: Floats
    left: Ints
    right: Ints
    leaf: Floats
    sets_of: Ints
    sets: tuple[NDArray[np.bool_], ...]

    def trees(self) -> Iterator[tuple[slice, slice]]:
        """Where the nodes and the leaves of each tree are."""
        node = leaf = 0
        for leaves in self.leaves.tolist():
            yield slice(node, node + leaves - 1), slice(leaf, leaf + leaves)
            node, leaf = node + leaves - 1, leaf + leaves


def parse(data: bytes) -> Grown:
    """Read a file wholly, or refuse it.

    Raises
    ------
    UserError
        If it is not what LightGBM writes; the message names the tree and the fact. `OtherKindError` if LightGBM may
        have written it and it is not read here.

    Examples
    --------
    >>> parse(b"tree" + bytes(10))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: the header has no end; LightGBM writes an empty line after it
    """
    header, found, rest = data.partition(b"\n\n")
    if not found:
        raise UserError("the header has no end; LightGBM writes an empty line after it")
    facts = _header(header)
    features, outputs = int(facts["max_feature_idx"]) + 1, int(facts["num_tree_per_iteration"])
    sizes = list(map(int, facts["tree_sizes"].split()))
    if outputs < 1 or int(facts["num_class"]) != outputs or not sizes or len(sizes) % outputs:
        raise UserError(f"the header states {outputs} trees per round and {len(sizes)} trees in all")
    for name in ("feature_names", "feature_infos"):
        if len(facts[name].split(b" ")) != features:
            raise UserError(f"{name} does not have {features} values, one for each column")
    if sum(sizes) > len(rest) or not rest.startswith(_END, sum(sizes)):
        raise UserError("tree_sizes is not the length of the trees")
    columns = _columns(rest, sizes)
    kept = [
        b"tree",
        *(b"%b=%b" % (name.encode(), told) for name, told in facts.items() if name != _OBJECTIVE),
        b"",
        b"",
    ]
    checked = b"\n".join(kept) + rest[: sum(sizes)] + _END
    grown = _grown(columns, features, outputs, _utf8(facts["feature_names"]), checked)
    _check_nodes(grown)
    _check_shape(grown)
    return grown


def _header(header: bytes) -> dict[str, bytes]:
    first, *lines = header.split(b"\n")
    facts = dict(line.partition(b"=")[::2] for line in lines)
    if b"average_output" in facts:
        raise OtherKindError("the file holds averages of trees, not sums")
    named = [name for name in _HEADER if name != _OBJECTIVE or name.encode() in facts]
    if first != b"tree" or [name.encode() for name in named] != [line.partition(b"=")[0] for line in lines]:
        raise UserError(f"the header is not tree, {', '.join(named)}, a line each")
    found = {name: facts[name.encode()] for name in named}
    for name, value in found.items():
        if not _HEADER[name].fullmatch(value):
            raise UserError(f"{name} is {value[:40]!r}, which LightGBM does not write")
    if found["version"] != b"v4":
        raise OtherKindError(f"the file is of version {found['version'].decode()}; this reads v4")
    return found


def _columns(rest: bytes, sizes: list[int]) -> dict[str, list[bytes]]:
    """The lines of all trees, by fact; of one without splits on categories the facts on these are empty."""
    columns: dict[str, list[bytes]] = {name: [] for name in _TREE}
    begun = 0
    for tree, size in enumerate(sizes):
        lines = rest[begun : begun + size].split(b"\n")
        begun += size
        if b"is_linear=1" in lines:
            raise OtherKindError(f"tree {tree} has linear leaves")
        names = list(_TREE) if len(lines) == len(_TREE) + 3 else _PLAIN
        if len(lines) != len(names) + 3 or any(lines[len(names) :]):
            raise UserError(f"tree {tree} does not have {len(names)} lines and two empty ones")
        for name, line in zip(names, lines, strict=False):
            key, _, value = line.partition(b"=")
            if key != name.encode() or not _TREE[name].fullmatch(value):
                raise UserError(f"tree {tree}: {line[:40]!r} is no line that tells {name} as LightGBM writes it")
            columns[name].append(value)
        if names is _PLAIN:
            for name in _CATEGORIES:
                columns[name].append(b"")
        if columns["Tree"][-1] != str(tree).encode():
            raise UserError(f"tree {tree} calls itself {columns['Tree'][-1].decode()}")
    return columns


def _grown(
    columns: dict[str, list[bytes]], features: int, outputs: int, names: tuple[str, ...], checked: bytes
) -> Grown:
    leaves = _whole(columns["num_leaves"])
    if (leaves < 1).any():
        raise UserError(f"tree {int((leaves < 1).argmax())} has no leaf")
    for name in (*_PER_NODE, *_PER_NODE_TOLD, "leaf_value", *_PER_LEAF_TOLD):
        found = _lengths(columns[name])
        wrong = found != leaves - (name in _PER_NODE or name in _PER_NODE_TOLD)
        if name in _PER_LEAF_TOLD:
            wrong &= (leaves > 1) | (found > 1)
        if wrong.any():
            tree = int(wrong.argmax())
            raise UserError(f"tree {tree}: {name} has {found[tree]} values, but the tree {leaves[tree]} leaves")
    return Grown(
        features=features,
        outputs=outputs,
        names=names,
        text=checked.decode(),
        leaves=leaves,
        feature=_whole(columns["split_feature"]),
        kind=_whole(columns["decision_type"]),
        threshold=_numbers(columns["threshold"]),
        left=_whole(columns["left_child"]),
        right=_whole(columns["right_child"]),
        leaf=_numbers(columns["leaf_value"]),
        sets_of=_whole(columns["num_cat"]),
        sets=_sets(columns, leaves),
    )


def _sets(columns: dict[str, list[bytes]], leaves: Ints) -> tuple[NDArray[np.bool_], ...]:
    """The sets of categories of all trees, each from words of 32 codes."""
    counts = _whole(columns["num_cat"])
    wrong = (np.where(counts > 0, counts + 1, 0) != _lengths(columns["cat_boundaries"])) | (counts >= leaves)
    if wrong.any():
        raise UserError(f"tree {int(wrong.argmax())}: num_cat is not the number of its sets")
    found: list[NDArray[np.bool_]] = []
    for tree in np.flatnonzero(counts).tolist():
        bounds, words = (_whole([columns[name][tree]]) for name in _CATEGORIES)
        if bounds[0] != 0 or (np.diff(bounds) < 1).any() or bounds[-1] != len(words):
            raise UserError(f"tree {tree}: cat_boundaries do not divide the values of cat_threshold")
        if (words >= 2**32).any():
            raise UserError(f"tree {tree}: cat_threshold has a value of more than 32 bits")
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(np.bool_)
        found += np.split(bits, bounds[1:-1] * 32)
    return tuple(found)


def _check_nodes(grown: Grown) -> None:
    """Raise `UserError` for a number out of its range."""
    nodes, sets = np.repeat(np.arange(len(grown.leaves)), grown.leaves - 1), grown.sets_of
    categorical = grown.kind & CATEGORICAL == CATEGORICAL
    checks = {
        "split_feature": grown.feature >= grown.features,
        "decision_type": ~np.isin(grown.kind, _KINDS),
        # of a split on a category the place of its set
        "threshold": categorical
        & ~((grown.threshold >= 0) & (grown.threshold < sets[nodes]) & (grown.threshold == np.floor(grown.threshold))),
    }
    for name, wrong in checks.items():
        if wrong.any():
            raise UserError(f"tree {nodes[wrong.argmax()]}: {name} is out of range")
    large = ~(np.abs(grown.leaf) <= LARGEST)
    if large.any():
        tree = np.repeat(np.arange(len(grown.leaves)), grown.leaves)[large.argmax()]
        raise UserError(f"tree {tree}: leaf_value is beyond {LARGEST:g}")


def _check_shape(grown: Grown) -> None:
    """Raise `UserError` unless every node but the first is the child of one before it, and every leaf of one node."""
    counts = grown.leaves - 1
    first = np.repeat(np.cumsum(counts) - counts, counts)
    first_leaf = np.repeat(np.cumsum(grown.leaves) - grown.leaves, counts)
    own, tree = np.arange(len(first)) - first, np.repeat(np.arange(len(counts)), counts)
    reached, reached_leaf = np.zeros(len(first), np.int64), np.zeros(len(grown.leaf), np.int64)
    for children in (grown.left, grown.right):
        inner = children >= 0
        wrong = np.where(inner, (children <= own) | (children >= counts[tree]), ~children >= grown.leaves[tree])
        if wrong.any():
            raise UserError(
                f"tree {tree[wrong.argmax()]}: a node has a child that is not a leaf and no node after it; each "
                "node but "
                "the first, and each leaf, is the child of one"
            )
        np.add.at(reached, (first + children)[inner], 1)
        np.add.at(reached_leaf, (first_leaf + ~children)[~inner], 1)
    alone = reached != (own > 0)
    lonely = reached_leaf != np.repeat(counts > 0, grown.leaves)
    for wrong, of in ((alone, tree), (lonely, np.repeat(np.arange(len(counts)), grown.leaves))):
        if wrong.any():
            raise UserError(
                f"tree {of[wrong.argmax()]}: its nodes make no tree: one, or a leaf, is the child of none or of several"
            )


def _lengths(lines: Sequence[bytes]) -> Ints:
    return np.array([line.count(b" ") + 1 if line else 0 for line in lines], np.int64)


def _whole(lines: Sequence[bytes]) -> Ints:
    return np.fromstring(b" ".join(filter(None, lines)), np.int64, sep=" ")


def _numbers(lines: Sequence[bytes]) -> Floats:
    return np.fromstring(b" ".join(filter(None, lines)), np.float64, sep=" ")


def _utf8(names: bytes) -> tuple[str, ...]:
    try:
        return tuple(names.decode().split(" "))
    except UnicodeDecodeError:
        raise UserError("feature_names is not UTF-8") from None
