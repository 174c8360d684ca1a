"""Columns of labels that a row may have at once: their names and their cells."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.reading.named_columns import is_list, is_pattern, matched, parts_of
from counterpoise.table.reading.table import Table, check_columns
from counterpoise.table.reading.target import Labels, plain_target
from counterpoise.wording import quoted


@dataclass(frozen=True, slots=True, eq=False)
class ManyLabels:
    """What the columns of labels say.

    Parameters
    ----------
    names
        Names of the columns.
    values
        Value of a row that does not have the label, and of one that has it.
    codes
        Codes (N, L): 1 if a row has the label, 0 if not, -1 if it is not known.
    stands_for
        As in `Labels`.
    """

    names: tuple[str, ...]
    values: tuple[Any, Any]
    codes: NDArray[np.int64]
    stands_for: NDArray[np.float64] | None = None

    def of(self, place: int) -> Labels:
        """One label as a target of two classes; where it is not known its code is 0."""
        codes = np.maximum(self.codes[:, place], 0)
        return Labels(self.values, codes, self.values[1], stands_for=self.stands_for)

    def known(self, place: int) -> NDArray[np.bool_]:
        """The rows of which it is known whether they have a label (N,)."""
        return np.asarray(self.codes[:, place] >= 0)


def named_labels(table: Table, target: str) -> tuple[str, ...]:
    """The columns that a text means: names with commas between them, and patterns such as y_*; () for one name.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"y_a": [1], "y_b": [0], "size": [3]}), Path("t.csv"), typed=False)
    >>> named_labels(table, "y_*"), named_labels(table, "y_b, size"), named_labels(table, "size")
    (('y_a', 'y_b'), ('y_b', 'size'), ())
    """
    columns = table.frame.columns
    if target in columns or not is_list(target):
        return ()
    found: list[str] = []
    for part in parts_of("target", target):
        found += matched(columns, part, "the target", table.path) if is_pattern(part) else [part]
    return tuple(dict.fromkeys(found))


def read_many_labels(table: Table, names: tuple[str, ...], positive: str | None = None) -> ManyLabels:
    """Read columns of labels: two values in all, and empty where a label is not known.

    Parameters
    ----------
    table
        The table.
    names
        Names of the columns.
    positive
        Value of a row that has the label, as text; default: 1, true, or the rarer value.

    Raises
    ------
    UserError
        If a column is absent, named twice, or holds a third value.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"a": [1, 0, None], "b": [1, 1, 0]}), Path("t.csv"), typed=False)
    >>> read_many_labels(table, ("a", "b")).codes.tolist()
    [[1, 1], [0, 1], [-1, 0]]
    """
    check_columns(table, list(names))
    if len(set(names)) < len(names):
        raise UserError(f"the targets name {next(one for one in names if names.count(one) > 1)!r} twice")
    cells = [plain_target(table, name) for name in names]
    if not all(column.dtype == pl.Boolean for column in cells):
        cells = [column.cast(pl.Int64) if column.dtype == pl.Boolean else column for column in cells]
    values = _two_values(cells, names)
    if positive is not None:
        spelled = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
        wanted = positive.lower() if isinstance(values[0], bool) else positive
        if wanted not in spelled:
            raise UserError(f"no label is ever {positive!r}; their values: {', '.join(spelled)}")
        place = spelled.index(wanted)
    elif set(values) == {0, 1}:  # of flags too
        place = values.index(1)
    else:
        held = [sum(int((column == value).sum()) for column in cells) for value in values]
        place = int(np.argmin(held))
    has = [(column == values[place]).cast(pl.Int64).fill_null(-1).to_numpy() for column in cells]
    return ManyLabels(names, (values[1 - place], values[place]), np.stack(has, axis=1).astype(np.int64))


def _two_values(cells: list[pl.Series], names: tuple[str, ...]) -> list[Any]:
    """The two values of all columns together, sorted."""
    values: list[Any] = []
    for column, name in zip(cells, names, strict=True):
        for value in column.drop_nulls().unique().sort().head(3).to_list():
            if value in values:
                continue
            if len(values) == 2:
                row = int((column == value).arg_max() or 0) + 1
                raise UserError(
                    f"label {name!r} holds {quoted(value)} in data row {row}, and labels {quoted(values[0])} and "
                    f"{quoted(values[1])}; a label has two values, such as 1 and 0, the same in all columns, and is "
                    "empty where it is not known"
                )
            values.append(value)
    if len(values) < 2:
        said = f"are {quoted(values[0])} in every row" if values else "are empty"
        raise UserError(f"the labels {', '.join(map(repr, names[:10]))} {said}; there is nothing to learn")
    return sorted(values, key=lambda value: (str(type(value)), value))
