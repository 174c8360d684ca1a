"""Goals read and write themselves, and say where a mistake is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.errors import UserError
from counterpoise.goals import RANKINGS, RATES, Constraint, Cost, CostMatrix, Goal
from counterpoise.goals.goal import SUMMARIES
from counterpoise.goals.words import RESERVED, is_name

BETAS = st.sampled_from(["f1", "f2", "f0.5", "f1.25"])
NAMES = st.one_of(st.text(max_size=8), st.sampled_from(["fraud", "very bad", "don't know", '"', "500", *RESERVED]))


@st.composite
def costs(draw):
    right = {name: draw(st.one_of(st.just(0.0), st.floats(-10, 0), NAMES)) for name in ("tp", "tn")}
    wrong = {name: draw(st.one_of(st.floats(1, 1e6), NAMES)) for name in ("fn", "fp")}
    for one, other in (("fn", "tp"), ("fp", "tn")):
        if wrong[one] == right[other]:
            wrong[one] = 1.0
    return Cost(**wrong, **right)


@st.composite
def matrices(draw):
    classes = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    rows = [[draw(st.floats(1, 1e300)) for _ in classes] for _ in classes]
    for k, row in enumerate(rows):
        row[k] = draw(st.one_of(st.just(0.0), st.floats(-1e300, 0.5)))
    return CostMatrix(classes, rows)


def constraints(of, *first):
    """Bounds of distinct rates, each of a class from `of`, after those named by `first`."""
    pinned = [st.builds(Constraint, st.just(rate), SHARES, of) for rate in first]
    free = st.lists(st.builds(Constraint, st.sampled_from(RATES), SHARES, of), max_size=2)
    both = st.tuples(free, *pinned).map(lambda found: [*found[0], *found[1:]])
    return both.map(lambda bounds: list({one.bounded: one for one in bounds}.values()))


SHARES = st.floats(0, 1)
BANDS = st.none() | SHARES
GOALS = {
    "ranking": st.builds(Goal, st.sampled_from(RANKINGS), of=st.none() | NAMES),
    "two classes": st.builds(Goal, st.sampled_from(RATES) | BETAS, constraints(st.none()), review=BANDS),
    "a class by name": st.builds(Goal, st.sampled_from(RATES) | BETAS, constraints(NAMES), of=NAMES, review=BANDS),
    "all classes": st.builds(
        Goal, st.sampled_from(SUMMARIES), constraints(NAMES) | constraints(st.none()), review=BANDS
    ),
    "outcomes": st.builds(Goal, st.just("cost"), constraints(st.none()), costs(), review=BANDS),
    "matrix": matrices().flatmap(
        lambda of: st.builds(Goal, st.just("cost"), constraints(st.sampled_from(of.classes)), st.just(of), review=BANDS)
    ),
    "bounds alone": st.builds(
        Goal,
        st.just("review"),
        st.sampled_from([rate for rate in RATES if rate != "recall"]).flatmap(
            lambda rate: constraints(st.none(), "recall", rate)
        ),
        review=BANDS,
    ),
    "bounds of a class": st.builds(
        Goal, st.just("review"), NAMES.flatmap(lambda of: constraints(st.just(of), "recall", "precision")), review=BANDS
    ),
}


@pytest.mark.parametrize("kind", GOALS)
@given(data=st.data())
def test_text_of_a_goal_reads_back(kind, data):
    goal = data.draw(GOALS[kind])
    assert cp.goal(str(goal)) == goal


WORDS = [
    *RESERVED,
    *RATES,
    *SUMMARIES,
    *RANKINGS,
    "f1",
    "cost",
    "review",
    "fn",
    "fp",
    "tp",
    "a",
    "b",
    "'a b'",
    "0.5",
    "9",
]
SIGNS = ["0.5", "9", "'a b'", ">=", "<=", "=", ",", "%", "'", '"', "\n"]


@given(st.one_of(st.text(), st.lists(st.sampled_from([*WORDS, *SIGNS])).map(" ".join)))
def test_any_text_is_a_goal_or_a_mistake_at_its_place(text):
    try:
        goal = cp.goal(text)
    except UserError as error:
        place = int(re.match(r"goal .*, character (\d+): ", str(error), re.DOTALL)[1])
        assert 1 <= place <= len(text) + 1
    else:
        assert cp.goal(str(goal)) == goal


@given(NAMES)
def test_a_name_is_read_as_it_stands(name):
    assert cp.goal(f"recall of {name}" if is_name(name) else str(Goal("recall", of=name))).of == name


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("  Recall WHERE precision>=50% ", "recall where precision >= 0.5"),
        ("precision where recall ≥ .9 and alerts≤2 %", "precision where recall >= 0.9 and alerts <= 0.02"),
        ("recall where alerts <= 200 per 10000", "recall where alerts <= 0.02"),
        ("recall where fpr<=1 PER 1e3", "recall where fpr <= 0.001"),
        ("cost fn=500, fp=10", "cost fn=500 fp=10"),
        ("cost fp = 10 fn = 5e2 tp=-1 where fpr <= 0.1", "cost fn=500 fp=10 tp=-1 where fpr <= 0.1"),
        ("cost FN=Amount fp=10", "cost fn=Amount fp=10"),
        ("cost fn=\"loan 'amount'\" fp='10'", "cost fn='loan ''amount''' fp='10'"),
        ("cost good as Bad = 1, Bad as good = 5", "cost good as Bad=1 Bad as good=5"),
        ("f_2", "f2"),
        ("f1.0", "f1"),
        ("F0.00001", "f0.00001"),
        ('RECALL OF Fraud where precision of "Fraud" >= 0.5', "recall of Fraud where precision of Fraud >= 0.5"),
        ("roc_auc of 'very bad'", "roc_auc of 'very bad'"),
        ("recall of 'where'", "recall of 'where'"),
        ("macro_f1 where recall of 3 >= 0.9", "macro_f1 where recall of '3' >= 0.9"),
        ("precision >= .9 and recall >= .8", "precision >= 0.9 and recall >= 0.8"),
        (
            "precision >= .9 and recall >= .8 with review <= 5%",
            "precision >= 0.9 and recall >= 0.8 with review <= 0.05",
        ),
        ("f1 WITH REVIEW<=50 per 1000", "f1 with review <= 0.05"),
    ],
)
def test_spellings(text, canonical):
    assert str(cp.goal(text)) == canonical
    assert cp.goal(canonical) == cp.goal(text)


def test_the_parts_of_a_goal():
    goal = cp.goal("recall of fraud where precision of fraud >= 0.5 with review <= 5%")
    assert goal == Goal("recall", (Constraint("precision", 0.5, of="fraud"),), of="fraud", review=0.05)
    assert cp.goal("precision >= 0.9 and recall >= 0.8").objective == "review"
    assert cp.goal("cost fn=amount fp=10 tn=amount").columns == ("amount",)


def test_a_goal_that_came_from_a_file_needs_it_no_more(tmp_path):
    file = tmp_path / "my costs.csv"
    file.write_text(",good,bad\ngood,0,1\nbad,5,-1\n", encoding="utf-8")
    goal = cp.goal(f"cost from '{file}' where recall of bad >= 0.9")
    file.unlink()
    assert str(goal) == "cost good as bad=1 bad as good=5 bad as bad=-1 where recall of bad >= 0.9"
    assert (
        cp.goal(str(goal))
        == goal
        == Goal("cost", (Constraint("recall", 0.9, of="bad"),), CostMatrix(("good", "bad"), [[0, 1], [5, -1]]))
    )


@pytest.mark.parametrize(
    "text, place, message",
    [
        ("", 1, "the name of a goal, such as f1 or recall is missing"),
        ("recal", 1, "did you mean 'recall'?"),
        ("zebra", 1, "unknown goal 'zebra'; known: average_precision"),
        ("'recall'", 1, "unknown goal 'recall'"),
        ("f0", 1, "'f0' needs a finite beta above 0"),
        ("f" + 400 * "9", 1, "needs a finite beta above 0"),
        ("f_beta", 1, "f_beta stands for f1, f2, f0.5"),
        ("recall were precision >= 0.5", 8, "found 'were' where 'where' or 'with' should be"),
        ("recall where precison >= 0.5", 14, "did you mean 'precision'?"),
        ("recall where f1 >= 0.5", 14, "unknown rate 'f1'"),
        ("recall where precision > 0.5", 24, "found '>'; precision is bounded with '>='"),
        ("recall where precision <= 0.5", 24, "found '<='"),
        ("recall where alerts >= 0.5", 21, "alerts is bounded with '<='"),
        ("recall where precision >= much", 27, "'much' is not a number"),
        ("recall where precision >= nan", 27, "'nan' is not a number"),
        ("recall where precision >= '1'", 27, "'1' is not a number"),
        ("recall where precision >= 1.5", 27, "lies between 0 and 1 (or 0% and 100%), not at 1.5"),
        ("recall where precision >= 150%", 27, "not at 150%"),
        ("recall where precision >= -0.1", 27, "not at -0.1"),
        ("recall where alerts <= 200", 24, "a number of rows is written 200 per 10000"),
        ("recall where alerts <= 200 per 100", 24, "not at 200 per 100"),
        ("recall where alerts <= 200 per 0", 32, "write a number above 0"),
        ("recall where alerts <= 200 per", 31, "a number of rows is missing"),
        ("recall where precision >=", 26, "a number is missing"),
        ("recall where", 13, "a rate, such as precision is missing"),
        ("recall where precision >= 0.5 or alerts <= 1%", 31, "found 'or' where 'and'"),
        ("recall where precision >= 0.5 and precision >= 0.6", 35, "precision is bounded twice"),
        ("recall where fpr <= 0.1 and specificity >= 0.5", 29, "(it is 1 - fpr)"),
        ("average_precision where recall >= 0.5", 1, "takes no constraint"),
        ("roc_auc with review <= 5%", 1, "takes no constraint"),
        ("recall of where precision >= 0.5", 11, "found 'where' where the name of a class should be"),
        ("recall of", 10, "the name of a class is missing"),
        ("recall of 'very bad", 11, "the quote ' is not closed"),
        ("recall of fraud where precision >= 0.5", 23, "as in precision of fraud"),
        ("recall where precision of fraud >= 0.5", 14, "as in recall of fraud"),
        ("macro_f1 of fraud", 1, "is about all classes"),
        ("cost fn=500", 12, "the cost of fp is missing"),
        ("cost", 5, "the cost of fn and fp is missing"),
        ("cost fn=5 fn=6 fp=1", 11, "'fn' is given twice"),
        ("cost fm=5 fp=1", 6, "unknown outcome 'fm'"),
        ("cost fn 5", 9, "'=' should be"),
        ("cost fn=5O0 fp=1", 9, "'5O0' is not a number; a column of that name goes in quotes"),
        ("cost fn=nan fp=1", 9, "'nan' is not a number"),
        ("cost fn=1e999 fp=1", 9, "'1e999' is not a number"),
        ("cost fn=1,000 fp=1", 11, "unknown outcome '000'"),
        ("cost fn=1 fp=1 tp=2", 20, "a wrong decision must cost more"),
        ("cost fn=amount fp=1 tp=amount where recall >= 0", 31, "a wrong decision must cost more"),
        ("cost from", 10, "the name of a CSV file is missing"),
        ("cost from nowhere.csv", 11, "cannot be read"),
        ("cost a as b=1 b as c=2", 23, "the cost of a as c, b as a, c as a and 1 more is missing"),
        ("cost a as b=1 a as b=2", 15, "the cost of a as b is given twice"),
        ("cost a as b=amount b as a=1", 13, "'amount' is not a number"),
        ("cost a as b=1 fn=2", 17, "found '=' where 'as' should be"),
        ("cost a as b=1 b as a=1 where recall of c >= 0.5", 30, "unknown class of the cost matrix 'c'"),
        ("precision >= 0.9", 1, "bound recall and another rate"),
        ("precision >= 0.9 and fpr <= 0.1", 1, "bound recall and another rate"),
        ("f1 >= 0.9 and recall >= 0.8", 1, "unknown rate 'f1'"),
        ("recall where review <= 5%", 14, "as in 'with review <= 5%'"),
        ("recall with review >= 5%", 20, "review is bounded with '<='"),
        ("recall with review <= 5", 23, "review lies between 0 and 1"),
        ("recall with revue <= 5%", 13, "found 'revue' where 'review' should be"),
        ("recall with review <= 5% where fpr <= 0.1", 26, "review is bounded last"),
    ],
)
def test_mistakes_are_pointed_at(text, place, message):
    with pytest.raises(ValueError) as error:
        cp.goal(text)
    assert isinstance(error.value, UserError)
    assert f"character {place}: " in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_goal_is_text():
    with pytest.raises(UserError, match="a goal is text"):
        cp.goal(0.5)


@pytest.mark.parametrize(
    "text, hint",
    [
        ("sensitivity where precision >= 0.5", "it is called 'recall' here"),
        ("recall where TPR >= 0.5", "it is called 'recall' here"),
        ("precision where tnr >= 0.5", "it is called 'specificity' here"),
        ("recall where fnr <= 0.1", "it is 1 - recall: write 'recall', and 'recall >= 0.9' for 'fnr <= 0.1'"),
        ("auprc", "it is called 'average_precision' here"),
        ("pr_auc", "it is called 'average_precision' here"),
        ("AUC", "it is called 'roc_auc' here"),
        ("roc-auc", "it is called 'roc_auc' here"),
        ("recall where auc >= 0.9", "'roc_auc' can be a goal, but is not a rate that can be bounded"),
        ("recall where f1 >= 0.9", "'f1' can be a goal, but is not a rate that can be bounded"),
        ("accuracy", "ask for 'balanced_accuracy', 'mcc' or a cost"),
        ("recall where accuracy >= 0.9", "bound precision, recall or fpr"),
    ],
)
def test_other_words_for_a_rate_are_answered_with_ours(text, hint):
    with pytest.raises(UserError, match=r"character \d+: unknown (goal|rate)") as error:
        cp.goal(text)
    assert hint in str(error.value)


def test_a_goal_is_read_already():
    goal = cp.goal("recall where precision >= 0.5")
    assert cp.goal(goal) is goal
