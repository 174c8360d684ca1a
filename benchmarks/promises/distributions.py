"""Distributions of scores whose true rates are computed, and samples of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, stdtr

from counterpoise import goals
from counterpoise.goals import Confusion

CONFIDENCE = 0.95
SLACK = 0.015  # by which the share of broken promises among so many sets may exceed 1 - CONFIDENCE


@dataclass(frozen=True)
class Scores:
    """How scores are distributed around each class's centre: normal, or Student's; their odds, their digits."""

    name: str
    freedom: float | None = None
    odds: float = 1.0
    digits: int | None = None

    def draw(self, rng: np.random.Generator, rows: int) -> Any:
        return rng.standard_normal(rows) if self.freedom is None else rng.standard_t(self.freedom, rows)

    def below(self, x: Any) -> Any:
        return ndtr(x) if self.freedom is None else stdtr(self.freedom, x)


HONEST = Scores("binormal")
HEAVY = Scores("heavy tails", freedom=4.0)  # precision falls again among the highest scores
SHIFTED = Scores("odds x 20", odds=20.0)  # as after training with weights
TIED = Scores("2 digits", digits=2)


@dataclass(frozen=True)
class Row:
    """One distribution, one size of the calibration set, one goal."""

    scores: Scores
    prevalence: float
    rows: int
    distance: float
    goal: str

    @property
    def positives(self) -> float:
        return self.prevalence * self.rows

    def sample(self, seed: int) -> tuple[Any, Any]:
        """Labels and scores of one calibration set."""
        rng = np.random.default_rng([seed, self.rows])
        while True:
            target = rng.random(self.rows) < self.prevalence
            if 0 < target.sum() < self.rows:
                break
        score = self.score_of(self.scores.draw(rng, self.rows) + self.distance * target)
        return target, score if self.scores.digits is None else np.round(score, self.scores.digits)

    def score_of(self, x: Any) -> Any:
        """The posterior if both classes are normal, its odds multiplied."""
        return expit(self.distance * x - self.distance**2 / 2 + logit(self.prevalence) + np.log(self.scores.odds))

    def truth(self, threshold: Any) -> Confusion:
        """The true shares of rows that a threshold finds, falsely flags, misses and passes."""
        threshold = np.asarray(threshold, np.float64)
        if self.scores.digits is not None:
            # a rounded score is at least this where the score itself is half a digit less
            step = 10.0**-self.scores.digits
            threshold = (np.ceil(np.round(threshold / step, 6)) - 0.5) * step
        with np.errstate(divide="ignore"):
            x = logit(np.clip(threshold, 0, 1)) - logit(self.prevalence) - np.log(self.scores.odds)
        x = (x + self.distance**2 / 2) / self.distance
        passed, missed = self.scores.below(x), self.scores.below(x - self.distance)
        passed, missed = np.where(threshold > 1, 1.0, passed), np.where(threshold > 1, 1.0, missed)
        return Confusion(
            tp=self.prevalence * (1 - missed),
            fp=(1 - self.prevalence) * (1 - passed),
            fn=self.prevalence * missed,
            tn=(1 - self.prevalence) * passed,
        )

    def oracle(self) -> float:
        """The best value of the objective that keeps the bounds in truth; 0 where none does."""
        goal = goals.goal(self.goal)
        at = self.truth(expit(np.linspace(-25, 25, 100_001)))
        kept = np.all([one.shortfall(at) == 0 for one in goal.constraints], axis=0) & (at.alerts > 1e-9)
        return float(np.max(goal.value(at)[kept], initial=0.0))
