"""What a module of a framework keeps of a rate: its name, its parameters, how classes are averaged."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from counterpoise.arrays import Array
from counterpoise.errors import UserError
from counterpoise.losses.replicas import ALONE, Replicas
from counterpoise.rates.average import Average, check_average
from counterpoise.rates.counts import counts_of
from counterpoise.rates.entries import Entries, entries_of
from counterpoise.rates.memory import Memory, checked_decay, remembered
from counterpoise.rates.row import row_named
from counterpoise.recipes.numbers import per_class


def number_of_python(value: Any) -> Any:
    """A number of NumPy as one of Python, which JSON can hold; anything else as it is.

    Examples
    --------
    >>> number_of_python(np.float32(2)), number_of_python("macro")
    (2.0, 'macro')
    """
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, kw_only=True)
class RateSettings:
    """A rate with all that its function takes but the batch, checked; and how fast its memory fades, or None."""

    rate: str
    average: Average = "macro"
    class_axis: int = -1
    ignore_index: float | None = None
    multilabel: bool = False
    class_weight: Any = None
    memory: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("average", "class_axis", "ignore_index", "memory"):
            object.__setattr__(self, name, number_of_python(getattr(self, name)))
        object.__setattr__(
            self, "parameters", {name: number_of_python(value) for name, value in self.parameters.items()}
        )
        row = row_named(self.rate)
        row.checked(self.parameters)
        check_average(self.average, self.class_weight)
        if self.class_weight is not None:
            weight = self.class_weight.detach().cpu() if hasattr(self.class_weight, "detach") else self.class_weight
            object.__setattr__(self, "class_weight", per_class("class_weight", weight, low=0.0))
        if self.memory is not None:
            checked_decay("memory", self.memory)
            if row.ranked:
                raise UserError(f"{self.rate} compares rows with each other and has no counts to remember; drop memory")

    def to_dict(self) -> dict[str, Any]:
        """All of them by name, the rate's own parameters among them."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "parameters"}
        if self.class_weight is not None:
            given["class_weight"] = self.class_weight.tolist()
        return {**given, **self.parameters}

    def parameters_of_rate(self) -> list[str]:
        """What the rate's own parameters are called."""
        return list(row_named(self.rate).parameters)

    def to_json(self) -> str:
        """All of them as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "RateSettings":
        """The settings that `to_json` wrote."""
        given = json.loads(text)
        own = {name: given.pop(name) for name in cls.__dataclass_fields__ if name in given}
        return cls(**own, parameters=given)

    def entries(self, logits: Any, target: Any, sample_weight: Any) -> Entries:
        """The entries of a batch under these settings."""
        return entries_of(logits, target, self.class_axis, sample_weight, self.ignore_index, self.multilabel)

    def loss(self, logits: Any, target: Any, sample_weight: Any, replicas: Replicas = ALONE) -> Array:
        """The loss of a batch alone, which several replicas may hold; then the share of this one."""
        entries = replicas.checked(self.to_json, self.entries, logits, target, sample_weight)
        row, rest = row_named(self.rate), (self.average, self.class_weight, self.parameters)
        if row.ranked:
            return replicas.share(row.loss(entries.of_all(replicas), *rest))
        return replicas.share(row.loss_of_counts(counts_of(entries).of_all(replicas), *rest))

    def loss_with_memory(
        self, logits: Any, target: Any, sample_weight: Any, memory: Memory | None, replicas: Replicas = ALONE
    ) -> tuple[Array, Memory]:
        """The loss of a batch and those before it, and the memory after it; replicas as in `loss`."""
        if self.memory is None:
            raise UserError("no memory was asked for; pass memory, for instance 0.99")
        batch = counts_of(replicas.checked(self.to_json, self.entries, logits, target, sample_weight))
        counts, after = remembered(batch.of_all(replicas), memory, decay=self.memory)
        value = row_named(self.rate).loss_of_counts(counts, self.average, self.class_weight, self.parameters)
        return replicas.share(value), after
