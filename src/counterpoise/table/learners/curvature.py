"""The curvature of a loss relative to that of plain cross-entropy, so that one set of parameters fits every loss."""

import numpy as np
from numpy.typing import NDArray

from counterpoise.boosting.newton import newton
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.weights import ClassCounts


def repeated(start: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Constant logits, () or (C,), once per row.

    Examples
    --------
    >>> repeated(np.array([1.0, 2.0]), 2).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return np.full(rows, float(start)) if start.ndim == 0 else np.tile(start, (rows, 1))


def plain_scale(recipe: Recipe, start: NDArray[np.float64], counts: ClassCounts) -> float:
    """The factor that gives a loss, at its start, the mean curvature of plain cross-entropy at its own start.

    Parameters
    ----------
    recipe
        The loss.
    start
        Logits at the start, () or (C,).
    counts
        Rows of each class.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> counts = ClassCounts([90, 10])
    >>> round(plain_scale(sigmoid.weighted(counts), np.zeros(()), counts), 3)
    0.2
    """
    labels = np.arange(len(counts.classes))
    _, curvature = newton(recipe, repeated(start, len(labels)), labels, floor=-np.inf)
    share = np.asarray(counts.prior, np.float64)
    own = float(share @ curvature.reshape(len(labels), -1).sum(axis=1))
    plain = float((share * (1 - share)).sum()) if isinstance(recipe, SoftmaxRecipe) else float(share[0] * share[1])
    return plain / own if own > 0 else 1.0
