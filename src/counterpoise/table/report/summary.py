"""The report in the terminal: the last lines of `counterpoise train`."""

import shlex
from pathlib import Path

from counterpoise.table.audit.findings import STOP
from counterpoise.table.training.notes import columns_not_used
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import listed, percent


def summary_lines(training: Outcome) -> list[tuple[str, str]]:
    """The last lines of the command, five in all."""
    counts, judged, metrics = training.counts, training.judged, training.judged.metrics
    classes = (
        f"{name} {n:,} ({percent(float(share))})"
        for name, n, share in zip(counts.classes, counts.n.tolist(), counts.prior, strict=True)
    )
    found = (
        f"{counts.total:,} rows; {training.target}: {listed(classes, 8)}; {counts.imbalance_ratio:.3g} to 1; "
        f"{len(training.schema.columns)} columns to learn from"
    )
    if training.schema.dropped:
        found += f"; not used: {columns_not_used(training.schema)}"
    if training.audit is not None and any(one.severity == STOP for one in training.audit.findings):
        found += f". Beware: {training.audit.verdict}"
    if isinstance(judged.threshold, float):
        named = f"{judged.threshold:.4g} on the probability of {training.labels.positive!s}: {judged.reason}"
        shown = ["precision", "recall", "f1", "average_precision"]
    else:
        named = judged.reason
        shown = ["macro_f1", "balanced_accuracy", "log_loss"]
    if training.goal.objective in metrics and training.goal.objective not in shown:
        shown.append(training.goal.objective)
    place = training.out or Path("DIR")
    tested = "; ".join(f"{name.replace('_', ' ')} {metrics[name]!s}" for name in shown)
    return [
        ("found", found),
        ("chosen", f"{training.verdict.winner.label}. {training.verdict.sentence}"),
        ("threshold", named),
        ("test", f"{tested} (95% intervals)"),
        (
            "report",
            f"{place / 'report.html'}; next: counterpoise predict {shlex.quote(str(place))} NEW_TABLE -o "
            "predictions.parquet",
        ),
    ]
