"""The audit of made tables whose faults are known, and of real ones where these are at hand."""

import json
import math
import re
import shlex
import warnings
from dataclasses import replace
from datetime import datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from absent import DATA, real_table
from counterpoise.errors import UserError
from counterpoise.table.audit.audit import _gain, audit, audit_table
from counterpoise.table.audit.page import page, screen
from counterpoise.table.reading.named_columns import parts_of
from counterpoise.table.reading.table import Table
from counterpoise.table.reading.target import read_labels
from counterpoise.table.rows.split import Split
from counterpoise.table.train import train_table

pytestmark = pytest.mark.slow


def audited(frame, target="y", split=None, **options):
    table = Table(frame, Path("t.parquet"), typed=True)
    return audit(table, read_labels(table, target), split, target=target, **options)


def clean(rows=2000, seed=0, share=0.2):
    rng = np.random.default_rng(seed)
    codes = (rng.random(rows) < share).astype(np.int64)
    return pl.DataFrame({"a": rng.normal(size=rows) + codes, "b": rng.normal(size=rows), "y": codes}), rng


def titles(found):
    return [finding.title for finding in found.findings]


def test_a_clean_table_has_no_finding():
    found = audited(clean()[0])
    assert found.findings == ()
    assert re.fullmatch(r"No problem was found: the test part has \d+ rows of '1' to judge by\.", found.verdict)


def test_counts_are_those_of_the_split():
    frame, _ = clean(100)
    y = frame["y"].to_numpy()
    parts = Split(np.arange(50), np.arange(50, 70), np.arange(70, 100))
    found = audited(frame, split=parts)
    assert [one.rows for one in found.classes] == [int((y == 0).sum()), int((y == 1).sum())]
    assert [(one.train, one.calibration, one.test) for one in found.classes] == [
        (int((y[:50] == k).sum()), int((y[50:70] == k).sum()), int((y[70:] == k).sum())) for k in (0, 1)
    ]
    assert found.smallest_effect.rows == (y[70:] == 1).sum()


@pytest.mark.parametrize("rows", [5, 8, 17, 100, 236])
def test_the_smallest_gain_is_that_of_the_exact_test(rows):
    gain = _gain(rows)
    critical = next(k for k in range(rows + 1) if stats.binom.sf(k - 1, rows, 0.5) <= 0.05)
    assert stats.binom.sf(critical - 1, rows, 0.5 + gain) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_no_gain_can_be_shown_on_so_few(rows):
    assert _gain(rows) is None


def test_the_interval_is_clopper_and_pearsons():
    frame, _ = clean(400, share=0.1)
    effect = audited(frame).smallest_effect
    exact = stats.beta.ppf(
        [0.025, 0.975], [effect.rows / 2, effect.rows / 2 + 1], [effect.rows / 2 + 1, effect.rows / 2]
    )
    assert (effect.low, effect.high) == pytest.approx(tuple(exact))


def test_constant_equal_and_missing_columns():
    frame, rng = clean()
    frame = frame.with_columns(
        same=pl.lit(3),
        empty=pl.lit(None, dtype=pl.Float64),
        again=pl.col("b"),
        holes=pl.Series(np.where(rng.random(2000) < 0.6, np.nan, 1.5 * rng.normal(size=2000))),
        lists=pl.Series([[1]] * 2000),
    )
    found = audited(frame)
    assert found.constant == ("same", "empty")
    assert found.duplicate_columns == (("again", "b"),)
    assert [one.column for one in found.missing] == ["empty", "holes"]
    assert found.missing[1].rows == frame["holes"].is_nan().sum()
    assert titles(found) == ["2 columns never change", "1 column repeats another", "1 column is mostly missing"]


def test_columns_with_the_same_cells_in_another_order_are_not_equal():
    frame, rng = clean()
    shuffled = frame.with_columns(c=pl.Series(rng.permutation(frame["b"].to_numpy())))
    assert audited(shuffled).duplicate_columns == ()


def test_copies_are_those_of_polars():
    frame, _ = clean(300)
    frame = pl.concat([frame, frame[:90], frame[:10].with_columns(y=1 - pl.col("y"))])
    parts = Split(np.arange(250), np.arange(250, 300), np.arange(300, 400))
    found = audited(frame, split=parts).copies
    assert found.rows == frame.height - frame.n_unique()
    assert found.across == 100
    assert found.contradicting == 30
    assert "rows repeat another" in " ".join(titles(audited(frame, split=parts)))


def test_copies_hide_behind_no_row_number():
    frame, _ = clean(300)
    frame = pl.concat([frame, frame]).with_row_index("row")
    found = audited(frame)
    assert found.copies.rows == 300
    assert [one.column for one in found.identifiers] == ["row"]


