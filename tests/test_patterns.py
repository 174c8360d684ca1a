"""Regular expressions of the package do little work on hostile text.

Python's `re` backtracks: where two quantifiers that match the same characters follow each other, a long cell that
almost matches costs the square of its length, or its cube, and one request stops the whole service. Polars' expressions
do not backtrack.
"""

import ast
import importlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import counterpoise
from counterpoise.table.reading.files.quoting import _field

_LENGTH = 30_000
_SECONDS = 15
"""Processor time for one pattern on all texts: linear work takes half a second, a square half a minute."""
_METHODS = "fullmatch|match|search|sub|split|findall|finditer"
_PACKAGE = Path(counterpoise.__file__).parent


class Pattern(NamedTuple):
    """A regular expression of the package, where it stands, and whether it must match from the beginning."""

    where: str
    compiled: re.Pattern[str] | re.Pattern[bytes]
    anchored: bool

    def work(self, text: str) -> None:
        """What the package does with it."""
        given = text.encode() if isinstance(self.compiled.pattern, bytes) else text
        if self.anchored:
            self.compiled.match(given)  # type: ignore[arg-type]
            self.compiled.fullmatch(given)  # type: ignore[arg-type]
        else:
            for _ in self.compiled.finditer(given):  # type: ignore[arg-type]
                pass


def _texts(length: int) -> Iterator[str]:
    """Long texts that almost match: runs of one thing, after a beginning and before an end that do not fit."""
    runs = ("0", "1", "0.", "1.", "1,", "1 ", ",", ".", " ", "\n", "_", "-", " -", '"', '""', "'", "a", "a ", "aB")
    for run in (*runs, "É", "/", "[", "0:", "<", "<!--", 'id="', "=", "ab-", "1e", "(", ">"):
        for before in ("", "-", '"', "1", "0.", "f", "<"):
            yield before + run * (length // len(run)) + "\x00"
    for run in ("0", "1", "a", " "):
        yield f"{run * (length // 2)}.{run * (length // 2)}x"


def _calls(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """The functions of `re` that a file calls, and the patterns that it hands them."""
    for one in ast.walk(ast.parse(path.read_text())):
        if isinstance(one, ast.Call) and ast.unparse(one.func).startswith("re.") and one.args:
            yield ast.unparse(one.func).removeprefix("re."), one.args[0]


def _held(value: object) -> Iterator[re.Pattern[str] | re.Pattern[bytes]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _held(one)


def patterns() -> list[Pattern]:
    """All that Python's `re` compiles: what a module holds, and what it writes in a call."""
    sources = {path: path.read_text() for path in sorted(_PACKAGE.rglob("*.py"))}
    found = [Pattern(f"a cell before {sign!r}", _field(sign), True) for sign in ",;\t|"]
    for path, source in sources.items():
        if "import re\n" not in source:
            continue
        name = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            for one in _held(value):
                used = {how for text in sources.values() for how in re.findall(rf"\b{key}\.({_METHODS})\(", text)}
                found.append(Pattern(f"{name}.{key}", one, used <= {"match", "fullmatch"}))
        for how, argument in _calls(path):
            if how in ("compile", "escape"):
                continue
            try:
                pattern = eval(ast.unparse(argument), dict(vars(module)))
            except NameError:  # of the function's own
                continue
            found.append(Pattern(f"{name}, re.{how}", re.compile(pattern), how in ("match", "fullmatch")))
    return found


def test_the_walk_finds_patterns_of_every_kind():
    found = {one.where.removeprefix("counterpoise.") for one in patterns()}
    assert {"table.features.cells._FIGURES", "table.reading.files.dialect._NUMBER", "goals.goal.F_BETA"} <= found
    assert {"table.learners.lightgbm_text._TREE", "table.report.card, re.sub", "a cell before ','"} <= found


def test_no_pattern_does_more_work_than_the_length_of_the_text():
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout.splitlines()[-1:]} takes the square of the text's length\n{run.stderr}"


if __name__ == "__main__":
    for one in patterns():
        print(f"{one.where}: {one.compiled.pattern!r}", flush=True)
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + _SECONDS, resource.RLIM_INFINITY))
        for text in _texts(_LENGTH):
            one.work(text)
