"""Measures on the page: what each means, and how it is written with its interval."""

from counterpoise.decide.measured import Measured

_FINE = ("log_loss", "cost", "alerts", "fpr")
MEANING = {
    "precision": "of the alerts are right",
    "recall": "of the positives are found",
    "specificity": "of the negatives are passed",
    "alerts": "of all rows are flagged",
    "fpr": "of the negatives are flagged",
    "f1": "precision and recall in one number",
    "balanced_accuracy": "mean recall of the classes",
    "average_precision": "ranking: mean precision over all recalls",
    "roc_auc": "ranking: a positive above a negative",
    "log_loss": "probabilities: lower is better",
    "macro_f1": "mean F1 of the classes",
    "mcc": "correlation of truth and decision",
    "g_mean": "geometric mean of the classes' recalls",
    "cost": "per row, in your units",
    "accuracy": "of the rows are decided correctly",
}


def written(name: str, found: Measured) -> tuple[str, str]:
    """A measure and its interval, with the digits that it is read in."""
    digits = 4 if name in _FINE else 3
    value, low, high = (f"{one:.{digits}f}" for one in (found.value, found.low, found.high))
    return value, f"{low} to {high}" + (f" ({found.why})" if found.why else "")
