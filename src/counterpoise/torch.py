"""A recipe as a PyTorch module."""

from typing import Any

from counterpoise.losses import linear_loss, loss
from counterpoise.recipes import Recipe

try:
    import torch
except ImportError as missing:
    raise ImportError("counterpoise.torch needs PyTorch: pip install 'counterpoise[torch]'") from missing

from counterpoise.lagrangian.on_torch import GoalLoss, KeepBest
from counterpoise.losses.arguments import Call
from counterpoise.losses.pytorch.accumulator import Accumulator
from counterpoise.losses.pytorch.criterion import Criterion
from counterpoise.losses.pytorch.kernel import kernel_loss
from counterpoise.losses.pytorch.linear import linear_torch_loss
from counterpoise.losses.pytorch.loss import torch_loss
from counterpoise.losses.pytorch.processes import loss_of_all
from counterpoise.rates.on_torch import RateLoss
from counterpoise.recipes.on_torch import outside_graph
from counterpoise.weights.sampler_on_torch import ClassAwareSampler

__all__ = [
    "Accumulator",
    "ClassAwareSampler",
    "GoalLoss",
    "KeepBest",
    "LinearLoss",
    "Loss",
    "RateLoss",
    "linear_loss",
    "loss",
]


class Loss(Criterion):
    """A recipe in place of `torch.nn.CrossEntropyLoss` or `torch.nn.BCEWithLogitsLoss`.

    Works under autocast, `torch.compile` (one graph), `torch.func` and forward mode in any nesting, with double
    backward, in traced and exported programs. A scripted module may hold it, and calls it in Python.

    Assign `recipe`, or one of its parameters (`criterion.smoothing = 0.1`), to change the loss. The class weights
    (`weight`, in the sigmoid family `pos_weight`) are a buffer where PyTorch's own losses have one: where there is one
    weight per class, or one `pos_weight`. The buffer moves with `.to()` and to the logits' device, keeps double
    precision, and counts: assigned, edited in place, loaded, or passed by `torch.func.functional_call`.

    The state dict holds that buffer alone, under PyTorch's name, so that it is exchanged, also strictly, with that of
    `torch.nn.CrossEntropyLoss(weight)` or `torch.nn.BCEWithLogitsLoss(pos_weight=...)`; without class weights it is
    empty. The rest of the recipe belongs to the code that makes the criterion, as `label_smoothing` does in PyTorch; to
    keep it with a checkpoint, save `criterion.recipe.to_json()`. What 0.1.0 saved is loaded whole, recipe and all.

    Parameters
    ----------
    recipe
        The loss.
    reduction, ignore_index, class_axis
        As in `counterpoise.loss`. Where `torch.nn.CrossEntropyLoss` has its classes on axis 1, as in (N, C, H, W), pass
        `class_axis=1`.
    overwrite_logits
        Whether the gradient overwrites the logits, which saves their size in memory and most of the time. The logits
        are lost with the call: use it for a model whose last layer's output nothing else reads. It has no effect on
        other devices than the processor, or where no gradient is needed.
    group
        None (default): the batch is that of this process. True, a process group, or a device mesh of one dimension:
        the batch is that of all its processes, under `DistributedDataParallel` or `fully_shard`. The mean over the
        processes of what they return is then the loss of the whole batch, and the averaged gradient is its gradient.

    Raises
    ------
    UserError
        For an unknown reduction; when called, as `counterpoise.loss`.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> criterion = Loss(softmax.logit_adjusted([90, 10]))
    >>> criterion(torch.zeros(2, 2), torch.tensor([0, 1])).item()  # doctest: +ELLIPSIS
    1.2039...
    """

    _settings = ("reduction", "ignore_index", "class_axis", "group")

    def __init__(
        self,
        recipe: Recipe,
        reduction: str = "mean",
        ignore_index: float | None = None,
        class_axis: int = -1,
        overwrite_logits: bool = False,
        group: Any = None,
    ) -> None:
        super().__init__(recipe, reduction, ignore_index)
        self.class_axis, self.overwrite_logits, self.group = class_axis, overwrite_logits, group

    def forward(
        self,
        logits: torch.Tensor,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
        normalizer: float | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.loss`."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            raise RuntimeError("TorchScript cannot call this loss; trace or export the module, or call it outside")
        else:  # noqa: RET506  (TorchScript leaves this branch out)
            held = self._buffers or self._parameters
            recipe, class_weight = self._current(logits) if held else (self._recipe, None)
            options = (self.reduction, normalizer, self.ignore_index, self.class_axis)
            call = Call(logits, target, recipe, sample_weight, *options)
            if self.group is not None:
                value: torch.Tensor = outside_graph(loss_of_all, call, self.group, class_weight, self.overwrite_logits)
                return value
            if torch.compiler.is_compiling():
                return torch_loss(call, class_weight)
            return kernel_loss(call, class_weight, self.overwrite_logits)


class LinearLoss(Criterion):
    """A last linear layer and its loss in one, for so many classes that their logits would not fit into memory.

    Recipe, class weights and state dict are as in `Loss`. In traced and exported programs the logits of all rows are
    computed at once.

    Parameters
    ----------
    recipe
        The loss.
    reduction, ignore_index
        As in `counterpoise.linear_loss`.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> criterion = LinearLoss(softmax.focal())
    >>> layer = torch.nn.Linear(8, 1000)
    >>> value = criterion(torch.randn(4, 8), layer.weight, layer.bias, torch.tensor([0, 1, 2, 3]))
    >>> value.backward()
    >>> layer.weight.grad.shape
    torch.Size([1000, 8])
    """

    def __init__(self, recipe: Recipe, reduction: str = "mean", ignore_index: float | None = None) -> None:
        super().__init__(recipe, reduction, ignore_index)

    def forward(
        self,
        features: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        target: torch.Tensor,
        sample_weight: torch.Tensor | None = None,
        normalizer: float | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of a batch; shapes as in `counterpoise.linear_loss`."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            raise RuntimeError("TorchScript cannot call this loss; trace or export the module, or call it outside")
        else:  # noqa: RET506  (TorchScript leaves this branch out)
            return self._loss(features, weight, bias, target, sample_weight, normalizer)

    def _loss(self, features: torch.Tensor, weight: Any, bias: Any, target: Any, *others: Any) -> torch.Tensor:
        sample_weight, normalizer = others
        recipe, class_weight = self._current(features)
        options = (sample_weight, self.reduction, normalizer, self.ignore_index, class_weight)
        return linear_torch_loss(features, weight, bias, target, recipe, *options)
