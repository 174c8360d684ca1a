"""A callback for Lightning: gradient accumulation that is exact, also with class weights and several processes."""

from typing import Any

from counterpoise.errors import UserError
from counterpoise.losses.arguments import Call

try:
    import torch
    from torch import distributed
except ImportError as missing:
    raise ImportError("counterpoise.lightning needs Lightning: pip install 'counterpoise[lightning]'") from missing
try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback  # type: ignore[assignment]
    except ImportError as missing:
        raise ImportError("counterpoise.lightning needs Lightning: pip install 'counterpoise[lightning]'") from missing

from counterpoise.losses.pytorch.processes import denominator_of
from counterpoise.torch import Loss

__all__ = ["ExactAccumulation"]

_MEANS = ("mean", "weighted_mean", "nonzero_mean")


class ExactAccumulation(Callback):
    """Makes the mean of a `counterpoise.torch.Loss` that of the whole optimizer step: `Trainer(callbacks=[...])`.

    Lightning takes the mean of the means of micro-batches (`accumulate_grad_batches`) and of processes, which is
    another number where rows have weights or are ignored, or where batches differ in size. With this callback each
    micro-batch adds the gradient of its sum, and the gradients are divided by the sum of all denominators before
    clipping and the step. `training_step` returns the criterion's value, as without the callback, and may log it.

    Parameters
    ----------
    criterion
        The `Loss` of the module; default: the only one in it.

    Attributes
    ----------
    loss
        The loss of the last optimizer step, over all its micro-batches and processes, a float; None before the first.

    Raises
    ------
    UserError
        In `fit`: for a module with several losses or none, manual optimization, a reduction without a mean, a criterion
        with a `group`, and a `training_step` that does not return just what the criterion gave.

    Examples
    --------
    >>> callback = ExactAccumulation()
    >>> # Trainer(callbacks=[callback], accumulate_grad_batches=4).fit(module, loader)
    """

    def __init__(self, criterion: Loss | None = None) -> None:
        super().__init__()
        self.criterion = criterion
        self.loss: float | None = None
        self._hook: Any = None
        self._last: tuple[torch.Tensor, Any] | None = None
        self._sums: torch.Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Find the criterion and follow it."""
        if not pl_module.automatic_optimization:
            raise UserError(
                "ExactAccumulation needs automatic optimization; where you step by hand, use "
                "counterpoise.torch.Accumulator"
            )
        found = [one for one in pl_module.modules() if isinstance(one, Loss)]
        if self.criterion is None and len(found) != 1:
            raise UserError(
                f"the module has {len(found)} losses of counterpoise; pass ExactAccumulation(criterion=...), the one "
                "that training_step returns"
            )
        criterion = self.criterion or found[0]
        if criterion.reduction not in _MEANS:
            raise UserError(f"the criterion's reduction is {criterion.reduction!r}; it must be {', '.join(_MEANS)}")
        if criterion.group is not None:
            raise UserError("the criterion has a group, which this callback stands for; make it with group=None")
        self._sums = self._last = None
        self._hook = criterion.register_forward_hook(self._remember, with_kwargs=True)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Leave the criterion as it was."""
        self._hook.remove()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Leave the criterion as it was."""
        if self._hook is not None:
            self._hook.remove()

    def _remember(self, criterion: Loss, given: tuple[Any, ...], named: dict[str, Any], value: torch.Tensor) -> None:
        """What the criterion gave, and what its mean was divided by."""
        if not value.requires_grad:
            return
        names = ("logits", "target", "sample_weight", "normalizer")
        options = {**dict(zip(names, given, strict=False)), **named}
        recipe, weight = criterion._current(options["logits"])
        settings = (criterion.reduction, options.get("normalizer"), criterion.ignore_index, criterion.class_axis)
        call = Call(options["logits"].detach(), options["target"], recipe, options.get("sample_weight"), *settings)
        if call.normalizer is not None:
            raise UserError("training_step passes a normalizer, which this callback stands for; omit it")
        self._last = value, denominator_of(call, weight)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:  # noqa: ARG002
        """Make the gradient of the micro-batch that of its sum."""
        parts = trainer.accumulate_grad_batches
        if self._last is None:
            raise UserError("training_step returned a loss without calling the criterion; return the criterion's value")
        value, by = self._last
        self._last = None
        if not torch.allclose(loss.detach() * parts, value.detach().to(loss.dtype), rtol=1e-5, atol=0, equal_nan=True):
            raise UserError(
                f"training_step returned {loss.item() * parts:g}, but the criterion gave {value.item():g}; with "
                "ExactAccumulation it must return the criterion's value alone, since all gradients are scaled alike"
            )
        by = torch.as_tensor(by, dtype=torch.float64, device=value.device).detach()
        sums = torch.stack([value.detach().to(torch.float64) * by, by])
        self._sums = sums if self._sums is None else self._sums + sums
        loss.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient * (by * parts).to(gradient.dtype)
        )

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: ARG002
        """Divide the gradients by the denominator of the whole step."""
        if self._sums is None:
            raise UserError("an optimizer steps without a micro-batch; use one optimizer with ExactAccumulation")
        sums, self._sums = self._sums, None
        processes = trainer.world_size
        if processes > 1:
            distributed.all_reduce(sums)
        total, by = sums
        share = torch.where(by == 0, 0.0, 1.0 / torch.where(by == 0, 1.0, by))
        self.loss = float(total * share)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_((share * processes).to(parameter.grad.dtype))
