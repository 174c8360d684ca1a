"""What dates become: ages where these tell something, distances, and what of the calendar comes again."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.table.features.ages import learn_dates
from counterpoise.table.features.date_parts import date_parts
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.features.matrix import to_matrix
from counterpoise.table.features.reference_day import Reference
from counterpoise.table.features.schema import Schema
from counterpoise.table.reading.table import Table

ROWS = 2000
NOW = dt.datetime(2024, 3, 31)


def on(ago, unit="days", start=NOW):
    return pl.Series([start - dt.timedelta(**{unit: float(one)}) for one in ago])


def learned(values, target, **options):
    return learn_dates(values, np.arange(len(target)), pl.DataFrame({"y": target}), **options)


def rng_and_ago(longest=730):
    rng = np.random.default_rng(5)
    return rng, rng.uniform(0, longest, ROWS)


def with_chance(rng, chance):
    return pl.Series(rng.random(ROWS) < chance)


def nothing():
    rng, ago = rng_and_ago()
    return {"at": on(ago)}, with_chance(rng, 0.1)


def the_hour():
    rng, ago = rng_and_ago()
    at = on(ago)
    night = (at.dt.hour() < 6).to_numpy()
    return {"at": at}, with_chance(rng, np.where(night, 0.4, 0.05))


def the_month():
    rng, ago = rng_and_ago(1461)
    at = on(ago).dt.date()
    return {"at": at}, with_chance(rng, np.where(at.dt.month().to_numpy() >= 11, 0.4, 0.05))


def the_weekday():
    rng, ago = rng_and_ago()
    at = on(ago).dt.date()
    return {"at": at}, with_chance(rng, np.where(at.dt.weekday().to_numpy() >= 6, 0.4, 0.05))


def the_age_of_a_person():
    rng, ago = rng_and_ago()
    years = rng.uniform(18, 80, ROWS)
    return {"born": on(ago + 365.25 * years).dt.date(), "at": on(ago)}, with_chance(rng, years / 200)


def snapshots():
    """Months stacked upon each other: what matters lies before the row's own month."""
    rng = np.random.default_rng(6)
    month = 30 * rng.integers(0, 24, ROWS)
    unseen = rng.exponential(40, ROWS)
    chance = 1 / (1 + np.exp(4 - unseen / 20))
    return {"month": on(month).dt.date(), "seen": on(month + unseen).dt.date()}, with_chance(rng, chance)


def not_seen_for_long():
    rng, _ = rng_and_ago()
    unseen = rng.exponential(40, ROWS)
    return {"seen": on(unseen).dt.date()}, with_chance(rng, 1 / (1 + np.exp(4 - unseen / 20)))


def neither_early_nor_late():
    rng, ago = rng_and_ago(1461)
    return {"joined": on(ago).dt.date()}, with_chance(rng, np.where(np.abs(ago - 700) < 200, 0.3, 0.05))


def one_class_of_three():
    rng, _ = rng_and_ago()
    unseen = rng.exponential(40, ROWS)
    return {"seen": on(unseen)}, pl.Series(
        np.where(unseen > 90, rng.choice(["a", "c"], ROWS), rng.choice(["a", "b"], ROWS))
    )


def trend():
    rng, ago = rng_and_ago()
    return {"at": on(ago)}, with_chance(rng, np.where(ago < 180, 0.2, 0.1))


AGELESS = [nothing, the_hour, the_month, the_weekday, the_age_of_a_person, snapshots]
AGED = [not_seen_for_long, neither_early_nor_late, one_class_of_three, trend]


@pytest.mark.parametrize("made", AGELESS + AGED)
def test_ages_are_features_where_they_tell_something(made):
    values, target = made()
    found = learned(values, target)
    aged = any(" age" in parts for parts in found.parts.values())
    assert aged == (found.reference is not None) == (made in AGED)
    (said,) = found.said
    assert said.startswith(
        "Ages of dates are counted up to 2024-03-3" if aged else "Dates are used by month, weekday, hour and"
    )


def test_with_what_else_the_row_says_a_day_is_not_needed():
    assert learned(*the_age_of_a_person()).parts["at"][-1] == " since born"
    assert learned(*snapshots()).parts["seen"][-1] == " since month"
    assert " month" in learned(*the_month()).parts["at"]


@pytest.mark.parametrize(
    ("ago", "unit", "parts"),
    [
        (np.linspace(0, 1461, 900), "days", (" month", " weekday", " hour")),
        (np.linspace(0, 330, 900), "days", (" weekday", " hour")),  # each month is of one year
        (np.geomspace(1, 1461, 900) % 30, "days", (" weekday", " hour")),
        (np.linspace(0, 6, 900), "days", (" hour",)),
        (np.linspace(0, 20, 900), "hours", ()),
    ],
)
def test_of_the_calendar_counts_what_comes_again(ago, unit, parts):
    at = on(ago, unit, start=NOW + dt.timedelta(minutes=7))
    target = pl.Series(np.random.default_rng(0).random(len(ago)) < 0.2)
    assert learned({"at": at}, target).parts["at"] == parts
    own = learned({"at": at}, target, time="at")
    assert own.parts["at"] == (" month", " weekday", " hour") and own.reference is None


def test_ages_count_to_the_rows_own_time_where_one_is_named():
    values, target = not_seen_for_long()
    at = on(np.random.default_rng(1).uniform(-900, 0, ROWS))
    found = learned({**values, "at": at}, target, time="at")
    assert (found.parts["seen"][0], found.reference) == (" age", Reference("at", own=True))
    assert found.said == ("Ages of dates are counted up to the row's own 'at'.",)
    ages, *_ = date_parts("seen", found.parts["seen"], {**values, "at": at}, found.reference)
    expected = [
        (a - dt.datetime.combine(b, dt.time())).total_seconds() / 86_400
        for a, b in zip(at, values["seen"], strict=True)
    ]
    np.testing.assert_allclose(ages, expected)


