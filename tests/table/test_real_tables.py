"""Very rare classes do not break the booster down, on real tables where these are at hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterpoise.decide.measured import ranking
from counterpoise.goals import Goal
from counterpoise.table import train_table

TABLES = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize("name, leaks", [("mine_injuries", ["NUM_INJURIES"]), ("oil_spill", ["patch_id"])])
def test_no_worse_than_a_logistic_regression(name, leaks, tmp_path):
    path = TABLES / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"the shared table {name} is not here")
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pl.read_parquet(path).drop(leaks)
    frame.write_parquet(tmp_path / "t.parquet")
    facts = train_table(tmp_path / "t.parquet", target="target", goal=Goal("f1"), out=tmp_path / "out")
    numbers = frame.drop("target").select(pl.selectors.numeric()).cast(pl.Float64).to_numpy()
    seen, codes = np.r_[facts.split.train, facts.split.calibration], facts.labels.codes
    rival = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=2000))
    rival.fit(numbers[seen], codes[seen])
    score = rival.predict_proba(numbers[facts.split.test])[:, 1]
    theirs = ranking(facts.judged.target, score, np.ones((1, len(score))))["average_precision"][0]
    assert facts.judged.metrics["average_precision"].high >= theirs
    for one in facts.verdict.entries:
        assert one.average_precision > 20 * codes.mean() or one.average_precision > 0.3
