"""What a column of text is: decided by its cells, then by the file, else by the user; never by chance."""

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table, train_table
from counterpoise.table.reading.kinds import read_text
from counterpoise.table.reading.missing import MISSING, MISSING_NUMBER
from counterpoise.table.reading.numbers import PLAIN, Marks, NumberFormat

pytestmark = pytest.mark.slow

DOUBT = "doubt"
POINT, COMMA = ["0.5", "1.25"], ["0,5", "1,25"]
GERMAN, AMERICAN = NumberFormat(",", "."), NumberFormat(".", ",")


def read(cells, beside=(), separator=None, typed=False, **marks):
    others = {"beside": (list(beside) * len(cells))[: len(cells)]} if beside else {}
    return read_text(pl.DataFrame({"x": cells} | others), separator=separator, typed=typed, marks=Marks(**marks))


@pytest.mark.parametrize(
    "cells, beside, separator, expected",
    [
        (["688", "2.591"], COMMA, ";", GERMAN),  # other columns have decimal commas, and small numbers no dot
        (["2.591"], COMMA, ";", DOUBT),  # a program may write 2.591 in any country
        (["1234", "2.591"], COMMA, ";", DOUBT),  # a number above 999 without a dot
        (["688", "2.590", "1.240"], (), ";", DOUBT),
        (["688", "2.591"], (), ";", DOUBT),
        (["2.591", "0.5"], (), ";", PLAIN),
        (["2.591"], POINT, ";", PLAIN),
        (["2.591"], (), ",", PLAIN),
        (["2.591"], (), "\t", PLAIN),
        (["688", "2.590", "1.240"], (), ",", DOUBT),  # no program writes fractions so
        (["688", "2,591"], POINT, ",", AMERICAN),
        (["2,591"], (), ",", AMERICAN),  # quoted among commas
        (["2,591"], (), "\t", DOUBT),
        (["2,591"], (), "|", DOUBT),
        (["2,591"], (), None, DOUBT),
        (["2,591"], POINT, "\t", AMERICAN),
        (["2,591"], COMMA, "\t", NumberFormat(",")),
        (["2,591"], (), ";", NumberFormat(",")),
        (["688", "2,591"], (), ";", DOUBT),
        (["688", "2,590", "1,240"], (), "\t", AMERICAN),
        (["2,591", "1.234"], COMMA, ";", GERMAN),
        (["2,591", "1.234"], (), ";", DOUBT),
        (["2,591", "1,234,567"], (), "\t", AMERICAN),
        (["2,591", "1,234.5"], (), "\t", AMERICAN),
        (["2.591", "1.234,5"], (), ",", GERMAN),
        (["2.591", "1.234.567"], (), ",", GERMAN),
        (["12,34,567", "5"], (), "\t", AMERICAN),
        (["1 234", "5"], (), ";", NumberFormat(".", " ")),
        (["1\u202f234", "5"], COMMA, ";", NumberFormat(",", " ")),
        (["1'234.5"], (), ";", NumberFormat(".", "'")),
        (["1,5"], (), ",", NumberFormat(",")),
        (["688"], COMMA, ";", NumberFormat(",")),  # so that a later 2.591 is no fraction
        (["688"], POINT, ",", PLAIN),
        (["$2,590.87", "$5"], (), ",", NumberFormat(".", ",", "$")),
        (["$2,591", "$5", "7"], POINT, ",", NumberFormat(".", ",", "$")),
        (["22.7%", "3%", "0"], (), ",", NumberFormat(unit="%")),
        (["22,7 %", "3 %"], (), ";", NumberFormat(",", unit="%")),
        (["1.234 \u20ac", "900 \u20ac"], COMMA, ";", NumberFormat(",", ".", "\u20ac")),
        (["(1,234.50)", "12-"], (), ",", AMERICAN),
        (["22.7%", "0.3"], (), ",", DOUBT),
        (["$5", "\u20ac6"], (), ",", DOUBT),
        (["5", "7"] * 50 + ["x"], (), ",", DOUBT),
        (["$5", "$7"] * 50 + ["free"], (), ",", DOUBT),
        (["1,5"] * 50 + ["2.5"], (), ";", DOUBT),
    ],
)
def test_numbers_are_decided_by_their_column_and_by_the_file(cells, beside, separator, expected):
    found = read(cells, beside, separator)
    if expected == DOUBT:
        assert "'x'" in found.doubts["x"] and "data row" in found.doubts["x"]
        assert found.frame["x"].to_list() == cells
    else:
        assert found.doubts == {}
        assert found.frame["x"].dtype.is_numeric()
        assert found.figures.get("x", PLAIN) == expected