def test_who_gives_the_day_gets_ages():
    values, target = nothing()
    found = learned(values, target, as_of=dt.date(2024, 4, 2))
    assert found.parts["at"][0] == " age"
    assert (found.reference.day, found.reference.ahead) == (
        "2024-04-02",
        2 + (NOW.date() - values["at"].max().date()).days,
    )
    assert "as asked" in found.said[0]


def test_days_themselves_are_features_only_if_asked():
    values, target = not_seen_for_long()
    found = learned(values, target, absolute=True)
    assert found.parts["seen"][:2] == (" age", " day")
    assert "those of later rows lie outside the training range" in found.said[-1]
    (day,) = date_parts("seen", [" day"], values)
    assert day[0] == (values["seen"][0] - dt.date(1970, 1, 1)).days
    frame = pl.DataFrame({**values, "y": target, "x": np.random.default_rng(0).normal(size=ROWS)})
    result = cp.train(frame, target="y", learners=["logistic"], budget=3, absolute_time=True)
    assert "seen day" in result.schema.features and "absolute_time=True" in result.command


def test_a_day_of_all_rows_is_a_partner_and_no_feature():
    values, target = not_seen_for_long()
    taken = pl.Series([NOW.date()] * ROWS)
    found = learned({"taken": taken, **values}, target)
    assert (found.parts["taken"], found.reference) == ((), None)  # the distance says what the age would
    assert found.parts["seen"][-1] == " since taken"
    frame = pl.DataFrame({"taken": taken, **values, "y": target})
    schema = learn_schema(Table(frame, Path("t.parquet"), typed=True), "y", np.arange(ROWS))
    assert [one.name for one in schema.columns] == ["taken", "seen"] and schema.dropped == ()
    later = frame.with_columns(pl.col("taken", "seen") + pl.duration(days=91))
    place = schema.features.index("seen since taken")
    before, after = (to_matrix(Table(one, Path("t"), typed=True), schema)[:, place] for one in (frame, later))
    np.testing.assert_array_equal(before, after)


def test_dates_that_say_nothing_are_dropped_with_the_reason():
    day = pl.Series([NOW.date()] * ROWS)
    frame = pl.DataFrame({"day": day, "x": np.arange(ROWS), "y": np.arange(ROWS) % 2})
    schema = learn_schema(Table(frame, Path("t.parquet"), typed=True), "y", np.arange(ROWS))
    assert schema.dropped == (("day", "dates without information beyond their time"),)


def test_parts_are_those_of_python():
    zone = "America/New_York"
    at = pl.Series([dt.datetime(2024, 3, 9, 12), dt.datetime(2024, 3, 10, 12), None]).dt.replace_time_zone(zone)
    begun = pl.Series([dt.datetime(2024, 3, 9, 12)] * 3).dt.replace_time_zone("UTC")
    day = pl.Series([dt.date(2024, 3, 1), None, dt.date(2024, 3, 3)])
    values = {"at": at, "begun": begun, "day": day}
    parts = (" age", " day", " month", " weekday", " hour", " since begun")
    age, since_1970, month, weekday, hour, since = date_parts(
        "at", parts, values, Reference("at"), dt.date(2024, 3, 11)
    )
    np.testing.assert_array_equal(age, [2.5, 1.5, np.nan])  # to the end of the day, by the clock
    np.testing.assert_array_equal(since_1970, [19_791.5, 19_792.5, np.nan])
    np.testing.assert_array_equal([month, weekday, hour], [[3, 3, np.nan], [6, 7, np.nan], [12, 12, np.nan]])
    np.testing.assert_allclose(since, [5 / 24, 1 + 4 / 24, np.nan])  # the clock went forward in between
    age, month = date_parts("day", (" age", " month"), values, Reference("at"), dt.date(2024, 3, 11))
    np.testing.assert_array_equal([age, month], [[10, np.nan, 8], [3, np.nan, 3]])


def test_of_many_dates_not_all_pairs_are_features():
    rng = np.random.default_rng(0)
    values = {f"d{place}": on(rng.uniform(0, 900, 300)) for place in range(8)}
    found = learned(values, pl.Series(rng.random(300) < 0.2))
    pairs = sum(part.startswith(" since ") for parts in found.parts.values() for part in parts)
    assert pairs == 7


def test_a_schema_with_ages_survives_as_plain_data():
    values, target = not_seen_for_long()
    frame = pl.DataFrame({"at": on(np.random.default_rng(3).uniform(0, 900, ROWS)), **values, "y": target})
    table = Table(frame, Path("t.parquet"), typed=True)
    schema = learn_schema(table, "y", np.arange(ROWS))
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again == schema and again.day == schema.day == frame["seen"].max()
    np.testing.assert_array_equal(to_matrix(table, again), to_matrix(table, schema, schema.day))
    assert schema.features_of["at"][-1] == schema.features_of["seen"][-1]  # their distance is of both


def test_labels_that_several_rows_have_may_need_ages():
    values, target = not_seen_for_long()
    rng = np.random.default_rng(2)
    targets = pl.DataFrame({"y_a": rng.random(ROWS) < 0.1, "y_b": target.to_numpy() * 1})
    targets = targets.with_columns(y_b=pl.when(pl.Series(rng.random(ROWS) < 0.9)).then("y_b"))
    assert learn_dates(values, np.arange(ROWS), targets).reference is not None
    assert learn_dates(values, np.arange(ROWS), targets.select("y_a")).reference is None
