"""What can be trained on a table, a file each; `LEARNERS` names them."""

import importlib.util

from counterpoise.errors import UserError
from counterpoise.table.learners.catboost import CATBOOST
from counterpoise.table.learners.keras import KERAS
from counterpoise.table.learners.learner import Fitted, Followed, Job, Learner, Rows
from counterpoise.table.learners.lightgbm import LIGHTGBM
from counterpoise.table.learners.logistic import LOGISTIC
from counterpoise.table.learners.mlp import MLP
from counterpoise.table.learners.xgboost import XGBOOST

LEARNERS: dict[str, Learner] = {one.name: one for one in (LIGHTGBM, XGBOOST, CATBOOST, LOGISTIC, MLP, KERAS)}


def installed(name: str) -> None:
    """Raise `UserError` if a learner's packages are not installed.

    Examples
    --------
    >>> installed("lightgbm")
    """
    for package in LEARNERS[name].packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"learner {name!r} needs {package}, which is not installed: pip install {package}")


__all__ = ["LEARNERS", "Fitted", "Followed", "Job", "Learner", "Rows", "installed"]
