"""Measuring, written once: how the two sides of a row are timed against each other, and what they hold in memory.

The machine's speed drifts, so each sample of one side has a neighbour of the other, in one process, and what is
reported is the median of the neighbours' ratios with its quartiles. Each row runs in a process of its own: what one
row leaves behind (heap, thread pools, the C library's mmap threshold) cannot help or hurt the next, and repeating a
row alone repeats what the whole run did.
"""

import gc
import math
import multiprocessing
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.speed.problem import Problem

THREADS = 2  # part of every claim
COLD_BYTES = 192 << 20  # several times the last cache
SHORTEST_SAMPLE = 0.002  # seconds; shorter calls are repeated within a sample
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": str(THREADS),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

T = TypeVar("T")


class SkipRow(Exception):  # noqa: N818 - nothing went wrong
    """A side cannot run here; the message says why."""


@dataclass(frozen=True)
class Step:
    """One side, ready to run.

    Parameters
    ----------
    call
        The work that is timed; gives the loss, or None.
    before
        What must be done before each call and is not timed.
    spent
        Seconds that the last call spent in the part that a `share` asks for.
    """

    call: Callable[[], Any]
    before: Callable[[], Any] | None = None
    spent: Callable[[], float] | None = None


@dataclass(frozen=True)
class Side:
    """A name for the table, and how the side is made ready; `build` is a function of a module, so that it pickles."""

    name: str
    build: Callable[[Any], Step] | None = None


@dataclass(frozen=True)
class Settings:
    """How long to measure: at most `pairs`, fewer where they would take more than `seconds`."""

    pairs: int = 20
    seconds: float = 60.0
    least: int = 3

    def pairs_of(self, seconds: float) -> int:
        """How many pairs of samples to take where one pair takes this long."""
        return min(self.pairs, max(self.least, int(self.seconds / seconds)))


@dataclass(frozen=True)
class Samples:
    """Neighbouring samples of both sides, in seconds or bytes."""

    ours: list[float]
    peer: list[float]
    unit: str = "s"
    how: str = "samples"
    roofline: float | None = None

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Median and quartiles of the paired ratios."""
        low, middle, high = np.quantile(np.array(self.ours) / np.array(self.peer), [0.25, 0.5, 0.75])
        return float(middle), float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A row: two sides, and the ratio that is claimed.

    Parameters
    ----------
    part
        What `--only` selects.
    claim
        The line of the table of claims that the row belongs to.
    problem
        Loss, shape and data.
    ours, peer
        The sides.
    bar
        The largest ratio that keeps the claim; None where nothing is claimed.
    by
        The function of this module that takes the samples.
    work
        What is timed, in words.
    variant
        Set apart from the row of the same loss and shape by this word.
    cold
        Whether the caches are flushed before each sample.
    same
        Whether both sides compute the same loss, which the tests check.
    """

    part: str
    claim: str
    problem: Problem
    ours: Side
    peer: Side
    bar: float | None = None
    by: "Callable[[Pair, Settings], Samples]"
    work: str = "forward + backward"
    variant: str = ""
    cold: bool = False
    same: bool = False

    @property
    def loss(self) -> str:
        """What `--loss` selects."""
        return f"{self.problem.loss}+{self.variant}" if self.variant else self.problem.loss

    @property
    def shape(self) -> str:
        """What `--shape` selects."""
        return "x".join(map(str, self.problem.shape))


def built(side: Side, problem: Problem) -> Step:
    """The side ready to run; a package that is not installed is a reason to skip."""
    if side.build is None:
        raise TypeError(f"{side.name} is a name only; there is nothing to run")
    try:
        return side.build(problem)
    except ImportError as missing:
        raise SkipRow(f"{side.name}: {missing}") from missing


