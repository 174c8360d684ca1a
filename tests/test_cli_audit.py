"""`counterpoise audit`: its screen, its files, its mistakes."""

import json

import polars as pl
import pytest

from absent import needs
from counterpoise.cli import main

needs("typer")

pytestmark = pytest.mark.slow


@pytest.fixture
def loans(tmp_path):
    path = tmp_path / "loans.csv"
    pl.DataFrame(
        {
            "day": range(1000),
            "income": [k * k % 89 for k in range(1000)],
            "closed": [None if k % 9 else k % 7 for k in range(1000)],
            "bad": ["yes" if k % 9 == 0 else "no" for k in range(1000)],
        }
    ).write_csv(path)
    return path


def test_audit(loans, tmp_path, capsys):
    out = tmp_path / "a.json", tmp_path / "a.html"
    words = ["audit", loans, "--target", "bad", "--time", "day", "--json", out[0], "--html", out[1]]
    assert main(list(map(str, words))) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("loans.csv: 1,000 rows, 4 columns; target 'bad', 7.93 to 1\n")
    assert "STOP  1 column gives the class away" in shown.out
    facts = json.loads(out[0].read_text(encoding="utf-8"))
    assert [leak["column"] for leak in facts["leaks"]] == ["closed"]
    assert facts["verdict"] in " ".join(shown.out.split())
    assert out[1].read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--target", "badd"], "has no column 'badd'; did you mean 'bad'?"),
        (["--target", "bad", "--time", "closed"], "time 'closed' is missing in 888 rows, first in data row 2"),
        (["--target", "bad", "--group", "shop"], "has no column 'shop'"),
        ([], "Missing option '--target'"),
    ],
)
def test_mistakes_are_one_line(loans, capsys, options, message):
    code = main(["audit", str(loans), *options])
    shown = capsys.readouterr()
    assert code == 2
    assert shown.err.count("\n") == 1 and message in shown.err


def test_nothing_is_overwritten(loans, capsys):
    before = loans.read_bytes()
    assert main(["audit", str(loans), "--target", "bad", "--json", str(loans)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert loans.read_bytes() == before
