"""Growing CatBoost's symmetric trees, with the categories as they are.

An objective in Python would take most of CatBoost's time. So CatBoost runs its own objective, and only losses that it
has: cross-entropy, plain or with a weight per class, which is applied as row weights. Training starts from the best
constant, which the model then holds as its bias. Its trees are kept as plain arrays, so prediction does not need
CatBoost.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.boosting.newton import is_plain
from counterpoise.boosting.objective import installed
from counterpoise.catboost import bake_start
from counterpoise.errors import UserError
from counterpoise.recipes import Recipe, SigmoidRecipe
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.curvature import repeated
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Followed, Job, Learner, Rows
from counterpoise.table.learners.lightgbm import PATIENCE, most_rounds, threads
from counterpoise.table.learners.losses import for_learned_start
from counterpoise.table.learners.symmetric import MODEL, Symmetric, load, of_catboost
from counterpoise.table.learners.thinning import for_trees
from counterpoise.weights import ClassCounts

_ROWS_TO_CHECK, _ROWS_AT_ONCE = 1_000, 10_000
_TOLERANCE = 1e-9


def class_weights(recipe: Recipe, classes: int) -> NDArray[np.float64] | None:
    """The weight per class (C,) that makes a loss of plain cross-entropy; None for any other loss.

    Examples
    --------
    >>> from counterpoise.recipes import sigmoid
    >>> class_weights(sigmoid.weighted([90, 10]), 2), class_weights(sigmoid.focal(), 2)
    (array([1., 9.]), None)
    """
    if isinstance(recipe, SigmoidRecipe):
        weights = np.array([recipe.neg_weight, recipe.pos_weight], np.float64)
        unweighted: Recipe = replace(recipe, pos_weight=1.0, neg_weight=1.0, name="sigmoid")
    else:
        weights = np.broadcast_to(recipe.weight, (classes,))
        unweighted = replace(recipe, weight=1.0, name="softmax")
    return weights if is_plain(unweighted) else None


def recipes(counts: ClassCounts) -> list[tuple[str, Recipe]]:
    """Cross-entropy, plain and weighted.

    Examples
    --------
    >>> [label for label, _ in recipes(ClassCounts([90, 10]))]
    ['plain cross-entropy', 'weighted', 'weighted, square root']
    """
    return [pair for pair in for_learned_start(counts) if class_weights(pair[1], len(counts)) is not None]


def parameters(rows: int, features: int, seed: int) -> dict[str, Any]:
    """Tree parameters for a training set of this size.

    Examples
    --------
    >>> parameters(100, 5, 0)["depth"]
    6
    """
    return {
        "learning_rate": 0.06,
        "depth": 6,
        "l2_leaf_reg": 3.0,
        # statistics of combined categories took most of the time (23 s against 4 s on `thyroid`) and overfitted
        "one_hot_max_size": 16,
        "max_ctr_complexity": 1,
        "thread_count": threads(rows, features) or -1,
        "random_seed": seed,
        "allow_writing_files": False,
        "logging_level": "Silent",
        "allow_const_label": True,
    }


class _EachStep:
    """What CatBoost calls after each tree; what is raised here is kept until CatBoost has stopped."""

    def __init__(self, job: Job, most: int) -> None:
        self.job, self.most = job, most
        self.raised: BaseException | None = None

    def after_iteration(self, info: Any) -> bool:
        try:
            self.job.each_step(info.iteration / self.most)
        except BaseException as error:
            self.raised = error
        return self.raised is None


def _with_every_class(rows: Rows, classes: int) -> Rows:
    """The rows, and one of next to no weight for each class without any: CatBoost refuses a start for such a class."""
    absent = np.setdiff1d(np.arange(classes), rows.codes)
    if not len(absent):
        return rows
    weight = np.ones(len(rows.codes)) if rows.weight is None else rows.weight
    return Rows(
        np.vstack([rows.matrix, np.full((len(absent), rows.matrix.shape[1]), np.nan)]),
        np.concatenate([rows.codes, absent]),
        np.concatenate([weight, np.full(len(absent), 1e-9)]),
    )


def fit(job: Job) -> Followed:
    """Grow trees on some rows; with rows held out, until these have long stopped improving."""
    catboost = installed("catboost", "CatBoost")
    classes = len(job.counts.classes)
    weights = class_weights(job.recipe, classes)
    if weights is None:
        raise UserError(f"CatBoost does not run {job.recipe.name} here; choose cross-entropy, plain or weighted")
    start = np.asarray(job.recipe.initial_logits(job.counts), np.float64)
    rows = _with_every_class(for_trees(job.rows, classes, seed=job.seed), classes)
    most = job.rounds or most_rounds(job.counts) // (1 if classes == 2 else 2)
    settings = parameters(len(rows.codes), rows.matrix.shape[1], job.seed)
    settings |= {"iterations": most, "loss_function": "Logloss"}
    if classes > 2:
        settings |= {"loss_function": "MultiClass", "classes_count": classes, "learning_rate": 0.12}
    each_step = _EachStep(job, most)
    model = catboost.CatBoost(settings | dict(job.settings))
    stop = {} if job.held_out is None else {"early_stopping_rounds": PATIENCE, "use_best_model": False}
    try:
        model.fit(
            _pool(rows.matrix, job.schema, rows, weights, start),
            eval_set=None
            if job.held_out is None
            else _pool(job.held_out.matrix, job.schema, job.held_out, weights, start),
            callbacks=[each_step],
            **stop,
        )
    except catboost.CatBoostError as error:
        raise UserError(f"CatBoost cannot learn from this table: {str(error).splitlines()[0]}") from None
    if each_step.raised is not None:
        raise each_step.raised
    bake_start(model, start)
    return Followed(_as_arrays(model, job), _followed(model, job).values)


def _as_arrays(model: Any, job: Job) -> Symmetric:
    """The model's trees, which give what the model gives."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.json")
        model.save_model(str(path), format="json")
        facts = json.loads(path.read_bytes())
    passed = []
    for place, categories in job.schema.categories.items():
        codes = np.append(np.nan, np.arange(len(categories)))
        leaves = []
        for first in range(0, len(codes), _ROWS_AT_ONCE):
            rows = np.full((len(codes[first : first + _ROWS_AT_ONCE]), len(job.schema.features)), np.nan)
            rows[:, place] = codes[first : first + _ROWS_AT_ONCE]
            leaves.append(model.calc_leaf_indexes(_pool(rows, job.schema)).astype(np.uint8))
        passed.append(np.concatenate(leaves))
    found = of_catboost(model, facts, job.schema, passed)
    some = job.rows.matrix[:_ROWS_TO_CHECK]
    expected = model.predict(_pool(some, job.schema), prediction_type="RawFormulaVal")
    if not np.allclose(found.logits(some), expected, rtol=0, atol=_TOLERANCE * max(1.0, np.abs(expected).max())):
        version = installed("catboost", "CatBoost").__version__
        raise UserError(f"CatBoost {version} keeps its trees in a form that is not known; pip install catboost==1.2.10")
    return found


