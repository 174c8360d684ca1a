"""Leaks and identifiers, and columns that look like them but are none."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from counterpoise.table.audit.leaks import find_late_times, find_leak
from counterpoise.table.features.identifiers import find_identifier
from counterpoise.table.features.signal import FOLDS, cells_of, signal

pytestmark = pytest.mark.slow

ROWS = 3000
RNG = np.random.default_rng(1)
CODES = (RNG.random(ROWS) < 0.03).astype(np.int64)
FOLD = RNG.permutation(ROWS) % FOLDS
NOISE = RNG.normal(size=ROWS)


def leak_of(values, codes=CODES, names=("no", "yes")):
    column = pl.Series("c", values)
    rare = codes == np.argmin(np.bincount(codes))
    cells = cells_of(column, rare, classes=len(names))
    return find_leak("c", cells, signal(cells, codes, FOLD[: len(codes)], len(names)), names)


CERTAIN = {
    "the class itself": (CODES, "AUC 1.0000, 0 rows wrong"),
    "as words": (np.where(CODES == 1, "lost", "won"), "AUC 1.0000"),
    "several words for each class": (np.where(CODES == 1, "Q", "w") + RNG.integers(0, 3, ROWS).astype(str), "(AUC "),
    "a count above a bound": (
        np.where(CODES == 1, 900 + RNG.integers(0, 9000, ROWS), RNG.integers(0, 900, ROWS)),
        "0 rows",
    ),
    "missing for one class": (
        [None if c else x for c, x in zip(CODES, NOISE, strict=True)],
        "missing in 100% of the rows",
    ),
    "there for one class": (
        [x if c else None for c, x in zip(CODES, NOISE, strict=True)],
        "missing in 0% of the rows of 'yes'",
    ),
}


@pytest.mark.parametrize("values, why", CERTAIN.values(), ids=CERTAIN)
def test_certain(values, why):
    leak = leak_of(values)
    assert leak is not None and leak.certain and why in leak.why
    assert leak.auc > 0.99


def test_a_strong_column_may_be_honest():
    leak = leak_of(NOISE + 5 * CODES)
    assert leak is not None and not leak.certain and leak.auc > 0.99


@pytest.mark.parametrize(
    "values, why",
    [
        (np.where((CODES == 1) & (NOISE > 0), "charged back", "ok"), "it is 'charged back' in"),
        (np.where((CODES == 1) & (NOISE > 0), 1, 0), "it is '1' in"),
        (np.where((CODES == 1) & (NOISE > 0), np.nan, NOISE), "it is missing in"),
    ],
)
def test_a_value_that_only_one_class_has(values, why):
    leak = leak_of(values)
    assert leak is not None and not leak.certain and leak.why.startswith(why) and leak.why.endswith("all of them 'yes'")


@pytest.mark.parametrize(
    "values",
    [NOISE, NOISE + CODES, RNG.integers(0, 1500, ROWS).astype(str), np.where(NOISE > 0, "a", "b"), np.full(ROWS, 1)],
)
def test_no_leak(values):
    assert leak_of(values) is None


def test_chance_among_few_rows_is_no_leak():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], [400, 8])
    fold = rng.permutation(408) % FOLDS
    for _ in range(200):
        column = pl.Series(rng.normal(size=408))
        cells = cells_of(column, codes == 1)
        assert find_leak("c", cells, signal(cells, codes, fold, 2), ("a", "b")) is None


def test_of_several_classes():
    codes = RNG.choice(4, ROWS, p=[0.7, 0.2, 0.07, 0.03])
    names = ("a", "b", "c", "d")
    assert leak_of(np.array(["w", "x", "y", "z"])[codes], codes, names).certain
    one = leak_of(np.where(codes == 3, 1, 0), codes, names)
    assert (one.of_class, one.certain) == ("d", False)
    assert leak_of(codes + 2 * NOISE, codes, names) is None


def test_dates_after_the_time_of_the_row():
    start = datetime(2024, 1, 1)
    frame = pl.DataFrame(
        {
            "asked": [start + timedelta(hours=k) for k in range(50)],
            "closed": [start + timedelta(hours=k + 3) if k % 2 else None for k in range(50)],
            "born": [start - timedelta(days=9000 + k) for k in range(50)],
        }
    )
    assert [leak.column for leak in find_late_times(frame, frame.columns, "asked")] == ["closed"]
    zoned = frame.with_columns(pl.col("closed").dt.replace_time_zone("UTC").cast(pl.Datetime("ms", "UTC")))
    assert [leak.column for leak in find_late_times(zoned, frame.columns, "asked")] == ["closed"]


@pytest.mark.parametrize(
    "name, values, repeats",
    [
        ("row", range(500), False),
        ("row", [2**62 + 3 * k for k in range(500)], False),
        ("row", [10.0 * k for k in range(500)], False),
        ("a", RNG.permutation(40_000)[:2000], False),
        ("code", [f"K{k:05d}" for k in range(500)], False),
        ("patient_nbr", RNG.integers(0, 2000, 2000), True),
        ("customerID", RNG.integers(0, 2000, 2000), True),
        ("place", [k for image in range(9) for k in range(40 + image)], True),
    ],
)
def test_identifiers(name, values, repeats):
    found = find_identifier(pl.Series(name, list(values)))
    assert found is not None and found.repeats == repeats


@pytest.mark.parametrize(
    "name, values",
    [
        ("size", RNG.normal(size=500)),
        ("cents", RNG.integers(0, 10**9, 2000)),
        ("age", RNG.integers(0, 90, 2000)),
        ("paid", RNG.integers(0, 3000, 2000)),
        ("review", [f"this is the text number {k}" for k in range(500)]),
        ("admission_type_id", RNG.integers(0, 8, 500)),
        ("year", np.repeat(range(2000, 2020), 25)),
        ("few", range(5)),
        ("none", [None] * 100),
        ("fluid", range(0, 4000, 2)[:10]),
    ],
)
def test_no_identifiers(name, values):
    assert find_identifier(pl.Series(name, list(values))) is None
