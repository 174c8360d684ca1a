"""Growing trees under a recipe, so that a very rare class does no harm.

With untuned parameters LightGBM breaks down where positives are a few in a thousand: the curvature of
those rows is tiny, a Newton step divides by it, and leaf values explode. Three things prevent it here.
Training starts from the constant that is best without any feature; every loss is scaled to the total
curvature that plain cross-entropy has at the start, so that one set of parameters fits all losses and a
leaf must hold the curvature of a real number of rows whatever the weights are; and the number of
rounds is the one that predicts held-out rows best.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses
from counterpoise.errors import UserError
from counterpoise.lightgbm import Objective, bake_start, library, slopes
from counterpoise.recipes import Recipe, SoftmaxRecipe
from counterpoise.table.features import Schema
from counterpoise.weights import ClassCounts

MOST_ROUNDS = 600
PATIENCE = 50
FLOOR = 1e-3
_CELLS_FOR_THREADS = 1_000_000


def parameters(rows: int, features: int, seed: int) -> dict[str, Any]:
    """Tree parameters for a training set of this size.

    Examples
    --------
    >>> parameters(100, 5, 0)["min_data_in_leaf"]
    2
    """
    return {
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": max(1, min(20, rows // 50)),
        "min_sum_hessian_in_leaf": 0.5,
        "lambda_l2": 1.0,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        # On a busy machine LightGBM's threads wait for each other: a small table took 40 x as long.
        "num_threads": 1 if rows * features < _CELLS_FOR_THREADS else 0,
        "seed": seed,
        "verbosity": -1,
    }


def most_rounds(counts: ClassCounts) -> int:
    """So many rounds are tried: with several classes half, since each grows a tree per class at twice the rate.

    Examples
    --------
    >>> most_rounds(ClassCounts([90, 10])), most_rounds(ClassCounts([90, 10, 5]))
    (600, 300)
    """
    return MOST_ROUNDS if len(counts.classes) == 2 else MOST_ROUNDS // 2


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """A booster and the constant it started from.

    Parameters
    ----------
    booster
        LightGBM's; its raw scores lack `start`.
    start
        (), or (C,).
    recipe
        The loss that it was grown under.
    curve
        Held-out log loss after each round; empty if nothing was held out.
    """

    booster: Any
    start: NDArray[np.float64]
    recipe: Recipe
    curve: NDArray[np.float64]

    def posterior(self, matrix: NDArray[np.float64], rounds: int) -> NDArray[np.float64]:
        """Honest probabilities after some rounds: (N,) of the positive class, or (N, C)."""
        raw = self.booster.predict(matrix, num_iteration=rounds, raw_score=True)
        return posterior(self.recipe, raw + self.start)


def posterior(recipe: Recipe, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Honest probabilities from logits.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> posterior(sigmoid.weighted([90, 10]), np.array([0.0])).round(3)
    array([0.1])
    """
    return np.asarray(recipe.posterior(np.asarray(logits, np.float64)), np.float64)


def grow(
    matrix: NDArray[np.float64],
    codes: NDArray[np.int64],
    recipe: Recipe,
    counts: ClassCounts,
    schema: Schema,
    *,
    rounds: int | None = None,
    held_out: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
    seed: int = 0,
    each_round: Callable[[], None] = lambda: None,
) -> Grown:
    """Grow trees on some rows; with held-out rows, until these have long stopped improving.

    Parameters
    ----------
    matrix, codes
        Features and class places of the training rows.
    recipe
        The loss.
    counts
        Training counts, of which the start and the scale are made.
    schema
        Says which features are categories, and their names.
    rounds
        At most so many; by default as many as are ever worth their time.
    held_out
        Features and class places to follow the log loss on.
    seed
        LightGBM's.
    each_round
        Called after every round.
    """
    lightgbm = library()
    start = np.asarray(recipe.initial_logits(counts), np.float64)
    classes = len(counts.classes)
    several = isinstance(recipe, SoftmaxRecipe)
    objective = Objective(recipe, scale=_scale(recipe, start, counts), floor=FLOOR, max_step=math.inf)
    rows, features = matrix.shape
    settings = parameters(rows, features, seed) | {"objective": objective}
    if several:
        settings |= {"num_class": classes, "learning_rate": 0.1, "num_leaves": 31}
    data = lightgbm.Dataset(
        matrix,
        label=codes,
        init_score=_repeated(start, len(codes)),
        feature_name=schema.model_names,
        categorical_feature=schema.categorical,
        params={"verbosity": -1},
    )
    curve: list[float] = []
    validation = []
    if held_out is not None:
        other, truth = held_out
        validation = [lightgbm.Dataset(other, label=truth, init_score=_repeated(start, len(truth)), reference=data)]

    def followed(logits: NDArray[np.float64], dataset: Any) -> tuple[str, float, bool]:
        curve.append(float(log_losses(dataset.get_label(), posterior(recipe, logits)).mean()))
        return "log loss", curve[-1], False

    def after(_: Any) -> None:
        each_round()
        if len(curve) - 1 - int(np.argmin(curve or [0.0])) >= PATIENCE:
            raise lightgbm.callback.EarlyStopException(len(curve) - 1, [])

    try:
        booster = lightgbm.train(
            settings,
            data,
            num_boost_round=rounds or most_rounds(counts),
            valid_sets=validation,
            feval=followed if validation else None,
            callbacks=[after],
        )
    except lightgbm.basic.LightGBMError as error:
        raise UserError(f"LightGBM cannot learn from this table: {str(error).splitlines()[0]}") from None
    return Grown(booster, start, recipe, np.asarray(curve))


def finish(grown: Grown) -> str:
    """The model as LightGBM's text, whose raw scores are the logits.

    The objective is not named in it, so every reader of the format gives the logits themselves.
    """
    bake_start(grown.booster, grown.start)
    return str(grown.booster.model_to_string())


def _scale(recipe: Recipe, start: NDArray[np.float64], counts: ClassCounts) -> float:
    """What gives the recipe, at its start, the mean curvature of plain cross-entropy at its own."""
    labels = np.arange(len(counts.classes))
    _, curvature = slopes(recipe, _repeated(start, len(labels)), labels)
    share = np.asarray(counts.prior, np.float64)
    own = float(share @ curvature.reshape(len(labels), -1).sum(axis=1))
    if isinstance(recipe, SoftmaxRecipe):
        plain = float((share * (1 - share)).sum()) * len(labels) / (len(labels) - 1)
    else:
        plain = float(share[0] * share[1])
    return plain / own if own > 0 else 1.0


def _repeated(start: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    return np.full(rows, float(start)) if start.ndim == 0 else np.tile(start, (rows, 1))
