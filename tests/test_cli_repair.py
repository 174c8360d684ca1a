"""`counterpoise repair`: a file of foreign probabilities comes back honest, and nothing else in it changes."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from absent import needs
from counterpoise.cli import main
from counterpoise.decide import adjust_prior, undo_sampling, undo_weights

needs("lightgbm", "typer")

pytestmark = pytest.mark.slow

SCORES = pl.DataFrame({"id": ["007", "8", "NA"], "probability": [0.5, 0.95, 0.1], "note": ["a,b", " x ", ""]})


def run(*words):
    return main(["repair", *map(str, words)])


def test_weights_in_csv_leave_other_cells_as_they_are(tmp_path, capsys):
    SCORES.write_csv(tmp_path / "s.csv")
    assert run(tmp_path / "s.csv", "--weights", "1,19", "-o", tmp_path / "o.csv") == 0
    assert capsys.readouterr().out == f"3 rows in {tmp_path / 'o.csv'}\nmean of probability: 0.5167 -> 0.1853\n"
    found = pl.read_csv(tmp_path / "o.csv", infer_schema=False)
    expected = undo_weights(SCORES["probability"].to_numpy(), 19)
    np.testing.assert_array_equal(found["probability"].cast(pl.Float64), expected)
    original = pl.read_csv(tmp_path / "s.csv", infer_schema=False, null_values=[""])  # quoted or not: empty
    assert_frame_equal(found.drop("probability"), original.drop("probability"))
    assert run(tmp_path / "s.csv", "--weights", "19", "-o", tmp_path / "p.csv") == 0
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "o.csv").read_bytes()


def test_rates_of_several_classes_in_parquet(tmp_path):
    rows = np.array([[0.2, 0.3, 0.5], [0.0, 0.6, 0.4]])
    frame = pl.DataFrame({f"probability_{k}": rows[:, k] for k in range(3)} | {"day": [1, 2]})
    frame.write_parquet(tmp_path / "s.parquet")
    assert run(tmp_path / "s.parquet", "--rates", "0.1,1,2", "-o", tmp_path / "new" / "o.parquet") == 0
    found = pl.read_parquet(tmp_path / "new" / "o.parquet")
    np.testing.assert_array_equal(found.select(frame.columns[:3]), undo_sampling(rows, [0.1, 1, 2]))
    assert found["day"].dtype == pl.Int64


def test_prior_after_weights_and_columns_by_name(tmp_path, capsys):
    p = np.tile([0.5, 0.9, 0.2], 20)
    pl.DataFrame({"score": p}).write_csv(tmp_path / "s.csv")
    words = ["--weights", "4", "--prior", "0.9,0.1", "--to", "0.5,0.5", "--columns", "score"]
    assert run(tmp_path / "s.csv", *words, "-o", tmp_path / "o.parquet") == 0
    found = pl.read_parquet(tmp_path / "o.parquet")["score"]
    np.testing.assert_array_equal(found, adjust_prior(undo_weights(p, 4), 0.1, to=0.5))
    capsys.readouterr()
    words = ["--prior", "0.5", "--to", "estimate", "--columns", "score"]
    assert run(tmp_path / "s.csv", *words, "-o", tmp_path / "e.csv") == 0
    assert "estimated class shares: 0." in capsys.readouterr().out


def test_overwriting_needs_to_be_told(tmp_path, capsys):
    path = tmp_path / "s.parquet"
    SCORES.write_parquet(path)
    before = path.read_bytes()
    assert run(path, "--weights", "19", "-o", path) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert run(path, "--weights", "19", "-o", path, "--overwrite") == 0
    assert pl.read_parquet(path)["probability"][0] == 0.05
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "nothing to repair: give --weights"),
        (["--weights", "1;19"], "--weights '1;19' is not a comma-separated list of numbers"),
        (["--weights", "1,0"], "weights[1] is 0"),
        (["--weights", "1,2,3"], "weights has shape (3,)"),
        (["--rates", "2"], "pass two numbers, for class 0 and class 1"),
        (["--prior", "0.5"], "--prior and --to belong together"),
        (["--prior", "0.5,0.6", "--to", "0.5"], "prior sums to 1.1"),
        (["--weights", "2", "--columns", "probabilit"], "did you mean 'probability'?"),
        (["--weights", "2", "--columns", "note"], "column 'note' has type String"),
        (["--weights", "2", "--columns", "id"], "holds no probabilities"),
        (["--weights", "2", "--columns", "note,note"], "--columns names 'note' twice"),
        (["--weights", "2", "--columns", "high"], "column 'high' holds 1.5 in data row 2"),
        (["--weights", "2", "--columns", "gap"], "column 'gap' holds nothing in data row 3"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, capsys):
    path = tmp_path / "s.parquet"
    SCORES.with_columns(high=pl.Series([0.5, 1.5, 0.5]), gap=pl.Series([0.5, 0.5, None])).write_parquet(path)
    assert run(path, *words, "-o", tmp_path / "o.csv") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("counterpoise: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert list(tmp_path.iterdir()) == [path]


def test_bad_files(tmp_path, capsys):
    assert run(tmp_path / "no.csv", "--weights", "2", "-o", tmp_path / "o.csv") == 2
    assert "no such file" in capsys.readouterr().err
    SCORES.drop("probability").write_csv(tmp_path / "s.csv")
    assert run(tmp_path / "s.csv", "--weights", "2", "-o", tmp_path / "o.csv") == 2
    assert "no column is named 'probability'" in capsys.readouterr().err
    assert run(tmp_path / "s.csv", "--weights", "2", "-o", tmp_path / "o.txt") == 2
    assert "ends neither in .parquet nor in .csv" in capsys.readouterr().err
