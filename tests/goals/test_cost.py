"""Costs of the four outcomes, alike for all rows or from columns."""

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Cost


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 0)), min_size=1, max_size=20))
def test_each_row_has_its_own_costs(rows):
    amount, gain = np.array(rows).T
    costs = Cost(fn="amount", fp=10, tp="gain").per_row({"amount": amount, "gain": gain})
    assert [tuple(map(float, row)) for row in zip(*costs, strict=True)] == [(a, 10.0, g, 0.0) for a, g in rows]
    assert all(cost.dtype == np.float64 for cost in costs)


def test_constant_costs_are_those_of_the_confusion():
    at = Confusion(tp=3, fp=1, fn=1, tn=2)
    cost = Cost(fn=500, fp=10, tp=-3, tn=0.5)
    each = cost.per_row({})
    total = each.tp * 3 + each.fp + each.fn + each.tn * 2
    assert at.cost(**cost.numbers()) == pytest.approx(total / 7)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_data_frames(library):
    frame = import_module(library).DataFrame({"loan amount": [900, 5]})
    columns = {name: frame[name] for name in frame.columns}
    assert Cost(fn="loan amount", fp=1).per_row(columns).fn.tolist() == [900, 5]


def test_an_amount_of_nothing_is_no_mistake():
    assert Cost(fn="amount", fp=1).per_row({"amount": [0, 1]}).fn.tolist() == [0, 1]


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"amonut": [1, 2], "gain": [0, 0]}, "unknown column 'amount'; did you mean 'amonut'? known: amonut, gain"),
        ({"amount": [1, np.nan], "gain": [0, 0]}, "column 'amount' has nan in row 1; a cost must be a finite number"),
        ({"amount": [1, -np.inf], "gain": [0, 0]}, "column 'amount' has -inf in row 1"),
        ({"amount": [1, None], "gain": [0, 0]}, "column 'amount' has None in row 1"),
        ({"amount": ["7", "7,50"], "gain": [0, 0]}, "column 'amount' has '7,50' in row 1"),
        ({"amount": np.array(["2026-01-01"], "M8[D]"), "gain": [0]}, "column 'amount' holds datetime64[D]"),
        ({"amount": [[1], [2]], "gain": [0, 0]}, "column 'amount' has shape (2, 1)"),
        ({"amount": 7, "gain": [0, 0]}, "column 'amount' has shape ()"),
        ({"amount": [1, 2, 3], "gain": [0, 0]}, "different lengths: {'amount': 3, 'gain': 2}"),
        ({"amount": [1, 2], "gain": [0, 3]}, "row 1: fn=2 is below tp=3"),
    ],
)
def test_bad_columns(columns, message):
    with pytest.raises(UserError) as error:
        Cost(fn="amount", fp=1, tp="gain").per_row(columns)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Cost(fn=float("inf"), fp=1), "the cost fn is inf; it must be a finite number"),
        (lambda: Cost(fn=None, fp=1), "the cost fn is None"),
        (lambda: Cost(fn=1, fp=1, tn=1), "a wrong decision must cost more than the right one (fp= and tn=)"),
        (lambda: Cost(fn=1, fp=1, tp=2), "(fn= and tp=)"),
        (lambda: Cost(fn="amount", fp=1, tp="amount"), "(fn= and tp=)"),
        (lambda: Cost(fn="amount", fp=1).numbers(), "'cost fn=amount fp=1' is a different cost in each row"),
    ],
)
def test_what_is_made_by_hand_is_checked(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)
