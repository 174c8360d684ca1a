"""Values that name their classes, in class order.

The order of a dict, a Counter, a pandas Series or a `value_counts()` frame says nothing: a Counter begins with the
class that came first, `value_counts()` with the most frequent one. So such values go by their keys: class indices, or
the names of classes whose order is known. What cannot be put in order is refused.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from counterpoise.errors import UserError

_COUNT_COLUMNS = ("count", "counts", "len", "proportion")
"""How pandas and Polars call the second column of counted values."""

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Keyed:
    """Values and the keys that they came with; `counted` says that a program chose their order, by counting."""

    keys: list[Hashable]
    values: list[Any]
    counted: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the names of classes come from: its title, whether a program counted, how to say what is meant."""

    title: str
    counted: bool
    leave_out: str
    remedy: str


_REMEDY = "with the classes in the order of the model's outputs"
LABELS = Origin(
    "labels",
    True,
    "pass ignore_index={}",
    f"pass classes=[...] {_REMEDY}, or classes=C for the class indices 0 to C - 1",
)
COUNTED = Origin("counts", True, "leave out its entry", f"pass ClassCounts(counts, classes=[...]) {_REMEDY}")
NAMED = replace(COUNTED, counted=False)
MERGED = Origin("counts of the parts", True, "pass ignore_index={} to count", f"pass classes=[...] to count {_REMEDY}")


def plain(value: Any) -> Hashable:
    """A NumPy scalar as the Python value it stands for, and a whole float as an integer."""
    found: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(found, bytes):  # TensorFlow's strings
        return found.decode()
    if isinstance(found, float) and found.is_integer():
        return int(found)
    key: Hashable = found
    return key


