"""LightGBM's defaults are called broken where they are, and only there."""

import numpy as np
import pytest

from absent import needs
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.learners import Rows
from counterpoise.table.racing.health import probe

needs("lightgbm")

pytestmark = pytest.mark.slow

ROWS = 4000
SCHEMA = Schema((Column("x", "number"),))


def looked_at(codes, x, weight=None):
    rows = Rows(x[:, None], codes, weight)
    learned = np.arange(ROWS) < ROWS * 3 // 4
    return probe(rows.at(learned), rows.at(~learned), 2, SCHEMA, 0.1, seed=0)


@pytest.mark.parametrize("weight", [1.0, 20.0])
def test_weights_of_a_class_are_no_breakdown(weight):
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    codes = (x + rng.normal(size=ROWS) > 2).astype(np.int64)
    found = looked_at(codes, x, np.where(codes == 1, weight, 1.0))
    assert not found.broken and found.log_loss < found.constant and found.sentence == ""


@pytest.mark.parametrize("weight", [1.0, 20.0])
def test_noise_is_a_breakdown(weight):
    rng = np.random.default_rng(0)
    codes = (rng.random(ROWS) < 0.05).astype(np.int64)
    found = looked_at(codes, rng.normal(size=ROWS), np.where(codes == 1, weight, 1.0))
    assert found.broken and found.sentence.startswith("LightGBM's defaults broke down here (log loss ")
