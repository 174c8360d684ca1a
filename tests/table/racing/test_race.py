"""Who takes part in a race when time is short, and in what order."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import counterpoise.table.racing.race as race_module
from counterpoise.goals import Goal
from counterpoise.recipes import sigmoid
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners.learner import Followed, Learner, Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.entries import BLEND, Candidate, Entry, Race
from counterpoise.table.racing.race import race
from counterpoise.table.racing.scoring import standard_error
from counterpoise.table.racing.trials import Trials
from counterpoise.table.racing.verdict import verdict_of
from counterpoise.weights import ClassCounts

pytestmark = pytest.mark.slow

COUNTS = ClassCounts([80, 20])
LOSSES = [
    (PLAIN, sigmoid.binary_cross_entropy(COUNTS)),
    ("focal", sigmoid.focal(COUNTS)),
    ("weighted", sigmoid.weighted(COUNTS)),
]


@dataclass
class Column:
    """Its logits are a column of the matrix."""

    place: int

    def logits(self, matrix, _):
        return matrix[:, self.place]

    def files(self):
        return {"place": bytes([self.place])}


def learner(name, place, ran):
    def fit(job):
        ran.append((name, job.recipe.name.removeprefix("sigmoid.")))
        return Followed(Column(place), np.array([0.5]))

    def load(files, _, outputs):  # noqa: ARG001
        return Column(files["place"][0])

    return Learner(name, name.title(), (), ("place",), lambda _: LOSSES, {"default": {}}, fit, load)


def course(deadline):
    codes = np.repeat([0, 1], [80, 20])
    rng = np.random.default_rng(0)
    matrix = np.stack([4.0 * codes - 2 + rng.normal(size=100), rng.normal(size=100)], axis=1)
    fold = np.arange(100) % 5
    return Race(Rows(matrix, codes), fold, COUNTS, Schema(()), Goal("f1"), 0, Trials(), deadline, lambda *_: None)


def contestants(ran):
    learners = [learner("good", 0, ran), learner("bad", 1, ran)]
    every = [Candidate(one, "default", *loss) for one in learners for loss in LOSSES]
    return sorted(every, key=lambda one: not one.leads)


def test_without_time_only_the_first_reference_runs():
    ran = []
    verdict = race(course(deadline=0.0), contestants(ran))
    assert ran == [("good", "binary_cross_entropy")] * 5
    assert [entry.label for entry in verdict.entries] == ["Good, plain cross-entropy"]
    assert len(verdict.left_out) == 5


def test_every_reference_runs_on_all_folds_before_any_other_loss_runs_on_one():
    ran = []
    verdict = race(course(deadline=float("inf")), contestants(ran))
    plain = "binary_cross_entropy"
    assert ran[:10] == [("good", plain)] * 5 + [("bad", plain)] * 5
    assert sorted(ran[10:14]) == [("bad", "focal"), ("bad", "weighted"), ("good", "focal"), ("good", "weighted")]
    # of six the better four run on all folds: of the other losses two, which are those of the learner that can rank
    assert [entry.learner for entry in verdict.entries] == ["good", "bad", "good", "good", BLEND]
    assert not verdict.left_out


def test_who_is_too_slow_is_left_out_with_its_other_losses():
    ran = []
    here = course(deadline=1e12)
    slow = {"curve": np.array([0.5]), "seconds": np.array(np.inf), "file place": np.array([1], np.uint8)}
    here.trials.put(f"bad default {PLAIN} fold 0 of 5 of {len(here.fold)} rows", slow)
    verdict = race(here, contestants(ran))
    assert verdict.left_out == ("Bad, plain cross-entropy", "Bad, focal", "Bad, weighted")
    assert {entry.learner for entry in verdict.entries} == {"good", BLEND}
    assert "bad" not in dict(ran)


def test_another_loss_does_not_run_without_its_reference(monkeypatch):
    ran, here = [], course(deadline=1e12)
    seconds = {("good", PLAIN): 1.0, ("bad", PLAIN): np.inf}  # the other losses would have been quick

    def slow(course, one, fold, step):
        return {**follow(course, one, fold, step), "seconds": np.array(seconds.get((one.learner.name, one.loss), 0.0))}

    follow = race_module._follow
    monkeypatch.setattr(race_module, "_follow", slow)
    verdict = race(here, contestants(ran))
    assert {entry.learner for entry in verdict.entries} == {"good", BLEND}
    assert set(verdict.left_out) == {"Bad, plain cross-entropy", "Bad, focal", "Bad, weighted"}


def test_health_is_looked_at_wherever_lightgbm_stands(monkeypatch):
    seen = []
    monkeypatch.setattr(race_module, "probe", lambda *_, **__: seen.append("probe"))
    learners = [learner("other", 1, []), learner("lightgbm", 0, [])]
    race(course(deadline=float("inf")), [Candidate(one, "default", *LOSSES[0]) for one in learners])
    assert seen == ["probe"]


def test_what_was_learned_from_other_rows_is_not_taken_up():
    ran, more = [], course(deadline=0.0)
    race(more, contestants(ran))
    kept = np.arange(len(more.fold)) % 10 < 8  # as a smaller budget draws fewer rows
    fewer = replace(more, rows=more.rows.at(kept), fold=more.fold[kept])
    race(fewer, contestants(ran))
    assert len(ran) == 10


@pytest.mark.parametrize("lost, chosen", [(0.5, BLEND), (3.0, "good")], ids=["noise", "a real loss"])
def test_a_surer_blend_is_taken_unless_its_goal_is_clearly_worse(lost, chosen, monkeypatch):
    wobble = np.array([0.02, -0.02, 0.02, -0.02, 0.0])
    single = np.full(5, 0.6)
    blend = single + wobble - lost * standard_error(wobble)
    monkeypatch.setattr("counterpoise.table.racing.entries.fold_scores", lambda *_: (blend, blend))
    codes = np.tile([0, 1], 10)
    halves = np.arange(20) < 10
    right = np.where(codes == 1, 0.95, 0.05)
    entries = []
    for name, here in (("good", halves), ("bad", ~halves)):  # each is sure where the other knows nothing
        probability = np.where(here, right, 0.5)
        loss = float(-np.log(np.where(codes == 1, probability, 1 - probability)).mean())
        scores = single if name == "good" else single - 0.2
        entries.append(Entry(name, name, "", PLAIN, LOSSES[0][1], 1, probability, scores, scores, loss, 0.5))
    rows, fold = Rows(np.zeros((20, 1)), codes), np.arange(20) // 2 % 5
    here = Race(rows, fold, COUNTS, Schema(()), Goal("f1"), 0, Trials(), 0.0, lambda *_: None)
    assert verdict_of(entries, here).winner.learner == chosen
