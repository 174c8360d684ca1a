"""The common part of the networks of PyTorch and Keras: their size, their start, and the average kept of each epoch.

Both train two hidden layers with AdamW at a constant rate. The network that is followed and kept has not the weights
after an epoch but their average over the last few. The average works like a falling rate without knowing the number of
epochs. So the final network, trained for the number of epochs that was best on the folds, is like the one that was
judged there.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.table.features.encoding import Encoding
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job
from counterpoise.table.learners.network import Layers, Network, forward

HIDDEN = (128, 64)
PATIENCE = 12
_MOST_EPOCHS, _FEWEST_EPOCHS = 120, 16
_CELLS = 1_500_000_000
"""Encoded cells that are shown to the network in all: about a minute."""
_SMALLEST, _LARGEST = 64, 4096
_STEPS = 40
_AGEING = 0.7


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How a network is trained.

    Parameters
    ----------
    batch
        Number of rows per step.
    epochs
        Largest number of epochs that is worth its time.
    rate, decay
        AdamW's learning rate and weight decay.
    dropout
        Share of the hidden units that a step drops.
    """

    batch: int
    epochs: int
    rate: float = 2e-3
    decay: float = 1e-2
    dropout: float = 0.1


def hyperparameters(job: Job, width: int) -> Hyperparameters:
    """Hyperparameters for the size of the table; `Job.settings` may overrule them.

    A batch is large enough for four rows of the rarest class where that leaves some dozens of steps per epoch.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> from counterpoise.table.features.schema import Schema
    >>> from counterpoise.table.learners.learner import Rows
    >>> from counterpoise.weights import ClassCounts
    >>> counts = ClassCounts([99_000, 1_000])
    >>> rows = Rows(np.zeros((100_000, 1)), np.repeat([0, 1], counts.n))
    >>> found = hyperparameters(Job(rows, Schema(()), sigmoid.focal(), counts), width=50)
    >>> found.batch, found.epochs
    (512, 120)
    """
    rows = len(job.rows.codes)
    share = np.asarray(job.counts.prior)
    wanted = max(256, 4 / float(share[share > 0].min()))
    batch = int(np.clip(2 ** np.ceil(np.log2(min(wanted, rows / _STEPS))), _SMALLEST, _LARGEST))
    epochs = int(np.clip(_CELLS / (rows * (width + HIDDEN[1])), _FEWEST_EPOCHS, _MOST_EPOCHS))
    return Hyperparameters(**{"batch": batch, "epochs": epochs} | dict(job.settings))


def initial_layers(width: int, start: NDArray[np.float64], rng: np.random.Generator) -> Layers:
    """Where training starts: He's uniform weights, and the best constant as the bias of the last layer.

    References
    ----------
    He et al., Delving deep into rectifiers, ICCV 2015, equation 10.

    Examples
    --------
    >>> [weight.shape for weight, _ in initial_layers(5, np.zeros(()), np.random.default_rng(0))]
    [(5, 128), (128, 64), (64, 1)]
    """
    widths = [width, *HIDDEN, max(1, start.size)]
    layers = []
    for place, (fan_in, fan_out) in enumerate(pairwise(widths)):
        last = place == len(HIDDEN)
        # the last layer starts near the constant: large random logits would first have to be unlearned
        bound = (0.1 if last else 1.0) * np.sqrt(6 / max(1, fan_in))
        weight = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32)
        bias = np.broadcast_to(start, fan_out) if last else np.zeros(fan_out)
        layers.append((weight, np.array(bias, np.float32)))
    return tuple(layers)


class Epochs:
    """The averaged layers after each epoch, and how they do on the rows held out.

    Parameters
    ----------
    job
        The job to fit.
    encoding
        Encoding of its rows.
    most
        Largest number of epochs.
    """

    def __init__(self, job: Job, encoding: Encoding, most: int) -> None:
        self._each_step, self._encoding, self._most = job.each_step, encoding, most
        self._followed = None if job.held_out is None else encoding.apply(job.held_out.matrix)
        self._curve = Curve(job.recipe, job.held_out, patience=PATIENCE)
        self._steps: list[Layers] = []

    def add(self, layers: Layers) -> bool:
        """Note an epoch; whether to stop."""
        age = len(self._steps)
        share = (1 - _AGEING) / (1 - _AGEING ** (age + 1))
        last = self._steps[-1] if self._steps else layers
        averaged = tuple(
            tuple(old + np.float32(share) * (new - old) for old, new in zip(*pair, strict=True))
            for pair in zip(last, layers, strict=True)
        )
        self._steps.append(averaged)  # type: ignore[arg-type]
        if self._followed is not None:
            self._curve.add(forward(self._steps[-1], self._followed))
        self._each_step(len(self._steps) / self._most)
        return self._curve.stalled

    def followed(self) -> Followed:
        """The fit."""
        kept = self._steps[-1:] if self._followed is None else self._steps
        return Followed(Network(self._encoding, kept), self._curve.values)


def batches(rows: int, size: int, rng: np.random.Generator) -> list[NDArray[Any]]:
    """All rows in a new order, in batches of about this size.

    Examples
    --------
    >>> [len(batch) for batch in batches(10, 4, np.random.default_rng(0))]
    [5, 5]
    """
    return np.array_split(rng.permutation(rows), max(1, round(rows / size)))


def mean_one(weight: NDArray[np.float64] | None, rows: int) -> NDArray[np.float32]:
    """Weights of the rows, their mean 1.

    Examples
    --------
    >>> mean_one(np.array([1.0, 3.0]), 2)
    array([0.5, 1.5], dtype=float32)
    """
    return np.ones(rows, np.float32) if weight is None else (weight / weight.mean()).astype(np.float32)
