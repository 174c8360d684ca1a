"""A class by name among many is the two-class problem of that class against all others."""

import numpy as np
import pytest

from counterpoise import goals
from counterpoise.decide import choose_review_band, choose_threshold, for_class
from counterpoise.errors import UserError

CLASSES = ["honest", "very bad", "fraud"]


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    target = rng.choice(3, 3000, p=[0.85, 0.1, 0.05])
    odds = np.exp(rng.normal(size=(3000, 3)) + 2.5 * np.eye(3)[target] + np.log([0.85, 0.1, 0.05]))
    return target, odds / odds.sum(axis=1, keepdims=True)


def test_the_two_class_problem(scored):
    target, probability = scored
    one = for_class("recall of fraud where precision of fraud >= 0.5 and fpr of fraud <= 1%", CLASSES, *scored)
    assert one.place == 2
    assert one.goal == goals.goal("recall where precision >= 0.5 and fpr <= 0.01")
    decision = choose_threshold(one.target, one.probability, one.goal)
    flagged = decision.apply(one.probability)
    chosen = one.classes(probability, flagged)
    assert decision.promised
    assert np.mean(target[chosen == 2] == 2) == pytest.approx(float(decision.confusion.precision))
    assert np.mean(chosen[target == 2] == 2) == pytest.approx(float(decision.confusion.recall))
    rest = chosen != 2
    assert np.array_equal(chosen[rest], np.argmax(probability[rest, :2], axis=1))


def test_rows_left_to_a_person_have_no_class(scored):
    _, probability = scored
    one = for_class("precision of 'very bad' >= 0.8 and recall of 'very bad' >= 0.6", CLASSES, *scored)
    band = choose_review_band(one.target, one.probability, one.goal)
    codes = band.apply(one.probability)
    chosen = one.classes(probability, codes)
    assert np.array_equal(chosen == -1, codes == -1)
    assert np.array_equal(chosen == 1, codes == 1)


def test_names_need_not_be_text(scored):
    assert for_class("f1 of '7'", [3, 5, 7], *scored).place == 2


@pytest.mark.parametrize(
    "goal, message",
    [
        ("recall where precision >= 0.5", "is not about one class only"),
        ("recall of fraud where precision of honest >= 0.5", "is not about one class only"),
        ("macro_f1 where recall of fraud >= 0.5", "is not about one class only"),
        ("recall of honest >= 0.5 and recall of fraud >= 0.5", "is not about one class only"),
        ("recall of frauds where precision of frauds >= 0.5", "did you mean 'fraud'"),
        ("cost honest as fraud=1 fraud as honest=5", "has a cost matrix"),
    ],
)
def test_goals_that_are_refused(goal, message, scored):
    with pytest.raises(UserError, match=message):
        for_class(goal, CLASSES, *scored)


def test_bad_input(scored):
    target, probability = scored
    with pytest.raises(UserError, match="probability has 3 columns"):
        for_class("f1 of fraud", ["honest", "fraud"], target, probability)
    with pytest.raises(UserError, match="name each once"):
        for_class("f1 of fraud", ["fraud", "honest", "fraud"], target, probability)
    with pytest.raises(UserError, match="target 3 in row 0 is not a class"):
        for_class("f1 of fraud", CLASSES, [3], probability[:1])
    one = for_class("f1 of fraud", CLASSES, target, probability)
    with pytest.raises(UserError, match=r"pass \(N, C\) and \(N,\)"):
        one.classes(probability, [True])
    with pytest.raises(UserError, match="decided is 2 in row 1"):
        one.classes(probability[:2], [1, 2])
    with pytest.raises(UserError, match="probability nan in row 0, class 1"):
        one.classes([[0.5, np.nan, 0.5]], [True])
