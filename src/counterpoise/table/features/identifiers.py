"""Columns that only identify their rows: counters, codes, addresses.

Nothing that is learned from them holds for new rows.

The evidence is in the cells: a number that counts the rows, or never repeats where numbers drawn at random would; text
that hardly repeats and is one word, one shape or no prose. Numbers get the benefit of the doubt: an amount, a time or a
measurement that never repeats stays one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterpoise.table.features.signal import FOLDS, cells_of, signal
from counterpoise.table.features.text import CHARACTERS, WORDS, text_unit
from counterpoise.table.reading.sample import sample_of

_LEAST_UNIQUE = 20
_HARDLY_REPEATS = 0.9
_LOOKED_AT = 5_000
_MOSTLY = 0.9
_NAMED = re.compile(r"(^|[\s_.\-])(id|ids|uuid|guid|nbr|number|num|no|nr|key|index)$", re.IGNORECASE)
_SURELY_NAMED = re.compile(r"(^|[\s_.\-])(id|ids|uuid|guid|phone|telephone|mobile|fax|ssn|iban)$", re.IGNORECASE)
_CAMEL = re.compile(r"[a-z](Id|ID)$")
_REPEATS_BY_CHANCE = 5
_MOMENTS = (946_684_800, 2_208_988_800)  # 2000 to 2040 in seconds
_FEWEST_DIGITS = 8
_SPREAD = 0.2
_TELLING_AUC = 0.55
_MAIL = r"^[^\s@]+@[^\s@]+\.[^\s@.]+$"
_RANDOM = 0.97
"""Of the largest entropy that characters can have: words, chemical formulas and paths have less."""
_LETTERS_OF_CODES = 16
_PROSE_WORDS = 5
_SHAPES = 0.02
_LETTERED_WORDS = 3


@dataclass(frozen=True, slots=True)
class Identifier:
    """A column that identifies rows and carries no information about new ones.

    Parameters
    ----------
    column
        Name of the column.
    why
        The evidence, in words.
    repeats
        Whether it identifies something with several rows, which a group split should keep together.
    certain
        Whether the cells leave no doubt, so that training omits the column.
    """

    column: str
    why: str
    repeats: bool
    certain: bool = True


def find_identifier(column: pl.Series, tells: Callable[[], bool] = lambda: False) -> Identifier | None:
    """Whether a column identifies rows: it counts them, hardly repeats and is not prose, or its name shows it.

    Parameters
    ----------
    column
        Column of any type.
    tells
        Whether the column alone predicts a class, as `tells_classes` finds out; whole numbers are then measurements
        after all, unless they count the rows. It is called only in case of doubt.

    Examples
    --------
    >>> find_identifier(pl.Series("row", range(100))).why
    'it counts the rows'
    >>> find_identifier(pl.Series("visit", [f"1997:{k % 12 + 1}:{k}:1" for k in range(100)])).why
    '100 distinct codes in 100 rows'
    >>> find_identifier(pl.Series("size", [k * k % 101 for k in range(100)])) is None
    True
    """
    held = column.drop_nulls()
    if column.dtype.is_float():
        held = _whole(held)
    if len(held) < _LEAST_UNIQUE:
        return None
    unique = held.n_unique()
    found = None
    if held.dtype in (pl.String, pl.Categorical, pl.Enum):
        found = _of_text(column.name, held.cast(pl.String), unique)
    elif held.dtype.is_integer():
        found = _of_numbers(column.name, held, unique, tells)
    if found is None and held.dtype != pl.Boolean and (_NAMED.search(column.name) or _CAMEL.search(column.name)):
        return _by_its_name(column.name, held, unique)
    return found


def _by_its_name(name: str, held: pl.Series, unique: int) -> Identifier | None:
    plain = held.dtype.is_integer() or held.dtype in (pl.String, pl.Categorical, pl.Enum)
    if not plain or unique < 0.2 * len(held):
        return None
    why = f"its name says so, and it has {unique:,} values in {len(held):,} rows"
    return Identifier(name, why, unique < len(held), certain=False)


def _whole(held: pl.Series) -> pl.Series:
    """Whole numbers among which an empty cell made fractions; none if there are any fractions."""
    values = held.to_numpy()
    values = values[~np.isnan(values)]
    if np.isinf(values).any() or (values % 1 != 0).any():
        return pl.Series([], dtype=pl.Int64)
    return pl.Series(values).cast(pl.Int64, strict=False).drop_nulls()


def _of_numbers(name: str, held: pl.Series, unique: int, tells: Callable[[], bool]) -> Identifier | None:
    whole = held.cast(pl.Int64, strict=False)
    if whole.null_count():  # beyond 64 bits nobody counts or measures
        why = f"{unique:,} distinct numbers of more than 18 digits"
        return Identifier(name, why, False) if unique == len(held) else None
    values = whole.to_numpy()
    steps = np.diff(values)
    if (_SURELY_NAMED.search(name) or _CAMEL.search(name)) and unique >= _HARDLY_REPEATS * len(held):
        why = f"its name says so, and it has {unique:,} values in {len(held):,} rows"
        return Identifier(name, why, unique < len(held))
    if unique < len(held):
        forward = float((steps == 1).mean())
        if forward < 0.9 or unique < _LEAST_UNIQUE:
            return None
        restarts = int((steps != 1).sum())
        why = f"it counts up in the order of the rows, and restarts {restarts:,} times"
        return Identifier(name, why, repeats=True, certain=False)
    moments = _are_moments(values)
    if (steps == steps[0]).all():
        return Identifier(name, "it counts the rows", False, certain=abs(int(steps[0])) == 1 and not moments)
    spread = int(values.max()) - int(values.min()) + 1
    by_chance = len(held) * (len(held) - 1) / 2 / spread
    if by_chance >= _REPEATS_BY_CHANCE:
        counted = bool((steps > 0).all()) and float((steps == 1).mean()) >= 0.5
        certain = not moments and (counted or not tells())
        why = f"it never repeats, where numbers drawn at random would {by_chance:,.0f} times"
        return Identifier(name, why, False, certain)
    digits = len(str(values.max()))
    if int(values.min()) >= 10 ** (digits - 1) >= 10 ** (_FEWEST_DIGITS - 1) and spread >= _SPREAD * 10**digits:
        certain = not moments and not tells()
        return Identifier(name, f"{unique:,} distinct numbers, all of {digits} digits", False, certain)
    return None


def _are_moments(values: NDArray[np.int64]) -> bool:
    """Whether all are times since 1970 (in seconds to nanoseconds), or days written as 20240131."""
    low, high = int(values.min()), int(values.max())
    for unit in (1, 10**3, 10**6, 10**9):
        if _MOMENTS[0] * unit <= low and high < _MOMENTS[1] * unit:
            return True
    digits = len(str(high))
    if digits not in (8, 10, 12, 14) or len(str(low)) != digits:
        return False
    day = values // 10 ** (digits - 8)
    month, of_month = day // 100 % 100, day % 100
    return bool(((day // 10_000 >= 1900) & (day // 10_000 < 2100) & (month >= 1) & (month <= 12)).all()) and bool(
        ((of_month >= 1) & (of_month <= 31)).all()
    )


def tells_classes(column: pl.Series, codes: NDArray[np.int64]) -> bool:
    """Whether the column alone predicts a class better than chance, out of fold.

    Parameters
    ----------
    column
        Column of any type.
    codes
        Class indices, (N,).

    Examples
    --------
    >>> rank = np.random.default_rng(0).permutation(1000)
    >>> tells_classes(pl.Series(rank), (rank > 900).astype(np.int64)), tells_classes(pl.Series(rank), rank % 2)
    (True, False)
    """
    classes = int(codes.max(initial=0)) + 1
    cells = cells_of(column, classes=classes)
    if cells is None or classes < 2:
        return False
    auc = signal(cells, codes, np.arange(len(codes)) * 7919 % len(codes) % FOLDS, classes).auc
    rows = np.bincount(codes, minlength=classes)
    spread = np.sqrt(1 / 12 / np.maximum(np.minimum(rows, rows.sum() - rows), 1))  # of an AUC of one half, about
    return bool(np.any(np.nan_to_num(auc, nan=0.5) > np.maximum(_TELLING_AUC, 0.5 + 3 * spread)))


def _of_text(name: str, held: pl.Series, unique: int) -> Identifier | None:
    if unique < _HARDLY_REPEATS * len(held):
        return None
    sample = sample_of(held, _LOOKED_AT).str.strip_chars()
    kind = _kind_of_names(sample)
    if kind is None:
        return None
    certain = kind != _PEOPLE
    return Identifier(name, f"{unique:,} distinct {kind} in {len(held):,} rows", unique < len(held), certain)


_PEOPLE = "short names"


def _kind_of_names(cells: pl.Series) -> str | None:
    """What text that hardly repeats consists of, or None if it is prose."""
    if _share(cells.str.contains(_MAIL)) >= _MOSTLY:
        return "e-mail addresses"
    if _share(~cells.str.contains(r"\p{L}")) >= _MOSTLY:
        return "codes"
    if _few_shapes(cells) and _share(cells.str.count_matches(r"\S*\p{L}\S*") <= _LETTERED_WORDS) >= _MOSTLY:
        return "codes"
    words = cells.str.count_matches(r"\S+")
    unit = text_unit(cells)
    if unit == CHARACTERS:
        return "random codes" if _is_random(cells) else None
    if unit == WORDS:
        lettered = cells.str.contains(r"^[\p{L}\p{M}\s.,'’-]+$") & (words >= 2) & (words <= 4)
        return _PEOPLE if _share(lettered) >= _MOSTLY else None
    return "words" if float(words.mean() or 0.0) < _PROSE_WORDS else None  # type: ignore[arg-type]


def _share(found: pl.Series) -> float:
    return float(found.sum()) / max(1, len(found))


def _few_shapes(cells: pl.Series) -> bool:
    """Whether nearly all cells are alike but for figures (hexadecimal ones too) and up to three capitals in a row."""
    shapes = cells.str.replace_all(r"\b[0-9a-fA-F]*[0-9][0-9a-fA-F]{7,}\b", "#").str.replace_all(r"\d+", "#")
    shapes = shapes.str.replace_all(r"\b\p{Lu}{1,3}\b", "A")
    counted = shapes.value_counts(sort=True)["count"].head(max(1, int(_SHAPES * len(cells))))
    return int(counted.sum()) >= _MOSTLY * len(cells)


def _is_random(cells: pl.Series) -> bool:
    """Whether letters and figures follow each other as if drawn: a hash, a token."""
    mixed = cells.str.contains(r"\d") & cells.str.contains(r"\p{L}") & ~cells.str.contains(r"\s")
    if _share(mixed) < _MOSTLY:
        return False
    counts = cells.str.slice(4).str.split("").explode().value_counts()["count"].to_numpy()
    share = counts / counts.sum()
    return len(share) >= _LETTERS_OF_CODES and bool(-(share * np.log(share)).sum() >= _RANDOM * np.log(len(share)))
