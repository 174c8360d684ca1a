"""From probabilities to decisions: what serves a goal, what it measured, and what can be promised of it."""

from counterpoise.decide.against_rest import AgainstRest, for_class
from counterpoise.decide.binomial import rows_needed
from counterpoise.decide.budget import top_k, within_budget
from counterpoise.decide.by_cost import decide_by_cost
from counterpoise.decide.conformal import ClassSets, calibrate_sets
from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import ClassThresholds, choose_class_thresholds
from counterpoise.decide.review import ReviewBand, choose_review_band
from counterpoise.decide.threshold import Decision, choose_threshold

__all__ = [
    "AgainstRest",
    "ClassSets",
    "ClassThresholds",
    "Decision",
    "Measured",
    "ReviewBand",
    "calibrate_sets",
    "choose_class_thresholds",
    "choose_review_band",
    "choose_threshold",
    "decide_by_cost",
    "for_class",
    "measure_binary",
    "measure_multiclass",
    "rows_needed",
    "top_k",
    "within_budget",
]
