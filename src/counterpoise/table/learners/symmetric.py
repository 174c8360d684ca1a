"""Symmetric trees as plain arrays: each level of a tree asks one question, and the answers are the bits of the leaf.

CatBoost grows such trees. Its own file is a binary that only CatBoost reads, without checks; its categories are
replaced by statistics of the training rows, with hashes of the values. But a model knows each category by its code, and
the codes are few: a split on a category is the set of codes that pass it, and CatBoost itself shows which these are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.forest import Forest, Node
from counterpoise.table.tensors import arrays_of, bytes_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MODEL = "trees.safetensors"
MOST_DEPTH = 6
LARGEST = 1e100
_ALL_LEAVES = 2**64 - 1
_NO_SET = -1


@dataclass(frozen=True, eq=False)
class Symmetric:
    """Trees whose levels each ask one question.

    Parameters
    ----------
    depth
        Number of levels of each tree (T,), at most 6.
    column
        Index of the feature of each level, (S,), those of the first tree first.
    border
        Border of each level, (S,): a row passes if its value, as a float32, is larger; unused if there is a set.
    missing
        Whether a missing value passes, (S,); if there is a set, the set decides.
    asked
        Index of the set of a split on a category, or -1, (S,).
    sets
        Whether what is missing, and each code after that, is in a set: such rows do not pass.
    leaf
        Contribution of each leaf to each output (L, outputs): 2^depth leaves of each tree, by the levels that a row
        passes, the first level counting 1, the second 2, then 4.
    start
        Constant of each output, (outputs,).
    features
        Number of columns of a row.

    Examples
    --------
    >>> one = Symmetric(np.array([1]), np.array([0]), np.array([0.5]), np.array([False]), np.array([-1]), (),
    ...                 np.array([[-1.0], [1.0]]), np.array([0.25]), 1)
    >>> one.logits(np.array([[0.5], [0.6], [np.nan]]))
    array([-0.75,  1.25, -0.75])
    """

    depth: Ints
    column: Ints
    border: Floats
    missing: NDArray[np.bool_]
    asked: Ints
    sets: tuple[NDArray[np.bool_], ...]
    leaf: Floats
    start: Floats
    features: int

    def logits(self, matrix: Floats, rounds: int | None = None) -> Floats:
        """As `Fitted.logits`."""
        with np.errstate(over="ignore"):
            rows = matrix.astype(np.float32).astype(np.float64)
        found = self._forest.sums(rows, rounds) + self.start
        return found if len(self.start) > 1 else found.reshape(-1)

    def prepare(self) -> None:
        """As `Fitted.prepare`."""
        self._forest  # noqa: B018

    def files(self) -> dict[str, bytes]:
        """The arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "depth": self.depth,
            "column": self.column,
            "border": self.border,
            "missing": self.missing.astype(np.uint8),
            "asked": self.asked,
            "codes_of_sets": np.array([len(one) for one in self.sets], np.int64),
            "sets": np.concatenate([np.zeros(0, np.uint8), *map(np.packbits, self.sets)]),
            "leaf": self.leaf,
            "start": self.start,
        }
        return {MODEL: bytes_of(arrays)}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_forest"}  # it is made anew

    @cached_property
    def _forest(self) -> Forest:
        trees: list[tuple[list[Node], list[float]]] = []
        masks = _masks()
        level = leaf = 0
        columns, borders, missing, asked = (
            part.tolist() for part in (self.column, self.border, self.missing, self.asked)
        )
        sets = [one.tobytes() for one in self.sets]
        for depth in self.depth.tolist():
            nodes = [
                Node(columns[k], borders[k], masks[k - level], missing[k], None if asked[k] < 0 else sets[asked[k]])
                for k in range(level, level + depth)
            ]
            trees += [(nodes, values) for values in self.leaf[leaf : leaf + 2**depth].T.tolist()]
            level, leaf = level + depth, leaf + 2**depth
        return Forest(self.features, len(self.start), trees)


def _masks() -> list[int]:
    """Of each level the leaves that a row which passes it can be in."""
    return [sum(1 << leaf for leaf in range(64) if leaf >> level & 1) for level in range(MOST_DEPTH)]


def load(files: Mapping[str, bytes], schema: Schema, outputs: int) -> Symmetric:
    """Read what `Symmetric.files` gave.

    Raises
    ------
    UserError
        If an array is absent, or of another type, length or range than such trees of these columns and classes have.
    """
    held = arrays_of(files[MODEL], MODEL)
    expected = {
        "depth": np.int64,
        "column": np.int64,
        "border": np.float64,
        "missing": np.uint8,
        "asked": np.int64,
        "codes_of_sets": np.int64,
        "sets": np.uint8,
        "leaf": np.float64,
        "start": np.float64,
    }
    if set(held) != set(expected):
        raise UserError(f"{MODEL} does not hold {', '.join(expected)}, and nothing else")
    for name, dtype in expected.items():
        if held[name].dtype != dtype or held[name].ndim != (2 if name == "leaf" else 1):
            raise UserError(f"{MODEL}: {name} is {held[name].dtype} of {held[name].ndim} dimensions")
    if held["start"].shape != (outputs,) or held["leaf"].shape[1] != outputs:
        raise UserError(f"{MODEL} does not fit the columns and classes of the model; train again")
    _check(held, schema)
    codes = held["codes_of_sets"]
    packed = np.split(held["sets"], np.cumsum(_bytes_of(codes))[:-1]) if len(codes) else []
    sets = [np.unpackbits(one, count=size).astype(np.bool_) for one, size in zip(packed, codes.tolist(), strict=True)]
    return Symmetric(
        held["depth"],
        held["column"],
        held["border"],
        held["missing"].astype(np.bool_),
        held["asked"],
        tuple(sets),
        np.ascontiguousarray(held["leaf"]),
        held["start"],
        len(schema.features),
    )


