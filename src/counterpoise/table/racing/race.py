"""What serves the goal best on this table, judged so that noise does not win.

Every contestant, a learner with a loss, learns on the same folds and predicts the rows it has not seen. Each fold is
decided by the threshold that is best on the *other* folds: a threshold is part of what is judged, and it is never
judged on the rows that chose it. Plain cross-entropy with such a tuned threshold is the reference of every learner.
Another loss takes its place only if its mean advantage exceeds two standard errors and it is better in most folds: with
one standard error one of three losses would "win" on every third table where all are equal. The standard error is
Nadeau and Bengio's (Inference for the generalization error, Machine Learning 2003), since the folds share training
rows and their naive spread understates the noise.

Each learner's reference runs on all folds. Of many other contestants all run on the first fold, and the better half
goes on (successive halving). The best of each learner may be blended; the blend's shares are found on the other folds
too. Where the goal's score cannot tell contestants from the best one, the log loss decides, which wavers less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses, ranking
from counterpoise.decide.multiclass import (
    choose_class_thresholds,
    confusion_matrix,
    decide_classes,
    summary,
    thresholds_of,
)
from counterpoise.decide.rows import decide
from counterpoise.decide.threshold import best_threshold
from counterpoise.goals import Confusion, Cost, Goal
from counterpoise.recipes import Recipe
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import LEARNERS, Job, Learner, Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.blend import mixture_shares
from counterpoise.table.racing.health import Health, mean_log_loss, probe
from counterpoise.table.racing.trials import Trials
from counterpoise.table.rows.split import folds_of
from counterpoise.ties import difference, first_largest, levels
from counterpoise.weights import ClassCounts
from counterpoise.wording import percent

Progress = Callable[[str, float], None]


def silent(step: str, done: float) -> None:
    """The progress that nobody asked for."""


STANDARD_ERRORS = 2.0
BLEND = "blend"
_BIG = 60_000
_LEAST_SCREENED = 4
"""Rows of each of two classes in a fold: of fewer, one fold says nothing."""
_LEAST_GAIN = 0.01
"""Of log loss: for less a blend is not worth its size."""
_FEW = 4
"""So many contestants all run on all folds."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A learner with settings and a loss.

    Parameters
    ----------
    learner
        Its row.
    setting
        The name of its settings.
    loss
        The loss's label.
    recipe
        The loss.
    """

    learner: Learner
    setting: str
    loss: str
    recipe: Recipe

    @property
    def label(self) -> str:
        """For the reader."""
        other = self.setting != next(iter(self.learner.settings))
        return f"{self.learner.title}, {self.loss}" + (f" ({self.setting})" if other else "")

    @property
    def leads(self) -> bool:
        """Whether it is its learner's reference: default settings, plain cross-entropy."""
        return self.loss == PLAIN and self.setting == next(iter(self.learner.settings))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One contestant and how it did on all folds.

    Parameters
    ----------
    label
        Its name for the reader.
    learner, setting, loss
        The names of these; a blend has the learner "blend".
    recipe
        The loss; of a blend, that of its largest member.
    rounds
        Steps, the same for all folds: those with the least mean held-out log loss.
    probability
        Out-of-fold posteriors of the training rows.
    scores
        The goal's score per fold, with thresholds tuned on the other folds; more is better.
    untuned
        The same without tuning: flag at 0.5, or the most probable class.
    log_loss
        Of the out-of-fold posteriors.
    average_precision
        The same; None with more than two classes.
    """

    label: str
    learner: str
    setting: str
    loss: str
    recipe: Recipe
    rounds: int
    probability: NDArray[np.float64]
    scores: NDArray[np.float64]
    untuned: NDArray[np.float64]
    log_loss: float
    average_precision: float | None

    @property
    def score(self) -> float:
        """Mean over the folds."""
        return float(self.scores.mean())

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return standard_error(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What won, and the sentence that says so.

    Parameters
    ----------
    chosen
        Place of the winner in `entries`.
    entries
        All that ran on all folds; the first is plain cross-entropy of the first learner.
    members
        What the winner is made of: places in `entries`, with shares that sum to 1.
    sentence
        For the reader.
    health
        What is said of LightGBM's defaults; None where LightGBM took no part.
    left_out
        Contestants that the budget had no time for.
    """

    chosen: int
    entries: tuple[Entry, ...]
    members: tuple[tuple[int, float], ...]
    sentence: str
    health: Health | None = None
    left_out: tuple[str, ...] = ()

    @property
    def winner(self) -> Entry:
        """The chosen entry."""
        return self.entries[self.chosen]


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """What all contestants share.

    Parameters
    ----------
    rows, fold
        The raced rows and the fold of each.
    counts
        Of the whole training part.
    schema
        Names and kinds of the features.
    goal
        What to reach.
    seed
        Same seed, same result.
    trials
        Finished fits.
    deadline
        When no further contestant may start, by `time.monotonic`.
    progress
        Told of each step.
    """

    rows: Rows
    fold: NDArray[np.int64]
    counts: ClassCounts
    schema: Schema
    goal: Goal
    seed: int
    trials: Trials
    deadline: float
    progress: Progress

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max()) + 1


