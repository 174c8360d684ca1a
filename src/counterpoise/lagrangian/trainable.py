"""The goals that can be trained for."""

from typing import Any

from counterpoise.errors import UserError
from counterpoise.goals import Goal


def check_trainable(goal: Any) -> None:
    """Raise for a goal that no training of decisions can serve.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> check_trainable(goal("recall"))
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: goal 'recall' is best where everything is flagged; add a constraint, as in \
'recall where precision >= 0.5'
    """
    if not isinstance(goal, Goal):
        raise UserError(f"goal is {goal!r}; pass a text such as 'recall where precision >= 0.5', or a Goal")
    goal.check_served("GoalLoss")
    if goal.ranking:
        raise UserError(
            f"goal '{goal}' judges the order of the scores, not decisions; train with cross-entropy, or with a loss of "
            "counterpoise.rates"
        )
    held = {constraint.rate for constraint in goal.constraints}
    if goal.objective == "recall" and not held - {"recall"}:
        raise UserError(
            f"goal '{goal}' is best where everything is flagged; add a constraint, as in "
            "'recall where precision >= 0.5'"
        )
    if goal.objective in ("precision", "specificity", "fpr", "alerts") and "recall" not in held:
        raise UserError(
            f"goal '{goal}' is best where next to nothing is flagged; add a constraint, as in "
            f"'{goal.objective} where recall >= 0.9'"
        )
    for constraint in goal.constraints:
        if not 0 < constraint.bound < 1:
            raise UserError(
                f"goal '{goal}': {constraint} holds always or hardly ever; a bound to train for lies between 0 and 1, "
                "both excluded"
            )


def check_same_goal(goal: Goal, saved: str | None) -> None:
    """Refuse a state whose multipliers belong to another goal.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> check_same_goal(goal("f1"), "f2")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: this state was learned for goal 'f2', not 'f1'; make the criterion with that goal, \
or start without the state
    """
    if saved != str(goal):
        known = "an unnamed goal" if saved is None else f"goal {saved!r}"
        raise UserError(
            f"this state was learned for {known}, not {str(goal)!r}; make the criterion with that goal, or start "
            "without the state"
        )
