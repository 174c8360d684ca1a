"""What exactness costs beyond one process and one memory: labels in files, a loss of several processes, large tables.

    python -m benchmarks.scale                     # up to 200 million labels and 10 million rows; twenty minutes
    python -m benchmarks.scale --quick             # 2 million labels, few pairs, 60,000 rows
    python -m benchmarks.scale --rows 1e8          # a longer table
    python -m benchmarks.scale --write             # and its part of RESULTS.md
    python -m benchmarks.scale --check             # exit status 1 where a bar is missed

Counting is timed by turns with Polars' own group_by on the same file; a ratio is the median of the ratios of
neighbours. Its memory is the peak of a process of its own, less that of one that only imports the packages. The step
of two processes (gloo, one thread each) is value and gradient of a weighted mean with `group=True` and without, by
turns; the processes start each step together.

A table of 20 columns with one positive in a thousand is trained on with `--memory`, in a process of its own. Its time
is compared with reading all columns twice and training on as many rows as it held; its average precision and
calibration, on a million new rows, with those of a model that had every row.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import results
from benchmarks.speed.results import machine

if TYPE_CHECKING:
    import polars as pl

TITLE = "# Beyond one process and one memory"
COUNT_BAR, MEMORY_BAR, STEP_BAR = 1.5, 500.0, 1.05
"""The most times Polars' own, MB, and times the loss of one process."""
SHAPE = (16_384, 1000)
TIME_BAR, RANKING_BAR, CALIBRATION_BAR = 1.5, 0.005, 0.005
"""Times reading twice, in addition to the training; the most that average precision loses; calibration error."""
_PART = 1_000_000
_PROBE = 99
_FEWEST = 20_000
_ROWS_AT_ONCE = 10_000_000
_FACTS = ("processor", "cores", "memory", "system", "Python", "polars", "torch")

_PEAK = """
import re, sys
import polars
import counterpoise as cp
if sys.argv[1:]:
    cp.count(sys.argv[1], "y")
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""
_WORKER = """
import statistics, sys, time
import torch
from torch import distributed
import counterpoise as cp
from counterpoise.torch import Loss

place, meeting, pairs, rows, classes = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=meeting, rank=int(place), world_size=2)
torch.manual_seed(int(place))
logits, target = torch.randn(rows, classes, requires_grad=True), torch.randint(classes, (rows,))
recipe = cp.softmax.weighted(range(100, 100 + classes))
sides = [Loss(recipe, "weighted_mean", group=group) for group in (True, None)]

def seconds(criterion):
    logits.grad = None
    distributed.barrier()
    begun = time.perf_counter()
    criterion(logits, target).backward()
    taken = torch.tensor([time.perf_counter() - begun])
    distributed.all_reduce(taken, op=distributed.ReduceOp.MAX)
    return float(taken)

for criterion in sides:
    seconds(criterion)
ratios = []
for pair in range(pairs):
    together, alone = [seconds(one) for one in (sides if pair % 2 else sides[::-1])][:: 1 if pair % 2 else -1]
    ratios.append(together / alone)
if place == "0":
    print(statistics.median(ratios), *statistics.quantiles(ratios, n=4)[::2], alone * 1000)
distributed.destroy_process_group()
"""

_TRAIN = """
import json, re, sys, time
import counterpoise as cp
path, memory, budget, out = sys.argv[1:]
begun = time.perf_counter()
result = cp.train(
    path, target="y", goal="recall where precision >= 0.3", learners=["lightgbm", "logistic"], budget=float(budget),
    memory=memory if memory != "all" else None,
)
taken = time.perf_counter() - begun
result.save(out)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({"seconds": taken, "peak": peak, "held": len(result.split.train)}))
"""


def write_labels(path: Path, rows: int) -> None:
    """A Parquet file of so many labels, one in a thousand of them rare, written part by part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("y", pa.int64())])) as file:
        for first in range(0, rows, _ROWS_AT_ONCE):
            labels = (rng.random(min(_ROWS_AT_ONCE, rows - first)) < 1e-3).astype(np.int64)
            file.write_table(pa.table({"y": labels}), row_group_size=1 << 20)


