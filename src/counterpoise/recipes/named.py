"""The register of named losses: a row each, which puts it into every framework, the command line and the tests."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from counterpoise.errors import UserError, nearest_name
from counterpoise.recipes.sigmoid_recipe import SigmoidRecipe
from counterpoise.recipes.softmax_recipe import SoftmaxRecipe
from counterpoise.recipes.stored import rebuilt, rebuilt_from_text

Recipe = SoftmaxRecipe | SigmoidRecipe

Constructor = TypeVar("Constructor", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class NamedLoss:
    """One row of the table of losses."""

    name: str
    constructor: Callable[..., Recipe]
    source: str

    @property
    def summary(self) -> str:
        """What the loss is for, in one line."""
        return (self.constructor.__doc__ or "").strip().splitlines()[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The loss's own parameters with their defaults."""
        signature = inspect.signature(self.constructor)
        return {
            name: None if parameter.default is inspect.Parameter.empty else parameter.default
            for name, parameter in signature.parameters.items()
            if name != "counts"
        }

    @property
    def needs_counts(self) -> bool:
        """Whether the loss cannot be made without class counts."""
        counts = inspect.signature(self.constructor).parameters.get("counts")
        return counts is not None and counts.default is inspect.Parameter.empty


_rows: dict[str, NamedLoss] = {}


def named(name: str, *, source: str) -> Callable[[Constructor], Constructor]:
    """Register a constructor under "family.loss", with the paper that it comes from."""

    def register(constructor: Constructor) -> Constructor:
        _rows[name] = NamedLoss(name, constructor, source)
        return constructor

    return register


def recipe_table() -> list[NamedLoss]:
    """Every named loss, in the order of the documentation."""
    return sorted(_rows.values(), key=lambda row: row.name.startswith("sigmoid"))


def recipes() -> list[str]:
    """The names of all losses.

    Examples
    --------
    >>> recipes()[:3]
    ['softmax.cross_entropy', 'softmax.weighted', 'softmax.logit_scaled']
    """
    return [row.name for row in recipe_table()]


def recipe(name: str | Mapping[str, Any], counts: Any = None, **params: Any) -> Recipe:
    """A loss by its name, or from the dict that `recipe.to_dict()` wrote.

    Parameters
    ----------
    name
        One of `recipes()`, or the mapping of a stored recipe.
    counts
        Class counts of the training data; only losses that are computed from them need them.
    **params
        The loss's own parameters.

    Returns
    -------
    SoftmaxRecipe or SigmoidRecipe
        The frozen recipe.

    Raises
    ------
    UserError
        For an unknown name (with the nearest one), missing counts, or a parameter that the loss does not have.

    Examples
    --------
    >>> recipe("softmax.logit_adjusted", [90, 10], tau=1.0).offset.round(3)
    array([-0.105, -2.303])
    """
    if isinstance(name, Mapping):
        if counts is not None or params:
            raise UserError("a stored recipe already has its parameters; pass no counts and no others with it")
        return from_dict(name)
    if not isinstance(name, str) or name not in _rows:
        raise nearest_name("recipe", name, _rows)
    row = _rows[name]
    for key in params:
        if key not in row.parameters:
            raise nearest_name(f"parameter of {name}", key, row.parameters)
    missing = [
        key
        for key, parameter in inspect.signature(row.constructor).parameters.items()
        if key != "counts" and parameter.default is inspect.Parameter.empty and key not in params
    ]
    if missing:
        raise UserError(f"{name} needs {missing[0]}")
    if row.needs_counts and counts is None:
        raise UserError(f"{name} is made from the class counts; pass them: recipe({name!r}, counts)")
    return row.constructor(counts=counts, **params)


def from_dict(plain: Mapping[str, Any]) -> Recipe:
    """The recipe that `to_dict` described, of either family.

    Examples
    --------
    >>> from_dict({"family": "sigmoid", "pos_weight": 9.0})
    sigmoid(pos_weight=9)
    """
    found: Recipe = rebuilt(plain)
    return found


def from_json(text: str) -> Recipe:
    """The recipe that `to_json` wrote, of either family.

    Examples
    --------
    >>> from_json('{"family": "sigmoid", "pos_weight": 9.0}')
    sigmoid(pos_weight=9)
    """
    found: Recipe = rebuilt_from_text(text)
    return found
