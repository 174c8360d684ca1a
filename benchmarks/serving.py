"""How fast `counterpoise serve` answers one row, against the same model behind a minimal FastAPI endpoint.

    python -m benchmarks.serving                                   # both models, 1, 4 and 16 clients; five minutes
    python -m benchmarks.serving --model LightGBM --clients 1      # one row
    python -m benchmarks.serving --mlflow PYTHON                   # and MLflow's server, of that interpreter
    python -m benchmarks.serving --write                           # and its part of RESULTS.md
    python -m benchmarks.serving --check                           # exit status 1 where a bar is missed

Each server is a process of its own, and so are the clients, who keep their connections and send the next row when the
last is answered. The servers are measured by turns, and a ratio is the median of the ratios of neighbours. MLflow
(`pip install mlflow lightgbm`) gets rows that are encoded already.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.speed.results import machine
from benchmarks.speed.servers import COUNTERPOISE, ENDPOINT, MLFLOW, MODELS, Side, requests, running, train

CLIENTS = (1, 4, 16)
LONGEST = 9.0
"""Milliseconds that one client may wait for its answer, in the middle."""
HEADER = ("model", "clients", "server", "p50, ms", "p99, ms", "requests/s", "p50, ratio", "requests/s, ratio", "bar")


@dataclass(frozen=True)
class Turn:
    """What some clients saw in a few seconds: milliseconds in the middle and of the slowest hundredth."""

    p50: float
    p99: float
    rate: float

    @classmethod
    def of(cls, seconds: Sequence[float], lasted: float) -> "Turn":
        """From the time of each answer, and of all together."""
        p50, p99 = np.quantile(np.array(seconds) * 1e3, [0.5, 0.99]).tolist()
        return cls(p50, p99, len(seconds) / lasted)


@dataclass(frozen=True)
class Outcome:
    """The turns of counterpoise beside those of another server, or why there are none."""

    model: str
    clients: int
    peer: str
    ours: tuple[Turn, ...] = ()
    others: tuple[Turn, ...] = ()
    skipped: str = ""

    @property
    def p50(self) -> float:
        """Ours over theirs."""
        return float(np.median([our.p50 / other.p50 for our, other in zip(self.ours, self.others, strict=True)]))

    @property
    def rate(self) -> float:
        """Ours over theirs."""
        return float(np.median([our.rate / other.rate for our, other in zip(self.ours, self.others, strict=True)]))

    @property
    def met(self) -> bool | None:
        """Whether answers take no longer and are no fewer, and a lone client waits 9 ms at most; None: not measured."""
        if self.skipped:
            return None
        soon = self.clients > 1 or middle(self.ours).p50 <= LONGEST
        return self.p50 <= 1.0 and self.rate >= 1.0 and soon


def middle(turns: Sequence[Turn]) -> Turn:
    """The median of each figure."""
    return Turn(*np.median([(one.p50, one.p99, one.rate) for one in turns], axis=0).tolist())


def measure(model: str, clients: int, addresses: dict[str, Side], *, pairs: int, seconds: float) -> list[Outcome]:
    """Load each server by turns, and compare."""
    turns: dict[str, list[Turn]] = {name: [] for name in addresses}
    for _ in range(pairs):
        for name, side in addresses.items():
            turns[name].append(Turn.of(*_loaded(side, clients, seconds)))
    ours = tuple(turns.pop(COUNTERPOISE))
    return [Outcome(model, clients, name, ours, tuple(others)) for name, others in turns.items()]


def _loaded(side: Side, clients: int, seconds: float) -> tuple[list[float], float]:
    """The time of each answer and of all together, as a process of its own saw them."""
    command = [sys.executable, "-m", "benchmarks.speed.clients", str(side.port), side.path, str(side.bodies)]
    done = subprocess.run([*command, str(clients), str(seconds)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side.name}: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout)
    return found["seconds"], found["lasted"]


def cells(outcome: Outcome) -> list[tuple[str, ...]]:
    """The lines of a table: of counterpoise, and of the other."""
    name, clients = outcome.model, str(outcome.clients)
    if outcome.skipped:
        return [(name, clients, outcome.peer, f"skipped: {outcome.skipped}", "", "", "", "", "")]
    ours, other = middle(outcome.ours), middle(outcome.others)
    verdict = "met" if outcome.met else "**missed**"
    return [
        (name, clients, COUNTERPOISE, *_figures(ours), "", "", ""),
        (name, clients, outcome.peer, *_figures(other), f"{outcome.p50:.2f}", f"{outcome.rate:.2f}", verdict),
    ]


def _figures(turn: Turn) -> tuple[str, str, str]:
    return f"{turn.p50:.2f}", f"{turn.p99:.2f}", f"{turn.rate:,.0f}"


def claims(outcomes: Sequence[Outcome]) -> list[str]:
    """How many bars were met."""
    found = [one.met for one in outcomes if one.met is not None]
    return [f"- p50 at most, and requests/s at least, those of the other: {sum(found)} of {len(found)} rows"]


def as_markdown(outcomes: Sequence[Outcome], how: str) -> str:
    """The part of RESULTS.md."""
    lines = [
        "# Serving",
        "",
        f"Written by `{how}`, commit {results.commit()}. One row a request, on kept connections;",
        "servers and clients are processes of their own on the same cores, with OMP_NUM_THREADS=1. A figure is the",
        "median of the turns, a ratio that of neighbouring turns, counterpoise over the other. Bars: p50 at most 1.00,",
        f"requests/s at least 1.00, and {LONGEST:g} ms for one client. Repeat a row with",
        "`python -m benchmarks.serving --model MODEL --clients N`.",
        "",
        *(f"- {name}: {fact}" for name, fact in machine().items() if name in _FACTS),
        *claims(outcomes),
        "",
        f"| {' | '.join(HEADER)} |",
        f"| --- | {' | '.join('---:' for _ in HEADER[1:])} |",
        *(f"| {' | '.join(line)} |" for one in outcomes for line in cells(one)),
    ]
    return "\n".join(lines) + "\n"


_FACTS = ("processor", "cores", "memory", "system", "Python", "lightgbm", "numpy")


@contextmanager
def served(place: Path, model: str, mlflow: str | None) -> Iterator[tuple[dict[str, Side], str]]:
    """The servers of a model, by name, and why MLflow's is not among them, or ""."""
    requests(place, model)
    with running(COUNTERPOISE, place, model) as ours, running(ENDPOINT, place, model) as endpoint:
        sides = {COUNTERPOISE: ours, ENDPOINT: endpoint}
        if mlflow is None:
            yield sides, "no --mlflow PYTHON was given"
        elif model != "LightGBM":
            yield sides, "MLflow has no flavour for a blend"
        else:
            with running(MLFLOW, place, model, python=mlflow) as side:
                yield sides | {MLFLOW: side}, ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments choose; 1 where `--check` is given and a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="How fast one row is answered.")
    parser.add_argument("--model", choices=MODELS, help="only this model")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="so many at once (1 4 16)")
    parser.add_argument("--pairs", type=int, default=10, help="turns of each server (10)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn (1.5)")
    parser.add_argument("--mlflow", metavar="PYTHON", help="an interpreter that has mlflow and lightgbm")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    results.may_write(parser)
    asked = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for model in [asked.model] if asked.model else MODELS:
            print(train(place, model), flush=True)
            with served(place, model, asked.mlflow) as (sides, why_not):
                for clients in asked.clients:
                    found = measure(model, clients, sides, pairs=asked.pairs, seconds=asked.seconds)
                    found += [Outcome(model, clients, MLFLOW, skipped=why_not)] if why_not else []
                    print(*(" | ".join(line) for one in found for line in cells(one)), sep="\n", flush=True)
                    outcomes += found
    print(*claims(outcomes), sep="\n")
    if asked.write is not None:
        how = "python -m benchmarks.serving --write" + (" --mlflow PYTHON" if asked.mlflow else "")
        results.write_part(asked.write, as_markdown(outcomes, how))
    return 1 if asked.check and any(one.met is False for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
