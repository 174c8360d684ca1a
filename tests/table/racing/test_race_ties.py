"""What wins, how long it learns and what is listed first does not hang on the last digits."""

import numpy as np
import polars as pl
import pytest

import counterpoise.table.features.text as text_module
from counterpoise import goals
from counterpoise.goals import Goal
from counterpoise.recipes import sigmoid
from counterpoise.table.features.schema import Schema
from counterpoise.table.features.text import WORDS, Text
from counterpoise.table.learners.curve import Curve
from counterpoise.table.learners.learner import Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.blend import mixture_shares
from counterpoise.table.racing.entries import BLEND, Entry, Race
from counterpoise.table.racing.trials import Trials
from counterpoise.table.racing.verdict import verdict_of
from counterpoise.table.training.importance import importance_of
from counterpoise.weights import ClassCounts

pytestmark = pytest.mark.slow

COUNTS = ClassCounts([30, 10])
CODES = np.repeat([0, 1], [30, 10])
FOLD = np.arange(40) % 5
SEEDS = range(20)


def shaken(values, seed):
    """The same numbers on another machine: a few units in the last place up or down."""
    values = np.asarray(values, np.float64)
    return values + np.random.default_rng(seed).integers(-3, 4, values.shape) * np.spacing(values)


def entry(name, loss, seed, goal=0.0):
    probability = shaken(np.where(CODES == 1, 0.4, 0.1), seed)
    scores = shaken(np.array([0.6, 0.5, 0.7, 0.6, 0.4]) + goal, seed)
    lost = float(shaken(0.3, seed))
    label = f"{name}, {loss}"
    return Entry(label, name, "default", loss, sigmoid.focal(COUNTS), 1, probability, scores, scores, lost, 0.5)


@pytest.mark.parametrize("goal", ["f1", "average_precision", "cost fn=9 fp=1"])
def test_of_contestants_that_are_alike_the_first_wins(goal):
    rows = Rows(np.zeros((40, 1)), CODES)
    here = Race(rows, FOLD, COUNTS, Schema(()), goals.goal(goal), 0, Trials(), 0.0, lambda *_: None)
    for seed in SEEDS:
        names = [("a", PLAIN), ("a", "focal"), ("b", PLAIN), ("b", "weighted"), ("c", PLAIN)]
        entries = [entry(*name, 10 * seed + k) for k, name in enumerate(names)]
        verdict = verdict_of(entries, here)
        assert verdict.chosen == 0
        assert [one.learner for one in verdict.entries] == ["a", "a", "b", "b", "c", BLEND]
        assert "No loss beat plain cross-entropy" in verdict.sentence


def test_a_loss_that_is_always_ahead_by_rounding_does_not_beat_the_plain_one():
    plain = entry("a", PLAIN, 0)
    ahead = plain.scores + 2 * np.spacing(plain.scores)
    other = Entry("a, focal", "a", "default", "focal", plain.recipe, 1, plain.probability, ahead, ahead, 0.3, 0.5)
    here = Race(Rows(np.zeros((40, 1)), CODES), FOLD, COUNTS, Schema(()), Goal("f1"), 0, Trials(), 0.0, lambda *_: None)
    assert verdict_of([plain, other], here).chosen == 0


def test_of_members_that_are_alike_the_first_are_kept():
    rng = np.random.default_rng(0)
    likelihood = rng.uniform(0.2, 0.9, 50)
    for seed in SEEDS:
        shares = mixture_shares(np.stack([shaken(likelihood, 10 * seed + k) for k in range(7)]))
        np.testing.assert_allclose(shares, [0.25] * 4 + [0.0] * 3, atol=1e-9)


def test_a_plateau_is_no_progress():
    """The rounds after a curve's best are counted from where it got there, not from the last digit's whim."""
    for seed in SEEDS:
        curve = Curve(sigmoid.binary_cross_entropy(), Rows(np.zeros((2, 1)), np.array([0, 1])), patience=3)
        stalled = []
        for k, logit in enumerate([0.0, 0.5, 1.0, 1.0, 1.0, 1.0]):
            curve.add(shaken([-logit, logit], 10 * seed + k))
            stalled.append(curve.stalled)
        assert stalled == [False] * 5 + [True]


def test_columns_that_matter_alike_stay_in_their_order():
    """Three columns say the same and the prediction uses each: their drops differ by rounding only."""
    rng = np.random.default_rng(0)
    size = rng.permutation(200) / 200.0
    frame = pl.DataFrame({name: size if name != "b" else np.zeros(200) for name in "dcba"})
    truth = size > 0.8
    codes = np.where(size < 0.1, 2, truth)  # three classes: the measure is the log loss, a sum over all rows
    for seed in SEEDS[:5]:
        calls = iter(range(1000 * seed, 1000 * seed + 1000))

        def predict(rows, calls=calls):
            part = 0.4 * rows["a"].to_numpy()
            return shaken(np.stack([np.full(len(part), 0.5), 0.1 + part, 0.4 - part], axis=1), next(calls)).clip(0, 1)

        found = importance_of(predict, frame, list("dcba"), codes, Goal("macro_f1"))
        assert [one.column for one in found] == list("adcb")
        assert [one.drop for one in found[1:]] == [0.0] * 3


def test_a_component_of_text_has_one_sign(monkeypatch):
    """The first of the terms that weigh most is positive, whichever sign the decomposition came with."""
    texts = pl.Series(["red fox", "red fox", "blue owl", "blue owl", "red owl", "green fox ."] * 20)
    target = pl.DataFrame({"y": [0, 0, 1, 1, 0, 1] * 20})
    plain = Text.learn(texts, WORDS, target)
    from sklearn.decomposition import TruncatedSVD

    class Turned(TruncatedSVD):
        def fit(self, rows):
            super().fit(rows)
            turn = np.where(np.arange(len(self.components_)) % 2, 1.0, -1.0)[:, None]
            self.components_ = shaken(turn * self.components_, 1)
            return self

    monkeypatch.setattr("sklearn.decomposition.TruncatedSVD", Turned)
    turned = Text.learn(texts, WORDS, target)
    np.testing.assert_allclose(turned.components, plain.components, atol=1e-6)
    size = np.abs(plain.components)
    assert text_module.COMPONENTS >= len(size) > 1
    for row, sizes in zip(plain.components, size, strict=True):
        assert row[np.flatnonzero(sizes >= 0.999999 * sizes.max())[0]] > 0
