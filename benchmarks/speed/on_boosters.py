"""Sides that run in LightGBM and XGBoost: whole trainings, and objectives on their own."""

import importlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from benchmarks.speed.measure import THREADS, Side, Step
from benchmarks.speed.problem import Table

# both sides start from log odds 0: only the objective shall differ
_LIGHTGBM = {"num_threads": THREADS, "verbosity": -1, "boost_from_average": False}
_XGBOOST = {"nthread": THREADS, "verbosity": 0, "tree_method": "hist"}


def _objective(host: str, problem: Table) -> Any:
    return importlib.import_module(f"counterpoise.{host}").Objective(problem.recipe)


def _training(train: Callable[[Any], Any], objective: Any) -> Step:
    """A step that trains; the seconds in its objective are counted where that is a Python function."""
    if isinstance(objective, str):
        return Step(lambda: train(objective))
    spent: list[float] = []

    def watched(*arguments: Any) -> Any:  # a function: LightGBM copies what it is given, but not functions
        start = time.perf_counter()
        result = objective(*arguments)
        spent.append(time.perf_counter() - start)
        return result

    def call() -> Any:
        spent.clear()
        return train(watched)

    return Step(call, spent=lambda: sum(spent))


def _train_lightgbm(problem: Table, objective: Any) -> Step:
    import lightgbm

    data = lightgbm.Dataset(problem.features, problem.target, params=_LIGHTGBM, free_raw_data=False).construct()
    return _training(
        lambda chosen: lightgbm.train({**_LIGHTGBM, "objective": chosen}, data, num_boost_round=problem.rounds),
        objective,
    )


def _train_xgboost(problem: Table, objective: Any) -> Step:
    import xgboost

    data = xgboost.QuantileDMatrix(problem.features, problem.target, nthread=THREADS)

    def train(chosen: Any) -> Any:
        if isinstance(chosen, str):  # its base_score is a probability, a custom objective's a log odds
            parameters = {**_XGBOOST, "objective": chosen, "base_score": 0.5}
            return xgboost.train(parameters, data, num_boost_round=problem.rounds)
        return xgboost.train({**_XGBOOST, "base_score": 0.0}, data, num_boost_round=problem.rounds, obj=chosen)

    return _training(train, objective)


def _lightgbm(problem: Table) -> Step:
    return _train_lightgbm(problem, _objective("lightgbm", problem))


def _lightgbm_builtin(problem: Table) -> Step:
    return _train_lightgbm(problem, "binary")


def _xgboost(problem: Table) -> Step:
    return _train_xgboost(problem, _objective("xgboost", problem))


def _xgboost_builtin(problem: Table) -> Step:
    return _train_xgboost(problem, "binary:logistic")


def _labelled(problem: Table) -> Any:
    """What an objective asks of a data set."""
    label = problem.target
    return SimpleNamespace(get_label=lambda: label, get_weight=lambda: None)


def _one_call(problem: Table) -> Step:
    import xgboost

    objective = _objective("xgboost", problem)
    data = xgboost.DMatrix(problem.scores[:, None], problem.target)
    return Step(lambda: objective(problem.scores, data)[0])


def _imbalance_xgboost(problem: Table) -> Step:
    from imxgboost.focal_loss import Focal_Binary_Loss

    objective, data = Focal_Binary_Loss(2.0).focal_binary_object, _labelled(problem)
    return Step(lambda: objective(problem.scores, data)[0])


def _empulse(problem: Table) -> Step:
    from empulse.metrics import CostMatrix, LogCost, Metric

    metric = Metric(CostMatrix().add_tp_benefit("positive").add_tn_benefit("negative"), LogCost())
    recipe: Any = problem.recipe
    weights = {"positive": float(recipe.pos_weight), "negative": float(recipe.neg_weight)}
    # what its boosters call each round
    return Step(lambda: metric._gradient_boost_objective(problem.target, problem.scores, **weights)[0])


LIGHTGBM = Side("counterpoise in LightGBM", _lightgbm)
LIGHTGBM_BUILTIN = Side("LightGBM's own binary", _lightgbm_builtin)
XGBOOST = Side("counterpoise in XGBoost", _xgboost)
XGBOOST_BUILTIN = Side("XGBoost's own binary:logistic", _xgboost_builtin)
WHOLE_TRAINING = Side("the whole training")
ONE_CALL = Side("counterpoise objective", _one_call)
IMBALANCE_XGBOOST = Side("imbalance-xgboost focal", _imbalance_xgboost)
EMPULSE = Side("empulse LogCost", _empulse)
