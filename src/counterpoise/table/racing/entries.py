"""The participants of a race, their rows, their results and the winner."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from counterpoise.decide.measured import log_losses, ranking
from counterpoise.goals import Goal
from counterpoise.recipes import Recipe
from counterpoise.table.features.schema import Schema
from counterpoise.table.learners import Learner, Rows
from counterpoise.table.learners.losses import PLAIN
from counterpoise.table.racing.fits import HERE, Fits, Ground
from counterpoise.table.racing.health import Health
from counterpoise.table.racing.scoring import fold_scores, standard_error
from counterpoise.table.racing.trials import Trials
from counterpoise.weights import ClassCounts

ProgressCallback = Callable[[str, float], None]
BLEND = "blend"


def silent(step: str, done: float) -> None:
    """A progress function that shows nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A learner with settings and a loss.

    Parameters
    ----------
    learner
        The learner.
    setting
        Name of its settings.
    loss
        Label of the loss.
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
        Name for the reader.
    learner, setting, loss
        Names of learner, setting and loss; a blend has the learner "blend".
    recipe
        The loss; for a blend, that of its largest member.
    rounds
        Number of steps, the same for all folds: the one with the lowest mean held-out log loss.
    probability
        Out-of-fold posteriors of the training rows.
    scores
        The goal's score per fold, with thresholds tuned on the other folds; higher is better.
    untuned
        The same without tuning: flag at 0.5, or the most probable class.
    log_loss
        Log loss of the out-of-fold posteriors.
    average_precision
        Average precision of the out-of-fold posteriors; None with more than two classes.
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
        Index of the winner in `entries`.
    entries
        All contestants that ran on all folds; the first is plain cross-entropy of the first learner.
    members
        Members of the winner: indices in `entries`, with shares that sum to 1.
    sentence
        The verdict in a sentence.
    health
        Whether LightGBM's defaults broke down; None if LightGBM did not take part.
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


@dataclass(frozen=True, eq=False)  # without slots: what its fits share is made once
class Race:
    """The common settings of all contestants.

    Parameters
    ----------
    rows, fold
        The raced rows and the fold of each.
    counts
        Class counts of the whole training part.
    schema
        Names and kinds of the features.
    goal
        The goal.
    seed
        Seed; the same seed gives the same result.
    trials
        Finished fits.
    deadline
        Time after which no further contestant may start, by `time.monotonic`.
    progress
        Function that is called with the step and the share of it that is done.
    fits
        Where contestants learn.
    """

    rows: Rows
    fold: NDArray[np.int64]
    counts: ClassCounts
    schema: Schema
    goal: Goal
    seed: int
    trials: Trials
    deadline: float
    progress: ProgressCallback
    fits: Fits = HERE

    @cached_property
    def ground(self) -> Ground:
        """What all fits share."""
        return Ground(self.rows, self.fold, self.counts, self.schema, self.seed)

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max()) + 1


def scored_entry(
    course: Race, names: tuple[str, str, str, str], recipe: Recipe, rounds: int, probability: NDArray[np.float64]
) -> Entry:
    """The entry of a contestant, from its probabilities on rows that it did not learn from."""
    codes = course.rows.codes
    scores, untuned = fold_scores(codes, probability, course.fold, course.counts, course.goal)
    precision = None
    if probability.ndim == 1:
        precision = float(ranking(codes, probability, np.ones((1, len(codes))))["average_precision"][0])
    loss = float(log_losses(codes, probability).mean())
    return Entry(*names, recipe, rounds, probability, scores, untuned, loss, precision)
