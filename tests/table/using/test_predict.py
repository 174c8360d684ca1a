"""Prediction in blocks is prediction at once; a row that cannot be scored says why; class shares may move."""

import gzip
import warnings

import numpy as np
import polars as pl
import pytest

from counterpoise.decide import adjust_prior, estimate_prior
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table, train_table
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.monitoring.shift import ColumnStatistics, ProbabilitySample, column_facts
from counterpoise.table.reading.files import delimited
from counterpoise.table.reading.table import read_table
from counterpoise.table.using import stream
from counterpoise.table.using.stream import blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory, imbalanced):
    """A directory of a model that was trained in a second."""
    import counterpoise as cp

    out = tmp_path_factory.mktemp("quick") / "model"
    cp.train(imbalanced(400), target="label", learners=("lightgbm",), budget=10.0).save(out)
    return out


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(stream, "ROWS", 7)
    monkeypatch.setattr(delimited, "PIECE", 64)
    monkeypatch.setattr(delimited, "SAMPLE", 0)


def scored(model, table, out, **options):
    predict_table(model, table, out, **options)
    return pl.read_parquet(out) if out.suffix == ".parquet" else pl.read_csv(out)


def expected(model, frame):
    bundle = load(model)
    return bundle.predict_proba(frame), bundle