def candidates(learners: Sequence[str], counts: ClassCounts, recipes: Sequence[str] | None = None) -> list[Candidate]:
    """All contestants: each learner with every loss that suits it, and its other settings with plain cross-entropy.

    Parameters
    ----------
    learners
        Names, of `LEARNERS`.
    counts
        Rows of each class.
    recipes
        Labels of the losses that may run; by default all. Plain cross-entropy always does.

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

    The learners' references go first, on all folds: what the time is short for is another loss, never another learner.
    The very first always finishes.
    """
    entries: list[Entry] = []
    left_out: list[str] = []
    for one in contestants:
        if one.leads:
            _enter(course, one, entries, left_out)
    judged = {entry.learner for entry in entries}  # another loss is judged against its own learner's reference
    left_out += [one.label for one in contestants if not one.leads and one.learner.name not in judged]
    for one in _screened(course, [one for one in contestants if one.learner.name in judged], left_out):
        _enter(course, one, entries, left_out)
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
    """How one contestant does on all folds; `step` is what the progress is told."""
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
        begun = monotonic()
        here = course.fold == fold
        job = Job(
            rows=course.rows.at(~here),
            schema=course.schema,
            recipe=one.recipe,
            counts=course.counts,
            settings=one.learner.settings[one.setting],
            held_out=course.rows.at(here),
            seed=course.seed,
            each_step=lambda share: course.progress(step, (fold + min(1.0, share)) / course.folds),
        )
        followed = one.learner.fit(job)
        files = {f"file {name}": np.frombuffer(data, np.uint8) for name, data in followed.model.files().items()}
        found = {"curve": followed.curve, "seconds": np.array(monotonic() - begun), **files}
        course.trials.put(key, found)
    course.progress(step, (fold + 1) / course.folds)
    return found


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
    """Those besides the references that are worth running on all folds; of many the better half of all on the first."""
    others = [one for one in contestants if not one.leads]
    rarest = int(np.bincount(course.rows.codes[course.fold == 0], minlength=len(course.counts.classes)).min())
    alone = len(course.counts.classes) == 2 and rarest < _LEAST_SCREENED
    if len(contestants) <= _FEW or alone:
        return others
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


