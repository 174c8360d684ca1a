"""One command line for every simulation: measure and print its rows, judge its claims, write its part of RESULTS.md."""

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import results


def _passes(outcomes: Sequence[Any]) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A benchmark in which the truth is known.

    Parameters
    ----------
    command
        Name of its module in `benchmarks`, and of its part of RESULTS.md.
    question
        What it asks, for `--help`.
    unit
        What a row is measured on so many of, which is also an option.
    size, quick
        How many, and how many with `--quick`.
    about
        What the columns of the table mean.
    header
        Heads of the columns.
    outcomes
        Outcomes of all rows, from the number of units.
    cells
        Line of the table of one outcome.
    claims
        What was met, in words.
    passed
        Whether the exit status is 0.
    """

    command: str
    question: str
    unit: str
    size: int
    quick: int
    about: str
    header: Sequence[str]
    outcomes: Callable[[int], Iterator[Any]]
    cells: Callable[[Any], Sequence[str]]
    claims: Callable[[Sequence[Any]], Sequence[str]]
    passed: Callable[[Sequence[Any]], bool] = _passes


def main(simulation: Simulation, arguments: Sequence[str] | None = None) -> int:
    """Measure, print and, if asked to, write; 1 where what the simulation demands is not met."""
    size = f"{simulation.size:,} {simulation.unit}, {simulation.quick:,} with --quick"
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{simulation.command}", description=simulation.question)
    parser.add_argument(f"--{simulation.unit}", dest="size", metavar="N", type=int, default=simulation.size, help=size)
    parser.add_argument("--quick", action="store_const", dest="size", const=simulation.quick, help="the smaller number")
    results.may_write(parser)
    asked = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    outcomes = []
    for outcome in simulation.outcomes(asked.size):
        outcomes.append(outcome)
        print(" | ".join(simulation.cells(outcome)), flush=True)
    claims = simulation.claims(outcomes)
    print(*claims, sep="\n")
    if asked.write is not None:
        results.write_part(asked.write, as_markdown(simulation, outcomes, claims, asked.size))
    return 0 if simulation.passed(outcomes) else 1


def as_markdown(simulation: Simulation, outcomes: Sequence[Any], claims: Sequence[str], size: int) -> str:
    """Its part of RESULTS.md."""
    again = f"Written by `python -m benchmarks.{simulation.command} --{simulation.unit} {size} --write`."
    lines = [
        f"# {simulation.command.replace('_', ' ').capitalize()}",
        "",
        again,
        *simulation.about.splitlines(),
        "",
        *(f"- {claim}" for claim in claims),
        f"- commit measured: {results.commit()}",
        "",
        *results.as_table(simulation.header, [simulation.cells(outcome) for outcome in outcomes]),
    ]
    return "\n".join(lines) + "\n"


def in_two_processes(measure: Callable[..., Any], rows: Sequence[Any], sets: int) -> Iterator[Any]:
    """`measure(row, sets)` of each row, in order."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        yield from pool.imap(partial(measure, sets=sets), rows)
