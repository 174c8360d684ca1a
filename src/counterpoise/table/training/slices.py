"""Every rate in every group of rows: a mean over all rows hides the group that is served worst.

Each rate has its exact 95 % interval. The warning is stricter than that: among many groups and rates one
interval in twenty misses by chance alone, so a group is called worse only where the interval at
1 - 0.05 / looks, which bounds the chance of any false warning by 5 % (Bonferroni), lies on the wrong side of the
value over all rows. That value holds the group's own rows too, which makes the warning still more cautious.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from counterpoise.decide.binomial import special
from counterpoise.decide.measured import Measured, share
from counterpoise.errors import UserError
from counterpoise.wording import percent

LEAST_ROWS = 30
MOST_GROUPS = 12
_QUANTILES = (0.25, 0.5, 0.75)
_LEVEL = 0.05
_WORDS = {"fpr": "the share of false alerts"}


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of some rows of a group.

    Parameters
    ----------
    name
        Name of the rate, such as "recall", or "recall of oak".
    part, whole
        Numerator and denominator of the rate, in rows.
    worse
        Whether it is worse than over all rows by more than chance.
    """

    name: str
    part: int
    whole: int
    worse: bool = False

    @property
    def measured(self) -> Measured:
        """The share with its exact 95 % interval.

        Examples
        --------
        >>> str(Rate("recall", 8, 10).measured)
        '0.800 [0.444, 0.975]'
        """
        return share(self.part, self.whole)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with the same value of a column.

    Parameters
    ----------
    name
        The value, a range of numbers, "(missing)", or "other (3 groups)".
    rows
        Number of rows.
    rates
        Rates in the same order in every group; a rate without any row has a whole of 0.
    """

    name: str
    rows: int
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """What a column's groups get.

    Parameters
    ----------
    column
        Name of the column.
    overall
        The rates of all rows.
    groups
        Groups: numbers and dates in their order, other values from the largest; the pooled ones last.
    looks
        Number of rates of groups that could have been called worse: 0 if one group, or all small ones, cover all rows.
    warning
        The worst of them in a sentence, or None.
    """

    column: str
    overall: tuple[Rate, ...]
    groups: tuple[Group, ...]
    looks: int
    warning: str | None


def slices_of(
    values: pl.DataFrame,
    target: ArrayLike,
    decided: ArrayLike,
    *,
    classes: Sequence[object] = (0, 1),
    binary: bool = True,
    least_rows: int = LEAST_ROWS,
    most_groups: int = MOST_GROUPS,
) -> tuple[Slice, ...]:
    """The rates of each group of each column.

    Parameters
    ----------
    values
        The columns to slice by, (N, columns), in the order of the test rows. Numbers and dates with more than
        `most_groups` distinct values are cut at their quartiles.
    target, decided
        Class indices (N,), the truth and the decision.
    classes
        Names of the classes, for the reader; with two the second is the positive one.
    binary
        Whether to give recall, precision, alerts and fpr of class 1; else accuracy and the recall of each class.
    least_rows
        Smallest number of rows of a group; smaller groups are pooled.
    most_groups
        Largest number of groups; the smallest ones beyond it are pooled.

    Raises
    ------
    UserError
        If the numbers of rows differ, or a class place is none of `classes`.

    Examples
    --------
    >>> frame = pl.DataFrame({"shop": ["A"] * 40 + ["B"] * 40})
    >>> found = slices_of(frame, [1] * 80, [1] * 40 + [0] * 40)
    >>> found[0].warning
    'shop B: recall is 0% (0 of 40 rows; 50% over all rows).'
    """
    truth, chosen = np.asarray(target), np.asarray(decided)
    for name, array in (("target", truth), ("decided", chosen)):
        if array.shape != (values.height,):
            raise UserError(f"{name} has shape {array.shape}, but the columns to slice by have {values.height} rows")
        places = array.astype(np.int64)
        bad = np.flatnonzero((places < 0) | (places >= len(classes)) | (places != array))
        if len(bad):
            raise UserError(f"{name} {array[bad[0]]} in row {bad[0]} is not a class index (0 to {len(classes) - 1})")
    truth, chosen = truth.astype(np.int64), chosen.astype(np.int64)
    named = [str(one) for one in classes]
    found = []
    for column in values.columns:
        groups = _pooled(_groups(values[column], most_groups), least_rows, most_groups)
        found.append(_slice(column, groups, truth, chosen, named, binary))
    return tuple(found)


def _slice(
    column: str,
    groups: list[tuple[str, NDArray[np.int64]]],
    truth: NDArray[np.int64],
    chosen: NDArray[np.int64],
    classes: list[str],
    binary: bool,
) -> Slice:
    overall = _rates(truth, chosen, classes, binary)
    counted = [(name, len(rows), _rates(truth[rows], chosen[rows], classes, binary)) for name, rows in groups]
    looks = sum(_judged(one) and one.whole > 0 for _, _, rates in counted for one in rates) if len(counted) > 1 else 0
    level = _LEVEL / max(looks, 1)
    made = tuple(
        Group(
            name,
            rows,
            tuple(
                Rate(one.name, one.part, one.whole, _worse(one, everywhere, level))
                for one, everywhere in zip(rates, overall, strict=True)
            ),
        )
        for name, rows, rates in counted
    )
    return Slice(column, overall, made, looks, _warning(column, made, overall))


def _rates(truth: NDArray[np.int64], chosen: NDArray[np.int64], classes: list[str], binary: bool) -> tuple[Rate, ...]:
    right = truth == chosen
    if not binary:
        return (
            Rate("accuracy", int(right.sum()), len(truth)),
            *(
                Rate(f"recall of {name}", int((right & (truth == k)).sum()), int((truth == k).sum()))
                for k, name in enumerate(classes)
            ),
        )
    positive, flagged = truth == 1, chosen == 1
    hits = int((positive & flagged).sum())
    return (
        Rate("recall", hits, int(positive.sum())),
        Rate("precision", hits, int(flagged.sum())),
        Rate("alerts", int(flagged.sum()), len(truth)),
        Rate("fpr", int((flagged & ~positive).sum()), int((~positive).sum())),
    )


def _judged(rate: Rate) -> bool:
    """Whether a rate has a worse side: to be flagged more often than others is neither good nor bad."""
    return rate.name != "alerts"


def _worse(rate: Rate, overall: Rate, level: float) -> bool:
    if not _judged(rate) or rate.whole == 0 or overall.whole == 0:
        return False
    low, high = _ends(rate.part, rate.whole, level)
    everywhere = overall.part / overall.whole
    return low > everywhere if rate.name == "fpr" else high < everywhere


def _ends(part: int, whole: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval at 1 - level.

    Examples
    --------
    >>> low, high = _ends(8, 10, 0.05)
    >>> round(low, 3), round(high, 3)
    (0.444, 0.975)
    """
    low = float(special().betaincinv(part, whole - part + 1, level / 2)) if part > 0 else 0.0
    high = float(special().betaincinv(part + 1, whole - part, 1 - level / 2)) if part < whole else 1.0
    return low, high


