"""A repeated option drops nothing: lists are joined, single values must agree."""

import polars as pl
import pytest

from absent import needs

needs("typer", "lightgbm")

from typer.core import TyperOption  # noqa: E402
from typer.main import get_command  # noqa: E402

from counterpoise.cli.commands import app, run  # noqa: E402
from counterpoise.cli.repeated import LIST  # noqa: E402
from counterpoise.errors import UserError  # noqa: E402

COMMANDS = get_command(app).commands
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, TyperOption) and not option.is_flag
]


def parsed(command, words):
    context = COMMANDS[command].context_class(COMMANDS[command], info_name=command)
    values, _, _ = COMMANDS[command].make_parser(context).parse_args(args=words)
    return values


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda one: getattr(one, "name", one))
def test_no_option_of_any_command_drops_a_value(command, option):
    for first, second in [("1", "2"), ("b", "a"), ("", "x")]:
        words = [option.opts[0], first, option.opts[-1], second]
        if LIST in (option.metavar or ""):
            assert parsed(command, words)[option.name] == f"{first},{second}"
        else:
            with pytest.raises(UserError) as error:
                parsed(command, words)
            assert str(error.value) == f"{option.opts[0]} is given as {first!r} and as {second!r}; give it once"
    assert parsed(command, [option.opts[0], "7"])[option.name] == "7"


def test_lists_and_single_values_are_both_among_the_options():
    lists = {(command, option.name) for command, option in OPTIONS if LIST in (option.metavar or "")}
    assert {("train", "ignore"), ("audit", "ignore"), ("train", "learner"), ("compare", "recipe")} < lists
    assert ("predict", "as_of") not in lists


@pytest.mark.parametrize(
    ("words", "name"),
    [(["--as-of", "A", "--as-of", "A"], "as_of"), (["--as-of=A"], "as_of"), (["-o", "A", "--out", "A"], "out")],
)
def test_the_same_value_twice_is_that_value(words, name):
    assert parsed("predict", words)[name] == "A"


def test_three_lists_are_one():
    assert parsed("train", ["--ignore", "a,b", "--ignore=c", "--ignore", '"d,e"'])["ignore"] == 'a,b,c,"d,e"'


def test_audit_omits_all_columns_that_are_named(tmp_path, capsys):
    file = tmp_path / "t.csv"
    numbers = range(60)
    frame = {"x1": numbers, "x2": [k % 7 for k in numbers], "x3": [k % 11 for k in numbers]}
    pl.DataFrame(frame | {"y": [k % 4 == 0 for k in numbers]}).write_csv(file)
    assert run(["audit", str(file), "--target", "y", "--ignore", "x1", "--ignore", "x2"]) == 0
    assert "60 rows, 2 columns; target" in capsys.readouterr().out
