"""A sample of a column by which its kind is decided: the same cells whatever the order of the rows.

Every k-th row is enough where rows have no order. But sorted rows, or two files joined row by row, would then be read
as another kind than the same rows shuffled.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

_FIRST = 2_000


def sample_rows(cells: pl.Series, most: int) -> NDArray[np.int64]:
    """Rows, evenly spaced in the order of the hashes of their cells: each value gets its share of them.

    Parameters
    ----------
    cells
        The column.
    most
        How many rows at most; all rows of a shorter column.

    Returns
    -------
    Rows (M,), each once.

    Examples
    --------
    >>> cells = pl.Series(["a", "b"] * 50)
    >>> sorted(cells.gather(sample_rows(cells, 4))) == sorted(cells.sort().gather(sample_rows(cells.sort(), 4)))
    True
    """
    if len(cells) <= most:
        return np.arange(len(cells))
    marks = cells.hash(0).to_numpy()
    ordered = np.sort(marks)  # much faster than finding the row of each
    places = np.linspace(0, len(marks) - 1, most).astype(np.int64)
    chosen = ordered[places]
    rows = pl.Series(marks).is_in(pl.Series(np.unique(chosen)).implode()).arg_true().to_numpy().astype(np.int64)
    rows = rows[np.argsort(marks[rows])]
    of_value = places - np.searchsorted(ordered, chosen)
    return np.asarray(rows[np.searchsorted(marks[rows], chosen) + of_value], np.int64)


def sample_of(cells: pl.Series, most: int) -> pl.Series:
    """The cells of `sample_rows`, found faster: any row of a value is enough."""
    if len(cells) <= most:
        return cells
    marks = cells.hash(0).to_numpy()
    chosen = np.sort(marks)[np.linspace(0, len(marks) - 1, most).astype(np.int64)]
    found, rows = np.unique(marks[:_FIRST], return_index=True)  # most rows of few values are not searched
    rare = np.setdiff1d(chosen, found)
    if len(rare):
        later = pl.Series(marks).is_in(pl.Series(rare).implode()).arg_true().to_numpy()
        of_later, first = np.unique(marks[later], return_index=True)
        found, rows = np.concatenate([found, of_later]), np.concatenate([rows, later[first]])
    order = np.argsort(found)
    return cells.gather(rows[order[np.searchsorted(found, chosen, sorter=order)]])
