"""The rows that a training needs of each class, in each part and each fold; and their groups and weights."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.asked import Asked
from counterpoise.table.reading.table import Table, refuse_doubtful
from counterpoise.table.reading.target import Labels
from counterpoise.table.rows.split import Split
from counterpoise.weights import ClassCounts


def counts_of(labels: Labels, rows: NDArray[np.int64]) -> ClassCounts:
    """The rows of each class that some rows stand for."""
    weight = None if labels.stands_for is None else labels.stands_for[rows]
    n = np.bincount(labels.codes[rows], weight, minlength=len(labels.classes))
    return ClassCounts(np.round(n).astype(np.int64).tolist(), classes=list(labels.classes))


def enough_rows(labels: Labels, counts: ClassCounts, target: str) -> None:
    """Raise `UserError` if one of two classes is too small to learn from, to decide on and to test on."""
    for name, n in zip(labels.classes, counts.n.tolist(), strict=True):
        if n < LEAST_OF_TWO:
            raise UserError(
                f"target {target!r}: class {name!r} has {n} rows; with two classes, each needs at least "
                f"{LEAST_OF_TWO}, to learn from, to set the threshold and to test on"
            )


def both_sides(labels: Labels, split: Split, learned: ClassCounts, asked: Asked) -> None:
    """Raise `UserError` where a part lacks what it is for."""
    tested = np.bincount(labels.codes[split.test], minlength=len(labels.classes))
    if labels.positive is None:
        if int((learned.n > 0).sum()) < len(labels.classes):
            lacking = labels.classes[int(np.argmin(learned.n))]
            raise UserError(
                f"no row of class {lacking!r} is in the training part (split {split.how}); leave its rows out of "
                "the table, or choose another split"
            )
        return
    for part, n in (("training", learned.n), ("test", tested)):
        if int(n.min()) < (2 if part == "training" else 1):
            raise UserError(
                f"the {part} part has {int(n.min())} rows of class {labels.classes[int(np.argmin(n))]!r} (split "
                f"{split.how}); it needs more of them, or another split"
            )
    if labels.stands_for is not None:
        held = np.bincount(labels.codes[split.calibration], minlength=2)
        if int(held.min()) < 1:
            raise UserError(
                f"no row of class {labels.classes[int(np.argmin(held))]!r} is left to set the threshold on (split "
                f"{split.how}); it needs more rows"
            )
    if not len(split.calibration) and asked.goal is not None and asked.goal.constraints:
        raise UserError("no row is left to set the threshold on; the table needs more rows")


def several_folds(labels: Labels, codes: NDArray[np.int64], fold: NDArray[np.int64], asked: Asked) -> None:
    """Raise `UserError` where groups leave a fold without another one to learn from."""
    for place, name in enumerate(labels.classes):
        if labels.positive is not None and len(np.unique(fold[codes == place])) < 2:
            raise UserError(
                f"class {name!r} has training rows in too few groups of column {asked.group!r} to hold some of "
                "them out; train without --group, or group by another column"
            )
    if fold.max() == 0:
        raise UserError(
            f"all training rows are in one group of column {asked.group!r}; train without --group, or group by "
            "another column"
        )


def group_places(table: Table, name: str | None) -> NDArray[np.int64] | None:
    """The place of each row's group; rows without one are a group."""
    if name is None:
        return None
    column = table.frame[name]
    if column.null_count() == len(column):
        raise UserError(f"column {name!r} is empty; name another one")
    places: NDArray[np.int64] = column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy().astype(np.int64)
    return places


def row_weights(table: Table, name: str | None) -> NDArray[np.float64] | None:
    """How much each row counts, 1 on average; None where no column says so."""
    if name is None:
        return None
    refuse_doubtful(table, name)
    column = table.frame[name].cast(pl.Float64, strict=False)
    wrong = (~(column > 0) | ~column.is_finite()).fill_null(True)  # Polars takes NaN for more than any number
    if wrong.any():
        place = int(wrong.arg_max() or 0)
        raise UserError(
            f"weight column {name!r} holds {table.frame[name][place]!r} in data row {place + 1}; "
            "a weight is a number above 0"
        )
    found: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    stands_for = None if table.thinned is None else table.thinned.stands_for
    return np.asarray(found / np.average(found, weights=stands_for))


LEAST_OF_TWO = 4
"""Rows of each of two classes, below which nothing can be learned, decided and tested."""
