"""The best learner and loss for the goal on this table, judged so that noise does not win.

Every contestant, a learner with a loss, learns on the same folds and predicts the rows it has not seen. Each fold is
decided by the threshold that is best on the *other* folds: a threshold is part of what is judged, and it is never
judged on the rows that chose it. Plain cross-entropy with such a tuned threshold is the reference of every learner.
Another loss takes its place only if its mean advantage exceeds two standard errors and it is better in most folds: with
one standard error one of three losses would "win" on every third table where all are equal. The standard error is
Nadeau and Bengio's (Inference for the generalization error, Machine Learning 2003), since the folds share training
rows and their naive spread understates the noise.

Each learner's reference runs on all folds. If there are many other contestants, all run on the first fold, and the
better half continues (successive halving). The best of each learner may be blended; the blend's shares are found on the
other folds too. If the goal's score cannot separate contestants from the best one, the log loss decides, which is more
stable.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses
from counterpoise.table.learners import LEARNERS
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.entries import Candidate, Entry, Race, Verdict, scored_entry
from counterpoise.table.racing.fits import Fit
from counterpoise.table.racing.health import Health, mean_log_loss, probe
from counterpoise.table.racing.scoring import fold_scores, folds_within
from counterpoise.table.racing.verdict import verdict_of
from counterpoise.ties import first_largest, levels
from counterpoise.weights import ClassCounts

_BIG = 60_000
_LEAST_SCREENED = 4
"""Rows of each of two classes in a fold: of fewer, one fold says nothing."""
_FEW = 4
"""So many contestants all run on all folds."""


def candidates(learners: Sequence[str], counts: ClassCounts, recipes: Sequence[str] | None = None) -> list[Candidate]:
    """All contestants: each learner with every loss that suits it, and its other settings with plain cross-entropy.

    Parameters
    ----------
    learners
        Names of `LEARNERS`.
    counts
        Rows of each class.
    recipes
        Labels of the losses that may run; default: all. Plain cross-entropy always runs.

    Examples
    --------
    >>> [one.label for one in candidates(["lightgbm", "logistic"], ClassCounts([90, 10]))][:3]
    ['LightGBM, plain cross-entropy', 'Logistic regression, plain cross-entropy', 'LightGBM, weighted']
    """
    found = []
    for name in learners:
        learner = LEARNERS[name]
        default, *others = learner.settings
        for loss, recipe in learner.recipes(counts):
            if recipes is None or loss == PLAIN or loss in recipes:
                found.append(Candidate(learner, default, loss, recipe))
        plain, recipe = learner.recipes(counts)[0]
        found += [Candidate(learner, setting, plain, recipe) for setting in others]
    return sorted(found, key=lambda one: not one.leads)  # so that a short budget has one of each learner


def race(course: Race, contestants: Sequence[Candidate]) -> Verdict:
    """Let the contestants learn, and choose.

    The learners' references go first, on all folds: if time is short, a loss is omitted, never a learner. The very
    first always finishes.
    """
    entries: list[Entry] = []
    left_out: list[str] = []
    _start(course, [one for one in contestants if one.leads], range(course.folds))
    for one in contestants:
        if one.leads:
            _enter(course, one, entries, left_out)
    judged = {entry.learner for entry in entries}  # another loss is judged against its own learner's reference
    left_out += [one.label for one in contestants if not one.leads and one.learner.name not in judged]
    others = _screened(course, [one for one in contestants if one.learner.name in judged], left_out)
    _start(course, others, range(course.folds))
    for one in others:
        _enter(course, one, entries, left_out)
    course.fits.end(course.ground)
    return verdict_of(entries, course, _health(course, entries), tuple(left_out))


def _enter(course: Race, one: Candidate, entries: list[Entry], left_out: list[str]) -> None:
    """Add one contestant's entry, or its label to those left out: as soon as its pace says that it would be late."""
    followed: list[dict[str, NDArray[np.generic]]] = []
    for fold in range(course.folds):
        finished = course.trials.get(_key(course, one, fold)) is not None
        pace = sum(float(trial["seconds"]) for trial in followed) / fold if fold else _seconds(course, one)
        if entries and not finished and monotonic() + pace * (course.folds - fold) > course.deadline:
            left_out.append(one.label)
            return
        followed.append(_follow(course, one, fold, f"comparing {one.label}"))
    entries.append(_entry(course, one, followed))


def _seconds(course: Race, one: Candidate) -> float:
    """About what a fold takes this contestant: what it took its learner's reference, or 0 where that has not run."""
    reference = replace(one, setting=next(iter(one.learner.settings)), loss=PLAIN)
    trial = course.trials.get(_key(course, reference, 0))
    return 0.0 if trial is None else float(trial["seconds"])


def entered(course: Race, one: Candidate, step: str) -> Entry:
    """How one contestant does on all folds; `step` is the name that the progress shows."""
    return _entry(course, one, [_follow(course, one, fold, step) for fold in range(course.folds)])


