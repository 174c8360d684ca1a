"""The costs beyond one process are measured on what they should be, and missed bars are seen."""

import pytest

from benchmarks import scale

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(scale, "SHAPE", (64, 5))
    monkeypatch.setattr(scale, "_ROWS_AT_ONCE", 1000)
    write = scale.write_labels
    monkeypatch.setattr(scale, "write_labels", lambda path, rows: write(path, rows // 1000))


def test_every_row_is_measured_and_written(tmp_path, capsys, monkeypatch):
    for bar in ("COUNT_BAR", "MEMORY_BAR", "STEP_BAR", "TIME_BAR", "RANKING_BAR", "CALIBRATION_BAR"):
        monkeypatch.setattr(scale, bar, 1e9)
    assert scale.main(["--quick", "--check", "--write", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in printed] == ["cp.count", "cp.count", *"aaaaa"]
    written = (tmp_path / "RESULTS.md").read_text()
    assert written.startswith(scale.TITLE) and all(f"| {line} |" in written for line in printed)


def test_a_bar_that_is_missed_is_an_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(scale, "MEMORY_BAR", -1e9)
    monkeypatch.setattr(scale, "table", lambda *_: None)
    assert scale.main(["--quick", "--check"]) == 1
    assert "missed" in capsys.readouterr().out.splitlines()[1]
