"""The benchmarks run, compare like with like, and write what they print; no time is asserted."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from absent import needs

ROOT = Path(__file__).parents[2]
import counterpoise as cp  # noqa: E402
from benchmarks.losses import ROWS, SOFTMAX  # noqa: E402
from benchmarks.speed import command, measure, picture, results  # noqa: E402
from benchmarks.speed.measure import Pair, Samples, Settings, Side, SkipRow, Step, built  # noqa: E402
from benchmarks.speed.problem import Layer, Problem, Table  # noqa: E402
from benchmarks.speed.results import result_of  # noqa: E402

pytestmark = pytest.mark.slow

TINY = {1: (24,), 2: (24, 5), 4: (2, 3, 4, 5)}
ONCE = Settings(pairs=1, seconds=1.0, least=1)


def tiny(row):
    """The row with few rows and classes."""
    problem, two_classes = row.problem, row.problem.shape[-1] == 2
    if isinstance(problem, Layer):
        return dataclasses.replace(row, problem=dataclasses.replace(problem, shape=(24, 8, 12)))
    if isinstance(problem, Table):
        return dataclasses.replace(row, problem=dataclasses.replace(problem, shape=(500, 3), rounds=2))
    shape = (24, 2) if two_classes else TINY[len(problem.shape)]
    return dataclasses.replace(row, problem=dataclasses.replace(problem, shape=shape))


def one_of_a_kind():
    """A row for each way of measuring a family, and each row whose two sides are the same loss."""
    kinds = {}
    for row in ROWS:
        problem = row.problem
        key = (row.part, row.ours, row.peer, problem.softmax, len(problem.shape), problem.dtype, problem.overwrite)
        kinds.setdefault((*key, row.same, row.by.__name__ if hasattr(row.by, "__name__") else ""), row)
    return list(kinds.values())


def name_of(row):
    return f"{row.part}-{row.loss}-{row.shape}"


def ready(side, problem):
    try:
        return built(side, problem)
    except SkipRow as reason:
        pytest.skip(str(reason))


def value_of(step):
    if step.before is not None:
        step.before()
    value = step.call()
    return np.asarray(value.detach().float() if hasattr(value, "detach") else value, np.float64)


KINDS = one_of_a_kind()
LOSSES = [row for row in KINDS if not isinstance(row.problem, Table | Layer)]


@pytest.mark.parametrize("row", KINDS, ids=name_of)
def test_both_sides_run(row):
    problem = tiny(row).problem
    for side in (row.ours, row.peer):
        if side.build is not None:
            step = ready(side, problem)
            step.call()
            assert step.spent is None or step.spent() > 0


@pytest.mark.parametrize("row", LOSSES, ids=name_of)
def test_ours_is_the_loss_of_its_name(row):
    problem = tiny(row).problem
    found = value_of(ready(row.ours, problem))
    expected = cp.loss(problem.logits.astype(float), problem.target, problem.recipe, class_axis=problem.class_axis)
    np.testing.assert_allclose(found, expected, rtol=2e-2 if problem.dtype == "bfloat16" else 1e-5)


@pytest.mark.parametrize("row", [row for row in KINDS if row.same], ids=name_of)
def test_both_sides_agree_where_they_should(row):
    problem = tiny(row).problem
    ours, peer = (value_of(ready(side, problem)) for side in (row.ours, row.peer))
    np.testing.assert_allclose(ours, peer, rtol=1e-4, atol=1e-6)


def test_rows_have_names_of_their_own():
    keys = [(row.part, row.shape, row.loss) for row in ROWS]
    assert len(set(keys)) == len(keys)
    for row in ROWS:
        assert command.select(ROWS, only=[row.part], shape=row.shape, loss=row.loss) == [row]


@pytest.mark.parametrize("shape", ["1000000x2", "262144x10"])
def test_every_named_softmax_loss_is_measured(shape):
    assert set(SOFTMAX) <= {row.problem.loss for row in command.select(ROWS, only=["torch"], shape=shape)}


def test_a_claim_has_one_bar():
    for claim in {row.claim for row in ROWS}:
        assert len({row.bar for row in ROWS if row.claim == claim}) == 1, claim


def test_overwritten_logits_are_refilled():
    row = tiny(next(row for row in ROWS if row.problem.overwrite))
    step = ready(row.peer, row.problem)
    assert value_of(step) == value_of(step)


def test_peak_memory_sees_an_allocation():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from Linux's /proc")
    allocation = Side("64 MiB", lambda _: Step(lambda: np.ones(8 << 20).sum()))
    assert 60 << 20 < measure.peak_of(allocation, Problem("softmax.focal", (4, 2))) < 80 << 20


def test_samples_alternate_and_ratios_are_of_neighbours():
    calls = []
    sides = [Side(name, lambda _, name=name: Step(lambda: calls.append(name), before=list)) for name in "ab"]
    row = Pair(
        part="peers", claim="", problem=Problem("softmax.focal", (4, 2)), ours=sides[0], peer=sides[1],
        by=measure.interleaved,
    )  # fmt: skip
    samples = measure.interleaved(row, Settings(pairs=4, seconds=1.0))
    assert "".join(calls).endswith("abbaabba")
    assert len(samples.ours) == len(samples.peer) == 4
    assert Samples([1.0, 4.0, 9.0], [1.0, 2.0, 3.0]).ratio == (2.0, 1.5, 2.5)


def unavailable(_):
    needs("a_package_that_nobody_has")


def broken(_):
    raise ZeroDivisionError("one side fails")


@pytest.mark.parametrize(
    "build, part, check",
    [(unavailable, "skipped: peer: No module named", 0), (broken, "FAILED: ZeroDivisionError: one side fails", 1)],
)
def test_a_row_that_cannot_run_says_why(build, part, check, monkeypatch, capsys):
    monkeypatch.setattr(command, "isolated", lambda function, *arguments: function(*arguments))
    row = tiny(command.select(ROWS, only=["torch"], shape="256x4", loss="softmax.focal")[0])
    row = dataclasses.replace(row, peer=Side("peer", build))
    assert command.main([row], ["--check"]) == check
    assert command.main([row], []) == 0
    assert part in capsys.readouterr().out


@pytest.mark.parametrize("ours, check", [(0.1, 0), (0.3, 1)])
def test_check_fails_where_a_bar_is_missed(ours, check, monkeypatch):
    monkeypatch.setattr(command, "isolated", lambda *_: Samples([ours] * 3, [1.0] * 3))
    row = next(row for row in ROWS if row.bar == 0.20)
    assert command.main([row], ["--check"]) == check
    assert command.main([row], []) == 0


def test_results_of_other_versions_are_dropped_and_of_these_kept(tmp_path, monkeypatch):
    rows = ROWS[:2]
    order = [(row.part, row.shape, row.loss) for row in rows]
    samples = Samples([0.001] * 3, [0.02] * 3, how="pairs interleaved")
    results.write([result_of(rows[0], samples)], order, tmp_path)
    results.write([result_of(rows[1], samples)], order, tmp_path)
    assert [result.loss for result in results.read(tmp_path)] == [row.loss for row in rows]
    monkeypatch.setattr(results, "machine", lambda: {"processor": "another"})
    results.write([result_of(rows[1], samples)], order, tmp_path)
    assert [result.loss for result in results.read(tmp_path)] == [rows[1].loss]


def test_picture_is_well_formed():
    drawn = picture.bars([result_of(row, Samples([0.1] * 3, [1.0] * 3)) for row in ROWS])
    assert len(drawn) > 10
    ElementTree.fromstring(picture.as_svg(drawn))


@pytest.mark.parametrize(
    "value, unit, text", [(2.5, "s", "2.5 s"), (9.8e-4, "s", "0.98 ms"), (3.05e-5, "s", "30.5 us")]
)
def test_amounts_have_a_fitting_unit(value, unit, text):
    assert results.amount(value, unit) == text


def test_the_command_prints_and_writes(tmp_path):
    asked = ["--only", "torch", "--shape", "256x4", "--loss", "softmax.focal", "--pairs", "2", "--write", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.losses", *asked],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    head, line, repeat = done.stdout.splitlines()[:3]
    assert head == "softmax focal, (256, 4), float32, forward + backward, 2 threads, 2 pairs interleaved"
    assert re.match(
        r"  counterpoise [\d.]+ \w+   torch plain cross_entropy [\d.]+ \w+   ratio [\d.]+ \[[\d.]+, [\d.]+\]   "
        r"bar 1\.00 (met|missed)   roofline [\d.]+x$",
        line,
    )
    assert repeat == "  repeat: python -m benchmarks.losses --only torch --shape 256x4 --loss softmax.focal"
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["machine"]["torch"]
    assert [record["loss"] for record in stored["results"]] == ["softmax.focal"]
    table = (tmp_path / "RESULTS.md").read_text()
    assert "| torch, softmax, mini-batch 256 x 4 |" in table
    assert "torch plain cross_entropy" in table
    ElementTree.parse(tmp_path / "ratios.svg")


def test_nothing_chosen_is_an_error(capsys):
    assert command.main(ROWS, ["--shape", "3x3"]) == 2
    assert "no row" in capsys.readouterr().out
