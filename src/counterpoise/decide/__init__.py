"""From probabilities to decisions: the goal, the threshold that serves it, and what it measured."""

from counterpoise.decide.binomial import rows_needed
from counterpoise.decide.confusion import Confusion
from counterpoise.decide.goal import Constraint, Cost, Goal
from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import ClassThresholds, choose_class_thresholds
from counterpoise.decide.threshold import Decision, choose_threshold

__all__ = [
    "ClassThresholds",
    "Confusion",
    "Constraint",
    "Cost",
    "Decision",
    "Goal",
    "Measured",
    "choose_class_thresholds",
    "choose_threshold",
    "measure_binary",
    "measure_multiclass",
    "rows_needed",
]
