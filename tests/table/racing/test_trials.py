"""An interrupted training loses nothing that is finished, and never looks like a finished one."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from absent import needs
from counterpoise.cli import main
from counterpoise.errors import UserError
from counterpoise.table import load, train_table
from counterpoise.table.racing import trials
from counterpoise.table.racing.trials import Unfinished

needs("lightgbm")

pytestmark = pytest.mark.slow

COMMAND = "import sys; from counterpoise.cli import main; sys.exit(main())"


def words(table, out, *more):
    return ["train", str(table), "--target", "label", "--learner", "lightgbm", "--out", str(out), *more]


def finished(place):
    return list((place / "trials").glob("*.npz"))


@pytest.fixture
def killed(table, tmp_path):
    """A run towards `out` that was killed after its first trials."""
    out = tmp_path / "out"
    place = tmp_path / "out.unfinished"
    run = subprocess.Popen([sys.executable, "-c", COMMAND, *words(table, out)], stderr=subprocess.DEVNULL)
    while run.poll() is None and len(finished(place)) < 2:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert run.returncode == -signal.SIGKILL
    return out, place


def test_a_killed_run_goes_on_where_it_was(killed, table, tmp_path, capsys, monkeypatch):
    out, place = killed
    assert not out.exists()
    with pytest.raises(UserError, match="no such directory"):
        load(out)
    assert main(words(table, out)) == 2
    assert "left by an interrupted run; add --resume" in capsys.readouterr().err
    kept = {file.name for file in finished(place)}
    written = []
    put = Unfinished.put
    monkeypatch.setattr(Unfinished, "put", lambda self, key, arrays: (written.append(key), put(self, key, arrays)))
    assert main(words(table, out, "--resume")) == 0
    assert not place.exists()
    missing = len(written)
    assert main(words(table, tmp_path / "again")) == 0
    assert len(kept) + missing == len(written) - missing
    monkeypatch.undo()
    again = tmp_path / "again"
    files = sorted(file.relative_to(out) for file in out.rglob("*") if file.is_file() and file.suffix != ".html")
    assert len(files) >= 3
    for name in files:
        assert (out / name).read_bytes() == (again / name).read_bytes(), name


def test_resume_asks_for_the_same(killed, table, capsys):
    out, place = killed
    assert main(words(table, out, "--resume", "--seed", "3")) == 2
    assert "had another seed ('0', now '3')" in capsys.readouterr().err
    assert place.exists()


def test_a_run_of_another_version_is_not_resumed(killed, table, capsys, monkeypatch):
    train = importlib.import_module("counterpoise.table.train")  # the package's `train` is the function
    out, _ = killed
    before = train.versions_of
    monkeypatch.setattr(train, "versions_of", lambda learners: before(learners) | {"lightgbm": "0.1"})
    assert main(words(table, out, "--resume")) == 2
    assert "had another software" in capsys.readouterr().err


def test_nothing_to_resume(table, tmp_path, capsys):
    assert main(words(table, tmp_path / "out", "--resume")) == 2
    assert "nothing to resume" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_runs_into_one_place(table, tmp_path):
    with FileLock(str(tmp_path / "out.unfinished.lock")):
        command = [sys.executable, "-c", COMMAND, *words(table, tmp_path / "out")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "another run is writing" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said(table, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trials.np, "savez", full)
    assert main(words(table, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_torn_trial_is_done_again(tmp_path):
    with Unfinished(tmp_path / "out", {}, resume=False) as run:
        run.put("one", {"curve": np.arange(3.0)})
        (file,) = finished(run.place)
        assert run.get("one")["curve"].tolist() == [0, 1, 2]
        file.write_bytes(file.read_bytes()[:40])
        assert run.get("one") is None
        run.done()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_record_of_the_run_is_said(tmp_path):
    place = tmp_path / "out.unfinished"
    place.mkdir()
    (place / "run.json").write_bytes(b"")
    with (
        pytest.raises(UserError, match=r"run\.json is damaged .*; remove .* and start again"),
        Unfinished(tmp_path / "out", {}, resume=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == [place]


def test_trials_without_their_run_are_removed(tmp_path):
    place = tmp_path / "out.unfinished"
    with Unfinished(tmp_path / "out", {}, resume=False) as run:
        run.put("one", {"curve": np.arange(3.0)})
    (place / "run.json").unlink()  # as when it is killed while it removes them
    with Unfinished(tmp_path / "out", {"seed": 1}, resume=False) as run:
        assert run.get("one") is None
        run.done()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_removed_while_it_is_held(tmp_path):
    with Unfinished(tmp_path / "out", {}, resume=False) as run:
        run.done()
        release, there = run._lock.release, []
        run._lock.release = lambda: (there.append(Path(run._lock.lock_file).exists()), release())
    assert there == [os.name == "nt"]


def test_a_result_that_another_run_wrote_meanwhile_is_seen_before_the_work(table, tmp_path, monkeypatch):
    out = tmp_path / "out"
    begin = Unfinished._begin
    monkeypatch.setattr(Unfinished, "_begin", lambda self: (begin(self), out.mkdir()))
    monkeypatch.setattr(sys.modules[train_table.__module__], "_trained", lambda *_: pytest.fail("worked in vain"))
    with pytest.raises(UserError, match="exists already"):
        train_table(table, target="label", out=out)
    assert list(tmp_path.glob("out*")) == [out]


def test_a_mistake_leaves_nothing(table, tmp_path):
    assert main(["train", str(table), "--target", "nothing", "--out", str(tmp_path / "out")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_is_not_called_taken():
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a directory that takes no files whoever asks")
    with (
        pytest.raises(UserError, match="cannot write next to /proc/x"),
        Unfinished(Path("/proc/x"), {}, resume=False),
    ):
        pass
