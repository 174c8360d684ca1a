"""Draws that depend on a seed and on what a row is, and on nothing else: neither on blocks nor on threads.

The bits are those of SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_STEP, _FIRST, _SECOND = (np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_WITHIN_BLOCK = np.uint64(32)


def bits(*keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits for each row (N,), from arrays of keys that are combined in their order."""
    found = np.zeros(1, np.uint64)
    for key in keys:
        found = (found ^ key) + _STEP
        found = (found ^ (found >> np.uint64(30))) * _FIRST
        found = (found ^ (found >> np.uint64(27))) * _SECOND
        found = found ^ (found >> np.uint64(31))
    return found


def uniform(*keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each row (N,).

    Examples
    --------
    >>> draws = uniform(key_of(0, "part"), np.arange(10_000, dtype=np.uint64))
    >>> [round(float(share), 1) for share in np.quantile(draws, [0.2, 0.5])]
    [0.2, 0.5]
    """
    return (bits(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def key_of(seed: int, name: str) -> NDArray[np.uint64]:
    """A key (1,) for a purpose or a class, the same on every machine."""
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return np.frombuffer(digest, "<u8").astype(np.uint64)


def two_places(keys: NDArray[np.uint64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two different places in each block of `size` rows, any pair equally likely.

    Parameters
    ----------
    keys
        A key for each block, (N,).
    size
        Rows of a block, at least 2.

    Examples
    --------
    >>> one, other = two_places(np.arange(1000, dtype=np.uint64), 5)
    >>> bool((one == other).any()), np.bincount(one, minlength=5).round(-2).tolist()
    (False, [200, 200, 200, 200, 200])
    """
    drawn = bits(keys)
    first = (drawn & np.uint64(0xFFFFFFFF)) % np.uint64(size)
    step = (drawn >> _WITHIN_BLOCK) % np.uint64(size - 1)
    return first.astype(np.int64), ((first + step + np.uint64(1)) % np.uint64(size)).astype(np.int64)
