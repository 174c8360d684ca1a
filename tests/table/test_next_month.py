"""A table of next month is like the one that was learned from, three months later: the same people, as long ago."""

import datetime as dt
from contextlib import ExitStack

import numpy as np
import pandas as pd
import polars as pl
import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.table import predict_table, train_table
from counterpoise.table.asked import Asked
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.features.reference_day import NewestDay, Reference, day_of, few_rows, odd_day, reference_of
from counterpoise.table.features.schema import Column, Schema
from counterpoise.table.using import serve as service
from counterpoise.table.using.row_reader import RowReader
from counterpoise.table.using.serve import answer

pytestmark = pytest.mark.slow

NOW, LATER = dt.date(2024, 3, 31), dt.date(2024, 7, 2)  # a Sunday and a Tuesday


def on(day, ago, unit="days"):
    return pl.select(pl.lit(day) - pl.duration(**{unit: pl.Series(ago).cast(pl.Int64)})).to_series()


def customers(rows, seed):
    """Who was not seen for long is gone, the sooner the shorter they were customers."""
    rng = np.random.default_rng(seed)
    tenure = rng.uniform(5, 1400, rows)
    unseen = np.minimum(rng.exponential(45, rows), tenure)
    chance = 1 / (1 + np.exp(8 - 4 * np.log1p(unseen / 20) + 0.8 * np.log1p(tenure / 365)))
    return rng, tenure, unseen, chance, np.where(rng.random(rows) < chance, "yes", "no")


def two_dates(day, rows, seed):
    rng, tenure, unseen, chance, gone = customers(rows, seed)
    columns = {"joined": on(day, tenure), "last_seen": on(day, unseen), "spend": rng.lognormal(size=rows), "gone": gone}
    return pl.DataFrame(columns), chance


def one_date(day, rows, seed):
    rng, _, unseen, chance, gone = customers(rows, seed)
    return pl.DataFrame({"last order": on(day, unseen), "size": rng.normal(size=rows), "gone": gone}), chance


def times_with_a_zone(day, rows, seed):
    _, tenure, unseen, chance, gone = customers(rows, seed)
    end = dt.datetime(day.year, day.month, day.day, 23, 30)
    since, seen = (on(end, 1440 * one, "minutes").dt.replace_time_zone("UTC") for one in (tenure, unseen))
    columns = {"since": since, "seen": seen.dt.convert_time_zone("America/New_York"), "gone": gone}
    return pl.DataFrame(columns), chance


def dates_to_come(day, rows, seed):
    """A contract ends in the future, at the end of a month, or never; and somebody mistyped a year."""
    rng, tenure, unseen, chance, gone = customers(rows, seed)
    ends = on(day, rng.integers(-720, 30, rows))
    ends = ends.set(pl.Series(rng.random(rows) < 0.3), dt.date(9999, 12, 31))
    seen = on(day, unseen).scatter(7, dt.date(day.year + 1, day.month, 3))
    columns = {"joined": on(day, tenure), "contract_end": ends, "seen": seen, "x": rng.normal(size=rows), "gone": gone}
    return pl.DataFrame(columns), chance


def written_by_excel(day, rows, seed):
    frame, chance = two_dates(day, rows, seed)
    return frame.with_columns(
        pl.col("joined", "last_seen").cast(pl.Datetime).dt.strftime("%-m/%-d/%Y %I:%M %p")
    ), chance


def numbers_since_1970(day, rows, seed):
    """Milliseconds, 0 where somebody was never seen."""
    frame, chance = two_dates(day, rows, seed)
    never = pl.Series(np.random.default_rng(seed + 100).random(rows) < 0.1)
    frame = frame.with_columns(pl.col("joined", "last_seen").cast(pl.Datetime("ms")).dt.epoch("ms"))
    return frame.with_columns(frame["last_seen"].set(never, 0)), chance


def contracts(day, rows, seed):
    """Who is near the end of a contract leaves; it ends within two years, so that each month comes twice."""
    rng = np.random.default_rng(seed)
    left, x = rng.integers(-30, 720, rows), rng.normal(size=rows)
    chance = 1 / (1 + np.exp(1.6 + left / 60 - 1.2 * x))
    columns = {"start": on(day, rng.uniform(10, 700, rows)), "end": on(day, -left), "x": x}
    return pl.DataFrame({**columns, "gone": np.where(rng.random(rows) < chance, "yes", "no")}), chance


