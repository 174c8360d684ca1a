"""What was measured: one record per row, kept as JSON for the picture and written as a table for people."""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import commit, write_part
from benchmarks.speed.measure import THREADS, Pair, Samples

PACKAGES = (
    "balanced-loss",
    "counterpoise",
    "empulse",
    "imbalance-xgboost",
    "jax",
    "keras",
    "lightgbm",
    "numpy",
    "scikit-learn",
    "tensorflow",
    "tensorflow_cpu",
    "torch",
    "xgboost",
    "xgboost-cpu",
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row as measured, or why it was not: `skipped` for want of something, `failed` for an error."""

    part: str
    claim: str
    loss: str
    shape: str
    dtype: str
    work: str
    ours_name: str
    peer_name: str
    bar: float | None
    commit: str
    unit: str = "s"
    pairs: int = 0
    how: str = ""
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    roofline: float | None = None
    skipped: str = ""
    failed: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the ratio keeps the bar; None without a bar or a measurement."""
        if self.bar is None or self.ratio is None:
            return None
        return self.ratio <= self.bar

    @property
    def verdict(self) -> str:
        """The bar and whether it was met, in words."""
        if self.bar is None:
            return ""
        return f"{self.bar:.2f} {'met' if self.met else 'missed'}"

    @property
    def repeat(self) -> str:
        """The command that measures this row again."""
        return f"python -m benchmarks.losses --only {self.part} --shape {self.shape} --loss {self.loss}"

    def __str__(self) -> str:
        """The row for the terminal."""
        shape = "(" + ", ".join(f"{int(size):_}" for size in self.shape.split("x")) + ")"
        head = f"{self.loss.replace('.', ' ')}, {shape}, {self.dtype}, {self.work}, {THREADS} threads"
        if self.ratio is None:
            reason = f"skipped: {self.skipped}" if self.skipped else f"FAILED: {self.failed}"
            return f"{head}\n  {self.ours_name} against {self.peer_name}: {reason}\n  repeat: {self.repeat}"
        words = [
            f"{self.ours_name} {amount(self.ours, self.unit)}",
            f"{self.peer_name} {amount(self.peer, self.unit)}",
            f"ratio {number(self.ratio)} [{number(self.low)}, {number(self.high)}]",
            f"bar {self.verdict}" if self.bar is not None else "",
            f"roofline {self.roofline:.1f}x" if self.roofline is not None else "",
        ]
        line = "   ".join(word for word in words if word)
        return f"{head}, {self.pairs} {self.how}\n  {line}\n  repeat: {self.repeat}"


def result_of(row: Pair, samples: Samples | None = None, *, skipped: str = "", failed: str = "") -> Result:
    """The record of a row."""
    taken: dict[str, Any] = {}
    if samples is not None:
        ratio, low, high = samples.ratio
        taken = {
            "unit": samples.unit,
            "pairs": len(samples.ours),
            "how": samples.how,
            "ours": _median(samples.ours),
            "peer": _median(samples.peer),
            "ratio": ratio,
            "low": low,
            "high": high,
            "roofline": samples.roofline,
        }
    return Result(
        part=row.part,
        claim=row.claim,
        loss=row.loss,
        shape=row.shape,
        dtype=row.problem.dtype,
        work=row.work,
        ours_name=row.ours.name,
        peer_name=row.peer.name,
        bar=row.bar,
        commit=commit(),
        skipped=skipped,
        failed=failed,
        **taken,
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def number(value: float | None) -> str:
    """A ratio with three digits, at most three decimals."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def amount(value: float | None, unit: str) -> str:
    """Seconds or bytes in a fitting unit.

    Examples
    --------
    >>> amount(0.00098, "s"), amount(3 << 20, "bytes")
    ('0.98 ms', '3 MiB')
    """
    if value is None:
        return "-"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    for factor, name in (1.0, "s"), (1e3, "ms"):
        if value * factor >= (1.0 if name == "s" else 0.1):
            return f"{value * factor:.3g} {name}"
    return f"{value * 1e6:.3g} us"


def machine() -> dict[str, str]:
    """What the measurements depend on: processor, memory, system, versions."""
    kilobytes = int(_first_match("/proc/meminfo", r"MemTotal:\s+(\d+)") or 0)
    facts = {
        "processor": _first_match("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.processor(),
        "cores": str(os.cpu_count()),
        "threads": str(THREADS),
        "memory": f"{kilobytes / 2**20:.0f} GiB",
        "huge pages": _first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]") or "-",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def _first_match(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return ""
    return found[1].strip() if found else ""


def write(results: Sequence[Result], order: Sequence[tuple[str, str, str]], folder: Path) -> list[Result]:
    """Write results.json and RESULTS.md; rows measured earlier on the same machine and versions are kept.

    Parameters
    ----------
    results
        What was measured now.
    order
        (part, shape, loss) of all rows, in the order of the table.
    folder
        Where to.
    """
    here = machine()
    by_key = {(old.part, old.shape, old.loss): old for old in read(folder, here)}
    by_key |= {(new.part, new.shape, new.loss): new for new in results}
    kept = [by_key[key] for key in order if key in by_key]
    stored = {"machine": here, "results": [asdict(result) for result in kept]}
    write_part(folder, as_markdown(kept, here))
    (folder / "results.json").write_text(json.dumps(stored, indent=1) + "\n")
    return kept


def read(folder: Path, here: dict[str, str] | None = None) -> list[Result]:
    """The stored results; those of another machine or other versions than `here` do not count."""
    path = folder / "results.json"
    if not path.exists():
        return []
    stored = json.loads(path.read_text())
    if here is not None and stored["machine"] != here:
        return []
    return [Result(**record) for record in stored["results"]]


def as_markdown(results: Sequence[Result], here: dict[str, str]) -> str:
    """RESULTS.md."""
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks.losses --write`; not edited by hand. Times are medians; a ratio is the",
        "median of the ratios of neighbouring samples, counterpoise over the other, with its quartiles. Repeat a row",
        "with `python -m benchmarks.losses --only PART --shape SHAPE --loss LOSS`.",
        "",
        *(f"- {name}: {fact}" for name, fact in here.items()),
        f"- commits measured: {', '.join(sorted({result.commit for result in results}))}",
        "",
        "## Claims",
        "",
        "| claim | worst ratio | bar | rows that meet it |",
        "| --- | --- | --- | --- |",
    ]
    for claim in dict.fromkeys(result.claim for result in results if result.bar is not None):
        rows = [result for result in results if result.claim == claim]
        measured = [row.ratio for row in rows if row.ratio is not None]
        met = sum(row.met is True for row in rows)
        worst = number(max(measured)) if measured else "not measured"
        lines.append(f"| {claim} | {worst} | {rows[0].bar:.2f} | {met} of {len(rows)} |")
    for part in dict.fromkeys(result.part for result in results):
        lines += [
            "",
            f"## {part}",
            "",
            "| loss | shape | what | counterpoise | other | ratio | quartiles | bar | roofline | pairs |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_as_line(result) for result in results if result.part == part),
        ]
    return "\n".join(lines) + "\n"


def _as_line(result: Result) -> str:
    start = [result.loss, result.shape, f"{result.work}, against {result.peer_name}"]
    if result.ratio is None:
        reason = f"skipped: {result.skipped}" if result.skipped else f"failed: {result.failed}"
        return f"| {' | '.join(start)} | {reason} | | | | {'' if result.bar is None else f'{result.bar:.2f}'} | | |"
    cells = [
        *start,
        amount(result.ours, result.unit),
        amount(result.peer, result.unit),
        number(result.ratio),
        f"{number(result.low)} to {number(result.high)}",
        result.verdict,
        "" if result.roofline is None else f"{result.roofline:.1f}x",
        str(result.pairs),
    ]
    return f"| {' | '.join(cells)} |"
