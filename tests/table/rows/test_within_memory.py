"""A table that is larger than memory: which rows are held, which judge, and what the others stand for."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from counterpoise.errors import UserError
from counterpoise.table.asked import Asked
from counterpoise.table.reading.table import read_table
from counterpoise.table.rows import within_memory
from counterpoise.table.rows.within_memory import read_within

ROWS, RARE, MOST = 20_000, 203, 2_000
RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "id": np.arange(ROWS),
        "size": RNG.normal(size=ROWS).round(3),
        "shop": RNG.integers(900, size=ROWS),
        "day": [date(2024, 1, 1) + timedelta(days=int(one)) for one in RNG.integers(400, size=ROWS)],
        "y": np.where(RNG.permutation(ROWS) < RARE, "yes", "no"),
    }
)


class Small:
    """Room for so many rows."""

    def __init__(self, *_):
        self.rows, self.judged = MOST, 10**9


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(within_memory, "Allowance", Small)


@pytest.fixture
def read(tmp_path):
    def found(frame=FRAME, kind="csv", files=1, **asked):
        folder = tmp_path / f"{kind}{files}"
        folder.mkdir(exist_ok=True)
        for place, part in enumerate(np.array_split(np.arange(frame.height), files)):
            getattr(frame[part], f"write_{kind}")(folder / f"{place}.{kind}")
        place = tmp_path / "waiting"
        place.mkdir(exist_ok=True)
        table = read_within(folder, Asked(**{"target": "y"} | asked), 10**9, place)
        if table.thinned is None:
            return table, None
        judged = pl.concat([pl.read_ipc(file) for file in table.thinned.judged])
        return table, judged.with_columns(tested=pl.Series(table.thinned.tested))

    return found


def ids(frame):
    return frame["id"].cast(pl.Int64).to_list()


def test_rare_rows_are_held_or_judge_and_frequent_ones_stand_for_their_class(read):
    table, judged = read()
    held = table.frame
    assert not set(ids(held)) & set(ids(judged))
    for name, rows in (("yes", RARE), ("no", ROWS - RARE)):
        tested = judged.filter(y=name)["tested"]
        assert abs(tested.sum() - rows / 5) <= 1
        assert abs((~tested).sum() - rows / 5) <= 1
        stands_for = table.thinned.stands_for[(held["y"] == name).to_numpy()]
        assert round(stands_for.sum()) == rows - len(tested)
        assert len(set(stands_for)) == 1
        assert (stands_for[0] == 1) == (name == "yes")
    assert held.filter(y="yes").height + judged.filter(y="yes").height == RARE
    assert 0.9 * MOST <= held.height <= within_memory._SLACK * MOST
    assert table.thinned.aside["y"].to_list() == judged["y"].to_list()
    assert table.thinned.rows == ROWS
    assert ids(held) == sorted(ids(held))


@pytest.mark.parametrize(("kind", "files", "block"), [("csv", 3, 10**6), ("parquet", 1, 700), ("parquet", 7, 10**6)])
def test_files_and_blocks_change_nothing(kind, files, block, read, monkeypatch):
    table, judged = read()
    monkeypatch.setattr(within_memory, "_BLOCK", block)
    other, of_other = read(kind=kind, files=files)
    assert ids(other.frame) == ids(table.frame)
    assert ids(of_other) == ids(judged)
    assert of_other["tested"].equals(judged["tested"])
    np.testing.assert_array_equal(other.thinned.stands_for, table.thinned.stands_for)


def test_another_seed_draws_other_rows(read):
    one, other = (read(seed=seed)[1].filter("tested") for seed in (0, 1))
    assert 0.1 < len(set(ids(one)) & set(ids(other))) / one.height < 0.3  # a fifth, by chance


def test_what_fits_is_read_whole(read, tmp_path, monkeypatch):
    monkeypatch.setattr(Small, "__init__", lambda self, *_: vars(self).update(rows=ROWS, judged=10**9))
    table, _ = read(files=3)
    assert table.thinned is None
    assert table.frame.equals(read_table(tmp_path / "csv3", spelled=True).frame)


def test_as_many_rows_judge_as_memory_can_score(read, monkeypatch):
    monkeypatch.setattr(Small, "__init__", lambda self, *_: vars(self).update(rows=MOST, judged=ROWS // 20))
    for kind in ("csv", "parquet"):
        table, judged = read(kind=kind)
        assert abs(judged["tested"].sum() - ROWS / 20) < ROWS / 200
        assert round(table.thinned.stands_for.sum()) == ROWS - judged.height


def test_a_group_is_in_one_part(read):
    table, judged = read(group="shop")
    parts = [table.frame, judged.filter("tested"), judged.filter(~pl.col("tested"))]
    shops = [set(part["shop"].to_list()) for part in parts]
    assert not (shops[0] & shops[1] or shops[0] & shops[2] or shops[1] & shops[2])
    assert all(abs(len(one) - 180) < 50 for one in shops[1:])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("time", ["day", "size", "written"])
def test_the_latest_rows_are_the_test(kind, time, read):
    frame = FRAME.with_columns(written=pl.col("day").dt.strftime("%d.%m.%Y"))
    table, judged = read(frame, kind=kind, time=time)
    by = {row["id"]: row["day" if time == "written" else time] for row in frame.to_dicts()}
    learned, held, tested = (
        [by[one] for one in ids(part)]
        for part in (table.frame, judged.filter(~pl.col("tested")), judged.filter("tested"))
    )
    assert max(learned) < min(held) <= max(held) < min(tested)
    assert abs(len(tested) - ROWS / 5) < ROWS / 100


def test_bad_input(read):
    missing = FRAME.with_columns(y=pl.when(pl.col("id") == 17_000).then(None).otherwise(pl.col("y")))
    for kind in ("csv", "parquet"):
        with pytest.raises(UserError, match=r"target 'y' is missing in data row 17,001; drop the rows without it"):
            read(missing, kind=kind)
    marked = FRAME.with_columns(y=pl.when(pl.col("id") == 3).then(pl.lit("NA")).otherwise(pl.col("y")))
    with pytest.raises(UserError, match="missing in data row 4"):
        read(marked)
    with pytest.raises(UserError, match=r"the target has more than 5,000 distinct values"):
        read(FRAME.with_columns(y=pl.col("id")))
    with pytest.raises(UserError, match="time and group together need the whole table"):
        read(time="day", group="shop")
    with pytest.raises(UserError, match=r"has no column 'shops'; did you mean 'shop'"):
        read(group="shops")
    with pytest.raises(UserError, match="time 'z' holds String, such as"):
        read(FRAME.with_columns(z=pl.col("y")), time="z")
    late = FRAME.with_columns(day=pl.when(pl.col("id") == 9).then(None).otherwise(pl.col("day")))
    with pytest.raises(UserError, match=r"time 'day' is missing in data row 10; drop"):
        read(late, time="day")
    with pytest.raises(UserError, match="too few distinct times"):
        read(FRAME.with_columns(day=pl.lit(3)), time="day")


def test_empty_rows_are_none_and_keep_their_places(read):
    gaps = pl.concat([FRAME[:5], FRAME.clear(3), FRAME[5:]])
    table, judged = read(gaps)
    assert table.thinned.rows == ROWS
    assert table.said == ("3 rows are empty and were left out (data rows 6, 7, 8).",)
    places = np.array(ids(judged))
    assert table.thinned.places.tolist() == (places + 3 * (places >= 5)).tolist()


def test_the_spelling_of_a_class_or_group_decides_nothing(read):
    number = FRAME.with_columns(y=(pl.col("y") == "yes").cast(pl.Float64), shop=pl.col("shop").cast(pl.Float64))
    flag = FRAME.with_columns(y=pl.col("y") == "yes")
    for frame, more in ((number, {}), (number, {"group": "shop"}), (flag, {})):
        judged = [read(frame, kind=kind, **more)[1] for kind in ("csv", "parquet")]
        assert ids(judged[0]) == ids(judged[1])


def test_a_class_of_few_rows_is_in_every_part(read):
    for seed in range(20):
        few = FRAME.with_columns(
            y=pl.when(pl.col("id").is_in([7, 700, 15_000])).then(pl.lit("few")).otherwise(pl.col("y"))
        )
        table, judged = read(few, seed=seed)
        assert (table.frame["y"] == "few").sum() == 1
        assert judged.filter(y="few")["tested"].sort().to_list() == [False, True]


def test_every_class_is_held(read, monkeypatch):
    monkeypatch.setattr(Small, "__init__", lambda self, *_: vars(self).update(rows=600, judged=10**9))
    many = FRAME.with_columns(
        y=pl.when(pl.col("y") == "yes").then(pl.col("y")).otherwise((pl.col("id") % 900).cast(pl.String))
    )
    table, judged = read(many)
    assert round(table.thinned.stands_for.sum()) + judged.height == ROWS


def test_few_groups(read):
    refused = 0
    for seed in range(12):
        try:
            table, judged = read(FRAME.with_columns(shop=pl.col("shop") % 4), group="shop", seed=seed)
        except UserError as error:
            refused += "has too few groups for a training, calibration and test part" in str(error)
        else:
            assert judged["tested"].any() and not judged["tested"].all() and table.frame.height
    assert refused


def test_many_labels(read):
    labels = {f"l{place}": (RNG.random(ROWS) < 0.3).astype(int) for place in range(16)}
    frame = FRAME.with_columns(**labels)
    table, judged = read(frame, target="l*")
    assert round(table.thinned.stands_for.sum()) + judged.height == ROWS


def test_another_column_shows_the_order_of_days(read):
    days = [f"{one % 12 + 1:02}/{one % 9 + 1:02}/2024" for one in range(ROWS)]
    frame = FRAME.with_columns(day=pl.Series(days), other=pl.lit("13/01/2023"))
    table, judged = read(frame, time="day")
    learned, tested = ([one[3:5] for one in part["day"]] for part in (table.frame, judged.filter("tested")))
    assert max(learned) <= min(tested)
