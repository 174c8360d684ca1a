"""Numbers as people write them: separators, signs of money, percent, brackets and minus signs, and how to read them.

A cell such as 2,591 can be two numbers, and so can 2.591. The other cells of a column decide its meaning, then the
other columns of the file; if these do not, nothing is guessed. Later cells are read as the column was.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl

from counterpoise.errors import UserError

MARKS = (".", ",")
PERCENT, PER_MILLE = "%", "‰"
SCALES = {PERCENT: "e-2", PER_MILLE: "e-3"}
_MONEY = {
    "$": r"US\$|\$|USD",
    "€": r"€|EUR",
    "£": r"£|GBP",
    "¥": r"¥|￥|JPY",
    "₹": r"₹|Rs\.?|INR",
    "kr": r"kr\.?",
    "Fr.": r"S?Fr\.?|CHF",
    "R$": r"R\$|BRL",
    "A$": r"AU?\$|AUD",
    "C$": r"CA?\$|CAD",
    "NZ$": r"NZ\$|NZD",
    "HK$": r"HK\$|HKD",
    "S$": r"S\$|SGD",
    "NT$": r"NT\$|TWD",
    "MX$": r"MX\$|MXN",
    "zł": r"zł|PLN",
    "Kč": r"Kč|CZK",
    "Ft": r"Ft|HUF",
    "лв": r"лв\.?|BGN",
    "lei": r"lei|RON",
    "₽": r"₽|руб\.?|RUB",
    "₺": r"₺|TL|TRY",
    "₴": r"₴|UAH",
    "₩": r"₩|￦|KRW",
    "₪": r"₪|ILS",
    "₫": r"₫|VND",
    "₦": r"₦|NGN",
    "₱": r"₱|PHP",
    "฿": r"฿|THB",
    "Rp": r"Rp\.?|IDR",
    "元": r"元|CN¥|RMB|CNY",
} | {
    code: code
    for code in ("SEK", "NOK", "DKK", "ISK", "ZAR", "MYR", "AED", "SAR", "EGP", "KES", "ARS", "CLP", "COP", "PEN")
}
_UNITS = {PERCENT: r"%|％|﹪|٪", PER_MILLE: "‰"} | {unit: f"(?i:{spelled})" for unit, spelled in _MONEY.items()}
UNITS = ("", *_UNITS)
THOUSANDS = {",": ",", ".": r"\.", " ": r"\s", "'": "['’‘ʼ´`]"}
WORDS = {",": "comma", ".": "dot", " ": "blank", "'": "apostrophe"}
MINUS = "[\u2010-\u2013\u2212\ufe63\uff0d]"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How the numbers of a column are written; by default plainly.

    Parameters
    ----------
    decimal
        The mark before the fraction, a dot or a comma.
    thousands
        The mark between groups of digits: "" for none, a comma, a dot, a blank (of any width) or an apostrophe.
    unit
        The sign of a currency, "%" or "‰" that cells have, or "". 22.7% is 0.227.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    @property
    def in_words(self) -> str:
        """For the reader.

        Examples
        --------
        >>> NumberFormat(".", ",", "$").in_words, NumberFormat(",").in_words, NumberFormat(unit="%").in_words
        ('$ amounts with thousands commas', 'numbers with decimal commas', 'percentages')
        """
        what = {"": "numbers", PERCENT: "percentages", PER_MILLE: "per mille"}.get(self.unit, f"{self.unit} amounts")
        marks = [f"thousands {WORDS[self.thousands]}s"] if self.thousands else []
        marks += ["decimal commas"] if self.decimal == "," else []
        return what + (f" with {' and '.join(marks)}" if marks else "")


PLAIN = NumberFormat()
READINGS = tuple(
    NumberFormat(decimal, thousands) for decimal in MARKS for thousands in ("", *THOUSANDS) if thousands != decimal
)
"""All ways to write a number without a unit."""


def read_figures(text: pl.Series, how: NumberFormat = PLAIN) -> pl.Series:
    """Text as numbers; null where a cell is none, or is not written as `how` says.

    Where thousands are not set apart, a cell that is not written so is still read if only one number can be meant: the
    first number over a thousand may come after training.

    Parameters
    ----------
    text
        Cells without blanks around them (N,).
    how
        Marks of the numbers in the column.

    Examples
    --------
    >>> read_figures(pl.Series(["2,591.5", "(12)", "2.591.000"]), NumberFormat(".", ",")).to_list()
    [2591.5, -12.0, None]
    >>> read_figures(pl.Series(["22.7%", "0.227"]), NumberFormat(unit="%")).to_list()
    [0.227, None]
    >>> read_figures(pl.Series(["1.5", "0,5", "1,234", "1,234,567"])).to_list()
    [1.5, 0.5, None, 1234567.0]
    >>> read_figures(pl.Series(["0,5", "1.0", "1.200,50", "2.591"]), NumberFormat(",")).to_list()
    [0.5, 1.0, 1200.5, None]
    """
    plain = text.cast(pl.Float64, strict=False).fill_nan(None)
    if how.decimal != ".":
        plain = plain.set(text.str.contains(".", literal=True), None)
    if how.unit in SCALES:  # 0.227 among percentages is none of them
        plain = plain.set(plain != 0, None)
    left = plain.is_null() & text.is_not_null()
    if not left.any():
        return plain
    odd = text.filter(left).str.replace_all(MINUS, "-")
    values = read_exactly(odd, how)
    if not how.thousands and how.unit not in SCALES and values.null_count():
        found = [read_exactly(odd, replace(one, unit=how.unit)) for one in READINGS]
        low, high = (pl.select(pick(found)).to_series() for pick in (pl.min_horizontal, pl.max_horizontal))
        values = values.fill_null(low.set(low != high, None))
    return plain.scatter(left.arg_true(), values).alias(text.name)


def read_exactly(text: pl.Series, how: NumberFormat) -> pl.Series:
    """Cells that are written exactly so."""
    simple, decorated, negative = _patterns(how)
    bare = text.str.replace_all(THOUSANDS[how.thousands], "") if how.thousands else text
    figures = _with_points(bare, how).set(~text.str.contains(simple), None).cast(pl.Float64, strict=False)
    if how.unit in SCALES:
        figures = figures.set(figures != 0, None)
    odd = figures.is_null() & text.str.contains(decorated)
    if how.unit in SCALES:
        odd &= text.str.contains(_UNITS[how.unit])
    if not odd.any():
        return figures
    cells = text.filter(odd)
    digits = cells.str.replace_all(_UNITS[how.unit], "") if how.unit else cells
    digits = _with_points(digits.str.replace_all(rf"[^0-9{re.escape(how.decimal)}]", ""), how).str.strip_chars_end(".")
    values = (digits + SCALES.get(how.unit, "")).cast(pl.Float64)
    return figures.scatter(odd.arg_true(), (-values).zip_with(cells.str.contains(negative), values))


def _with_points(text: pl.Series, how: NumberFormat) -> pl.Series:
    return text if how.decimal == "." else text.str.replace(how.decimal, ".", literal=True)


@lru_cache
def _patterns(how: NumberFormat) -> tuple[str, str, str]:
    """What matches numbers with a sign and an exponent at most; with a unit, brackets or a sign elsewhere; below 0."""
    whole, point = r"[0-9]+", re.escape(how.decimal)
    if how.thousands:
        group = THOUSANDS[how.thousands]
        whole = (
            rf"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[1-9][0-9]?(?:{group}[0-9]{{2}})+{group}[0-9]{{3}}|[0-9]+)"
        )
    ends = rf"(?:{whole}(?:{point}[0-9]+)?|{point}[0-9]+)"
    simple = rf"^[-+]?{ends}(?:[eE][-+]?[0-9]+)?$"
    core = rf"(?:{ends}|{whole}{point}-{{1,2}})" if how.unit else ends  # 5,- is five crowns
    before, after = (rf"(?:(?:{_UNITS[how.unit]})\s?)?", rf"(?:\s?(?:{_UNITS[how.unit]}))?") if how.unit else ("", "")
    forms = (
        rf"(?:[-+]\s?)?{before}{core}{after}",
        rf"{before}[-+]\s?{core}{after}",
        rf"{before}{ends}\s?-{after}",
        rf"{before}{ends}{after}\s?-",
        rf"\(\s?{before}{core}{after}\s?\){after}",
        rf"{before}\(\s?{core}\s?\){after}",
    )
    return simple, f"^(?:{'|'.join(forms)})$", rf"^[^0-9]*[-(]|[0-9]{after}\s?-"


@lru_cache(maxsize=1024)
def unit_of(residue: str) -> str | None:
    """The unit whose sign is left of a cell without its figures, "" if nothing is; None for something else.

    Examples
    --------
    >>> unit_of("USD"), unit_of(""), unit_of("kg")
    ('$', '', None)
    """
    if residue in ("", "e", "E"):
        return ""
    return next((unit for unit, spelled in _UNITS.items() if re.fullmatch(spelled, residue)), None)


def meanings(cell: str) -> list[float]:
    """The numbers that a cell may be.

    Examples
    --------
    >>> meanings("1,234"), meanings("many")
    ([1.234, 1234.0], [])
    """
    text = pl.Series([cell.strip()]).str.replace_all(MINUS, "-")
    return sorted({value for how in READINGS if (value := read_exactly(text, how)[0]) is not None})


@dataclass(frozen=True, slots=True)
class Marks:
    """What the user says about numbers; it decides where columns do not.

    Parameters
    ----------
    decimal
        The mark before the fraction, "." or ","; None if not given.
    thousands
        The mark between groups of digits: ",", ".", " ", "'" or "" for none; None if not given.
    """

    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        if self.decimal not in (None, *MARKS):
            raise UserError(f"decimal is {self.decimal!r}; it is the mark before a fraction: '.' or ','")
        if self.thousands not in (None, "", ".", ",", " ", "'"):
            raise UserError(
                f"thousands is {self.thousands!r}; it is the mark between groups of digits: ',', '.', ' ' or \"'\", or "
                "'' for none"
            )
        if self.decimal is not None and self.decimal == self.thousands:
            raise UserError(f"decimal and thousands are both {self.decimal!r}; a mark has one meaning")

    def allow(self, how: NumberFormat) -> bool:
        """Whether numbers may be written so."""
        if self.decimal not in (None, how.decimal):
            return False
        return self.thousands is None or (how.decimal != self.thousands and how.thousands in ("", self.thousands))


SAID_NOTHING = Marks()
