"""The choice among all contestants of a race and their blend, and the reason in words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoise.goals import Goal
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.blend import mixture_shares
from counterpoise.table.racing.entries import BLEND, Entry, Race, Verdict, scored_entry
from counterpoise.table.racing.health import Health
from counterpoise.table.racing.scoring import clearly, standard_error
from counterpoise.ties import difference, first_largest, levels
from counterpoise.wording import percent

_LEAST_GAIN = 0.01
"""Of log loss: for less a blend is not worth its size."""


def verdict_of(
    entries: Sequence[Entry], course: Race, health: Health | None = None, left_out: tuple[str, ...] = ()
) -> Verdict:
    """Choose among the entries and their blend, and say why."""
    standing = _leaders(entries)
    best = _best([entries[k] for k in standing])
    single = entries[standing[best]]
    said = _about_losses(entries, single, [entries[k] for k in standing], course.goal)
    if len(entries) == 1:
        return Verdict(0, tuple(entries), ((0, 1.0),), said, health, left_out)
    # one of each learner: with every loss in it, the shares fit noise and the log loss of rows they did not see rises
    blend, shares = _blend([entries[k] for k in standing], course)
    members = tuple((place, float(share)) for place, share in zip(standing, shares, strict=True) if share)
    everyone = (*entries, blend)
    ahead = difference(blend.scores, single.scores)
    surer = blend.log_loss < (1 - _LEAST_GAIN) * single.log_loss
    if len(members) < 2 or not surer or ahead.mean() < -standard_error(ahead):
        chosen = standing[best]
        return Verdict(chosen, everyone, ((chosen, 1.0),), said, health, left_out)
    largest_first = np.argsort(-levels([share for _, share in members]), kind="stable")
    parts = ", ".join(
        f"{entries[place].label} {percent(share)}" for place, share in (members[k] for k in largest_first)
    )
    goal = f"{_by(course.goal, ahead)} than" if ahead.mean() > 0 else f"{course.goal.label} the same within noise as"
    said += (
        f" A blend ({parts}) is better: {goal} {single.label} alone, log loss {blend.log_loss:.4g} against "
        f"{single.log_loss:.4g}."
    )
    return Verdict(len(entries), everyone, members, said, health, left_out)


def _leaders(entries: Sequence[Entry]) -> list[int]:
    """Of each learner: the settings that do best with plain cross-entropy, or a loss that clearly beats its default."""
    found = []
    for learner in dict.fromkeys(entry.learner for entry in entries):
        places = [k for k, entry in enumerate(entries) if entry.learner == learner]
        plain = [k for k in places if entries[k].loss == PLAIN]
        best, gain = plain[_best([entries[k] for k in plain])], 0.0
        for k in places:
            ahead = difference(entries[k].scores, entries[plain[0]].scores)
            if entries[k].loss != PLAIN and clearly(ahead) and ahead.mean() > gain:
                over = difference(entries[k].scores, entries[best].scores)
                if over.mean() > 0:
                    best, gain = k, float(ahead.mean())
        found.append(best)
    return found


def _best(entries: Sequence[Entry]) -> int:
    """The place of the best: by log loss among those whose score is within one standard error of the best score."""
    top = entries[int(first_largest([entry.score for entry in entries]))]
    behind = [difference(top.scores, entry.scores) for entry in entries]
    near = [k for k, one in enumerate(behind) if one.mean() <= standard_error(one)]
    return near[int(first_largest([-entries[k].log_loss for k in near]))]


def _blend(entries: Sequence[Entry], course: Race) -> tuple[Entry, NDArray[np.float64]]:
    """The mixture, scored with shares that each fold's own rows had no say in; and the shares of all folds."""
    codes = course.rows.codes
    rows = np.arange(len(codes))
    likelihood = np.stack(
        [
            np.where(codes == 1, one.probability, 1 - one.probability)
            if one.probability.ndim == 1
            else one.probability[rows, codes]
            for one in entries
        ]
    )
    probability = np.zeros_like(entries[0].probability)
    for fold in range(course.folds):
        here = course.fold == fold
        for share, entry in zip(mixture_shares(likelihood[:, ~here]), entries, strict=True):
            probability[here] += share * entry.probability[here]
    shares = mixture_shares(likelihood)
    largest = entries[int(first_largest(shares))]
    names = ("Blend", BLEND, "", "")
    return scored_entry(course, names, largest.recipe, largest.rounds, probability), shares


def _about_losses(entries: Sequence[Entry], single: Entry, leaders: Sequence[Entry], goal: Goal) -> str:
    tuned = "" if goal.ranking else " with a tuned threshold"
    if single.probability.ndim == 2:
        tuned = " with tuned thresholds"
    if all(entry.loss in (PLAIN, "") for entry in entries):
        return "Only plain cross-entropy was compared: no other loss took part, or the budget had no time for it."
    if single.loss == PLAIN and (other := next((one for one in leaders if one.loss != PLAIN), None)):
        return f"No loss beat {single.label}{tuned} on this table, though {other.label} beat that learner's plain one."
    if single.loss == PLAIN:
        return f"No loss beat plain cross-entropy{tuned} on this table."
    plain = next(entry for entry in entries if entry.learner == single.learner)
    ahead = difference(single.scores, plain.scores)
    return (
        f"{single.loss[0].upper()}{single.loss[1:]} loss beat plain cross-entropy{tuned}: {_by(goal, ahead)}, better "
        f"in {int(np.sum(ahead > 0))} of {len(ahead)} folds (standard error {standard_error(ahead):.3g})."
    )


def _by(goal: Goal, ahead: NDArray[np.float64]) -> str:
    gain = float(ahead.mean())
    better = "lower" if goal.minimise == (gain >= 0) else "higher"
    return f"{goal.label} {abs(gain):.3g} {better} on average"
