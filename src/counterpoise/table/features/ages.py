"""Features of the dates of a row: their ages, their distances, and their month, weekday and hour.

A date itself is not a feature, because it never comes again: next month's rows lie outside the training range. Its age
comes again. An age is counted up to the row's own time if the rows have one, else up to one day for the whole table;
the model's answer for a row then depends on that day. So such ages are features only if they predict the target better
than the rest alone; then a month, weekday or hour of the same date must add to them in turn. A month, weekday or hour
comes again only if the rows cover several years, weeks or days: within one year the month is the date itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.date_parts import (
    AGE,
    CALENDAR_PARTS,
    CYCLES,
    DAY,
    HOUR,
    KNOWN,
    SINCE,
    Floats,
    date_parts,
    instant,
    local_days,
)
from counterpoise.table.features.reference_day import Reference, far_day, reference_of
from counterpoise.wording import plural

_MOST_PAIRED = 6
_MOST_ROWS = 20_000
_STEPS = 20
_SAME_CYCLE = 0.6
_LEVEL = 0.01
_FEWEST_OF_CLASS = 10
_MOST_CLASSES = 20
_RIDGE = 0.1  # on steps and months, which few rows of a class may fill; hardly any on curves


@dataclass(frozen=True, slots=True)
class Dated:
    """What is learned from the dates of a table.

    Parameters
    ----------
    parts
        For each column, the suffixes of the features that it becomes.
    reference
        The day that ages are counted up to; None if nothing is an age.
    said
        Notes for the reader, in sentences.
    """

    parts: Mapping[str, tuple[str, ...]]
    reference: Reference | None
    said: tuple[str, ...]


def learn_dates(
    values: Mapping[str, pl.Series],
    rows: NDArray[np.int64],
    targets: pl.DataFrame,
    *,
    time: str | None = None,
    as_of: date | None = None,
    absolute: bool = False,
) -> Dated:
    """Decide what the dates of a table become.

    Parameters
    ----------
    values
        The dates and times of all rows, by column.
    rows
        The training rows.
    targets
        Columns of classes of the training rows.
    time
        The column with the row's own time, if there is one.
    as_of
        Day up to which ages are counted; None: the newest date of a column.
    absolute
        Whether the days themselves are features too.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ago = rng.integers(0, 100, 900)
    >>> seen = pl.Series([date.fromordinal(738_000 - int(days)) for days in ago])
    >>> target = pl.DataFrame({"gone": (ago > 60) & (rng.random(900) < 0.5)})
    >>> found = learn_dates({"seen": seen}, np.arange(900), target)
    >>> found.parts, found.reference.day
    ({'seen': (' age',)}, '2021-07-29')
    """
    if not values:
        return Dated({}, None, ())
    own = time if time in values else None
    step = max(1, len(rows) // _MOST_ROWS)
    trained = {name: column.gather(rows[::step]) for name, column in values.items()}
    calendar = {name: CALENDAR_PARTS if name == own else _recurring(column) for name, column in trained.items()}
    reference = Reference(own, own=True) if own is not None else reference_of(values, as_of)
    since = _since(trained, reference)
    changes = {name: _changes(column, trained[own] if own is not None else None) for name, column in trained.items()}
    parts = {
        name: (
            *((AGE,) if name != own and changes[name] else ()),
            *((DAY,) if absolute and changes[name] else ()),
            *calendar[name],
            *(SINCE + earlier for earlier in since[name]),
        )
        for name in values
    }
    if own is None:
        few, ages = targets.gather_every(step), [(name, AGE) for name, own_parts in parts.items() if AGE in own_parts]
        if as_of is None and not _tell(trained, parts, reference, few, ages):
            parts = {name: tuple(part for part in own_parts if part != AGE) for name, own_parts in parts.items()}
        parts = _without_echoes(trained, parts, reference, few)
    parts = {name: found or ((KNOWN,) if trained[name].null_count() else ()) for name, found in parts.items()}
    aged = any(AGE in own_parts for own_parts in parts.values())
    said = _said(parts, reference, own is not None or aged, as_of)
    return Dated(parts, reference if aged else None, said)


def _changes(column: pl.Series, own: pl.Series | None) -> bool:
    """Whether its age is not the same in all rows that have one."""
    age = instant(column) if own is None else instant(own) - instant(column)
    age = age[~np.isnan(age)]
    return len(age) > 0 and bool(age.min() < age.max())


def _recurring(column: pl.Series) -> tuple[str, ...]:
    """Which of month, weekday and hour come again: two rows of one month are mostly not of one year."""
    held = column.drop_nulls()
    found = []
    for part, (value, cycle) in CYCLES.items():
        if part == HOUR and column.dtype == pl.Date:
            continue
        place = value(held).to_numpy().astype(np.int64)
        times = held.dt.year().to_numpy() if cycle is None else cycle(local_days(held))
        alike = np.unique(place, return_counts=True)[1]
        same = np.unique(np.stack([place, times.astype(np.int64)]), axis=1, return_counts=True)[1]
        pairs = float((alike * (alike - 1)).sum())
        if len(alike) > 1 and (same * (same - 1)).sum() <= _SAME_CYCLE * pairs:
            found.append(part)
    return tuple(found)


def _since(trained: Mapping[str, pl.Series], reference: Reference) -> dict[str, tuple[str, ...]]:
    """Of each column the earlier ones whose distance is a feature; the ages hold the row's own time."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(trained, ())
    names = [name for name in trained if not (reference.own and name == reference.column)]
    days = {name: instant(trained[name]) for name in names}
    for place, name in enumerate(names):
        for earlier in names[:place]:
            if len(names) > _MOST_PAIRED and reference.column not in (name, earlier):
                continue
            apart = days[name] - days[earlier]
            apart = apart[~np.isnan(apart)]
            if len(apart) and apart.min() < apart.max():
                found[name] += (earlier,)
    return found


