"""Features of the dates of a row: their ages, their distances, and their month, weekday and hour.

A date itself is not a feature, because it never comes again: next month's rows lie outside the training range. Its age
comes again. An age is counted up to the row's own time if the rows have one, else up to one day for the whole table;
the model's answer for a row then depends on that day. So such ages are features only if they predict the target better
than the rest alone; then a month, weekday or hour of the same date must add to them in turn. A month, weekday or hour
comes again only if the rows cover several years, weeks or days: within one year the month is the date itself.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
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
_MOST_FITTED = 8_000
_MOST_STEPS = 100
_SHRINKS = 0.3
_CLOSE = 1e-8
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
        every = {name: column.gather(rows) for name, column in values.items()}
        ages = [(name, AGE) for name, own_parts in parts.items() if AGE in own_parts]
        if as_of is None and not _telling(every, parts, reference, targets, [ages]):
            parts = {name: tuple(part for part in own_parts if part != AGE) for name, own_parts in parts.items()}
        parts = _without_echoes(every, parts, reference, targets)
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
    asked = [[(name, part)] for name, own in parts.items() if AGE in own for part in own if part in CYCLES]
    told = _telling(trained, parts, reference, targets, asked)
    echoes = {part for place, (part,) in enumerate(asked) if place not in told}
    return {name: tuple(part for part in own if (name, part) not in echoes) for name, own in parts.items()}


def _telling(
    trained: Mapping[str, pl.Series],
    parts: Mapping[str, tuple[str, ...]],
    reference: Reference,
    targets: pl.DataFrame,
    asked: Sequence[Sequence[tuple[str, str]]],
) -> set[int]:
    """Which groups of parts of dates add to the prediction of a target by the parts that are in no group.

    A score test (Rao 1948) of each in a logistic regression on the latter, at 1 %; of ages and distances the ranks and
    their squares count. All groups share the regression, which takes most of the time.
    """
    told: set[int] = set()
    of_classes = list(_one_by_one(targets))
    for one, rows in of_classes:
        left = [place for place in range(len(asked)) if asked[place] and place not in told]
        if not left:
            break
        here = {name: column.gather(rows) for name, column in trained.items()}
        known, firm, more = _columns(here, parts, reference, {part for group in asked for part in group})
        null = _fitted(one.astype(np.float64), known, firm)
        for place in left:
            if _score_test(null, np.hstack([more[part] for part in asked[place]])) < _LEVEL / len(of_classes):
                told.add(place)
    return told


def _columns(
    values: Mapping[str, pl.Series],
    parts: Mapping[str, tuple[str, ...]],
    reference: Reference,
    asked: Container[tuple[str, str]],
) -> tuple[Floats, Floats, dict[tuple[str, str], Floats]]:
    """The columns (N, K) of the parts that are not asked for, the ridge of each (K,), and those of each asked part."""
    day = date.fromisoformat(reference.day)
    rows = len(next(iter(values.values())))
    more: dict[tuple[str, str], Floats] = {}
    curves, steps = [np.ones((rows, 1))], [np.empty((rows, 0))]
    for name, own in parts.items():
        for part, found in zip(own, date_parts(name, own, values, reference, day), strict=True):
            if part == AGE:
                steps.append(np.isnan(found)[:, None].astype(np.float64))
            if part in CYCLES:
                places = (found[:, None] == np.unique(found[~np.isnan(found)])[1:]).astype(np.float64)
                if (name, part) in asked:
                    more[name, part] = places
                else:
                    steps.append(places)
            elif (name, part) in asked:
                more[name, part] = _curve(found)
            elif part == AGE or part.startswith(SINCE):
                curves.append(_curve(found))
                steps.append(_steps(curves[-1]))
    known = np.hstack(curves + steps)
    firm = np.full(known.shape[1], _RIDGE)
    firm[: sum(one.shape[1] for one in curves)] = 1e-6
    return known, firm, more


def _one_by_one(targets: pl.DataFrame) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Of each class some rows where the class is known, all if it is rare, and which of them are of it."""
    for column in targets.get_columns():
        held = column.is_not_null().to_numpy()
        counted = column.drop_nulls().value_counts().sort(["count", column.name], descending=[True, False])
        counted = counted.head(_MOST_CLASSES)
        several = [one for one, n in counted.iter_rows() if _FEWEST_OF_CLASS <= n <= held.sum() - _FEWEST_OF_CLASS]
        for one in several[:1] if len(counted) == 2 else several:
            own = (column == one).fill_null(False).to_numpy()
            small, large = sorted((np.flatnonzero(own), np.flatnonzero(held & ~own)), key=len)
            small = _some(small, _MOST_FITTED // 2)
            rows = np.sort(np.concatenate([small, _some(large, _MOST_FITTED - len(small))]))
            yield own[rows], rows


def _some(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


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


@dataclass(frozen=True, slots=True, eq=False)
class _Null:
    """A logistic regression on `known` (N, K): what it misses of the target, its variances, both (N,), and Hessian."""

    known: Floats
    missed: Floats
    spread: Floats
    bend: Floats


def _fitted(target: Floats, known: Floats, firm: Floats) -> _Null:
    """Fit by Newton's method; a Hessian, which costs far more than a step, serves while steps gain ever less."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.special import expit, logit

    def loss(weights: Floats) -> float:
        score = known @ weights
        return float(np.logaddexp(0, score).sum() - target @ score + firm @ weights**2 / 2)

    def at(weights: Floats) -> _Null:
        chance = expit(known @ weights)
        spread = chance * (1 - chance)
        root = known * np.sqrt(spread)[:, None]
        return _Null(known, target - chance, spread, root.T @ root + np.diag(firm))

    weights = np.zeros(known.shape[1])
    weights[0] = logit(target.mean())
    factor, last, before = cho_factor(at(weights).bend), np.inf, loss(weights)
    for _ in range(_MOST_STEPS):
        slope = known.T @ (target - expit(known @ weights)) - firm * weights
        step = cho_solve(factor, slope)
        gain = float(step @ slope)  # in units of chi-squared, unlike the weights of columns that are nearly the same
        if gain < _CLOSE:
            break
        while (after := loss(weights + step)) > before and np.abs(step).max() > _CLOSE:
            step /= 2  # Newton's step from afar may lead further away
        weights, before = weights + step, after
        if gain > _SHRINKS * last:
            factor = cho_factor(at(weights).bend)
        last = gain
    return at(weights)


def _score_test(null: _Null, more: Floats) -> float:
    """The p-value of "`more` adds nothing to the regression"."""
    from scipy.special import chdtrc

    spread = more * null.spread[:, None]
    across = null.known.T @ spread
    slope, own = more.T @ null.missed, more.T @ spread
    size, axes = np.linalg.eigh(own - across.T @ np.linalg.solve(null.bend, across))
    free = size > 1e-6 * max(float(np.trace(own)), 1e-12)
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
