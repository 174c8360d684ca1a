"""What decisions between two classes cost: alike for all rows, or from columns that hold each row's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals.words import finite, written_name, written_number

OUTCOMES = ("fn", "fp", "tp", "tn")
_WRONG_AND_RIGHT = (("fn", "tp"), ("fp", "tn"))


class RowCosts(NamedTuple):
    """The costs of each row's four outcomes, float64 (N,); () where no cost is a column."""

    fn: NDArray[np.float64]
    fp: NDArray[np.float64]
    tp: NDArray[np.float64]
    tn: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cost:
    """What each of the four outcomes costs; a gain is a negative cost.

    Parameters
    ----------
    fn, fp, tp, tn
        Cost of each outcome: a number, or the name of the column with each row's own cost.

    Examples
    --------
    >>> str(Cost(fn=500, fp=10)), str(Cost(fn="amount", fp=10))
    ('cost fn=500 fp=10', 'cost fn=amount fp=10')
    """

    fn: float | str
    fp: float | str
    tp: float | str = 0.0
    tn: float | str = 0.0

    def __post_init__(self) -> None:
        for name in OUTCOMES:
            value = getattr(self, name)
            if not isinstance(value, str):
                object.__setattr__(self, name, finite(f"the cost {name}", value))
        for wrong, right in _WRONG_AND_RIGHT:
            more, less = getattr(self, wrong), getattr(self, right)
            of_each_row = isinstance(more, str) or isinstance(less, str)
            if more == less or (not of_each_row and more < less):
                raise UserError(f"a wrong decision must cost more than the right one ({wrong}= and {right}=)")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold costs.

        Examples
        --------
        >>> Cost(fn="amount", fp=10).columns
        ('amount',)
        """
        values = (getattr(self, name) for name in OUTCOMES)
        return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))

    def numbers(self) -> dict[str, float]:
        """The four costs, or `UserError` where one is a column.

        Examples
        --------
        >>> Cost(fn=500, fp=10).numbers()
        {'fn': 500.0, 'fp': 10.0, 'tp': 0.0, 'tn': 0.0}
        """
        if self.columns:
            raise UserError(f"{str(self)!r} is a different cost in each row; per_row gives them")
        return {name: float(getattr(self, name)) for name in OUTCOMES}

    @property
    def largest(self) -> float:
        """The largest of the four, whatever its sign.

        Examples
        --------
        >>> Cost(fn=500, fp=10, tp=-900).largest
        900.0
        """
        return max(map(abs, self.numbers().values()))

    def per_row(self, columns: Mapping[str, ArrayLike]) -> RowCosts:
        """The costs of each row.

        Where a wrong decision costs as much as the right one, as with an amount of 0, nothing is at stake in that
        row: that is no mistake. Where it costs less, it is.

        Parameters
        ----------
        columns
            Values of the columns by name, finite numbers, each (N,).

        Raises
        ------
        UserError
            If a column is missing, is not (N,) or holds something else than finite numbers, or if in a row the
            wrong decision costs less than the right one; the row is named.

        Examples
        --------
        >>> Cost(fn="amount", fp=10).per_row({"amount": [900, 5]})[:2]
        (array([900.,   5.]), array([10., 10.]))
        """
        values = {name: _numbers(name, columns) for name in self.columns}
        lengths = {name: len(column) for name, column in values.items()}
        if len(set(lengths.values())) > 1:
            raise UserError(f"the columns of {str(self)!r} have different lengths: {lengths}; pass one value per row")
        found = (getattr(self, name) for name in OUTCOMES)
        each = [values[one] if isinstance(one, str) else np.asarray(one) for one in found]
        costs = RowCosts(*np.broadcast_arrays(*each))
        for wrong, right in _WRONG_AND_RIGHT:
            more, less = getattr(costs, wrong), getattr(costs, right)
            bad = np.flatnonzero(more < less)
            if len(bad):
                raise UserError(
                    f"row {bad[0]}: {wrong}={more[bad[0]]:g} is below {right}={less[bad[0]]:g}, "
                    "but a wrong decision cannot cost less than the right one; clip the column"
                )
        return costs

    def __str__(self) -> str:
        values = {name: getattr(self, name) for name in OUTCOMES}
        return "cost " + " ".join(
            f"{name}={written_name(value) if isinstance(value, str) else written_number(value)}"
            for name, value in values.items()
            if name in ("fn", "fp") or value != 0
        )


def _numbers(name: str, columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    if name not in columns:
        raise nearest_name("column", name, map(str, columns))
    array = np.asarray(columns[name])
    if array.ndim != 1:
        raise UserError(f"column {name!r} has shape {array.shape}; it must have one dimension, (N,)")
    if array.dtype.kind in "mM":  # NumPy would make numbers of them
        raise UserError(f"column {name!r} holds {array.dtype}; a cost must be a finite number")
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.asarray([_number(value) for value in array])
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        found = array[bad[0]]
        found = found.item() if isinstance(found, np.generic) else found
        raise UserError(f"column {name!r} has {found!r} in row {bad[0]}; a cost must be a finite number")
    return numbers


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whether it can be is the question
    except (TypeError, ValueError):
        return np.nan
