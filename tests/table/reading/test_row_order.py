"""What a column is does not depend on the order of its rows."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.seeming_dates import read_as_text
from counterpoise.table.reading.date_columns import dates_of
from counterpoise.table.reading.kinds import read_text
from counterpoise.table.reading.sample import sample_of, sample_rows
from counterpoise.table.reading.table import Table

ROWS = 1200
RNG = np.random.default_rng(3)
DAYS = [dt.date(2021, 1, 1) + dt.timedelta(int(k)) for k in RNG.integers(0, 1200, ROWS)]
SAID = "the a this product shirt blue is was good bad very service slow fast never again love it after two weeks"
WORDS = SAID.split(" ")


def mixed(usual, odd, odd_rows):
    """Cells of one sort, and others, in even rows first: every k-th row is one of these."""
    cells = [usual(k) for k in range(ROWS)]
    even = [*range(0, ROWS, 2), *range(1, ROWS, 2)][:odd_rows]
    for k in even:
        cells[k] = odd(k)
    return cells


def day(form):
    return lambda k: DAYS[k].strftime(form)


def word(said):
    return lambda _: said


COLUMNS = {
    "dates and many words": mixed(day("%Y-%m-%d"), word("open"), 540),
    "more words than dates": mixed(day("%Y-%m-%d"), word("open"), 630),
    "dates and one word": mixed(day("%d.%m.%Y"), word("soon"), 1),
    "two orders of day and month": mixed(day("%d/%m/%Y"), day("%m/%d/%Y"), 500),
    "no order of day and month": [f"{1 + k % 12:02d}/{1 + k // 12 % 12:02d}/2024" for k in range(ROWS)],
    "units": mixed(lambda k: f"{k % 90} kg", word("light"), 100),
    "two units": mixed(lambda k: f"{k}.5 €", lambda k: f"{k}.5 $", 300),
    "measures in most rows": mixed(lambda k: f"{k % 90} kg", word("light"), 118),
    "thousands": mixed(lambda k: f"{k + 1:,}", lambda k: f"{10**6 + k:,}", 400),
    "thousands or fractions": [f"{1 + k % 9},{k % 900 + 100}" for k in range(ROWS)],
    "k for thousands": mixed(lambda k: f"{k}.5k", str, 600),
    "a third of numbers": mixed(lambda k: f"{k},5", word("none of these"), 800),
    "flags as words": mixed(word("yes"), word("no"), 500),
    "flags and a word": mixed(word("True"), word("false"), 500),
    "codes with zeros": mixed(lambda k: f"{k * 7:05d}", lambda k: f"1{k:04d}", 700),
    "identifiers": mixed(lambda k: f"{k * 7919 % 10_007}-{k}", lambda k: f"{WORDS[k % 21]} {k}", 60),
    "mostly missing": mixed(word("n/a"), day("%Y-%m-%d"), 70),
    "prose": [" ".join(RNG.choice(WORDS, RNG.integers(6, 20))) for _ in range(ROWS)],
    "prose and dates": mixed(lambda k: f"{WORDS[k % 21]} {WORDS[k % 5]}", day("%Y-%m-%d"), 601),
    "days of Excel": mixed(lambda k: str(44_000 + k), word("-"), 300),
    "days as digits": mixed(day("%Y%m%d"), word("20241399"), 1),
    "zones": mixed(lambda k: f"{DAYS[k]}T0{k % 9}:30:00+02:00", lambda k: f"{DAYS[k]} 09:30:00", 300),
    "dates of two figures": mixed(day("%d/%m/%y"), word("later"), 116),
}
"""Each lies near a limit between two kinds, or is of several kinds in turn."""


def learned(cells, target):
    """What the column is, without what names a row of it."""
    read = read_text(pl.DataFrame({"x": cells}), separator=";")
    table = Table(read.frame.with_columns(y=target, size=target + 0.5), Path("t.csv"), typed=False)
    dated, refused = dates_of(table, ["y"])
    refusals = [*read.doubts.values(), *refused.values()]
    kinds = []
    if not refusals:
        schema = learn_schema(dated, "y", np.arange(ROWS))
        kinds = [*((one.name, one.kind) for one in schema.columns), *(name for name, _ in schema.dropped)]
    sentences = [*refusals, *read.said, *dated.said, *read_as_text(dated.frame.get_columns())]
    return (
        [re.sub(r"'[^']*'|[-+:.\d]+", "", one) for one in sentences],
        str(dated.frame["x"].dtype),
        dated.frame["x"].cast(pl.String).sort().to_list(),
        dict(dated.forms),
        dict(read.figures),
        kinds,
    )


ORDERS = {
    "sorted": lambda cells: np.argsort(cells, kind="stable"),
    "reversed": lambda cells: np.arange(len(cells))[::-1],
    "words first": lambda cells: np.argsort(np.arange(len(cells)) % 2, kind="stable"),
    **{
        f"shuffled by {seed}": lambda cells, seed=seed: np.random.default_rng(seed).permutation(len(cells))
        for seed in range(3)
    },
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_the_same_in_any_order_of_the_rows(name):
    cells = np.array(COLUMNS[name])
    target = (np.random.default_rng(1).random(ROWS) < 0.2).astype(np.int64)
    first = learned(cells.tolist(), target)
    for how, order in ORDERS.items():
        rows = order(cells)
        assert learned(cells[rows].tolist(), target[rows]) == first, how


@pytest.mark.parametrize("values", [["open", "2024-01-31"], [f"K{k}" for k in range(5000)], ["a"] * 99 + ["b"]])
def test_each_value_gets_its_share_of_a_sample_in_any_order(values):
    cells = pl.Series(values).sample(5000, with_replacement=True, seed=0)
    rows = sample_rows(cells, 200)
    assert len(np.unique(rows)) == 200
    drawn = sample_of(cells, 200)
    for other in (cells.sort(), cells.reverse(), cells.shuffle(seed=1)):
        assert sample_of(other, 200).to_list() == drawn.to_list()
    for one in cells.unique():
        assert abs((drawn == one).sum() / 200 - (cells == one).sum() / 5000) < 1 / 200
