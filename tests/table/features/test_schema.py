"""What each column of a messy table becomes, and what is refused."""

import datetime
import json
import math
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.table.features.cells import usable
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.novelty import Categories
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.reading.table import Table

ROWS = 60


def table(typed: bool = True, **columns) -> Table:
    return Table(pl.DataFrame(columns), Path("t.parquet"), typed)


def learned(typed: bool = True, *, time: str | None = None, leave_out=(), **columns) -> Schema:
    whole = table(typed, y=[0, 1] * (ROWS // 2), **columns)
    return learn_schema(whole, "y", np.arange(ROWS), leave_out=leave_out, time=time)


def sentences(n: int = ROWS) -> list[str]:
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "car", "sky", "sea", "tree", "house", "fast", "slow"])
    return [" ".join(rng.choice(words, 6)) + (" joy" if k % 2 else " rage") for k in range(n)]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        pytest.param(pl.Series([1.5, math.nan] * 30), "number", id="NaN"),
        pytest.param(pl.Series([Decimal("1.5"), Decimal("2.5")] * 30), "number", id="decimal"),
        pytest.param(pl.Series([datetime.time(1), datetime.time(2)] * 30), "number", id="time"),
        pytest.param(pl.Series([datetime.timedelta(1), None] * 30), "number", id="duration"),
        pytest.param(pl.Series([2**64 - 1, 1] * 30, dtype=pl.UInt64), "number", id="huge"),
        pytest.param(pl.Series([2**100, 1] * 30, dtype=pl.Int128), "number", id="huger"),
        pytest.param(pl.Series([True, None] * 30), "flag", id="flag"),
        pytest.param(pl.Series(["a", "b"] * 30, dtype=pl.Categorical), "category", id="categorical"),
        pytest.param(pl.Series(["a", "b"] * 30, dtype=pl.Enum(["a", "b"])), "category", id="enum"),
        pytest.param(pl.Series([datetime.date(2024, 1, 1), None] * 30), "date", id="date"),
        pytest.param(pl.Series(sentences()), "text", id="text"),
    ],
)
def test_a_column_becomes_numbers(column, kind):
    schema = learned(x=column)
    assert [one.kind for one in schema.columns] == [kind]
    matrix = to_matrix(table(x=column), schema)
    assert matrix.shape == (ROWS, len(schema.features)) and not np.isinf(matrix).any()
    assert not np.isnan(matrix).all(axis=0).any()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([[1], [2]] * 30, "type List(Int64)"),
        ([{"a": 1}, {"a": 2}] * 30, "type Struct({'a': Int64})"),
        ([b"a", b"b"] * 30, "type Binary"),
        ([math.nan] * ROWS, "empty"),
        ([None] * ROWS, "empty"),
        (["same"] * ROWS, "constant"),
        ([f"A{k}" for k in range(ROWS)], "text that never repeats"),
        ([f"{k:08d}-4a7c-11ef-9f4b-{k**4:012x}" for k in range(ROWS)], "text that never repeats"),
        ([f"{k * 7919} {k * 104729}" for k in range(ROWS)], "text that never repeats"),
    ],
    ids=["list", "struct", "binary", "nan", "null", "constant", "codes", "uuid", "code in two parts"],
)
def test_a_column_that_is_not_used_says_why(column, reason):
    assert learned(x=column, size=range(ROWS)).dropped == (("x", reason),)


def test_an_infinite_number_is_refused_with_its_row():
    with pytest.raises(UserError, match=r"column 'x' is infinite in data row 2; put a number there"):
        learned(x=[1.0, math.inf] * 30)


def test_columns_that_are_left_out_are_no_features():
    schema = learned(size=range(ROWS), who=["a", "b"] * 30, leave_out=("who",))
    assert schema.features == ["size"] and schema.dropped == ()
    whole = table(y=[0, 1] * 30, z=[1, 0] * 30, size=range(ROWS))
    assert learn_schema(whole, ("y", "z"), np.arange(ROWS)).features == ["size"]
    with pytest.raises(UserError, match="no column 'whom'; did you mean 'who'"):
        learned(who=["a", "b"] * 30, leave_out=("whom",))


def test_of_the_time_column_only_the_calendar_counts():
    start = datetime.datetime(2024, 1, 1, 5)
    when = [start + datetime.timedelta(hours=31 * k) for k in range(ROWS)]
    other = [one - datetime.timedelta(days=k % 7) for k, one in enumerate(when)]
    schema = learned(when=when, other=other, time="when")
    assert schema.features == ["when month", "when weekday", "when hour", "other age", "other weekday", "other hour"]
    found = to_matrix(table(when=when, other=other), schema)
    assert found[1].tolist()[:3] == [1, 2, 12]  # 12:00 on Tuesday 2 January
    assert found[1, 3] == 1
    assert learned(when=range(ROWS), size=range(ROWS), time="when").dropped == (("when", "the order in time"),)


