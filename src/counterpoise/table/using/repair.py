"""Repair of a file of another model's probabilities: weights and sampling undone, adjusted to another prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.decide import adjust_prior, estimate_prior, undo_sampling, undo_weights
from counterpoise.errors import UserError
from counterpoise.table.files import check_place, write_table
from counterpoise.table.reading.table import check_columns, read_table
from counterpoise.wording import data_rows

Numbers = Sequence[float]


@dataclass(frozen=True, slots=True)
class Repair:
    """What was written.

    Parameters
    ----------
    out
        Path of the result.
    rows
        Number of its rows.
    columns
        The columns of probabilities that were repaired.
    before, after
        Means before and after the repair.
    to
        The class shares that the probabilities were adjusted to, if any.
    """

    out: Path
    rows: int
    columns: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    to: tuple[float, ...] | None


def repair_table(
    table: Path,
    out: Path,
    *,
    weights: Numbers | None = None,
    rates: Numbers | None = None,
    prior: Numbers | None = None,
    to: Numbers | str | None = None,
    columns: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Repair:
    """Repair the probabilities in a table; its other columns stay as they are.

    Parameters
    ----------
    table
        A CSV or Parquet file with a row per prediction.
    out
        Path of a .parquet or .csv file.
    weights
        Class weights of the training, as in `undo_weights`; one number is the weight of the positives.
    rates
        Sampling rates of the training, as in `undo_sampling`.
    prior, to
        Class shares of the training data before sampling, and of the new data, as in `adjust_prior`; "estimate" takes
        those under which the rows of the table are most likely. They are applied after weights and rates.
    columns
        One column, of the positive class, or one per class, in class order. Default: `probability`, else all columns
        that start with `probability_`.
    overwrite
        Whether an existing file at `out`, which may be the table itself, may be replaced.

    Returns
    -------
    Repair
        A summary of what was written.

    Raises
    ------
    UserError
        If nothing is asked for, a column is absent or holds no probabilities, or `out` exists.
    """
    if weights is None and rates is None and prior is None and to is None:
        raise UserError("nothing to repair: give --weights, --rates, or --prior with --to")
    if (prior is None) != (to is None):
        raise UserError("--prior and --to belong together: the class shares of the training data, and the new ones")
    check_place(out, overwrite=overwrite)
    read = read_table(table)
    names = _probability_columns(read.frame.columns, columns)
    check_columns(read, names)
    before = np.stack([_numbers(read.frame[name]) for name in names], axis=1)
    probability = before[:, 0] if len(names) == 1 else before
    if weights is not None:
        probability = undo_weights(probability, weights[0] if len(weights) == 1 else weights)
    if rates is not None:
        probability = undo_sampling(probability, rates)
    new: NDArray[np.float64] | None = None
    if prior is not None and to is not None:
        old = prior[0] if len(prior) == 1 else prior
        new = estimate_prior(probability, old) if to == "estimate" else np.asarray(to, np.float64)
        probability = adjust_prior(probability, old, to=new[0] if len(new) == 1 else new)
    after = probability.reshape(len(probability), -1)
    # from CSV to CSV the other cells stay as they are spelled; Parquet needs types
    frame = read.frame if read.typed or out.suffix.lower() == ".parquet" else read_table(table, spelled=True).frame
    frame = frame.with_columns(pl.Series(name, after[:, k]) for k, name in enumerate(names))
    write_table(frame, out, overwrite=overwrite)
    was, now = (tuple(part.mean(axis=0).tolist()) for part in (before, after))
    return Repair(out, len(after), tuple(names), was, now, None if new is None else tuple(new.tolist()))


def _probability_columns(known: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    if asked is not None:
        twice = [name for name in asked if list(asked).count(name) > 1]
        if twice or not asked:
            raise UserError(f"--columns names {twice[0]!r} twice" if twice else "--columns names no column")
        return list(asked)
    if "probability" in known:
        return ["probability"]
    found = [name for name in known if name.startswith("probability_")]
    if not found:
        shown = ", ".join(known[:30])
        raise UserError(
            f"no column is named 'probability' or 'probability_...'; name one with --columns, among {shown}"
        )
    return found


def _numbers(column: pl.Series) -> NDArray[np.float64]:
    if not column.dtype.is_numeric():
        raise UserError(f"column {column.name!r} has type {column.dtype}, so it holds no probabilities")
    values = column.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(bad):
        found = column[int(bad[0])]
        held = "nothing" if found is None else f"{found:g}"
        raise UserError(f"column {column.name!r} holds {held} in {data_rows(bad)}; a probability lies between 0 and 1")
    return np.asarray(values)
