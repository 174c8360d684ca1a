"""The thresholds of MAPIE's BinaryClassificationController."""

import warnings
from typing import Any

import numpy as np

from benchmarks.promises.distributions import CONFIDENCE
from counterpoise.goals import Goal

METHODS = {"default": "bonferroni_holm", "split": "split_fixed_sequence"}
_RISKS = {"precision": "precision", "recall": "recall", "fpr": "fpr", "alerts": "predicted_positive_fraction"}


def controller_class() -> Any:
    """MAPIE's class, or None where it is not installed."""
    try:
        from mapie.risk_control import BinaryClassificationController
    except ImportError:
        return None
    return BinaryClassificationController


def threshold_of(controller: Any, method: str, target: Any, score: Any, goal: Goal) -> float | None:
    """MAPIE's best threshold, or None; its split sequence learns its order on the first fifth of the rows."""
    risks = [_RISKS[one.rate] for one in goal.constraints]
    levels = [one.bound for one in goal.constraints]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = controller(
            lambda one: np.stack([1 - one, one], axis=1),
            risks if len(risks) > 1 else risks[0],
            levels if len(levels) > 1 else levels[0],
            confidence_level=CONFIDENCE,
            best_predict_param_choice=_RISKS[goal.objective],
            fwer_method=method,
        )
        if method.startswith("split"):
            fifth = len(score) // 5
            try:
                made.learn_fixed_sequence_order(score[:fifth], target[:fifth])
            except ValueError:  # a fifth without positives
                return None
            target, score = target[fifth:], score[fifth:]
        made.calibrate(score, target)
    return None if made.best_predict_param is None else float(made.best_predict_param)
