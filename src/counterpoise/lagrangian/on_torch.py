"""Training for a goal in PyTorch: the state as buffers, and the best epoch kept."""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

import torch

from counterpoise.arrays.on_torch import has_numbers, is_traced, pretending_mode
from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.lagrangian.goal_loss import goal_loss, judged
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian
from counterpoise.lagrangian.progress import Progress
from counterpoise.lagrangian.threshold import Judged, judged_at_best
from counterpoise.lagrangian.trainable import check_same_goal
from counterpoise.losses.pytorch.criterion import follow, learns, refuse_unknown_parameter, text_of_bytes
from counterpoise.losses.pytorch.plan import is_plain
from counterpoise.losses.pytorch.processes import processes_of
from counterpoise.losses.replicas import ALONE
from counterpoise.recipes.on_torch import outside_graph

_lagrangian_of = lru_cache(maxsize=64)(Lagrangian.from_json)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _text_of(lagrangian: Lagrangian) -> str:
    """The Lagrangian as JSON, a constant of a compiled program."""
    return lagrangian.to_json()


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _goal_node(
    logits: torch.Tensor,
    target: torch.Tensor,
    sample_weight: torch.Tensor | None,
    lagrangian: str,
    learn: bool,
    parts: list[torch.Tensor],
) -> Any:
    """The loss as one node of a graph, with the parts of the state after it."""
    value, state = goal_loss(logits, target, GoalState(*parts), _lagrangian_of(lagrangian), sample_weight, learn)
    return value, *state


