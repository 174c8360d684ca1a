"""Very rare classes do not break the booster down on real tables."""

import numpy as np
import polars as pl
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from absent import real_table
from counterpoise.decide.measured import ranking
from counterpoise.goals import Goal
from counterpoise.table import train_table

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name, leak, lowest", [("mine_injuries", "NUM_INJURIES", 0.5), ("oil_spill", "patch_id", 0.35)]
)
def test_no_worse_than_a_logistic_regression(name, leak, lowest, tmp_path):
    frame = pl.read_parquet(real_table(name)).drop(leak)
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
        assert one.average_precision > lowest