def test_a_leak_stops():
    frame, _ = clean()
    found = audited(frame.with_columns(paid=pl.when(pl.col("y") == 1).then(None).otherwise(pl.col("b"))))
    assert [(leak.column, leak.certain) for leak in found.leaks] == [("paid", True)]
    assert found.verdict == "Do not train on this table as it is: 1 column gives the class away."


def test_columns_with_one_reason_stand_together():
    frame, _ = clean()
    late = pl.when(pl.col("y") == 1).then(None).otherwise(pl.col("b"))
    found = audited(frame.with_columns(paid=late, sent=late * 2, kind=pl.col("y").cast(pl.String)))
    assert found.findings[0].text == (
        "'paid', 'sent': it is missing in 100% of the rows of '1' and in 0% of the others. "
        "'kind': it alone separates '1' from '0' (AUC 1.0000, 0 rows wrong)."
    )


def test_time_makes_the_test_the_last_fifth():
    frame, _ = clean(1000)
    found = audited(frame.with_columns(day=pl.Series(np.random.default_rng(3).permutation(1000))), time="day")
    assert sum(one.test for one in found.classes) == 200
    assert found.drift.since == "800"
    assert titles(found) == ["little changes over time"]


def test_drift_of_the_class_and_of_a_column():
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, 365, 5000))
    codes = (rng.random(5000) < 0.05 + 0.3 * day / 365).astype(np.int64)
    frame = pl.DataFrame(
        {
            "day": pl.Series(day).cast(pl.Int32).cast(pl.Date),
            "moving": rng.normal(size=5000) + day / 60,
            "still": rng.normal(size=5000),
            "new": np.where((day > 290) & (rng.random(5000) < 0.9), "v2", "v1"),
            "y": codes,
        }
    )
    drift = audited(frame, time="day").drift
    assert {one.column for one in drift.moved} == {"moving", "new"}
    assert drift.class_moved in ("0", "1")
    assert drift.periods[0].first == "1970-01-01" and len(drift.periods) == 10
    assert sum(one.rows for one in drift.periods) == 5000
    assert all(math.isclose(sum(one.shares), 1) for one in drift.periods)


@pytest.mark.parametrize(
    "column, message",
    [
        (["soon"] * 200, "time 'when' holds String, such as 'soon'; write all dates as 2024-01-31"),
        ([None, *range(199)], "time 'when' is missing in 1 rows, first in data row 1"),
        ([7] * 200, "time 'when' is 7 in every row"),
    ],
)
def test_times_that_are_none(column, message):
    frame, _ = clean(200)
    with pytest.raises(UserError, match=re.escape(message)):
        audited(frame.with_columns(when=pl.Series(column)), time="when")