@pytest.mark.parametrize(
    "marks, value",
    [({"decimal": "."}, 2591), ({"decimal": ","}, 2.591), ({"thousands": ","}, 2591), ({"thousands": ""}, 2.591)],
)
def test_what_the_user_says_decides(marks, value):
    found = read(["2,591"], **marks)
    assert found.frame["x"].to_list() == [value]
    assert "as asked" in found.said[0]


def test_what_a_column_proves_is_not_changed_by_what_the_user_says():
    assert read(["0,5", "7"], decimal=".").frame["x"].to_list() == [0.5, 7]


@pytest.mark.parametrize(
    "marks, message",
    [
        ({"decimal": ";"}, "decimal is ';'; it is the mark before a fraction"),
        ({"thousands": "x"}, "thousands is 'x'"),
        ({"decimal": ",", "thousands": ","}, "a mark has one meaning"),
    ],
)
def test_marks_that_mean_nothing(marks, message):
    with pytest.raises(UserError, match=message):
        Marks(**marks)
    with pytest.raises(UserError, match=message):
        cp.train(pl.DataFrame({"x": [1, 2], "y": [0, 1]}), target="y", **marks)


@pytest.mark.parametrize(
    "cells",
    [
        ["007", "12"],
        ["1.2.3", "1.10.2"],
        ["192.168.1.1", "10.0.0.1"],
        ["12:30", "9:15"],
        ["5 kg", "7 kg"],
        ["Q1", "Q2"],
        ["1/2", "3/4"],
        ["2-", "1+", "3-", "2+", "1-", "2", "3+", "1+"],
        ["2024-01-31", "2024-02-01"],
        ["31.12.2024", "01.02.2024"],
        ["+49 170 1234567", "030 123456"],
        ["10-20", "20-30"],
        ["true", "maybe"],
    ],
)
def test_what_is_no_number_stays_text(cells):
    found = read(cells * 5, separator=",")
    assert (found.frame["x"].dtype, found.doubts, found.figures) == (pl.String, {}, {})


@pytest.mark.parametrize(
    "cells, expected",
    [
        (["10", "20", "30"] * 5, ["10", "20", "30"] * 5),  # a database says that these are text, and they repeat
        (["10", "20", "30"], [10, 20, 30]),
        (["10.5", "20", "30"] * 5, [10.5, 20, 30] * 5),
        (["10", "n/a", "30"] * 5, [10, None, 30] * 5),  # as in a file that pandas or Polars could not read as numbers
        (["10", "", "30"] * 5, ["10", None, "30"] * 5),
        (["$10", "$20", "$30"] * 5, [10, 20, 30] * 5),
        (["True", "false", ""] * 5, [True, False, None] * 5),
        ([" a", "a ", "NA"], ["a", "a", None]),
    ],
)
def test_text_in_a_table_with_types(cells, expected):
    assert read(cells, typed=True).frame["x"].to_list() == expected


@pytest.mark.parametrize("mark", [*MISSING, *MISSING_NUMBER])
def test_words_for_missing(mark):
    assert read(["5", mark, f" {mark}\u00a0"]).frame["x"].to_list() == [5, None, None]
    expected = None if mark in MISSING else mark
    assert read(["red", mark, f" {mark}\t"]).frame["x"].to_list() == ["red", expected, expected]


def amounts(rows=300):
    """Amounts above and below 1,000 and shares, plainly, and the class that they tell."""
    rng = np.random.default_rng(1)
    amount, share = np.round(rng.gamma(1.2, 1000, rows)).astype(int), np.round(rng.random(rows), 3)
    claim = amount / 800 + 2 * share + rng.logistic(size=rows) > 3.6
    return pl.DataFrame({"amount": amount, "share": share, "claim": np.where(claim, "yes", "no")})


