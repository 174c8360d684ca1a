"""Training for a goal with constraints: class weights that follow the decisions, in any framework."""

from counterpoise.lagrangian.goal_loss import goal_loss, judged
from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian
from counterpoise.lagrangian.progress import Progress
from counterpoise.lagrangian.threshold import Judged, judged_at_best

__all__ = ["GoalState", "Judged", "Lagrangian", "Progress", "goal_loss", "judged", "judged_at_best"]
