"""Sides that run in PyTorch: forward and backward, the gradient reset each time, as in a training loop."""

from collections.abc import Callable
from typing import Any

from benchmarks.speed.measure import THREADS, Side, SkipRow, Step
from benchmarks.speed.problem import Layer, Problem


def _step(problem: Problem, loss: Callable[[Any, Any], Any]) -> Step:
    """Forward and backward of loss(logits, target)."""
    import torch

    torch.set_num_threads(THREADS)
    kept = torch.tensor(problem.logits, dtype=getattr(torch, problem.dtype))
    logits = kept.clone().requires_grad_()  # each side has its own
    target = torch.tensor(problem.target)

    def call() -> Any:
        logits.grad = None
        value = loss(logits, target)
        value.backward()
        return value

    def refill() -> None:
        logits.grad = None
        with torch.no_grad():
            logits.copy_(kept)

    # where one side may overwrite its logits both are refilled, so that both find them in the same caches
    return Step(call, before=refill if problem.overwrite else None)


def _ours(problem: Problem) -> Step:
    import counterpoise.torch

    options: dict[str, Any] = {"class_axis": problem.class_axis}
    if problem.overwrite:
        options["overwrite_logits"] = True
    return _step(problem, counterpoise.torch.Loss(problem.recipe, **options))


def _plain_cross_entropy(problem: Problem) -> Step:
    import torch

    return _step(problem, torch.nn.CrossEntropyLoss())


def _plain_bce(problem: Problem) -> Step:
    import torch

    return _step(problem, torch.nn.BCEWithLogitsLoss())


def _composed_focal(problem: Problem) -> Step:
    import torch
    import torch.nn.functional as F  # noqa: N812 - its usual name

    def focal(logits: Any, target: Any) -> Any:
        entropy = F.cross_entropy(logits, target, reduction="none")
        return ((1 - torch.exp(-entropy)) ** 2 * entropy).mean()

    return _step(problem, focal)


def _torchvision_formula(problem: Problem) -> Step:
    """The operations of `torchvision.ops.sigmoid_focal_loss`: torchvision itself seldom fits a CPU build of torch."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    def sigmoid_focal(logits: Any, target: Any) -> Any:
        probability = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        right = probability * target + (1 - probability) * (1 - target)
        weight = 0.25 * target + 0.75 * (1 - target)
        return (weight * (entropy * (1 - right) ** 2)).mean()

    return _step(problem, sigmoid_focal)


def _balanced_loss(kind: str, problem: Problem) -> Step:
    from balanced_loss import Loss

    return _step(problem, Loss(kind, samples_per_class=problem.counts.n.tolist(), class_balanced=True))


def _balanced_cross_entropy(problem: Problem) -> Step:
    return _balanced_loss("cross_entropy", problem)


def _balanced_focal(problem: Problem) -> Step:
    return _balanced_loss("focal_loss", problem)


def _layer_step(problem: Layer, loss: Callable[[Any, Any, Any], Any]) -> Step:
    """Forward and backward of loss(features, weight, target)."""
    import torch

    torch.set_num_threads(THREADS)
    features = torch.from_numpy(problem.features).requires_grad_()
    weight = torch.from_numpy(problem.weight).requires_grad_()
    target = torch.from_numpy(problem.target)

    def call() -> Any:
        features.grad = weight.grad = None
        value = loss(features, weight, target)
        value.backward()
        return value

    return Step(call)


def _linear_loss(problem: Layer) -> Step:
    import counterpoise.torch

    criterion = counterpoise.torch.LinearLoss(problem.recipe)
    return _layer_step(problem, lambda features, weight, target: criterion(features, weight, None, target))


def _linear_then_cross_entropy(problem: Layer) -> Step:
    import torch.nn.functional as F  # noqa: N812

    return _layer_step(problem, lambda features, weight, target: F.cross_entropy(F.linear(features, weight), target))


def _linear_cross_entropy(problem: Layer) -> Step:
    import torch
    import torch.nn.functional as F  # noqa: N812

    if not hasattr(F, "linear_cross_entropy"):
        raise SkipRow(f"torch {torch.__version__} has no linear_cross_entropy; 2.13 has")
    options = torch.nn.LinearCrossEntropyOptions()
    return _layer_step(
        problem,
        lambda features, weight, target: F.linear_cross_entropy(features, weight, target, options=options),
    )


def _copy(problem: Problem) -> Step:
    """A copy that moves as many bytes as the loss must, into memory that is already there."""
    import torch

    torch.set_num_threads(THREADS)
    source = torch.ones(problem.traffic // 2, dtype=torch.uint8)
    copy = torch.ones_like(source)

    def call() -> None:
        copy.copy_(source)

    return Step(call)


OURS = Side("counterpoise", _ours)
PLAIN_CROSS_ENTROPY = Side("torch plain cross_entropy", _plain_cross_entropy)
PLAIN_BCE = Side("torch plain BCEWithLogitsLoss", _plain_bce)
COMPOSED_FOCAL = Side("torch composed focal", _composed_focal)
TORCHVISION_FORMULA = Side("torchvision's sigmoid_focal_loss", _torchvision_formula)
BALANCED_CROSS_ENTROPY = Side("balanced-loss cross_entropy", _balanced_cross_entropy)
BALANCED_FOCAL = Side("balanced-loss focal_loss", _balanced_focal)
LINEAR_LOSS = Side("counterpoise LinearLoss", _linear_loss)
LINEAR_THEN_CROSS_ENTROPY = Side("F.linear + F.cross_entropy", _linear_then_cross_entropy)
LINEAR_CROSS_ENTROPY = Side("F.linear_cross_entropy, chunked", _linear_cross_entropy)
COPY = Side("copy of as many bytes", _copy)
