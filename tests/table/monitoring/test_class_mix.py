"""Other class shares, or other columns: `--prior auto` is advised where it helps, and never where it would harm."""

import datetime as dt
import warnings

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import predict_table
from counterpoise.table.monitoring.class_mix import ClassMix, class_histograms, distinct_share
from counterpoise.table.monitoring.shift import ColumnStatistics, ProbabilitySample, column_facts, shown_apart

pytestmark = pytest.mark.slow

ROWS = 1500
FN, FP = 20, 1


def rows(seed, n=ROWS, *, share=None, x_moved=0.0, worth=0.0, slope=1.4):
    """Rows of a table, a share of them positive if one is given."""
    rng = np.random.default_rng(seed)
    n, wanted = (n, None) if share is None else (20 * n, (round(n * share), n - round(n * share)))
    x, z, w = rng.normal(x_moved, 1, n), rng.lognormal(sigma=0.6, size=n), rng.normal(size=n)
    kind, flag = rng.choice(["oak", "fir", "elm"], n, p=[0.5, 0.3, 0.2]), rng.random(n) < 0.3
    score = slope * x + 0.8 * np.log(z) + 1.3 * (kind == "elm") + 0.7 * flag - 4 + worth
    rare = rng.random(n) < 1 / (1 + np.exp(-score))
    frame = pl.DataFrame({"x": x, "z": z, "w": w, "kind": kind, "flag": flag, "rare": np.where(rare, "yes", "no")})
    if wanted is None:
        return frame
    return pl.concat(
        [frame.filter(pl.col("rare") == "yes")[: wanted[0]], frame.filter(pl.col("rare") == "no")[: wanted[1]]]
    )


def missing(frame, share):
    held = np.random.default_rng(0).random(frame.height) >= share
    return frame.with_columns(x=pl.when(pl.Series(held)).then("x"))


def noisy(frame, size):
    return frame.with_columns(x=pl.col("x") + pl.Series(np.random.default_rng(0).normal(0, size, frame.height)))


