"""The batch that several processes of `torch.distributed` hold together.

A mean is that of the whole batch: each process divides its own sum by the sum of all denominators, times the number of
processes, since data parallelism averages the gradients. So one scalar is exchanged for each loss. Counts of rates and
goals are added up before a rate is taken of them.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import distributed

from counterpoise.arrays import Array, value_text
from counterpoise.errors import UserError
from counterpoise.losses.arguments import Call
from counterpoise.losses.definition import denominator_alone
from counterpoise.losses.pytorch.kernel import planned_divisor
from counterpoise.losses.pytorch.loss import torch_loss
from counterpoise.losses.reduction import check_reduction
from counterpoise.losses.replicas import Replicas
from counterpoise.recipes import Recipe

_SIGNED = 3
"""How many numbers tell whether the processes agree: failures, and a fingerprint with its square."""


@lru_cache(maxsize=256)
def _fingerprint(settings: str) -> float:
    """A number below 2^24, so that float64 holds the sum of many squares of it."""
    return float(zlib.crc32(settings.encode()) >> 8)


class Processes(Replicas):
    """The processes of a group.

    Parameters
    ----------
    group
        True for the default process group, a process group, or a device mesh of one dimension.

    Raises
    ------
    UserError
        For what is no group; when used, where `torch.distributed` is not initialised.

    Examples
    --------
    >>> Processes(True).count
    Traceback (most recent call last):
        ...
    counterpoise.errors.UserError: group is given, but torch.distributed is not initialised; call \
torch.distributed.init_process_group first, or pass group=None
    """

    def __init__(self, group: Any) -> None:
        self.given = group
        if group is not True and not hasattr(group, "get_group") and not _is_group(group):
            raise UserError(
                f"group is {value_text(group)}; pass None, True for the default process group, a process group, or a "
                "device mesh of one dimension"
            )
        if getattr(group, "ndim", 1) != 1:
            raise UserError(
                f"group is a device mesh of {group.ndim} dimensions; pass the one over which rows are divided, such as "
                'mesh["dp"]'
            )
        self._agreed = False

    def __deepcopy__(self, memo: Any) -> "Processes":
        """The same processes: copies of a model belong to them as well."""
        return self

    def __reduce__(self) -> Any:
        if self.given is True:
            return Processes, (True,)
        raise UserError(
            "a process group belongs to its process and cannot be saved; save the state dict, or pass group=True"
        )

    def __repr__(self) -> str:
        return "True" if self.given is True else type(self.given).__name__

    @property
    def group(self) -> Any:
        """The process group."""
        if not distributed.is_available() or not distributed.is_initialized():
            raise UserError(
                "group is given, but torch.distributed is not initialised; call torch.distributed.init_process_group "
                "first, or pass group=None"
            )
        if self.given is True:
            return distributed.group.WORLD
        return self.given.get_group() if hasattr(self.given, "get_group") else self.given

    @property
    def count(self) -> int:
        """The number of processes."""
        found = distributed.get_world_size(self.group)
        if found < 1:
            raise UserError("this process is not a member of group; pass the group that its rows are divided over")
        return found

    def added_up(self, numbers: torch.Tensor, settings: str, problem: UserError | None = None) -> torch.Tensor:
        """The numbers (K,), float64, summed over the processes; not differentiable.

        An error of one process becomes one of all: else the others would wait for it.

        Parameters
        ----------
        numbers
            Numbers of this process.
        settings
            What must be the same in all processes, as text.
        problem
            The error of this process, if its batch has one.

        Raises
        ------
        UserError
            `problem`; where another process had one; where the settings differ.
        """
        mark = _fingerprint(settings)
        signed = numbers.new_tensor([float(problem is not None), mark, mark * mark]) if numbers.is_cpu else None
        if signed is None:  # made there, since a copy would wait for the device
            parts = [float(problem is not None), mark, mark * mark]
            signed = torch.cat([numbers.new_full((1,), part) for part in parts])
        found = torch.cat([numbers, signed])
        distributed.all_reduce(found, group=self.group)
        if problem is not None:
            raise problem
        if numbers.is_cpu or not self._agreed:
            failures, marks, squares = found[-_SIGNED:].tolist()
            if failures:
                raise UserError(f"the batch of {failures:.0f} other process has an error, which that process reports")
            if marks * marks != self.count * squares:
                raise UserError(
                    f"the processes of group have different losses; this one has {settings}. Make the recipe from the "
                    "counts of the whole training set, the same in every process"
                )
            self._agreed = True
        return found[:-_SIGNED]

    def checked(self, settings: Callable[[], str], function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Replicas`; on an accelerator the first time only, since each check waits for the device."""
        problem, found = None, None
        try:
            found = function(*arguments)
        except UserError as error:
            problem = error
        device = arguments[0].device
        if device.type == "cpu" or not self._agreed:
            self.added_up(torch.empty(0, dtype=torch.float64, device=device), settings(), problem)
        elif problem is not None:
            raise problem
        return found

    def total(self, *parts: Array) -> tuple[Array, ...]:
        """As in `Replicas`, in one exchange."""
        return tuple(_Total.apply(self, *parts))  # type: ignore[no-untyped-call]

    def rows(self, *parts: Array) -> tuple[Array, ...]:
        """As in `Replicas`."""
        return tuple(_Rows.apply(self, *parts))  # type: ignore[no-untyped-call]

    def part(self, rows: Array) -> Array:
        """As in `Replicas`: data parallelism averages what the processes return."""
        return rows / self.count


