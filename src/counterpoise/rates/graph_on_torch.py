"""Rates inside programs that PyTorch compiles: each one node of the graph."""

from functools import lru_cache
from typing import Any

import torch

from counterpoise.arrays.on_torch import fixed
from counterpoise.rates.memory import Memory
from counterpoise.rates.settings import RateSettings
from counterpoise.recipes.on_torch import is_array, outside_graph

_settings_of = lru_cache(maxsize=64)(RateSettings.from_json)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def text_of_settings(settings: RateSettings) -> str:
    """The settings as JSON, a constant of the program."""
    return settings.to_json()


def rate_on_torch(
    rate: Any, name: str, logits: Any, target: Any, sample_weight: Any, given: tuple[Any, ...], own: dict[str, Any]
) -> Any:
    """The loss of a rate of a batch; in a compiled program one node.

    Parameters
    ----------
    rate, name
        The function that computes the rate, and its name.
    logits, target, sample_weight
        Logits, targets and weights of the batch.
    given
        Average, class axis, ignored index, multilabel and class weight.
    own
        The rate's own parameters.
    """
    if torch.compiler.is_compiling() and not is_array(given[-1]):
        return _call_node(name, logits, target, sample_weight, list(given), list(own), list(own.values()))
    return outside_graph(rate, logits, target, sample_weight, given, own)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _call_node(
    name: str,
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    given: list[Any],
    names: list[str],
    values: list[Any],
) -> Any:
    """The loss of a rate of a batch; `given` as in `rate_on_torch`, then names and values of the rate's parameters."""
    average, class_axis, ignore_index, multilabel, class_weight = given
    return RateSettings(
        rate=name,
        average=fixed(average),
        class_axis=fixed(class_axis),
        ignore_index=fixed(ignore_index),
        multilabel=multilabel,
        class_weight=fixed(class_weight),
        parameters=dict(zip(names, fixed(values), strict=True)),
    ).loss(logits, target, sample_weight)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def rate_node(logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None, settings: str) -> Any:
    """The loss of a batch alone."""
    return _settings_of(settings).loss(logits, target, sample_weight)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def remembering_rate_node(
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    settings: str,
    sums: torch.Tensor | None,
    batches: torch.Tensor | None,
) -> Any:
    """The loss of a batch and those before it, and the memory after it."""
    before = None if sums is None or batches is None else Memory(sums, batches)
    value, after = _settings_of(settings).loss_with_memory(logits, target, sample_weight, before)
    return value, after.sums, after.batches