LABEL_SHIFTS = {
    "three in ten": lambda: rows(1, share=0.3),
    "one in two": lambda: rows(2, share=0.5),
    "positives repeated": lambda: pl.concat([rows(3), *[rows(3).filter(pl.col("rare") == "yes")] * 4]),
    "few rows": lambda: rows(4, 400, share=0.4),
}
OTHER_SHIFTS = {
    "one column, up": lambda: rows(5, x_moved=0.5),
    "one column, down": lambda: rows(5, x_moved=-0.5),
    "one column, a little": lambda: rows(5, 4000, x_moved=0.25),
    "one column, few rows": lambda: rows(5, 400, x_moved=1.0),
    "all columns": lambda: rows(6).with_columns(pl.col("x") * 1.5 + 0.3, pl.col("z") * 1.5, pl.col("w") * 1.5),
    "measured otherwise": lambda: rows(7).with_columns(pl.col("x") + 0.6),
    "another unit": lambda: rows(8).with_columns(pl.col("z") * 1000),
    "half the unit": lambda: rows(8).with_columns(pl.col("z") / 2),
    "missing values": lambda: missing(rows(9), 0.6),
    "a category of the rows": lambda: rows(10, 6000).filter(pl.col("kind") == "elm")[:ROWS],
    "a range of the rows": lambda: rows(10, 6000).filter(pl.col("x") > 0)[:ROWS],
    "duplicates": lambda: pl.concat([rows(7, 3000)[:50]] * 60),
    "noise": lambda: noisy(rows(12), 1.0),
    "another concept": lambda: rows(13, worth=1.0),
    "a weaker concept": lambda: rows(13, slope=0.7),
    "nothing": lambda: rows(14),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "m"
    goal = f"cost fn={FN} fp={FP}"
    cp.train(rows(0, 4000), target="rare", goal=goal, learners=["logistic"], budget=4).save(out)
    return out


def cost(scored, frame):
    rare, flagged = frame["rare"] == "yes", scored["decision"] == "yes"
    return FN * int((rare & ~flagged).sum()) + FP * int((~rare & flagged).sum())


def scored(model, frame, path, prior=None):
    """The result and what was said; the reason in its place where it was refused."""
    frame.write_parquet(path / "t.parquet")
    (path / "p.parquet").unlink(missing_ok=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            predict_table(model, path / "t.parquet", path / "p.parquet", prior=prior)
        except UserError as error:
            return None, str(error)
    return pl.read_parquet(path / "p.parquet"), " ".join(str(one.message) for one in told)


@pytest.mark.parametrize("name", LABEL_SHIFTS)
def test_other_class_shares_alone_are_adjusted_to(name, model, tmp_path):
    frame = LABEL_SHIFTS[name]()
    plain, said = scored(model, frame, tmp_path)
    assert "if each class still looks as it did, --prior auto adjusts them" in said
    adjusted, _ = scored(model, frame, tmp_path, "auto")
    assert cost(adjusted, frame) < cost(plain, frame)


@pytest.mark.parametrize("name", OTHER_SHIFTS)
def test_no_advice_makes_decisions_worse(name, model, tmp_path):
    frame = OTHER_SHIFTS[name]()
    plain, said = scored(model, frame, tmp_path)
    assert "--prior" not in said
    adjusted, why = scored(model, frame, tmp_path, "auto")
    if adjusted is None:
        assert "prior auto assumes that each class looks as it did in training, but " in why
        assert "give the shares if they are known (prior=0.05), otherwise label some of the rows" in why
    else:
        assert cost(adjusted, frame) == cost(plain, frame)


def test_what_has_changed_is_named(model, tmp_path):
    _, said = scored(model, OTHER_SHIFTS["another unit"](), tmp_path)
    assert "the mean probability of yes is" in said
    assert (
        "of the training rows were; but columns 'z', 'x' have changed by more than other class shares explain. So"
        in said
    )
    assert said.endswith("can be relied on: label some rows")
    _, why = scored(model, OTHER_SHIFTS["a category of the rows"](), tmp_path, "auto")
    assert "column 'kind' has changed" in why


def test_a_share_that_is_given_is_taken_whatever_has_changed(model, tmp_path):
    adjusted, _ = scored(model, OTHER_SHIFTS["another unit"](), tmp_path, 0.2)
    assert adjusted.height == ROWS


def test_an_estimate_far_from_the_training_is_refused(tmp_path):
    """Rows of one class only: it looks as it did, and that is no share to decide by."""
    rng = np.random.default_rng(0)
    rare = rng.random(3000) < 0.1
    table = pl.DataFrame({"x": rng.normal(size=3000) + 3 * rare, "w": rng.normal(size=3000), "rare": rare})
    cp.train(table, target="rare", learners=["logistic"], budget=3).save(tmp_path / "m")
    frame = pl.DataFrame({"x": rng.normal(size=3000), "w": rng.normal(size=3000)})
    _, why = scored(tmp_path / "m", frame, tmp_path, "auto")
    assert "of the rows are True, and 0.1" in why and "too far apart to be plausible. Give the shares if" in why
    _, said = scored(tmp_path / "m", frame, tmp_path)
    assert "too far apart to be plausible. Label some of these rows" in said and "--prior" not in said
    scores = ProbabilitySample(3)
    scores.add(np.tile([[0.8, 0.1, 0.1]], (1000, 1)))
    prior = np.array([0.8, 0.1, 0.1])
    assert scores.far_off(np.array([0.85, 0.1, 0.05]), prior) is None
    assert scores.far_off(np.array([0.005, 0.9, 0.095]), prior) == 0
    assert scores.far_off(np.array([0.9, 0.1, 0.0]), prior) == 2
    assert scores.far_off(np.array([0.9, 0.1, 0.0]), np.array([0.899, 0.1, 0.001])) is None  # one row in a thousand


def test_histograms_count_the_rows_of_each_class():
    rng = np.random.default_rng(0)
    matrix = np.stack([rng.normal(size=900), rng.integers(0, 40, 900), np.full(900, 5.0)], axis=1)
    matrix[::7, 0] = np.nan
    codes = rng.integers(0, 3, 900)
    number, category, constant = class_histograms(matrix, codes, 3, {1})
    for one, marks in ((number, "edges"), (category, "codes"), (constant, "edges")):
        counted = np.array(one["rows"])
        assert counted.shape == (len(one[marks]) + 2, 3)
        np.testing.assert_array_equal(counted.sum(axis=0), np.bincount(codes))
    np.testing.assert_array_equal(number["rows"][0], np.bincount(codes[::7], minlength=3))
    edge = number["edges"][4]
    below = np.array(number["rows"])[1:6].sum()
    assert below == (matrix[:, 0] < edge).sum()
    assert np.array(category["rows"])[1].sum() == (matrix[:, 1] == category["codes"][0]).sum()
    assert class_histograms(np.zeros((3, 2600)), np.array([0, 1, 1]), 2) == []


def test_blocks_are_as_the_whole():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 2000)
    matrix = rng.normal(size=(2000, 2)) + codes[:, None]
    kept = dict(zip("ab", class_histograms(matrix, codes, 2), strict=True))
    whole, blocks = ClassMix(kept), ClassMix(kept)
    other = rng.normal(0.3, 1, size=(2000, 2))
    whole.add(other)
    for start in range(0, 2000, 170):
        blocks.add(other[start : start + 170])
    assert whole.unexplained([0.5, 0.5], [0.6, 0.4]) == blocks.unexplained([0.5, 0.5], [0.6, 0.4]) != []
    assert whole.distinct == blocks.distinct == 1.0
    assert distinct_share(np.repeat(matrix[:100], 5, axis=0)) == 0.2


def test_a_column_beyond_all_that_was_learned_is_told_with_its_range():
    rng = np.random.default_rng(0)
    names = ["year", "day of birth", "size"]
    learned = np.stack([rng.integers(2019, 2024, 500), rng.integers(0, 9000, 500), rng.normal(size=500)], axis=1)
    before = column_facts(learned, names)
    now = ColumnStatistics(names)
    now.add(np.stack([np.full(200, 2025), np.full(200, 20_000), rng.normal(size=200)], axis=1))
    year, born = now.drift(before, days=frozenset(["day of birth"]))
    assert (
        year
        == "column 'year' lies outside the training range: its mean is 2025; in training it ranged from 2019 to 2023"
    )
    assert "its mean is 2024-10-04; in training it ranged from 1970-01-0" in born


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([20634.0, 20551.0], ["20634", "20551"]),
        ([1234567.0, 1234568.0], ["1234567", "1234568"]),
        ([1.0004, 1.0001], ["1.0004", "1.0001"]),
        ([0.00012, 3.0], ["0.00012", "3"]),
        ([5.0, 5.0], ["5", "5"]),
    ],
)
def test_numbers_are_shown_with_digits_that_tell_them_apart(values, shown):
    assert shown_apart(values) == shown


