"""Columns of text whose cells are numbers with something around them: 5 kg, 1.24k, 1_243, ="12", other digits.

They are not read as numbers, and the reader learns why.
"""

import polars as pl

from counterpoise.table.reading.number_columns import LOOKED_AT
from counterpoise.table.reading.sample import sample_of
from counterpoise.wording import quoted

_MOSTLY = 0.9
_FEW = 5
_SUFFIXED = r"^[-+(]?\(?[\p{Sc}]?\s?[0-9](?:[0-9.,'\s]*[0-9.])?\s?(\p{L}{1,6}\.?|°[CF]?)?\)?$"
_SIZES = "k tsd thousand m mm mio mn mln million b bn bio billion mrd md t tn lakh lac crore cr dr"
_SURE_SIZES = set(_SIZES.split()) - {"m", "mm", "b", "t", "md"}
_CAPITALS = {"M", "MM", "B"}
_NUMBERS = r"^=?[\"'’‘]?[-+]?\p{Nd}(?:[\p{Nd}.,_'’\s]*\p{Nd})?[\"'’]?\s?(?:\p{L}{1,6}\.?|°[CF]?)?$"
_NUMBERS += r"|^0[xX][0-9a-fA-F]+$|^[-+]?[0-9.,]+ [0-9]+/[0-9]+$|^[-+]?[0-9]+\.[0-9]+\.$"
_PLAIN = r"^[-+]?[0-9](?:[0-9.,\s]*[0-9])?$"
_WRAPPED = r"^=|^0[xX]|/|\.$|^[\"'’‘]|[\"'’]$|[0-9]_[0-9]|[^\P{Nd}0-9]"
_APART = r"[0-9.]\s?\p{Lu}|[0-9.]\s\p{L}"
"""A measure, and not the 1.2a of a version."""
_FRACTION = r"[0-9][.,][0-9]"


def mixed_sizes(text: pl.Series) -> str | None:
    """Why a column is in doubt in which cells such as 1.24k and 961 are numbers in different units.

    Examples
    --------
    >>> mixed_sizes(pl.Series("amount", ["1.24k", "961", "2.5M"]))
    "column 'amount' holds '1.24k' in data row 1 and '961' in data row 2; write only numbers, all in one unit"
    >>> mixed_sizes(pl.Series("seat", ["12A", "13B", "14K"])), mixed_sizes(pl.Series("weight", ["5 kg", "7 kg"]))
    (None, None)
    """
    held = text.drop_nulls()
    few = sample_of(held, LOOKED_AT)
    if few.is_empty() or int(few.str.contains(_SUFFIXED).sum()) <= _MOSTLY * len(few):
        return None
    numbers = text.str.contains(_SUFFIXED).fill_null(False)
    suffixes = text.str.extract(_SUFFIXED).fill_null("").str.strip_chars_end(".").set(~numbers, None)
    different = suffixes.drop_nulls().unique(maintain_order=True)
    if not 1 < len(different) <= _FEW or not all(one == "" or one.lower() in _SIZES.split() for one in different):
        return None
    if not any(one.lower() in _SURE_SIZES or one in _CAPITALS for one in different):
        return None
    first, second = (int((suffixes == one).fill_null(False).arg_max() or 0) for one in different.head(2))
    return (
        f"column {text.name!r} holds {quoted(text[first])} in data row {first + 1} and {quoted(text[second])} in data "
        f"row {second + 1}; write only numbers, all in one unit"
    )


def wrapped_numbers(text: pl.Series) -> str | None:
    """A sentence on a column of text whose cells are numbers with a measure, quotes, underscores or other digits.

    Examples
    --------
    >>> wrapped_numbers(pl.Series("weight", ["5 kg", "7.5 kg"]))
    "Column 'weight' holds text such as '5 kg': write only the number to have it read as one."
    >>> wrapped_numbers(pl.Series("zip", ["02134", "10001"])), wrapped_numbers(pl.Series("seat", ["12A", "13B"]))
    (None, None)
    """
    held = text.drop_nulls()
    few = sample_of(held, LOOKED_AT)
    numbers = few.filter(few.str.contains(_NUMBERS))
    odd = numbers.filter(~numbers.str.contains(_PLAIN))
    if odd.is_empty() or len(numbers) <= _MOSTLY * len(few):
        return None
    measures = odd.str.extract(r"[\p{Nd}.]\s?(\p{L}{1,6}\.?|°[CF]?)$")
    counted = measures.drop_nulls().value_counts(sort=True)
    same = len(counted) and int(counted["count"][0]) > _MOSTLY * len(few)
    few_measures = 0 < len(counted) <= _FEW and bool(
        odd.str.contains(_FRACTION).any() and odd.str.contains(_APART).any()
    )
    if not (same or few_measures or odd.str.contains(_WRAPPED).any()):
        return None
    return f"Column {text.name!r} holds text such as {quoted(odd[0])}: write only the number to have it read as one."
