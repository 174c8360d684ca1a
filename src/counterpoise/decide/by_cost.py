"""The cheapest decision for each row, from honest probabilities and the costs of each decision."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise import goals
from counterpoise.decide.multiclass import check_class_probability
from counterpoise.decide.rows import check_probability, real_numbers
from counterpoise.errors import UserError
from counterpoise.goals import Cost, CostMatrix, Goal, RowCosts
from counterpoise.ties import HAIR, first_largest

_SUM = 0.01


def decide_by_cost(
    probability: ArrayLike, costs: Cost | RowCosts | CostMatrix | Goal | str
) -> NDArray[np.bool_] | NDArray[np.int64]:
    """The decision that is cheapest on average, row by row.

    The probabilities must be honest ones (`recipe.posterior`, or calibrated). If costs are the same for all rows,
    `choose_threshold` with a goal "cost fn=500 fp=10" needs only their order.

    Parameters
    ----------
    probability
        Probability of the positive class, (N,); with a cost matrix, of each class in the order of the matrix, (N, C).
        Values in [0, 1]; the rows of (N, C) sum to 1.
    costs
        One cost per outcome for all rows (`Cost`), each row's own costs (from `Cost.per_row`), or a `CostMatrix`.

    Returns
    -------
    NDArray
        Whether each row is flagged, (N,), bool: it is if flagging costs less than passing. With a matrix, the index of
        each row's cheapest class, (N,), int64, the first one among equals. Costs that differ only by rounding are
        equal.

    Raises
    ------
    UserError
        If a probability is NaN or outside [0, 1], a row of (N, C) does not sum to 1, the costs are those of other rows
        or classes, or a cost is the name of a column.

    References
    ----------
    Elkan, The foundations of cost-sensitive learning, IJCAI 2001, equations 1 and 2.

    Examples
    --------
    >>> decide_by_cost([0.01, 0.03], Cost(fn=500, fp=10))
    array([False,  True])
    >>> decide_by_cost([0.01, 0.03], Cost(fn="amount", fp=10).per_row({"amount": [9000, 20]}))
    array([ True, False])
    >>> decide_by_cost([[0.8, 0.2], [0.9, 0.1]], CostMatrix(("good", "bad"), [[0, 1], [5, 0]]))
    array([1, 0])
    """
    scores = real_numbers("probability", probability)
    if isinstance(costs, Goal | str):
        costs = _costs_of(costs)
    if isinstance(costs, CostMatrix):
        return _cheapest_class(scores, costs)
    if scores.ndim != 1:
        raise UserError(f"probability has shape {scores.shape}; costs of two classes need (N,), a cost matrix (N, C)")
    check_probability(scores)
    if not isinstance(costs, Cost | RowCosts):
        raise UserError(
            f"costs is {costs!r}; pass a goal such as 'cost fn=500 fp=10', a Cost, its per_row, or a CostMatrix"
        )
    if isinstance(costs, Cost):
        costs = RowCosts(*map(np.asarray, costs.numbers().values()))
    for name, cost in costs._asdict().items():
        if np.shape(cost) not in ((), scores.shape):
            raise UserError(f"the cost {name} has shape {np.shape(cost)} but probability has {len(scores)} rows")
        if not np.all(np.isfinite(cost)):
            raise UserError(f"the cost {name} is not finite in row {np.argmin(np.isfinite(cost))}")
    # Products, since a quotient has no value in a row where nothing is at stake.
    return np.asarray(scores * (costs.fn - costs.tp) * (1 - HAIR) > (1 - scores) * (costs.fp - costs.tn))


def _cheapest_class(scores: NDArray[np.float64], costs: CostMatrix) -> NDArray[np.int64]:
    if scores.ndim != 2 or scores.shape[1] != len(costs.classes):
        raise UserError(
            f"probability has shape {scores.shape} but the cost matrix has {len(costs.classes)} classes; "
            "pass (N, C), a column per class of the matrix"
        )
    check_class_probability(scores)
    total = scores.sum(axis=1)
    odd = np.flatnonzero(np.abs(total - 1) > _SUM)
    if len(odd):
        raise UserError(
            f"probability sums to {total[odd[0]]:.4g} in row {odd[0]}; the probabilities of exclusive classes sum to 1"
        )
    values = np.asarray(costs.values)
    slack = HAIR * (scores @ np.abs(values)).max(axis=1, keepdims=True)
    return np.asarray(first_largest(-(scores @ values), slack), np.int64)


def _costs_of(goal: Goal | str) -> Cost | CostMatrix:
    wanted = goals.goal(goal)
    if wanted.costs is None:
        raise UserError(f"goal {str(wanted)!r} has no costs; decide_by_cost takes one such as 'cost fn=500 fp=10'")
    return wanted.costs
