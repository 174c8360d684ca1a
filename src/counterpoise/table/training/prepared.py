"""A table that is ready to be learned from: its parts and its features, the same for every target."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from counterpoise.goals import Goal
from counterpoise.table.asked import Asked
from counterpoise.table.audit.drift import time_places
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.reference_day import day_of
from counterpoise.table.features.schema import Schema
from counterpoise.table.reading.table import Table
from counterpoise.table.rows.enough import group_places, row_weights
from counterpoise.table.rows.split import Split
from counterpoise.table.training.of_thinned import refuse_odd_cells, with_judged


@dataclass(frozen=True, slots=True, eq=False)
class Circumstances:
    """Times, groups and weights of the rows; each is None if not requested.

    Parameters
    ----------
    time
        Places in time, (N,): equal times have equal places.
    group
        Places of groups, (N,); of a thinned table also of the rows that are not held.
    weight
        Weight of each row in training, (N,), > 0.
    """

    time: NDArray[np.int64] | None
    group: NDArray[np.int64] | None
    weight: NDArray[np.float64] | None

    @classmethod
    def of(cls, table: Table, asked: Asked) -> Self:
        """Read them from the columns that were named.

        Raises
        ------
        UserError
            If a cell of these columns cannot be used.
        """
        time = None if asked.time is None else time_places(table.frame[asked.time])
        group = None if asked.group is None else group_places(with_judged(table, [asked.group]), asked.group)
        return cls(time, group, row_weights(table, asked.weight))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table, who learns and who judges, and the features.

    Parameters
    ----------
    table
        The table.
    asked
        The request.
    goal
        The goal of each target.
    split
        The parts for training, threshold and test.
    circumstances
        Time, groups and weights of all rows.
    schema
        The columns used and dropped, learned on the training part.
    matrix
        The features of all rows, (N, F).
    """

    table: Table
    asked: Asked
    goal: Goal
    split: Split
    circumstances: Circumstances
    schema: Schema
    matrix: NDArray[np.float64]


def prepared(
    table: Table, asked: Asked, goal: Goal, targets: tuple[str, ...], split: Split, circumstances: Circumstances
) -> Prepared:
    """Learn the features of a table that has been split."""
    schema = learn_schema(
        table,
        targets,
        split.train,
        leave_out=[name for name in (asked.group, asked.weight) if name is not None],
        time=asked.time,
        as_of=day_of(asked.as_of),
        absolute=asked.absolute_time,
    )
    refuse_odd_cells(table, schema)
    return Prepared(table, asked, goal, split, circumstances, schema, to_matrix(table, schema, schema.day))
