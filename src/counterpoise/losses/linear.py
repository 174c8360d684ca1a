"""A linear layer and its loss in one, in chunks of rows, so that the logits of all rows are never held at once."""

from typing import Any

import numpy as np

from counterpoise.arrays import Array
from counterpoise.losses.layer import checked_layer
from counterpoise.losses.loss import loss
from counterpoise.recipes import Recipe


def linear_loss(
    features: Any,
    weight: Any,
    bias: Any,
    target: Any,
    recipe: Recipe,
    sample_weight: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    ignore_index: float | None = None,
) -> Array:
    """The loss of `features @ weight.T + bias`, in PyTorch without ever holding the logits of all rows.

    With 10^4 to 10^6 classes, many of them rare, logits and their gradient take most of the memory of a training step.
    Here rows are processed in chunks: the logits of a chunk are computed, replaced by their gradient, multiplied back
    and discarded. Other frameworks than PyTorch compute all logits at once.

    Parameters
    ----------
    features
        Input of the last layer, (N, H), floating.
    weight
        Weights of the last layer, (C, H), as in `torch.nn.Linear`.
    bias
        Bias of the last layer, (C,), or None.
    target, recipe, sample_weight, normalizer, ignore_index
        As in `loss`, for logits (N, C).
    reduction
        "sum", "mean" (default), "weighted_mean" or "nonzero_mean"; the gradient of "none" would need the logits of all
        rows.

    Returns
    -------
    array
        A scalar, differentiable with respect to features, weight and bias.

    Raises
    ------
    UserError
        For shapes that do not fit, and as `loss` does.

    Examples
    --------
    >>> import numpy as np
    >>> from counterpoise.recipes import softmax
    >>> features, weight = np.ones((2, 3)), np.zeros((4, 3))
    >>> float(linear_loss(features, weight, None, np.array([0, 1]), softmax.cross_entropy()).round(4))
    1.3863
    """
    options = (sample_weight, reduction, normalizer, ignore_index)
    if type(features).__module__.startswith("torch"):
        from counterpoise.losses.pytorch.linear import linear_torch_loss

        return linear_torch_loss(features, weight, bias, target, recipe, *options)
    xp = checked_layer(features, weight, bias, recipe, reduction)
    transposed = np.swapaxes(weight, 0, 1) if xp.name == "numpy" else xp.moveaxis(weight, 0, 1)
    logits = features @ transposed
    return loss(logits if bias is None else logits + bias, target, recipe, *options)