def how_many_folds(counts: ClassCounts) -> int:
    """Five folds, three where there is much to grow; of two classes no more than the rarer has rows.

    Examples
    --------
    >>> how_many_folds(ClassCounts([900, 4])), how_many_folds(ClassCounts([900, 40, 1]))
    (4, 5)
    """
    trees = 1 if len(counts.classes) == 2 else len(counts.classes)
    folds = 3 if counts.total * trees > _BIG else 5
    return max(2, min(folds, int(min(counts.n)))) if len(counts.classes) == 2 else folds


def _follow(course: Race, one: Candidate, fold: int, step: str) -> dict[str, NDArray[np.generic]]:
    """The curve and the files of one fit, from the trials where it is finished already."""
    key = _key(course, one, fold)
    found = course.trials.get(key)
    if found is None:
        found = course.fits.result(
            course.ground,
            key,
            _fit(one, fold),
            lambda share: course.progress(step, (fold + min(1.0, share)) / course.folds),
        )
        course.trials.put(key, found)
    course.progress(step, (fold + 1) / course.folds)
    return found


def _start(course: Race, contestants: Sequence[Candidate], folds: Sequence[int]) -> None:
    """Let a cluster begin what will be asked for, unless it is finished."""
    fits = ((_key(course, one, fold), _fit(one, fold)) for one in contestants for fold in folds)
    course.fits.start(course.ground, ((key, fit) for key, fit in fits if course.trials.get(key) is None))


def _fit(one: Candidate, fold: int) -> Fit:
    return Fit(one.learner, one.setting, one.recipe, fold)


def _key(course: Race, one: Candidate, fold: int) -> str:
    # another budget compares on other rows: what was learned there may have seen the rows held out here
    return f"{one.learner.name} {one.setting} {one.loss} fold {fold} of {course.folds} of {len(course.fold)} rows"


def _posterior(
    course: Race, one: Candidate, trial: dict[str, NDArray[np.generic]], fold: int, rounds: int
) -> NDArray[np.float64]:
    """Honest probabilities of the fold's own rows."""
    files = {name.removeprefix("file "): data.tobytes() for name, data in trial.items() if name.startswith("file ")}
    outputs = 1 if len(course.counts.classes) == 2 else len(course.counts.classes)
    fitted = one.learner.load(files, course.schema, outputs)
    logits = fitted.logits(course.rows.matrix[course.fold == fold], rounds)
    return np.asarray(one.recipe.posterior(logits), np.float64)


def _screened(course: Race, contestants: Sequence[Candidate], left_out: list[str]) -> list[Candidate]:
    """The contestants, without references, that run on all folds; if many, the better half on the first fold."""
    others = [one for one in contestants if not one.leads]
    rarest = int(np.bincount(course.rows.codes[course.fold == 0], minlength=len(course.counts.classes)).min())
    alone = len(course.counts.classes) == 2 and rarest < _LEAST_SCREENED
    if len(contestants) <= _FEW or alone:
        return others
    _start(course, others, [0])
    scored: list[float] = []
    losses: list[float] = []
    ran: list[Candidate] = []
    here = course.fold == 0
    codes = course.rows.codes[here]
    halves = folds_within(codes, course.seed)
    for place, one in enumerate(others):
        if monotonic() + _seconds(course, one) > course.deadline:
            left_out.append(one.label)
            continue
        trial = _follow(course, one, 0, f"screening {one.label} ({place + 1} of {len(others)})")
        probability = _posterior(course, one, trial, 0, int(first_largest(np.negative(trial["curve"]))) + 1)
        scored.append(float(fold_scores(codes, probability, halves, course.counts, course.goal)[0].mean()))
        losses.append(float(log_losses(codes, probability).mean()))
        ran.append(one)
    kept = max(_FEW, (len(contestants) + 1) // 2) - (len(contestants) - len(others))
    by_score, by_loss = levels(scored), levels(losses)
    ranked = sorted(range(len(ran)), key=lambda k: (-by_score[k], by_loss[k]))
    return [ran[k] for k in sorted(ranked[: max(1, kept)])]


def _entry(course: Race, one: Candidate, followed: list[dict[str, NDArray[np.generic]]]) -> Entry:
    # A fold that stopped early stays where it stopped: it was long past its best there.
    curves = [np.asarray(trial["curve"], np.float64) for trial in followed]
    longest = max(map(len, curves))
    padded = np.stack([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves])
    share = np.bincount(course.fold) / len(course.fold)
    rounds = int(first_largest(-(share @ padded))) + 1
    several = len(course.counts.classes) > 2
    probability = np.empty((len(course.fold), *((len(course.counts.classes),) if several else ())))
    for fold, trial in enumerate(followed):
        reached = min(rounds, len(curves[fold]))
        probability[course.fold == fold] = _posterior(course, one, trial, fold, reached)
    names = (one.label, one.learner.name, one.setting, one.loss)
    return scored_entry(course, names, one.recipe, rounds, probability)


def _health(course: Race, entries: Sequence[Entry]) -> Health | None:
    plain = next((entry for entry in entries if entry.learner == "lightgbm"), None)  # its reference came first
    if plain is None:
        return None
    here = course.fold == 0
    rows, held_out = course.rows.at(~here), course.rows.at(here)
    steadied = mean_log_loss(held_out, plain.probability[here])
    return probe(rows, held_out, len(course.counts.classes), course.schema, steadied, seed=course.seed)
