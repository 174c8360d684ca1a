"""Training for a goal in PyTorch: the state as buffers, and the best epoch kept."""

import copy
from collections.abc import Callable
from typing import Any

import torch

from counterpoise.goals import Goal
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian, Progress, goal_loss, judged


class GoalLoss(torch.nn.Module):
    """A goal in place of `torch.nn.BCEWithLogitsLoss`: trains a model to flag, at a logit of 0, what serves the goal.

    The multipliers and the running counts are buffers: they move with `.to()`, but keep single precision, and are in
    the state dict. They learn in training mode where gradients are recorded, so not under `torch.no_grad()`.
    Decisions are those of the batches, which should be drawn as the data are.

    Parameters
    ----------
    goal
        Such as "recall where precision >= 0.5", "precision where recall >= 0.9" or "f1"; or a `Goal`.
    counts
        Training counts of the two classes, (negative, positive).
    robustness
        What stands in for a decision once warm, from 0 (log loss) to 1 (1 - p). The nearer to 1, the less do those rows
        count that the model cannot get right, and the more easily does it give up on rare positives.
    warm_up
        For so many passes over the training data log loss stands in, then it changes over as many.

    Raises
    ------
    UserError
        For a goal that cannot be trained for, counts of other than two classes, and targets other than 0 and 1.

    References
    ----------
    Eban et al., Scalable learning of non-decomposable objectives, AISTATS 2017; Cotter et al., Optimization with
    non-differentiable constraints, JMLR 2019.

    Examples
    --------
    >>> criterion = GoalLoss("recall where precision >= 0.5", [900, 100])
    >>> logits = torch.zeros(4, 1, requires_grad=True)
    >>> criterion(logits, torch.tensor([0, 0, 0, 1])).backward()
    >>> criterion.progress().feasible
    False
    """

    log_multiplier: torch.Tensor
    counted: torch.Tensor
    epochs: torch.Tensor

    def __init__(self, goal: Goal | str, counts: Any, robustness: float = 0.4, warm_up: float = 5.0) -> None:
        super().__init__()
        self.lagrangian = Lagrangian(goal, counts, robustness, warm_up)
        for name, value in self.lagrangian.initial_state()._asdict().items():
            self.register_buffer(name, torch.tensor(value.tolist(), dtype=torch.float32))

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The mean loss of a batch; target 0 or 1 of the logits' shape, sample_weight (N,) or of that shape."""
        learn = self.training and torch.is_grad_enabled()
        state = GoalState(*(getattr(self, name) for name in GoalState._fields))
        if logits.device.type == "cpu" and not torch.compiler.is_compiling():
            # a few numbers cost NumPy far less than they cost PyTorch
            state = GoalState(*(part.numpy() for part in state))
        value, state = goal_loss(logits, target, state, self.lagrangian, sample_weight, learn)
        if learn:
            for name, part in state._asdict().items():
                getattr(self, name).copy_(torch.as_tensor(part))
        return value  # type: ignore[no-any-return]

    def progress(self) -> Progress:
        """How the goal stands on the training decisions of the last batches."""
        return self.lagrangian.progress(self.counted.tolist())

    def judge(self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None) -> Progress:
        """How the goal stands on these rows; the state takes no notice."""
        return judged(logits, target, self.lagrangian, sample_weight)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "GoalLoss":  # noqa: ARG002
        # .half() and the like would round the counts; only the device is taken over
        device = fn(torch.zeros(())).device
        for name, buffer in self._buffers.items():
            self._buffers[name] = None if buffer is None else buffer.to(device)
        return self

    def extra_repr(self) -> str:
        """The goal, for `print`."""
        return f"{str(self.lagrangian.goal)!r}, robustness={self.lagrangian.robustness:g}"


class KeepBest:
    """The weights of the epoch that served a goal best.

    Parameters
    ----------
    model
        The model in training.
    criterion
        Its `GoalLoss`.

    Examples
    --------
    >>> model, criterion = torch.nn.Linear(2, 1), GoalLoss("recall where precision >= 0.5", [900, 100])
    >>> keep = KeepBest(model, criterion)
    >>> keep.update()  # after each epoch
    True
    >>> keep.restore()  # after the last
    """

    def __init__(self, model: torch.nn.Module, criterion: GoalLoss) -> None:
        self.model, self.criterion = model, criterion
        self.best: Progress | None = None
        self._kept: dict[str, Any] = {}

    def update(self, logits: torch.Tensor | None = None, target: torch.Tensor | None = None) -> bool:
        """Keep the model's weights if no epoch before was better; judged on these rows, else on the last batches."""
        if logits is None or target is None:
            progress = self.criterion.progress()
        else:
            progress = self.criterion.judge(logits, target)
        better = progress.better_than(self.best)
        if better:
            self.best, self._kept = progress, copy.deepcopy(self.model.state_dict())
        return better

    def restore(self) -> None:
        """Load the weights that were kept."""
        self.model.load_state_dict(self._kept)