def is_missing(value: Any) -> bool:
    """Whether a label is NaN, None, or pandas's missing value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas, which need not be installed
        return True
    return isinstance(value, float | np.floating) and value != value


def keyed(name: str, given: Any, *, tables: bool = False) -> Keyed | None:
    """The keys and values of what names its classes; None for everything else.

    A pandas table is a mapping from the classes in its index to its rows where `tables` says that it may be one.

    Examples
    --------
    >>> keyed("counts", {1: 10, 0: 90}).keys
    [1, 0]
    >>> keyed("counts", [90, 10]) is None
    True
    """
    items = _items(given, tables)
    if items is None:
        return None
    raw, values, counted = items
    if any(is_missing(key) for key in raw):
        raise UserError(f"{name} has an entry for missing labels (NaN); leave it out, such rows have no class")
    keys = [plain(key[0] if isinstance(key, tuple) and len(key) == 1 else key) for key in raw]  # a MultiIndex of one
    twice = [key for key, times in Counter(keys).items() if times > 1]
    if twice:
        raise UserError(f"{name} names class {twice[0]!r} twice; each class has one value")
    return Keyed(keys, values, counted)


def _items(given: Any, tables: bool) -> tuple[list[Any], list[Any], bool] | None:
    if isinstance(given, Mapping):
        return list(given.keys()), list(given.values()), isinstance(given, Counter)
    if not hasattr(given, "to_numpy"):
        return None
    columns = list(getattr(given, "columns", ()))
    if len(columns) == 2 and columns[1] in _COUNT_COLUMNS:  # value_counts() of Polars, or of pandas with reset_index()
        keys, values = (given[column].to_list() for column in columns)
        return keys, values, True
    if not hasattr(given, "index"):  # a column or a table of Polars: no keys
        return None
    if len(columns) == 1 and columns[0] in _COUNT_COLUMNS:
        given = given[columns[0]]
    elif columns:
        return (given.index.to_list(), [row for _, row in given.iterrows()], False) if tables else None
    if not hasattr(given, "to_list"):
        return None
    return given.index.to_list(), given.to_list(), given.name in _COUNT_COLUMNS


def in_class_order(name: str, given: Any, classes: Sequence[Hashable] | None = None) -> Any:
    """The values of what names its classes as a list in class order; anything else as it is.

    Parameters
    ----------
    name
        Name of the argument, for messages.
    given
        A mapping, a pandas Series (or a table of rows and columns by class), a `value_counts()` frame; or numbers in
        class order.
    classes
        Names of the classes in order, if they are known. Class indices 0 to C - 1 are also accepted.

    Raises
    ------
    UserError
        For keys that are neither the names nor the class indices, or leave a class out.

    Examples
    --------
    >>> in_class_order("weight", {1: 9.0, 0: 1.0})
    [1.0, 9.0]
    >>> in_class_order("weight", {"yes": 9.0, "no": 1.0}, ["no", "yes"])
    [1.0, 9.0]
    >>> in_class_order("weight", [1.0, 9.0])
    [1.0, 9.0]
    """
    found = keyed(name, given, tables=True)
    if found is None:
        return given
    if classes is None:
        if not found.keys:
            raise UserError(f"{name} has no entries; pass one value for each class")
        classes = range(len(found.keys))
        if class_indices(found.keys) is None:
            raise UserError(
                f"{name} has the keys {shown(found.keys)}, whose order is not known here; pass the values alone, in "
                f"the order of the model's outputs, or with the class indices 0 to {len(classes) - 1} as keys"
            )
    of_class = dict(zip(classes_meant(name, found.keys, classes), found.values, strict=True))
    return [in_class_order(name, of_class[one], classes) for one in classes]


def classes_meant(
    name: str, keys: Sequence[Hashable], classes: Sequence[Hashable], *, all_of_them: bool = True
) -> list[Hashable]:
    """For each key the class that it means: of that name, of that name as text, or of that index.

    Raises
    ------
    UserError
        For a key that means no class, and for a class without a key unless `all_of_them` is False.

    Examples
    --------
    >>> classes_meant("weight", ["1", "0"], [0, 1])
    [1, 0]
    """
    enough = not all_of_them or len(keys) == len(classes)
    known, by_text = set(classes), {str(one): one for one in classes}
    if enough and known.issuperset(keys):
        return list(keys)
    if enough and len(by_text) == len(known) and by_text.keys() >= {str(key) for key in keys}:
        return [by_text[str(key)] for key in keys]
    indices = class_indices(keys)
    if indices is not None and len(indices) == len(classes) and by_text.keys().isdisjoint(map(str, keys)):
        return [classes[place] for place in indices]
    given = set(keys)
    problems = [f"names {key!r}" for key in keys if key not in known][:1]
    if all_of_them:
        problems += [f"has no entry for class {one!r}" for one in classes if one not in given][:1]
    raise UserError(f"{name} {' and '.join(problems)}; the classes are {shown(classes)}, and the keys {shown(keys)}")


def class_indices(keys: Collection[Any]) -> list[int] | None:
    """The keys as class indices where they are just 0 to C - 1, in any order; also in text, as JSON writes them.

    In text up to ten of them: of more, the order of the text is another one than that of the numbers.

    Examples
    --------
    >>> class_indices([1, 0]), class_indices(["0", "1"]), class_indices([True, False]), class_indices([1, 2])
    ([1, 0], [0, 1], [1, 0], None)
    """
    numbers = _numbers(keys) if len(keys) <= 10 or not any(isinstance(key, str) for key in keys) else None
    return numbers if numbers is not None and sorted(numbers) == list(range(len(keys))) else None


def _numbers(keys: Iterable[Any]) -> list[int] | None:
    """Keys that are all whole numbers, or all their text, as numbers."""
    keys = list(keys)
    if keys and all(isinstance(key, int) for key in keys):
        return [int(key) for key in keys]
    if keys and all(isinstance(key, str) and key.removeprefix("-").isdecimal() and key.isascii() for key in keys):
        numbers = [int(key) for key in keys]
        return numbers if [str(number) for number in numbers] == keys else None
    return None


def ordered_names(names: Sequence[Hashable], of: Origin) -> list[Hashable]:
    """The classes that counts or labels name, each once, in the one order that they can have.

    Raises
    ------
    UserError
        For numbers that may not all be classes (negative ones, a gap), and for names without an order.

    Examples
    --------
    >>> ordered_names([1, 0, 2], LABELS)
    [0, 1, 2]
    """
    if not names:
        return []
    if all(isinstance(one, int) for one in names):
        _refuse_doubtful(dict(sorted((int(one), one) for one in names)), of)  # type: ignore[call-overload]
        return sorted(names)  # type: ignore[type-var]
    if len({isinstance(one, str) for one in names}) > 1:
        raise UserError(f"{of.title} mix text and numbers: {shown(names)}; convert them to one type first")
    try:
        order, sort = sorted(names), of.counted  # type: ignore[type-var]
    except TypeError:
        order, sort = list(names), False
    as_numbers = _numbers(names)
    if as_numbers is not None:
        _refuse_doubtful(dict(sorted(zip(as_numbers, names, strict=True))), of)
    if as_numbers is not None and [str(number) for number in sorted(as_numbers)] != order:
        raise UserError(
            f"{of.title} hold numbers as text, whose order as text ({shown(order)}) is not that of the numbers; "
            f"convert them to integers, or {of.remedy}"
        )
    if list(names) != order and not sort and as_numbers is None:
        raise UserError(
            f"{of.title} name the classes {shown(names)}, in an order that may have no meaning; {of.remedy}"
        )
    return order


def has_gap(names: Iterable[Hashable]) -> bool:
    """Whether integers leave out another one between them, or are negative: then one may be a mark and no class.

    Examples
    --------
    >>> has_gap([0, 1, 3]), has_gap([1, 2, 3]), has_gap([-1, 1]), has_gap(["a", "c"])
    (True, False, False, False)
    """
    names = list(names)
    if not names or not all(isinstance(one, int) for one in names):
        return False
    order = sorted(int(one) for one in names)  # type: ignore[call-overload]
    return order != [-1, 1] and (order[0] < 0 or order[-1] - order[0] >= len(order))  # a usual pair of classes


def _refuse_doubtful(names: Mapping[int, Hashable], of: Origin) -> None:
    """Raise where one of the numbers, from the least up, may be no class but a mark."""
    if not has_gap(names):
        return
    order = list(names)
    doubtful, why = order[0], "class indices start at 0"
    if doubtful >= 0:
        low, doubtful = [(low, high) for low, high in pairwise(order) if high > low + 1][-1]
        why = f"no {low + 1}" if doubtful == low + 2 else f"none from {low + 1} to {doubtful - 1}"
    mark = repr(names[doubtful])
    raise UserError(
        f"{of.title} hold {mark}, but {why} (found: {shown(names.values())}). If {mark} marks rows that have no class, "
        f"{of.leave_out.format(mark)}; if these are all classes, {of.remedy}"
    )


def shown(names: Iterable[Any]) -> str:
    """Names for a message, not more than a few."""
    names = list(names)
    if len(names) <= _SHOWN:
        return ", ".join(map(repr, names)) or "(none)"
    return f"{', '.join(map(repr, names[: _SHOWN - 1]))}, … {names[-1]!r} ({len(names)} in all)"
