"""The kernel that adds trees up: a plain walk's sums, and whatever it is given, nothing outside its arrays.

It needs no LightGBM, so it also runs under the sanitizers.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoise._kernels as _kernels
from instruction_sets import computed_by, every_instruction_set
from trees import forests, kernel_arguments, rows

COLUMNS = 4


def added_up(forest, matrix, trees, outputs=1, threads=1):
    found = np.full((len(matrix), outputs), np.nan)
    row, column = (stride // 8 for stride in matrix.strides)
    forest.add_up(trees, matrix.ctypes.data, len(matrix), row, column, found.ctypes.data, threads)
    return found


@every_instruction_set
@settings(max_examples=40, deadline=None)
@given(trees=forests(), table=rows(COLUMNS))
def test_sums_are_those_of_a_plain_walk(instruction_set, trees, table):
    forest = _kernels.Forest(*kernel_arguments(trees, COLUMNS))
    with computed_by(instruction_set):
        found = added_up(forest, np.array(table), len(trees))[:, 0]
    expected = np.zeros(len(table))
    for tree in trees:
        expected += [tree.value(row) for row in table]
    assert np.array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(trees=forests(most_trees=6), outputs=st.integers(1, 3))
def test_trees_take_turns(trees, outputs):
    table = np.linspace(-2, 2, 4 * 700).reshape(-1, COLUMNS)
    table[:, -1] = np.arange(700) % 70
    forest = _kernels.Forest(*kernel_arguments(trees, COLUMNS, outputs))
    found = added_up(forest, table, len(trees), outputs, threads=3)
    expected = np.zeros_like(found)
    for place, tree in enumerate(trees):
        expected[:, place % outputs] += [tree.value(row) for row in table.tolist()]
    assert np.array_equal(found, expected)


# a tree with one node on column 0 at 0.5 and the leaves 1.0 and 2.0, and one that asks for code 1
GOOD = {
    "features": 1,
    "outputs": 1,
    "zero": 0.0,
    "column": [0, 0],
    "threshold": [0.5, 0.0],
    "kept": [0b10, 0b10],
    "set": [-1, 0],
    "missing_left": [0, 1],
    "missing_right": [1, 1],
    "asks": [1, 1],
    "leaves": [0, 2],
    "values": [1.0, 2.0, 1.0, 2.0],
    "codes": [2],
    "words": [0b100],
}


def test_the_smallest_forest():
    forest, table = _kernels.Forest(*GOOD.values()), np.array([[0.5], [0.6], [np.nan], [1.0], [2.0], [1e300]])
    assert added_up(forest, table, 1)[:, 0].tolist() == [1, 2, 1, 2, 2, 2]
    assert (added_up(forest, table, 2) - added_up(forest, table, 1))[:, 0].tolist() == [2, 2, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 0}, "at least 1 feature"),
        ({"features": 2**40}, "at most 2"),
        ({"outputs": 0}, "at least 1 feature and 1 output"),
        ({"outputs": -(2**62)}, "at least 1 feature and 1 output"),
        ({"column": [1, 0]}, "no such feature"),
        ({"column": [0, -1]}, "no such feature"),
        ({"column": []}, "differ in length"),
        ({"kept": [2] * 3}, "differ in length"),
        ({"set": [-1]}, "differ in length"),
        ({"threshold": []}, "differ in length"),
        ({"missing_right": []}, "differ in length"),
        ({"missing_left": [0, 0, 0]}, "differ in length"),
        ({"asks": [1]}, "differ in length"),
        ({"missing_left": [-1, 1]}, "no such nodes"),
        ({"missing_left": [1, 1], "missing_right": [0, 1]}, "no such nodes"),
        ({"missing_right": [2, 1]}, "no such nodes"),
        ({"asks": [0, 1]}, "no such nodes"),
        ({"asks": [1, 3]}, "no such nodes"),
        ({"missing_left": [0, 9], "missing_right": [0, 9], "asks": [0, 9]}, "no such nodes"),
        ({"leaves": [2, 2]}, "no such leaves"),
        ({"leaves": [0, 4]}, "leaves no leaf"),
        ({"leaves": [0, -1]}, "no such leaves"),
        ({"leaves": [-1, 2]}, "no such leaves"),
        ({"leaves": [0, 2**63 - 1]}, "no such leaves"),
        ({"values": []}, "no such leaves"),
        ({"kept": [0, 2]}, "leaves no leaf"),
        ({"kept": [2, 0b01]}, "leaves no leaf"),
        ({"set": [-1, -1]}, "no such set"),
        ({"set": [-1, 1]}, "no such set"),
        ({"codes": [], "words": []}, "no such set"),
        ({"codes": [63]}, "other words"),
        ({"codes": [-1]}, "no such codes"),
        ({"codes": [2**40]}, "no such codes"),
        ({"words": []}, "other words"),
        ({"words": [0b1100]}, "a code that it does not have"),
        ({"values": [0.0] * 67}, "more leaves than bits"),
    ],
    ids=str,
)
def test_what_is_no_forest(change, message):
    with pytest.raises(ValueError, match=message):
        _kernels.Forest(*(GOOD | change).values())


@pytest.mark.parametrize(("trees", "rows"), [(-1, 1), (3, 1), (2**62, 1), (1, -1)])
def test_no_more_trees_than_there_are(trees, rows):
    forest, row, found = _kernels.Forest(*GOOD.values()), np.zeros((1, 1)), np.zeros((1, 1))
    with pytest.raises(ValueError, match="count and rows"):
        forest.add_up(trees, row.ctypes.data, rows, 1, 1, found.ctypes.data, 1)


PLACE = st.integers(-1, 5) | st.integers(-(2**63), 2**63 - 1)
KEPT = st.sampled_from([2**64 - 1, 2**64 - 2, 2**63, 6]) | st.integers(0, 2**64 - 1)


@settings(max_examples=300, deadline=None)
@given(
    features=st.integers(-1, 3),
    outputs=st.integers(-1, 3),
    nodes=st.lists(st.tuples(st.integers(-1, 3), st.floats(), KEPT, st.integers(-1, 2)), max_size=5),
    trees=st.lists(st.tuples(PLACE, PLACE, PLACE, PLACE), max_size=4),
    values=st.lists(st.floats(-1, 1), max_size=8),
    codes=st.lists(st.sampled_from([0, 1, 63, 64, 2**31]), max_size=2),
    words=st.lists(st.integers(0, 2**64 - 1), max_size=3),
)
def test_any_arrays_are_refused_or_added_up(features, outputs, nodes, trees, values, codes, words):
    of_nodes = ([node[part] for node in nodes] for part in range(4))
    of_trees = ([tree[part] for tree in trees] for part in range(4))
    try:
        forest = _kernels.Forest(features, outputs, 0.0, *of_nodes, *of_trees, values, codes, words)
    except ValueError:
        return
    table = np.repeat([[-1.0], [np.nan], [1.0], [62.0], [63.0], [1e300]], features, axis=1)
    found = added_up(forest, table, len(trees), outputs)
    assert (np.abs(found) <= len(trees)).all()  # sums of `values`
