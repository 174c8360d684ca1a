"""What `choose_threshold` costs for ten million scores."""

import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from counterpoise.decide import choose_threshold


def cost_of_a_promise() -> str:
    """Time and memory for ten million scores, beside NumPy's argsort of them, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_cost)


def _cost() -> str:
    rng = np.random.default_rng(0)
    score = rng.random(10_000_000)
    target = rng.random(len(score)) < score / 10
    goal = "recall where precision >= 0.08 and alerts <= 20%"
    choose_threshold(target[:1000], score[:1000], goal)  # SciPy is imported
    own, sorting = [], []
    peak = _memory(lambda: choose_threshold(target, score, goal))
    for _ in range(5):
        own.append(_seconds(lambda: choose_threshold(target, score, goal)))
        sorting.append(_seconds(lambda: np.argsort(score)))
    ratio = np.median(np.array(own) / np.array(sorting))
    return (
        f"10 M scores, median of 5 pairs: choose_threshold {np.median(own):.2f} s, argsort {np.median(sorting):.2f} s, "
        f"ratio {ratio:.2f} (bar 1.5); peak of the process {peak} (bar 1 GB)"
    )


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _memory(call: Callable[[], Any]) -> str:
    """The most that this process holds during a call, its inputs and libraries included."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError:
        return "unknown: it is read from Linux's /proc"
    call()
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return f"{int(found[1]) * 1024 / 1e9:.2f} GB" if found else "unknown"