def test_a_month_that_echoes_an_age_is_no_feature_and_a_season_is_one():
    frame, _ = contracts(NOW, 4000, 3)
    assert cp.train(frame, target="gone", learners=["logistic"], budget=2).schema.features == [
        *("start age", "end age", "end since start", "x")
    ]
    rng = np.random.default_rng(1)
    ago = rng.integers(0, 1460, 6000)
    bought = on(NOW, ago)
    chance = np.where(bought.dt.month().is_in([11, 12]), 0.3, 0.05) + 0.3 * (ago < 200)
    seasonal = pl.DataFrame({"bought": bought, "x": rng.normal(size=6000), "back": rng.random(6000) < chance})
    found = cp.train(seasonal, target="back", learners=["logistic"], budget=2).schema.features
    assert found == ["bought age", "bought month", "x"]


TABLES = [contracts, numbers_since_1970, two_dates, one_date, times_with_a_zone, dates_to_come, written_by_excel]


@pytest.mark.parametrize("made", TABLES)
def test_three_months_later_the_model_finds_as_many(made, tmp_path):
    made(NOW, 3000, 1)[0].write_csv(tmp_path / "t.csv")
    done = train_table(tmp_path / "t.csv", target="gone", learners=("logistic",), budget=4.0, out=tmp_path / "model")
    before = dt.timedelta(days=10 if made is contracts else 0)  # the newest contract started ten days ago
    assert any(f"Ages of dates are counted up to {NOW - before}, the newest date of" in note for note in done.notes)
    found = {}
    for day, seed in ((NOW, 2), (LATER, 3)):
        frame, chance = made(day, 50_000, seed)
        frame.write_csv(tmp_path / f"{day}.csv")
        predicted = predict_table(tmp_path / "model", tmp_path / f"{day}.csv", tmp_path / f"{day}.scored.parquet")
        assert predicted.as_of == day - before
        scored = pl.read_parquet(tmp_path / f"{day}.scored.parquet")
        gone = frame["gone"] == "yes"
        found[day] = float((scored.filter(gone)["decision"] == "yes").mean())
        assert 0.8 < scored["probability_yes"].mean() / chance.mean() < 1.2
    assert found[NOW] > 0.3
    assert found[LATER] >= 0.9 * found[NOW]


@pytest.fixture(scope="module")
def aged(tmp_path_factory):
    out = tmp_path_factory.mktemp("aged") / "model"
    cp.train(two_dates(NOW, 3000, 1)[0], target="gone", learners=["lightgbm"], budget=4).save(out)
    return out


def test_a_row_gets_one_answer_at_every_door_on_one_day(aged, tmp_path, recwarn):
    model = cp.load(aged)
    rows = two_dates(LATER, 40, 5)[0].drop("gone")
    expected = model.predict_proba(rows, as_of="2024-07-02")
    as_text = rows.with_columns(pl.col("joined", "last_seen").dt.strftime("%d.%m.%Y"))
    in_pandas = pd.DataFrame(rows.to_dict(as_series=False))
    for frame in (rows, as_text, in_pandas, in_pandas.assign(joined=pd.to_datetime(in_pandas["joined"]))):
        np.testing.assert_allclose(model.predict_proba(frame, as_of=LATER), expected, atol=1e-12)
    for name in ("t.csv", "t.parquet"):
        as_text.write_csv(tmp_path / name) if name == "t.csv" else rows.write_parquet(tmp_path / name)
        predict_table(aged, tmp_path / name, tmp_path / f"{name}.scored.parquet", as_of="2 July 2024")
        scored = pl.read_parquet(tmp_path / f"{name}.scored.parquet")
        np.testing.assert_allclose(scored["probability_yes"], expected[:, 1], atol=1e-12)
    for place in (0, 7):
        one = rows[place]
        np.testing.assert_allclose(model.predict_proba(one, as_of=LATER), expected[place : place + 1], atol=1e-12)
    assert np.abs(model.predict_proba(rows, as_of=NOW) - expected).max() > 0.01
    body = f'{{"rows": {rows.write_json()}, "as_of": "2024-07-02"}}'
    answered = cp_json(answer(model, body.encode(), 100))
    assert answered["as_of"] == "2024-07-02"
    found = [one["probability"]["yes"] for one in answered["predictions"]]
    np.testing.assert_allclose(found, expected[:, 1], atol=1e-12)
    assert not [one for one in recwarn if "ages count to" in str(one.message)]


