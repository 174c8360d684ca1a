"""Goals read and write themselves, and say where a mistake is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.errors import UserError
from counterpoise.goals import Confusion, Constraint, Cost, Goal
from counterpoise.goals.goal import LARGER_IS_BETTER, RANKINGS, RATES, SUMMARIES

BOUNDS = st.floats(0, 1)
COSTS = st.floats(1, 1e6)


@st.composite
def goals(draw):
    if draw(st.booleans()):
        cost = Cost(fn=draw(COSTS), fp=draw(COSTS), tp=draw(st.floats(-10, 0)), tn=draw(st.floats(-10, 0)))
        objective = "cost"
    else:
        cost = None
        objective = draw(st.sampled_from([*SUMMARIES, *RATES, "f1", "f2", "f0.5", "f1.25"]))
    constraints = draw(st.lists(st.builds(Constraint, st.sampled_from(RATES), BOUNDS), max_size=3))
    return Goal(objective, tuple(constraints), cost)


@given(goals())
def test_text_of_a_goal_reads_back(goal):
    assert Goal.parse(str(goal)) == goal


@pytest.mark.parametrize("name", RANKINGS)
def test_rankings_read_back(name):
    assert str(Goal.parse(name)) == name
    assert Goal.parse(name).ranking


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("  Recall WHERE precision>=50% ", "recall where precision >= 0.5"),
        ("precision where recall ≥ .9 and alerts≤2%", "precision where recall >= 0.9 and alerts <= 0.02"),
        ("cost fn=500, fp=10", "cost fn=500 fp=10"),
        ("cost fp = 10 fn = 5e2 tp=-1 where fpr <= 0.1", "cost fn=500 fp=10 tp=-1 where fpr <= 0.1"),
        ("f_2", "f2"),
        ("f1.0", "f1"),
    ],
)
def test_spellings(text, canonical):
    assert str(Goal.parse(text)) == canonical


@pytest.mark.parametrize(
    "text, place, message",
    [
        ("", 1, "the name of a goal, such as f1 or recall is missing"),
        ("recal", 1, "did you mean 'recall'?"),
        ("zebra", 1, "unknown goal 'zebra'; known: average_precision"),
        ("f0", 1, "needs a beta above 0"),
        ("recall were precision >= 0.5", 8, "found 'were' where 'where' or the end should be"),
        ("recall where precison >= 0.5", 14, "did you mean 'precision'?"),
        ("recall where f1 >= 0.5", 14, "unknown rate 'f1'"),
        ("recall where precision > 0.5", 24, "found '>'; precision is bounded with '>='"),
        ("recall where precision <= 0.5", 24, "found '<='"),
        ("recall where alerts >= 0.5", 21, "alerts is bounded with '<='"),
        ("recall where precision >= much", 27, "'much' is not a number"),
        ("recall where precision >= nan", 27, "'nan' is not a number"),
        ("recall where precision >= 1.5", 27, "lies between 0 and 1 (or 0% and 100%), not at 1.5"),
        ("recall where precision >= 150%", 27, "not at 150%"),
        ("recall where precision >= -0.1", 27, "not at -0.1"),
        ("recall where precision >=", 26, "a number is missing"),
        ("recall where", 13, "a rate, such as precision is missing"),
        ("recall where precision >= 0.5 or alerts <= 1%", 31, "found 'or' where 'and'"),
        ("average_precision where recall >= 0.5", 1, "takes no constraint"),
        ("cost fn=500", 12, "the cost of fp is missing"),
        ("cost", 5, "the cost of fn and fp is missing"),
        ("cost fn=5 fn=6 fp=1", 11, "'fn' is given twice"),
        ("cost fm=5 fp=1", 6, "unknown outcome 'fm'"),
        ("cost fn 5", 9, "'=' should be"),
        ("cost fn=x fp=1", 9, "'x' is not a number"),
        ("cost fn=1 fp=1 tp=2", 20, "a wrong decision must cost more"),
    ],
)
def test_mistakes_are_pointed_at(text, place, message):
    with pytest.raises(UserError) as error:
        Goal.parse(text)
    assert f"character {place}: " in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Goal("nonsense"), "unknown goal 'nonsense'"),
        (lambda: Goal("recal"), "did you mean 'recall'?"),
        (lambda: Goal("f0"), "'f0' needs a beta above 0"),
        (lambda: Goal("cost"), "costs=None"),
        (lambda: Goal("f1", costs=Cost(fn=2, fp=1)), "no costs with another objective"),
        (lambda: Goal("f1", ("precision >= 0.5",)), "'precision >= 0.5' is no constraint"),
        (lambda: Goal("roc_auc", (Constraint("recall", 0.5),)), "takes no constraint"),
        (lambda: Constraint("precison", 0.5), "unknown rate 'precison'; did you mean 'precision'?"),
        (lambda: Constraint("precision", 50), "precision lies between 0 and 1, not at 50"),
        (lambda: Constraint("precision", "half"), "the bound of precision is 'half'; it must be a finite number"),
        (lambda: Constraint("precision", float("nan")), "the bound of precision is nan"),
        (lambda: Cost(fn=float("inf"), fp=1), "the cost fn is inf; it must be a finite number"),
        (lambda: Cost(fn=1, fp=1, tn=1), "a wrong decision must cost more than the right one (fp= and tn=)"),
    ],
)
def test_what_is_made_by_hand_is_checked(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)


def test_rates_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
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
        assert Goal.parse(goal).value(at) == pytest.approx(expected)


@pytest.mark.parametrize("rate", RATES)
def test_a_kept_bound_has_no_shortfall(rate):
    at = Confusion(tp=3, fp=1, fn=1, tn=2)
    bound = float(getattr(at, rate))
    assert Constraint(rate, bound).shortfall(at) == 0
    worse = bound + 0.1 if rate in LARGER_IS_BETTER else bound - 0.1
    assert Constraint(rate, worse).shortfall(at) == pytest.approx(0.1)