WRITERS = {
    "t.parquet": lambda frame, path: frame.write_parquet(path),
    "t.csv": lambda frame, path: frame.write_csv(path),
    "t.tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "semicolon.csv": lambda frame, path: frame.write_csv(path, separator=";", decimal_comma=True),
    "t.csv.gz": lambda frame, path: path.write_bytes(gzip.compress(frame.write_csv().encode())),
    "utf-16.csv": lambda frame, path: path.write_bytes(frame.write_csv().encode("utf-16")),
    "macintosh.csv": lambda frame, path: path.write_bytes(frame.write_csv().replace("\n", "\r").encode()),
    "windows.csv": lambda frame, path: path.write_bytes(frame.write_csv(line_terminator="\r\n").encode()),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("out", ["p.parquet", "p.csv"])
@pytest.mark.usefixtures("small_blocks")
def test_any_file_in_blocks_gives_what_the_frame_gives(quick, imbalanced, tmp_path, name, out):
    frame = imbalanced(60, seed=3)
    WRITERS[name](frame, tmp_path / name)
    probability, bundle = expected(quick, frame)
    found = scored(quick, tmp_path / name, tmp_path / out)
    assert found.columns == ["probability_no", "probability_yes", "decision"]
    np.testing.assert_allclose(found[:, :2].to_numpy(), probability, rtol=1e-12)
    assert found["decision"].to_list() == bundle.predict(frame).tolist()


@pytest.mark.usefixtures("small_blocks")
def test_a_folder_of_parquet_is_one_table(quick, imbalanced, tmp_path):
    frame = imbalanced(50, seed=4)
    (tmp_path / "parts").mkdir()
    frame[:20].write_parquet(tmp_path / "parts" / "a.parquet")
    frame[20:].write_parquet(tmp_path / "parts" / "b.parquet")
    found = scored(quick, tmp_path / "parts", tmp_path / "p.parquet")
    np.testing.assert_allclose(found[:, :2].to_numpy(), expected(quick, frame)[0], rtol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_a_line_end_in_quotes_ends_no_row(tmp_path):
    frame = pl.DataFrame({"text": [f'say "{k}"\nagain, and more' for k in range(20)], "x": list(range(20))})
    frame.write_csv(tmp_path / "t.csv")
    schema = Schema((Column("text", "category"), Column("x", "number")))
    pieces = [block.table.frame for block in blocks(tmp_path / "t.csv", schema)]
    assert len(pieces) > 2
    assert pl.concat(pieces).select(pl.col("text"), pl.col("x").cast(pl.Int64)).equals(frame)


@pytest.mark.usefixtures("small_blocks")
def test_a_quote_that_closes_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "LONGEST_ROW", 500)
    (tmp_path / "t.csv").write_text('x\n1\n"2\n' + "3\n" * 1000)
    with pytest.raises(UserError, match=r"line 3: a quote is never closed"):
        list(blocks(tmp_path / "t.csv", Schema((Column("x", "number"),))))


@pytest.mark.usefixtures("small_blocks")
def test_places_in_later_blocks_are_counted_from_the_first_line(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "1,2\n" * 100 + "1,2,3\n")
    with pytest.raises(UserError, match="line 102 has 3 fields, the header 2"):
        list(blocks(tmp_path / "t.csv", Schema((Column("x", "number"),))))
    (tmp_path / "u.csv").write_bytes(b"x,y\n" + b"1,2\n" * 100 + b"1,\xe4\n")
    with pytest.warns(UserWarning, match="line 102: byte 0xe4 is not UTF-8"):
        list(blocks(tmp_path / "u.csv", Schema((Column("y", "category"),))))


CELLS = [
    ("number", "x", "'x' is not a number"),
    ("number", "inf", "is infinite"),
    ("number", "2024-01-01", "'2024-01-01' is not a number"),
    ("flag", "maybe", "'maybe' is not a flag"),
    ("date", "12-31-2024", "'12-31-2024' is not a date"),
    ("datetime", "noon", "'noon' is not a datetime"),
]


@pytest.mark.parametrize("kind, cell, reason", CELLS)
def test_a_cell_that_cannot_be_used_is_told(tmp_path, kind, cell, reason):
    good = {"number": "1.5", "flag": "TRUE", "date": "2024-02-03", "datetime": "2024-02-03 10:00:00"}[kind]
    (tmp_path / "t.csv").write_text(f"v,w\n{good},1\n{cell},1\nNA,1\n")
    (block,) = blocks(tmp_path / "t.csv", Schema((Column("v", kind),)))
    assert [(one.row, one.column, one.reason) for one in block.problems] == [(1, "v", reason)]
    assert block.table.frame["v"].is_null().to_list() == [False, True, True]


@pytest.mark.parametrize(
    "kind, cells", [("number", ["1", "-", "n/a", " 7 ", "?"]), ("flag", ["true", "False", "0", ""])]
)
def test_missing_cells_are_no_problem(tmp_path, kind, cells):
    (tmp_path / "t.csv").write_text("v,w\n" + "".join(f"{cell},1\n" for cell in cells))
    (block,) = blocks(tmp_path / "t.csv", Schema((Column("v", kind),)))
    whole = read_table(tmp_path / "t.csv").frame
    assert block.problems == []
    if kind == "number":
        assert block.table.frame["v"].to_list() == whole["v"].cast(pl.Float64).to_list()
    else:
        assert block.table.frame["v"].to_list() == [1, 0, 0, None]


@pytest.mark.usefixtures("small_blocks")
def test_a_row_that_cannot_be_scored_says_why(quick, imbalanced, tmp_path):
    frame = imbalanced(40, seed=5)
    spoilt = frame.with_columns(pl.col("wind speed [m/s]").cast(pl.String))
    cells = spoilt["wind speed [m/s]"].to_list()
    cells[11], cells[30] = "=HYPERLINK(1)", "inf"
    spoilt = spoilt.with_columns(pl.Series("wind speed [m/s]", cells))
    spoilt.write_csv(tmp_path / "t.csv")
    done = predict_table(quick, tmp_path / "t.csv", tmp_path / "p.csv")
    found, reasons = pl.read_csv(tmp_path / "p.csv"), pl.read_csv(tmp_path / "p.csv.problems.csv")
    assert (done.rows, done.unscored, done.problems) == (40, 2, tmp_path / "p.csv.problems.csv")
    assert sum(done.decided.values()) == 38
    assert found["decision"].is_null().arg_true().to_list() == [11, 30]
    assert found["probability_yes"].is_null().arg_true().to_list() == [11, 30]
    assert reasons.rows() == [
        (12, "column 'wind speed [m/s]': '=HYPERLINK(1)' is not a number"),
        (31, "column 'wind speed [m/s]' is infinite"),
    ]
    kept = found.with_row_index().filter(pl.col("decision").is_not_null())
    np.testing.assert_allclose(
        kept["probability_yes"].to_numpy(), expected(quick, frame)[0][kept["index"].to_numpy(), 1], rtol=1e-9
    )


@pytest.mark.parametrize("out", ["p.csv", "p.parquet"])
@pytest.mark.usefixtures("small_blocks")
def test_a_wrong_column_is_an_error_and_nothing_is_written(quick, imbalanced, tmp_path, out):
    imbalanced(40).with_columns(pl.lit("much").alias("size")).write_csv(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"column 'size', data row 1: 'much' is not a number.* 40 of 40 cells"):
        predict_table(quick, tmp_path / "t.csv", tmp_path / out)
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.usefixtures("small_blocks")
def test_prior_given_and_estimated(quick, imbalanced, tmp_path):
    frame = imbalanced(80, seed=6)
    frame.write_parquet(tmp_path / "t.parquet")
    probability, bundle = expected(quick, frame)
    before = [352 / 400, 48 / 400]
    given = scored(quick, tmp_path / "t.parquet", tmp_path / "given.parquet", prior=0.5)
    np.testing.assert_allclose(given[:, :2].to_numpy(), adjust_prior(probability, before, to=[0.5, 0.5]), rtol=1e-9)
    flagged = given["probability_yes"].to_numpy() >= bundle.decision.threshold
    assert given["decision"].to_list() == np.where(flagged, "yes", "no").tolist()
    same = predict_table(quick, tmp_path / "t.parquet", tmp_path / "same.parquet", prior="auto")
    assert same.prior == pytest.approx(before)  # nothing says that these rows are others
    frame = imbalanced(2000, seed=6)
    frame = pl.concat([frame.filter(pl.col("label") == "yes"), frame.filter(pl.col("label") == "no")[:100]])
    frame.write_parquet(tmp_path / "moved.parquet")
    with (
        pytest.warns(UserWarning, match="column 'size' has mean 0.6"),
        pytest.warns(UserWarning, match=r"about 0\.6\d* of these rows seem to be yes, and 0\.12 of the training rows"),
    ):
        probability, _ = expected(quick, frame)
    with pytest.warns(UserWarning, match="column 'size' has mean 0.6"):
        done = predict_table(quick, tmp_path / "moved.parquet", tmp_path / "auto.parquet", prior="auto")
    shares = estimate_prior(probability, before)
    assert shares[1] > 0.3
    np.testing.assert_allclose(done.prior, shares, rtol=1e-6)
    found = pl.read_parquet(tmp_path / "auto.parquet")[:, :2].to_numpy()
    np.testing.assert_allclose(found, adjust_prior(probability, before, to=shares), rtol=1e-6)


@pytest.mark.parametrize(
    "prior, message", [("much", "neither auto nor"), (1.5, "between 0 and 1"), ([0.2, 0.2, 0.6], "3")]
)
def test_a_prior_that_does_not_fit(quick, imbalanced, tmp_path, prior, message):
    imbalanced(20).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=message):
        predict_table(quick, tmp_path / "t.parquet", tmp_path / "p.parquet", prior=prior)


