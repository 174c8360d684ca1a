"""Training for a goal in JAX: a pure function that hands its state over."""

from typing import Any

import jax

from counterpoise.goals import Goal
from counterpoise.lagrangian import lagrangian
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian


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
        The state that the last call gave, a pytree of three arrays; None for the first batch.
    goal, counts, robustness, warm_up
        As in `counterpoise.torch.GoalLoss`; fixed while tracing.
    sample_weight
        (N,) or of the logits' shape; weighs counts and loss.

    Returns
    -------
    value, state
        The mean over the batch, and what to pass with the next one. With `jax.value_and_grad` use `has_aux=True`.

    Raises
    ------
    UserError
        For a goal that cannot be trained for, counts of other than two classes, targets other than 0 and 1.

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
    arrays = GoalState(*(jax.numpy.asarray(part) for part in known))
    return lagrangian.goal_loss(jax.numpy.asarray(logits), target, arrays, wanted, sample_weight)
