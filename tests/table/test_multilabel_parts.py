"""What several labels may be, which rows learn and judge them, and how their figures are drawn."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table.reading.labels import named_labels, read_many_labels
from counterpoise.table.reading.table import read_table
from counterpoise.table.rows.split import split_labels
from counterpoise.table.training.macro import drawn_measures, macro
from counterpoise.table.training.several import pace_of

pytestmark = pytest.mark.slow


FAST = {"learners": ["logistic"], "budget": 3.0}


ODD = "y_<script>alert(1)</script>"


def many_labels(rows=400, seed=0):
    """Three labels, one of them unknown in a third of the rows, and one that only two rows have."""
    rng = np.random.default_rng(seed)
    size, wind = rng.normal(size=(2, rows))
    noise = 0.4 * rng.normal(size=(3, rows))
    kind = rng.choice(["oak", "fir"], rows)
    unknown = pl.Series(rng.random(rows) < 1 / 3)
    return pl.DataFrame(
        {
            "size": size,
            "wind": wind,
            "kind": kind,
            "y_tall": (size + noise[0] > 1.2).astype(int),
            "y_bent": pl.Series((wind + (kind == "fir") + noise[1] > 1.5).astype(int)).set(unknown, None),
            ODD: (size + wind + noise[2] > 1.8).astype(int),
            "y_few": [1, 1] + [0] * (rows - 2),
        }
    )


@pytest.fixture(scope="module")
def frame():
    return many_labels()


@pytest.fixture(scope="module")
def result(frame):
    return cp.train(frame, target="y_*", **FAST)


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "trees.csv"
    frame.write_csv(path)
    return path


@pytest.mark.parametrize(
    ("target", "named"),
    [("y_*", ("y_tall", "y_bent", ODD, "y_few")), ("y_few, y_b*", ("y_few", "y_bent")), ("size", ()), ("sise", ())],
)
def test_which_columns_a_target_names(path, target, named):
    assert named_labels(read_table(path), target) == named


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"target": "z_*"}, r"no column of the frame matches the target 'z_\*'; its columns: size, wind"),
        ({"target": "y_tall,"}, "has an empty name"),
        ({"target": "y_tall,y_bend"}, "has no column 'y_bend'; did you mean 'y_bent'"),
        ({"target": ["y_tall", "y_tall"]}, "the targets name 'y_tall' twice"),
        ({"target": "y_tall,wind"}, "distinct fractions"),
        ({"target": "y_tall,kind"}, "label 'kind' holds 'fir' in data row .*, and labels '0' and '1'"),
        (
            {"target": "y_*", "goal": "recall of tall where precision of tall >= 0.5"},
            "each label has its own goal",
        ),
        ({"target": "y_*", "positive": "yes"}, "no label is ever 'yes'; their values: 0, 1"),
        ({"target": "y_f*"}, "no label can be learned; 'y_few': 2 rows have it"),
        ({"target": "y_*", "group": "y_tall"}, "different columns"),
    ],
)
def test_what_cannot_be_asked(frame, asked, said):
    with pytest.raises(UserError, match=said):
        cp.train(frame, **(FAST | asked))


@pytest.mark.parametrize("values", [("no", "yes"), (False, True), (0.0, 1.0), ("has", "none")], ids=str)
def test_what_a_cell_may_hold(frame, values, tmp_path):
    spelled = frame.select(
        pl.when(pl.col(name) == 1).then(pl.lit(values[1])).when(pl.col(name) == 0).then(pl.lit(values[0])).alias(name)
        for name in ("y_tall", "y_bent")
    )
    spelled.write_parquet(tmp_path / "t.parquet")
    found = read_many_labels(read_table(tmp_path / "t.parquet"), ("y_tall", "y_bent"))
    np.testing.assert_array_equal(found.codes, frame.select("y_tall", "y_bent").fill_null(-1).to_numpy())
    turned = read_many_labels(
        read_table(tmp_path / "t.parquet"), ("y_tall", "y_bent"), positive=str(values[0]).removesuffix(".0")
    )
    np.testing.assert_array_equal(turned.codes == 1, found.codes == 0)


def test_one_is_positive_although_most_rows_have_it():
    table = read_table_of({"y_a": [1, 1, 1, 0], "y_b": [1, None, 1, 1]})
    assert read_many_labels(table, ("y_a", "y_b")).values == (0, 1)


def read_table_of(columns):
    from counterpoise.table.reading.frames import table_of

    return table_of(pl.DataFrame(columns))


def test_groups_stay_together(frame):
    group = np.repeat(np.arange(80), 5)
    found = cp.train(frame.with_columns(site=group), target=["y_tall", ODD], group="site", **FAST)
    assert set(group[found.split.train]) & set(group[found.split.test]) == set()


def test_nothing_is_promised_of_rows_that_hang_together(frame):
    grouped = frame.with_columns(site=np.repeat(np.arange(80), 5))
    asked = FAST | {"target": ["y_tall", ODD], "goal": "recall where precision >= 0.3"}
    alone, together = cp.train(grouped, **asked), cp.train(grouped, group="site", **asked)
    assert any(ruling.promised for ruling in alone.decision.values())
    assert not any(ruling.promised for ruling in together.decision.values())


def test_a_frame_is_trained_again_by_its_call(result, frame):
    assert result.command.startswith("counterpoise.train(frame, target='y_*', goal='f1', learners=['logistic']")
    again = eval(result.command, {"counterpoise": cp, "frame": frame})
    np.testing.assert_array_equal(again.predict_proba(frame), result.predict_proba(frame))


def test_the_plan_keeps_to_the_budget():
    small, large = pace_of(300.0, 3, 500, 20, 2), pace_of(300.0, 28, 43_000, 366, 2)
    assert small.every_loss and small.again
    assert not large.every_loss and not large.again
    assert 1_000 < large.raced < large.grown < 43_000
    assert pace_of(3_000.0, 28, 43_000, 366, 2).grown == 43_000


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(30, 200),
    shares=st.lists(st.floats(0.02, 0.6), min_size=1, max_size=6),
    calibration=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 1000),
)
def test_each_part_has_its_share_of_every_label(rows, shares, calibration, seed):
    positive = np.random.default_rng(seed).random((rows, len(shares))) < shares
    split = split_labels(positive, seed=seed, calibration=calibration)
    parts = (split.train, split.calibration, split.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(rows))
    n = positive.sum(axis=0)
    for part, share in zip(parts, (0.8 - calibration, calibration, 0.2), strict=True):
        assert np.abs(positive[part].sum(axis=0) - share * n).max() <= 2 + 0.1 * n.max()
    if n.max() and (rarest := n[n > 0].min()) >= 5:
        assert (positive[split.test].sum(axis=0)[n == rarest] >= 1).any()


@settings(max_examples=20, deadline=None)
@given(labels=st.integers(1, 6), seed=st.integers(0, 1000))
def test_labels_that_err_together_say_no_more_than_one(labels, seed):
    rng = np.random.default_rng(seed)
    target, score = (rng.random(80) < 0.3).astype(np.int64), rng.random(80)
    target[:2] = 0, 1
    one = cp.decide.measure_binary(target, score, 0.5, "f1")
    alike = drawn_measures(80, [(np.arange(80), target, score, 0.5)] * labels, seed=seed)
    found = macro([one["f1"]] * labels, alike["f1"])
    assert (found.low, found.high) == pytest.approx((one["f1"].low, one["f1"].high), abs=1e-9)
    assert alike["average_precision"].std() > 0


def test_drawn_measures_are_scikit_learns_under_the_same_weights():
    rng = np.random.default_rng(3)
    target, score = (rng.random(60) < 0.3).astype(np.int64), rng.random(60).round(1)
    known = np.sort(rng.choice(100, 60, replace=False))
    found = drawn_measures(100, [(known, target, score, 0.5)], seed=4)
    weight = np.random.default_rng([4, 3]).standard_exponential((200, 100))[:, known]
    for draw in (0, 150):
        assert found["f1"][draw, 0] == pytest.approx(f1_score(target, score >= 0.5, sample_weight=weight[draw]))
        expected = average_precision_score(target, score, sample_weight=weight[draw])
        assert found["average_precision"][draw, 0] == pytest.approx(expected)


def test_a_label_of_one_group_is_left_out_and_the_others_are_learned():
    place, rng = np.arange(600), np.random.default_rng(0)
    card = place // 20
    frame = pl.DataFrame(
        {
            "x": rng.normal(size=600),
            "day": place,
            "card": card,
            "y_a": (rng.random(600) < 0.3).astype(int),
            "y_b": np.isin(card, [3, 27]).astype(int),  # one to learn from, one to be tested on
        }
    )
    found = cp.train(frame, target="y_*", time="day", group="card", learners=["lightgbm"], budget=2)
    assert found.not_learned == {"y_b": "40 rows have it; those in the training part are all in one group"}
    assert list(found.trainings) == ["y_a"]
