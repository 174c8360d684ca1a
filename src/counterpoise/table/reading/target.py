"""The target column: its classes, and the place of each row's class."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.reading.numbers import read_figures
from counterpoise.table.reading.table import Table, check_columns
from counterpoise.wording import data_rows, listed, quoted

_MOST_CLASSES = 200
_QUOTES = re.compile("[\"'`\u2018\u2019\u201c\u201d]")
_BETWEEN_WORDS = re.compile(r"\s+|_+|(?<=\w)\s*[-\u2010-\u2015]\s*(?=\w)")
_LONGER = {
    **dict.fromkeys(("1", "t", "yes"), ("true",)),
    **dict.fromkeys(("0", "f", "no"), ("false",)),
    "y": ("yes", "true"),
    "n": ("no", "false"),
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The target column: classes, in order, and the place of each row's class.

    Parameters
    ----------
    classes
        Values of the classes; of two classes the second is the positive one.
    codes
        Class indices (N,).
    positive
        The positive class, or None with more than two classes.
    alike
        Sentences on classes that differ only by spelling.
    stands_for
        Number of rows that each row stands for (N,), if the table is thinned; None: 1.
    """

    classes: tuple[str | int | float | bool, ...]
    codes: NDArray[np.int64]
    positive: str | int | float | bool | None
    alike: tuple[str, ...] = ()
    stands_for: NDArray[np.float64] | None = None


def read_labels(table: Table, target: str, positive: str | None = None) -> Labels:
    """Find the classes in the target column.

    Parameters
    ----------
    table
        The table.
    target
        Name of the column.
    positive
        The class of interest, as text. Of two classes the default is the rarer. With more than two, the others become
        one class, "not ...".

    Examples
    --------
    >>> from pathlib import Path
    >>> table = Table(pl.DataFrame({"y": ["b", "a", "b", "a", "b"]}), Path("t.csv"), typed=False)
    >>> labels = read_labels(table, "y")
    >>> labels.classes, labels.codes
    (('b', 'a'), array([0, 1, 0, 1, 0]))
    """
    check_columns(table, [target])
    column = plain_target(table, target)
    missing = np.flatnonzero(column.is_null().to_numpy())
    if len(missing):
        raise UserError(
            f"target {target!r} is missing in {len(missing)} of {len(column)} rows "
            f"({data_rows(missing)}); drop these rows first (words such as NA, None and null count as missing)"
        )
    values = column.unique().sort().to_list()
    if len(values) == 1:
        raise UserError(f"target {target!r} is {values[0]!r} in every row; a classifier needs two classes")
    if len(values) > _MOST_CLASSES and positive is None:
        raise UserError(
            f"target {target!r} has {len(values):,} distinct values, more than {_MOST_CLASSES}; is it a number to "
            "estimate, or an identifier? name one with positive, or join rare classes first"
        )
    codes = column.replace_strict(values, list(range(len(values))), return_dtype=pl.Int64).to_numpy()
    classes: tuple[str | int | float | bool, ...] = tuple(values)
    alike = tuple(alike_names(values))
    place = None if positive is None else _place(classes, positive, target)
    if len(classes) > 2 and place is not None:
        classes, codes = (f"not {classes[place]}", str(classes[place])), (codes == place).astype(np.int64)
        place = 1
    n = np.bincount(codes, minlength=len(classes))
    single = [k for k in range(len(classes)) if n[k] == 1]
    if single:
        where = int(np.flatnonzero(codes == single[0])[0])
        raise UserError(
            f"target {target!r}: class {classes[single[0]]!r} has one row (data row {where + 1})"
            + (f", and so have {len(single) - 1} other classes" if len(single) > 1 else "")
            + "; a class needs at least two rows, one to learn from and one to test on"
            + "".join(f"; {one}" for one in alike)
        )
    if len(classes) > 2:
        return Labels(classes, codes, None, alike)
    if place is None:
        place = 0 if n[0] < n[1] else 1
    if place == 0:
        classes, codes = classes[::-1], 1 - codes
    return Labels(classes, codes, classes[1], alike)