def test_dates_that_were_asked_for_are_shown_as_dates():
    rng = np.random.default_rng(0)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(one)) for one in rng.integers(0, 90, 600)]
    frame = pl.DataFrame({"seen": days, "x": rng.normal(size=600), "gone": rng.random(600) < 0.3})
    result = cp.train(frame, target="gone", learners=["logistic"], budget=3, absolute_time=True)
    with pytest.warns(
        UserWarning, match=r"'seen day' lies outside .* mean is 2025-0\d-\d\d; in training it ranged from 2024-01"
    ):
        result.predict_proba(frame.with_columns(pl.col("seen") + pl.duration(days=500)))


@pytest.mark.parametrize("rows, sampled", [(900, 900), (20_000, 10_000), (70_000, 8_750)])
@pytest.mark.parametrize("size", [100, 4_097, 65_536])
def test_blocks_make_no_difference(rows, sampled, size):
    rng = np.random.default_rng(0)
    codes = (rng.random(3000) < 0.1).astype(int)
    kept = dict(
        zip(["size", "wind"], class_histograms(rng.normal(size=(3000, 2)) + codes[:, None], codes, 2), strict=True)
    )
    new = np.sort(rng.normal(size=(rows, 2)), axis=0).round(3)  # the order of the rows would show
    whole, parts = ClassMix(kept), ClassMix(kept)
    whole.add(new)
    for first in range(0, rows, size):
        parts.add(new[first : first + size])
    assert parts.distinct == whole.distinct
    for mine, other in zip(parts._counted().values(), whole._counted().values(), strict=True):
        np.testing.assert_array_equal(mine, other)
    counted = whole._counted()["size"]
    assert counted.sum() == sampled
    assert counted[1] / sampled == pytest.approx((new[:, 0] < kept["size"]["edges"][0]).mean(), abs=0.001)


def test_no_rows_are_compared_with_nothing():
    assert ClassMix({"size": {"edges": [1.0], "rows": [[0, 0], [5, 1], [5, 1]]}}).distinct == 0.0
