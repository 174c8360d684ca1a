"""What is written cannot run in a spreadsheet, and is otherwise what was there."""

import csv
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.table.files import without_formulas, write_table, write_text

NUMBER = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
    st.integers().map("{:+d}".format),
)
DANGEROUS = tuple("=+-@\t\r")


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1", "\r=1", "=", "+", "-1-1", "＝1+1", "=<script>"],
)
def test_formulas_are_quoted(tmp_path, cell):
    out = tmp_path / "t.csv"
    write_table(pl.DataFrame({"decision": [cell, "no"], cell: [1, 2]}), out)
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["decision", f"'{cell}"], [f"'{cell}", "1"], ["no", "2"]]


@pytest.mark.parametrize("cell", ["-5", "+3.5", "-1e-7", "-0,5", "-.5", "-", "--", "a=b", "1-2", "", "-12%", "-inf"])
def test_numbers_and_words_are_left_alone(cell):
    frame = pl.DataFrame({"a": [cell, None]})
    assert without_formulas(frame).equals(frame)


@given(st.lists(st.one_of(st.text(), NUMBER), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_cell_begins_a_formula_and_none_is_lost(cells):
    written = without_formulas(pl.DataFrame({"a": cells}, schema={"a": pl.String}))["a"].to_list()
    for cell, text in zip(cells, written, strict=True):
        assert text in (cell, f"'{cell}")
        if text == cell and text.startswith(DANGEROUS):
            assert re.fullmatch(r"[-+]?[\d.,]+([eE][-+]?\d+)?%?|-+", text)


def test_categories_are_text_too():
    frame = pl.DataFrame({"a": pl.Series(["=1", "x"], dtype=pl.Categorical)})
    assert without_formulas(frame)["a"].to_list() == ["'=1", "x"]


def test_parquet_keeps_every_cell(tmp_path):
    frame = pl.DataFrame({"=a": ["=1+1", None], "n": [-1, 2]})
    write_table(frame, tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(frame)


def test_text_is_written_whole_or_not(tmp_path):
    write_text("größe\n", tmp_path / "a" / "t.json")
    assert (tmp_path / "a" / "t.json").read_bytes() == "größe\n".encode()
    with pytest.raises(UserError, match="exists already"):
        write_text("other", tmp_path / "a" / "t.json")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["t.json"]
