"""Gradients of micro-batches that add up to the gradient of the whole batch."""

from collections.abc import Iterable
from typing import Any

import torch

from counterpoise.errors import UserError
from counterpoise.losses.arguments import Call
from counterpoise.losses.pytorch.kernel import kernel_loss
from counterpoise.losses.pytorch.processes import denominator_of, processes_of, settings_of

_MEANS = ("mean", "weighted_mean", "nonzero_mean")


class Accumulator:
    """A mean over the micro-batches of a window, and over the processes that share it, exact to rounding.

    The mean of the means of micro-batches is not the mean of their rows where rows have weights, are ignored, or the
    micro-batches are of different sizes. Here each micro-batch adds the gradient of its sum, and `finish` divides by
    the sum of all denominators.

    Parameters
    ----------
    criterion
        A `Loss` whose reduction is a mean. Its `group`, if any, is used unless `group` is given here.
    parameters
        Parameters whose gradients are scaled, as for an optimizer. Their gradients must be None or 0 at the start of a
        window; keep them in float32 or wider, since they are sums until `finish`.
    group
        As in `Loss`. With it, gradients are averaged over the processes by `DistributedDataParallel` (under `no_sync()`
        for all but the last micro-batch) or `fully_shard`.

    Raises
    ------
    UserError
        For a criterion without a mean, parameters without elements, gradients that are not 0 at the start, and where
        `finish` is called without a micro-batch.

    References
    ----------
    The way of torchtune's pull request 1917, with weights in place of tokens.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> from counterpoise.torch import Loss
    >>> layer = torch.nn.Linear(3, 2)
    >>> accumulator = Accumulator(Loss(softmax.weighted([90, 10]), "weighted_mean"), layer.parameters())
    >>> for rows in (torch.randn(4, 3), torch.randn(1, 3)):
    ...     accumulator.backward(layer(rows), torch.zeros(len(rows), dtype=torch.long))
    >>> loss = accumulator.finish()  # then clip, and optimizer.step()
    """

    def __init__(self, criterion: Any, parameters: Iterable[torch.nn.Parameter], group: Any = None) -> None:
        if getattr(criterion, "reduction", None) not in _MEANS or not hasattr(criterion, "recipe"):
            raise UserError(
                f"criterion is {criterion!r}; an Accumulator needs a counterpoise.torch.Loss whose reduction is one of "
                f"{', '.join(_MEANS)}"
            )
        self.criterion, self.parameters = criterion, list(parameters)
        if not self.parameters:
            raise UserError("parameters are empty; pass model.parameters()")
        self.processes = processes_of(criterion.group if group is None else group)
        self._sums: torch.Tensor | None = None

    def backward(self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None) -> None:
        """Add the gradient of a micro-batch; shapes as in `counterpoise.loss`."""
        criterion = self.criterion
        if self._sums is None:
            self._refuse_gradients()
            self._sums = torch.zeros(2, dtype=torch.float64, device=logits.device)
        recipe, class_weight = criterion._current(logits)
        options = (criterion.reduction, None, criterion.ignore_index, criterion.class_axis)
        call = Call(logits, target, recipe, sample_weight, *options)
        by = denominator_of(call, class_weight)
        value = kernel_loss(call._replace(reduction="sum"), class_weight, criterion.overwrite_logits)
        value.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self._sums[0] += value.detach()
            self._sums[1] += by

    def finish(self) -> torch.Tensor:
        """Scale the gradients and return the window's loss, a scalar in float64; the next window may begin."""
        if self._sums is None:
            raise UserError("finish() without a micro-batch: call backward(logits, target) first")
        sums, self._sums = self._sums, None
        count = 1
        if self.processes is not None:
            criterion = self.criterion
            settings = settings_of(criterion.recipe, criterion.reduction, criterion.ignore_index)
            sums, count = self.processes.added_up(sums, settings), self.processes.count
        total, by = sums
        scale = torch.where(by == 0, 0.0, count / torch.where(by == 0, 1.0, by))
        with torch.no_grad():
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(scale.to(parameter.grad.dtype))
        value: torch.Tensor = total * scale / count
        return value

    def _refuse_gradients(self) -> None:
        """Raise where a gradient is left from before, which `finish` would scale as well."""
        for place, parameter in enumerate(self.parameters):
            left = parameter.grad
            if left is not None and left.device.type == "cpu" and bool((left != 0).any()):
                raise UserError(
                    f"parameter {place} (shape {tuple(parameter.shape)}) has a gradient already; call "
                    "optimizer.zero_grad() before the first micro-batch of a window"
                )
