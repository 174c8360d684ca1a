"""What is not finished never looks finished, and a killed run leaves nothing for long."""

import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from absent import needs
from counterpoise.errors import UserError
from counterpoise.table.files import appended, write_table, write_text
from counterpoise.table.model import bundle

needs("lightgbm")

pytestmark = pytest.mark.slow


def left(directory):
    return sorted(one.name for one in directory.iterdir() if one.name.startswith(".counterpoise-"))


BEGIN = """
import signal, sys
from pathlib import Path

def begun():
    print(".", flush=True)
    signal.pause()

directory = Path(sys.argv[1])
"""
FILE_OF_ROWS = """
import polars as pl
from counterpoise.table.files import appended

with appended(directory / "theirs.parquet") as append:
    append(pl.DataFrame({"x": [1]}))
    begun()
"""
WHOLE_DIRECTORY = """
from counterpoise.table.model import bundle

class Files(dict):
    def items(self):
        yield "a", b"1"
        begun()

bundle.write(directory / "theirs", Files())
"""
BARE = """
from counterpoise.table.unfinished import unfinished

with unfinished(directory / "x") as place:
    (place / "sub").mkdir()
    begun()
"""


def child(work, directory):
    """A process that is at `work` until it is killed, once it has reported that it has begun.

    It is a new one: in a copy of this process a thread of Polars may hold a lock for ever.
    """
    started = subprocess.Popen([sys.executable, "-c", BEGIN + work, str(directory)], stdout=subprocess.PIPE)
    assert started.stdout.read(1) == b"."
    return started


def kill(started):
    started.kill()
    started.communicate()


@pytest.mark.parametrize("work", [FILE_OF_ROWS, WHOLE_DIRECTORY, BARE], ids=["file of rows", "whole directory", "bare"])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(work, tmp_path):
    number = child(work, tmp_path)
    (theirs,) = left(tmp_path)
    write_text("mine", tmp_path / "mine.txt")
    assert left(tmp_path) == [theirs]
    kill(number)
    assert left(tmp_path) == [theirs]
    write_text("mine", tmp_path / "again.txt")
    assert left(tmp_path) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again.txt", "mine.txt"]


def test_only_our_own_places_are_removed(tmp_path):
    for name in (".counterpoise-0123456789abcdef.partial", ".counterpoise-mine.partial", "x.partial", ".counterpoise"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / ".counterpoise-aaaaaaaaaaaaaaaa.partial").symlink_to(tmp_path / "kept")
    (tmp_path / ".counterpoise-bbbbbbbbbbbbbbbb.partial").write_text("a file")
    write_text("mine", tmp_path / "mine.txt")
    assert left(tmp_path) == [
        ".counterpoise-aaaaaaaaaaaaaaaa.partial",
        ".counterpoise-bbbbbbbbbbbbbbbb.partial",
        ".counterpoise-mine.partial",
    ]
    assert {".counterpoise", "x.partial", "kept"} < {one.name for one in tmp_path.iterdir()}


KILLED_BEFORE_ITS_LOCK = """
import counterpoise.table.unfinished as module

module._locked = lambda place, **_: begun() if place.name.endswith(".partial") else 1
with module.unfinished(directory / "x"):
    pass
"""


def test_a_process_that_was_killed_before_it_had_its_lock_leaves_nothing_for_long(tmp_path):
    kill(child(KILLED_BEFORE_ITS_LOCK, tmp_path))
    assert len(left(tmp_path)) == 1
    write_text("mine", tmp_path / "mine.txt")
    assert left(tmp_path) == []


def test_many_at_once_take_nothing_from_each_other(tmp_path):
    def writes(k):
        for n in range(30):
            write_text(str(k), tmp_path / f"{k}-{n}.txt")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(writes, range(8)))
    assert len(list(tmp_path.iterdir())) == 240


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, UserError("wrong")])
def test_nothing_is_left_when_the_work_fails(error, tmp_path):
    with pytest.raises(type(error) if isinstance(error, Exception) else error), appended(tmp_path / "t.csv") as append:
        append(pl.DataFrame({"x": [1]}))
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_full_disk_is_a_line_and_takes_nothing_away(name, tmp_path):
    """No file may grow beyond 10 kB, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / name).write_bytes(b"theirs")
    frame = pl.DataFrame({"x": [str(k) * 9 for k in range(20_000)]})
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*(File too large|os error 27)"):
            write_table(frame, tmp_path / name, overwrite=True)
        with pytest.raises(UserError, match="cannot write"):
            bundle.write(tmp_path / "m", {"a": b"1", "b": bytes(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {name: b"theirs"}


def test_no_table_is_written_over_the_one_it_is_made_of(tmp_path):
    write_table(pl.DataFrame({"x": [1]}), tmp_path / "t.csv")
    with pytest.raises(UserError, match="exists already"):
        write_table(pl.DataFrame({"x": [2]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "x\n1\n"
