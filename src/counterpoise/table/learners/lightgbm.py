"""Growing LightGBM's trees under a recipe, so that a very rare class does no harm.

With untuned parameters LightGBM breaks down where positives are a few in a thousand: the curvature of
those rows is tiny, a Newton step divides by it, and leaf values explode. Three things prevent it here.
Training starts from the constant that is best without any feature; every loss is scaled to the total
curvature that plain cross-entropy has at the start, so that one set of parameters fits all losses and a
leaf must hold the curvature of a real number of rows whatever the weights are; and the number of
rounds is the one that predicts held-out rows best.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError
from counterpoise.lightgbm import Objective, bake_start, library
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.curvature import plain_scale, repeated
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.forest import WORTH_READING, Forest
from counterpoise.table.learners.learner import Followed, Job, Learner
from counterpoise.table.learners.lightgbm_text import CATEGORICAL, parse
from counterpoise.table.learners.losses import for_learned_start
from counterpoise.table.learners.thinning import for_trees
from counterpoise.weights import ClassCounts

MOST_ROUNDS = 600
MOST_TREES = 20_000
FEWEST_ROUNDS = 50
PATIENCE = 50
FLOOR = 1e-3
MODEL = "model.txt"
_CELLS_FOR_THREADS = 1_000_000


def parameters(rows: int, features: int, seed: int) -> dict[str, Any]:
    """Tree parameters for a training set of this size.

    Examples
    --------
    >>> parameters(100, 5, 0)["min_data_in_leaf"], parameters(100, 1000, 0)["feature_fraction"]
    (2, 0.3)
    """
    return {
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": max(1, min(20, rows // 50)),
        "min_sum_hessian_in_leaf": 0.5,
        "lambda_l2": 1.0,
        # of many columns each tree sees some, so that trees differ: held-out log loss of `mnist_lt` 0.212 -> 0.186
        "feature_fraction": min(1.0, max(0.3, 100 / features)),
        "cat_smooth": 100,  # categories of few rows would be learned by heart
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads(rows, features),
        "seed": seed,
        "verbosity": -1,
    }


def threads(rows: int, features: int) -> int:
    """How many threads a booster should use on a table of this size; 0: all.

    On a busy machine threads wait for each other: a small table took LightGBM 40 x as long.

    Examples
    --------
    >>> threads(1_000, 10), threads(1_000_000, 10)
    (1, 0)
    """
    return 1 if rows * features < _CELLS_FOR_THREADS else 0


def most_rounds(counts: ClassCounts) -> int:
    """So many rounds are tried: of many classes fewer, since each grows a tree per round.

    Examples
    --------
    >>> most_rounds(ClassCounts([90, 10])), most_rounds(ClassCounts([1] * 18)), most_rounds(ClassCounts([1] * 200))
    (600, 600, 100)
    """
    trees = 1 if len(counts.classes) == 2 else len(counts.classes)
    return max(FEWEST_ROUNDS, min(MOST_ROUNDS, MOST_TREES // trees))


@dataclass(frozen=True, eq=False)
class LightGBMTrees:
    """LightGBM's booster, and the constant that its raw scores lack.

    Parameters
    ----------
    booster
        The LightGBM booster.
    start
        Constant of the logits, () or (C,).
    """

    booster: Any
    start: NDArray[np.float64]

    def logits(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """As `Fitted.logits`."""
        forest = self._forest if len(matrix) >= WORTH_READING or "_forest" in self.__dict__ else None
        if forest is None:
            raw = self.booster.predict(matrix, num_iteration=-1 if rounds is None else rounds, raw_score=True)
        else:
            raw = forest.sums(matrix, rounds)
        return np.asarray(raw + self.start, np.float64)

    def prepare(self) -> None:
        """As `Fitted.prepare`: a single row is not worth reading the trees, many are."""
        self._forest  # noqa: B018

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_forest"}  # it is made anew

    @cached_property
    def _forest(self) -> Forest | None:
        return Forest.read(self.booster.model_to_string(num_iteration=-1))

    def files(self) -> dict[str, bytes]:
        """LightGBM's text, whose raw scores are the logits.

        The objective is not named in it, so every reader of the format gives the logits themselves.
        """
        whole = library().Booster(model_str=self.booster.model_to_string())
        if np.any(self.start):
            bake_start(whole, self.start)
        return {MODEL: whole.model_to_string().encode()}


def fit(job: Job) -> Followed:
    """Grow trees on some rows; with rows held out, until these have long stopped improving."""
    lightgbm = library()
    recipe, held_out, classes = job.recipe, job.held_out, len(job.counts.classes)
    rows = for_trees(job.rows, classes, seed=job.seed)
    start = np.asarray(recipe.initial_logits(job.counts), np.float64)
    objective = Objective(recipe, scale=plain_scale(recipe, start, job.counts), floor=FLOOR, max_step=math.inf)
    settings = parameters(len(rows.codes), rows.matrix.shape[1], job.seed) | {"objective": objective}
    if isinstance(recipe, SoftmaxRecipe):
        settings |= {"num_class": classes, "learning_rate": 0.1, "num_leaves": 31}
    settings |= job.settings
    data = lightgbm.Dataset(
        rows.matrix,
        label=rows.codes,
        weight=rows.weight,
        init_score=repeated(start, len(rows.codes)),
        feature_name=job.schema.model_names,
        categorical_feature=job.schema.categorical,
        params={"verbosity": -1},
    )
    curve = Curve(recipe, held_out, patience=PATIENCE)
    validation = []
    if held_out is not None:
        validation = [
            lightgbm.Dataset(
                held_out.matrix,
                label=held_out.codes,
                weight=held_out.weight,
                init_score=repeated(start, len(held_out.codes)),
                reference=data,
            )
        ]
    most = job.rounds or most_rounds(job.counts)

    def followed(logits: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        curve.add(logits)
        return "log loss", float(curve.values[-1]), False

    def after(environment: Any) -> None:
        job.each_step((environment.iteration + 1) / most)
        if curve.stalled:
            raise lightgbm.callback.EarlyStopException(environment.iteration, [])

    try:
        booster = lightgbm.train(
            settings,
            data,
            num_boost_round=most,
            valid_sets=validation,
            feval=followed if validation else None,
            callbacks=[after],
        )
    except lightgbm.basic.LightGBMError as error:
        raise UserError(f"LightGBM cannot learn from this table: {str(error).splitlines()[0]}") from None
    return Followed(LightGBMTrees(booster, start), curve.values)


def load(files: Mapping[str, bytes], schema: Schema, outputs: int) -> LightGBMTrees:
    """Read what `LightGBMTrees.files` gave.

    Raises
    ------
    UserError
        If LightGBM does not write such a file, or it does not fit the columns and classes.
    """
    try:
        grown = parse(files[MODEL])
    except UserError as error:
        raise UserError(f"{MODEL}: {error}; train again") from None
    if grown.names != tuple(schema.model_names) or grown.outputs != outputs:
        raise UserError(f"{MODEL} does not fit the columns and classes of the model; train again")
    split = np.unique(grown.feature[grown.kind & CATEGORICAL == CATEGORICAL])
    if not set(split.tolist()) <= set(schema.categorical):
        raise UserError(f"{MODEL} splits a column on categories that has none; train again")
    return LightGBMTrees(library().Booster(model_str=grown.text), np.zeros(()))


LIGHTGBM = Learner(
    name="lightgbm",
    title="LightGBM",
    packages=("lightgbm",),
    files=(MODEL,),
    recipes=for_learned_start,
    settings={
        "steadied": {},
        # random splits of sampled rows and columns err elsewhere, which a blend can use
        "extra trees": {"extra_trees": True, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.8},
    },
    fit=fit,
    load=load,
)
