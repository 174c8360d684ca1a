"""What the field also calls the rates and goals, so that another word for one is answered with ours."""

from collections.abc import Sequence

from counterpoise.errors import UserError, nearest_name

_SAME = {
    "recall": ("sensitivity", "tpr", "hit_rate", "true_positive_rate"),
    "specificity": ("tnr", "selectivity", "true_negative_rate"),
    "fpr": ("fall_out", "false_alarm_rate", "false_positive_rate"),
    "precision": ("ppv", "positive_predictive_value"),
    "alerts": ("alert_rate", "predicted_positive_rate"),
    "average_precision": ("auprc", "pr_auc", "auc_pr", "aucpr"),
    "roc_auc": ("auc", "auroc", "auc_roc", "rocauc"),
    "f1": ("f1_score", "f_score", "f_measure"),
    "g_mean": ("gmean", "geometric_mean"),
    "mcc": ("matthews", "matthews_corrcoef"),
}
_ONE_MINUS = {
    "recall": ("fnr", "miss_rate", "false_negative_rate"),
    "precision": ("fdr", "false_discovery_rate"),
}


def unknown_measure(kind: str, name: object, known: Sequence[str]) -> UserError:
    """The error for a name that no rate or goal has: what it is called here, or which one is meant instead.

    Parameters
    ----------
    kind
        "rate" or "goal".
    name
        The unknown name.
    known
        The names of that kind.

    Examples
    --------
    >>> unknown_measure("rate", "sensitivity", ("precision", "recall"))
    UserError("unknown rate 'sensitivity'; it is called 'recall' here; known: precision, recall")
    """
    written = str(name).lower().replace("-", "_")
    ours = next((one for one, others in _SAME.items() if written in (one, *others)), written)
    opposite = next((one for one, others in _ONE_MINUS.items() if written in others), None)
    if written == "accuracy":
        hint = (
            "accuracy is high where a rare class is never found: ask for 'balanced_accuracy', 'mcc' or a cost, and "
            "bound precision, recall or fpr"
        )
    elif opposite is not None:
        hint = f"it is 1 - {opposite}: write {opposite!r}, and '{opposite} >= 0.9' for '{written} <= 0.1'"
    elif ours in known:
        hint = f"it is called {ours!r} here"
    elif ours in _SAME:
        hint = f"{ours!r} can be a goal, but is not a rate that can be bounded"
    else:
        return nearest_name(kind, name, known)
    return UserError(f"unknown {kind} {name!r}; {hint}; known: {', '.join(known)}")
