"""The slider's places: every count against brute force, the costs against direct sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise import goals
from counterpoise.decide.measured import mean_share, share
from counterpoise.goals import Confusion, Cost, Goal
from counterpoise.table.report.stops import cost_per_1000, costs_of, slider_data, stops_of


@given(
    seed=st.integers(0, 500),
    rows=st.integers(2, 400),
    digits=st.sampled_from([1, 2, 9]),
    threshold=st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1)),
    most=st.sampled_from([10, 300]),
)
def test_the_counts_are_those_at_the_threshold(seed, rows, digits, threshold, most):
    rng = np.random.default_rng(seed)
    target = np.r_[0, 1, rng.integers(0, 2, rows - 2)]
    probability = rng.random(rows).round(digits)
    stops = stops_of(target, probability, threshold, most)
    assert stops.threshold[stops.chosen] == threshold
    assert len(stops.threshold) <= max(most, len(np.unique(probability))) + 2
    assert np.all(np.diff(stops.threshold) >= 0)
    for place, cut in enumerate(stops.threshold):
        flagged = probability >= cut
        at = stops.counts(place)
        assert (at.tp, at.fp) == (np.sum(flagged & (target == 1)), np.sum(flagged & (target == 0)))
        assert (at.fn, at.tn) == (np.sum(~flagged & (target == 1)), np.sum(~flagged & (target == 0)))


def test_many_rows_have_few_stops_that_reach_from_one_alert_to_all_rows():
    rng = np.random.default_rng(0)
    target = (rng.random(50_000) < 0.01).astype(int)
    stops = stops_of(target, np.clip(0.2 * target + rng.random(50_000) * 0.8, 0, 1), 0.5)
    flagged = np.asarray(stops.at.tp) + np.asarray(stops.at.fp)
    assert 100 < len(stops.threshold) <= 301
    assert flagged[0] == 50_000 and flagged[-1] <= 1
    assert np.max(-np.diff(np.asarray(stops.at.tp))) <= 10  # no step loses more than a few of the 500 positives


def test_the_cost_is_the_sum_over_the_rows():
    at = Confusion(tp=8, fp=20, fn=2, tn=170)
    found = cost_per_1000(at, costs_of(Goal("cost", costs=Cost(fn=50, fp=3, tp=1, tn=-0.5))))
    assert found.value == pytest.approx((50 * 2 + 3 * 20 + 8 - 0.5 * 170) / 200 * 1000)
    assert found.low < found.value < found.high


def test_with_equal_classes_and_costs_the_interval_is_that_of_the_balanced_accuracy():
    at = Confusion(tp=40, fp=5, fn=10, tn=45)
    balanced = mean_share([share(40, 50), share(45, 50)])
    found = cost_per_1000(at, costs_of(Goal("f1")))
    for ours, other in ((found.value, balanced.value), (found.low, balanced.high), (found.high, balanced.low)):
        assert ours == pytest.approx(1000 * (1 - other))


def test_the_page_is_told_what_became_of_each_bound():
    target, probability = np.array([0] * 50 + [1] * 50), np.linspace(0, 1, 100)
    data = slider_data(
        stops_of(target, probability, 0.5), goals.goal("recall where precision >= 0.9 and alerts <= 0.6")
    )
    precision, alerts = data["kept"]
    assert precision[data["chosen"]] == "kept" and precision[0] == "not kept" and precision[-2] == "kept, within noise"
    assert alerts[0] == "not kept" and alerts[data["chosen"]] == "kept, within noise" and alerts[-1] == "kept"
