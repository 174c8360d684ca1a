"""From scores to honest probabilities, from those to decisions, and what can be promised of them."""

from counterpoise.decide.against_rest import AgainstRest, for_class
from counterpoise.decide.binomial import rows_needed
from counterpoise.decide.budget import top_k, within_budget
from counterpoise.decide.by_cost import decide_by_cost
from counterpoise.decide.calibration import Calibrator, calibrate
from counterpoise.decide.calibration_error import (
    BrierScore,
    ReliabilityBin,
    brier_score,
    calibration_error,
    reliability_curve,
)
from counterpoise.decide.conformal import ClassSets, calibrate_sets
from counterpoise.decide.foreign import undo_sampling, undo_weights
from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import ClassThresholds, choose_class_thresholds
from counterpoise.decide.prior import adjust_prior, estimate_prior
from counterpoise.decide.review import ReviewBand, choose_review_band
from counterpoise.decide.threshold import Decision, choose_threshold

__all__ = [
    "AgainstRest",
    "BrierScore",
    "Calibrator",
    "ClassSets",
    "ClassThresholds",
    "Decision",
    "Measured",
    "ReliabilityBin",
    "ReviewBand",
    "adjust_prior",
    "brier_score",
    "calibrate",
    "calibrate_sets",
    "calibration_error",
    "choose_class_thresholds",
    "choose_review_band",
    "choose_threshold",
    "decide_by_cost",
    "estimate_prior",
    "for_class",
    "measure_binary",
    "measure_multiclass",
    "reliability_curve",
    "rows_needed",
    "top_k",
    "undo_sampling",
    "undo_weights",
    "within_budget",
]
