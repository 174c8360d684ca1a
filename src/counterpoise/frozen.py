"""Records that stay as they were made, also where they are copied or pickled."""

import dataclasses
from typing import Any, Self

import numpy as np


class Frozen:
    """A frozen dataclass whose arrays are read-only.

    What is compiled or computed from such a record is kept for as long as it lives. Python's own way to copy and to
    pickle one would make its arrays writeable.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return restored, (type(self), values)


def restored(kind: type[Any], values: dict[str, Any]) -> Any:
    """The record with these values, which were checked when it was made.

    Parameters
    ----------
    kind
        Class of the record.
    values
        Value of each field.
    """
    made = object.__new__(kind)
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
        object.__setattr__(made, name, value)
    return made
