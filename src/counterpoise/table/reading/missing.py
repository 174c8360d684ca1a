"""Marks of a missing value in a cell of text; the same for every source."""

import polars as pl

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NaT",
    "null",
    "NULL",
    "Null",
    "<null>",
    "(null)",
    "None",
    "\\N",
    "?",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "#DIV/0!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NUM!",
    "#NULL!",
    "1.#IND",
    "-1.#IND",
    "1.#QNAN",
    "-1.#QNAN",
)
"""Missing in any column, spelled so: what pandas, Excel and databases write; a frame that pandas read lacks them."""
MISSING_NUMBER = (
    "-",
    "--",
    "---",
    "–",
    "—",
    ".",
    "..",
    "...",
    "…",
    "n.a.",
    "n/a",
    "na",
    "n/d",
    "nd",
    "nan",
    "nil",
    "none",
    "null",
    "unknown",
    "missing",
    "not available",
    "#n/a",
)
"""Missing as well, in small or capital letters, in a column whose other cells are numbers or flags."""


def without_marks(text: pl.Series, *, among_numbers: bool = False) -> pl.Series:
    """The values without blanks around them; missing where a mark stands.

    Examples
    --------
    >>> without_marks(pl.Series([" a ", "NA", "", "unknown"])).to_list()
    ['a', None, None, 'unknown']
    >>> without_marks(pl.Series(["5", "Unknown"]), among_numbers=True).to_list()
    ['5', None]
    """
    bare = text.str.strip_chars()
    marked = bare.is_in(MISSING)
    if among_numbers:
        marked |= bare.str.to_lowercase().is_in(MISSING_NUMBER)
    return bare.set(marked, None)
