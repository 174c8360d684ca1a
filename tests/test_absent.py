"""What is absent fails the tests unless the environment excuses it; then the end of the run counts what was skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
NEEDING = """
import pytest
from absent import needs, real_table

def test_of_an_import():
    import no_such_package.part

def test_of_an_error_that_an_import_caused():
    try:
        import no_such_package
    except ImportError as error:
        raise ValueError("install no_such_package") from error

def test_of_a_command_that_imports():
    needs("no_such_package")

@pytest.fixture
def model():
    import no_such_package

def test_of_a_fixture(model): ...

def function():
    '''
    >>> import no_such_package
    '''

def test_of_a_table():
    real_table("no_such_table")

def test_of_nothing(): ...
"""
MODULE = "import no_such_package\n\ndef test(): ..."


def run(folder, without, *options):
    (folder / "test_needing.py").write_text(NEEDING)
    (folder / "test_module.py").write_text(MODULE)
    words = ["-p", "absent", "-p", "no:cacheprovider", "--doctest-modules", "--rootdir", folder, *options]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words, folder],
        env={**os.environ, "PYTHONPATH": str(HERE), "COUNTERPOISE_TESTS_WITHOUT": without},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


# a file that cannot be imported is collected twice, for its tests and for its doctests, of which xdist reports one
@pytest.mark.parametrize("options, skipped", [((), 7), (("--numprocesses", "2"), 6)], ids=["one process", "xdist"])
def test_what_is_excused_is_skipped_and_counted(tmp_path, options, skipped):
    code, out = run(tmp_path, "no_such_package, tables", *options)
    assert code == 0, out
    assert "COUNTERPOISE_TESTS_WITHOUT: 1 skipped for want of tables" in out
    assert f"COUNTERPOISE_TESTS_WITHOUT: {skipped} skipped for want of no_such_package" in out
    assert f"1 passed, {skipped + 1} skipped" in out


@pytest.mark.parametrize("without", ["", "another_package"])
def test_what_is_not_excused_fails(tmp_path, without):
    code, out = run(tmp_path, without, "--continue-on-collection-errors")
    assert code == 1
    assert "COUNTERPOISE_TESTS_WITHOUT=tables skips the tests of real tables" in out
    assert "skipped" not in out.splitlines()[-1]
    assert "1 passed" in out


def test_an_excused_package_is_absent_even_if_installed(tmp_path):
    (tmp_path / "test_hidden.py").write_text(
        "from importlib.util import find_spec\ndef test():\n    assert find_spec('numpy') is None\n    import numpy"
    )
    code, out = run(tmp_path, "numpy,no_such_package,tables")
    assert code == 0, out
    assert "COUNTERPOISE_TESTS_WITHOUT: 1 skipped for want of numpy" in out
