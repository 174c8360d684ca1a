"""What can be trained on a table, a file each; `LEARNERS` names them."""

from counterpoise.table.learners.catboost import CATBOOST
from counterpoise.table.learners.keras import KERAS
from counterpoise.table.learners.learner import Fitted, Followed, Job, Learner, Rows
from counterpoise.table.learners.lightgbm import LIGHTGBM
from counterpoise.table.learners.logistic import LOGISTIC
from counterpoise.table.learners.mlp import MLP
from counterpoise.table.learners.xgboost import XGBOOST

LEARNERS: dict[str, Learner] = {one.name: one for one in (LIGHTGBM, XGBOOST, CATBOOST, LOGISTIC, MLP, KERAS)}

__all__ = ["LEARNERS", "Fitted", "Followed", "Job", "Learner", "Rows"]