def counting(path: Path, pairs: int) -> tuple[float, float, float, float]:
    """Seconds of `cp.count` over those of Polars: the median and the quartiles; and seconds of `cp.count`."""
    import polars as pl

    import counterpoise as cp

    def ours() -> list[int]:
        return cp.count(path, "y").n.tolist()

    def polars() -> list[int]:
        found = pl.scan_parquet(path).group_by("y").len().collect(engine="streaming")
        return found.sort("y")["len"].to_list()

    assert ours() == polars()
    ratios, own = [], []
    for pair in range(pairs):
        taken = {one: _seconds(one) for one in ((ours, polars) if pair % 2 else (polars, ours))}
        ratios.append(taken[ours] / taken[polars])
        own.append(taken[ours])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return float(middle), float(low), float(high), float(np.median(own))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def memory(path: Path) -> float:
    """MB that counting takes at its peak, beyond the packages."""
    return _peak(str(path)) - _peak()


def _peak(*words: str) -> float:
    done = subprocess.run([sys.executable, "-c", _PEAK, *words], capture_output=True, text=True, check=True)
    return float(done.stdout)


def step(folder: Path, pairs: int) -> tuple[float, float, float, float]:
    """Seconds of a step with the group over those without: the median and the quartiles; and ms without."""
    words = [(folder / "meeting").as_uri(), str(pairs), *map(str, SHAPE)]
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORKER, str(place), *words], stdout=subprocess.PIPE, text=True)
        for place in (0, 1)
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise RuntimeError("a worker failed; its error stands above")
    middle, low, high, alone = map(float, outputs[0].split())
    return middle, low, high, alone


def rows_of(part: int, rows: int) -> "pl.DataFrame":
    """A part of a table of 16 numbers and 4 categories; one row in a thousand is positive, and hard to tell."""
    import polars as pl

    rng = np.random.default_rng([7, part])
    numbers = rng.normal(size=(rows, 16)).astype(np.float32)
    kinds = rng.integers(8, size=(rows, 4))
    score = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + 0.5 * numbers[:, 3] - 0.7 * (kinds[:, 0] == 0)
    positive = score + rng.logistic(size=rows) > 8.9
    columns = {f"x{place}": numbers[:, place] for place in range(16)}
    columns |= {f"k{place}": np.array(list("abcdefgh"))[kinds[:, place]] for place in range(4)}
    return pl.DataFrame(columns | {"y": positive.astype(np.int8)})