def interleaved(row: Pair, settings: Settings) -> Samples:
    """Times of both sides, sample by sample in turn."""
    steps = built(row.ours, row.problem), built(row.peer, row.problem)
    before = flush_caches if row.cold else None
    repeats = [1 if row.cold else _repeats(step) for step in steps]
    lasts = sum(_seconds(step, repeat, before) for step, repeat in zip(steps, repeats, strict=True))
    taken: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        for number in range(settings.pairs_of(lasts)):
            for side in (0, 1) if number % 2 == 0 else (1, 0):  # neither always follows the other
                taken[side].append(_seconds(steps[side], repeats[side], before))
    finally:
        gc.enable()
    roofline = None
    if row.part == "torch":
        roofline = float(np.median(taken[0])) / (row.problem.traffic / bandwidth())
    return Samples(*taken, how="pairs interleaved", roofline=roofline)


def share(row: Pair, settings: Settings) -> Samples:
    """Seconds that our step spent in its inner part, and in all."""
    step = built(row.ours, row.problem)
    if step.spent is None:
        raise TypeError(f"{row.ours.name} does not say what it spent")
    lasts = _seconds(step)
    inner, whole = [], []
    for _ in range(settings.pairs_of(lasts)):
        whole.append(_seconds(step))
        inner.append(step.spent())
    if min(inner) <= 0:
        raise RuntimeError(f"{row.ours.name} spent no time in what was watched: it was not called")
    return Samples(inner, whole)


def peak(row: Pair, settings: Settings) -> Samples:
    """Bytes that each side holds at most beyond its inputs, gradients included, each in new processes."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(settings.least):
        for samples, side in zip(taken, (row.ours, row.peer), strict=True):
            samples.append(isolated(peak_of, side, row.problem))
    return Samples(*taken, unit="bytes")


def first_call(row: Pair, settings: Settings, allowed: float | None = None) -> Samples:
    """Seconds of the first call in a new process, imports done; against what is allowed, or the peer's first call."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(min(settings.pairs, 9)):
        taken[0].append(isolated(first_call_of, row.ours, row.problem))
        taken[1].append(isolated(first_call_of, row.peer, row.problem) if allowed is None else allowed)
    return Samples(*taken)


def peak_of(side: Side, problem: Problem) -> float:
    """Bytes by which this process grows at most during one step."""
    step = built(side, problem)
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError as refused:
        raise SkipRow("peak memory is read from Linux's /proc") from refused
    start = _status_bytes("VmRSS")
    step.call()
    return float(max(1, _status_bytes("VmHWM") - start))


def first_call_of(side: Side, problem: Problem) -> float:
    """Seconds of the first call in this process."""
    return _seconds(built(side, problem))


def isolated(function: Callable[..., T], *arguments: Any) -> T:
    """The function's result, from a new process."""
    os.environ.update(ENVIRONMENT)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def samples_of(row: Pair, settings: Settings) -> Samples:
    """The samples of a row, in this process."""
    if hasattr(os, "sched_setaffinity"):  # XLA starts a thread for each processor that it may use
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    return row.by(row, settings)


@cache
def _cold_memory() -> Any:
    return np.ones(COLD_BYTES // 8)


def flush_caches() -> None:
    """Fill the caches with something else."""
    _cold_memory().sum()


def bandwidth() -> float:
    """Bytes per second, read and written, of a copy by all threads into memory that is already there."""
    import torch

    torch.set_num_threads(THREADS)
    source, copy = torch.ones(64 << 18), torch.ones(64 << 18)
    step = Step(lambda: copy.copy_(source))
    return 2 * source.nbytes / float(np.median([_seconds(step) for _ in range(15)]))


def _repeats(step: Step) -> int:
    """Warm up, and say how many calls make a sample."""
    _seconds(step)
    fastest = min(_seconds(step) for _ in range(2))
    if step.before is not None or fastest > SHORTEST_SAMPLE:
        return 1
    return math.ceil(SHORTEST_SAMPLE / min(_seconds(step, 10) for _ in range(3)))


def _seconds(step: Step, repeat: int = 1, before: Callable[[], Any] | None = None) -> float:
    """Seconds per call."""
    for prepare in (step.before, before):
        if prepare is not None:
            prepare()
    start = time.perf_counter()
    for _ in range(repeat):
        step.call()
    return (time.perf_counter() - start) / repeat


def _status_bytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
