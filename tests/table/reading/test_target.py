"""Targets as people write them, rows that hold nothing, and what is told of both."""

import warnings

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table, train_table
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.compare import compare_table
from counterpoise.table.reading.table import Table, read_table, with_numbers, without_empty_rows
from counterpoise.table.reading.target import alike_names, read_labels

pytestmark = pytest.mark.slow

ROWS = 200
SIZE = np.round(np.random.default_rng(0).normal(size=ROWS), 3)
BAD = SIZE > 0.7
ASKED = {"learners": ("logistic",), "budget": 2.0}


def frame(yes="yes", no="no", **more):
    return pl.DataFrame({"size": SIZE, "bad": np.where(BAD, yes, no)} | more)


@pytest.mark.parametrize(
    "classes, expected",
    [
        (["yes", "no"], []),
        (["YES", "Yes", "no"], ["classes 'YES', 'Yes' differ only by capital letters, blanks, marks or zeros"]),
        (
            ["in  time", "in time", "late"],
            ["classes 'in  time', 'in time' differ only by capital letters, blanks, marks or zeros"],
        ),
        (["Stra\u00dfe", "strasse"], ["classes 'Strasse', 'stra\u00dfe' differ"]),
        (
            ["caf\u00e9", "cafe\u0301"],
            ["classes 'cafe\u0301', 'caf\u00e9' differ only by capital letters, blanks, marks or zeros"],
        ),
        ([0, 1], []),
        (["non-fraud", "non fraud", "non_fraud"], ["classes 'non fraud', 'non-fraud', 'non_fraud' differ"]),
        (["\u200byes", "yes", "'yes'", "yes."], ["classes \"'yes'\", 'yes', 'yes.', '\\u200byes' differ"]),
        (["1", "1.0", "01", "2"], ["classes '01', '1', '1.0' differ"]),
        (["A", "A+", "A-", "C", "C++", "C#", "1-2", "12", "-1", "1.5", "15"], []),
    ],
)
def test_names_of_classes_that_are_alike(classes, expected):
    found = alike_names(classes)
    assert len(found) == len(expected)
    assert all(one.casefold().startswith(start[:20].casefold()) for one, start in zip(found, expected, strict=True))


def test_classes_that_only_differ_by_capital_letters_are_told_everywhere(tmp_path):
    cells = np.where(np.arange(ROWS) % 5 == 0, np.char.upper(frame()["bad"].to_numpy().astype(str)), frame()["bad"])
    spoilt = frame().with_columns(bad=pl.Series([f" {one} " for one in cells]))  # blanks make no class
    spoilt.write_csv(tmp_path / "t.csv")
    audited = audit_table(tmp_path / "t.csv", target="bad")
    assert [one.name for one in audited.classes] == ["NO", "YES", "no", "yes"]
    assert audited.alike == (
        "classes 'NO', 'no' differ only by capital letters, blanks, marks or zeros",
        "classes 'YES', 'yes' differ only by capital letters, blanks, marks or zeros",
    )
    (finding,) = [one for one in audited.findings if "alike" in one.title]
    assert finding.severity == "look"
    alike = "differ only by capital letters, blanks, marks or zeros"
    with (
        pytest.warns(UserWarning, match=f"target 'bad': classes 'NO', 'no' {alike}"),
        pytest.warns(UserWarning, match=f"target 'bad': classes 'YES', 'yes' {alike}"),
    ):
        found = cp.train(spoilt, target="bad", **ASKED)
    assert sum("differ only by capital letters" in note for note in found.notes) == 2


def test_a_class_of_one_row_that_is_another_is_told_in_its_refusal():
    cells = frame()["bad"].to_list()
    cells[cells.index("yes")] = "Yes"
    with pytest.raises(
        UserError, match=r"class 'Yes' has one row .*; classes 'Yes', 'yes' differ only by capital letters"
    ):
        read_labels(Table(pl.DataFrame({"bad": cells}), "t.csv", typed=False), "bad")


@pytest.mark.parametrize("word", ["NA", "None", "null", "n/a", "?", " "])
def test_a_target_that_is_missing_says_what_counts_as_missing(word):
    cells = ["yes", word, "no", "yes"]
    read = with_numbers(Table(pl.DataFrame({"bad": cells}), "t.parquet", typed=True), ["bad"])
    with pytest.raises(UserError, match=r"missing in 1 of 4 rows \(data row 2\).*words such as NA, None and null"):
        read_labels(read, "bad")


@pytest.mark.parametrize(
    "yes, no, classes",
    [
        ("$1,000", "$2,000", (2000, 1000)),
        ("1.000,0", "0,0", (0, 1000)),
        ("100%", "0%", (0, 1)),
        ("1,0", "0,0", (0, 1)),
        (" TRUE", "False ", (False, True)),
        ("(1)", "1", (1, -1)),
    ],
)
def test_a_target_of_a_file_may_be_written_as_numbers_are(yes, no, classes, tmp_path):
    frame(yes, no).write_csv(tmp_path / "t.csv", separator=";")
    assert cp.train(tmp_path / "t.csv", target="bad", **ASKED).labels.classes == classes


