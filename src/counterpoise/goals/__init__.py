"""What the user wants, in words a program can hold to; and the counts and rates that goals speak of."""

from counterpoise.goals.confusion import Confusion
from counterpoise.goals.goal import Constraint, Cost, Goal, goal

__all__ = ["Confusion", "Constraint", "Cost", "Goal", "goal"]
