"""What a run of the tests may lack: nothing, unless COUNTERPOISE_TESTS_WITHOUT names it.

The variable lists packages by the names they are imported by, and "tables" for the real tables in ../shared/data:

    COUNTERPOISE_TESTS_WITHOUT=tensorflow,keras,tables python -m pytest

A package that it names counts as absent even where it is installed. Tests that need one of these are skipped, and the
end of the run shows how many. Whatever else is missing is an error: a suite that lost a framework is never green.
"""

import os
import re
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

VARIABLE = "COUNTERPOISE_TESTS_WITHOUT"
TABLES = "tables"
EXCUSED = frozenset(re.findall(r"[^\s,]+", os.environ.get(VARIABLE, "")))
DATA = Path(__file__).parents[2] / "shared" / "data"


class _Hiding:
    """A finder of modules that finds none of the excused packages."""

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in EXCUSED else self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)


if EXCUSED - {TABLES}:
    sys.meta_path[:] = [_Hiding(finder) for finder in sys.meta_path]


def real_table(name):
    """The path of a real table.

    Where it is not here the test fails, or is skipped if the environment excuses the tables.
    """
    path = DATA / f"{name}.parquet"
    if path.exists():
        return path
    if TABLES in EXCUSED:
        pytest.skip(_reason(TABLES))
    pytest.fail(f"{path} is missing; {VARIABLE}={TABLES} skips the tests of real tables", pytrace=False)


def needs(*packages):
    """An `ImportError` if a package is absent, for tests in which only another process or a command imports it."""
    for name in packages:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _reason(name):
    return f"without {name}"


def excuse_of(error):
    """The package, named by the environment, for want of which an error arose; None if it arose for another reason."""
    while error is not None:
        if isinstance(error, ImportError) and (error.name or "").split(".")[0] in EXCUSED:
            return error.name.split(".")[0]
        told = getattr(error, "exc_info", None)  # a doctest's error holds the example's
        error = told[1] if told else error.__cause__ or error.__context__
    return None


def _skipped(report, call, path):
    name = excuse_of(call.excinfo.value) if report.failed and call.excinfo is not None else None
    if name is not None:
        report.outcome, report.longrepr = "skipped", (str(path), 0, f"Skipped: {_reason(name)}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A file that cannot be imported without what is excused is skipped."""
    report = yield
    return _skipped(report, report.call, collector.path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """And so is a test."""
    report = yield
    return _skipped(report, call, item.path)


def pytest_terminal_summary(terminalreporter):
    """Count what was skipped for want of something, whichever process it ran in."""
    reasons = (report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    without = Counter(reason.removeprefix("Skipped: without ") for reason in reasons if ": without " in reason)
    for name, skipped in sorted(without.items()):
        terminalreporter.write_line(f"{VARIABLE}: {skipped} skipped for want of {name}", yellow=True)
