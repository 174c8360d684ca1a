"""Columns that only name rows are left out of a training; prose, amounts and times are not."""

import hashlib
import json
import uuid

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.table.features.identifiers import find_identifier
from counterpoise.table.features.learning import learn_schema
from counterpoise.table.reading.table import Table

needs("lightgbm")

pytestmark = pytest.mark.slow

ROWS = 600
RNG = np.random.default_rng(7)
RARE = (RNG.random(ROWS) < 0.2).astype(np.int64)
FIRST, LAST, SAID = (
    words.split()
    for words in (
        "Anna Ben Carla David Eva Finn Greta Hans Ida Jan Karl Lea Max Nina Otto Paula Rosa Tom Uwe Vera",
        "Schmidt Meyer Weber Koch Bauer Wolf Lang Braun Klein Hahn Vogel Frank Roth Kraus Kaiser Fuchs",
        "the a this product shirt blue is was good bad very service slow fast never again love it after two weeks",
    )
)
PEOPLE = RNG.permutation([f"{a} {b}{end}" for a in FIRST for b in LAST for end in ("", "er")])[:ROWS].tolist()


def drawn(signs, low, high):
    return ["".join(RNG.choice(list(signs), RNG.integers(low, high))) for _ in range(ROWS)]


TEXT_NAMES = {
    "visit": [f"{RNG.integers(1990, 2000)}:{RNG.integers(1, 13)}:{RNG.integers(1, 500)}:1" for _ in range(ROWS)],
    "uuid": [str(uuid.UUID(int=int(k) << 64 | k)) for k in RNG.integers(1, 2**60, ROWS).tolist()],
    "user and uuid": [f"user_{k}-{uuid.UUID(int=k * 977**9)}" for k in range(ROWS)],
    "hash": [hashlib.sha1(str(k).encode()).hexdigest() for k in range(ROWS)],
    "token of any length": drawn("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 27, 35),
    "e-mail": [f"{RNG.choice(FIRST)}.{RNG.choice(LAST)}{k}@{RNG.choice(['web.de', 'x.org'])}" for k in range(ROWS)],
    "phone": [f"+49 {RNG.integers(150, 180)} {RNG.integers(10**6, 10**7)}" for _ in range(ROWS)],
    "iban": [f"DE{k % 90 + 10} {k * 7 % 9000 + 1000} {k * 31 % 9000 + 1000} 00{k % 90 + 10}" for k in range(ROWS)],
    "code with zeros": [f"{k:07d}" for k in RNG.permutation(10**6)[:ROWS]],
    "prefix": [f"transaction-{k}" for k in RNG.permutation(10**5)[:ROWS]],
    "in words": [f"Order No {k}" for k in range(ROWS)],
    "plate": [f"{a}-{b} {k}" for a, b, k in zip(drawn("ABCD", 1, 3), drawn("XYZ", 2, 3), range(ROWS), strict=True)],
    "address of a machine": [".".join(map(str, RNG.integers(0, 255, 4))) for _ in range(ROWS)],
    "path": [f"scans/u{k}/scan_{7 * k}.tif" for k in range(ROWS)],
    "login": [f"{RNG.choice(FIRST)}{RNG.choice(LAST)}{k}".lower() for k in range(ROWS)],
    "without blanks": drawn("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", 3, 4),
    "mostly given": [f"K-{k}" if k % 3 else None for k in range(ROWS)],
    "people": PEOPLE,
    "people, last name first": [", ".join(reversed(one.split())) for one in PEOPLE],
}
NUMBER_NAMES = {
    "counter": range(ROWS),
    "counter that runs down": range(ROWS, 0, -1),
    "counter with gaps": np.sort(RNG.permutation(ROWS + 100)[:ROWS]),
    "shuffled counter": RNG.permutation(ROWS),
    "phone number": RNG.integers(2_000_000_000, 9_999_999_999, ROWS),
    "long random number": RNG.integers(10**17, 10**18 - 1, ROWS),
    "customer_id": np.concatenate([RNG.integers(0, 10**12, ROWS - 3), [5, 5, 5]]),
    "whole, with gaps": [float(k) if k % 7 else None for k in RNG.permutation(ROWS)],
}
MEASURED = {
    "amount": np.sort(RNG.lognormal(6, 1, ROWS).round(2)),
    "cents": RNG.integers(100, 10**9, ROWS),
    "seconds since 1970": 1_600_000_000 + RNG.permutation(10**6)[:ROWS],
    "every minute": 1_700_000_000 + 60 * np.arange(ROWS),
    "every second": 1_700_000_000 + np.arange(ROWS),
    "milliseconds": 1_700_000_000_000 + 60_000 * np.arange(ROWS) + RNG.integers(0, 999, ROWS),
    "day as a number": [int(f"20{y}{m:02d}{d:02d}") for y in (10, 11, 12) for m in range(1, 13) for d in range(1, 18)][
        :ROWS
    ],
    "sensor": RNG.normal(size=ROWS),
    "age": RNG.integers(18, 90, ROWS),
    "depth": 10 * np.arange(ROWS),
    "rank that tells": np.argsort(np.argsort(RNG.normal(size=ROWS) + 1.5 * RARE)),
    "number of ten digits that tells": 2_000_000_000 + RNG.integers(10**9, size=ROWS) + 6_000_000_000 * RARE,
}
PROSE = {
    "reviews": [" ".join(RNG.choice(SAID, RNG.integers(6, 20))) for _ in range(ROWS)],
    "numbered reviews": [f"{k}: " + " ".join(RNG.choice(SAID, RNG.integers(6, 20))) for k in range(ROWS)],
    "log": [f"error {k} in module {RNG.choice(SAID)} at line {k * 7} of the file" for k in range(ROWS)],
    "addresses": [f"{k} {RNG.choice(LAST)} {RNG.choice(['Street', 'Lane'])}, {RNG.choice(FIRST)}" for k in range(ROWS)],
    "sequences": drawn("ACGT", 30, 60),
    "links": ["https://" + "/".join(RNG.choice(SAID, RNG.integers(3, 9))) for _ in range(ROWS)],
}


def schema_of(column):
    frame = pl.DataFrame({"x": column, "size": RNG.normal(size=ROWS), "y": RARE})
    return learn_schema(Table(frame, "t", typed=True), "y", np.flatnonzero(np.arange(ROWS) % 5 > 0))


@pytest.mark.parametrize("name", [*TEXT_NAMES, *NUMBER_NAMES])
def test_names_of_rows_are_left_out(name):
    column = pl.Series(name, list((TEXT_NAMES | NUMBER_NAMES)[name]))
    frame = pl.DataFrame({name: column, "size": RNG.normal(size=ROWS), "y": RARE})
    schema = learn_schema(Table(frame, "t", typed=True), "y", np.flatnonzero(np.arange(ROWS) % 5 > 0))
    assert [one.name for one in schema.columns] == ["size"]
    ((dropped, reason),) = schema.dropped
    assert dropped == name
    assert reason.startswith(("numbers that only name rows: ", "text that never repeats", "text that hardly repeats: "))


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_stay_numbers(name):
    assert [one.kind for one in schema_of(list(MEASURED[name])).columns] == ["number", "number"]


@pytest.mark.parametrize("name", PROSE)
def test_prose_stays_text(name):
    assert [one.kind for one in schema_of(PROSE[name]).columns] == ["text", "number"]


def test_a_title_that_tells_the_class_makes_names_text():
    titled = [f"{'Mrs' if rare else 'Mr'} {one}" for rare, one in zip(RARE, PEOPLE, strict=True)]
    assert [one.kind for one in schema_of(titled).columns] == ["text", "number"]


def test_few_rows_are_no_evidence():
    assert find_identifier(pl.Series("id", range(19))) is None
    assert find_identifier(pl.Series("id", range(20))) is not None


def test_a_table_of_nothing_but_a_counter_is_learned_from():
    """A grid point or a minute also counts the rows: where there is nothing else it is what was measured."""
    frame = pl.DataFrame({"x": range(ROWS), "y": (np.arange(ROWS) > 500).astype(int)})
    schema = learn_schema(Table(frame, "t", typed=True), "y", np.arange(ROWS))
    assert [one.kind for one in schema.columns] == ["number"]
    assert schema.dropped == ()


def test_rows_with_new_names_are_predicted(tmp_path, capsys):
    size = RNG.normal(size=ROWS)
    frame = pl.DataFrame(
        {
            "visit": TEXT_NAMES["visit"][:-1] + TEXT_NAMES["visit"][:1],
            "mail": TEXT_NAMES["e-mail"],
            "row": range(ROWS),
            "size": size,
            "y": np.where(size + RNG.normal(size=ROWS) > 1.2, "yes", "no"),
        }
    )
    frame.write_csv(tmp_path / "t.csv")
    out = tmp_path / "m"
    assert main(["train", str(tmp_path / "t.csv"), "--target", "y", "--learner", "logistic", "--out", str(out)]) == 0
    assert "not used: visit (text that hardly repeats: " in capsys.readouterr().out
    dropped = dict(json.loads((out / "decision.json").read_text())["schema"]["dropped"])
    assert list(dropped) == ["visit", "mail", "row"]
    assert dropped["row"] == "numbers that only name rows: it counts the rows"
    new = frame.with_columns(
        visit=pl.format("2031:1:{}:9", pl.int_range(ROWS)),
        mail=pl.format("new{}@example.com", pl.int_range(ROWS)),
        row=pl.int_range(ROWS) + 10**6,
    ).drop("y")
    new.write_csv(tmp_path / "new.csv")
    assert main(["predict", str(out), str(tmp_path / "new.csv"), "-o", str(tmp_path / "p.parquet")]) == 0
    assert capsys.readouterr().err == ""
    found = pl.read_parquet(tmp_path / "p.parquet")["probability_yes"].to_numpy()
    model = cp.load(out)
    assert found.tolist() == model.predict_proba(frame.select("size"))[:, 1].tolist()


def test_the_audit_says_what_training_leaves_out(tmp_path):
    frame = pl.DataFrame({"visit": TEXT_NAMES["visit"], "patient_nbr": RNG.integers(0, 400, ROWS), "y": RARE})
    frame = frame.with_columns(size=RNG.normal(size=ROWS))
    frame.write_parquet(tmp_path / "t.parquet")
    found = cp.table.audit_table(tmp_path / "t.parquet", target="y")
    assert [(one.column, one.certain) for one in found.identifiers] == [("visit", True), ("patient_nbr", False)]
    said = {one.title: one.do for one in found.findings}
    assert said["1 column only identifies rows"] == "Training leaves it out."
    assert said["1 column may only identify rows"].endswith("leave identifiers out: --ignore patient_nbr")
