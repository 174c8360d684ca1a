"""Options that are given more than once: lists are joined, and two different single values are refused.

Click's parser keeps the last value and drops the earlier ones without a word.
"""

from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand, TyperOption

from counterpoise.errors import UserError

LIST = ",..."
"""In the metavar of an option that takes a list with commas between its values."""
ADDRESS = "[ADDRESS]"
"""The metavar of an option that may stand without a value, at the end or before another option."""
_ALONE = "local"


class Command(TyperCommand):
    """A command that drops no value of a repeated option."""

    def make_parser(self, ctx: Any) -> Any:
        """The parser of the command line: it collects the values of each option, and returns one."""
        params = self.get_params(ctx)
        valued = [one for one in params if isinstance(one, TyperOption) and not (one.is_flag or one.count)]
        single = [one for one in valued if not one.multiple]
        try:
            for option in single:
                option.multiple = True
            parser: Any = super().make_parser(ctx)
        finally:
            for option in single:
                option.multiple = False
        parse = parser.parse_args

        alone = {name for one in valued if one.metavar == ADDRESS for name in one.opts}

        def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
            values, rest, order = parse(_with_values(args, alone))
            return _one_of_each(values, single), rest, order

        parser.parse_args = parse_args
        return parser


def _with_values(args: list[str], alone: set[str]) -> list[str]:
    """The words of a command, with a value for each option that stands alone.

    Examples
    --------
    >>> _with_values(["t.csv", "--cluster", "--seed", "1"], {"--cluster"})
    ['t.csv', '--cluster', 'local', '--seed', '1']
    """
    found = []
    for place, word in enumerate(args):
        found.append(word)
        if word in alone and (place + 1 == len(args) or args[place + 1].startswith("-")):
            found.append(_ALONE)
    return found


def _one_of_each(values: Mapping[str, Any], options: list[TyperOption]) -> dict[str, Any]:
    found = dict(values)
    for option in options:
        name = option.name or ""
        if name not in found:
            continue
        given = found[name]
        if LIST in (option.metavar or ""):
            found[name] = ",".join(given)
            continue
        other = next((one for one in given if one != given[0]), None)
        if other is not None:
            raise UserError(f"{option.opts[0]} is given as {given[0]!r} and as {other!r}; give it once")
        found[name] = given[0]
    return found
