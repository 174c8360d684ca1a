"""Grids on the screen, and the progress of what takes long."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid

from counterpoise.cli.terminal import say
from counterpoise.errors import UserError, printable

_DONE = {
    "reading": "read",
    "screening": "screened",
    "learning": "learned",
    "comparing": "compared",
    "growing": "grew",
    "measuring": "measured",
    "writing": "wrote",
}


def show(grid: Grid) -> None:
    """Write a grid as plain text, as wide as the terminal."""
    there = Console()
    drawn = io.StringIO()
    width = there.width if there.is_terminal else 160  # a file or a pipe has no width to respect
    Console(file=drawn, width=width, highlight=False, markup=False, color_system=None, force_terminal=False).print(grid)
    say(*(line.rstrip() for line in drawn.getvalue().split("\n")[:-1]))


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A bar per step on standard error, gone at the end; where that is no terminal a line per finished step.

    The work continues where nobody reads it.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        began, last = time.monotonic(), ""

        def log(step: str, done: float) -> None:
            nonlocal began, last
            if done >= 1 and step != last:
                last = step
                verb, rest = step.split(" ", 1)
                now = time.monotonic()
                with suppress(OSError, UserError):
                    say(f"counterpoise: {_DONE[verb]} {rest}, {now - began:.0f} s", error=True)
                began = now

        yield log
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, object] = {}

        def report(step: str, done: float) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(printable(step), total=1.0)
            bar.update(tasks[step], completed=done)  # type: ignore[arg-type]

        yield report
