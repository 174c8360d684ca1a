"""What cannot serve a kind of goal refuses it, before it looks at anything else."""

import pytest

import counterpoise as cp
from absent import needs
from counterpoise.decide import choose_class_thresholds, choose_threshold, measure_binary, measure_multiclass
from counterpoise.errors import UserError

BINARY = ([0, 1], [0.1, 0.9])
MULTICLASS = ([0, 1, 2], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
USERS = {
    "choose_threshold": lambda goal: choose_threshold(*BINARY, goal),
    "measure_binary": lambda goal: measure_binary(*BINARY, 0.5, goal),
    "choose_class_thresholds": lambda goal: choose_class_thresholds(*MULTICLASS, goal),
    "measure_multiclass": lambda goal: measure_multiclass(*MULTICLASS, [1 / 3] * 3, goal),
}
GOALS = {
    "macro_f1 where recall of fraud >= 0.5": "names a class",
    "average_precision of fraud": "names a class",
    "cost good as bad=1 bad as good=5": "has a cost matrix",
    "cost fn=amount fp=10": "takes costs from columns",
    "precision >= 0.9 and recall >= 0.8": "leaves rows to a person",
    "macro_f1 with review <= 5%": "leaves rows to a person",
}


@pytest.mark.parametrize("text", GOALS)
@pytest.mark.parametrize("user", USERS)
def test_a_kind_of_goal_that_is_not_served(user, text):
    with pytest.raises(UserError, match=GOALS[text]):
        USERS[user](cp.goal(text))


@pytest.mark.parametrize("text", [text for text in GOALS if text != "average_precision of fraud"])
def test_train_refuses_before_it_reads_the_table(text):
    needs("polars")
    needs("typer")
    from counterpoise.cli.commands import run

    with pytest.raises(UserError, match=f"is not for train: it {GOALS[text]}"):
        run(["train", "nowhere.csv", "--target", "label", "--goal", text])
