"""Which loss serves the goal best on this table, judged so that noise does not win.

Every loss grows trees on the same folds and predicts the rows it has not seen. Each fold is decided by
the threshold that is best on the *other* folds: a threshold is part of what is judged, and it is never
judged on the rows that chose it. Plain cross-entropy with such a tuned threshold is the reference. Another
loss is chosen only if its mean advantage exceeds two standard errors and it is better in most folds: three
losses try, and with one standard error one of them would "win" on every third table where all are equal. The
standard error is Nadeau and Bengio's (Inference for the generalization error, Machine Learning 2003), since
the folds share training rows and their naive spread understates the noise.

Logit adjustment and balanced softmax do not take part. A booster starts from the best constant, so a
constant offset inside the loss gives the very trees of plain cross-entropy; what the offset is for, the
tuned threshold does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
from counterpoise.decide.threshold import choose_threshold, decide
from counterpoise.goals import Confusion, Cost, Goal
from counterpoise.recipes import Recipe, sigmoid, softmax
from counterpoise.table.boost import Grown, grow, most_rounds
from counterpoise.table.features import Schema
from counterpoise.weights import ClassCounts

Progress = Callable[[str, float], None]

STANDARD_ERRORS = 2.0
_BIG = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One loss and how it did.

    Parameters
    ----------
    label
        Its name for the reader.
    recipe
        The loss.
    rounds
        Boosting rounds, the same for all folds: those with the least mean held-out log loss.
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
        All losses; the first is plain cross-entropy.
    sentence
        For the reader.
    """

    chosen: int
    entries: tuple[Entry, ...]
    sentence: str

    @property
    def winner(self) -> Entry:
        """The chosen entry."""
        return self.entries[self.chosen]


def contestants(counts: ClassCounts) -> list[tuple[str, Recipe]]:
    """The losses that take part; plain cross-entropy first.

    Examples
    --------
    >>> [label for label, _ in contestants(ClassCounts([90, 10]))]
    ['plain cross-entropy', 'weighted', 'weighted, square root', 'focal']
    """
    if len(counts.classes) == 2:
        odds = float(counts.n[0]) / float(counts.n[1])
        return [
            ("plain cross-entropy", sigmoid.binary_cross_entropy(counts)),
            ("weighted", sigmoid.weighted(counts, pos_weight=odds)),
            ("weighted, square root", sigmoid.weighted(counts, pos_weight=odds**0.5)),
            ("focal", sigmoid.focal(counts, gamma=2.0)),
        ]
    return [
        ("plain cross-entropy", softmax.cross_entropy(counts)),
        ("weighted", softmax.weighted(counts, weight="inverse")),
        ("weighted, square root", softmax.weighted(counts, weight="inverse_sqrt")),
        ("focal", softmax.focal(counts, gamma=2.0)),
    ]


def race(
    matrix: NDArray[np.float64],
    codes: NDArray[np.int64],
    fold: NDArray[np.int64],
    counts: ClassCounts,
    schema: Schema,
    goal: Goal,
    *,
    seed: int,
    progress: Progress,
) -> Verdict:
    """Grow, score and compare all contestants on the same folds."""
    entries = []
    losses = contestants(counts)
    for place, (label, recipe) in enumerate(losses, start=1):
        probability, rounds = _out_of_fold(
            matrix,
            codes,
            fold,
            recipe,
            counts,
            schema,
            seed=seed,
            progress=partial(progress, f"comparing {label} ({place} of {len(losses)})"),
        )
        scores, untuned = fold_scores(codes, probability, fold, counts, goal)
        precision = None
        if probability.ndim == 1:
            ones = np.ones((1, len(codes)))
            precision = float(ranking(codes, probability, ones)["average_precision"][0])
        loss = float(log_losses(codes, probability).mean())
        entries.append(Entry(label, recipe, rounds, probability, scores, untuned, loss, precision))
    return verdict_of(tuple(entries), goal)


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
            choice = choose_class_thresholds(codes[rest], probability[rest], counts.prior, goal)
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
            cut = choose_threshold(codes[rest], probability[rest], goal).threshold
            tuned.append(penalised(goal, decide(codes[here], probability[here], cut)))
            untuned.append(penalised(goal, decide(codes[here], probability[here], 0.5)))
    return np.asarray(tuned), np.asarray(untuned)


def penalised(goal: Goal, at: Confusion) -> float:
    """The goal's score, less twice what its constraints lack: a broken promise must not win.

    With costs, what they lack is measured in the largest of these.

    Examples
    --------
    >>> goal = Goal.parse("recall where precision >= 0.5")
    >>> round(penalised(goal, Confusion(tp=4, fp=6, fn=0, tn=90)), 3)
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


def verdict_of(entries: tuple[Entry, ...], goal: Goal) -> Verdict:
    """Choose among the entries, and say why."""
    plain = entries[0]
    best, gain = 0, 0.0
    for place, entry in enumerate(entries[1:], start=1):
        ahead = entry.scores - plain.scores
        clear = ahead.mean() > STANDARD_ERRORS * standard_error(ahead) and np.sum(ahead > 0) * 2 > len(ahead)
        if clear and ahead.mean() > gain:
            best, gain = place, float(ahead.mean())
    tuned = "" if goal.ranking else " with a tuned threshold"
    if len(entries[0].probability.shape) == 2:
        tuned = " with tuned thresholds"
    if best == 0:
        sentence = f"No loss beat plain cross-entropy{tuned} on this table."
    else:
        winner = entries[best]
        ahead = winner.scores - plain.scores
        sentence = (
            f"{winner.label[0].upper()}{winner.label[1:]} loss beat plain cross-entropy{tuned}: "
            f"{_by(goal, gain)} in {int(np.sum(ahead > 0))} of {len(ahead)} folds "
            f"(standard error {standard_error(ahead):.3g})."
        )
    return Verdict(best, entries, sentence)


def _by(goal: Goal, gain: float) -> str:
    better = "lower" if goal.minimise else "higher"
    return f"{goal.label} {gain:.3g} {better} on average, better"


def _out_of_fold(
    matrix: NDArray[np.float64],
    codes: NDArray[np.int64],
    fold: NDArray[np.int64],
    recipe: Recipe,
    counts: ClassCounts,
    schema: Schema,
    *,
    seed: int,
    progress: Callable[[float], None],
) -> tuple[NDArray[np.float64], int]:
    folds = int(fold.max()) + 1
    steps, every = 0, most_rounds(counts)
    grown: list[Grown] = []

    def each_round() -> None:
        nonlocal steps
        steps += 1
        if steps % 10 == 0:
            progress((len(grown) + min(1.0, (steps - before) / every)) / folds)

    for held in range(folds):
        here, rest = fold == held, fold != held
        before = steps
        one = grow(
            matrix[rest],
            codes[rest],
            recipe,
            counts,
            schema,
            held_out=(matrix[here], codes[here]),
            seed=seed,
            each_round=each_round,
        )
        grown.append(one)
        progress((held + 1) / folds)
    # A fold that stopped early stays where it stopped: it was long past its best there.
    longest = max(len(one.curve) for one in grown)
    curves = [np.pad(one.curve, (0, longest - len(one.curve)), mode="edge") for one in grown]
    weight = np.bincount(fold) / len(fold)
    rounds = int(np.argmin(weight @ np.stack(curves))) + 1
    shape = (len(codes),) if len(counts.classes) == 2 else (len(codes), len(counts.classes))
    probability = np.empty(shape)
    for held, one in enumerate(grown):
        probability[fold == held] = one.posterior(matrix[fold == held], rounds)
    return probability, rounds
