"""The results in words: each sentence claims no more than its rows allow."""

import numpy as np

from counterpoise.decide.measured import Measured
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import percent

_FEW = 30
"""With fewer rows than this a sentence says how many there are; a percentage would promise too much."""


def headline(training: Outcome) -> str:
    """The result in one sentence, on the test rows."""
    metrics = training.judged.metrics
    if training.binary:
        (_, wrong), (missed, right) = training.judged.confusion.tolist()
        found = (
            f"Finds {_part(right, right + missed)} rows where {training.target} is "
            f"{training.labels.positive!s}; {_alerts(right, right + wrong)}."
        )
        return (
            found if training.judged.met else f"The goal cannot be met here. The closest: {found[0].lower()}{found[1:]}"
        )
    return (
        f"Finds {percent(metrics['balanced_accuracy'].value)} of the rows of a class on average; "
        f"macro F1 {metrics['macro_f1'].value:.3f}."
    )


def expectations(training: Outcome) -> tuple[str, ...]:
    """What the model will do on rows like the test rows."""
    judged = training.judged
    if not training.binary:
        return _weakest(training)
    positive = f"where {training.target} is {training.labels.positive!s}"
    precision, recall, alerts = (judged.metrics[name] for name in ("precision", "recall", "alerts"))
    if judged.metrics["alerts"].value == 0:
        return ("On the test rows it flagged nothing.",)
    (_, wrong), (missed, right) = judged.confusion.tolist()
    return (
        f"Of 1,000 rows, it flags about {1000 * alerts.value:.0f} "
        f"(likely between {1000 * alerts.low:.0f} and {1000 * alerts.high:.0f}).",
        _of_100("alerts", "are right", right, right + wrong, precision),
        _of_100(f"rows {positive}", "are found", right, right + missed, recall),
    )


def promise(training: Outcome) -> str:
    """Whether the goal's bounds hold on new rows, and why or why not."""
    decision = training.judged.decision
    if not training.goal.constraints or decision is None:
        return "The goal sets no bound, so none is promised."
    return f"{'Promised' if decision.promised else 'Not promised on new rows'}: {training.judged.reason}."


def not_promised(training: Outcome) -> tuple[str, ...]:
    """What a reader might take for granted, and should not."""
    split = " If the rows have a time or belong to groups, a random split gives figures that are too good."
    said = [
        "That these figures hold on rows of another kind: the test rows come from the same table."
        + ("" if training.asked.time or training.asked.group else split),
        "Anything more precise than the intervals, which are 95% intervals for one measure at a time, from "
        f"{len(training.split.test):,} test rows.",
    ]
    decision = training.judged.decision
    if training.goal.constraints and decision is not None and not decision.promised:
        said.insert(
            0,
            "That a bound of the goal holds on new rows: the threshold was set on the calibration rows, and "
            "the table above shows its rates on the test rows.",
        )
    return tuple(said)


def _part(part: int, whole: int) -> str:
    """A share in words: as a percentage only where enough rows stand behind it.

    Examples
    --------
    >>> _part(4, 5), _part(40, 50)
    ('4 of 5', '80% of the')
    """
    return f"{part} of {whole}" if whole < _FEW else f"{percent(part / whole)} of the"


def _alerts(right: int, alerts: int) -> str:
    """What became of the alerts, in words.

    Examples
    --------
    >>> _alerts(4, 5), _alerts(40, 50), _alerts(0, 0)
    ('4 of its 5 alerts are right', '80% of its alerts are right', 'it raises no alert')
    """
    if alerts == 0:
        return "it raises no alert"
    if alerts == 1:
        return f"its only alert is {'right' if right else 'wrong'}"
    return (
        f"{right} of its {alerts} alerts are right"
        if alerts < _FEW
        else (f"{percent(right / alerts)} of its alerts are right")
    )


def _of_100(rows: str, done: str, part: int, whole: int, found: Measured) -> str:
    """What a share means for 100 rows; if few test rows support it, their number.

    Examples
    --------
    >>> _of_100("alerts", "are right", 4, 4, Measured(1.0, 0.398, 1.0))
    'Of 100 alerts, likely between 40 and 100 are right: 4 of the 4 in the test rows are.'
    >>> _of_100("alerts", "are right", 40, 50, Measured(0.8, 0.663, 0.9))
    'Of 100 alerts, about 80 are right (likely between 66 and 90).'
    """
    ends = f"likely between {100 * found.low:.0f} and {100 * found.high:.0f}"
    if whole < _FEW:
        return f"Of 100 {rows}, {ends} {done}: {part} of the {whole} in the test rows {'is' if part == 1 else 'are'}."
    return f"Of 100 {rows}, about {100 * found.value:.0f} {done} ({ends})."


def _weakest(training: Outcome) -> tuple[str, ...]:
    """The classes that are found worst, which an average hides."""
    matrix, classes = training.judged.confusion, training.labels.classes
    true = matrix.sum(axis=1)
    tested = np.flatnonzero(true > np.diagonal(matrix))
    if len(tested) == 0:
        return ("All test rows of every class were found.",)
    order = tested[np.argsort((np.diagonal(matrix) / np.maximum(true, 1))[tested], kind="stable")][:3]
    worst = ", ".join(f"{classes[k]!s} ({matrix[k, k]} of {true[k]} test rows)" for k in order)
    return (f"Lowest recall: {worst}.",)
