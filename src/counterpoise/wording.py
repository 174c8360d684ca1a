"""How messages and pages write shares, intervals, numbers of things, lists and values: one way for each."""

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def percent(share: float) -> str:
    """A share for a reader.

    Parameters
    ----------
    share
        Share in [0, 1].

    Returns
    -------
    str
        The share as a percentage: one decimal between 1% and 99%; below, two significant digits; above, as many
        decimals as separate the share from all. "0%" is none and "100%" is all, exactly. The script of the report's
        page writes shares in the same way.

    Examples
    --------
    >>> percent(0.0), percent(0.00194), percent(0.5), percent(1 / 3), percent(0.9996), percent(1.0)
    ('0%', '0.19%', '50%', '33.3%', '99.96%', '100%')
    """
    value = 100 * float(share)
    if value < 1:
        decimals = 1 - _exponent(value) if value > 0 else 0
    else:
        decimals = max(1, -_exponent(100 - value)) if 99 < value < 100 else 1
    # half up, as JavaScript rounds, where Python's own rounding goes to the even neighbour
    digits = f"{Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + "%"


def _exponent(value: float) -> int:
    """The power of ten of the first digit of a number's shortest decimal form."""
    return Decimal(repr(value)).adjusted()


class _Estimate(Protocol):
    """A value with its interval, and why the interval is unusual, or "" (`counterpoise.decide.measured.Measured`)."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def why(self) -> str: ...


def interval(found: _Estimate, digits: int = 2, *, written: Callable[[float], str] | None = None) -> str:
    """A value with its interval.

    Parameters
    ----------
    found
        Value, ends of its interval, and the reason for an unusual one.
    digits
        Number of decimals, at least 0.
    written
        How to write each number, such as `percent`; the default writes `digits` decimals.

    Examples
    --------
    >>> from counterpoise.decide.measured import Measured
    >>> interval(Measured(0.5, 0.31, 0.69)), interval(Measured(1.0, 0.05, 1.0, "all of 1 row"), written=percent)
    ('0.50 (0.31 to 0.69)', '100% (5% to 100%; all of 1 row)')
    """
    value, low, high = (
        f"{one:.{digits}f}" if written is None else written(one) for one in (found.value, found.low, found.high)
    )
    return f"{value} ({low} to {high}{'; ' if found.why else ''}{found.why})"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number of things, with the word that agrees with it: `many` is `one` with an s unless given.

    Examples
    --------
    >>> plural(1, "row"), plural(0, "row"), plural(2300, "class", "classes")
    ('1 row', '0 rows', '2,300 classes')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(items: Iterable[object], most: int = 5) -> str:
    """The first items of a list, and how many more there are.

    Examples
    --------
    >>> listed("ab"), listed("abcdefg"), listed(map(quoted, ["red", "blue"]), most=1)
    ('a, b', 'a, b, c, d, e and 2 more', "'red' and 1 more")
    """
    words = [str(item) for item in items]
    left = len(words) - most
    return ", ".join(words[:most]) + (f" and {left:,} more" if left > 0 else "")


def quoted(value: object, most: int = 40) -> str:
    """A value in quotes, cut where it would fill the message.

    Examples
    --------
    >>> quoted("red"), quoted("ab" * 100, most=6)
    ("'red'", "'ababab…'")
    """
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")


def data_rows(places: NDArray[np.int64], most: int = 5) -> str:
    """Row numbers for a message, counted from 1 without the header.

    Examples
    --------
    >>> data_rows(np.array([1, 4]))
    'data rows 2, 5'
    """
    return f"data row{'s' if len(places) > 1 else ''} {listed((place + 1 for place in places), most)}"
