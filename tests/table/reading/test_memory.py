"""A table that does not fit into memory is refused in a line, before memory runs out."""

import gzip
import io
import resource
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table.audit.audit import audit_table
from counterpoise.table.reading import memory
from counterpoise.table.reading.files import delimited
from counterpoise.table.reading.table import read_table

needs("lightgbm")

pytestmark = pytest.mark.slow

ROWS = b"1,2,a\n3,4,b\n"
TOO_LARGE = r"is too large for this machine: .* takes [\d.]+ [MG]B of memory or more, and .* is available"


def zipped(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", data)
    return held.getvalue()


BOMBS = {
    "t.csv": lambda data: data,
    "t.csv.gz": gzip.compress,
    "t.csv.zip": zipped,
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("command", ["audit", "train"])
def test_what_unpacks_to_more_than_fits_is_refused_while_it_is_read(name, command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "available_memory", lambda: 60_000_000)
    monkeypatch.setattr(delimited, "PIECE", 1_000_000)
    read = []
    monkeypatch.setattr(memory, "_refuse_too_large", counted(memory._refuse_too_large, read))
    (tmp_path / name).write_bytes(BOMBS[name](b"x,z,y\n" + ROWS * 1_000_000))
    monkeypatch.chdir(tmp_path)
    assert main([command, name, "--target", "y"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{name} is too large for this machine" in said
    assert len(read) < 6  # at the names, and then of twelve pieces
    assert [one.name for one in tmp_path.iterdir()] == [name]


def counted(function, calls):
    def call(*given):
        calls.append(given)
        return function(*given)

    return call


def test_columns_without_end_are_refused_at_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000_000)
    names = [f"x{k}" for k in range(60_000)]
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "t.csv").write_text(",".join([*names, "y"]) + end + ",".join("1" * 60_001) + end, newline="")
        with pytest.raises(UserError, match=TOO_LARGE):
            audit_table(tmp_path / "t.csv", target="y")


def test_a_parquet_file_says_how_large_it_is(tmp_path, monkeypatch):
    pl.DataFrame({"x": np.zeros(3_000_000), "y": np.zeros(3_000_000, np.int8)}).write_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000_000)
    with pytest.raises(UserError, match=TOO_LARGE):
        audit_table(tmp_path / "t.parquet", target="y")
    assert read_table(tmp_path / "t.parquet", ignore=["x"]).frame.columns == ["y"]


def test_a_frame_that_is_there_may_be_too_large_to_learn_from(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    frame = pl.DataFrame({"x": np.arange(20_000) % 7, "y": np.arange(20_000) % 5 == 0})
    with pytest.raises(UserError, match=TOO_LARGE):
        cp.train(frame, target="y")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_what_fits_is_read_whole(end, tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "PIECE", 7)
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000_000)
    (tmp_path / "t.csv").write_bytes((b"x,z,y\n" + ROWS * 50).replace(b"\n", end))
    assert read_table(tmp_path / "t.csv").frame.shape == (100, 3)


def test_where_nobody_says_how_much_there_is_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    (tmp_path / "t.csv").write_bytes(b"x,z,y\n" + ROWS)
    assert read_table(tmp_path / "t.csv").frame.shape == (2, 3)


def test_the_least_of_all_limits_counts(tmp_path):
    whole = memory.available_memory()
    assert whole > 1_000_000
    group = tmp_path / "inner"
    group.mkdir()
    for place, most in ((tmp_path, "3000"), (group, "max")):
        (place / "memory.max").write_text(most)
        (place / "memory.current").write_text("1000")
        (place / "memory.stat").write_text("anon 500\ninactive_file 200\n")
    assert list(memory._of_group(tmp_path, "memory.max", "memory.current")) == [2200]
    assert list(memory._of_group(group, "memory.max", "memory.current")) == []
    assert list(memory._of_group(tmp_path / "none", "memory.max", "memory.current")) == []
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 500_000_000, before[1]))
    try:
        assert 0 < memory.available_memory() <= 500_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
