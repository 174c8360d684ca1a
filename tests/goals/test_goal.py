"""Goals check what they are made of, and score what was decided."""

import pytest

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.goals import RATES, Confusion, Constraint, Cost, CostMatrix, Goal
from counterpoise.goals.constraint import LARGER_IS_BETTER

PRECISION, RECALL = Constraint("precision", 0.9), Constraint("recall", 0.8)
MATRIX = CostMatrix(("good", "bad"), [[0, 1], [5, 0]])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Goal("nonsense"), "unknown goal 'nonsense'"),
        (lambda: Goal("recal"), "did you mean 'recall'?"),
        (lambda: Goal("f0"), "'f0' needs a finite beta above 0"),
        (lambda: Goal("cost"), "costs=None"),
        (lambda: Goal("f1", costs=Cost(fn=2, fp=1)), "no costs with another objective"),
        (lambda: Goal("cost", costs=[[0, 1], [5, 0]]), "write Goal('cost', costs=Cost(fn=500, fp=10))"),
        (lambda: Goal("f1", ("precision >= 0.5",)), "'precision >= 0.5' is not a constraint"),
        (lambda: Goal("roc_auc", (RECALL,)), "takes no constraint"),
        (lambda: Goal("roc_auc", review=0.1), "takes no constraint"),
        (lambda: Goal("f1", review=5), "review lies between 0 and 1, not at 5"),
        (lambda: Goal("f1", (RECALL, Constraint("recall", 0.9))), "recall is bounded twice; keep the stricter"),
        (lambda: Goal("f1", (Constraint("fpr", 0), Constraint("specificity", 1))), "(it is 1 - fpr)"),
        (lambda: Goal("macro_f1", of="fraud"), "'macro_f1' is about all classes; omit 'of fraud'"),
        (lambda: Goal("recall", (PRECISION,), of="fraud"), "as in precision of fraud"),
        (lambda: Goal("cost", (RECALL,), MATRIX), "the cost matrix names a class and recall does not"),
        (lambda: Goal("cost", (Constraint("recall", 0.8, of="bat"),), MATRIX), "did you mean 'bad'?"),
        (lambda: Goal("cost", (Constraint("recall", 0.8, of="a"),), Cost(2, 1)), "recall of a names a class and cost"),
        (lambda: Goal("review"), "bound recall and another rate"),
        (lambda: Goal("review", (RECALL,)), "bound recall and another rate"),
        (lambda: Goal("review", (PRECISION, Constraint("fpr", 0.1))), "flagging all rows or none"),
        (lambda: Constraint("precison", 0.5), "unknown rate 'precison'; did you mean 'precision'?"),
        (lambda: Constraint("precision", 50), "precision lies between 0 and 1, not at 50; write 20% as 0.2"),
        (lambda: Constraint("precision", "half"), "the bound of precision is 'half'; it must be a finite number"),
        (lambda: Constraint("precision", float("nan")), "the bound of precision is nan"),
    ],
)
def test_what_is_made_by_hand_is_checked(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["f2", "f_2", "f2.0", "f02"])
def test_an_objective_has_one_spelling(name):
    assert Goal(name).objective == "f2"


def test_a_class_is_named_as_text():
    assert Goal("recall", (Constraint("precision", 0.5, of=3),), of=3).classes == ("3",)


@pytest.mark.parametrize(
    "text, needs",
    [
        ("recall where precision >= 0.5", ()),
        ("recall of a where precision of b >= 0.5", ("class",)),
        ("macro_f1 where recall of a >= 0.5", ("class",)),
        ("cost a as b=1 b as a=2 where recall of a >= 0.5", ("matrix",)),
        ("cost fn=amount fp=10", ("columns",)),
        ("cost fn=amount fp=10 with review <= 1%", ("columns", "review")),
        ("precision >= 0.9 and recall >= 0.8", ("review",)),
        ("recall of a with review <= 5%", ("class", "review")),
    ],
)
def test_what_a_goal_needs_must_be_served(text, needs):
    goal = cp.goal(text)
    assert goal.needs == needs
    goal.check_served("it", *needs)
    for lacking in needs:
        with pytest.raises(UserError, match="is not for it: it "):
            goal.check_served("it", *(need for need in needs if need != lacking))


@pytest.mark.parametrize(
    "text, message",
    [
        ("cost fn=amount fp=10", "a different cost in each row"),
        ("cost a as b=1 b as a=2", "do not determine the value"),
        ("precision >= 0.9 and recall >= 0.8", "do not determine the value"),
    ],
)
def test_four_counts_do_not_tell_everything(text, message):
    with pytest.raises(UserError, match=message):
        cp.goal(text).score(Confusion(tp=3, fp=1, fn=1, tn=2))


def test_rates_are_scikit_learns():
    from sklearn import metrics

    truth, chosen = [0, 0, 1, 1, 1, 0, 1], [0, 1, 1, 0, 1, 0, 1]
    at = Confusion(tp=3, fp=1, fn=1, tn=2)
    for goal, expected in [
        ("f1", metrics.f1_score(truth, chosen)),
        ("f2", metrics.fbeta_score(truth, chosen, beta=2)),
        ("macro_f1", metrics.f1_score(truth, chosen, average="macro")),
        ("mcc", metrics.matthews_corrcoef(truth, chosen)),
        ("balanced_accuracy", metrics.balanced_accuracy_score(truth, chosen)),
        ("precision", metrics.precision_score(truth, chosen)),
        ("recall", metrics.recall_score(truth, chosen)),
    ]:
        assert cp.goal(goal).value(at) == pytest.approx(expected)


@pytest.mark.parametrize("rate", RATES)
def test_a_kept_bound_has_no_shortfall(rate):
    at = Confusion(tp=3, fp=1, fn=1, tn=2)
    bound = float(getattr(at, rate))
    assert Constraint(rate, bound).shortfall(at) == 0
    worse = bound + 0.1 if rate in LARGER_IS_BETTER else bound - 0.1
    assert Constraint(rate, worse).shortfall(at) == pytest.approx(0.1)
