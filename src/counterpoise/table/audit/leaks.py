"""Columns that a model should not see: they give the class away.

A leak is a column that was recorded after the class was known. Its signs are that it alone separates the classes, that
it is missing exactly for one class, that one of its values never occurs without the class, or that its dates lie after
the time of the row. A strong column may be an honest one; `Leak.certain` marks columns where that is unlikely.
"""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.audit.facts import LateDates, Leak
from counterpoise.table.features.signal import MISSING, Cells, Signal
from counterpoise.wording import percent

LEAST_AUC = 0.99
_CERTAIN_ERRORS = 0.02
_LEAST_ROWS = 10
_PURE_ROWS = 15
_RARE_CLASS = 0.25


def find_leak(name: str, cells: Cells, found: Signal, classes: tuple[str, ...]) -> Leak | None:
    """The leak in one column, if there is one.

    Parameters
    ----------
    name
        Name of the column.
    cells, found
        Results of `cells_of` and `signal`.
    classes
        Names of the classes, in order.

    Examples
    --------
    >>> from counterpoise.table.features.signal import cells_of, signal
    >>> codes = (np.arange(100) % 5 == 0).astype(int)
    >>> column = pl.Series([None if code else 7 for code in codes])
    >>> cells = cells_of(column)
    >>> leak = find_leak("paid", cells, signal(cells, codes, np.arange(100) % 7 % 5, 2), ("no", "yes"))
    >>> leak.certain, leak.why
    (True, "it is missing in 100% of the rows of 'yes' and in 0% of the others")
    """
    rows = found.table.sum(axis=0)
    if len(classes) == 2:
        return _of_two(name, cells, found, classes, rows)
    return _of_several(name, found, classes, rows)


def _of_two(name: str, cells: Cells, found: Signal, classes: tuple[str, ...], rows: NDArray[np.int64]) -> Leak | None:
    rare = int(np.argmin(rows))
    other = 1 - rare
    auc = float(np.nan_to_num(found.auc[rare], nan=0.5))
    missing = found.table[MISSING] / np.maximum(rows, 1)
    if rows[rare] >= _LEAST_ROWS and 0.5 + abs(missing[rare] - missing[other]) / 2 > LEAST_AUC:
        why = (
            f"it is missing in {percent(missing[rare])} of the rows of {classes[rare]!r} and in "
            f"{percent(missing[other])} of the others"
        )
        return Leak(name, why, max(auc, 0.5 + float(abs(missing[rare] - missing[other])) / 2), True)
    if _surely_above(auc, rows[rare], rows[other]):
        certain = bool(rows[rare] >= _LEAST_ROWS and found.wrong[rare] <= _CERTAIN_ERRORS * rows[rare])
        return Leak(name, _tells(auc, f"{classes[rare]!r} from {classes[other]!r}", found.wrong[rare]), auc, certain)
    return _pure(name, cells, found, classes, rare, auc)


def _pure(name: str, cells: Cells, found: Signal, classes: tuple[str, ...], rare: int, auc: float) -> Leak | None:
    """A value, or a missing one, that never occurs outside the rare class."""
    rows = found.table.sum(axis=0)
    if rows[rare] > _RARE_CLASS * rows.sum():
        return None
    inside = found.table.sum(axis=1)
    pure = (inside >= _PURE_ROWS) & (found.table[:, rare] == inside)
    if cells.names is None:
        pure[MISSING + 1 :] = False
    if not pure.any():
        return None
    place = int(np.argmax(np.where(pure, inside, 0)))
    what = "it is missing" if place == MISSING or cells.names is None else f"it is {cells.names[place - 1]!r}"
    why = f"{what} in {inside[place]:,} rows, all of them {classes[rare]!r}"
    return Leak(name, why, auc, False)


def _of_several(name: str, found: Signal, classes: tuple[str, ...], rows: NDArray[np.int64]) -> Leak | None:
    judged = (rows >= _LEAST_ROWS) & ~np.isnan(found.auc)
    if not judged.any():
        return None
    worst = float(found.auc[judged].min())
    errors = int(found.wrong.sum() // 2)
    if errors <= _CERTAIN_ERRORS * (rows.sum() - rows.max()) or worst > LEAST_AUC:
        certain = bool(errors <= _CERTAIN_ERRORS * (rows.sum() - rows.max()))
        return Leak(name, _tells(worst, f"each of {int(judged.sum())} classes from the rest", errors), worst, certain)
    told = judged & (found.wrong <= _CERTAIN_ERRORS * rows)
    for one in np.flatnonzero(told).tolist():
        auc = float(found.auc[one])
        if _surely_above(auc, rows[one], rows.sum() - rows[one]):
            return Leak(
                name, _tells(auc, f"{classes[one]!r} from all others", found.wrong[one]), auc, False, classes[one]
            )
    return None


def _surely_above(auc: float, rows: int, others: int) -> bool:
    """Whether an AUC is above the bound by two standard errors (Hanley and McNeil 1982)."""
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (rows - 1) * (first - auc * auc) + (others - 1) * (second - auc * auc)
    return auc - 2 * float(np.sqrt(max(spread, 0.0) / (rows * others))) > LEAST_AUC


def _tells(auc: float, whom: str, wrong: int) -> str:
    return f"it alone separates {whom} (AUC {auc:.4f}, {wrong:,} rows wrong)"


def late_dates(frame: pl.DataFrame, names: list[str], day: date | None) -> tuple[LateDates, ...]:
    """The columns with dates after a day, if one is given: a later date was not known then, or is planned.

    Examples
    --------
    >>> frame = pl.DataFrame({"closed": [date(2024, 1, 1), date(2024, 2, 1)]})
    >>> [(one.column, one.rows) for one in late_dates(frame, ["closed"], date(2024, 1, 31))]
    [('closed', 1)]
    """
    found = []
    for name in names if day is not None else ():
        if frame[name].dtype in (pl.Date, pl.Datetime) and (rows := int((frame[name].dt.date() > day).sum())):
            found.append(LateDates(name, rows, f"{rows:,} of its dates lie after {day}"))
    return tuple(found)


def find_late_times(frame: pl.DataFrame, names: list[str], time: str) -> list[Leak]:
    """Date columns that mostly lie after the time of their row, and so were not known then.

    Examples
    --------
    >>> from datetime import date
    >>> frame = pl.DataFrame({"asked": [date(2024, 1, 1)] * 3, "closed": [date(2024, 1, 9)] * 3})
    >>> find_late_times(frame, ["closed"], "asked")[0].why
    "it lies after 'asked' in 100% of the rows that have it"
    """
    dated = (pl.Date, pl.Datetime)
    if frame[time].dtype not in dated:
        return []
    found = []
    for name in names:
        if name == time or frame[name].dtype not in dated:
            continue
        later, than = (pl.col(one).cast(pl.Datetime("us")).dt.replace_time_zone(None) for one in (name, time))
        late = frame.select(late=later > than)["late"].drop_nulls()
        if len(late) and (share := int(late.sum()) / len(late)) > 0.5:
            found.append(Leak(name, f"it lies after {time!r} in {percent(share)} of the rows that have it", 0.5, False))
    return found
