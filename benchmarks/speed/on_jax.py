"""Sides that run in JAX: value and gradient under jit."""

from collections.abc import Callable
from typing import Any

from benchmarks.speed.measure import Side, Step
from benchmarks.speed.problem import Problem


def _step(problem: Problem, loss: Callable[[Any, Any], Any]) -> Step:
    """Value and gradient of loss(logits, target)."""
    import jax

    both = jax.jit(jax.value_and_grad(loss))
    logits, target = jax.numpy.asarray(problem.logits), jax.numpy.asarray(problem.target)

    def call() -> Any:
        return jax.block_until_ready(both(logits, target))[0]

    return Step(call)


def _ours(problem: Problem) -> Step:
    import counterpoise.jax

    recipe = problem.recipe
    return _step(problem, lambda z, y: counterpoise.jax.loss(z, y, recipe))


def _plain_cross_entropy(problem: Problem) -> Step:
    import jax

    def cross_entropy(z: Any, y: Any) -> Any:
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=-1).mean()

    return _step(problem, cross_entropy)


def _plain_bce(problem: Problem) -> Step:
    import jax

    def cross_entropy(z: Any, y: Any) -> Any:
        return -(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z)).mean()

    return _step(problem, cross_entropy)


OURS = Side("counterpoise, jit", _ours)
PLAIN_CROSS_ENTROPY = Side("JAX log_softmax cross-entropy, jit", _plain_cross_entropy)
PLAIN_BCE = Side("JAX log_sigmoid cross-entropy, jit", _plain_bce)