def cp_json(reply):
    import json

    return json.loads(reply.body)


def test_without_a_day_a_service_takes_today_and_says_so(aged):
    model = cp.load(aged)
    rows = two_dates(LATER, 3, 5)[0].drop("gone")
    answered = cp_json(answer(model, f'{{"rows": {rows.write_json()}}}'.encode(), 100))
    today = dt.datetime.now(dt.UTC).date()
    assert dt.date.fromisoformat(answered["as_of"]) in (today, today - dt.timedelta(days=1))
    with pytest.warns(UserWarning, match=f"as_of is {answered['as_of']}, but the newest date of 'last_seen' is"):
        expected = model.predict_proba(rows, as_of=answered["as_of"])
    np.testing.assert_allclose(
        [one["probability"]["yes"] for one in answered["predictions"]], expected[:, 1], atol=1e-12
    )
    refused = answer(model, f'{{"rows": {rows.write_json()}, "as_of": "soon"}}'.encode(), 100)
    assert refused.status == 422 and "as_of is 'soon'; write a day such as 2024-01-31" in refused.body.decode()


def test_without_a_day_the_newest_date_tells_it_and_few_rows_warn(aged, tmp_path):
    model = cp.load(aged)
    rows = two_dates(LATER, 900, 5)[0].drop("gone")
    newest = rows["last_seen"].max()
    np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(rows, as_of=newest))
    with pytest.warns(
        UserWarning, match=r"ages are counted up to 20\d\d-\d\d-\d\d, the newest date of 'last_seen' in 1 row; the true"
    ):
        model.predict_proba(rows[3])
    rows[3].write_csv(tmp_path / "one.csv")
    with pytest.warns(UserWarning, match="the newest date of 'last_seen' in 1 row; .* give as_of"):
        done = predict_table(aged, tmp_path / "one.csv", tmp_path / "one.scored.csv")
    assert (done.as_of, done.told_by) == (rows["last_seen"][3], "last_seen")
    nowhere = rows.with_columns(last_seen=pl.lit(None, pl.Date))
    with pytest.raises(
        UserError, match=r"column 'last_seen' holds no date, but ages are counted up to its newest one.* --as-of"
    ):
        model.predict_proba(nowhere)
    with (
        pytest.warns(UserWarning, match="column 'last_seen age' is missing or unknown in 100% of the rows"),
        pytest.warns(UserWarning, match="column 'last_seen since joined' is missing or unknown in 100% of the rows"),
        pytest.warns(UserWarning, match="but columns 'last_seen age', 'last_seen since joined' have changed by more"),
    ):
        assert model.predict_proba(nowhere, as_of=LATER).shape == (900, 2)


def test_a_day_that_the_rows_contradict_is_told(aged, tmp_path):
    rows = two_dates(LATER, 900, 5)[0]
    rows.write_parquet(tmp_path / "t.parquet")
    with (
        pytest.warns(UserWarning, match="as_of is 2024-03-31, but the newest date of 'last_seen' is 2024-07-0"),
        pytest.warns(UserWarning, match="column 'last_seen age' lies outside the training range"),
        pytest.warns(UserWarning, match="but columns 'last_seen age', 'joined age' have changed by more"),
    ):
        predict_table(aged, tmp_path / "t.parquet", tmp_path / "p.parquet", as_of=NOW)


FAR = ["2034-01-01", "1999-01-01", "0001-01-01", "9999-12-31"]


@pytest.mark.parametrize("day", FAR)
def test_every_door_warns_of_a_day_that_the_rows_contradict(aged, day, tmp_path):
    model = cp.load(aged)
    rows = two_dates(LATER, 40, 5)[0].drop("gone")
    said = f"as_of is {day}, but the newest date of 'last_seen' is 2024-0"
    for of_frame in (model.predict_proba, model.predict, model.explain):
        with pytest.warns(UserWarning, match=said):
            of_frame(rows, as_of=day)
    rows.write_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match=said):
        predict_table(aged, tmp_path / "t.csv", tmp_path / "p.csv", as_of=day)
    for some in (rows, rows[:9]):  # by a table, and cell by cell
        answered = cp_json(answer(model, f'{{"rows": {some.write_json()}, "as_of": "{day}"}}'.encode(), 100))
        assert answered["warnings"][0].startswith(said)


