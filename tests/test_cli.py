"""The command: every mistake is one line and exit code 2, and nothing is written."""

import gzip
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from absent import needs
from counterpoise.cli import main

needs("lightgbm", "typer")

pytestmark = pytest.mark.slow


def rows(n=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    rare = np.arange(n) % 5 == 0
    return pl.DataFrame({"x": x + 2 * rare, "kind": np.where(x > 0, "a", "b"), "y": np.where(rare, "bad", "good")})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli")
    rows().write_csv(directory / "t.csv")
    assert main(["train", str(directory / "t.csv"), "--target", "y", "--out", str(directory / "m")]) == 0
    return directory / "m"


def fails(capsys, words, message):
    """The command fails as it should, and says so in one line that holds `message`."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith("counterpoise: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


def test_train_sums_up_in_five_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows().write_csv("t.csv")
    assert main(["train", "t.csv", "--target", "y", "--learner", "lightgbm"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines] == ["found", "chosen", "threshold", "test", "report"]
    assert "good 48 (80%), bad 12 (20%); 4 to 1" in lines[0]
    assert "counterpoise-t/report.html" in lines[4]
    written = {path.name for path in Path("counterpoise-t").iterdir()}
    assert {"decision.json", "model_card.md", "report.html"} < written


@pytest.mark.parametrize(("given", "expected"), [(None, "10000"), ("7", "7")])
def test_threads_do_not_spin_for_long_unless_they_are_told_to(given, expected, monkeypatch):
    code = "import os; from counterpoise.cli import main; main(['--version']); print(os.environ['GOMP_SPINCOUNT'])"
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == expected


def test_a_log_shows_life(tmp_path, capsys):
    rows().write_csv(tmp_path / "t.csv")
    words = ["train", str(tmp_path / "t.csv"), "--target", "y", "--learner", "logistic", "--out", str(tmp_path / "m")]
    assert main(words) == 0
    lines = [re.sub(r", \d+ s$", "", line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "counterpoise: read the table",
        "counterpoise: compared Logistic regression, plain cross-entropy",
        "counterpoise: compared Logistic regression, weighted",
        "counterpoise: compared Logistic regression, weighted, square root",
        "counterpoise: compared Logistic regression, focal",
        "counterpoise: grew the model",
        "counterpoise: measured on the test rows",
        "counterpoise: grew the model from all rows",
        "counterpoise: wrote the report",
    ]


def test_predict(model, tmp_path, capsys):
    out = tmp_path / "p.csv"
    new = tmp_path / "new.csv"
    rows(7).with_columns(more=pl.lit(1)).drop("y").write_csv(new)
    assert main(["predict", str(model), str(new), "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"7 rows in {out}; decided: good ")
    assert "ignored: more" in shown
    assert pl.read_csv(out).columns == ["probability_good", "probability_bad", "decision"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["198", "-1"], "counts[1] is -1; a count is a whole number of samples"),
        (["198", "--schem", "log"], "'--schem' is neither a count nor an option"),
        (["198", "4.5"], "'4.5' is neither a count nor an option"),
    ],
)
def test_bad_counts(words, message, capsys):
    assert main(["weights", *words]) == 2
    assert message in capsys.readouterr().err


BAD_TABLES = {
    "nothing to set thresholds on": ("x,y\n0,a\n1,a\n2,b\n3,b\n4,c\n5,c\n", "no class has more than 2 rows"),
    "empty file": ("", "is empty"),
    "header only": ("x,y\n", "has no rows"),
    "a header below an empty line": ("\n1,2\n", "has no rows"),
    "ragged": ("x,y\n1,a\n2,b,c\n", "line 3 has 3 fields, the header 2"),
    "twice": ("x,x,y\n1,2,a\n", "more than one column named 'x'"),
    "unknown target": ("x,yy\n1,a\n2,b\n", "has no column 'y'; did you mean 'yy'? its columns: x, yy"),
    "missing target": ("x,y\n1,a\n2,\n3,b\n4,NA\n", "missing in 2 of 4 rows (data rows 2, 4)"),
    "constant target": ("x,y\n1,a\n2,a\n", "is 'a' in every row"),
    "one row": ("x,y\n1,a\n2,a\n3,b\n4,c\n5,c\n", "class 'b' has one row (data row 3)"),
    "too few": (
        "x,y\n" + "1,a\n2,a\n3,a\n" * 3 + "3,b\n4,b\n",
        "class 'b' has 2 rows; with two classes, each needs",
    ),
    "text among numbers": (
        "x,y\n" + "1,a\n2,b\n" * 20 + "three,a\n",
        "column 'x' holds numbers, but data row 41 holds 'three'",
    ),
    "a long text among numbers": (
        "x,y\n" + "1,a\n2,b\n" * 20 + "z" * 999 + ",a\n",
        "holds '" + "z" * 40 + "…'; correct",
    ),
    "infinite": ("x,y\n" + "1,a\n2,b\n" * 20 + "inf,a\n", "column 'x' is infinite in data row 41"),
    "fractions": ("x,y\n" + "".join(f"{k},{k / 7:.4f}\n" for k in range(60)), "it is a number to estimate"),
    "many values": ("x,y\n" + "".join(f"{k},{k // 2}\n" for k in range(900)), "450 distinct values"),
    "nothing to learn from": (
        "x,y\n" + "1,a\n1,b\n" * 20,
        "no column to learn from besides 'y'; 'x' is constant",
    ),
    "a first line without end": ("x" * 200_000, "has no rows"),
    "a class too large": ("x,y\n" + "1,1e300\n2,5\n" * 10, "target 'y' is 1e+300 in data row 1, which is too large"),
    "only a target": ("y\n" + "a\nb\n" * 20, "no column to learn from besides 'y'"),
}


@pytest.mark.parametrize("text, message", BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables(text, message, tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text(text)
    fails(capsys, ["train", table, "--target", "y", "--out", tmp_path / "out"], message)
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.parquet", b"PAR1 but no more", "is not a readable Parquet file"),
        ("t.csv", b"x,y\n1,\xff\x81\n", "line 2: byte 0xff is not UTF-8, nor Windows-1252"),
        ("t.csv", b"\xff\xfex,y\nz", "begins like UTF-16 but is not"),
        ("t.csv.gz", b"not compressed", "cannot be read"),
        ("t.csv.gz", gzip.compress(b"x,y\n1,2\n" * 50, mtime=0)[:10] + b"no stream of deflate", "cannot be read"),
        ("t.csv.gz", gzip.compress(b"x,y\n1,2\n" * 50, mtime=0)[:-12], "cannot be read"),
        ("t.xlsx", b"PK", "is neither .csv, .tsv, .csv.gz nor .parquet"),
    ],
)
def test_broken_files(name, content, message, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    fails(capsys, ["train", tmp_path / name, "--target", "y", "--out", tmp_path / "out"], message)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--goal", "recal where precision >= 0.5"],
            "character 1: unknown goal 'recal'; did you mean 'recall'?",
        ),
        (["--goal", "recall where precision >= 2"], "precision lies between 0 and 1"),
        (["--positive", "ugly"], "target 'y' is never 'ugly'; its values: bad, good"),
        (["--seed", "-1"], "seed is -1"),
        (["--seed", "x"], "for '--seed'"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_options(options, message, tmp_path, capsys):
    rows().write_csv(tmp_path / "t.csv")
    words = ["train", tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "out", *options]
    fails(capsys, words, message)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_binary_goal_for_several_classes(tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("x,y\n" + "1,a\n2,b\n3,c\n" * 10)
    fails(
        capsys,
        ["train", table, "--target", "y", "--goal", "f1", "--out", tmp_path / "out"],
        "goal 'f1' needs two classes; with more of them use one of macro_f1",
    )


def test_nothing_is_overwritten(model, tmp_path, capsys):
    table = tmp_path / "t.csv"
    rows().write_csv(table)
    before = {path: path.read_bytes() for path in model.iterdir()}
    fails(capsys, ["train", table, "--target", "y", "--out", model], "exists already")
    assert {path: path.read_bytes() for path in model.iterdir()} == before
    fails(capsys, ["predict", model, table, "-o", table], "exists already")
    assert table.read_text().startswith("x,kind,y")


@pytest.mark.parametrize(
    "text, message",
    [
        ("kind\na\n", "has no column 'x'"),
        ("more\na\n", "lacks the columns 'x', 'kind'; its columns: more"),
        ("x,kind\n1,a\n2,b\nmany,a\n", "column 'x', data row 3: 'many' is not a number"),
        ("x,kind\n1,a\ninf,b\n", "column 'x' is infinite in data row 2"),
        ("x,kind\n", "has no rows"),
        (
            "x,kind\n" + "1,A\n2,B\n3,B\n" * 4,
            "column 'kind' holds only values unknown to the model: 'A', 'B'; it knows 'a', 'b'.",
        ),
    ],
)
def test_bad_tables_to_predict(text, message, model, tmp_path, capsys):
    table = tmp_path / "new.csv"
    table.write_text(text)
    fails(capsys, ["predict", model, table, "-o", tmp_path / "p.parquet"], message)
    assert list(tmp_path.iterdir()) == [table]


def test_bad_places_to_predict(model, tmp_path, capsys):
    table = tmp_path / "t.csv"
    rows().write_csv(table)
    fails(capsys, ["predict", tmp_path / "no", table, "-o", tmp_path / "p.csv"], "no such directory")
    fails(capsys, ["predict", tmp_path, table, "-o", tmp_path / "p.csv"], "has no decision.json")
    fails(capsys, ["predict", model, tmp_path / "no.csv", "-o", tmp_path / "p.csv"], "no such file")
    fails(capsys, ["predict", model, table, "-o", tmp_path / "p.txt"], "ends neither in .parquet nor in .csv")
    fails(capsys, ["predict", model, tmp_path / "no*.csv", "-o", tmp_path / "p.csv"], "no file matches")
    fails(capsys, ["predict", model, table, "-o", table / "p.parquet"], "cannot write")
    fails(capsys, ["predict", model, table, "-o", tmp_path / ("long" * 99 + ".csv")], "File name too long")
    fails(capsys, ["predict", model, tmp_path / ("long" * 99 + ".csv"), "-o", tmp_path / "p.csv"], "File name too long")
    fails(capsys, ["train", table, "--target", "y", "--out", table / "m"], "cannot write")
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    "words, message",
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["train"], "Missing"),
        (["weights"], "Missing argument"),
        (["weights", "ten"], "'ten' is neither a count nor an option"),
        (["weights", "1", "2", "--scheme", "invers"], "did you mean 'inverse'?"),
        (["weights", "1", "2", "--normalize", "clases"], "did you mean 'classes'?"),
        (["weights", "0", "5"], "class 0 has no sample"),
        (["weights", "99999999999999999999", "5"], "99999999999999999999"),
    ],
)
def test_bad_words(words, message, capsys):
    fails(capsys, words, message)


def test_weights_of_the_question(capsys):
    assert main(["weights", "198", "436", "710", "272", "--scheme", "inverse", "--normalize", "samples"]) == 0
    assert capsys.readouterr().out == "[2.0404, 0.926606, 0.569014, 1.48529]\n"
    assert main(["weights", "198", "436", "710", "272"]) == 0
    shown = capsys.readouterr().out
    assert "effective_number" in shown
    assert "1.625    0.7381    0.4533     1.183" in shown


def test_weights_that_one_scheme_cannot_make(capsys):
    assert main(["weights", "5"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^inverse +none +0.2$", shown, re.MULTILINE)
    assert re.search(r"^ +sum +–$", shown, re.MULTILINE)
    assert "–: all weights of scheme 'log' are 0 here" in shown


@pytest.mark.filterwarnings("always")  # the command prints them
def test_a_warning_is_one_line(capsys, monkeypatch):
    from counterpoise.cli import commands

    monkeypatch.setattr(commands, "run", lambda _: warnings.warn("these are\nupside down", UserWarning, stacklevel=2))
    main(["losses"])
    assert capsys.readouterr().err == "counterpoise: warning: these are upside down\n"


@pytest.mark.filterwarnings("always")  # the command prints them
def test_new_categories_are_told(model, tmp_path, capsys):
    table, out = tmp_path / "new.csv", tmp_path / "p.csv"
    table.write_text("x,kind\n1,a\n2,zebra\n3,\n4,b\n")
    assert main(["predict", str(model), str(table), "-o", str(out)]) == 0
    assert capsys.readouterr().err == (
        "counterpoise: warning: column 'kind': 1 of 3 values are unknown to the model and count as missing: 'zebra'\n"
    )


def test_losses_lists_every_recipe(capsys):
    from counterpoise.recipes import recipes

    assert main(["losses"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in recipes())
    assert "Lin et al. 2017" in shown


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    assert main([]) == 0
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("counterpoise ")


def test_the_demo_fails_where_the_command_fails(tmp_path):
    needs("vega_datasets")
    (tmp_path / "demo-report").write_text("in the way")
    demo = Path(__file__).parents[1] / "examples" / "demo.py"
    done = subprocess.run([sys.executable, demo], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "counterpoise: demo-report exists already; name another place or remove it\n"


def test_a_missing_extra_is_named():
    code = "import sys; sys.modules['typer'] = None\nfrom counterpoise.cli import main\nsys.exit(main(['losses']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "counterpoise: typer is not installed: pip install 'counterpoise[table]'\n"


def test_a_bug_is_not_called_the_users_mistake(monkeypatch):
    from counterpoise.cli import commands

    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["losses"])
