"""Logistic regression under any recipe, over a path of penalties.

Place k of the path minimises the sum of the losses plus |W|^2 / (2 C_k), from a strong penalty (C = 0.0003) to a weak
one (C = 10); each place starts from the last. A loss with another curvature than plain cross-entropy is scaled to it,
so that a place means the same for every loss. The "rounds" of the race are places.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterpoise.table.features.encoding import Encoding
from counterpoise.table.learners.curvature import plain_scale
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job, Learner
from counterpoise.table.learners.losses import for_learned_start
from counterpoise.table.learners.network import FILES, Layers, Network, constant_fit, forward, load
from counterpoise.table.learners.thinning import thinned

PATH = np.geomspace(3e-4, 10.0, 8)
MOST_ITERATIONS = 60
TOLERANCE = 1e-5
MOST_CELLS = 24_000_000
"""So many encoded cells are learned from (rows x columns, times the root of the number of logits); see `thinned`."""


def fit(job: Job) -> Followed:
    """Walk down the path; with rows held out the log loss of each place is noted."""
    encoding = Encoding.learn(job.rows.matrix, job.schema)
    if encoding.width == 0:
        return constant_fit(job, encoding)
    curve = Curve(job.recipe, job.held_out, patience=len(PATH))
    followed = None if job.held_out is None else encoding.apply(job.held_out.matrix)
    steps: list[Layers] = []
    most = job.rounds or len(PATH)
    for layers in _path(job, encoding, most):
        steps.append(layers)
        if followed is not None:
            curve.add(forward(layers, followed))
        job.each_step(len(steps) / most)
    return Followed(Network(encoding, steps[-1:] if followed is None else steps), curve.values)


def _path(job: Job, encoding: Encoding, most: int) -> Iterator[Layers]:
    from counterpoise.sklearn.linear import MeanLoss, PenalizedLoss, minimise

    start = np.asarray(job.recipe.initial_logits(job.counts), np.float64)
    intercepts = np.atleast_1d(start)
    coefficients = np.zeros((len(intercepts), encoding.width))
    rows = thinned(job.rows, int(MOST_CELLS / len(intercepts) ** 0.5 / encoding.width), seed=job.seed)
    total = float(len(rows.codes) if rows.weight is None else rows.weight.sum())
    scores = MeanLoss(job.recipe, rows.codes, rows.weight, total, len(intercepts))
    objective = PenalizedLoss(encoding.apply(rows.matrix), scores, 0.0, True)
    scale = plain_scale(job.recipe, start, job.counts)
    for strength in PATH[:most]:
        objective.penalty = 1 / (float(strength) * scale * total)
        objective.start(np.atleast_1d(start))
        found = minimise(objective, objective.variables(coefficients, intercepts), most=MOST_ITERATIONS, tol=TOLERANCE)
        coefficients, intercepts = objective.model(found.x)
        yield _layers(coefficients, intercepts)


def _layers(coefficients: NDArray[np.float64], intercepts: NDArray[np.float64]) -> Layers:
    return ((np.ascontiguousarray(coefficients.T, np.float32), intercepts.astype(np.float32)),)


LOGISTIC = Learner(
    name="logistic",
    title="Logistic regression",
    packages=("scipy", "sklearn", "safetensors"),
    files=FILES,
    recipes=for_learned_start,
    settings={"path": {}},
    fit=fit,
    load=load,
)