@pytest.mark.parametrize("count", [1, 9, 40])
def test_a_service_without_a_day_warns_of_rows_far_from_today(aged, count):
    model, reader = cp.load(aged), RowReader(cp.load(aged).schema)
    for day in (dt.date(2024, 7, 2), dt.date(2199, 7, 2)):
        rows = two_dates(day, count, 5)[0].drop("gone")
        for _ in range(2):  # the second time from memory
            answered = cp_json(answer(model, f'{{"rows": {rows.write_json()}}}'.encode(), 100, reader=reader))
            (said,) = answered["warnings"]
            assert said.startswith(f"ages are counted up to today, {answered['as_of']}, but the newest date of")
            assert said.endswith(": give as_of")


def test_a_service_is_silent_about_rows_of_today(aged):
    rows = two_dates(dt.datetime.now(dt.UTC).date(), 9, 5)[0].drop("gone")
    assert "warnings" not in cp_json(answer(cp.load(aged), f'{{"rows": {rows.write_json()}}}'.encode(), 100))


def test_the_services_today_is_that_of_the_columns_zone(monkeypatch):
    class Late(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2024, 1, 31, 23, 30, tzinfo=tz)

    monkeypatch.setattr(service, "datetime", Late)
    days = {"": "2024-01-31", "UTC": "2024-01-31", "Etc/GMT-2": "2024-02-01", "America/New_York": "2024-01-31"}
    for zone, day in days.items():
        column = Column("at", "datetime", zone=zone, dated=(" age",))
        assert str(service._today(Schema((column,), reference=Reference("at", day="2024-01-01")))) == day


def test_training_and_audit_tell_of_a_day_far_from_the_dates(tmp_path):
    frame = two_dates(NOW, 600, 1)[0]
    frame.write_csv(tmp_path / "t.csv")
    for day, apart in (("2014-01-01", "before"), ("2044-01-01", "after")):
        notes = cp.train(frame, target="gone", learners=["logistic"], budget=2, as_of=day).notes
        for said in (notes, audit_table(tmp_path / "t.csv", target="gone", as_of=day).dates):
            assert any(f"days {apart} the newest date of 'last_seen' there" in one for one in said)
            assert any(one.startswith(f"Check the day: as_of is {day}, but the newest date") for one in said)
            assert not any("-" in one.partition("or up to ")[2] for one in said)
    near = audit_table(tmp_path / "t.csv", target="gone", as_of=NOW).dates
    assert not any("Check the day" in one for one in near)


def test_a_day_beyond_the_calendar_is_refused():
    newest = NewestDay()
    newest.add(days(T))
    with pytest.raises(UserError, match="ages are counted up to 3,999,999 days after it, where there is no calendar"):
        Reference("seen", day="2024-01-01", ahead=3_999_999).day_from(newest)