def test_other_class_shares_are_told():
    rng = np.random.default_rng(0)
    prior = np.array([0.9, 0.1])

    def rows(share, n=4000):
        x = rng.normal(size=n) + 2 * (rng.random(n) < share)
        odds = np.exp(2 * x - 2) * prior[1] / prior[0]
        return np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)

    same, other = ProbabilitySample(2), ProbabilitySample(2)
    for _ in range(3):
        same.add(rows(0.1))
        other.add(rows(0.4))
    assert same.moved(prior, 1000) is None
    assert other.moved(prior, 1000)[1] == pytest.approx(0.4, abs=0.03)
    assert other.shares(prior)[1] == pytest.approx(0.4, abs=0.03)


def test_a_sample_of_scores_is_even(monkeypatch):
    from counterpoise.table.monitoring import shift

    monkeypatch.setattr(shift, "_MOST_CELLS", 200)
    scores = ProbabilitySample(2)
    for start in range(0, 1000, 37):
        block = np.arange(start, min(start + 37, 1000)) / 1000
        scores.add(np.stack([1 - block, block], axis=1))
    kept = np.concatenate(scores._kept)[:, 1] * 1000
    assert len(kept) <= 100
    np.testing.assert_allclose(np.diff(kept), np.diff(kept)[0])
    assert scores.mean[1] == pytest.approx(0.4995)


