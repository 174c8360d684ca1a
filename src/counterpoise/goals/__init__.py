"""What the user wants, in words a program can hold to; and the counts and rates that goals speak of."""

from counterpoise.goals.confusion import Confusion
from counterpoise.goals.constraint import RATES, Constraint
from counterpoise.goals.cost import Cost, RowCosts
from counterpoise.goals.cost_matrix import CostMatrix
from counterpoise.goals.goal import MULTICLASS, OBJECTIVES, RANKINGS, Goal
from counterpoise.goals.parse import goal

__all__ = [
    "MULTICLASS",
    "OBJECTIVES",
    "RANKINGS",
    "RATES",
    "Confusion",
    "Constraint",
    "Cost",
    "CostMatrix",
    "Goal",
    "RowCosts",
    "goal",
]
