"""The day of a file, up to which the ages of its dates are counted: given, or the newest date in it."""

from datetime import date
from pathlib import Path
from typing import Any

from counterpoise.errors import warn_user
from counterpoise.table.features.reference_day import NewestDay, day_of, few_rows
from counterpoise.table.features.schema import Schema
from counterpoise.table.using.stream import ahead, blocks


def day_of_file(path: Path, schema: Schema, as_of: Any = None) -> date | None:
    """The day of a table, read in blocks if necessary; None for a model that does not depend on it.

    Parameters
    ----------
    path
        Path of the table.
    schema
        Schema of the model.
    as_of
        Day that the user gave; None: the newest date, with a warning if there are few.

    Examples
    --------
    >>> from counterpoise.table.features.schema import Column
    >>> day_of_file(Path("t.csv"), Schema((Column("size", "number"),))) is None
    True
    """
    day, reference = day_of(as_of), schema.reference
    if day is not None or reference is None or reference.own:
        return day
    newest = NewestDay()
    for block in ahead(blocks(path, Schema(tuple(one for one in schema.columns if one.name == reference.column)))):
        newest.add(block.table.frame[reference.column])
    day = reference.day_from(newest)
    if (said := few_rows(reference, newest.rows, day)) is not None:
        warn_user(said)
    return day