def _without_echoes(
    trained: Mapping[str, pl.Series], parts: Mapping[str, tuple[str, ...]], reference: Reference, targets: pl.DataFrame
) -> dict[str, tuple[str, ...]]:
    """Without months, weekdays and hours that add nothing to the ages.

    Contracts that end within a month are gone, and so, of contracts that end within two years, are those that end in
    April: in March. Such a month is an age that is wrong in the next table.
    """
    kept = dict(parts)
    for name, own in parts.items():
        for part in own if AGE in own else ():
            if part in CYCLES and not _tell(trained, kept, reference, targets, [(name, part)]):
                kept[name] = tuple(one for one in kept[name] if one != part)
    return kept


def _tell(
    trained: Mapping[str, pl.Series],
    parts: Mapping[str, tuple[str, ...]],
    reference: Reference,
    targets: pl.DataFrame,
    asked: Sequence[tuple[str, str]],
) -> bool:
    """Whether parts of dates add to the prediction of a target by the others.

    A score test (Rao 1948) of them in a logistic regression on the others, at 1 %; of ages and distances the ranks and
    their squares count.
    """
    day = date.fromisoformat(reference.day)
    more: list[Floats] = []
    curves, steps = [np.ones((len(targets), 1))], [np.empty((len(targets), 0))]
    for name, own in parts.items():
        for part, values in zip(own, date_parts(name, own, trained, reference, day), strict=True):
            if part == AGE:
                steps.append(np.isnan(values)[:, None].astype(np.float64))
            if part in CYCLES:
                places = (values[:, None] == np.unique(values[~np.isnan(values)])[1:]).astype(np.float64)
                (more if (name, part) in asked else steps).append(places)
            elif (name, part) in asked:
                more.append(_curve(values))
            elif part == AGE or part.startswith(SINCE):
                curves.append(_curve(values))
                steps.append(_steps(curves[-1]))
    if not more:
        return False
    known = np.hstack(curves + steps)
    firm = np.full(known.shape[1], _RIDGE)
    firm[: sum(one.shape[1] for one in curves)] = 1e-6
    of_classes = list(_one_by_one(targets))
    return any(
        _score_test(one[held].astype(np.float64), known[held], np.hstack(more)[held], firm) < _LEVEL / len(of_classes)
        for one, held in of_classes
    )