def write_table(folder: Path, rows: int) -> None:
    """Parquet files of so many rows."""
    folder.mkdir()
    for part in range(-(-rows // _PART)):
        rows_of(part, min(_PART, rows - part * _PART)).write_parquet(folder / f"{part:04d}.parquet")


def trained(path: Path, memory: str, budget: float, out: Path) -> dict[str, float]:
    """Seconds, MB at the peak and rows held of a training in a process of its own."""
    words = [sys.executable, "-c", _TRAIN, str(path), memory, str(budget), str(out)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def quality(out: Path, rows: int) -> tuple[float, float]:
    """Average precision and calibration error of a saved model on new rows."""
    from sklearn.metrics import average_precision_score

    import counterpoise as cp

    new = rows_of(_PROBE, rows)
    truth = new["y"].to_numpy()
    probability = cp.load(out).predict_proba(new.drop("y"))[:, 1]
    error = cp.decide.calibration_error(truth, probability)
    return float(average_precision_score(truth, probability)), error


def reading(path: Path) -> float:
    """Seconds of reading all columns once, in blocks."""
    import polars as pl

    def read() -> None:
        for file in sorted(path.iterdir()):
            for _ in pl.scan_parquet(file).collect_batches(chunk_size=131_072, maintain_order=True):
                pass

    return _seconds(read)


def table(folder: Path, rows: int, memory: str, budget: float, report: Callable[[str, str, str, bool], None]) -> None:
    """Train on a table with little memory, and report how that went."""
    from counterpoise.table.reading.memory import bytes_of

    write_table(folder / "table", rows)
    read = reading(folder / "table")
    held = trained(folder / "table", memory, budget, folder / "held")
    said = f"a table of {rows / 1e6:g} M rows x 20 columns with {memory}"
    most = bytes_of(memory) / 2**20
    report(f"{said}, MB at the peak", f"{held['peak']:.0f}", f"at most {most:.0f}", held["peak"] <= most)
    write_table(folder / "as_held", max(int(held["held"]), _FEWEST))
    alone = trained(folder / "as_held", "all", budget, folder / "alone")["seconds"]
    bar = TIME_BAR * 2 * read + alone
    found = f"{held['seconds']:.0f}; reading {read:.1f}, training on {held['held'] / 1e6:.2f} M rows {alone:.0f}"
    report(f"{said}, seconds", found, f"at most {bar:.0f}", held["seconds"] <= bar)
    ranked, error = quality(folder / "held", min(rows, _PART))
    report(f"{said}, calibration error", f"{error:.5f}", f"at most {CALIBRATION_BAR}", error <= CALIBRATION_BAR)
    try:
        trained(folder / "table", "all", budget, folder / "all")
    except subprocess.CalledProcessError as failed:
        print(f"no model of all rows: {failed.stderr.strip().splitlines()[-1]}", flush=True)
        return
    of_all = quality(folder / "all", min(rows, _PART))[0]
    found = f"{ranked:.4f}; of all rows {of_all:.4f}"
    report(f"{said}, average precision", found, f"at least {of_all - RANKING_BAR:.4f}", ranked >= of_all - RANKING_BAR)


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The cost of exactness beyond one process and one memory.")
    parser.add_argument("--quick", action="store_true", help="2 million labels, few pairs")
    parser.add_argument("--rows", type=float, default=1e7, help="rows of the table")
    parser.add_argument("--check", action="store_true", help="exit status 1 where a bar is missed")
    results.may_write(parser)
    asked = parser.parse_args(words)
    small, large, pairs = (2_000_000, 4_000_000, 3) if asked.quick else (20_000_000, 200_000_000, 15)
    lines, kept = [], []

    def report(what: str, found: str, bar: str, holds: bool) -> None:
        lines.append((what, found, bar, "" if holds else "missed"))
        kept.append(holds)
        print(" | ".join(lines[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "labels.parquet")
        write_labels(path, small)
        middle, low, high, seconds = counting(path, pairs)
        found = f"{middle:.2f} ({low:.2f} to {high:.2f}); {seconds:.3f} s"
        what = f"cp.count of {small / 1e6:g} M labels in Parquet, times Polars' group_by"
        report(what, found, f"at most {COUNT_BAR}", middle <= COUNT_BAR)
        write_labels(path, large)
        taken = memory(path)
        what = f"cp.count of {large / 1e6:g} M labels, MB at the peak"
        report(what, f"{taken:.0f}", f"at most {MEMORY_BAR:.0f}", taken <= MEMORY_BAR)
        path.unlink()
        middle, low, high, alone = step(Path(folder), 10 if asked.quick else 40)
        found = f"{middle:.3f} ({low:.3f} to {high:.3f}); {alone:.0f} ms without"
        what = f"a step of two processes at {SHAPE[0]:,} x {SHAPE[1]:,} each, with the group, times without"
        report(what, found, f"at most {STEP_BAR}", middle <= STEP_BAR)
        rows, allowed, budget = (60_000, "650MB", 5.0) if asked.quick else (int(asked.rows), "2GB", 120.0)
        table(Path(folder), rows, allowed, budget, report)
    if asked.write is not None:
        facts = [f"- {name}: {fact}" for name, fact in machine().items() if name in _FACTS]
        head = [
            TITLE,
            "",
            f"Written by `python -m benchmarks.scale --write`, commit {results.commit()}.",
            "",
            *facts,
            "",
        ]
        results.write_part(asked.write, "\n".join([*head, *results.as_table(("what", "found", "bar", ""), lines)]))
    return 0 if all(kept) or not asked.check else 1


if __name__ == "__main__":
    sys.exit(main())