def alike_names(classes: Iterable[object]) -> list[str]:
    """A sentence for each group of classes that only differ by how they are spelled.

    Examples
    --------
    >>> alike_names(["yes", "no", "YES", "Yes"])
    ["classes 'YES', 'Yes', 'yes' differ only by capital letters, blanks, marks or zeros"]
    >>> alike_names(["True", "1", "False", "0"])
    ["classes '0', 'False' may mean the same", "classes '1', 'True' may mean the same"]
    >>> [one.partition(" differ")[0] for one in alike_names(["non-fraud", "non fraud", "A", "A+", "1", "1.0"])]
    ["classes '1', '1.0'", "classes 'non fraud', 'non-fraud'"]
    """
    names = sorted(one for one in classes if isinstance(one, str))
    bare = {one: _bare(one) for one in names}
    groups: dict[str, list[str]] = {}
    for one in names:
        groups.setdefault(_meaning(bare[one], set(bare.values())), []).append(one)
    return [
        f"classes {', '.join(map(quoted, alike))} "
        + (
            "may mean the same"
            if len({bare[one] for one in alike}) > 1
            else "differ only by capital letters, blanks, marks or zeros"
        )
        for alike in groups.values()
        if len(alike) > 1
    ]


def _meaning(word: str, others: set[str]) -> str:
    """The longer word for the same, such as true for 1, where it is a class as well; a T alone is a letter."""
    for longer in _LONGER.get(word, ()):
        if longer in others:
            return _meaning(longer, others)
    return word


def _bare(name: str) -> str:
    """A name without what one spells and another omits; A+ and A stay two."""
    seen = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) != "Cf")
    words = _BETWEEN_WORDS.sub(" ", _QUOTES.sub("", seen.casefold())).rstrip(".").strip()
    return f"{float(words):.17g}" if _NUMBER.fullmatch(words) else words


def plain_target(table: Table, target: str) -> pl.Series:
    """The cells of a target as classes: whole numbers, flags or text, and null where one is missing."""
    column = table.frame[target]
    if column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype.is_float():
        column = column.fill_nan(None)
        held = column.drop_nulls()
        if bool(held.is_infinite().any()):
            raise UserError(f"target {target!r} holds infinity, which is not a class")
        if bool((held != held.round(0)).any()):
            if held.n_unique() > 20:
                raise UserError(
                    f"target {target!r} holds {held.n_unique()} distinct fractions; it is a number to "
                    "estimate, not a class"
                )
            return column
        return _whole(column, target)
    if column.dtype.is_integer():
        return _whole(column, target)
    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Duration, pl.Object):
        raise UserError(
            f"target {target!r} has type {column.dtype}, which is not a class; make classes text, flags or small whole "
            "numbers"
        )
    if column.dtype == pl.Datetime:
        return _spelled_times(column)
    return column.cast(pl.String)


def _spelled_times(column: pl.Series) -> pl.Series:
    """Times as a file has them: a day alone where all are midnight, and no more digits than needed."""
    zone = getattr(column.dtype, "time_zone", None)
    if not zone and not (column.dt.time().cast(pl.Int64) != 0).any():
        return column.dt.date().cast(pl.String)
    return column.dt.strftime("%Y-%m-%d %H:%M:%S%.f" + ("%:z" if zone else ""))


def _whole(column: pl.Series, target: str) -> pl.Series:
    whole = column.cast(pl.Int64, strict=False)
    lost = column.is_not_null() & whole.is_null()
    if lost.any():
        place = int(lost.arg_max() or 0)
        raise UserError(
            f"target {target!r} is {column[place]} in data row {place + 1}, which is too large for a class; "
            "make classes small whole numbers or text"
        )
    return whole


def _place(classes: tuple[str | int | float | bool, ...], positive: str, target: str) -> int:
    spelled = [str(value).lower() if isinstance(value, bool) else str(value) for value in classes]
    wanted = positive.lower() if isinstance(classes[0], bool) else positive
    if wanted in spelled:
        return spelled.index(wanted)
    if not isinstance(classes[0], (str, bool)):  # 1.0 is the class 1
        number = read_figures(pl.Series([positive]))[0]
        alike = [place for place, value in enumerate(classes) if value == number]
        if alike:
            return alike[0]
    raise UserError(f"target {target!r} is never {positive!r}; its values: {listed(spelled, 20)}")
