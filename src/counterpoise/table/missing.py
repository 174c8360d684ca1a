"""What stands in a cell of text where a value is missing."""

import polars as pl

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")
# so many ways to say so in a column whose other cells are all numbers
MISSING_NUMBER = (
    "-",
    "--",
    ".",
    "N.A.",
    "n.a.",
    "n/a",
    "na",
    "None",
    "none",
    "#N/A",
    "#DIV/0!",
    "#VALUE!",
    "unknown",
    "missing",
)


def without_marks(text: pl.Series, marks: tuple[str, ...] = MISSING) -> pl.Series:
    """The values without blanks around them; missing where a mark stands.

    Examples
    --------
    >>> without_marks(pl.Series([" a ", "NA", ""])).to_list()
    ['a', None, None]
    """
    bare = text.str.strip_chars()
    return bare.set(bare.is_in(marks), None)
