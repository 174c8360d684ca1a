"""What the promise of a review band is worth: bands chosen on many calibration sets, judged by their true rates.

    python -m benchmarks.review_band            # 300 calibration sets a row; some minutes on 2 cores
    python -m benchmarks.review_band --quick    # 30
    python -m benchmarks.review_band --write    # and its part of RESULTS.md

The distributions are those of `benchmarks.guarantee`; their rates are computed, not counted on test rows.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.promises.distributions import CONFIDENCE, HEAVY, HONEST, SLACK, TIED, Row
from benchmarks.promises.simulation import Simulation, in_two_processes, main
from counterpoise import goals
from counterpoise.decide import ReviewBand, choose_review_band
from counterpoise.goals import Confusion, Goal

GOALS = (
    "precision >= 0.9 and recall >= 0.8",
    "recall where precision >= 0.9 with review <= 5%",
    "recall >= 0.7 and fpr <= 2% with review <= 15%",
    "f1 with review <= 5%",
)
SIZES = [(HONEST, 0.1, 2_000), (HONEST, 0.02, 5_000), (HONEST, 0.1, 20_000), (HEAVY, 0.1, 5_000), (TIED, 0.1, 5_000)]


def rows() -> list[Row]:
    """Every row of the table."""
    return [Row(scores, share, size, 2.5, goal) for goal in GOALS for scores, share, size in SIZES]


@dataclass(frozen=True)
class Outcome:
    """A row as measured; shares of all sets, means over the promised ones."""

    row: Row
    sets: int
    promised: float
    broken: float
    plain_broken: float
    value: float
    plain_value: float
    reviewed: float


def truth(row: Row, band: ReviewBand) -> tuple[Confusion, float]:
    """The true rates of a band, and the true share of rows that it leaves to a person."""
    low, high = row.truth(band.lower), row.truth(band.upper)
    return Confusion(tp=low.tp, fp=high.fp, fn=low.fn, tn=high.tn), float(low.alerts - high.alerts)


def kept(goal: Goal, at: Confusion, reviewed: float) -> bool:
    """Whether every bound holds in truth."""
    fits = goal.review is None or reviewed <= goal.review
    return fits and all(float(one.shortfall(at)) == 0 for one in goal.constraints)


def measure(row: Row, sets: int) -> Outcome:
    """One row of the table."""
    goal = goals.goal(row.goal)
    uneven = np.ones(row.rows)
    uneven[0] += 1e-9  # weights that differ allow no promise, so the band is the plain one
    found: dict[str, list[tuple[bool, float, float]]] = {"promised": [], "plain": []}
    for seed in range(sets):
        sample = row.sample(seed)
        sound, plain = (choose_review_band(*sample, goal, CONFIDENCE, weight) for weight in (None, uneven))
        for name, band in (("promised", sound), ("plain", plain)):
            at, reviewed = truth(row, band)
            if name == "plain" or band.promised:
                worth = reviewed if goal.objective == "review" else float(goal.value(at))
                found[name].append((kept(goal, at, reviewed), worth, reviewed))
    means = {name: np.mean(values, axis=0) if values else np.zeros(3) for name, values in found.items()}
    share = len(found["promised"]) / sets
    return Outcome(
        row,
        sets,
        share,
        float(share * (1 - means["promised"][0])) if share else 0.0,
        float(1 - means["plain"][0]),
        float(means["promised"][1]),
        float(means["plain"][1]),
        float(means["promised"][2]),
    )


HEADER = ["scores", "prevalence", "rows", "goal", "promised", "broken", "plain broken", "reached", "plain", "reviewed"]


def cells(outcome: Outcome) -> list[str]:
    row = outcome.row
    reached = [f"{outcome.value:.3f}", f"{outcome.plain_value:.3f}", f"{outcome.reviewed:.1%}"]
    if not outcome.promised:
        reached = ["–", reached[1], "–"]
    return [
        row.scores.name, f"{row.prevalence:.1%}", f"{row.rows:,}", row.goal, f"{outcome.promised:.1%}",
        f"{outcome.broken:.1%}", f"{outcome.plain_broken:.0%}", *reached,
    ]  # fmt: skip


def claims(outcomes: Sequence[Outcome]) -> list[str]:
    """What is claimed, and how many rows keep it."""
    most = 1 - CONFIDENCE + SLACK
    good = [one.broken <= most for one in outcomes]
    return [f"a promise is broken in at most {most:.1%} of the sets: {sum(good)} of {len(good)} rows"]


ABOUT = f"""\
Confidence {CONFIDENCE}. Broken: the share of all sets in which a promise was made and is not true. Plain: the band
that is best on the set. Reached: the mean true value of the objective where a promise was made (of goals that only
bound rates, the share reviewed, which is to be small). Reviewed: the mean true share of rows left to a person."""


def outcomes(sets: int) -> Iterator[Outcome]:
    """Of every row."""
    return in_two_processes(measure, rows(), sets)


REVIEW_BAND = Simulation(
    command="review_band",
    question="What the promise of a review band is worth.",
    unit="sets",
    size=300,
    quick=30,
    about=ABOUT,
    header=HEADER,
    outcomes=outcomes,
    cells=cells,
    claims=claims,
)

if __name__ == "__main__":
    sys.exit(main(REVIEW_BAND))