def _one_by_one(targets: pl.DataFrame) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Of each class the rows that are of it, and those where that is known."""
    for column in targets.get_columns():
        held = column.is_not_null().to_numpy()
        counted = column.drop_nulls().value_counts(sort=True).head(_MOST_CLASSES)
        several = [one for one, n in counted.iter_rows() if _FEWEST_OF_CLASS <= n <= held.sum() - _FEWEST_OF_CLASS]
        for one in several[:1] if len(counted) == 2 else several:
            yield (column == one).fill_null(False).to_numpy(), held


def _curve(values: Floats) -> Floats:
    """Ranks and their squares (N, 2), 0 where missing: a monotone curve or one with a top, whatever the scale."""
    from scipy.stats import rankdata

    rank = rankdata(values, nan_policy="omit") / max(1, int((~np.isnan(values)).sum())) - 0.5
    rank = np.nan_to_num(rank)
    return np.stack([rank, rank**2], axis=1)


def _steps(curve: Floats) -> Floats:
    """A step at each twentieth of the rows: whatever the curve is."""
    place = np.floor((curve[:, 0] + 0.5) * _STEPS)
    return np.asarray(place[:, None] == np.arange(1, _STEPS), np.float64)


def _score_test(target: Floats, known: Floats, more: Floats, firm: Floats) -> float:
    """The p-value of "`more` adds nothing to a logistic regression of the target on `known`"."""
    from scipy.special import chdtrc, expit

    weights = np.zeros(known.shape[1])
    for _ in range(50):
        chance = expit(known @ weights)
        spread = chance * (1 - chance)
        bend = (known * spread[:, None]).T @ known + np.diag(firm)
        step = np.linalg.solve(bend, known.T @ (target - chance) - firm * weights)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    across = (known * spread[:, None]).T @ more
    slope = more.T @ (target - chance)
    variance = (more * spread[:, None]).T @ more - across.T @ np.linalg.solve(bend, across)
    size, axes = np.linalg.eigh(variance)
    free = size > 1e-6 * max(float(np.trace((more * spread[:, None]).T @ more)), 1e-12)
    if not free.any():
        return 1.0
    return float(chdtrc(int(free.sum()), float(((axes.T @ slope)[free] ** 2 / size[free]).sum())))


def _said(
    parts: Mapping[str, tuple[str, ...]], reference: Reference, used: bool, as_of: date | None
) -> tuple[str, ...]:
    said = []
    if reference.own:
        others = [name for name in parts if name != reference.column]
        if others:
            said.append(f"Ages of dates are counted up to the row's own {reference.column!r}.")
    elif not used:
        said.append(
            "Dates are used by month, weekday, hour and distance from each other: their ages up to "
            f"{reference.day} (the newest date of {reference.column!r}) add nothing to the prediction of the target."
        )
    elif as_of is None:
        said.append(
            f"Ages of dates are counted up to {reference.day}, the newest date of {reference.column!r}; in "
            "another table up to the newest date there, or up to --as-of (as_of)."
        )
    else:
        apart = plural(abs(reference.ahead), "day") + (" before" if reference.ahead < 0 else " after")
        said.append(
            f"Ages of dates are counted up to {reference.day}, as asked; in another table up to --as-of (as_of), "
            f"or up to {apart} the newest date of {reference.column!r} there."
        )
        far = far_day(reference)
        said += [] if far is None else [f"Check the day: {far}."]
    if any(DAY in own for own in parts.values()):
        said.append("Dates themselves are features, as asked: those of later rows lie outside the training range.")
    return tuple(said)