def test_a_date_where_training_had_a_time_and_the_other_way_round():
    day, moment = datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 12)
    parts = (" day", " month", " weekday")
    both = Schema((Column("day", "date", dated=parts), Column("moment", "datetime", dated=(*parts, " hour"))))
    kept = to_matrix(table(day=[day], moment=[moment]), both)
    assert kept.tolist() == [[19724, 1, 2, 19724.5, 1, 2, 12]]
    assert to_matrix(table(day=[moment], moment=[day]), both).tolist() == [[19724, 1, 2, 19724, 1, 2, 0]]


def test_words_that_tell_the_class_are_features_of_their_own():
    schema = learned(said=sentences())
    assert schema.features[0] == "said length"
    assert {"said: joy", "said: rage"} & set(schema.features)
    assert any(name.startswith("said component ") for name in schema.features)
    assert schema.text == frozenset({"said"}) and schema.categorical == []


def test_a_schema_with_text_survives_as_plain_data():
    said = sentences()
    schema = learned(said=said, kind=["a", "b"] * 30)
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())), schema.arrays())
    assert again == schema
    whole = table(said=[*said[:5], None, "unheard-of"], kind=["a"] * 7)
    np.testing.assert_array_equal(to_matrix(whole, again), to_matrix(whole, schema))


def test_text_is_learned_on_training_rows_only():
    said = sentences()
    rows = np.arange(40)
    first = learn_schema(table(y=[0, 1] * 30, said=said), "y", rows)
    changed = [*said[:40], *["something else altogether"] * 20]
    second = learn_schema(table(y=[0, 1] * 20 + [1] * 20, said=changed), "y", rows)
    assert first == second
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[name])


def test_missing_text_is_missing_and_unknown_text_is_zero():
    schema = learned(said=sentences())
    matrix = to_matrix(table(said=[None, "xyzzy"]), schema)
    assert np.isnan(matrix[0]).all()
    assert matrix[1].tolist() == [5.0] + [0.0] * (matrix.shape[1] - 1)


def said_of(whole, schema):
    categories = Categories(schema)
    categories.add(usable(whole, schema)[0])
    return categories.said(whole.path)


def test_text_of_which_nothing_is_known_is_refused():
    schema = learned(said=sentences())
    strange = ["voiture rouge", "ciel"] * 10
    with pytest.raises(UserError, match="column 'said' holds no words known to the model: 'voiture rouge'"):
        said_of(table(said=strange), schema)
    assert said_of(table(said=[*strange, "the red car"]), schema) == []
    assert said_of(table(said=strange[:3]), schema) == []
    with pytest.raises(UserError, match=r"column 'said' is of type List\(Int64\), but the model was trained on text"):
        said_of(table(said=[[1]] * 10), schema)


def test_ten_thousand_columns_have_distinct_names():
    wide = Schema(tuple(Column("é?" * (k % 3) + "!", "number") for k in range(10_000)))
    names = wide.model_names
    assert len(set(names)) == 10_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=4), min_size=1, max_size=20, unique=True))
def test_any_names_are_plain_and_distinct_for_the_booster(names):
    plain = Schema(tuple(Column(name, "number") for name in names)).model_names
    assert len(set(plain)) == len(names)
    assert not any(set(name) & set('[]{}":, \0\n') for name in plain)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(alphabet=st.characters(codec="utf-8"))), min_size=2, max_size=60))
def test_any_text_becomes_numbers_or_is_dropped(cells):
    whole = table(y=[k % 2 for k in range(len(cells))], x=pl.Series(cells, dtype=pl.String), size=range(len(cells)))
    schema = learn_schema(whole, "y", np.arange(len(cells)))
    matrix = to_matrix(whole, schema)
    assert matrix.shape == (len(cells), len(schema.features)) and not np.isinf(matrix).any()
    assert Schema.from_dict(schema.to_dict(), schema.arrays()) == schema


def test_what_is_worked_out_of_the_columns_is_worked_out_once():
    schema = Schema((Column("size", "number"), Column("kind", "category", ("a",))))
    for name in ("names", "features", "model_names", "categorical", "categories", "features_of", "text"):
        assert getattr(schema, name) is getattr(schema, name)
    assert Schema.from_dict(schema.to_dict()) == schema
    with pytest.raises(FrozenInstanceError):
        schema.columns = ()
