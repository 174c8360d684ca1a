"""The parts of a batch on several replicas, and how they become the batch again.

A mean, a rate or a goal is that of the whole batch: numerators and denominators are added up over the replicas before
one is divided by the other, counts before a rate is taken of them. Each replica then gives 1/R of that one number, so
that the sum of their gradients, and of what they give, is the gradient and the number of the whole.
"""

from collections.abc import Callable
from typing import Any

from counterpoise.arrays import Array


class Replicas:
    """One replica, which holds the whole batch.

    Examples
    --------
    >>> ALONE.total(1.0, 2.0), ALONE.share(3.0)
    ((1.0, 2.0), 3.0)
    """

    def total(self, *parts: Array) -> tuple[Array, ...]:
        """Each array summed over the replicas, whose shapes and dtypes agree; differentiable."""
        return parts

    def rows(self, *parts: Array) -> tuple[Array, ...]:
        """The rows of each array of all replicas, one after another; differentiable."""
        return parts

    def share(self, whole: Array) -> Array:
        """The share of this replica in a number of the whole batch that every replica knows."""
        return whole

    def part(self, rows: Array) -> Array:
        """The normalizer with which each replica's mean over its own rows is its part of the mean over all rows."""
        return rows

    def checked(self, settings: Callable[[], str], function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ARG002
        """What `function` gives for the batch of this replica, once none has an error and all have the same settings.

        Parameters
        ----------
        settings
            Gives what must be the same in all replicas, as text.
        function
            What checks a batch; it raises `UserError`.
        arguments
            Its arguments, the logits first.
        """
        return function(*arguments)

    def share_of_rows(self, values: Array) -> Array:
        """The share of this replica in the loss of each of its own rows."""
        return values

    def refuse_copies(self, target: Any, what: str) -> None:
        """Raise where every replica was given the same target, so that the whole batch would hold each row R times."""


ALONE = Replicas()
