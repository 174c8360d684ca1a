"""A mixture of models: shares that predict held-out rows best.

The log likelihood of a mixture is concave in its shares, and expectation maximisation climbs it in closed form
(Dempster, Laird and Rubin 1977). So there is nothing to tune, unlike in greedy ensemble selection (Caruana et al.
2004).
"""

import numpy as np
from numpy.typing import NDArray

from counterpoise.ties import levels

MOST_MEMBERS = 4
LEAST_SHARE = 0.05
_STEPS = 100
_SLACK = 1e-9
"""Of a share: what rounding may come to in so many steps."""


def mixture_shares(likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (M,) of the models, at most four above 0, from the probability (M, N) that each gave to what happened.

    Examples
    --------
    >>> mixture_shares(np.array([[0.9, 0.9, 0.1, 0.9], [0.1, 0.1, 0.9, 0.1]])).round(2).tolist()
    [0.81, 0.19]
    >>> mixture_shares(np.array([[0.9, 0.9], [0.1, 0.1]])).tolist()
    [1.0, 0.0]
    >>> mixture_shares(np.full((6, 9), 0.5)).tolist()  # of those that are alike the first
    [0.25, 0.25, 0.25, 0.25, 0.0, 0.0]
    """
    shares = _climb(np.full(len(likelihood), 1 / len(likelihood)), likelihood)
    kept = np.argsort(-levels(shares, _SLACK), kind="stable")[:MOST_MEMBERS]
    kept = np.sort(kept[shares[kept] >= min(LEAST_SHARE, float(shares.max())) - _SLACK])
    found = np.zeros(len(shares))
    found[kept] = _climb(shares[kept] / shares[kept].sum(), likelihood[kept])
    found[found < LEAST_SHARE - _SLACK] = 0.0
    return np.asarray(found / found.sum())


def _climb(shares: NDArray[np.float64], likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    chances = np.maximum(likelihood, 1e-15)
    for _ in range(_STEPS):
        mixed = shares @ chances
        shares = shares * (chances @ (1 / mixed)) / chances.shape[1]
    return np.asarray(shares / shares.sum())
