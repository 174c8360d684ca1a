"""The terminal: foreign text steers nothing; streams that are gone or full, and signals, end in no traceback."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from absent import needs
from counterpoise.cli import main
from counterpoise.cli.terminal import say
from counterpoise.errors import UserError, printable

needs("lightgbm", "typer")

pytestmark = pytest.mark.slow

EVIL = {
    "title of the window": "\x1b]0;pwn\x07",
    "colour": "\x1b[31mred\x1b[0m",
    "one-byte escape": "\x9b2J",
    "back and over": "good\r\x08\x08bad",
    "new line": "a\nSTOP  no such finding",
    "other line ends": "a\u2028b\u2029c\x0bd\x85e",
    "direction": "\u202egnp.exe\u2066",
    "nothing to see": "a\u200bb\ufeff\u00ad",
    "hidden tag": "a\U000e0041",
    "half a letter": "a\udcff",
    "markup": "[red]x[/red][link=file:///etc]y[/link]",
}
TO_FILES = [name for name in EVIL if name != "half a letter"]  # which no file in UTF-8 holds


def harmless(shown):
    """No line of what was shown holds anything that a terminal would obey, or not show."""
    return all(line.isprintable() for line in shown.split("\n"))


@pytest.mark.parametrize("name", EVIL)
def test_what_is_said_is_one_line_of_what_can_be_seen(name, capsys):
    say(EVIL[name])
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert harmless(shown)
    if name == "markup":
        assert shown == EVIL[name] + "\n"
    else:
        assert "\\" in shown
    assert printable(shown[:-1]) == shown[:-1]


@pytest.mark.parametrize("name", EVIL)
def test_an_error_shows_what_it_names(name):
    assert harmless(str(UserError(f"no column {EVIL[name]}")))


def test_names_of_many_alphabets_are_shown_as_they_are(capsys):
    names = "größe, 価格, цена, سعر, मूल्य, 🐟"
    say(names)
    assert capsys.readouterr().out == names + "\n"


@pytest.mark.filterwarnings("always")  # the command prints them
@pytest.mark.parametrize("names", [TO_FILES[:-1], TO_FILES[-1:]], ids=["unseen", "markup"])
def test_no_command_lets_a_name_through(names, tmp_path, capfd):
    """The same in the names of the file, of columns and of classes, and in cells."""
    word = "".join(EVIL[name] for name in names)
    size = np.random.default_rng(0).normal(size=120)
    target, kind = f"y{word}", f"kind{word}"
    frame = pl.DataFrame(
        {
            f"size{word}": size,
            kind: np.where(np.arange(120) % 2, f"a{word}", "b"),
            target: np.where(size > 0.8, f"yes{word}", "no"),
        }
    )
    path, new, out = (tmp_path / f"{name}{word.replace('/', ':')}" for name in ("t.csv", "new.csv", "m"))
    path, new = path.with_name(path.name + ".parquet"), new.with_name(new.name + ".parquet")
    frame.write_parquet(path)
    frame.with_columns(pl.lit(f"new{word}").alias(kind), pl.lit(1).alias(f"more{word}")).write_parquet(new)
    assert main(["audit", str(path), "--target", target]) == 0
    train = ["train", str(path), "--target", target, "--learner", "logistic", "--budget", "5s", "--out", str(out)]
    assert main(train) == 0
    main(["predict", str(out), str(new), "-o", str(tmp_path / "p.csv")])
    assert main(["predict", str(out), str(path), "-o", str(tmp_path / "q.csv")]) == 0
    assert main(["audit", str(path), "--target", kind + "?"]) == 2
    assert main([*train, "--positive", kind]) == 2
    assert main(["audit", str(path.with_name(kind.replace("/", ":"))), "--target", "y"]) == 2
    assert main(["audit", str(path), "--" + kind]) == 2
    shown = capfd.readouterr()
    assert harmless(shown.out)
    assert harmless(shown.err)
    assert not any(line.startswith("STOP  no such") for line in (shown.out + shown.err).split("\n"))
    assert ("[red]x[/red]" in shown.out) == (names == ["markup"])
    decided = pl.read_csv(tmp_path / "q.csv")["decision"].unique().sort().to_list()
    assert decided == ["no", f"yes{word}"]  # in data it stays what it is


@pytest.mark.filterwarnings("always")  # the command prints them
def test_warnings_are_cleaned_too(capsys, monkeypatch):
    def warns(_):
        warnings.warn("column \x1b[2J", stacklevel=1)
        return 0

    monkeypatch.setattr("counterpoise.cli._run", warns)
    assert main(["x"]) == 0
    assert capsys.readouterr().err == "counterpoise: warning: column \\x1b[2J\n"


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
COMMAND = [sys.executable, "-c", "import sys; from counterpoise.cli import main; sys.exit(main())"]


def test_a_full_disk_behind_the_output_is_a_line():
    with Path("/dev/full").open("w") as full:
        for words in (["weights", "3", "9"], ["--help"]):
            done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert "No space left on device" in done.stderr
        done = subprocess.run([*COMMAND, "weights", "x"], stderr=full, env=ENVIRONMENT)
        assert done.returncode == 2


def test_nobody_reads_any_more():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "losses"], stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_closed_streams_and_a_poor_alphabet(tmp_path):
    pl.DataFrame({"probability": [0.5]}).write_csv(tmp_path / "p.csv")
    words = ["repair", str(tmp_path / "p.csv"), "--weights", "19", "-o", str(tmp_path / "q.csv")]
    script = f"{subprocess.list2cmdline(COMMAND[:2])} '{COMMAND[2]}' {subprocess.list2cmdline(words)} >&- 2>&- <&-"
    assert subprocess.run(["sh", "-c", script], env=ENVIRONMENT).returncode == 0
    assert (tmp_path / "q.csv").read_text() == "probability\n0.05\n"
    poor = ENVIRONMENT | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run([*COMMAND, "weights", "1", "1", "1"], env=poor, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.fixture
def interruptible():
    """SIGINT as in a terminal: a shell starts what runs in its background with that signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interr")]
)
def test_a_signal_ends_the_command_in_one_line(number, code, said, monkeypatch, capsys, interruptible):  # noqa: ARG001
    def stopped(_):
        os.kill(os.getpid(), number)
        signal.pause()

    before = signal.getsignal(number)
    monkeypatch.setattr("counterpoise.cli._run", stopped)
    assert main(["predict"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith(f"counterpoise: {said}")
    assert shown.count("\n") == 1
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory"),
        (OSError(28, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_what_the_machine_refuses_is_a_line(error, said, monkeypatch, capsys):
    def fails(_):
        raise error

    monkeypatch.setattr("counterpoise.cli._run", fails)
    assert main(["train"]) == 2
    assert capsys.readouterr().err.startswith(f"counterpoise: {said}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_libraries_write_by_themselves_is_shown_but_for_panics():
    script = (
        "import os, sys, counterpoise.cli as cli\n"
        "def work(_):\n"
        "    os.write(2, b'lib: odd\\x1b[2J\\n')\n"
        "    print('ours', file=sys.stderr)\n"
        "    os.write(2, b\"thread 'x' panicked at a.rs:1:1:\\nassertion\\nstack backtrace:\\n\")\n"
        "    raise cli.UserError('unreadable')\n"
        "cli._run = work\n"
        "sys.exit(cli.main(['x']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 2
    assert sorted(done.stderr.splitlines()) == ["counterpoise: unreadable", "lib: odd\\x1b[2J", "ours"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_library_that_ends_the_process_for_memory_leaves_a_line():
    script = (
        "import os, counterpoise.cli as cli\n"
        "def work(_):\n"
        "    os.write(2, b'memory allocation of 9000000000 bytes failed\\n')\n"
        "    os.abort()\n"
        "cli._run = work\n"
        "cli.main(['x'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.startswith("counterpoise: 9,000,000,000 bytes of memory could not be allocated")
    assert done.stderr.count("\n") == 1


def test_a_panic_of_polars_is_a_line(monkeypatch, capsys):
    def panics(_):
        raise pl.exceptions.PanicException("out-of-range date")

    monkeypatch.setattr("counterpoise.cli._run", panics)
    assert main(["audit"]) == 2
    assert (
        capsys.readouterr().err == "counterpoise: the table cannot be used: out-of-range date; is the file damaged?\n"
    )
