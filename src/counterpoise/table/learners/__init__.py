"""What can be trained on a table, a file each; `LEARNERS` names them."""

from counterpoise.table.learners.learner import Fitted, Followed, Job, Learner, Rows
from counterpoise.table.learners.lightgbm import LIGHTGBM

LEARNERS: dict[str, Learner] = {one.name: one for one in (LIGHTGBM,)}

__all__ = ["LEARNERS", "Fitted", "Followed", "Job", "Learner", "Rows"]
