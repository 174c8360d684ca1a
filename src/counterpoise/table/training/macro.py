"""Means over labels of their measures, with 95 % intervals.

Each label's own interval is exact or a posterior's (`decide.measured`); the recovery of variances combines them
(Zou and Donner, Statistics in Medicine 2008), as if the labels were independent. They are not, since they are measured
on the same rows. A Bayesian bootstrap of these rows, with the same weights for all labels, shows how much wider the
mean's spread is than that of independent labels. The interval is widened by this factor, and never narrowed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import Measured, mean_share, ranking, within

REPLICATES = 200
_CELLS = 4_000_000


def drawn_measures(
    rows: int, tested: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], float]], *, seed: int
) -> dict[str, NDArray[np.float64]]:
    """F1 and average precision of each label under the same random weights of the rows: each (R, L).

    Parameters
    ----------
    rows
        Number of test rows.
    tested
        For each label: indices of the rows where it is known, whether they have it, their probabilities, and the
        threshold.
    seed
        Seed of the random weights.

    Examples
    --------
    >>> found = drawn_measures(4, [(np.arange(4), np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.5, 0.8]), 0.3)], seed=0)
    >>> found["f1"].shape, round(float(found["average_precision"].mean()), 1)
    ((200, 1), 0.8)
    """
    rng = np.random.default_rng([seed, 3])
    found: dict[str, list[NDArray[np.float64]]] = {"f1": [], "average_precision": []}
    block = max(1, min(REPLICATES, _CELLS // max(1, rows)))
    for start in range(0, REPLICATES, block):
        weight = rng.standard_exponential((min(block, REPLICATES - start), rows))
        several = [_drawn(weight[:, known], target, said, cut) for known, target, said, cut in tested]
        for name, values in found.items():
            values.append(np.stack([one[name] for one in several], axis=1))
    return {name: np.concatenate(values) for name, values in found.items()}


def _drawn(
    weight: NDArray[np.float64], target: NDArray[np.int64], probability: NDArray[np.float64], threshold: float
) -> dict[str, NDArray[np.float64]]:
    flagged = probability >= threshold
    right = weight @ ((target == 1) & flagged)
    either = weight @ (target == 1) + weight @ flagged
    precision = ranking(target, probability, weight)["average_precision"]
    return {"f1": 2 * right / np.maximum(either, 1e-300), "average_precision": precision}


def macro(measured: Sequence[Measured], draws: NDArray[np.float64]) -> Measured:
    """The mean over labels.

    Parameters
    ----------
    measured
        Measures of each label.
    draws
        Result of `drawn_measures`, (R, L), which shows how the labels vary together.

    Examples
    --------
    >>> one = Measured(0.5, 0.3, 0.7)
    >>> alike = np.repeat(np.linspace(0, 1, 50)[:, None], 4, axis=1)
    >>> str(macro([one] * 4, alike))  # four labels that always err together say no more than one
    '0.500 [0.300, 0.700]'
    """
    alone = mean_share(list(measured))
    apart = float(draws.var(axis=0).sum()) / draws.shape[1] ** 2
    wider = max(1.0, float(draws.mean(axis=1).var()) / apart) ** 0.5 if apart > 0 else 1.0
    low, high = alone.value - wider * (alone.value - alone.low), alone.value + wider * (alone.high - alone.value)
    return within(alone.value, low, high, 0.0, 1.0)
