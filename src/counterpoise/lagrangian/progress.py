"""The progress of a goal on counted decisions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.goals import Confusion, Goal
from counterpoise.ties import ROUNDING


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """The progress of a goal on counted decisions.

    Parameters
    ----------
    goal
        The goal.
    confusion
        Shares of all rows, at the share of positives of the training data.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> found = Progress(goal("recall where precision >= 0.5"), Confusion(tp=0.1, fp=0.05, fn=0.1, tn=0.75))
    >>> found.value, found.feasible
    (0.5, True)
    """

    goal: Goal
    confusion: Confusion

    @property
    def value(self) -> float:
        """The objective."""
        return float(self.goal.value(self.confusion))

    @property
    def shortfall(self) -> float:
        """The summed shortfall of the constraints; 0 if all are kept."""
        return float(shortfall(self.goal, self.confusion))

    @property
    def feasible(self) -> bool:
        """Whether every constraint is kept."""
        return self.shortfall == 0

    def better_than(self, other: "Progress | None") -> bool:
        """Whether this serves the goal better, by more than rounding: less shortfall first, then the objective."""
        if other is None:
            return True
        short, theirs = float(self.shortfall), float(other.shortfall)
        if short != theirs and not abs(short - theirs) <= ROUNDING:
            return short < theirs
        slack = ROUNDING * float(self.goal.magnitude(other.confusion))
        return float(self.goal.score(self.confusion)) > float(self.goal.score(other.confusion)) + slack


def shortfall(goal: Goal, confusion: Confusion) -> NDArray[np.float64]:
    """The summed shortfall of the constraints at each of the counts; infinite for a precision without alerts.

    Examples
    --------
    >>> some = Confusion(tp=np.array([0, 1]), fp=np.array([0, 3]), fn=3, tn=3)
    >>> from counterpoise.goals import goal
    >>> shortfall(goal("recall where precision >= 0.5"), some)
    array([ inf, 0.25])
    """
    short = np.sum([one.shortfall(confusion) for one in goal.constraints], axis=0)
    silent = np.asarray(confusion.alerts) == 0 if any(one.rate == "precision" for one in goal.constraints) else False
    return np.where(silent, np.inf, short)  # no alert, hence no precision: worse than any attempt