WRITTEN = {
    "plain": (",", "{:d}", "{:.3f}"),
    "german": (";", "{:,d}", "{:.3f}"),
    "american": (",", "{:,d}", "{:.3f}"),
    "dollars": (",", "${:,d}.00", "{:.1%}"),
    "euros": (";", "{:,d},00 \u20ac", "{:.1%}"),
    "swiss": ("\t", "CHF {:,d}.--", "{:.3f}"),
}


def written(name):
    separator, amount, share = WRITTEN[name]
    change = {
        "german": str.maketrans(",.", ".,"),
        "euros": str.maketrans(",.", ".,"),
        "swiss": str.maketrans(",", "\u2019"),
    }.get(name, {})
    frame = amounts()
    cells = [
        pl.Series("amount", [amount.replace(",00", ".00").format(one).translate(change) for one in frame["amount"]]),
        pl.Series("share", [share.format(one).translate(change) for one in frame["share"]]),
    ]
    return frame.with_columns(cells), separator


@pytest.mark.parametrize("name", WRITTEN)
def test_a_table_is_the_same_however_its_numbers_are_written(name, tmp_path):
    frame, separator = written(name)
    frame.write_csv(tmp_path / "t.csv", separator=separator)
    frame.write_parquet(tmp_path / "t.parquet")
    asked = {"target": "claim", "learners": ("logistic",), "budget": 3.0}
    train_table(tmp_path / "t.csv", out=tmp_path / "m", **asked)
    facts, plain = load(tmp_path / "m").facts["columns"], cp.train(amounts(), **asked)
    for column, expected in plain.facts["columns"].items():
        assert facts[column]["mean"] == pytest.approx(expected["mean"], rel=1e-12)
    for path in ("t.csv", "t.parquet"):
        predict_table(tmp_path / "m", tmp_path / path, tmp_path / f"{path}.p.parquet")
        found = pl.read_parquet(tmp_path / f"{path}.p.parquet")["probability_yes"].to_numpy()
        np.testing.assert_allclose(found, plain.predict_proba(amounts())[:, 1], rtol=1e-4)


def doubtful():
    """Amounts above 1,000 with a mark that nothing explains."""
    amount = (pl.col("amount") + 1000).map_elements("{:,d}".format, pl.String)
    return amounts().select(amount, (pl.col("share") * 1000).cast(pl.Int64), "claim")


@pytest.mark.parametrize("command", ["train", "audit", "compare"])
def test_every_command_takes_the_marks(command, tmp_path, capsys):
    doubtful().write_csv(tmp_path / "t.csv", separator="\t")
    words = [command, str(tmp_path / "t.csv"), "--target", "claim"]
    more = [] if command == "audit" else ["--learner", "logistic", "--out", str(tmp_path / "m")]
    more += ["--budget", "3s"] if command == "train" else []
    assert main(words + more) == 2 * (command != "audit")
    said = capsys.readouterr()
    for part in ("column 'amount' holds", "--decimal . makes it", "--decimal , makes it", "in Python decimal="):
        assert part in " ".join((said.err + said.out).replace("Column", "column").split())
    assert main([*words, *more, "--decimal", "."]) == 0
    if command == "train":
        model = load(tmp_path / "m")
        assert model.schema.columns[0].figures == AMERICAN
        assert "--decimal ." in model.facts["command"]
        assert model.facts["columns"]["amount"]["mean"] > 1000
        assert any("is read as" in note and "as asked" in note for note in model.facts["notes"])
    if command == "audit":
        assert "is read as" in capsys.readouterr().out


def test_a_frame_takes_the_marks_too():
    frame = doubtful()
    with pytest.raises(UserError, match=r"the frame: column 'amount' holds .* \(in Python decimal=\)"):
        cp.train(frame, target="claim")
    found = cp.train(frame, target="claim", decimal=".", learners=["logistic"], budget=3)
    assert found.facts["columns"]["amount"]["mean"] > 1000
    assert "decimal='.'" in found.command
