"""What every recipe is: a frozen set of checked numbers that can be printed, compared and stored."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from counterpoise.arrays import Array
from counterpoise.errors import UserError, nearest_name
from counterpoise.frozen import Frozen


class Parameters(Frozen):
    """The part that the two families share: names, comparison, JSON."""

    __slots__ = ()
    family: ClassVar[str]
    per_class_names: ClassVar[tuple[str, ...]]

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
        plain: dict[str, Any] = {"family": self.family}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            default = field.default
            if value is None or (np.ndim(value) == 0 and value == default):
                continue
            plain[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The recipe that `to_dict` described.

        Raises
        ------
        UserError
            For a parameter that the family does not have, or of another family.
        """
        values = dict(plain)
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
        plain = self.to_dict()
        plain.pop("name", None)
        return json.dumps(plain, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Parameters)
        return self._loss_parameters() == other._loss_parameters()

    def __hash__(self) -> int:
        return hash(self._loss_parameters())

    def __repr__(self) -> str:
        plain = self.to_dict()
        title = plain.pop("name", plain["family"])
        plain.pop("family")
        return f"{title}({', '.join(f'{name}={_short(value)}' for name, value in plain.items())})"


def parsed(text: str) -> Mapping[str, Any]:
    """A recipe's JSON as a mapping."""
    try:
        plain = json.loads(text)
    except (TypeError, ValueError) as error:
        raise UserError(f"this is not the JSON of a recipe: {error}") from None
    if not isinstance(plain, dict):
        raise UserError(f"a recipe's JSON is an object of parameters; found {text[:60]}")
    return plain


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    shown = [_short(item) for item in value[:8]]
    more = [f"… {len(value)} in all"] if len(value) > 8 else []
    return f"[{', '.join(shown + more)}]"
