"""Columns as the numbers that trees split on, by a schema learned on the training rows.

Numbers and flags stay as they are; a date becomes its age, its distance from other dates, its month, weekday and
hour (`ages`); a value that repeats becomes the code of its category; free text becomes its length and the
components that `text` finds. A value that is not in the training rows, such as a new category or an empty cell, is
missing, which trees handle. But a column without any known value was renamed, retyped or recoded, and is refused. The
schema is plain data, saved with the model.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from counterpoise.table.features.date_parts import SINCE
from counterpoise.table.features.reference_day import Reference
from counterpoise.table.features.text import Text
from counterpoise.table.reading.numbers import PLAIN, NumberFormat

IGNORED = "ignored on request"
NUMBER, FLAG, DATE, DATETIME, CATEGORY, TEXT = "number", "flag", "date", "datetime", "category", "text"
CALENDAR = "calendar"  # of the time column: an ever-growing day number says nothing of rows to come
DATES = (DATE, DATETIME, CALENDAR)
_PLAIN_KINDS = {CALENDAR: "date"}


@dataclass(frozen=True, slots=True)
class Column:
    """How one column becomes numbers.

    Parameters
    ----------
    name
        Name of the column.
    kind
        "number", "flag", "date", "datetime", "calendar" (a date of which only month, weekday and hour count),
        "category" or "text".
    categories
        Values of a category; the index in this list is the code.
    rare
        For a category, the share of the training values that occur once, and so are not a category.
    unit
        Unit of text: "words" or "characters".
    found
        For text, the suffix of each number that it becomes, in addition to its length.
    form
        Written form of dates and times that were text in training.
    zone
        Time zone of times that had one in training, in which month, weekday and hour are taken.
    figures
        Written form of numbers.
    dated
        For dates, the suffix of each feature, such as " age", " month" or " since joined".
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    rare: float = 0.0
    unit: str = ""
    found: tuple[str, ...] = ()
    form: str = ""
    zone: str = ""
    figures: NumberFormat = PLAIN
    dated: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What is added to the name for each column of the matrix."""
        if self.kind == TEXT:
            return (" length", *self.found)
        return self.dated if self.kind in DATES else ("",)


@dataclass(frozen=True)  # without slots: what is worked out of the columns is kept, since a request asks for it often
class Schema:
    """All columns that the model uses, in order, and those it does not, with the reason.

    Parameters
    ----------
    columns
        The columns that it uses.
    dropped
        Name and reason of the other columns.
    texts
        What was learned from each column of text, by name: arrays, which `arrays` gives.
    reference
        The day that ages of dates are counted up to; None if nothing is an age.
    said
        Notes for the reader of the training, in sentences.

    Examples
    --------
    >>> when = Column("when", "date", dated=(" month", " weekday"))
    >>> schema = Schema((Column("size", "number"), when), (("id", "constant"),))
    >>> schema.features
    ['size', 'when month', 'when weekday']
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, Text] = field(default_factory=dict, compare=False)
    reference: Reference | None = None
    said: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def names(self) -> list[str]:
        """Of the columns that it uses."""
        return [column.name for column in self.columns]

    @cached_property
    def features(self) -> list[str]:
        """The name of each column of the matrix."""
        return [column.name + part for column in self.columns for part in column.parts]

    @cached_property
    def model_names(self) -> list[str]:
        """The same, without the characters that LightGBM's file format reserves, and distinct."""
        found: dict[str, int] = {}  # and how often the name was wanted
        for name in self.features:
            wanted = plain = re.sub(r"[^\w.+-]+", "_", name) or "_"
            while plain in found:
                found[wanted] += 1
                plain = f"{wanted}_{found[wanted]}"
            found[plain] = 1
        return list(found)

    @cached_property
    def categorical(self) -> list[int]:
        """Places of the categorical columns of the matrix."""
        return list(self.categories)

    @cached_property
    def categories(self) -> dict[int, tuple[str, ...]]:
        """Of each categorical column of the matrix, by place: what its codes stand for."""
        columns = [column for column in self.columns for _ in column.parts]
        return {place: column.categories for place, column in enumerate(columns) if column.kind == CATEGORY}

    @cached_property
    def features_of(self) -> dict[str, list[int]]:
        """The places of each column's features in the matrix; a distance between two dates is of both."""
        found: dict[str, list[int]] = {column.name: [] for column in self.columns}
        place = 0
        for column in self.columns:
            for part in column.parts:
                found[column.name].append(place)
                if column.kind in DATES and part.startswith(SINCE):
                    found[part.removeprefix(SINCE)].append(place)
                place += 1
        return {name: sorted(places) for name, places in found.items()}

    @property
    def day(self) -> date | None:
        """The day that the ages of the training rows count to; None where nothing depends on one."""
        return date.fromisoformat(self.reference.day) if self.reference is not None and self.reference.day else None

    @property
    def needs_day(self) -> bool:
        """Whether the answer for a row depends on the day that the ages of its dates are counted up to."""
        return self.reference is not None and not self.reference.own

    @cached_property
    def text(self) -> frozenset[str]:
        """Columns to be read as text."""
        return frozenset(column.name for column in self.columns if column.kind in (CATEGORY, TEXT))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; the arrays of text columns are in `arrays`."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dropped": [list(pair) for pair in self.dropped],
            "reference": None if self.reference is None else self.reference.to_dict(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned of text columns, each array under "place of the column/name of the array"."""
        return {
            f"{place}/{name}": array
            for place, column in enumerate(self.columns)
            if column.kind == TEXT
            for name, array in self.texts[column.name].arrays().items()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> "Schema":
        """The schema that `to_dict` and `arrays` described."""
        lists = ("categories", "found", "dated")
        columns = tuple(
            Column(**one | {name: tuple(one[name]) for name in lists} | {"figures": NumberFormat(**one["figures"])})
            for one in data["columns"]
        )
        held: dict[str, dict[str, NDArray[Any]]] = {}
        for key, array in (arrays or {}).items():
            place, name = key.split("/")
            held.setdefault(place, {})[name] = array
        texts = {
            column.name: Text.from_arrays(column.unit, held[str(place)])
            for place, column in enumerate(columns)
            if column.kind == TEXT
        }
        reference = None if data["reference"] is None else Reference.from_dict(data["reference"])
        return cls(columns, tuple((name, reason) for name, reason in data["dropped"]), texts, reference)


def kind_in_words(kind: str) -> str:
    """As people say it.

    Examples
    --------
    >>> kind_in_words("calendar")
    'date'
    """
    return _PLAIN_KINDS.get(kind, kind)
