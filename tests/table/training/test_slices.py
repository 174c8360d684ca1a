"""The rates of groups: against scikit-learn and SciPy, and warnings that chance does not raise."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from counterpoise.errors import UserError
from counterpoise.table.training.slices import slices_of

pytestmark = pytest.mark.slow


def _rows(seed: int, rows: int = 600) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "shop": rng.choice(["A", "B", "C", "D"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "size": rng.normal(size=rows),
            "day": [date(2024, 1, 1) + timedelta(days=int(one)) for one in rng.integers(0, 400, rows)],
        }
    )
    target = (rng.random(rows) < 0.3).astype(int)
    decided = np.where(rng.random(rows) < 0.8, target, 1 - target)
    return frame, target, decided


def test_the_rates_are_scikit_learns():
    frame, target, decided = _rows(0)
    shops = frame["shop"].to_numpy()
    (found,) = slices_of(frame.select("shop"), target, decided, least_rows=1)
    assert [one.name for one in found.groups] == ["A", "B", "C", "D"]
    for group in found.groups:
        here = shops == group.name
        recall, precision, alerts, fpr = (one.measured.value for one in group.rates)
        assert recall == pytest.approx(metrics.recall_score(target[here], decided[here]))
        assert precision == pytest.approx(metrics.precision_score(target[here], decided[here]))
        assert alerts == pytest.approx(decided[here].mean())
        assert fpr == pytest.approx(1 - metrics.recall_score(target[here], decided[here], pos_label=0))


def test_the_recall_of_each_class_is_scikit_learns():
    frame, _, _ = _rows(1)
    rng = np.random.default_rng(1)
    target, decided = rng.integers(0, 3, 600), rng.integers(0, 3, 600)
    (found,) = slices_of(frame.select("shop"), target, decided, classes=["x", "y", "z"], binary=False, least_rows=1)
    for group in found.groups:
        here = frame["shop"].to_numpy() == group.name
        accuracy, *recall = (one.measured.value for one in group.rates)
        assert accuracy == pytest.approx(metrics.accuracy_score(target[here], decided[here]))
        assert recall == pytest.approx(
            metrics.recall_score(target[here], decided[here], average=None, labels=[0, 1, 2])
        )


def test_a_group_is_worse_exactly_where_the_corrected_interval_excludes_the_whole():
    frame, target, decided = _rows(2)
    missed = (frame["shop"] == "B").to_numpy() & (np.arange(600) % 2 == 0)
    decided[missed] = 0
    (found,) = slices_of(frame.select("shop"), target, decided, least_rows=1)
    assert found.looks == 12
    marked = 0
    for group in found.groups:
        for rate, overall in zip(group.rates, found.overall, strict=True):
            sure = stats.binomtest(rate.part, rate.whole).proportion_ci(1 - 0.05 / found.looks, method="exact")
            everywhere = overall.part / overall.whole
            outside = sure.low > everywhere if rate.name == "fpr" else sure.high < everywhere
            assert rate.worse == (outside and rate.name != "alerts")
            marked += rate.worse
    assert marked == 1
    assert found.warning is not None and found.warning.startswith("shop B: recall is ")


def test_chance_alone_warns_in_at_most_one_table_of_twenty():
    warned = sum(
        slices_of(frame.select("shop"), target, decided)[0].warning is not None
        for frame, target, decided in (_rows(seed) for seed in range(300))
    )
    assert warned <= stats.binom.ppf(0.999, 300, 0.05)


@given(
    values=st.lists(st.one_of(st.none(), st.integers(-5, 60), st.floats(-1e9, 1e9)), min_size=1, max_size=120),
    seed=st.integers(0, 99),
    kind=st.sampled_from([pl.Float64, pl.String]),
)
def test_every_row_is_in_one_group(values, seed, kind):
    rng = np.random.default_rng(seed)
    target, decided = rng.integers(0, 2, (2, len(values)))
    column = pl.Series("v", [None if one is None else float(one) for one in values], dtype=pl.Float64).cast(kind)
    (found,) = slices_of(column.to_frame(), target, decided, least_rows=5, most_groups=4)
    assert sum(group.rows for group in found.groups) == len(values)
    for place, overall in enumerate(found.overall):
        assert sum(group.rates[place].part for group in found.groups) == overall.part
        assert sum(group.rates[place].whole for group in found.groups) == overall.whole


def test_numbers_and_dates_are_cut_at_quartiles_in_their_order():
    frame, target, decided = _rows(3)
    _, size, day = slices_of(frame, target, decided)
    assert [group.rows for group in size.groups] == [150, 150, 150, 150]
    assert size.groups[0].name.startswith("up to -0.") and size.groups[-1].name.startswith("above 0.")
    assert [group.name[:8] for group in day.groups] == ["up to 20", "2024-04-", "2024-07-", "above 20"]
    few = pl.DataFrame({"n": [10, 9, 2] * 40, "gone": [1.0, None, float("nan")] * 40})
    n, gone = slices_of(few, np.ones(120, int), np.ones(120, int))
    assert [group.name for group in n.groups] == ["2", "9", "10"]
    assert [(group.name, group.rows) for group in gone.groups] == [("1.0", 40), ("(missing)", 80)]


def test_small_groups_are_pooled():
    frame = pl.DataFrame({"city": ["big"] * 100 + [f"village {k}" for k in range(20)]})
    (found,) = slices_of(frame, np.ones(120, int), np.ones(120, int))
    assert [(group.name, group.rows) for group in found.groups] == [("big", 100), ("other (20 groups)", 20)]


@pytest.mark.parametrize(
    "target, decided, classes, message",
    [
        ([1, 0], [1], (0, 1), r"decided has shape \(1,\), but the columns to slice by have 2 rows"),
        ([1, 2], [1, 0], (0, 1), "target 2 in row 1 is not a class index"),
        ([1, 0], [1, -1], (0, 1), "decided -1 in row 1 is not a class index"),
    ],
    ids=["too few", "unknown class", "negative"],
)
def test_bad_input(target, decided, classes, message):
    with pytest.raises(UserError, match=message):
        slices_of(pl.DataFrame({"a": [1, 2]}), target, decided, classes=classes)
