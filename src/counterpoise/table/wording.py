"""Words that messages share."""

import math

import numpy as np
from numpy.typing import NDArray


def quoted(value: object, most: int = 40) -> str:
    """A cell for a message, which a long one must not fill.

    Examples
    --------
    >>> quoted("red"), quoted("ab" * 100, most=6)
    ("'red'", "'ababab…'")
    """
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")


def percent(share: float) -> str:
    """A share for people.

    Examples
    --------
    >>> percent(0.004), percent(0.5), percent(1 / 3), percent(1.0), percent(0.9996)
    ('0.4%', '50%', '33%', '100%', '99.96%')
    """
    if 0.99 < share < 1:  # so many decimals that it is not called all
        return f"{100 * share:.{max(1, -math.floor(math.log10(100 * (1 - share))))}f}%"
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.3g}%"


def data_rows(places: NDArray[np.int64], most: int = 5) -> str:
    """Row numbers for a message, counted from 1 without the header.

    Examples
    --------
    >>> data_rows(np.array([1, 4]))
    'data rows 2, 5'
    """
    shown = ", ".join(str(place + 1) for place in places[:most])
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"data row{'s' if len(places) > 1 else ''} {shown}{more}"
