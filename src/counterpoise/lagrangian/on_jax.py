"""Training for a goal in JAX: a pure function that takes and returns its state."""

from typing import Any, NamedTuple

import jax
import numpy as np

from counterpoise.errors import UserError
from counterpoise.goals import Goal
from counterpoise.lagrangian.goal_loss import goal_loss as loss_and_state
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian
from counterpoise.lagrangian.progress import Progress
from counterpoise.lagrangian.threshold import judged_at_best


def goal_loss(
    logits: jax.Array,
    target: jax.Array,
    state: GoalState | None,
    goal: Goal | str,
    counts: Any,
    sample_weight: jax.Array | None = None,
    robustness: float = 0.4,
    warm_up: float = 5.0,
) -> tuple[jax.Array, GoalState]:
    """The loss of a batch and the state after it, as `counterpoise.torch.GoalLoss`; for `jit` and `grad`.

    Parameters
    ----------
    logits
        Raw scores of the positive class, floating, of any shape.
    target
        0 or 1, of the logits' shape; anything else gives NaN under `jit`.
    state
        State from the last call, a pytree of three arrays; None for the first batch.
    goal, counts, robustness, warm_up
        As in `counterpoise.torch.GoalLoss`; fixed while tracing.
    sample_weight
        Weights (N,) or of the logits' shape, of both counts and loss.

    Returns
    -------
    value, state
        The mean over the batch, and the state for the next batch. With `jax.value_and_grad` use `has_aux=True`.

    Raises
    ------
    UserError
        For a goal that cannot be trained for, counts of other than two classes, targets other than 0 and 1, the state
        of a goal with another number of constraints.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> counts = [900, 100]
    >>> value, state = goal_loss(jnp.array([2.0, -1.0]), jnp.array([1, 0]), None, "f1", counts)
    >>> value, state = goal_loss(jnp.array([2.0, -1.0]), jnp.array([1, 0]), state, "f1", counts)
    >>> state.counted.round(1)
    Array([2., 2., 0., 2.], dtype=float32)
    """
    wanted = Lagrangian(goal, counts, robustness, warm_up)
    known = wanted.initial_state() if state is None else state
    if np.shape(known.log_multiplier) != (len(wanted.goal.constraints),):
        raise UserError(
            f"state has multipliers of shape {np.shape(known.log_multiplier)}, but goal '{wanted.goal}' has "
            f"{len(wanted.goal.constraints)} constraints; pass the state that the same goal gave, or None"
        )
    arrays = GoalState(*(jax.numpy.asarray(part) for part in known))
    return loss_and_state(jax.numpy.asarray(logits), target, arrays, wanted, sample_weight)


class Kept(NamedTuple):
    """The parameters of the epoch that served a goal best.

    Parameters
    ----------
    parameters
        Parameters of the kept epoch, unchanged.
    threshold
        Smallest logit of a flagged row; 0, unless decisions there missed a bound or flagged nothing.
    progress
        The goal on the held-out rows.
    """

    parameters: Any
    threshold: float
    progress: Progress


def keep_best(
    kept: Kept | None,
    parameters: Any,
    logits: jax.Array,
    target: jax.Array,
    goal: Goal | str,
    counts: Any,
    sample_weight: jax.Array | None = None,
) -> Kept:
    """The better of the kept epoch and this one, judged on held-out rows; outside of `jit`.

    Parameters
    ----------
    kept
        Result of the last call; None after the first epoch.
    parameters
        Parameters of the model, any pytree.
    logits, target, sample_weight
        Held-out rows, as in `goal_loss`.
    goal, counts
        As in `goal_loss`.

    Returns
    -------
    Kept
        The better epoch; `kept` itself if this one is no better.

    Raises
    ------
    UserError
        As `goal_loss`; for a logit that is NaN.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> parameters = {"bias": jnp.zeros(1)}
    >>> kept = keep_best(None, parameters, jnp.array([-1.0, -2.0]), jnp.array([1, 0]), "f1", [900, 100])
    >>> kept.threshold, kept.progress.value
    (-1.5, 1.0)
    """
    found = judged_at_best(jax.numpy.asarray(logits), target, Lagrangian(goal, counts), sample_weight)
    if kept is not None and not found.progress.better_than(kept.progress):
        return kept
    return Kept(parameters, found.threshold, found.progress)
