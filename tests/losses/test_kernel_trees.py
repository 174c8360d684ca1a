"""The kernel that adds trees up: a plain walk's sums, and whatever it is given, nothing outside its arrays.

It needs no LightGBM, so it also runs under the sanitizers.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise import _kernels
from instruction_sets import computed_by, every_instruction_set
from trees import CELLS, forests, kernel_arguments

COLUMNS = 4


def added_up(forest, matrix, trees, outputs=1, threads=1):
    found = np.full((len(matrix), outputs), np.nan)
    row, column = (stride // 8 for stride in matrix.strides)
    forest.add_up(trees, matrix.ctypes.data, len(matrix), row, column, found.ctypes.data, threads)
    return found


@every_instruction_set
@settings(max_examples=40, deadline=None)
@given(trees=forests(), rows=st.lists(st.lists(CELLS, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=40))
def test_sums_are_those_of_a_plain_walk(instruction_set, trees, rows):
    forest = _kernels.Forest(*kernel_arguments(trees, COLUMNS))
    with computed_by(instruction_set):
        found = added_up(forest, np.array(rows), len(trees))[:, 0]
    expected = np.zeros(len(rows))
    for tree in trees:
        expected += [tree.value(row) for row in rows]
    assert np.array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(trees=forests(most_trees=6), outputs=st.integers(1, 3))
def test_trees_take_turns(trees, outputs):
    rows = np.linspace(-2, 2, 4 * 700).reshape(-1, COLUMNS)
    forest = _kernels.Forest(*kernel_arguments(trees, COLUMNS, outputs))
    found = added_up(forest, rows, len(trees), outputs, threads=3)
    expected = np.zeros_like(found)
    for place, tree in enumerate(trees):
        expected[:, place % outputs] += [tree.value(row) for row in rows.tolist()]
    assert np.array_equal(found, expected)


# one node on column 0 at 0.5, leaves 1.0 and 2.0
GOOD = {
    "features": 1,
    "outputs": 1,
    "column": [0],
    "threshold": [0.5],
    "kept": [0b10],
    "missing_left": [0],
    "missing_right": [1],
    "leaves": [0],
    "values": [1.0, 2.0],
}


def test_the_smallest_forest():
    found = added_up(_kernels.Forest(*GOOD.values()), np.array([[0.5], [0.6], [np.nan]]), 1)
    assert found[:, 0].tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 0}, "at least 1 feature"),
        ({"features": 2**40}, "at most 2"),
        ({"outputs": 0}, "at least 1 feature and 1 output"),
        ({"outputs": -(2**62)}, "at least 1 feature and 1 output"),
        ({"column": [1]}, "no such feature"),
        ({"column": [-1]}, "no such feature"),
        ({"column": []}, "differ in length"),
        ({"kept": [2, 2]}, "differ in length"),
        ({"threshold": []}, "differ in length"),
        ({"missing_right": []}, "differ in length"),
        ({"missing_left": [0, 0]}, "differ in length"),
        ({"missing_left": [-1]}, "no such nodes"),
        ({"missing_left": [1], "missing_right": [0]}, "no such nodes"),
        ({"missing_right": [2]}, "no such nodes"),
        ({"missing_left": [0, 9], "missing_right": [0, 9], "leaves": [0, 0]}, "no such nodes"),
        ({"leaves": [1]}, "no such leaves"),
        ({"leaves": [-1]}, "no such leaves"),
        ({"leaves": [2**63 - 1]}, "no such leaves"),
        ({"values": []}, "no such leaves"),
        ({"kept": [0]}, "leaves no leaf"),
        ({"kept": [0b01]}, "leaves no leaf"),
        (
            {"column": [0] * 64, "threshold": [0.0] * 64, "kept": [2**64 - 1] * 64, "values": [0.0] * 65},
            "more leaves than bits",
        ),
    ],
    ids=str,
)
def test_what_is_no_forest(change, message):
    with pytest.raises(ValueError, match=message):
        _kernels.Forest(*(GOOD | change).values())


@pytest.mark.parametrize(("trees", "rows"), [(-1, 1), (2, 1), (2**62, 1), (1, -1)])
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
    nodes=st.lists(st.tuples(st.integers(-1, 3), st.floats(), KEPT), max_size=5),
    trees=st.lists(st.tuples(PLACE, PLACE, PLACE), max_size=4),
    values=st.lists(st.floats(-1, 1), max_size=8),
)
def test_any_arrays_are_refused_or_added_up(features, outputs, nodes, trees, values):
    column, threshold, kept = ([node[part] for node in nodes] for part in range(3))
    left, right, leaves = ([tree[part] for tree in trees] for part in range(3))
    try:
        forest = _kernels.Forest(features, outputs, column, threshold, kept, left, right, leaves, values)
    except ValueError:
        return
    found = added_up(forest, np.array([[-1.0] * features, [np.nan] * features, [1.0] * features]), len(trees), outputs)
    assert (np.abs(found) <= len(trees)).all()  # sums of `values`