def _followed(model: Any, job: Job) -> Curve:
    """The log loss after each tree: CatBoost itself follows the weighted one."""
    curve = Curve(job.recipe, job.held_out, patience=PATIENCE)
    if job.held_out is not None:
        pool = _pool(job.held_out.matrix, job.schema)
        for logits in model.staged_predict(pool, prediction_type="RawFormulaVal"):
            curve.add(logits)
    return curve


def _pool(
    matrix: NDArray[np.float64],
    schema: Schema,
    rows: Rows | None = None,
    class_weight: NDArray[np.float64] | None = None,
    start: NDArray[np.float64] | None = None,
) -> Any:
    """What CatBoost reads; a category is a whole number, -1 where it is missing."""
    columns: dict[str, NDArray[Any]] = {name: matrix[:, place] for place, name in enumerate(schema.model_names)}
    categorical = [schema.model_names[place] for place in schema.categorical]
    for name in categorical:
        columns[name] = np.nan_to_num(columns[name], nan=-1).astype(np.int32)
    weight = None
    if rows is not None and class_weight is not None:
        weight = class_weight[rows.codes] * (1.0 if rows.weight is None else rows.weight)
    return installed("catboost", "CatBoost").Pool(
        installed("pandas", "pandas").DataFrame(columns),
        label=None if rows is None else rows.codes,
        weight=weight,
        cat_features=categorical,
        baseline=None if start is None else repeated(start, len(matrix)),
    )


CATBOOST = Learner(
    name="catboost",
    title="CatBoost",
    packages=("catboost",),
    files=(MODEL,),
    recipes=recipes,
    settings={"symmetric": {}},
    fit=fit,
    load=load,
)