def test_columns_in_blocks_are_numpys_mean_and_deviation():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(300, 3)) * [1, 5, 0.1] + [0, 100, -3]
    matrix[rng.random((300, 3)) < 0.2] = np.nan
    matrix[:, 2] = np.nan
    seen = ColumnStatistics(["a", "b", "c"])
    for start in range(0, 300, 41):
        seen.add(matrix[start : start + 41])
    found = seen.facts()
    for place, name in enumerate("ab"):
        assert found[name]["mean"] == pytest.approx(np.nanmean(matrix[:, place]))
        assert found[name]["deviation"] == pytest.approx(np.nanstd(matrix[:, place]))
        assert found[name]["missing"] == pytest.approx(np.isnan(matrix[:, place]).mean())
    assert found["c"] == {"missing": 1.0, "mean": 0.0, "deviation": 0.0}


def test_what_changed_since_training_is_told(quick, imbalanced, tmp_path):
    frame = imbalanced(400, seed=1)
    frame.write_parquet(tmp_path / "t.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_table(quick, tmp_path / "t.parquet", tmp_path / "p.parquet")
    moved = frame.with_columns(pl.col("wind speed [m/s]") + 2, pl.lit(None, pl.String).alias("kind"))
    moved.write_parquet(tmp_path / "u.parquet")
    with pytest.warns(UserWarning) as told:
        predict_table(quick, tmp_path / "u.parquet", tmp_path / "q.parquet")
    said = " ".join(str(one.message) for one in told)
    assert "column 'wind speed [m/s]' has mean" in said
    assert "column 'kind' is missing or unknown in 100% of the rows" in said


def test_drift_is_told():
    rng = np.random.default_rng(2)
    before = column_facts(rng.normal(size=(500, 3)), ["a", "b", "c"])
    now = rng.normal(size=(500, 3)) + np.array([1.0, 0.0, 0.0])
    now[:200, 1] = np.nan
    seen = ColumnStatistics(["a", "b", "c"])
    seen.add(now)
    first, second = seen.drift(before)
    assert first.startswith("column 'a' has mean")
    assert second == "column 'b' is missing or unknown in 40% of the rows; in training it was in 0%"
    assert len(seen.drift(before, frozenset("a"))) == 1


@pytest.mark.parametrize("sharpness", [0.4, 2.5])
def test_a_model_that_is_badly_calibrated_raises_no_false_alarm(sharpness):
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-3.5, 1.0, size=20_000)
    positive = 1 / (1 + np.exp(-(log_odds.mean() + sharpness * (log_odds - log_odds.mean()))))
    share = np.array([1 - positive.mean(), positive.mean()])
    scores = ProbabilitySample(2)
    scores.add(np.stack([1 - positive, positive], axis=1))
    true = 1 / (1 + np.exp(-log_odds))
    estimate = scores.shares(np.array([1 - true.mean(), true.mean()]))[1]
    assert not 0.8 < estimate / true.mean() < 1.25  # the estimate alone would warn
    assert scores.moved(share, 20_000) is None
    assert scores.shares(share, 20_000).tolist() == share.tolist()


def test_names_of_files_may_be_text(trained, table, tmp_path):
    out, _ = trained
    done = predict_table(str(out), str(table), str(tmp_path / "p.parquet"))
    assert done.out == tmp_path / "p.parquet"
    with pytest.raises(UserError, match="prior is 2; the share of positives lies between 0 and 1"):
        predict_table(str(out), str(table), str(tmp_path / "q.parquet"), prior=2.0)


def test_a_model_of_weighted_rows_is_not_moved_to_another_prior(tmp_path, recwarn):
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    rare = x + rng.normal(size=2000) > 2
    table = tmp_path / "rows.parquet"
    frame = pl.DataFrame({"x": x, "weight": np.where(rare, 20.0, 1.0), "rare": np.where(rare, "yes", "no")})
    frame.write_parquet(table)
    train_table(table, target="rare", weight="weight", learners=("logistic",), budget=5.0, out=tmp_path / "model")
    card = (tmp_path / "model" / "model_card.md").read_text()
    assert "Column 'weight' weighted the rows in training; the threshold and all figures count each row once." in card
    predict_table(tmp_path / "model", table, tmp_path / "plain.parquet")
    assert pl.read_parquet(tmp_path / "plain.parquet")["probability_yes"].mean() > 3 * rare.mean()
    assert not [one for one in recwarn if "of the training rows were" in str(one.message)]
    for prior in (float(rare.mean()), "auto"):
        with pytest.raises(UserError, match="prior is not for a model trained with row weights"):
            predict_table(tmp_path / "model", table, tmp_path / "moved.parquet", prior=prior)
