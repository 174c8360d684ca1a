"""From probabilities to decisions: the threshold that serves a goal, and what it measured."""

from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import ClassThresholds, choose_class_thresholds
from counterpoise.decide.threshold import Decision, choose_threshold

__all__ = [
    "ClassThresholds",
    "Decision",
    "Measured",
    "choose_class_thresholds",
    "choose_threshold",
    "measure_binary",
    "measure_multiclass",
]
