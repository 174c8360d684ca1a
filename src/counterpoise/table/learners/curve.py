"""The loss of a fit on held-out rows, step by step, and when it has stopped improving."""

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses
from counterpoise.recipes import Recipe
from counterpoise.table.learners.learner import Rows
from counterpoise.ties import first_largest


def posterior(recipe: Recipe, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Honest probabilities from logits.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> posterior(sigmoid.weighted([90, 10]), np.array([0.0])).round(3)
    array([0.1])
    """
    return np.asarray(recipe.posterior(np.asarray(logits, np.float64)), np.float64)


class Curve:
    """The held-out log loss of the posterior after each step; it stays empty where no rows are held out.

    Parameters
    ----------
    recipe
        The loss that the logits were trained with.
    held_out
        The rows to follow, or None.
    patience
        Number of steps without improvement after which learning stops.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> curve = Curve(sigmoid.binary_cross_entropy(), Rows(np.zeros((2, 1)), np.array([0, 1])), patience=1)
    >>> curve.add(np.array([-1.0, 1.0]))
    >>> curve.add(np.array([0.0, 0.0]))
    >>> curve.values.round(3), curve.stalled
    (array([0.313, 0.693]), True)
    """

    def __init__(self, recipe: Recipe, held_out: Rows | None, *, patience: int) -> None:
        self._recipe, self._held_out, self._patience = recipe, held_out, patience
        self._values: list[float] = []

    @property
    def values(self) -> NDArray[np.float64]:
        """(R,), as `Followed.curve`."""
        return np.asarray(self._values, np.float64)

    @property
    def stalled(self) -> bool:
        """Whether the best step is at least `patience` steps ago."""
        return bool(self._values) and len(self._values) - 1 - int(first_largest(-self.values)) >= self._patience

    def add(self, logits: NDArray[np.float64]) -> None:
        """Note the step that gives the held-out rows these logits."""
        if self._held_out is not None:
            each = log_losses(self._held_out.codes, posterior(self._recipe, logits))
            self._values.append(float(np.average(each, weights=self._held_out.weight)))