class GoalLoss(torch.nn.Module):
    """A goal in place of `torch.nn.BCEWithLogitsLoss`: trains a model to flag, at a logit of 0, what serves the goal.

    The multipliers and the running counts are buffers: they move with `.to()`, but keep single precision. They are in
    the state dict, which the criterion of another goal refuses. They are updated in training mode where gradients are
    recorded, so not under `torch.no_grad()`, and only once by a batch that a checkpoint computes twice. Batches should
    be random samples of the data, without rebalancing. `robustness` and `warm_up` can be assigned later.

    Parameters
    ----------
    goal
        A `Goal` or its text, such as "recall where precision >= 0.5", "precision where recall >= 0.9" or "f1".
    counts
        Training counts of the two classes, (negative, positive).
    robustness
        Smooth substitute for a decision after the warm-up, from 0 (log loss) to 1 (1 - p). Near 1, rows that the model
        cannot get right count less, and the model gives up rare positives more easily.
    warm_up
        Number of passes over the training data with log loss, in which the classes' weights go from those of
        cross-entropy to those of the goal; over as many more passes the substitute takes its place.

    Raises
    ------
    UserError
        For a goal that cannot be trained for, counts of other than two classes, targets other than 0 and 1, and by
        `load_state_dict` for the state of another goal.

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

    def __init__(
        self, goal: Goal | str, counts: Any, robustness: float = 0.4, warm_up: float = 5.0, group: Any = None
    ) -> None:
        super().__init__()
        self.group = group
        self.lagrangian = Lagrangian(goal, counts, robustness, warm_up)
        for name, value in self.lagrangian.initial_state()._asdict().items():
            self.register_buffer(name, torch.tensor(value.tolist(), dtype=torch.float32))

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign `robustness` or `warm_up`; any other name that is not a setting is refused, never ignored."""
        own = self.__dict__.get("lagrangian")
        if name == "group":
            object.__setattr__(self, name, processes_of(value))
            return
        if own is not None and name in ("goal", "counts", "prior", "memory"):
            raise UserError(f"the {name} of a GoalLoss is fixed, since its state belongs to it; make a new GoalLoss")
        if own is not None and name in ("robustness", "warm_up"):
            settings = {"robustness": own.robustness, "warm_up": own.warm_up, name: value}
            self.lagrangian = Lagrangian(own.goal, own.counts, **settings)
            return
        if own is not None:
            refuse_unknown_parameter(self, name, "it has robustness and warm_up; weigh rows by sample_weight")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """A setting."""
        own = self.__dict__.get("lagrangian")
        if own is not None and name in ("goal", "counts", "robustness", "warm_up"):
            return getattr(own, name)
        return super().__getattr__(name)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The mean loss of a batch; target 0 or 1 of the logits' shape, sample_weight (N,) or of that shape."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            raise RuntimeError("TorchScript cannot call this loss; trace or export the module, or call it outside")
        else:  # noqa: RET506  (TorchScript leaves this branch out)
            return self._loss(logits, target, sample_weight)

    def _loss(self, logits: Any, target: Any, sample_weight: Any) -> torch.Tensor:
        if not isinstance(logits, torch.Tensor):
            raise UserError(f"logits are {type(logits).__name__}; pass the model's output, a torch.Tensor")
        learn = learns(self)
        parts: list[Any] = [follow(self, name, logits) for name in GoalState._fields]
        if torch.compiler.is_compiling() and self.group is None:
            text = _text_of(self.lagrangian)
            value, *after = _goal_node(logits, target, sample_weight, text, learn, parts)
        else:
            learn = learn and has_numbers(logits) == has_numbers(parts[0])  # shapes alone leave no trace
            if pretending_mode() is not None and has_numbers(parts[0]):
                parts = list(self.lagrangian.initial_state())  # which serves for a shape
            elif not is_traced() and all(is_plain(part) for part in parts):
                # a few numbers cost NumPy far less than they cost PyTorch
                parts = [part.numpy() for part in parts]
            replicas = ALONE if self.group is None else self.group
            given = (logits, target, GoalState(*parts), self.lagrangian, sample_weight, learn, replicas)
            value, after = outside_graph(goal_loss, *given)
        if learn:
            for name, part in zip(GoalState._fields, after, strict=True):
                self._buffers[name].copy_(torch.as_tensor(part))  # type: ignore[union-attr]
        return value  # type: ignore[no-any-return]

    def progress(self) -> Progress:
        """The progress of the goal on the training decisions of the last batches."""
        return self.lagrangian.progress(self.counted.tolist())

    def judge(self, logits: torch.Tensor, target: torch.Tensor, sample_weight: torch.Tensor | None = None) -> Progress:
        """The progress of the goal on these rows; the state does not change."""
        return judged(logits, target, self.lagrangian, sample_weight)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:  # noqa: ARG002
        # .half() and the like would round the counts; only the device is taken over
        device = fn(torch.zeros(())).device
        for name, buffer in self._buffers.items():
            if buffer is not None:
                nothing = buffer.is_meta and device.type != "meta"  # there were no numbers: as at the start
                self._buffers[name] = torch.zeros_like(buffer, device=device) if nothing else buffer.to(device)
        return self

    def get_extra_state(self) -> torch.Tensor:
        """The goal's text for the state dict, as bytes: whoever walks a state dict expects tensors."""
        return torch.tensor(list(str(self.lagrangian.goal).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Refuse the state of another goal."""
        check_same_goal(self.lagrangian.goal, text_of_bytes(state))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # the goal first, so that a state that is refused changes nothing
        state = state_dict.get(f"{prefix}_extra_state")
        if state is not None:
            self.set_extra_state(state)
        for name in GoalState._fields:
            saved = state_dict.get(prefix + name)
            if isinstance(saved, torch.Tensor) and not bool(torch.isfinite(saved).all()):
                args[-1].append(f"{prefix}{name} holds NaN or infinity; it was cast to a type that is too small")
                return
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """The goal, for `print`."""
        return f"{str(self.lagrangian.goal)!r}, robustness={self.lagrangian.robustness:g}"


class KeepBest:
    """The weights of the best epoch for a goal, with the best threshold.

    Decisions on given rows are judged at logit 0. If these miss a bound or flag nothing, as after few epochs or under a
    strict bound, the best threshold is used instead. `restore` subtracts it from the model's last bias, so that the
    decision is at 0 again.

    Parameters
    ----------
    model
        The model in training.
    criterion
        The model's `GoalLoss`.
    bias
        Parameter that is added to the logit, with one element; default: the bias of the layer with parameters that the
        model registered last, if it has one element. Pass it if another layer gives the logit. Without a bias, 0 is the
        only threshold. A bias that the model scales afterwards cannot take the threshold: pass no rows to `update`
        then.

    Raises
    ------
    UserError
        For a bias of more than one element, or a criterion that is no `GoalLoss`; by `restore` where nothing was kept.

    Examples
    --------
    >>> model, criterion = torch.nn.Linear(2, 1), GoalLoss("recall where precision >= 0.5", [900, 100])
    >>> keep = KeepBest(model, criterion)
    >>> keep.update(torch.tensor([-1.0, -2.0]), torch.tensor([1, 0]))  # after each epoch, on held-out rows
    True
    >>> keep.best.feasible, keep.threshold
    (True, -1.5)
    >>> keep.restore()  # after the last
    """

    def __init__(self, model: torch.nn.Module, criterion: GoalLoss, bias: torch.nn.Parameter | None = None) -> None:
        if bias is not None and bias.numel() != 1:
            raise UserError(f"bias has shape {tuple(bias.shape)}; pass the one element that is added to the logit")
        if not hasattr(criterion, "judge"):
            raise UserError(f"criterion is {type(criterion).__name__}, which judges no goal; pass the GoalLoss")
        self.model, self.criterion, self.bias = model, criterion, bias
        self.best: Progress | None = None
        self.threshold = 0.0
        self._kept: tuple[dict[str, Any], torch.Tensor | None] = {}, None

    def update(self, logits: torch.Tensor | None = None, target: torch.Tensor | None = None) -> bool:
        """Keep the model's weights if no epoch before was better; judged on these rows, else on the last batches."""
        if logits is None or target is None:
            found = Judged(self.criterion.progress(), 0.0)
        elif self._output_bias() is None:
            found = Judged(self.criterion.judge(logits, target), 0.0)
        else:
            found = judged_at_best(logits, target, self.criterion.lagrangian)
        better = found.progress.better_than(self.best)
        if better:
            self.best, self.threshold = found
            bias = self._output_bias()
            self._kept = copy.deepcopy(self.model.state_dict()), None if bias is None else bias.detach().clone()
        return better

    def restore(self) -> None:
        """Load the kept weights, with the threshold subtracted from the bias."""
        if self.best is None:
            raise UserError("nothing was kept: call update() after each epoch, and restore() after the last")
        weights, kept = self._kept
        self.model.load_state_dict(weights)
        bias = self._output_bias()
        if bias is not None and kept is not None:  # it need not be one of the model's
            with torch.no_grad():
                bias.copy_(kept - self.threshold)

    def _output_bias(self) -> torch.Tensor | None:
        if self.bias is not None:
            return self.bias
        layers = [layer for layer in self.model.modules() if any(True for _ in layer.parameters(recurse=False))]
        bias = getattr(layers[-1], "bias", None) if layers else None
        return bias if isinstance(bias, torch.Tensor) and bias.numel() == 1 else None
