"""What exactness costs beyond one process and one memory: counting labels in files, and a loss of several processes.

    python -m benchmarks.scale                     # 20 and 200 million labels, and two processes; three minutes
    python -m benchmarks.scale --quick             # 2 million labels, few pairs
    python -m benchmarks.scale --write             # and its part of RESULTS.md
    python -m benchmarks.scale --check             # exit status 1 where a bar is missed

Counting is timed by turns with Polars' own group_by on the same file; a ratio is the median of the ratios of
neighbours. Its memory is the peak of a process of its own, less that of one that only imports the packages. The step
of two processes (gloo, one thread each) is value and gradient of a weighted mean with `group=True` and without, by
turns; the processes start each step together.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.speed.results import machine

TITLE = "# Beyond one process and one memory"
COUNT_BAR, MEMORY_BAR, STEP_BAR = 1.5, 500.0, 1.05
"""The most times Polars' own, MB, and times the loss of one process."""
SHAPE = (16_384, 1000)
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


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The cost of exactness beyond one process and one memory.")
    parser.add_argument("--quick", action="store_true", help="2 million labels, few pairs")
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