def _warning(column: str, groups: tuple[Group, ...], overall: tuple[Rate, ...]) -> str | None:
    """The rate that lies farthest on its worse side, in standard deviations of a group of its size."""
    worst, distance = None, 0.0
    for group in groups:
        for rate, everywhere in zip(group.rates, overall, strict=True):
            if not rate.worse:
                continue
            expected = everywhere.part / everywhere.whole
            spread = max((expected * (1 - expected) / rate.whole) ** 0.5, 1e-12)
            away = abs(rate.part / rate.whole - expected) / spread
            if away > distance:
                worst, distance = (group, rate, expected), away
    if worst is None:
        return None
    group, rate, expected = worst
    return (
        f"{column} {group.name}: {_WORDS.get(rate.name, rate.name)} is {percent(rate.part / rate.whole)} "
        f"({rate.part:,} of {rate.whole:,} rows; {percent(expected)} over all rows)."
    )


def _groups(column: pl.Series, most: int) -> list[tuple[str, NDArray[np.int64]]]:
    """Names and rows of the groups: numbers and dates in their order, other values by their number of rows."""
    ordered = column.dtype.is_numeric() or column.dtype.is_temporal()
    if ordered and column.n_unique() > most:
        names, place = _quarters(column)
    else:
        column = column if ordered else column.cast(pl.String)
        column = column.fill_nan(None) if column.dtype.is_float() else column
        names = column.drop_nulls().unique().sort().cast(pl.String).to_list()
        place = (column.rank("dense") - 1).fill_null(len(names)).to_numpy()
    groups = [(name, np.flatnonzero(place == k)) for k, name in enumerate([*names, "(missing)"])]
    if not ordered:
        groups.sort(key=lambda one: -len(one[1]))
    return [one for one in groups if len(one[1])]


def _quarters(column: pl.Series) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the quarters of the rows, and where each row lies; one place more is for what is missing."""
    number = column.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = np.isfinite(number)
    cuts = np.unique(np.quantile(number[known], _QUANTILES, method="lower")) if known.any() else np.empty(0)
    edges = [cut for cut in cuts.tolist() if cut < number[known].max()]
    said = [_edge(edge, column.dtype) for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(said)]
    names = [f"up to {said[0]}", *between, f"above {said[-1]}"] if said else ["all"]
    place = np.searchsorted(edges, np.where(known, number, 0.0), side="left")
    return names, np.where(known, place, len(names))


def _edge(edge: float, kind: pl.DataType) -> str:
    return str(pl.Series([int(edge)]).cast(kind).item()) if kind.is_temporal() else f"{edge:.4g}"


def _pooled(groups: list[tuple[str, NDArray[np.int64]]], least: int, most: int) -> list[tuple[str, NDArray[np.int64]]]:
    """The small groups, and those beyond the largest so many, as one."""
    largest = sorted(range(len(groups)), key=lambda k: -len(groups[k][1]))[:most]
    kept = [k for k, (_, rows) in enumerate(groups) if k in largest and len(rows) >= least]
    rest = [k for k in range(len(groups)) if k not in kept]
    if len(rest) < 2:  # a name of its own says more than "other"
        return groups
    other = np.sort(np.concatenate([groups[k][1] for k in rest]))
    return [*(groups[k] for k in kept), (f"other ({len(rest)} groups)", other)]
