"""Are probabilities honest after every loss? Calibration errors of `posterior`, and of the naive softmax or sigmoid.

    python -m benchmarks.posterior              # two minutes
    python -m benchmarks.posterior --quick      # fewer rows
    python -m benchmarks.posterior --write      # and its part of RESULTS.md

Data are drawn from a known p(y | x), so "well-specified" is a fact. Two models, each without a penalty:

- linear: logits linear in five numbers, and log odds of the truth linear in them too. Plain cross-entropy, weights,
  offsets and scales have their optimum among such models. Focus, robustness, margins and poly bend the best logits,
  which are then no longer linear in x, and no formula can give back what the model could not learn;
- table: one logit per class for each of 100 cells, which represents the optimum of every loss.

ECE (15 bins of equal mass) on held-out rows; the bar is plain cross-entropy's + 0.005.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.promises.simulation import Simulation, main

BAR = 0.005
CELLS = 100
HEADER = ("model", "classes", "loss", "ECE", "plain + 0.005", "", "smooth ECE", "ECE, positives only", "ECE, naive")
# whose best logits are linear in x wherever the log odds are
KEEPS_LINES = (
    "cross_entropy",
    "binary_cross_entropy",
    "weighted",
    "logit_scaled",
    "class_balanced",
    "balanced_softmax",
    "logit_adjusted",
    "cdt",
    "vector_scaling",
)

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Rows as the model sees them, their labels and the labels' true probabilities; the first `grown` to train on."""

    model: str
    rows: Any
    target: NDArray[np.int64]
    classes: int
    grown: int


@dataclass(frozen=True)
class Outcome:
    """The errors of one loss."""

    model: str
    classes: int
    loss: str
    plain: float
    ece: float
    smooth: float
    positives: float
    naive: float

    @property
    def met(self) -> bool:
        """Whether the ECE is no worse than plain cross-entropy's + 0.005."""
        return self.ece <= self.plain + BAR

    @property
    def expected(self) -> bool:
        """Whether the model can represent the optimum."""
        return self.model == "table" or self.loss.split(".")[1] in KEEPS_LINES

    def cells(self) -> list[str]:
        """The row of the table."""
        verdict = "met" if self.met else "missed" if self.expected else "missed: not representable"
        numbers = [f"{one:.4f}" for one in (self.ece, self.plain + BAR)]
        rest = [f"{one:.4f}" for one in (self.smooth, self.positives, self.naive)]
        return [self.model, str(self.classes), self.loss, *numbers, verdict, *rest]


def drawn(model: str, classes: int, rows: int, seed: int = 0) -> Data:
    """Labels of about 3 % positives, or of three classes of about 85, 12 and 3 %."""
    import scipy.sparse

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    slope = rng.normal(size=(5, classes)) / 2
    offset = {2: [4.0, 0.0], 3: [4.0, 1.7, 0.0]}[classes]
    if model == "table":
        cell = rng.integers(0, CELLS, rows)
        x = rng.normal(size=(CELLS, 5))[cell]
    logits = x @ slope * 1.5 + offset
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    target = (rng.random(rows)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    seen = x
    if model == "table":
        seen = scipy.sparse.csr_matrix((np.ones(rows), (np.arange(rows), cell)), shape=(rows, CELLS))
    return Data(model, seen, target, classes, rows // 2)


def outcomes_of(data: Data) -> Iterator[Outcome]:
    """One for each named loss that has a posterior."""
    from counterpoise import UserError, count
    from counterpoise.recipes import recipe, recipe_table

    counts = count(data.target[: data.grown])
    plain = None
    for row in recipe_table():
        family = row.name.split(".")[0]
        if row.name == "softmax.expected_cost" or (family == "sigmoid" and data.classes > 2):
            continue
        try:
            made = recipe(row.name, counts)
            made.posterior(np.zeros((1, data.classes) if family == "softmax" else 1))
        except UserError:  # it has no posterior
            continue
        found = _outcome(data, made, row.name, plain)
        plain = found.plain
        yield found


def _outcome(data: Data, recipe: Any, name: str, plain: float | None) -> Outcome:
    from sklearn.exceptions import ConvergenceWarning

    from counterpoise.decide import calibration_error
    from counterpoise.sklearn import LinearClassifier

    model = LinearClassifier(recipe, C=np.inf, fit_intercept=data.model == "linear", max_iter=3000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.rows[: data.grown], data.target[: data.grown])
    held_out, target = data.rows[data.grown :], data.target[data.grown :]
    honest, logits = model.predict_proba(held_out), model.decision_function(held_out)
    if logits.ndim == 1:
        naive = 1 / (1 + np.exp(-logits))
        naive = np.stack([1 - naive, naive], axis=1)
    else:
        naive = np.exp(logits - logits.max(axis=1, keepdims=True))
        naive /= naive.sum(axis=1, keepdims=True)
    ece = calibration_error(target, honest)
    return Outcome(
        model=data.model,
        classes=data.classes,
        loss=name,
        plain=ece if plain is None else plain,
        ece=ece,
        smooth=calibration_error(target, honest, "smooth"),
        positives=calibration_error(target, honest, positive_only=True),
        naive=calibration_error(target, naive),
    )


def claims(found: Sequence[Outcome]) -> list[str]:
    """What was met, in words."""
    able = [one for one in found if one.expected]
    others = [one for one in found if not one.expected]
    moved = [one for one in able if one.naive > one.plain + BAR]
    return [
        f"the model can represent the optimum: {sum(one.met for one in able)} of {len(able)} rows are no worse than "
        f"plain + {BAR}; the naive softmax or sigmoid is worse in {len(moved)}, with an ECE of "
        f"{np.median([one.naive for one in moved]):.3f} in the median, {max(one.naive for one in moved):.3f} at most",
        f"it cannot (a linear model under a loss that bends the logits): {sum(one.met for one in others)} of "
        f"{len(others)} rows are no worse than plain + {BAR}",
    ]


ABOUT = """\
Half of the rows to train on, half held out. Every named loss that has a posterior, at its defaults. Linear: logits
linear in x, as the true log odds are. Table: a logit per class for each of 100 cells. A linear model cannot
represent the optimum of a loss that bends the logits (focus, margin, poly, robustness, clip); there no formula gives
back what was not learned; the table shows that the formula is not what fails."""


def outcomes(rows: int) -> Iterator[Outcome]:
    """Of both models, of two and of three classes."""
    for model in ("linear", "table"):
        for classes in (2, 3):
            yield from outcomes_of(drawn(model, classes, rows))


POSTERIOR = Simulation(
    command="posterior",
    question="Are probabilities honest?",
    unit="rows",
    size=200_000,
    quick=40_000,
    about=ABOUT,
    header=HEADER,
    outcomes=outcomes,
    cells=Outcome.cells,
    claims=claims,
    passed=lambda found: all(one.met for one in found if one.expected),
)

if __name__ == "__main__":
    sys.exit(main(POSTERIOR))
