"""A rate as a PyTorch module."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import torch

from counterpoise.arrays.on_torch import has_numbers, is_traced
from counterpoise.errors import UserError
from counterpoise.losses.pytorch.criterion import follow, learns, refuse_unknown_parameter
from counterpoise.losses.pytorch.processes import processes_of
from counterpoise.losses.replicas import ALONE
from counterpoise.rates.average import Average
from counterpoise.rates.graph_on_torch import rate_node, remembering_rate_node, text_of_settings
from counterpoise.rates.memory import Memory
from counterpoise.rates.settings import RateSettings
from counterpoise.recipes.on_torch import outside_graph


class RateLoss(torch.nn.Module):
    """A rate of `counterpoise.rates` as a loss, if asked with a memory of past batches.

    With a memory the loss is that of the running mean of the counts of this batch and of those before it. It learns in
    training mode where gradients are recorded; in evaluation mode and under `torch.no_grad()` the loss is that of the
    batch alone, and nothing is remembered. A batch that a checkpoint computes twice is remembered once. The memory is
    kept in the state dict, and is that of this process, or of all processes of `group`.

    The arguments below can be assigned later too.

    Parameters
    ----------
    rate
        One of `counterpoise.rates.names`.
    average, class_axis, ignore_index, multilabel, class_weight
        As in `counterpoise.rates.recall`.
    memory
        Weight of a batch one step later, above 0 and below 1: about 1 / (1 - memory) batches are remembered. None
        (default): each batch alone.
    group
        As in `Loss`: counts and memory are those of all processes.
    parameters
        Parameters of the rate, such as beta.

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
        group: Any = None,
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
        self.group = group
        self.reset()

    def reset(self) -> None:
        """Forget past batches."""
        self.register_buffer("memory_sums", None)
        self.register_buffer("memory_batches", None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a setting, or refuse what is none; nothing is taken and then ignored."""
        settings = self.__dict__.get("settings")
        if name == "group":
            object.__setattr__(self, name, processes_of(value))
        elif settings is None or name == "settings":
            super().__setattr__(name, value)
        elif name in settings.parameters_of_rate():
            self.settings = dataclasses.replace(settings, parameters={**settings.parameters, name: value})
        elif name in settings.__dataclass_fields__:
            self.settings = dataclasses.replace(settings, **{name: value})
        else:
            known = [name for name in settings.to_dict() if name != "rate"] + settings.parameters_of_rate()
            refuse_unknown_parameter(self, name, f"{settings.rate} has {', '.join(dict.fromkeys(known))}")
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """A setting."""
        settings = self.__dict__.get("settings")
        if settings is not None and name in (known := settings.to_dict()):
            return known[name]
        return super().__getattr__(name)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:  # noqa: ARG002
        # .half() and the like would round the counts; only the device is taken over
        device = fn(torch.zeros(())).device
        for name, buffer in self.named_buffers():
            if buffer.is_meta and device.type != "meta":  # there were no numbers
                self._buffers[name] = None
                continue
            single = device.type == "mps"  # which has no double precision
            self._buffers[name] = buffer.to(device, torch.float32 if single else buffer.dtype)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # before the first batch there is nothing to copy into; after it, the state may have nothing
        for name in ("memory_sums", "memory_batches"):
            saved = state_dict.get(prefix + name)
            if saved is not None and not bool(torch.isfinite(saved).all()):
                others[-1].append(f"{prefix}{name} holds NaN or infinity; it was cast to a type that is too small")
                return
            self._buffers[name] = None if saved is None else torch.empty_like(saved, dtype=torch.float64)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.rates.recall`."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            raise RuntimeError("TorchScript cannot call this loss; trace or export the module, or call it outside")
        else:  # noqa: RET506  (TorchScript leaves this branch out)
            return self._loss(logits, target, sample_weight)

    def _loss(self, logits: torch.Tensor, target: Any, sample_weight: Any) -> torch.Tensor:
        value: torch.Tensor
        compiling = torch.compiler.is_compiling() and self.group is None
        replicas = ALONE if self.group is None else self.group
        if self.settings.memory is None or not learns(self) or not self._can_remember(logits):
            if compiling:
                value = rate_node(logits, target, sample_weight, text_of_settings(self.settings))
            else:
                value = outside_graph(self.settings.loss, logits, target, sample_weight, replicas)
            return value
        sums, batches = follow(self, "memory_sums", logits), follow(self, "memory_batches", logits)
        if compiling:
            text = text_of_settings(self.settings)
            value, sums, batches = remembering_rate_node(logits, target, sample_weight, text, sums, batches)
        else:
            before = None if sums is None or batches is None else Memory(sums, batches)
            given = (logits, target, sample_weight, before, replicas)
            value, (sums, batches) = outside_graph(self.settings.loss_with_memory, *given)
        self._remember("memory_sums", sums)
        self._remember("memory_batches", batches)
        return value

    def _can_remember(self, logits: torch.Tensor) -> bool:
        """Whether there are numbers to remember, or none on either side."""
        sums = self._buffers["memory_sums"]
        return torch.compiler.is_compiling() or sums is None or has_numbers(logits) == has_numbers(sums)

    def _remember(self, name: str, after: torch.Tensor) -> None:
        """Keep a part of the memory; in place where there is one, so that traced and exported programs do so too."""
        before = self._buffers[name]
        if torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting():
            self._buffers[name] = after  # the compiler drops a copy into one number of double precision
        elif before is not None:
            before.copy_(after)
        elif is_traced():
            raise UserError(
                "RateLoss(memory=...) has seen no batch yet, so that a traced or exported program would forget each; "
                "call it once before, or .eval() on it"
            )
        elif has_numbers(after):  # shapes alone leave no trace
            self._buffers[name] = after

    def extra_repr(self) -> str:
        """The settings, for `print`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.to_dict().items())