def processes_of(group: Any) -> Processes | None:
    """The processes of what a user passed as `group`, or None for None.

    Examples
    --------
    >>> processes_of(None), processes_of(True)
    (None, True)
    """
    return group if group is None or isinstance(group, Processes) else Processes(group)


def _is_group(group: Any) -> bool:
    return distributed.is_available() and isinstance(group, distributed.ProcessGroup)


class _Total(torch.autograd.Function):
    """Sums over the processes, all in one exchange.

    Every process makes the same loss of them, and data parallelism averages the gradients; so each takes the gradient
    times the number of processes.
    """

    @staticmethod
    def forward(ctx: Any, processes: Processes, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.count = processes.count
        flat = torch.cat([part.reshape(-1).to(torch.float64) for part in parts])
        distributed.all_reduce(flat, group=processes.group)
        pieces = torch.split(flat, [part.numel() for part in parts])
        return tuple(piece.reshape(part.shape).to(part.dtype) for piece, part in zip(pieces, parts, strict=True))

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        return None, *(ctx.count * one for one in upstream)


class _Sum(torch.autograd.Function):
    """A sum over the processes of which each process makes a part of its own: so the gradients are added up too."""

    @staticmethod
    def forward(ctx: Any, group: Any, part: torch.Tensor) -> torch.Tensor:
        ctx.group = group
        total = part.detach().clone()
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        total = upstream.clone()
        distributed.all_reduce(total, group=ctx.group)
        return None, total


class _Rows(torch.autograd.Function):
    """The rows of all processes, one after another."""

    @staticmethod
    def forward(ctx: Any, processes: Processes, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        group, count = processes.group, processes.count
        own = torch.tensor([len(parts[0])], device=parts[0].device)
        sizes = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(sizes, own, group=group)
        lengths = [int(size) for size in sizes]
        place = distributed.get_rank(group)
        ctx.count, ctx.rows = count, slice(sum(lengths[:place]), sum(lengths[: place + 1]))
        found = []
        for part in parts:
            padded = part.new_zeros((max(lengths), *part.shape[1:]))
            padded[: len(part)] = part
            each = [torch.empty_like(padded) for _ in range(count)]
            distributed.all_gather(each, padded, group=group)
            found.append(torch.cat([one[:length] for one, length in zip(each, lengths, strict=True)]))
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        return None, *(ctx.count * one[ctx.rows] for one in upstream)


def loss_of_all(
    call: Call, processes: Processes, class_weight: torch.Tensor | None = None, overwrite: bool = False
) -> torch.Tensor:
    """What this process gives, so that the mean over the processes is the loss of the whole batch.

    Parameters
    ----------
    call
        The arguments of `counterpoise.loss`; a normalizer is that of the whole batch. With "none" each row has its own
        loss.
    processes
        The processes that hold the batch.
    class_weight, overwrite
        As in `kernel_loss`.
    """
    check_reduction(call.reduction, call.normalizer)
    if call.reduction == "none":
        return torch_loss(call, class_weight, overwrite)
    if call.reduction == "sum":
        return torch_loss(call, class_weight, overwrite) * processes.count
    by = call.normalizer
    if by is None:
        by = denominator_of_all(call, processes, class_weight)
    return torch_loss(call._replace(normalizer=by / processes.count), class_weight, overwrite)


def settings_of(recipe: Recipe, reduction: str, ignore_index: Any) -> str:
    """What must be the same in all processes, as text.

    Examples
    --------
    >>> from counterpoise import softmax
    >>> settings_of(softmax.focal(), "mean", None)
    "softmax.focal(focus=2), reduction='mean', ignore_index=None"
    """
    return f"{recipe!r}, reduction={reduction!r}, ignore_index={ignore_index!r}"


def denominator_of_all(call: Call, processes: Processes, class_weight: torch.Tensor | None) -> Any:
    """What a mean over the rows of all processes divides by, 1 where there is nothing: its sum is then 0."""
    logits, problem = call.logits, None
    by: Any = 0.0
    try:
        by = denominator_of(call, class_weight)
    except UserError as error:
        problem = error
    if not isinstance(by, torch.Tensor):
        by = torch.full((), by, dtype=torch.float64, device=logits.device)
    settings = settings_of(call.recipe, call.reduction, call.ignore_index)
    (total,) = processes.added_up(by.detach().to(torch.float64).reshape(1), settings, problem)
    if by.requires_grad:  # class weights that are learned
        total = _Sum.apply(processes.group, by)  # type: ignore[no-untyped-call]
    if total.is_cpu and not total.requires_grad:
        return float(total) or 1.0
    return torch.where(total == 0, 1.0, total)


def denominator_of(call: Call, class_weight: torch.Tensor | None = None) -> Any:
    """What a mean over the rows of this process divides by, a number or a scalar tensor."""
    found = planned_divisor(call, class_weight)
    return denominator_alone(call, class_weight) if found is None else found
