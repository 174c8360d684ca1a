"""What every recipe is: a frozen set of checked numbers that can be printed, compared and stored."""

import dataclasses
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from counterpoise.arrays import Array
from counterpoise.errors import UserError, nearest_name
from counterpoise.frozen import Frozen
from counterpoise.weights import ClassCounts, as_class_counts
from counterpoise.weights.by_class import class_indices, classes_meant, in_class_order, keyed, plain


class Parameters(Frozen):
    """The part that the two families share: names, comparison, JSON."""

    __slots__ = ()
    family: ClassVar[str]
    per_class_names: ClassVar[tuple[str, ...]]
    name: str
    class_names: tuple[Hashable, ...] | None

    def _set(self, **values: Any) -> None:
        """Store checked values in a frozen dataclass, while it is made."""
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def classes(self) -> int | None:
        """The number of classes (or labels) that the per-class parameters fix, else None."""
        for name in self.per_class_names:
            value = getattr(self, name)
            if value is not None and value.ndim > 0:
                return len(value)
        return None

    def _agree_on_classes(self) -> None:
        """Raise where two per-class parameters have different lengths."""
        lengths = {
            name: len(getattr(self, name))
            for name in self.per_class_names
            if getattr(self, name) is not None and getattr(self, name).ndim > 0
        }
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise UserError(f"the per-class parameters disagree on the number of classes: {listed}")

    def _checked_names(self) -> tuple[Hashable, ...] | None:
        """The names of the classes, of a kind that JSON holds; None for the class indices from 0 up."""
        if self.class_names is None:
            return None
        found = map(plain, self.class_names)
        names = tuple(one if isinstance(one, str | int | float) else str(one) for one in found)
        return None if class_indices(names) == list(range(len(names))) else names

    def for_classes(self, classes: Sequence[Hashable]) -> Self:
        """The recipe for a model whose outputs have this order of classes.

        A recipe that knows no names goes by position, and so do labels that are the class indices 0 to C - 1: the
        names of counts are in the order of the model's outputs.

        Raises
        ------
        UserError
            For other classes than those of the recipe; for the opposite order in the sigmoid family, whose positive
            class is the second one.

        Examples
        --------
        >>> from counterpoise.recipes import softmax
        >>> from counterpoise.weights import ClassCounts
        >>> recipe = softmax.weighted(ClassCounts([10, 90], classes=["rare", "common"]))
        >>> recipe.weight, recipe.for_classes(["common", "rare"]).weight
        (array([1.8, 0.2]), array([0.2, 1.8]))
        """
        order = self._order_of(f"{self.name}, made from named counts,", classes)
        return self if order is None else self._reordered(order)

    def _order_of(self, title: str, classes: Sequence[Hashable]) -> list[int] | None:
        """For each of the classes its place in the recipe; None where all stand where the recipe has them."""
        classes = [plain(one) for one in classes]
        if self.class_names is None:
            return None
        if set(self.class_names) != set(classes) and class_indices(classes) == list(range(len(classes))):
            return None
        meant = classes_meant(title, self.class_names, classes)
        places = {one: place for place, one in enumerate(meant)}
        order = [places[one] for one in classes]
        return None if order == sorted(order) else order

    def _reordered(self, order: list[int]) -> Self:
        """The recipe with its classes in another order."""
        raise NotImplementedError

    def _counts_in_order(self, counts: Any) -> ClassCounts:
        """Counts by the recipe's names of classes, where both know names."""
        found: ClassCounts = as_class_counts(counts)
        named = found is counts or keyed("counts", counts) is not None
        order = self._order_of("counts", found.classes) if named else None
        return found if order is None else ClassCounts(found.n[np.argsort(order)], classes=self.class_names)

    def _prior_in_order(self, prior: Any) -> Any:
        """A prior given by name, or as counts, in the recipe's order."""
        if isinstance(prior, ClassCounts):
            return self._counts_in_order(prior).prior
        return prior if self.class_names is None else in_class_order("prior", prior, self.class_names)

    def changed(self, **values: Any) -> Self:
        """The same recipe but for some of its parameters.

        Examples
        --------
        >>> from counterpoise.recipes import softmax
        >>> softmax.focal(gamma=2.0).changed(smoothing=0.1)
        softmax.focal(focus=2, smoothing=0.1)
        """
        return dataclasses.replace(self, **values)  # type: ignore[type-var]

    def to_dict(self) -> dict[str, Any]:
        """The parameters that differ from their defaults, as plain numbers and lists.

        Examples
        --------
        >>> from counterpoise.recipes import softmax
        >>> softmax.focal(gamma=2.0).to_dict()
        {'family': 'softmax', 'focus': 2.0, 'name': 'softmax.focal'}
        """
        found: dict[str, Any] = {"family": self.family}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            default = field.default
            if value is None or (np.ndim(value) == 0 and value == default):
                continue
            if isinstance(value, tuple):
                value = list(value)
            found[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        return found

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The recipe that `to_dict` described.

        Raises
        ------
        UserError
            For a parameter that the family does not have, or of another family.
        """
        values = dict(stored)
        family = values.pop("family", cls.family)
        if family != cls.family:
            raise UserError(f"this recipe is of family {family!r}, not {cls.family!r}")
        known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                raise nearest_name(f"{cls.family} parameter", name, known)
        return cls(**values)

    def to_json(self) -> str:
        """The recipe as one line of JSON; `from_json` gives it back exactly."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe from the JSON that `to_json` wrote."""
        return cls.from_dict(parsed(text))

    def _posterior(self, logits: Array, prior: Any, class_axis: int) -> Array:
        """The posterior, computed at once; each family has its own."""
        raise NotImplementedError

    def _loss_parameters(self) -> str:
        found = self.to_dict()
        for name in ("name", "class_names"):  # which change no number
            found.pop(name, None)
        return json.dumps(found, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Parameters)
        return self._loss_parameters() == other._loss_parameters()

    def __hash__(self) -> int:
        return hash(self._loss_parameters())

    def __repr__(self) -> str:
        found = self.to_dict()
        title = found.pop("name", found["family"])
        for name in ("family", "class_names"):
            found.pop(name, None)
        return f"{title}({', '.join(f'{name}={_short(value)}' for name, value in found.items())})"


def parsed(text: str) -> Mapping[str, Any]:
    """A recipe's JSON as a mapping."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as error:
        raise UserError(f"this is not the JSON of a recipe: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"a recipe's JSON is an object of parameters; found {text[:60]}")
    return found


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    shown = [_short(item) for item in value[:8]]
    more = [f"… {len(value)} in all"] if len(value) > 8 else []
    return f"[{', '.join(shown + more)}]"
