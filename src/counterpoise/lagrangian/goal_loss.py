"""The loss of a batch for a goal, and the decisions that it counts."""

import dataclasses
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from counterpoise.arrays import Array, namespace, numpy_namespace
from counterpoise.errors import UserError
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian
from counterpoise.lagrangian.progress import Progress
from counterpoise.losses import loss
from counterpoise.losses.arguments import Arguments, arguments_of
from counterpoise.losses.replicas import ALONE, Replicas
from counterpoise.recipes import SigmoidRecipe


def goal_loss(
    logits: Array,
    target: Array,
    state: GoalState,
    lagrangian: Lagrangian,
    sample_weight: Any = None,
    learn: bool = True,
    replicas: Replicas = ALONE,
) -> tuple[Array, GoalState]:
    """The loss of a batch and the state after it, on arrays of any framework.

    Parameters
    ----------
    logits
        Raw scores of the positive class, floating, of any shape.
    target
        0 or 1, of the logits' shape (a last axis of 1 may be missing on either).
    state
        State after the last batch, in arrays of the logits' framework, or of NumPy where values can be seen.
    lagrangian
        The Lagrangian of the goal.
    sample_weight
        As in `counterpoise.loss`; weights both counts and loss.
    learn
        Whether this batch updates the state.
    replicas
        Replicas that hold the batch together; then the value is the share of this one.

    Returns
    -------
    value, state
        The mean over the batch, a scalar, and the state for the next batch.

    Raises
    ------
    UserError
        For targets other than 0 and 1, where values can be seen (elsewhere they give NaN); as `counterpoise.loss`.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.5", [900, 100])
    >>> value, state = goal_loss(np.array([1.0, -1.0]), np.array([1, 0]), lagrangian.initial_state(), lagrangian)
    >>> state.counted
    array([1., 1., 0., 1.], dtype=float32)
    """
    arguments = replicas.checked(lagrangian.to_json, checked, logits, target, sample_weight)
    return goal_loss_of(arguments, state, lagrangian, learn, replicas)


def goal_loss_of(
    arguments: Arguments, state: GoalState, lagrangian: Lagrangian, learn: bool = True, replicas: Replicas = ALONE
) -> tuple[Array, GoalState]:
    """`goal_loss` for arguments from `checked`; if several replicas hold the batch, the share of this one."""
    xp, z = arguments.xp, arguments.logits
    found, rows = counts_of(arguments), _rows(arguments)
    if replicas is not ALONE:
        *found, rows = replicas.total(*(xp.constant(part, z, z.dtype) for part in (*found, rows)))
    if learn:
        state = lagrangian.observed(state, found, rows)
    pos, neg = lagrangian.weights(state)
    weight, own = _of_class(arguments, pos / lagrangian.prior, neg / (1 - lagrangian.prior)), _weight(arguments)
    if own is not None:
        weight = weight * own
    q = lagrangian.robustness_at(state)
    if namespace(q) is numpy_namespace:
        by = None if replicas is ALONE else replicas.part(xp.maximum(rows, 1.0))
        return loss(z, arguments.target, _surrogate(float(q)), sample_weight=weight, normalizer=by), state
    (total,) = replicas.total(_sum_of_surrogate(arguments, weight, q))
    rows = max(rows, 1.0) if isinstance(rows, float) else xp.maximum(xp.astype(rows, z.dtype), 1.0)
    return replicas.share(total / rows), state


def _sum_of_surrogate(arguments: Arguments, weight: Array, q: Array) -> Array:
    """The weighted sum of (1 - e^-qc) / q, which is the cross-entropy c where q is 0 and 1 - p where it is 1."""
    # a recipe's robustness is fixed while tracing; here it is an array
    xp = arguments.xp
    cross_entropy = loss(arguments.logits, arguments.target, _surrogate(0.0), reduction="none")
    q = xp.maximum(xp.astype(q, cross_entropy.dtype), 1e-8)
    return xp.sum(weight * -xp.expm1(-q * cross_entropy) / q)


@lru_cache(maxsize=128)
def _surrogate(robustness: float) -> SigmoidRecipe:
    return SigmoidRecipe(robustness=robustness, name="goal")


def judged(logits: Array, target: Array, lagrangian: Lagrangian, sample_weight: Any = None) -> Progress:
    """The progress of a goal on the decisions of these rows, such as held-out ones; arguments as in `goal_loss`.

    Examples
    --------
    >>> lagrangian = Lagrangian("recall where precision >= 0.5", [50, 50])
    >>> judged(np.array([1.0, 2.0, -3.0]), np.array([1, 0, 0]), lagrangian).value
    1.0
    """
    return lagrangian.progress(counts_of(checked(logits, target, sample_weight)))


def counts_of(arguments: Arguments) -> list[Array]:
    """Found positives, positives, false alarms and negatives; weighted, scalars of the logits' framework."""
    xp, weight = arguments.xp, _weight(arguments)
    z, positive = xp.stop_gradient(arguments.logits), arguments.target
    flagged = xp.astype(z >= 0, positive.dtype)
    if weight is not None:
        flagged, positive = flagged * weight, positive * weight
    total = _rows(arguments) if weight is None else xp.sum(weight)
    found, positives = xp.sum(flagged * arguments.target), xp.sum(positive)
    return [found, positives, xp.sum(flagged) - found, total - positives]


def _weight(arguments: Arguments) -> Array | None:
    """The weight of each decision, 0 if it is ignored; or None."""
    xp, keep, weight = arguments.xp, arguments.keep, arguments.weight
    if keep is None:
        return weight
    return xp.astype(keep, arguments.logits.dtype) if weight is None else xp.where(keep, weight, 0.0)


def _rows(arguments: Arguments) -> Any:
    """The number of decisions; a scalar array if it is unknown while tracing."""
    xp, shape = arguments.xp, arguments.xp.shape(arguments.logits)
    if arguments.keep is not None:
        return xp.sum(xp.astype(arguments.keep, xp.float32))
    if all(isinstance(size, int) for size in shape):
        return float(prod(shape))
    return xp.sum(xp.astype(arguments.target * 0 + 1, xp.float32))


def _of_class(arguments: Arguments, positive: Any, negative: Any) -> Array:
    """One of two numbers for each row."""
    xp, target = arguments.xp, arguments.target
    if namespace(positive) is numpy_namespace:
        positive, negative = float(positive), float(negative)
    else:
        positive, negative = xp.astype(positive, target.dtype), xp.astype(negative, target.dtype)
    return negative + target * (positive - negative)


def checked(logits: Array, target: Array, sample_weight: Any) -> Arguments:
    """The arguments in their one form, with a target of 0 or 1: a decision cannot be counted as half right."""
    arguments = arguments_of(logits, target, _surrogate(0.0), sample_weight, None, -1)
    xp, y = arguments.xp, arguments.target
    hard = (y == 0) | (y == 1)
    if not xp.is_concrete(y):
        return dataclasses.replace(arguments, target=xp.where(hard, y, float("nan")))
    seen = np.asarray(hard)
    if not seen.all():
        place = tuple(int(i) for i in np.argwhere(~seen)[0])
        raise UserError(
            f"target[{', '.join(map(str, place))}] is {float(y[place]):g}; a goal counts decisions, so targets are 0 "
            "or 1"
        )
    return arguments
