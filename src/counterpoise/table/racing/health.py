"""Whether LightGBM's own defaults break down on a table, as they do where a class is very rare."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses, ranking
from counterpoise.lightgbm import library
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Rows

_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Health:
    """The result of LightGBM's defaults, and what was done instead.

    Parameters
    ----------
    broken
        Whether the defaults predict held-out rows worse than the class shares alone, or rank their own training rows
        badly.
    log_loss, constant
        Log loss on held-out rows, by their weights: of the defaults, and of the class shares alone.
    sentence
        The same in a sentence; empty if nothing is wrong.
    """

    broken: bool
    log_loss: float
    constant: float
    sentence: str


def probe(train: Rows, held_out: Rows, classes: int, schema: Schema, steadied: float, *, seed: int) -> Health:
    """Grow LightGBM's own objective with its own defaults on some rows, and look at it on others.

    Parameters
    ----------
    train, held_out
        Rows for training and for the comparison.
    classes
        Number of classes.
    schema
        Names and kinds of the features.
    steadied
        Held-out log loss of the steadied model on the same rows.
    seed
        Seed of LightGBM.
    """
    lightgbm = library()
    several = classes > 2
    settings = {
        "objective": "multiclass" if several else "binary",
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 0,
        "verbosity": -1,
    } | ({"num_class": classes} if several else {})
    data = lightgbm.Dataset(
        train.matrix,
        label=train.codes,
        weight=train.weight,
        feature_name=schema.model_names,
        categorical_feature=schema.categorical,
        params={"verbosity": -1},
    )
    booster = lightgbm.train(settings, data, num_boost_round=_ROUNDS)
    # weighted rows teach other class shares than they have, so they are judged with their weights too
    mass = np.bincount(train.codes, weights=train.weight, minlength=classes)
    share = mass / mass.sum()
    loss = mean_log_loss(held_out, booster.predict(held_out.matrix))
    constant = float(np.average(-np.log(np.maximum(share[held_out.codes], 1e-15)), weights=held_out.weight))
    badly = not several and _ranks_badly(train.codes, booster.predict(train.matrix), float(np.mean(train.codes)))
    broken = loss > constant or badly
    if not broken:
        return Health(False, loss, constant, "")
    why = (
        f"log loss {loss:.3g} on held-out rows, where the class shares alone give {constant:.3g}"
        if loss > constant
        else "it ranks its own training rows hardly better than chance"
    )
    return Health(
        True,
        loss,
        constant,
        f"LightGBM's defaults broke down here ({why}); steadied with a start from the class shares, a learning rate "
        f"of 0.05, smaller trees, L2 regularisation and a floor under the curvature: log loss {steadied:.3g}.",
    )


def mean_log_loss(rows: Rows, probability: NDArray[np.float64]) -> float:
    """Mean log loss of the probabilities of some rows, by their weights.

    Examples
    --------
    >>> rows = Rows(np.zeros((2, 1)), np.array([0, 1]), np.array([1.0, 3.0]))
    >>> round(mean_log_loss(rows, np.array([0.5, 1.0])), 4)  # log(2) / 4
    0.1733
    """
    return float(np.average(log_losses(rows.codes, probability), weights=rows.weight))


def _ranks_badly(codes: NDArray[np.int64], probability: NDArray[np.float64], prevalence: float) -> bool:
    precision = float(ranking(codes, probability, np.ones((1, len(codes))))["average_precision"][0])
    return precision < 2 * prevalence and prevalence < 0.4
