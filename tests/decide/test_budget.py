"""A budget is spent on the highest scores, and never exceeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.decide import top_k, within_budget
from counterpoise.errors import UserError

SCORES = st.lists(st.one_of(st.floats(0, 1), st.integers(0, 4).map(lambda k: k / 4)), max_size=30)


@given(scores=SCORES, k=st.integers(0, 35))
def test_the_highest_scores_the_earlier_first(scores, k):
    by_rank = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    assert np.flatnonzero(top_k(scores, k)).tolist() == sorted(by_rank[:k])


@given(scores=SCORES, bound=st.integers(0, 100))
def test_a_share_of_the_batch(scores, bound):
    flagged = within_budget(scores, f"recall where alerts <= {bound}%")
    assert flagged.sum() == bound * len(scores) // 100


def test_two_hundred_of_ten_thousand():
    scores = np.random.default_rng(0).random(10_000).round(2)
    flagged = within_budget(scores, "recall where alerts <= 200 per 10000")
    assert flagged.sum() == 200
    assert scores[flagged].min() >= scores[~flagged].max()


@pytest.mark.parametrize("k", [-1, 1.0, True, "2", None])
def test_a_number_of_rows_that_is_none(k):
    with pytest.raises(UserError, match="whole number of 0 or more"):
        top_k([0.1, 0.2], k)


@pytest.mark.parametrize(
    "scores, message", [([0.1, np.nan], "nan in row 1"), ([[0.1]], r"\(1, 1\)"), ([2], "2.0 in row 0")]
)
def test_scores_that_are_none(scores, message):
    for flag in (lambda: top_k(scores, 1), lambda: within_budget(scores, "recall where alerts <= 5%")):
        with pytest.raises(UserError, match=message):
            flag()


@pytest.mark.parametrize(
    "goal, message",
    [
        ("recall where precision >= 0.5", "it takes one like"),
        ("f1 where alerts <= 5%", "it takes one like"),
        ("recall where alerts <= 5% and precision >= 0.5", "it takes one like"),
        ("recall of a where alerts of a <= 5%", "names a class"),
        (0.5, "a goal is text, such as"),
    ],
)
def test_goals_that_are_refused(goal, message):
    with pytest.raises(UserError, match=message):
        within_budget([0.1], goal)