def _check(held: Mapping[str, NDArray[Any]], schema: Schema) -> None:
    """Raise `UserError` for a number out of its range or an array of another length."""
    depth, column, asked, codes = held["depth"], held["column"], held["asked"], held["codes_of_sets"]
    if not len(depth) or (depth < 0).any() or (depth > MOST_DEPTH).any():
        raise UserError(f"{MODEL}: depth is not from 0 to {MOST_DEPTH} of at least one tree")
    lengths = {name: int(depth.sum()) for name in ("column", "border", "missing", "asked")}
    lengths["leaf"] = int((2**depth).sum())
    for name, length in lengths.items():
        if len(held[name]) != length:
            raise UserError(f"{MODEL}: {name} has {len(held[name])} values; trees of this depth have {length}")
    many = (codes < 1) | (codes > 8 * len(held["sets"]))
    if many.any() or _bytes_of(codes).sum() != len(held["sets"]):
        raise UserError(f"{MODEL}: codes_of_sets do not divide sets")
    of_columns = np.zeros(len(schema.features), np.int64)  # codes, and what is missing
    for place, categories in schema.categories.items():
        of_columns[place] = len(categories) + 1
    if (column < 0).any() or (column >= len(of_columns)).any():
        raise UserError(f"{MODEL}: column is out of range; it does not fit the columns of the model")
    if (asked < _NO_SET).any() or (asked >= len(codes)).any():
        raise UserError(f"{MODEL}: asked is out of range")
    wanted = of_columns[column]
    found = np.where(asked == _NO_SET, 0, np.append(codes, 0)[asked])
    if (wanted != found).any():
        raise UserError(f"{MODEL}: a split does not fit its column: a split on categories needs a set of all codes")
    checks = {
        "border": ~np.isfinite(held["border"]),
        "missing": held["missing"] > 1,
        "leaf": ~(np.abs(held["leaf"]) <= LARGEST),
        "start": ~(np.abs(held["start"]) <= LARGEST),
    }
    for name, wrong in checks.items():
        if wrong.any():
            raise UserError(f"{MODEL}: {name} is out of range")


def _bytes_of(codes: Ints) -> Ints:
    return (codes + 7) // 8


def of_catboost(model: Any, facts: Mapping[str, Any], schema: Schema, passed: Sequence[NDArray[np.uint8]]) -> Symmetric:
    """The trees of a CatBoost model.

    Parameters
    ----------
    model
        The CatBoost model.
    facts
        Its JSON, as CatBoost writes it.
    schema
        Schema of its features.
    passed
        For each categorical feature, in order, the leaf (R, T) of rows that differ only in it: missing, then each of
        its codes.
    """
    numbers = facts["features_info"].get("float_features", [])
    names = facts["features_info"].get("categorical_features", [])
    flat_number = {one["feature_index"]: one["flat_feature_index"] for one in numbers}
    as_true = {one["feature_index"] for one in numbers if one["nan_value_treatment"] == "AsTrue"}
    columns: list[int] = []
    borders: list[float] = []
    missing: list[bool] = []
    asked: list[int] = []
    sets: dict[bytes, int] = {}
    depths = []
    of_ctr = _categories_of_ctrs(facts)
    for tree, one in enumerate(facts["oblivious_trees"]):
        splits = one["splits"] or []
        depths.append(len(splits))
        for level, split in enumerate(splits):
            if split["split_type"] == "FloatFeature":
                columns.append(flat_number[split["float_feature_index"]])
                borders.append(float(np.float32(split["border"])))
                missing.append(split["float_feature_index"] in as_true)
                asked.append(_NO_SET)
                continue
            category = split["cat_feature_index"] if "cat_feature_index" in split else of_ctr[split["split_index"]]
            stays = passed[category][:, tree] >> level & 1 == 0
            columns.append(names[category]["flat_feature_index"])
            borders.append(0.0)
            missing.append(False)
            asked.append(sets.setdefault(stays.tobytes(), len(sets)))
    scale, start = model.get_scale_and_bias()
    outputs = np.atleast_1d(np.asarray(start, np.float64))
    leaf = np.asarray(model.get_leaf_values(), np.float64).reshape(-1, len(outputs)) * scale
    return Symmetric(
        np.array(depths, np.int64),
        np.array(columns, np.int64),
        np.array(borders, np.float64),
        np.array(missing, np.bool_),
        np.array(asked, np.int64),
        tuple(np.frombuffer(one, np.bool_) for one in sets),
        leaf,
        outputs,
        len(schema.features),
    )


def _categories_of_ctrs(facts: Mapping[str, Any]) -> dict[int, int]:
    """The categorical feature of each split on statistics, by the split's place among all that the model knows."""
    features = facts["features_info"]
    place = sum(len(one["borders"]) for one in features.get("float_features", []))
    place += sum(len(one.get("values", ())) for one in features.get("categorical_features", []))
    found = {}
    for ctr in features.get("ctrs", []):
        (element,) = ctr["elements"]
        for _ in ctr["borders"]:
            found[place] = element["cat_feature_index"]
            place += 1
    return found
