"""Numbers as people write them: each way in each country, and never a number that is only likely."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.table.reading.numbers import PLAIN, READINGS, NumberFormat, meanings, read_figures

COMMAS, DOTS = NumberFormat(".", ","), NumberFormat(",", ".")
BLANKS, MARKS = NumberFormat(",", " "), NumberFormat(".", "'")


@pytest.mark.parametrize(
    "how, cells",
    [
        (
            PLAIN,
            {
                "2.591": 2.591, "2591": 2591.0, "-.5": -0.5, "1e3": 1000.0, "+7": 7.0, "0,5": 0.5, "12,25": 12.25,
                "1234,567": 1234.567, "0,786": 0.786, "1,234,567": 1234567.0, "1.234.567": 1234567.0, "1,5E+03": 1500.0,
                "1,234.5": 1234.5, "1.234,5": 1234.5, "1 234": 1234.0, "1'234.5": 1234.5, "12,34,567": 1234567.0,
                "(5)": -5.0, "5-": -5.0, "\u22125": -5.0, "- 5": -5.0,
                "1,234": None, "-1,234": None, "(1,234)": None, "$5": None, "5%": None, "--5": None, "(5": None,
                "5 kg": None, "1/2": None, "12:30": None, "1.2.3": None, "\u0661": None, "1_000": None, "0x1F": None,
            },
        ),
        (
            COMMAS,
            {
                "2,591": 2591.0, "2591": 2591.0, "2,590.87": 2590.87, "(1,234.50)": -1234.5, "1,234-": -1234.0,
                "0.5": 0.5, "1,00,000": 100000.0,
                "2.591,5": None, "0,786": None, "12,34": None, "1,2345": None, ",5": None, "1 234": None,
            },
        ),
        (
            DOTS,
            {
                "2.591": 2591.0, "2.591,5": 2591.5, "0,786": 0.786, "1,5e3": 1500.0, "12.345.678": 12345678.0,
                "0.786": None, "2.5": None, "1.5e3": None, "2.59": None, "1,234.5": None,
            },
        ),
        (BLANKS, {"1 234,5": 1234.5, "1\u202f234": 1234.0, "1\u00a0234\u2009567": 1234567.0, "12 34": None}),
        (MARKS, {"1'234.50": 1234.5, "1\u2019234": 1234.0, "1`234": 1234.0, "1'23": None}),
        (
            NumberFormat(".", ",", "$"),
            {
                "$2,590.87": 2590.87, "2,590.87": 2590.87, "USD 5": 5.0, "5 usd": 5.0, "US$5": 5.0, "-$5": -5.0,
                "$-5": -5.0, "$5-": -5.0, "($5)": -5.0, "$(5)": -5.0, "$.50": 0.5,
                "\u20ac5": None, "A$5": None, "$": None, "$5%": None, "CAD 5": None,
            },
        ),
        (
            NumberFormat(",", ".", "\u20ac"),
            {"1.234,50 \u20ac": 1234.5, "\u20ac 5": 5.0, "EUR5": 5.0, "5,- \u20ac": 5.0},
        ),
        (
            NumberFormat(",", " ", "kr"),
            {"1 234,50 kr": 1234.5, "kr. 5": 5.0, "12,-": 12.0, "-5 kr": -5.0, "5 kr-": -5.0},
        ),
        (NumberFormat(".", "'", "Fr."), {"CHF 1'234.50": 1234.5, "Fr. 5.-": 5.0, "5 SFr.": 5.0, "-5.\u2013": -5.0}),
        (NumberFormat(".", ",", "\u20b9"), {"\u20b9 12,34,567.89": 1234567.89, "Rs. 5": 5.0, "Rs 1,00,000": 100000.0}),
        (
            NumberFormat(unit="%"),
            {"22.7%": 0.227, "100 %": 1.0, "-3%": -0.03, "%5": 0.05, "0": 0.0, "0.227": None, "5": None},
        ),
        (NumberFormat(",", unit="%"), {"22,7 %": 0.227, "(3%)": -0.03, "22.7%": None}),
        (NumberFormat(unit="\u2030"), {"5\u2030": 0.005, "5%": None}),
    ],
    ids=lambda one: one.in_words if isinstance(one, NumberFormat) else "",
)  # fmt: skip
def test_a_cell_is_the_number_that_its_column_says(how, cells):
    assert dict(zip(cells, read_figures(pl.Series(list(cells)), how), strict=True)) == cells


WAYS = [how for how in READINGS if how.thousands]
SIGNED = ["{}", "-{}", "({})", "{}-", "\u2212{}"]
UNITS = [("", "{}"), ("$", "${}"), ("\u20ac", "{} \u20ac"), ("\u00a3", "GBP {}"), ("kr", "{} kr"), ("%", "{}%")]


@given(
    value=st.decimals(0, 10**9, places=2),
    how=st.sampled_from(WAYS),
    sign=st.sampled_from(SIGNED),
    unit=st.sampled_from(UNITS),
)
def test_what_is_written_is_read_back(value, how, sign, unit):
    name, pattern = unit
    text = f"{value:,.2f}".translate({ord(","): how.thousands, ord("."): how.decimal})
    cell = sign.format(pattern.format(text))
    expected = float(value) * (1 if sign == "{}" else -1)
    (found,) = read_figures(pl.Series([cell]), NumberFormat(how.decimal, how.thousands, name))
    assert found == float(f"{expected!r}e-2") if name == "%" else found == expected


@given(cell=st.text(alphabet="0123456789.,-'() $%e", max_size=9))
def test_a_plain_column_reads_no_cell_that_may_be_two_numbers(cell):
    (found,) = read_figures(pl.Series([cell.strip()]))
    meant = meanings(cell)
    try:
        plain = float(cell)
    except ValueError:
        assert found == (meant[0] if len(meant) == 1 else None)
    else:
        assert found == plain or plain in (float("inf"),)


def test_words_for_the_reader():
    assert DOTS.in_words == "numbers with thousands dots and decimal commas"
    assert NumberFormat(".", "'", "Fr.").in_words == "Fr. amounts with thousands apostrophes"
