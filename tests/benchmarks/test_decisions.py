"""The benchmark of decisions computes what it says it does, on a table that is made here."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from absent import needs
from benchmarks import decisions
from benchmarks.decisions import (
    GOALS,
    METHODS,
    OURS,
    TUNED,
    Fits,
    OnRowNumbers,
    Table,
    counted,
    judged,
    read,
    surely_broken,
)
from counterpoise import goals
from counterpoise.goals import Constraint

needs("lightgbm")

pytestmark = pytest.mark.slow

TABLE = Table("made", "yes", ("answer",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=(1500, 2)), rng.choice(["a", "b"], 1500)
    positive = x[:, 0] + (kind == "b") + 0.5 * rng.normal(size=1500) > 2
    made = pl.DataFrame(
        {
            "x": np.where(rng.random(1500) < 0.1, np.nan, x[:, 0]),
            "kind": pl.Series(kind, dtype=pl.Categorical),
            "z": x[:, 1],
            "answer": positive,
            "target": np.where(positive, "yes", "no"),
        }
    ).with_columns(pl.col("x").fill_nan(None))
    path = tmp_path_factory.mktemp("data")
    pl.concat([made, made[:7]]).write_parquet(path / "made.parquet")
    return path


def test_a_table_is_read_without_what_leaks_and_what_repeats(folder):
    rows = read(TABLE, folder)
    assert rows.features.shape == (1500, 3) and rows.numeric == 2
    assert len(set(rows.features[:, 2])) == 2
    assert np.isnan(rows.features[:, 0]).any() and 0.02 < rows.target.mean() < 0.3


def test_fits_by_row_number_are_the_models_own(folder):
    rows = read(TABLE, folder)
    rows = decisions.Samples(np.nan_to_num(rows.features), rows.numeric, rows.target)
    by_number = OnRowNumbers(Fits(rows, LogisticRegression))
    learn = np.arange(0, 1500, 2)
    found = cross_val_predict(by_number, learn[:, None], rows.target[learn], cv=3, method="predict_proba")
    own = cross_val_predict(
        LogisticRegression(), rows.features[learn], rows.target[learn], cv=3, method="predict_proba"
    )
    np.testing.assert_array_equal(found, own)


def test_what_the_tuning_is_scored_by():
    truth, flagged = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([1, 1, 1, 0, 1, 1, 0, 0])
    for goal, value in [
        ("recall where precision >= 0.5", 0.75),
        ("recall where precision >= 0.8", -0.2),
        ("recall where precision >= 0.8 and fpr <= 0.4", -0.3),
        ("cost fn=8 fp=4", -2.0),
    ]:
        assert decisions.scorer(goals.goal(goal))._score_func(truth, flagged) == pytest.approx(value)


def test_counts_and_judgement():
    truth = np.repeat([True, False], [100, 900])
    flagged = np.zeros(1000, bool)
    flagged[:45] = flagged[100:155] = True
    at = counted(truth, flagged)
    assert (at.tp, at.fp, at.fn, at.tn) == (45, 55, 55, 845)
    # 45 of 100: the exact 95 % interval is 0.350 to 0.553 (Clopper and Pearson, by scipy)
    assert judged(at, goals.goal("recall where precision >= 0.5")) == (False, False)
    assert judged(at, goals.goal("recall where precision >= 0.56")) == (False, True)
    assert judged(at, goals.goal("recall where precision >= 0.4")) == (True, False)
    assert surely_broken(at, Constraint("fpr", 0.04)) and not surely_broken(at, Constraint("fpr", 0.05))
    assert surely_broken(at, Constraint("alerts", 0.08)) and not surely_broken(at, Constraint("alerts", 0.09))
    assert not surely_broken(counted(truth, np.zeros(1000, bool)), Constraint("precision", 0.5))


def test_what_can_be_reached():
    truth = np.repeat([False, True], [90, 10])
    rising = np.linspace(0, 1, 100)
    assert decisions.reachable(truth, rising, goals.goal("recall where precision >= 0.5"))
    assert not decisions.reachable(truth, 1 - rising, goals.goal("recall where precision >= 0.5"))


def test_one_split_is_measured(folder, monkeypatch):
    monkeypatch.setattr(decisions, "GOALS", GOALS[::4])
    monkeypatch.setattr(decisions, "MODELS", {"logistic": decisions.logistic})
    outcomes = decisions.measure((TABLE, "logistic", 0), folder)
    assert [(one.goal, one.method) for one in outcomes] == [(goal, method) for goal in GOALS[::4] for method in METHODS]
    assert all(one.promised is False for one in outcomes if one.method != OURS[0])
    assert all(0 <= one.value <= 1 for one in outcomes)
    text = decisions.as_markdown(outcomes, "", 1.0)
    assert text.startswith("# Decisions\n")
    assert len(list(decisions.by_table(outcomes))) == 2 + len(GOALS[::4])
    assert f"| {GOALS[0]} | {TUNED} | " in text and f"| {GOALS[4]} | " in text


def test_no_tables_is_said(tmp_path, capsys):
    assert decisions.main(["--data", str(tmp_path / "none")]) == 0
    assert "nothing is measured" in capsys.readouterr().out
