"""Rows of which a column holds only values unknown to the model: refused where that matters, the same at every door."""

import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load, predict_table
from counterpoise.table.features.novelty import Categories
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.features.text import Text
from counterpoise.table.reading.table import Table
from counterpoise.table.using.serve import answer, application

needs("lightgbm")

pytestmark = pytest.mark.slow

ROWS = 1200
SAID = [
    "good and quick to me now",
    "bad and slow to us then",
    "fine and quick to him here",
    "odd but kind to her there",
    "slow but good to all always",
]


def table():
    """`shop` and `said` say much about the class, `desk` and `clerk` nothing; a clerk seldom occurs twice."""
    rng = np.random.default_rng(0)
    shop, desk = rng.choice(["north", "south", "east"], ROWS), rng.choice(["a1", "b2", "c3"], ROWS)
    said = rng.integers(0, 5, ROWS)
    score = 4.0 * (shop == "north") + 4.0 * (said == 1) + rng.logistic(size=ROWS)
    return pl.DataFrame(
        {
            "shop": shop,
            "desk": desk,
            "said": [f"{SAID[k]} {rng.integers(10**6)}" for k in said],
            "clerk": [f"clerk {k}" for k in rng.integers(0, 1000, ROWS)],
            "y": np.where(score > np.quantile(score, 0.8), "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("unknown") / "m"
    cp.train(table(), target="y", learners="logistic", budget=6, goal="f1").save(out)
    return out


def by_command(model, frame, place, unknown):
    frame.write_csv(place / "t.csv")
    done = main(["predict", str(model), str(place / "t.csv"), "-o", str(place / "p.parquet"), "--unknown", unknown])
    if done:
        raise UserError("as the command said")
    return pl.read_parquet(place / "p.parquet")["probability_yes"].to_list()


def by_file(model, frame, place, unknown):
    frame.write_parquet(place / "t.parquet")
    predict_table(model, place / "t.parquet", place / "p.parquet", unknown=unknown)
    return pl.read_parquet(place / "p.parquet")["probability_yes"].to_list()


def by_frame(model, frame, _, unknown):
    return load(model).predict_proba(frame, unknown=unknown)[:, 1].tolist()


def by_service(model, frame, _, unknown):
    reply = answer(load(model), json.dumps({"rows": frame.to_dicts()}).encode(), 10_000, unknown)
    if reply.status == 422:
        raise UserError(json.loads(reply.body)["detail"][0]["msg"])
    return [one["probability"]["yes"] for one in json.loads(reply.body)["predictions"]]


DOORS = [by_command, by_file, by_frame, by_service]
NEW = {
    "a new shop": {"shop": pl.lit("west")},
    "codes in place of names": {"shop": pl.Series([17, 18, 19] * 20)},
    "another language": {"said": pl.format("无法 理解 {}", pl.int_range(60))},
}
NOISE = {
    "a new desk": {"desk": pl.lit("z9")},
    "desks by number": {"desk": pl.Series([1, 2, 3] * 20)},
    "all new clerks": {"clerk": pl.format("person {}", pl.int_range(60))},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("change", NEW)
def test_what_matters_is_refused_with_the_way_on(change, door, model, tmp_path, capsys):
    frame = table().head(60).drop("y").with_columns(**NEW[change])
    with pytest.raises(UserError) as refused:
        door(model, frame, tmp_path, "refuse")
    said = capsys.readouterr().err if door is by_command else str(refused.value)
    assert f"column '{next(iter(NEW[change]))}'" in said
    assert "known to the model" in said
    assert "--unknown missing (unknown='missing' in Python)" in said


@pytest.mark.parametrize("change", [*NEW, *NOISE])
def test_where_it_goes_on_every_door_answers_as_if_the_cells_were_empty(change, model, tmp_path):
    new = (NEW | NOISE)[change]
    frame = table().head(60).drop("y").with_columns(**new)
    empty = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = by_frame(model, empty, tmp_path, "refuse") if "said" not in new else None
        found = []
        for door in DOORS:
            place = tmp_path / door.__name__
            place.mkdir()
            found.append(door(model, frame, place, "missing"))
    assert all(one == found[0] for one in found)
    assert expected is None or found[0] == expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("change", NOISE)
def test_what_says_nothing_is_told_and_goes_on(change, door, model, tmp_path, capsys):
    frame = table().head(60).drop("y").with_columns(**NOISE[change])
    name = next(iter(NOISE[change]))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert len(door(model, frame, tmp_path, "refuse")) == 60
    said = [str(one.message) for one in told] + [capsys.readouterr().err]
    if door is by_service:
        reply = answer(load(model), json.dumps({"rows": frame.to_dicts()}).encode(), 10_000)
        said = json.loads(reply.body)["warnings"]
    assert any(f"column '{name}'" in one and "as well without the column" in one for one in said)


def test_known_rows_are_told_nothing(model):
    rows = table().head(60).drop("y").with_columns(clerk=None).to_dicts()
    assert list(json.loads(answer(load(model), json.dumps({"rows": rows}).encode(), 10_000).body)) == ["predictions"]


def test_one_row_from_a_new_shop_is_answered(model):
    rows = [table().drop("y").row(0, named=True) | {"shop": "west"}]
    found = json.loads(answer(load(model), json.dumps({"rows": rows}).encode(), 10_000).body)
    assert found["warnings"] == ["column 'shop': 1 of 1 values are unknown to the model and count as missing: 'west'"]


def test_importance_is_in_the_bundle(model):
    facts = json.loads((model / "decision.json").read_text(encoding="utf-8"))
    assert set(facts["importance"]) == {one["name"] for one in facts["schema"]["columns"]}
    assert facts["importance"]["shop"]["drop"] > 2 * facts["importance"]["shop"]["error"] > 0


@pytest.mark.parametrize(
    "importance, refused",
    [
        ({}, True),
        ({"kind": {"drop": 0.2, "error": 0.05}}, True),
        ({"kind": {"drop": 0.05, "error": 0.05}}, False),
        ({"kind": {"drop": -0.1, "error": 0.01}}, False),
        ({"other": {"drop": 0.0, "error": 0.1}}, True),
    ],
)
def test_a_column_matters_unless_training_saw_that_it_does_not(importance, refused):
    categories = Categories(Schema((Column("kind", "category", ("a", "b")),)), importance)
    categories.add(Table(pl.DataFrame({"kind": ["x", "y", "z"] * 4}), "t.csv", typed=False))
    if refused:
        with pytest.raises(UserError, match=r"t\.csv: column 'kind' holds only values unknown to the model"):
            categories.said("t.csv")
    else:
        assert categories.said("t.csv")[0].endswith(
            "All count as missing; in training the model did as well without the column"
        )


@pytest.mark.parametrize("unknown", ["", "Missing", "drop", None])
def test_there_are_two_ways(unknown, model, tmp_path):
    for ask in (
        lambda: predict_table(model, tmp_path / "t.csv", tmp_path / "p.csv", unknown=unknown),
        lambda: load(model).predict(table(), unknown=unknown),
        lambda: application(model, unknown=unknown),
    ):
        with pytest.raises(UserError, match=r"unknown is .*; it must be 'refuse' or 'missing'"):
            ask()


@pytest.mark.parametrize("cell", [17, 0.5, -1, "17"])
def test_one_row_with_a_number_in_place_of_a_word_is_refused_as_in_a_file(cell, model):
    rows = [table().drop("y").row(0, named=True) | {"shop": cell}]
    reply = answer(load(model), json.dumps({"rows": rows}).encode(), 10_000)
    assert reply.status == 422
    assert "column 'shop', numbers here and words in training" in json.loads(reply.body)["detail"][0]["msg"]


def said_of(blocks, **column):
    categories = Categories(Schema((Column("kind", "category", ("oak", "fir"), **column),)))
    for words in blocks:
        categories.add(Table(pl.DataFrame({"kind": words}), Path("t.csv"), typed=False))
    return categories.said(Path("t.csv"))


@pytest.mark.parametrize("words", [["elm"], ["elm"] * 2, ["elm", "ash"], ["elm", "ash", "yew"] * 3])
def test_fewer_than_ten_new_values_are_answered_however_often_one_repeats(words):
    (said,) = said_of([words])
    assert said.startswith(f"column 'kind': {len(words)} of {len(words)} values are unknown to the model and count as")


@pytest.mark.parametrize("rare, distinct, refused", [(0.0, 1, True), (0.4, 1, False), (0.4, 60, True), (0.1, 3, False)])
def test_different_new_values_count_and_not_the_rows_that_repeat_them(rare, distinct, refused):
    words = [f"tree {k % distinct}" for k in range(60)]
    if refused:
        with pytest.raises(UserError, match="holds only values unknown to the model"):
            said_of([words], rare=rare)
    else:
        assert "60 of 60 values are unknown" in said_of([words], rare=rare)[0]
        assert said_of([words[:7], words[7:]], rare=rare)[0].startswith("column 'kind': 60 of 60")


TEXT = Text("words", ("bad", "good"), np.arange(2), np.ones(2), np.zeros((0, 2), np.float32))


@pytest.mark.parametrize(
    "blocks, refused",
    [
        ([["无法 理解"] * 5, ["无法 理解"] * 5], True),
        ([[None] * 50, ["无法 理解"] * 10], True),
        ([["无法 理解"] * 5, ["无法 理解"] * 4], False),
        ([["无法 理解"] * 50, ["good and bad"]], False),
        ([["无法 理解"] * 3_000 + ["good"]], False),
        ([["good"], ["无法 理解"] * 50], False),
    ],
)
def test_text_is_looked_at_in_all_blocks(blocks, refused):
    categories = Categories(Schema((Column("said", "text", unit="words", found=("a", "b")),), (), {"said": TEXT}))
    for words in blocks:
        categories.add(Table(pl.DataFrame({"said": pl.Series(words, dtype=pl.String)}), Path("t.csv"), typed=False))
    if refused:
        with pytest.raises(UserError, match="column 'said' holds no words known to the model: '无法 理解'"):
            categories.said(Path("t.csv"))
    else:
        assert categories.said(Path("t.csv")) == []
