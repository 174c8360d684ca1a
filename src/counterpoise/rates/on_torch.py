"""A rate as a PyTorch module."""

from collections.abc import Callable
from typing import Any

import torch

from counterpoise.rates.average import Average
from counterpoise.rates.memory import Memory
from counterpoise.rates.settings import RateSettings


class RateLoss(torch.nn.Module):
    """A rate of `counterpoise.rates` as a loss, if asked with a memory of past batches.

    With a memory the loss is that of the running mean of the counts of this batch and of those before it (in training
    mode; in evaluation mode it is that of the batch alone, and nothing is remembered). It is kept in the state dict,
    and is that of this process: replicas do not share it.

    Parameters
    ----------
    rate
        One of `counterpoise.rates.names`.
    average, class_axis, ignore_index, multilabel, class_weight
        As in `counterpoise.rates.recall`.
    memory
        What a batch is worth one step later, above 0 and below 1: about 1 / (1 - memory) batches are remembered. None:
        each batch alone.
    parameters
        Those of the rate, such as beta.

    Raises
    ------
    UserError
        For an unknown rate, average or parameter, a memory out of range or of a rate of rankings; when called, as
        `counterpoise.rates.recall`.

    Examples
    --------
    >>> criterion = RateLoss("f_beta", beta=2.0, memory=0.99)
    >>> round(criterion(torch.tensor([0.0, 0.0]), torch.tensor([0, 1])).item(), 4)
    0.5
    """

    memory_sums: torch.Tensor | None
    memory_batches: torch.Tensor | None

    def __init__(
        self,
        rate: str,
        average: Average = "macro",
        class_axis: int = -1,
        ignore_index: float | None = None,
        *,
        multilabel: bool = False,
        class_weight: Any = None,
        memory: float | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__()
        self.settings = RateSettings(
            rate=rate,
            average=average,
            class_axis=class_axis,
            ignore_index=ignore_index,
            multilabel=multilabel,
            class_weight=class_weight,
            memory=memory,
            parameters=parameters,
        )
        self.reset()

    def reset(self) -> None:
        """Forget past batches."""
        self.register_buffer("memory_sums", None)
        self.register_buffer("memory_batches", None)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "RateLoss":  # noqa: ARG002
        # .half() and the like would round the counts; only the device is taken over
        device = fn(torch.zeros(())).device
        for name, buffer in self.named_buffers():
            single = device.type == "mps"  # which has no double precision
            self.register_buffer(name, buffer.to(device, torch.float32 if single else buffer.dtype))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # before the first batch there is nothing to copy into; after it, the state may have nothing
        for name in ("memory_sums", "memory_batches"):
            saved = state_dict.get(prefix + name)
            self.register_buffer(name, None if saved is None else torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.rates.recall`."""
        value: torch.Tensor
        if self.settings.memory is None or not self.training:
            value = self.settings.loss(logits, target, sample_weight)
            return value
        before = None
        if self.memory_sums is not None and self.memory_batches is not None:
            before = Memory(self.memory_sums, self.memory_batches)
        value, after = self.settings.loss_with_memory(logits, target, sample_weight, before)
        self.memory_sums, self.memory_batches = after.sums, after.batches
        return value

    def extra_repr(self) -> str:
        """The settings, for `print`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.to_dict().items())
