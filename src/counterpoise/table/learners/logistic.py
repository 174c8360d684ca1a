"""Logistic regression under any recipe, over a path of penalties.

Place k of the path minimises the sum of the losses plus |W|^2 / (2 C_k), from strong (C = 0.0003) to weak (C = 10); each
place starts from the last. A loss of another curvature than plain cross-entropy is scaled to it, so a place means as
much for every loss. The "rounds" of the race are places.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.table.encoding import Encoding
from counterpoise.table.learners.curvature import plain_scale
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job, Learner, Rows
from counterpoise.table.learners.losses import for_networks
from counterpoise.table.learners.network import Layers, Network, forward, load

PATH = np.geomspace(3e-4, 10.0, 8)
MOST_ITERATIONS = 60
TOLERANCE = 1e-5
MOST_CELLS = 24_000_000
"""Encoded cells (rows x columns, times the square root of the number of logits) that are learned from."""


def fit(job: Job) -> Followed:
    """Walk down the path; with rows held out the log loss of each place is noted."""
    from counterpoise.sklearn.linear import Objective, Scores, minimise

    encoding = Encoding.learn(job.rows.matrix, job.schema)
    start = np.asarray(job.recipe.initial_logits(job.counts), np.float64)
    columns = max(1, start.size)
    rows = thinned(job.rows, int(MOST_CELLS / columns**0.5 / max(1, encoding.width)), seed=job.seed)
    weight = np.ones(len(rows.codes)) if rows.weight is None else rows.weight
    total = float(weight.sum())
    scores = Scores(job.recipe, rows.codes, weight, total, columns)
    objective = Objective(encoding.apply(rows.matrix), scores, 0.0, True)
    ...
