"""Columns as people name them: names with commas between them, and shell patterns such as y_*."""

import csv
import difflib
import io
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral
from pathlib import Path

from counterpoise.errors import UserError
from counterpoise.wording import listed

_PATTERN = "*?["
_SHOWN = 30


def is_list(text: str) -> bool:
    """Whether a text that is no column's name can mean several columns.

    Examples
    --------
    >>> is_list("size"), is_list("a,b"), is_list("y_*")
    (False, True, True)
    """
    return "," in text or is_pattern(text)


def is_pattern(text: str) -> bool:
    """Whether it holds what stands for any characters."""
    return any(sign in text for sign in _PATTERN)


def parts_of(option: str, text: str | Sequence[str]) -> tuple[str, ...]:
    """The names and patterns between the commas; a name that holds a comma stands in double quotes. Of a list its own.

    Examples
    --------
    >>> parts_of("ignore", 'a, "b,c",y_*'), parts_of("ignore", ["b,c"])
    (('a', 'b,c', 'y_*'), ('b,c',))
    """
    if not isinstance(text, str):
        strange = [one for one in text if not isinstance(one, (str, Integral))]  # pandas makes names of numbers
        if strange:
            raise UserError(f"{option} holds a {type(strange[0]).__name__}; name columns")
        return tuple(dict.fromkeys(map(str, text)))
    found = [one.strip() for line in csv.reader(io.StringIO(text, newline=""), skipinitialspace=True) for one in line]
    if not found or "" in found:
        raise UserError(f"{option} {text!r} has an empty name; remove the extra comma")
    return tuple(dict.fromkeys(found))


def joined(names: Sequence[str]) -> str:
    """The text that `parts_of` takes apart again.

    Examples
    --------
    >>> joined(["a", "b,c"])
    'a,"b,c"'
    """
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue()[:-1]


def option_words(option: str, value: str) -> list[str]:
    """An option of a command with its value, as words of a shell; a value such as -x must not look like an option.

    Examples
    --------
    >>> option_words("group", "unit"), option_words("group", "-x")
    (['--group', 'unit'], ['--group=-x'])
    """
    return [f"--{option}={value}"] if value.startswith("-") else [f"--{option}", value]


def matched(columns: Sequence[str], part: str, option: str, path: Path) -> list[str]:
    """The columns that a name or a pattern means; a name that exists is no pattern. Blanks at its ends do not count.

    Raises
    ------
    UserError
        If there is none.

    Examples
    --------
    >>> matched(["y_a", "y_b", "size"], "y_*", "target", Path("t.csv"))
    ['y_a', 'y_b']
    >>> matched(["y_a", " size "], "size", "ignore", Path("t.csv"))
    [' size ']
    >>> matched(["y_a", "size"], "sise", "ignore", Path("t.csv"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: no column of t.csv matches ignore 'sise'; did you mean 'size'? its columns: y_a, size
    """
    if part in columns:
        return [part]
    found = [
        name for name in columns if is_pattern(part) and any(fnmatchcase(one, part) for one in (name, name.strip()))
    ]
    found = found or [name for name in columns if name.strip() == part.strip()]
    if not found:
        near = difflib.get_close_matches(part, columns, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        shown = listed(columns, _SHOWN)
        raise UserError(f"no column of {path} matches {option} {part!r}; {hint}its columns: {shown}")
    return found


def ignored_columns(columns: Sequence[str], ignore: Sequence[str], path: Path) -> tuple[str, ...]:
    """The columns that are left out, in the order of the table.

    Parameters
    ----------
    columns
        All names of the table.
    ignore
        Names and patterns.
    path
        Path of the table, for messages.

    Raises
    ------
    UserError
        If a name or a pattern matches no column, or together they match all.

    Examples
    --------
    >>> ignored_columns(["id", "size", "id_2"], ["id*"], Path("t.csv"))
    ('id', 'id_2')
    """
    found = {name for part in ignore for name in matched(columns, part, "ignore", path)}
    if len(found) == len(columns) > 0:
        raise UserError(f"ignore leaves out every column of {path}; name fewer of them")
    return tuple(name for name in columns if name in found)


def refuse_ignored(
    ignored: Collection[str], named: Mapping[str, str | Sequence[str] | None], columns: Collection[str] = ()
) -> None:
    """Refuse to ignore a column that has a part to play.

    Parameters
    ----------
    ignored
        The omitted columns.
    named
        For each option the column or columns that it names, including patterns and names with commas between them.
    columns
        All columns: a text that is the name of one means that one alone.

    Examples
    --------
    >>> refuse_ignored(["id", "day"], {"target": "y", "time": "day"})
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: ignore leaves out 'day', which is the time; take it from one of the two
    """
    for option, said in named.items():
        given = (said,) if isinstance(said, str) else said or ()
        parts = [part for one in given for part in _meant(option, one, {*columns, *ignored})]
        for name in ignored:
            if any(name == part or (is_pattern(part) and fnmatchcase(name, part)) for part in parts):
                raise UserError(f"ignore leaves out {name!r}, which is the {option}; take it from one of the two")


def _meant(option: str, text: str, columns: Collection[str]) -> tuple[str, ...]:
    return parts_of(option, text) if is_list(text) and text not in columns else (text,)
