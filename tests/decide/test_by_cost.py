"""No other decision is cheaper on average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise import goals
from counterpoise.decide import choose_threshold, decide_by_cost
from counterpoise.errors import UserError
from counterpoise.goals import Cost, CostMatrix, RowCosts

COST = st.integers(-20, 20)


@given(
    probability=st.lists(st.floats(0, 1), max_size=20),
    fn=st.integers(1, 1000),
    fp=st.integers(1, 1000),
    tp=COST,
    tn=COST,
)
def test_two_classes(probability, fn, fp, tp, tn):
    p = np.array(probability)
    flagged = decide_by_cost(p, Cost(fn=tp + fn, fp=tn + fp, tp=tp, tn=tn))
    gain = (p * (tp + fn) + (1 - p) * tn) - (p * tp + (1 - p) * (tn + fp))  # of flagging over passing
    sure = np.abs(gain) > 1e-9
    assert np.array_equal(flagged[sure], gain[sure] > 0)


@given(rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_each_row_at_its_own_price(rows):
    p, amount, check = (np.array(column, float) for column in zip(*rows, strict=True))
    costs = Cost(fn="amount", fp="check").per_row({"amount": amount, "check": check})
    flagged = decide_by_cost(p, costs)
    for row in range(len(p)):
        if amount[row] and check[row]:
            assert flagged[row] == decide_by_cost(p[row : row + 1], Cost(fn=amount[row], fp=check[row]))[0]
        else:
            assert flagged[row] == (check[row] == 0 and amount[row] * p[row] > 0)


def test_a_column_that_is_no_column():
    costs = Cost(fn=500, fp=10)
    p = np.linspace(0, 1, 101)
    assert np.array_equal(decide_by_cost(p, costs), decide_by_cost(p, costs.per_row({})))
    assert np.array_equal(decide_by_cost(p, costs), p > 10 / 510)


def test_on_honest_probabilities_no_threshold_is_cheaper():
    rng = np.random.default_rng(0)
    p = rng.beta(0.2, 4, 50_000)
    target = rng.random(50_000) < p
    goal = goals.goal("cost fn=50 fp=10 tp=5")
    flagged = decide_by_cost(p, goal.costs)
    spent = np.where(flagged, np.where(target, 5, 10), np.where(target, 50, 0)).mean()
    assert spent == pytest.approx(choose_threshold(target, p, goal).value, rel=0.005)


@given(
    costs=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    rows=st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=3), min_size=1, max_size=10),
)
def test_many_classes(costs, rows):
    a, b, c, d, e, f = costs
    matrix = CostMatrix(("x", "y", "z"), [[0, a, b], [c, 0, d], [e, f, 0]])
    p = np.array(rows, float)
    p /= p.sum(axis=1, keepdims=True)
    chosen = decide_by_cost(p, matrix)
    expected = [[sum(p[n, y] * matrix.values[y][k] for y in range(3)) for k in range(3)] for n in range(len(p))]
    for n, k in enumerate(chosen):
        assert expected[n][k] <= min(expected[n]) + 1e-12


def test_a_matrix_of_two_classes_is_the_two_costs():
    p = np.linspace(0.003, 0.997, 200)
    matrix = CostMatrix(("no", "yes"), [[1, 10], [500, 2]])
    by_matrix = decide_by_cost(np.stack([1 - p, p], axis=1), matrix)
    assert np.array_equal(by_matrix == 1, decide_by_cost(p, Cost(fn=500, fp=10, tp=2, tn=1)))


def test_equals_go_to_the_first_class_and_pass():
    assert decide_by_cost([[0.5, 0.5]], CostMatrix(("a", "b"), [[0, 1], [1, 0]])).tolist() == [0]
    assert decide_by_cost([0.5], Cost(fn=1, fp=1)).tolist() == [False]


MATRIX = CostMatrix(("a", "b"), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    "probability, costs, message",
    [
        ([0.1, np.nan], Cost(fn=2, fp=1), "probability nan in row 1 lies outside 0 to 1"),
        ([[0.1, 0.9]], Cost(fn=2, fp=1), r"shape \(1, 2\); costs of two classes need \(N,\), a cost matrix \(N, C\)"),
        ([0.1], Cost(fn="amount", fp=1), "per_row gives them"),
        ([0.1], Cost(fn="amount", fp=1).per_row({"amount": [1, 2]}), r"fn has shape \(2,\) but probability has 1 rows"),
        ([0.1], RowCosts(*np.array([[np.inf], [1], [0], [0]])), "the cost fn is not finite in row 0"),
        ([0.1, 0.9], MATRIX, "a column per class of the matrix"),
        ([[0.1, 0.9, 0.0]], MATRIX, "cost matrix has 2 classes"),
        ([[0.1, 0.9], [0.9, 0.9]], MATRIX, "probability sums to 1.8 in row 1"),
        ([[0.1, -0.9]], MATRIX, "probability -0.9 in row 0, class 1"),
        (["a"], MATRIX, "must be numbers"),
    ],
)
def test_bad_input(probability, costs, message):
    with pytest.raises(UserError, match=message):
        decide_by_cost(probability, costs)
