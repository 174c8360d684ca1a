"""The sections on the classes: how each is found, and what is taken for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured
from counterpoise.decide.multiclass import confusion_matrix
from counterpoise.table.report import pictures
from counterpoise.table.report.blocks import Bar, Bars, Columns, Figures, Folded, Grid, Paragraph, Section
from counterpoise.table.report.pictures import titled
from counterpoise.table.rows.enough import counts_of
from counterpoise.table.training.outcome import Outcome
from counterpoise.wording import interval, percent, plural

_MOST_ROWS = 40
_MOST_MISTAKES = 10


def classes_section(training: Outcome) -> Section:
    """Rows of each class; of more than two, also how well each is found."""
    labels, counts, judged = training.labels, training.counts, training.judged
    names = [str(name) for name in labels.classes]
    parts = [
        counts_of(labels, rows).n for rows in (training.split.train, training.split.calibration, training.split.test)
    ]
    rows = tuple(
        (
            f"{name} (positive)" if training.binary and k == 1 else name,
            f"{int(counts.n[k]):,}",
            percent(float(counts.prior[k])),
            *(f"{int(part[k]):,}" for part in parts),
        )
        for k, name in enumerate(names)
    )
    grid = Grid("Rows of each class", ("class", "rows", "share", "train", "calibration", "test"), rows)
    said = Paragraph(f"{counts.imbalance_ratio:.3g} rows of the most frequent class per row of the rarest.")
    if training.binary:
        return Section("The classes", "classes", (said, grid))
    return Section(
        "Each class",
        "classes",
        (
            said,
            *_class_bars(names, parts[2], judged.recall, judged.target, judged.probability),
            Folded("Rows and precision of each class", (grid, _class_precision(names, judged.precision))),
            Folded("Predicted probability of the true class", _class_scores(training, names)),
        ),
    )


def _class_bars(
    names: list[str],
    rows: NDArray[np.int64],
    recall: Sequence[Measured],
    target: NDArray[np.int64],
    probability: NDArray[np.float64],
) -> list[Any]:
    plain = confusion_matrix(target, probability.argmax(axis=1), len(names))
    bars = [
        Bar(names[k], None, 0, 0, "no test row")
        if rows[k] == 0
        else Bar(
            names[k],
            recall[k].value,
            recall[k].low,
            recall[k].high,
            interval(recall[k]),
            plural(int(plain[k].sum()), "test row"),
            mark=float(plain[k, k] / rows[k]),
        )
        for k in np.argsort(-rows, kind="stable").tolist()
    ]
    caption = "Recall of each class with its 95% interval. Vertical line: if the most probable class were chosen."
    shown: list[Any] = [Bars(caption, ("class", "recall"), tuple(bars[:_MOST_ROWS]))]
    if len(bars) > _MOST_ROWS:
        rest = Bars(caption, ("class", "recall"), tuple(bars[_MOST_ROWS:]))
        shown.append(Folded(f"The {len(bars) - _MOST_ROWS} rarest classes", (rest,)))
    return shown


def _class_precision(names: list[str], precision: Sequence[Measured]) -> Grid:
    rows = tuple((name, interval(one)) for name, one in zip(names, precision, strict=True))
    return Grid(
        "Precision: of the rows assigned to each class, the share that belong to it", ("class", "precision"), rows
    )


def _class_scores(training: Outcome, names: list[str]) -> tuple[Bars]:
    target, probability = training.judged.target, training.judged.probability
    bars = []
    for k, name in enumerate(names):
        said = probability[target == k, k]
        if len(said):
            low, middle, high = np.quantile(said, [0.25, 0.5, 0.75])
            text = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            bars.append(Bar(name, float(middle), float(low), float(high), text))
    return (Bars("Median and quartiles over the test rows of the class", ("class", "its probability"), tuple(bars)),)


def mistakes_section(training: Outcome) -> Section | None:
    """Which class is taken for which; nothing where there are two."""
    if training.binary:
        return None
    matrix = training.judged.confusion
    names = [str(name) for name in training.labels.classes]
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    pairs = [divmod(int(one), len(names)) for one in order if wrong.flat[one] > 0]
    rows = tuple(
        (names[true], names[said], f"{wrong[true, said]:,}", percent(float(wrong[true, said] / matrix[true].sum())))
        for true, said in pairs
    )
    picture = titled(
        "Where each class's rows went",
        pictures.confusions(names, matrix),
        "Each row is a true class; a darker cell holds more of its test rows."
        + (" The most frequent classes only." if len(names) > pictures.MOST_CLASSES else ""),
        f"Confusion matrix of {len(names)} classes; {percent(float(np.trace(matrix) / matrix.sum()))} "
        "of the test rows lie on its diagonal. The table of the most frequent mistakes gives more detail.",
    )
    table = Grid(
        "The most frequent mistakes", ("true class", "decided", "test rows", "share of the class"), rows, left=(1,)
    )
    return Section("Which classes are confused", "mistakes", (Columns((Figures((picture,)), table)),))
