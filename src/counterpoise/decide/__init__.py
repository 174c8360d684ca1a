"""From scores to honest probabilities, and from those to decisions and what they measured."""

from counterpoise.decide.binomial import rows_needed
from counterpoise.decide.calibration import Calibrator, calibrate
from counterpoise.decide.calibration_error import (
    BrierScore,
    ReliabilityBin,
    brier_score,
    calibration_error,
    reliability_curve,
)
from counterpoise.decide.foreign import undo_sampling, undo_weights
from counterpoise.decide.measured import Measured, measure_binary, measure_multiclass
from counterpoise.decide.multiclass import ClassThresholds, choose_class_thresholds
from counterpoise.decide.prior import adjust_prior, estimate_prior
from counterpoise.decide.threshold import Decision, choose_threshold

__all__ = [
    "BrierScore",
    "Calibrator",
    "ClassThresholds",
    "Decision",
    "Measured",
    "ReliabilityBin",
    "adjust_prior",
    "brier_score",
    "calibrate",
    "calibration_error",
    "choose_class_thresholds",
    "choose_threshold",
    "estimate_prior",
    "measure_binary",
    "measure_multiclass",
    "reliability_curve",
    "rows_needed",
    "undo_sampling",
    "undo_weights",
]