@pytest.mark.parametrize("bad", ["first", "last", "spread"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_whether_a_column_is_refused_is_the_same_in_any_order_of_the_rows(aged, bad, share, tmp_path, monkeypatch):
    from counterpoise.table.using import stream

    monkeypatch.setattr(stream, "ROWS", 64)
    rows = two_dates(LATER, 1000, 5)[0].drop("gone")
    wrong = round(share * 1000)
    places = {"first": range(wrong), "last": range(1000 - wrong, 1000), "spread": RNG.permutation(1000)[:wrong]}[bad]
    seen = rows["last_seen"].cast(pl.String).to_list()
    for place in places:
        seen[place] = "soon"
    rows.with_columns(last_seen=pl.Series(seen)).write_csv(tmp_path / "t.csv")
    if share < 1 / 3:
        with ExitStack() as stack:
            for name in ("last_seen age", "last_seen since joined") if share > 0.1 else ():
                said = f"column '{name}' is missing or unknown in 30% of the rows"
                stack.enter_context(pytest.warns(UserWarning, match=said))
            done = predict_table(aged, tmp_path / "t.csv", tmp_path / "p.csv", as_of=LATER)
        assert done.unscored == wrong
    else:
        with pytest.raises(UserError, match="500 of 1,000 cells of the column have this problem"):
            predict_table(aged, tmp_path / "t.csv", tmp_path / "p.csv", as_of=LATER)


def test_folders_and_blocks_have_one_day(aged, tmp_path, monkeypatch):
    from counterpoise.table.using import stream

    rows = two_dates(LATER, 300, 5)[0].sort("last_seen")
    whole = cp.load(aged).predict_proba(rows)
    (tmp_path / "parts").mkdir()
    rows[:200].write_parquet(tmp_path / "parts" / "a.parquet")
    rows[200:].write_parquet(tmp_path / "parts" / "b.parquet")
    rows.write_csv(tmp_path / "t.csv")
    monkeypatch.setattr(stream, "ROWS", 64)
    for name in ("parts", "t.csv"):
        predict_table(aged, tmp_path / name, tmp_path / f"{name}.scored.parquet")
        scored = pl.read_parquet(tmp_path / f"{name}.scored.parquet")
        np.testing.assert_allclose(scored["probability_yes"], whole[:, 1], atol=1e-12)


def days(*ordinals):
    return pl.Series([dt.date(1970, 1, 1) + dt.timedelta(days=int(one)) for one in ordinals], dtype=pl.Date)


T = 19_800
RNG = np.random.default_rng(0)
RECORDED = {
    "recent": T - RNG.exponential(40, 1000).astype(int),
    "spread": T - RNG.integers(0, 1500, 1000),
    "at ends of months": T - 30 * RNG.integers(0, 24, 1000),
    "few": T - RNG.exponential(40, 30).astype(int),
}


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize(
    "odd", [[], [T + 5000], [2_932_896] * 400, [2_932_896], [47_481] * 300, [T + 2000, T + 9000]], ids=len
)
def test_the_newest_day_is_none_far_beyond_all_others(name, odd):
    if name == "few" and len(odd) == 2:
        pytest.skip("of thirty dates two may be anything")
    found = NewestDay()
    found.add(days(*RECORDED[name]))
    found.add(days(*odd))
    assert found.day == days(RECORDED[name].max())[0]
    assert found.rows == len(RECORDED[name]) + len(odd)


def test_the_column_whose_dates_lie_closest_to_their_newest_one_tells_the_day():
    seen, joined = days(*RECORDED["recent"]), days(*RECORDED["spread"])
    born = days(*(T - 365 * RNG.integers(18, 80, 1000)))
    ends = days(*(T + RNG.integers(0, 720, 1000)))
    closed = days(*[T] * 80, *[T - 1] * 20).extend_constant(None, 900)
    found = reference_of({"born": born, "joined": joined, "ends": ends, "closed": closed, "seen": seen}, None)
    assert (found.column, found.day, found.ahead) == ("seen", str(seen.max()), 0)
    given = reference_of({"joined": joined, "seen": seen}, seen.max() + dt.timedelta(days=3))
    assert (given.column, given.ahead) == ("seen", 3)
    assert Reference.from_dict(given.to_dict()) == given
    newest = NewestDay()
    newest.add(seen)
    assert given.day_from(newest) == seen.max() + dt.timedelta(days=3)
    assert odd_day(given, newest, seen.max() + dt.timedelta(days=3)) is None
    assert few_rows(given, 1000, NOW) is None and few_rows(given, 2, NOW) is not None


@pytest.mark.parametrize(
    "as_of",
    [
        *("2024-01-31", "31.01.2024", "Jan 31, 2024", NOW.replace(month=1), dt.datetime(2024, 1, 31, 5)),
        *(np.datetime64("2024-01-31"), np.datetime64("2024-01-31T23:59:59", "ns"), pd.Timestamp("2024-01-31 05:00")),
    ],
)
def test_a_day_may_be_given_in_many_ways(as_of):
    assert day_of(as_of) == dt.date(2024, 1, 31)


@pytest.mark.parametrize("as_of", ["2024-04-05", "5 Apr 2024", dt.date(2024, 4, 5), dt.datetime(2024, 4, 5, 9)])
def test_every_way_to_give_it_is_one_day_of_the_training(as_of):
    assert Asked(target="gone", as_of=as_of) == Asked(target="gone", as_of="2024-04-05")


@pytest.mark.parametrize("as_of", ["3/4/2024", "soon", 20240131, 5.0, ["2024-01-31"], "", pd.NaT, np.datetime64("NaT")])
def test_what_is_no_day_is_refused(as_of):
    with pytest.raises(UserError, match=r"as_of is .*; write a day such as 2024-01-31"):
        day_of(as_of)
