"""Samples of a data set in which rare classes come more often, the same for any number of processes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed

from counterpoise.arrays import Float64Array, value_text
from counterpoise.errors import UserError, nearest_name
from counterpoise.weights.counts import Int64Array
from counterpoise.weights.labels import count

SCHEMES = ("balanced", "square_root", "repeat_factor")
LVIS_THRESHOLD = 1e-3


class ClassAwareSampler(torch.utils.data.Sampler[int]):
    """A sampler for `DataLoader` that draws rare classes more often, at rates that are known.

    In each epoch a class gets its share of the draws to within one row, and each of its rows is drawn as often as any
    other of them, to within one. The draws depend on the seed and the epoch alone; the processes of a group deal them
    out among themselves.

    Parameters
    ----------
    labels
        Class of each row, integers (N,) from 0 to C - 1.
    scheme
        "balanced" (default): all classes equally often. "square_root": in proportion to the square roots of their
        counts. "repeat_factor": a row of a class with share f of the rows max(1, sqrt(t / f)) times, as for LVIS.
    num_replicas, rank
        Number of processes and place of this one; default: those of `torch.distributed` if it is initialised, else 1
        and 0.
    seed
        Seed of the draws, an integer >= 0; default 0. It must be the same in all processes.
    threshold
        t of "repeat_factor", above 0; default 0.001.

    Raises
    ------
    UserError
        For labels that are not integers from 0 on, a class without a row, an unknown scheme, and a rank out of range.

    References
    ----------
    Shen, Lin & Huang, Relay backpropagation, ECCV 2016 (balanced); Mahajan et al., Exploring the limits of weakly
    supervised pretraining, ECCV 2018 (square root); Gupta, Dollár & Girshick, LVIS, CVPR 2019 (repeat factor).

    Examples
    --------
    >>> sampler = ClassAwareSampler([0] * 90 + [1] * 10)
    >>> sampler.rates
    array([0.55555556, 5.        ])
    >>> sampler.set_epoch(1)
    >>> drawn = list(sampler)
    >>> len(drawn), sum(place >= 90 for place in drawn)
    (100, 50)
    """

    def __init__(
        self,
        labels: Any,
        scheme: str = "balanced",
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        threshold: float = LVIS_THRESHOLD,
    ) -> None:
        if scheme not in SCHEMES:
            raise nearest_name("scheme", scheme, SCHEMES)
        self._rows = _rows_by_class(labels)
        together = distributed.is_available() and distributed.is_initialized()
        self.num_replicas = _whole("num_replicas", num_replicas, distributed.get_world_size() if together else 1, 1)
        self.rank = _whole("rank", rank, distributed.get_rank() if together else 0, 0)
        if self.rank >= self.num_replicas:
            raise UserError(f"rank is {self.rank}; it must lie between 0 and num_replicas - 1, {self.num_replicas - 1}")
        self.scheme, self.seed, self.epoch = scheme, _whole("seed", seed, 0, 0), 0
        self._draws = _draws(np.array([len(rows) for rows in self._rows]), scheme, threshold)

    @property
    def rates(self) -> Float64Array:
        """Mean number of draws of a row of each class in an epoch, (C,): for `undo_sampling` and `posterior`."""
        found: Float64Array = self._draws / np.array([len(rows) for rows in self._rows])
        return found

    def set_epoch(self, epoch: int) -> None:
        """Draw anew; call it before each epoch, with the same number in all processes."""
        self.epoch = _whole("epoch", epoch, 0, 0)

    def __len__(self) -> int:
        """The number of draws of this process in an epoch."""
        return -(-round(float(self._draws.sum())) // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        """Places of rows in `labels`."""
        rng = np.random.default_rng([self.seed, self.epoch])
        drawn = rng.permutation(np.concatenate(self._drawn(rng)))
        missing = len(self) * self.num_replicas - len(drawn)  # every process draws equally many
        drawn = np.concatenate([drawn, drawn[:missing]])
        return iter(drawn[self.rank :: self.num_replicas].tolist())

    def _drawn(self, rng: np.random.Generator) -> list[Int64Array]:
        """The rows of each class, as often as they are drawn."""
        found = []
        for rows, draws in zip(self._rows, _rounded(self._draws, rng), strict=True):
            whole, rest = divmod(int(draws), len(rows))
            found.append(np.concatenate([np.tile(rows, whole), rng.permutation(rows)[:rest]]))
        return found


def _rows_by_class(labels: Any) -> list[Int64Array]:
    """The places of each class's rows."""
    array = labels.detach().cpu().numpy() if hasattr(labels, "detach") else np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise UserError(f"labels are {value_text(labels)}; pass one integer per row, from 0 to C - 1")
    counts = count(array).n  # refuses a class without a row
    return np.split(np.argsort(array, kind="stable"), np.cumsum(counts)[:-1])


def _draws(counts: Int64Array, scheme: str, threshold: float) -> Float64Array:
    """The mean number of draws of each class in an epoch."""
    if scheme == "repeat_factor":
        if not threshold > 0:
            raise UserError(f"threshold is {threshold!r}; it must be greater than 0")
        repeats: Float64Array = np.maximum(1.0, np.sqrt(threshold * counts.sum() / counts))
        return repeats * counts
    shares = np.ones(len(counts)) if scheme == "balanced" else np.sqrt(counts)
    drawn: Float64Array = counts.sum() * shares / shares.sum()
    return drawn


def _rounded(draws: Float64Array, rng: np.random.Generator) -> Int64Array:
    """Whole numbers of draws with these means and a fixed sum: one uniform number decides all of them together."""
    ends = np.concatenate([[0.0], np.cumsum(draws)])
    ends[-1] = round(float(ends[-1]))
    found: Int64Array = np.diff(
        np.floor(ends + rng.random() * (np.arange(len(ends)) % len(draws) != 0)).astype(np.int64)
    )
    return found


def _whole(name: str, given: Any, default: int, least: int) -> int:
    """A whole number, at least `least`."""
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        raise UserError(f"{name} is {given!r}; it must be a whole number, at least {least}")
    return int(given)
