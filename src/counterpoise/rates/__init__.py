"""Losses over a set: 1 - soft recall, F-beta, Jaccard and their kin, AUC, average precision; for every framework.

Each is a function of logits and target, whose probabilities are counted as parts of rows. `names` lists them.
"""

from counterpoise.rates.counted import (
    balanced_accuracy,
    dice,
    f_beta,
    focal_tversky,
    g_mean,
    jaccard,
    mcc,
    precision,
    recall,
    tversky,
)
from counterpoise.rates.counts import Counts, soft_counts
from counterpoise.rates.memory import Memory, remembered
from counterpoise.rates.ranked import average_precision, partial_auc, roc_auc
from counterpoise.rates.row import ROWS, of_counts

names = tuple(ROWS)
"""The names of all rates."""

__all__ = [
    "Counts",
    "Memory",
    "average_precision",
    "balanced_accuracy",
    "dice",
    "f_beta",
    "focal_tversky",
    "g_mean",
    "jaccard",
    "mcc",
    "names",
    "of_counts",
    "partial_auc",
    "precision",
    "recall",
    "remembered",
    "roc_auc",
    "soft_counts",
    "tversky",
]
