"""Growing XGBoost's trees under a recipe, with the categories as they are.

As with LightGBM, training starts from the best constant, which the model keeps as its `base_score`; every loss has the
total curvature of plain cross-entropy at the start; and the trees grow level by level, on samples of rows and columns,
so that their errors differ from LightGBM's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.boosting.objective import installed
from counterpoise.errors import UserError
from counterpoise.recipes import SoftmaxRecipe
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.curvature import plain_scale
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job, Learner, Rows
from counterpoise.table.learners.lightgbm import FLOOR, PATIENCE, most_rounds, threads
from counterpoise.table.learners.losses import for_learned_start
from counterpoise.table.learners.thinning import for_trees
from counterpoise.table.learners.xgboost_json import checked
from counterpoise.xgboost import Objective

MODEL = "model.json"
_LARGEST = float(np.finfo(np.float32).max)  # XGBoost refuses larger numbers


def parameters(rows: int, features: int, seed: int) -> dict[str, Any]:
    """Tree parameters for a training set of this size.

    Examples
    --------
    >>> parameters(100, 5, 0)["max_depth"]
    5
    """
    return {
        "learning_rate": 0.05,
        "max_depth": 5,
        "min_child_weight": 0.5,
        "reg_lambda": 1.0,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "tree_method": "hist",
        "nthread": threads(rows, features),
        "seed": seed,
        "verbosity": 0,
        "disable_default_eval_metric": True,
    }


@dataclass(frozen=True, slots=True, eq=False)
class XGBoostTrees:
    """XGBoost's booster, and what its columns are.

    Parameters
    ----------
    booster
        The XGBoost booster.
    schema
        Schema of the feature matrix.
    """

    booster: Any
    schema: Schema

    def logits(self, matrix: NDArray[np.float64], rounds: int | None = None) -> NDArray[np.float64]:
        """As `Fitted.logits`."""
        rows = _matrix(matrix, self.schema)
        raw = self.booster.predict(rows, output_margin=True, iteration_range=(0, rounds or 0))
        return np.asarray(raw, np.float64)

    def prepare(self) -> None:
        """As `Fitted.prepare`: there is nothing to do."""

    def files(self) -> dict[str, bytes]:
        """XGBoost's JSON, whose raw scores are the logits."""
        return {MODEL: bytes(self.booster.save_raw("json"))}


def fit(job: Job) -> Followed:
    """Grow trees on some rows; with rows held out, until these have long stopped improving."""
    xgboost = installed("xgboost", "XGBoost")
    recipe, rows = job.recipe, for_trees(job.rows, len(job.counts.classes), seed=job.seed)
    start = np.asarray(recipe.initial_logits(job.counts), np.float64)
    scale = plain_scale(recipe, start, job.counts)
    settings = parameters(len(rows.codes), rows.matrix.shape[1], job.seed) | {"base_score": start.tolist()}
    if isinstance(recipe, SoftmaxRecipe):
        settings |= {"num_class": len(job.counts.classes), "learning_rate": 0.1}
    curve = Curve(recipe, job.held_out, patience=PATIENCE)
    most = job.rounds or most_rounds(job.counts)

    def followed(logits: NDArray[Any], _: Any) -> tuple[str, float]:
        curve.add(logits)
        return "log_loss", float(curve.values[-1])

    class EachStep(xgboost.callback.TrainingCallback):  # type: ignore[misc, name-defined]
        def after_iteration(self, _model: Any, epoch: int, _log: Any) -> bool:
            job.each_step((epoch + 1) / most)
            return curve.stalled

    held_out = job.held_out
    evaluated = [] if held_out is None else [(_matrix(held_out.matrix, job.schema, held_out), "held_out")]
    try:
        booster = xgboost.train(
            settings | dict(job.settings),
            _matrix(rows.matrix, job.schema, rows),
            num_boost_round=most,
            obj=Objective(recipe, scale=scale, floor=FLOOR, max_step=math.inf),
            evals=[]
            if job.held_out is None
            else [(_matrix(job.held_out.matrix, job.schema, job.held_out), "held_out")],
            custom_metric=followed if evaluated else None,
            verbose_eval=False,
            callbacks=[EachStep()],
        )
    except xgboost.core.XGBoostError as error:
        raise UserError(f"XGBoost cannot learn from this table: {str(error).splitlines()[0]}") from None
    return Followed(XGBoostTrees(booster, job.schema), curve.values)


def load(files: Mapping[str, bytes], schema: Schema, outputs: int) -> XGBoostTrees:
    """Read what `XGBoostTrees.files` gave.

    Raises
    ------
    UserError
        If XGBoost does not write such a file, or it does not fit the columns and classes.
    """
    booster = installed("xgboost", "XGBoost").Booster()
    booster.load_model(bytearray(checked(files[MODEL], schema, outputs, MODEL)))
    return XGBoostTrees(booster, schema)


def _matrix(matrix: NDArray[np.float64], schema: Schema, rows: Rows | None = None) -> Any:
    categorical = set(schema.categorical)
    return installed("xgboost", "XGBoost").DMatrix(
        np.clip(matrix, -_LARGEST, _LARGEST),
        label=None if rows is None else rows.codes,
        weight=None if rows is None else rows.weight,
        feature_names=schema.model_names,
        feature_types=["c" if place in categorical else "q" for place in range(matrix.shape[1])],
        enable_categorical=True,
    )


XGBOOST = Learner(
    name="xgboost",
    title="XGBoost",
    packages=("xgboost",),
    files=(MODEL,),
    recipes=for_learned_start,
    settings={"by level": {}},
    fit=fit,
    load=load,
)
