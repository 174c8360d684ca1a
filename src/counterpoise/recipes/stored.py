"""Recipes from what `to_dict` and `to_json` wrote. Each family enters itself here, so that this file needs neither."""

from collections.abc import Mapping
from typing import Any, TypeVar

from counterpoise.errors import nearest_name
from counterpoise.recipes.parameters import Parameters, parsed

Family = TypeVar("Family", bound=type[Parameters])

_families: dict[str, type[Parameters]] = {}


def stored_family(family: Family) -> Family:
    """Enter a family under its name, as a decorator of its class."""
    _families[family.family] = family
    return family


def rebuilt(plain: Mapping[str, Any]) -> Any:
    """The recipe that `to_dict` described, of either family.

    Raises
    ------
    UserError
        For an unknown family, and for what the family's `from_dict` refuses.
    """
    family = plain.get("family")
    if family not in _families:
        raise nearest_name("recipe family", family, sorted(_families, reverse=True))
    return _families[family].from_dict(plain)


def rebuilt_from_text(text: str) -> Any:
    """The recipe that `to_json` wrote, of either family."""
    return rebuilt(parsed(text))