def test_groups():
    frame, rng = clean(1000)
    frame = frame.with_columns(shop=pl.Series(rng.integers(0, 50, 1000)))
    found = audited(frame, group="shop")
    assert found.groups.groups == 50
    assert found.groups.largest == frame["shop"].value_counts()["count"].max()
    apart = np.argsort(frame["shop"].to_numpy(), kind="stable")
    shops = frame["shop"].to_numpy()[apart]
    cut = int(np.searchsorted(shops, 40))
    whole = audited(frame, group="shop", split=Split(apart[:300], apart[300:cut], apart[cut:]))
    assert whole.groups.across == 0
    assert titles(whole) == ["50 groups are kept together"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"time": "yy"}, "has no column 'yy'; did you mean 'y'?"),
        ({"time": "y"}, "time is 'y', which is the target"),
        ({"group": "y"}, "group is 'y', which is the target"),
    ],
)
def test_columns_that_cannot_be(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        audited(clean(100)[0], **options)


def test_a_target_alone_is_no_table():
    with pytest.raises(UserError, match="no column besides 'y'"):
        audited(clean(100)[0].select("y"))


def test_what_training_refuses_stops_here_as_well(tmp_path):
    frame, rng = clean(300)
    mixed = ["big" if k == 7 else f"{value:.3f}" for k, value in enumerate(rng.normal(size=300))]
    frame.with_columns(mixed=pl.Series(mixed), far=pl.Series([math.inf, *range(299)])).write_csv(tmp_path / "t.csv")
    found = audit_table(tmp_path / "t.csv", target="y")
    assert found.refused == (
        "column 'mixed' holds numbers, but data row 8 holds 'big'; correct it, or leave it empty if it is missing",
        "column 'far' is infinite in data row 1; put a number there, or leave it empty",
    )
    assert found.verdict.startswith("Do not train on this table as it is: 2 columns have cells that cannot be used.")
    with pytest.raises(UserError, match="data row 8 holds 'big'"):
        train_table(tmp_path / "t.csv", target="y", learners=("lightgbm",), out=tmp_path / "o")


@pytest.mark.parametrize(("rare", "stops"), [(2, True), (3, True), (4, False)])
def test_so_few_rows_that_training_refuses_them(rare, stops):
    frame = pl.DataFrame({"x": range(50), "y": [0] * (50 - rare) + [1] * rare})
    assert ("too few rows of '1'" in titles(audited(frame))) == stops


def test_many_columns_and_many_classes():
    rng = np.random.default_rng(0)
    wide = pl.DataFrame(rng.normal(size=(60, 1000)), schema=[f"c{k}" for k in range(1000)])
    assert audited(wide.with_columns(y=pl.Series([0, 0, 1] * 20))).columns == 1001
    codes = np.concatenate([np.arange(150), rng.integers(0, 150, 3000)])
    found = audited(pl.DataFrame({"a": rng.normal(size=3150), "b": codes, "y": codes}))
    assert [leak.column for leak in found.leaks] == ["b"]


def test_facts_are_plain_json(tmp_path):
    frame, _ = clean(500)
    frame.with_columns(day=pl.Series(range(500)), copy=pl.col("y")).write_parquet(tmp_path / "t.parquet")
    facts = audit_table(tmp_path / "t.parquet", target="y", time="day", group="b").to_dict()
    again = json.loads(json.dumps(facts, allow_nan=False))
    assert again["schema"] == 1
    assert again["leaks"][0]["column"] == "copy"
    assert again["drift"]["time"] == "day"


@pytest.mark.parametrize("rows", [6, 300])
@pytest.mark.parametrize("time", [None, "day", "zoned", "clock", "span", "unsigned", "money"])
def test_columns_of_every_type(rows, time):
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1)
    days = [start + timedelta(days=int(k)) for k in rng.integers(0, 99, rows)]
    frame = pl.DataFrame(
        {
            "day": days,
            "zoned": pl.Series(days).dt.replace_time_zone("Europe/Berlin"),
            "clock": [clock(int(k)) for k in rng.integers(0, 23, rows)],
            "span": [timedelta(int(k)) for k in rng.integers(0, 23, rows)],
            "money": [Decimal(int(k)) / 4 for k in rng.integers(0, 23, rows)],
            "bytes": [b"x"] * rows,
            "lists": [[1, 2]] * rows,
            "records": [{"a": 1}] * rows,
            "category": pl.Series([None if k == 0 else f"c{k}" for k in range(rows)], dtype=pl.Categorical),
            "infinite": np.where(rng.random(rows) < 0.5, np.inf, 1.0),
            "nowhere": np.full(rows, np.nan),
            "empty": pl.Series([None] * rows),
            "unsigned": pl.Series([2**64 - 1 - k for k in range(rows)], dtype=pl.UInt64),
            "huge": pl.Series([2**70 + k % 7 for k in range(rows)], dtype=pl.Int128),
            "flag": [None if k % 3 == 0 else k % 2 == 0 for k in range(rows)],
            "": rng.normal(size=rows),
            "{{ name }}": rng.normal(size=rows),
            "y": rng.permutation(np.arange(rows) % 3 == 0),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = audited(frame, time=time)
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.verdict in " ".join(screen(found).split())
    assert ("{{ name }}" in page(found)) == (time is not None)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_names_of_a_stranger_are_harmless_in_the_page():
    evil = "<script>alert(1)</script>"
    frame, _ = clean(400)
    frame = frame.with_columns(y=pl.when(pl.col("y") == 1).then(pl.lit(evil)).otherwise(pl.lit("=1+1")))
    frame = frame.with_columns(
        pl.Series(f"{evil} id", range(400)), pl.Series('"><img src=x onerror=alert(1)>', [None] * 300 + [1.0] * 100)
    )
    frame = frame.with_columns(
        pl.when(pl.col("y") == evil).then(pl.lit(evil)).otherwise(pl.lit("x")).alias("<b>leak</b>")
    )
    text = page(audited(frame, time=f"{evil} id"))
    tags = Tags(text).found
    assert not {"script", "img", "b"} & {tag for tag, _ in tags} - {"b"}
    assert all("src" not in attributes and "href" not in attributes for _, attributes in tags)
    assert "<b>leak" not in text and "&lt;b&gt;leak" in text
    assert "http" not in text


def test_the_page_has_headings_labels_and_a_language():
    frame, _ = clean(400)
    tags = Tags(page(audited(frame.with_columns(day=pl.Series(range(400))), time="day"))).found
    names = [tag for tag, _ in tags]
    assert names.count("h1") == 1 and ("html", {"lang": "en"}) in tags
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    assert all(attributes.get("aria-label") for _, attributes in tags if attributes.get("role") == "region")


def test_the_screen_is_short_and_says_the_verdict():
    frame, _ = clean(400)
    found = audited(frame.with_columns(copy=pl.col("y")))
    found = replace(found, command="counterpoise train t.parquet --target y --ignore copy")  # as `audit_table` adds it
    lines = screen(found, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 25
    assert lines[0] == "t.parquet: 400 rows, 4 columns; target 'y', " + lines[0].split(", ")[-1]
    assert " ".join(lines[:-1]).endswith(f" {found.verdict}")
    assert lines[-1] == "Next: counterpoise train t.parquet --target y --ignore copy"


CATALOGUE = {
    # table: columns that certainly leak, that may, and identifiers
    "sea_flights": ({"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}, {"tailnum"}, set()),
    "diabetes_readmission": ({"readmitted"}, set(), {"encounter_id", "patient_nbr"}),
    "mine_injuries": ({"NUM_INJURIES"}, set(), set()),
    "machine_failure": (set(), {"TWF", "HDF", "PWF", "OSF"}, {"UDI", "Product ID"}),
    "thyroid": ({"diagnosis"}, set(), set()),
    "oil_spill": (set(), set(), {"patch_id"}),
    "bank_marketing": (set(), set(), {"row_in_time"}),
    "cover": (set(), {"elevation"}, set()),
    "lending_club": (set(), set(), set()),
    "mammography": (set(), set(), set()),
    "krk_endgame": (set(), set(), set()),
    "wine_quality": (set(), set(), set()),
    "kdd99": (set(), set(), set()),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_real_tables(name):
    found = audit_table(real_table(name), target="target")
    certain, possible, identifiers = CATALOGUE[name]
    whole = [leak for leak in found.leaks if leak.of_class is None]
    assert {leak.column for leak in whole if leak.certain} == certain
    assert {leak.column for leak in whole if not leak.certain} == possible
    assert {one.column for one in found.identifiers} == identifiers
    facts = next(one for one in json.loads((DATA / "catalogue.json").read_text())["datasets"] if one["name"] == name)
    if not identifiers:  # the catalogue counts copies with them
        assert found.copies.rows == facts["duplicate_rows"]
    assert certain | possible <= set(facts["leaking_columns"]) | {"elevation"}


GIVEN = {
    "decimal": {"decimal": ",", "thousands": "."},
    "a day": {"as_of": "31 Jan 2024"},
    "order of dates": {"dates": "day-first"},
    "columns with odd names": {"group": "-unit no", "time": "it's day"},
    "ignored columns": {"ignore": ["b", "a,b"]},
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_the_advised_command_reads_the_table_as_the_audit_did(given, tmp_path):
    """Its words, taken apart as a shell and the command do, are the options that the audit was given."""
    frame, rng = clean(400)
    days = pl.Series([f"{k % 27 + 1:02d}/{k // 100 + 1:02d}/2024" for k in range(400)])
    amounts = [f"{n:,}".replace(",", ".") + ",5" for n in rng.integers(1000, 9000, 400)]
    odd = {"it's day": days, "-unit no": rng.integers(0, 90, 400), "a,b": rng.normal(size=400), "amount": amounts}
    frame = frame.with_columns(leak="y", **{name: pl.Series(values) for name, values in odd.items()})
    frame.write_csv(tmp_path / "t.csv")
    found = audit_table(tmp_path / "t.csv", target="y", **{"dates": "day-first", "decimal": ",", **given})
    assert [leak.column for leak in found.leaks if leak.certain] == ["leak"]
    words = shlex.split(found.command)
    assert words[:5] == ["counterpoise", "train", str(tmp_path / "t.csv"), "--target", "y"]
    said = {}
    for place, word in enumerate(words):
        if word.startswith("--"):
            name, _, value = word.partition("=")
            said[name.removeprefix("--").replace("-", "_")] = value or words[place + 1]
    expected = {"target": "y", "dates": "day-first", "decimal": ",", **given}
    expected |= {"as_of": "2024-01-31"} if "as_of" in given else {}
    ignored = [*given.get("ignore", ()), "leak"]
    assert parts_of("ignore", said.pop("ignore")) == tuple(ignored)
    expected.pop("ignore", None)
    assert said == expected


@pytest.mark.parametrize("name", ["unit no", "it's no", "-unit no"])
def test_advice_that_names_a_column_is_quoted_for_a_shell(name):
    frame, rng = clean(600)
    units = pl.Series(name, [f"AX-{k % 300:05d}" for k in rng.permutation(600)])
    found = audited(frame.with_columns(units))
    (do,) = [one.do for one in found.findings if one.title == f"rows may belong together by {name!r}"]
    words = shlex.split(do.partition("learned: ")[2].removesuffix("."))
    assert words in (["--group", name], [f"--group={name}"])