@pytest.mark.parametrize("how", ["{:,.1f} kr", "{:.2%}", "${:.2f}", "{:.1f}"])
def test_weights_may_be_written_as_numbers_are(how, tmp_path):
    weight = np.where(BAD, 1500.0, 500.0)
    frame(w=weight).write_csv(tmp_path / "plain.csv")
    frame(w=pl.Series([how.format(one) for one in weight])).write_csv(tmp_path / "t.csv")
    found, plain = (cp.train(tmp_path / name, target="bad", weight="w", **ASKED) for name in ("t.csv", "plain.csv"))
    np.testing.assert_allclose(found.predict_proba(frame()), plain.predict_proba(frame()), rtol=1e-6)


def test_weights_in_doubt_are_refused_with_the_way_out(tmp_path):
    frame(w="1,500").with_columns(x=pl.int_range(ROWS)).select("x", "w", "bad").write_csv(
        tmp_path / "t.csv", separator="\t"
    )
    with pytest.raises(
        UserError, match=r"column 'w' holds '1,500' in data row 1, which is 1500 or 1.5; give the decimal mark"
    ):
        cp.train(tmp_path / "t.csv", target="bad", weight="w", **ASKED)
    assert cp.train(tmp_path / "t.csv", target="bad", weight="w", decimal=".", **ASKED).target == "bad"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_separators_only_teach_nothing_and_are_scored_as_at_every_door(separator, tmp_path):
    whole = frame(kind=["a", "b"] * (ROWS // 2)).select("size", "kind", "bad")
    whole.write_csv(tmp_path / "plain.csv", separator=separator)
    text = (tmp_path / "plain.csv").read_text() + f"{separator * 2}\n {separator} {separator}\n"
    (tmp_path / "t.csv").write_text(text)
    found = train_table(tmp_path / "t.csv", target="bad", out=tmp_path / "m", **ASKED)
    assert "2 rows are empty and were left out (data rows 201, 202)." in found.notes
    assert sum(found.counts.n) == ROWS
    assert (
        "2 rows are empty and were left out (data rows 201, 202)."
        in audit_table(tmp_path / "t.csv", target="bad").readings
    )
    assert compare_table(tmp_path / "t.csv", target="bad", out=tmp_path / "c", learners=["logistic"]).total == ROWS
    predict_table(tmp_path / "m", tmp_path / "t.csv", tmp_path / "p.parquet")
    rows = pl.read_parquet(tmp_path / "p.parquet")["probability_yes"]
    nothing = pl.DataFrame({"size": [None], "kind": [None]}, schema={"size": pl.Float64, "kind": pl.String})
    assert rows[-2:].to_list() == pytest.approx([load(tmp_path / "m").predict_proba(nothing)[0, 1]] * 2, rel=1e-5)


def test_what_follows_a_row_of_nothing_keeps_its_row(tmp_path):
    lines = frame().write_csv(separator=";").splitlines()
    (tmp_path / "t.csv").write_text("\n".join([*lines[:5], ";", *lines[5:8], "much;no", *lines[8:]]))
    with pytest.raises(UserError, match="data row 9 holds 'much'"):
        cp.train(tmp_path / "t.csv", target="bad", **ASKED)


def test_a_frame_may_end_with_nothing_too():
    ended = pl.concat([frame(), pl.DataFrame({"size": [None, np.nan], "bad": [None, None]}, schema=frame().schema)])
    assert cp.train(ended, target="bad", **ASKED).split.train.max() < ROWS


@pytest.mark.parametrize(
    "columns", [{"x": [1, None, None]}, {"x": [None, None], "y": ["", " "]}, {"x": [1], "y": [None]}]
)
def test_rows_that_stay(columns):
    table = Table(pl.DataFrame(columns), "t.csv", typed=False)
    assert without_empty_rows(table) is table


@pytest.mark.parametrize(
    "cells, said",
    [
        (["5 kg", "7.5 kg", "12 kg"] * 9, True),
        (["20\u00b0C", "21\u00b0C", "-3\u00b0C"] * 9, True),
        (["3m", "1,200m", "7m"] * 9, True),
        (["12A", "13B", "14C"] * 9, False),
        (["A12", "A13", "A14"] * 9, False),
        (["5 kg", "7 lb", "12 t"] * 9, False),
        (["red", "blue", "5 kg"] * 9, False),
    ],
)
def test_numbers_with_a_measure_are_told(cells, said):
    found = with_numbers(Table(pl.DataFrame({"x": cells}), "t.csv", typed=False)).said
    assert [one.startswith("Column 'x' holds text such as") for one in found] == [True] * said


def test_plain_tables_are_told_nothing(tmp_path):
    frame().write_csv(tmp_path / "t.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(tmp_path / "t.csv").said == ()
        assert audit_table(tmp_path / "t.csv", target="bad").readings == ()
