"""Dense layers on encoded columns, evaluated in NumPy: prediction does not need the framework that trained them.

The file is safetensors: `0.weight` (D, H) and `0.bias` (H,) of the first layer, then the next; logits are
relu(x weight + bias) of each layer in turn, the last without the relu. The encoding of the columns is a second file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.table.features.encoding import Encoding, check_encoding
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job
from counterpoise.table.plain_data import (
    parsed,
)
from counterpoise.table.tensors import Arrays, arrays_of, bytes_of, check_array

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
"""Weight (inputs, outputs) and bias (outputs,) of each layer."""

FILES = LAYERS, ENCODING = "network.safetensors", "encoding.json"
_BLOCK_ROWS = 32_768


def forward(layers: Layers, encoded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits of encoded rows (N, D): (N,) where the last layer has one output, else (N, C).

    Examples
    --------
    >>> one = (np.array([[2.0]], np.float32), np.array([1.0], np.float32))
    >>> forward((one, one), np.array([[-3.0], [1.0]], np.float32))
    array([1., 7.])
    """
    for weight, bias in layers[:-1]:
        encoded = np.maximum(encoded @ weight + bias, 0)
    weight, bias = layers[-1]
    logits = (encoded @ weight + bias).astype(np.float64)
    return logits[:, 0] if len(bias) == 1 else logits


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """An encoding, and the layers after each step of the training.

    Parameters
    ----------
    encoding
        Encoding of the feature matrix.
    steps
        Layers after each step; after a fit with a given number of steps, only those after the last one.

    Examples
    --------
    >>> from counterpoise.table.features.schema import Column
    >>> schema = Schema((Column("size", "number"),))
    >>> encoding = Encoding.learn(np.array([[1.0], [3.0]]), schema)
    >>> network = Network(encoding, [((np.array([[2.0]], np.float32), np.zeros(1, np.float32)),)])
    >>> network.logits(np.array([[3.0], [np.nan]]))
    array([2., 0.])
    >>> load(network.files(), schema, 1).logits(np.array([[3.0]]))
    array([2.])
    """

    encoding: Encoding
    steps: Sequence[Layers]

    def logits(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """As `Fitted.logits`."""
        if rounds is not None and not 1 <= rounds <= len(self.steps):
            raise UserError(f"the network holds {len(self.steps)} step(s), but its logits after {rounds} are asked for")
        layers = self.steps[-1 if rounds is None else rounds - 1]
        blocks = [
            forward(layers, self.encoding.apply(matrix[first : first + _BLOCK_ROWS]))
            for first in range(0, max(1, len(matrix)), _BLOCK_ROWS)
        ]
        return np.concatenate(blocks)

    def prepare(self) -> None:
        """As `Fitted.prepare`: there is nothing to do."""

    def files(self) -> dict[str, bytes]:
        """The layers after each step, and the encoding."""
        tensors = {}
        for step, layers in enumerate(self.steps):
            for place, (weight, bias) in enumerate(layers):
                tensors[f"{step}.{place}.weight"] = np.asarray(weight, np.float32)
                tensors[f"{step}.{place}.bias"] = np.asarray(bias, np.float32)
        return {LAYERS: bytes_of(tensors), ENCODING: json.dumps(self.encoding.to_dict()).encode()}


def constant_fit(job: Job, encoding: Encoding) -> Followed:
    """The result of a job without any encoded column: the best constant, at every step."""
    start = np.atleast_1d(np.asarray(job.recipe.initial_logits(job.counts), np.float32))
    network = Network(encoding, [((np.zeros((encoding.width, len(start)), np.float32), start),)] * (job.rounds or 1))
    curve = Curve(job.recipe, job.held_out, patience=1)
    if job.held_out is not None:
        curve.add(network.logits(job.held_out.matrix))
    job.each_step(1.0)
    return Followed(network, curve.values)


def load(files: Mapping[str, bytes], schema: Schema, outputs: int) -> Network:
    """Read what `Network.files` gave.

    Raises
    ------
    UserError
        If the layers do not fit each other, the columns or the classes.
    """
    tensors = arrays_of(files[LAYERS], LAYERS)
    data = parsed(files[ENCODING], ENCODING)
    check_encoding(data, schema, ENCODING)
    encoding = Encoding.from_dict(data)
    steps = check_layers(tensors, encoding.width, outputs, LAYERS)
    depth = len(tensors) // (2 * steps)
    return Network(
        encoding,
        [tuple((tensors[f"{s}.{k}.weight"], tensors[f"{s}.{k}.bias"]) for k in range(depth)) for s in range(steps)],
    )


def check_layers(tensors: Arrays, width: int, outputs: int, where: str) -> int:
    """How many steps of a network the tensors hold: from so many encoded columns to so many outputs.

    Raises
    ------
    UserError
        If one is absent, or of another type, shape or value.
    """
    found = [re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,3})\.weight", name) for name in tensors]
    places = [(int(one[1]), int(one[2])) for one in found if one is not None]
    steps, depth = (1 + max((place[part] for place in places), default=-1) for part in (0, 1))
    expected = {f"{s}.{k}.{part}" for s in range(steps) for k in range(depth) for part in ("weight", "bias")}
    if not expected or expected != set(tensors):
        raise UserError(f"{where} does not hold a weight and a bias of each layer, and nothing else")
    for step in range(steps):
        widths = [width, *(tensors[f"{step}.{k}.bias"].size for k in range(depth))]
        for k, (inputs, out) in enumerate(pairwise(widths)):
            last = k == depth - 1
            check_array(tensors, f"{step}.{k}.weight", np.float32, (inputs, outputs if last else out), where)
            check_array(tensors, f"{step}.{k}.bias", np.float32, (outputs if last else out,), where)
    return steps
