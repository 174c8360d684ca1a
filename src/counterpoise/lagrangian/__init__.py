"""Training for a goal with constraints: class weights that follow the decisions, in any framework."""

from counterpoise.lagrangian.lagrangian import GoalState, Lagrangian, Progress, goal_loss, judged

__all__ = ["GoalState", "Lagrangian", "Progress", "goal_loss", "judged"]