def folds_within(codes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Two halves of one fold, to tune a threshold on one and score it on the other.

    Examples
    --------
    >>> np.bincount(folds_within(np.array([0] * 6 + [1] * 2), 0))
    array([4, 4])
    """
    return folds_of(codes, 2, seed=seed)


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
    return _scored(course, names, one.recipe, rounds, probability)


def _scored(
    course: Race, names: tuple[str, str, str, str], recipe: Recipe, rounds: int, probability: NDArray[np.float64]
) -> Entry:
    codes = course.rows.codes
    scores, untuned = fold_scores(codes, probability, course.fold, course.counts, course.goal)
    precision = None
    if probability.ndim == 1:
        precision = float(ranking(codes, probability, np.ones((1, len(codes))))["average_precision"][0])
    loss = float(log_losses(codes, probability).mean())
    return Entry(*names, recipe, rounds, probability, scores, untuned, loss, precision)


def _health(course: Race, entries: Sequence[Entry]) -> Health | None:
    plain = next((entry for entry in entries if entry.learner == "lightgbm"), None)  # its reference came first
    if plain is None:
        return None
    here = course.fold == 0
    rows, held_out = course.rows.at(~here), course.rows.at(here)
    steadied = mean_log_loss(held_out, plain.probability[here])
    return probe(rows, held_out, len(course.counts.classes), course.schema, steadied, seed=course.seed)


def fold_scores(
    codes: NDArray[np.int64],
    probability: NDArray[np.float64],
    fold: NDArray[np.int64],
    counts: ClassCounts,
    goal: Goal,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The goal's score on each fold: with thresholds tuned on the others, and without tuning.

    Examples
    --------
    >>> codes, fold = np.array([0, 0, 0, 1] * 2), np.array([0] * 4 + [1] * 4)
    >>> probability = np.array([0.1, 0.1, 0.2, 0.4, 0.1, 0.2, 0.1, 0.35])
    >>> fold_scores(codes, probability, fold, ClassCounts([6, 2]), Goal("f1"))
    (array([1., 1.]), array([0., 0.]))
    """
    tuned: list[float] = []
    untuned: list[float] = []
    for held in range(int(fold.max()) + 1):
        here, rest = fold == held, fold != held
        if probability.ndim == 2:
            choice = choose_class_thresholds(codes[rest], probability[rest], goal, prior=counts.prior)
            for threshold, found in ((choice.threshold, tuned), (thresholds_of(counts.prior, 0.0), untuned)):
                chosen = decide_classes(probability[here], threshold)
                matrix = confusion_matrix(codes[here], chosen, probability.shape[1])
                found.append(float(summary(matrix, goal.objective)))
        elif goal.ranking:
            ones = np.ones((1, int(here.sum())))
            value = float(ranking(codes[here], probability[here], ones)[goal.objective][0])
            tuned.append(value)
            untuned.append(value)
        else:
            cut = best_threshold(codes[rest], probability[rest], goal)
            tuned.append(penalised(goal, decide(codes[here], probability[here], cut)))
            untuned.append(penalised(goal, decide(codes[here], probability[here], 0.5)))
    return np.asarray(tuned), np.asarray(untuned)


def penalised(goal: Goal, at: Confusion) -> float:
    """The goal's score, less twice what its constraints lack: a broken promise must not win.

    With costs, what they lack is measured in the largest of these.

    Examples
    --------
    >>> from counterpoise.goals import goal
    >>> round(penalised(goal("recall where precision >= 0.5"), Confusion(tp=4, fp=6, fn=0, tn=90)), 3)
    0.8
    """
    short = sum(float(constraint.shortfall(at)) for constraint in goal.constraints)
    if float(at.alerts) == 0:  # no alert, no precision that could fall short
        short = sum(float(one.shortfall(at)) for one in goal.constraints if one.rate != "precision")
    unit = goal.costs.largest if isinstance(goal.costs, Cost) else 1.0
    return float(goal.score(at)) - 2.0 * unit * short


def standard_error(scores: NDArray[np.float64]) -> float:
    """Nadeau and Bengio's standard error of a mean over cross-validation folds.

    Examples
    --------
    >>> round(standard_error(np.array([0.1, 0.2, 0.3])), 4)
    0.0913
    """
    folds = len(scores)
    return float(np.sqrt(scores.var(ddof=1) * (1 / folds + 1 / (folds - 1))))


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


def clearly(ahead: NDArray[np.float64]) -> bool:
    """Whether advantages on the folds are more than noise.

    Examples
    --------
    >>> clearly(np.array([0.05, 0.05, 0.06, 0.04])), clearly(np.array([0.2, 0.0, 0.0, 0.0]))
    (True, False)
    """
    return bool(ahead.mean() > STANDARD_ERRORS * standard_error(ahead) and np.sum(ahead > 0) * 2 > len(ahead))


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
    return _scored(course, names, largest.recipe, largest.rounds, probability), shares


def _about_losses(entries: Sequence[Entry], single: Entry, leaders: Sequence[Entry], goal: Goal) -> str:
    tuned = "" if goal.ranking else " with a tuned threshold"
    if single.probability.ndim == 2:
        tuned = " with tuned thresholds"
    if all(entry.loss in (PLAIN, "") for entry in entries):
        return "Plain cross-entropy alone was compared: no other loss took part, or the budget had no time for it."
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
