"""What a promise is worth: thresholds chosen on many calibration sets, judged by the rates they truly have.

    python -m benchmarks.guarantee            # 2,000 calibration sets a row; 5 minutes on 2 cores
    python -m benchmarks.guarantee --quick    # 100
    python -m benchmarks.guarantee --write    # and its part of RESULTS.md

The distribution of the scores is known, so the rates of a threshold are computed, not counted on test rows.
MAPIE (`pip install --no-deps mapie==1.6.*`, where scikit-learn is) is run on the first 20 sets of each row, since it
takes up to a second for each; without it its columns are skipped.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.promises import mapie_peer
from benchmarks.promises.cost import cost_of_a_promise
from benchmarks.promises.distributions import CONFIDENCE, HEAVY, HONEST, SHIFTED, SLACK, TIED, Row
from benchmarks.promises.mapie_peer import METHODS
from benchmarks.promises.simulation import Simulation, in_two_processes, main
from counterpoise import goals
from counterpoise.decide import choose_threshold
from counterpoise.decide.threshold import best_threshold
from counterpoise.goals import Confusion, Goal

PEER_SETS = 20


def rows() -> list[Row]:
    """Every row of the table."""
    sizes = [(0.002, 50_000, 3.5), (0.005, 20_000, 3.0), (0.02, 5_000, 2.5), (0.05, 2_000, 2.5), (0.2, 500, 2.5)]
    hundred = [Row(HONEST, *size, "recall where precision >= 0.5") for size in sizes[:4]]
    hundred.append(Row(HONEST, *sizes[4], "recall where precision >= 0.7"))
    more = [
        Row(HONEST, 0.002, 5_000, 4.0, "recall where precision >= 0.5"),
        Row(HONEST, 0.005, 50_000, 3.0, "recall where precision >= 0.5"),
        Row(HONEST, 0.02, 50_000, 2.5, "recall where precision >= 0.5"),
        Row(HONEST, 0.1, 50_000, 2.0, "recall where precision >= 0.6"),
        Row(HONEST, 0.2, 25_000, 1.5, "recall where precision >= 0.7"),
        Row(HONEST, 0.02, 50_000, 3.0, "recall where precision >= 0.9"),
        Row(HEAVY, 0.005, 50_000, 7.0, "recall where precision >= 0.5"),
        Row(HEAVY, 0.005, 50_000, 6.0, "recall where precision >= 0.5"),
        Row(HEAVY, 0.02, 5_000, 5.0, "recall where precision >= 0.5"),
        Row(HEAVY, 0.2, 25_000, 2.5, "recall where precision >= 0.7"),
        Row(SHIFTED, 0.005, 20_000, 3.0, "recall where precision >= 0.5"),
        Row(SHIFTED, 0.2, 25_000, 1.5, "recall where precision >= 0.7"),
        Row(TIED, 0.005, 20_000, 3.0, "recall where precision >= 0.5"),
        Row(TIED, 0.2, 500, 2.5, "recall where precision >= 0.7"),
    ]
    monotone = [
        Row(HONEST, *size, goal)
        for goal in ("precision where recall >= 0.7", "recall where fpr <= 0.02", "recall where alerts <= 0.05")
        for size in (sizes[1], sizes[4])
        if not (goal.endswith("0.05") and size == sizes[4])
    ]
    monotone += [
        Row(HONEST, 0.1, 50_000, 2.0, "precision where recall >= 0.7"),
        Row(HEAVY, 0.005, 20_000, 6.0, "recall where fpr <= 0.02"),
        Row(TIED, 0.02, 5_000, 2.5, "precision where recall >= 0.7"),
    ]
    pairs = [
        Row(HONEST, 0.005, 20_000, 3.0, "recall where precision >= 0.5 and alerts <= 0.005"),
        Row(HONEST, 0.02, 5_000, 3.0, "recall where precision >= 0.5 and fpr <= 0.01"),
        Row(HONEST, 0.02, 5_000, 3.0, "recall where recall >= 0.6 and precision >= 0.4"),
        Row(HONEST, 0.2, 2_000, 2.5, "precision where recall >= 0.7 and fpr <= 0.1"),
    ]
    return [*hundred, *more, *monotone, *pairs]


@dataclass(frozen=True)
class Tally:
    """What became of one way to choose, over the calibration sets."""

    promised: float
    violated: float
    violated_if_promised: float
    value: float
    value_else_empirical: float


@dataclass(frozen=True)
class Outcome:
    """A row as measured."""

    row: Row
    oracle: float
    sets: int
    plain_violated: float
    ours: Tally
    ours_on_peer_sets: Tally | None
    peers: dict[str, Tally]


def tally(row: Row, thresholds: Sequence[float | None], plain: Sequence[float]) -> Tally:
    """None stands for no promise: worth nothing in `value`, the plain threshold's in `value_else_empirical`."""
    goal = goals.goal(row.goal)
    promised = np.array([threshold is not None for threshold in thresholds])
    chosen = np.array([other if one is None else one for one, other in zip(thresholds, plain, strict=True)])
    at = row.truth(chosen)
    value, broken = goal.value(at), violated(goal, at)
    return Tally(
        promised=float(promised.mean()),
        violated=float(np.mean(broken & promised)),
        violated_if_promised=float(broken[promised].mean()) if promised.any() else 0.0,
        value=float(np.mean(value * promised)),
        value_else_empirical=float(np.mean(value)),
    )


def violated(goal: Goal, at: Confusion) -> Any:
    """Which thresholds break a bound in truth."""
    return np.any([one.shortfall(at) > 1e-9 for one in goal.constraints], axis=0)


def measure(row: Row, sets: int) -> Outcome:
    """One row of the table."""
    goal = goals.goal(row.goal)
    ours: list[float | None] = []
    plain = []
    found: dict[str, list[float | None]] = {name: [] for name in METHODS}
    controller = mapie_peer.controller_class()
    for seed in range(sets):
        target, score = row.sample(seed)
        decision = choose_threshold(target, score, goal, CONFIDENCE)
        ours.append(decision.threshold if decision.promised else None)
        plain.append(best_threshold(target, score, goal) if decision.promised else decision.threshold)
        if controller is not None and seed < PEER_SETS:
            for name, method in METHODS.items():
                found[name].append(mapie_peer.threshold_of(controller, method, target.astype(int), score, goal))
    few = plain[:PEER_SETS]
    return Outcome(
        row,
        row.oracle(),
        sets,
        float(violated(goal, row.truth(np.array(plain))).mean()),
        tally(row, ours, plain),
        tally(row, ours[:PEER_SETS], few) if controller is not None else None,
        {name: tally(row, thresholds, few) for name, thresholds in found.items() if controller is not None},
    )


HEADER = [
    "scores", "prevalence", "rows", "goal", "oracle", "promised", "broken", "of promised", "plain broken", "reached",
    "or plain", "same sets", "MAPIE", "broken", "MAPIE split", "broken",
]  # fmt: skip


def cells(outcome: Outcome) -> list[str]:
    row, ours = outcome.row, outcome.ours
    line = [
        row.scores.name, f"{row.prevalence:.1%}", f"{row.rows:,}", row.goal, f"{outcome.oracle:.3f}",
        f"{ours.promised:.1%}", f"{ours.violated:.1%}", f"{ours.violated_if_promised:.1%}",
        f"{outcome.plain_violated:.0%}", f"{ours.value:.3f}", f"{ours.value_else_empirical:.3f}",
    ]  # fmt: skip
    if outcome.ours_on_peer_sets is None:
        return [*line, *["skipped"] * 5]
    line.append(f"{outcome.ours_on_peer_sets.value:.3f}")
    for name in METHODS:
        line += [f"{outcome.peers[name].value:.3f}", f"{outcome.peers[name].violated:.0%}"]
    return line


def claims(outcomes: Sequence[Outcome]) -> list[str]:
    """What is claimed, and how many rows keep it."""
    most = 1 - CONFIDENCE + SLACK
    peers = [one for one in outcomes if one.ours_on_peer_sets is not None]
    rare = [one for one in peers if one.row.prevalence <= 0.005 and "recall where precision" in one.row.goal]
    many = [one for one in outcomes if one.row.positives >= 5000]
    checks = {
        f"a promise is broken in at most {most:.1%} of the sets": [one.ours.violated <= most for one in outcomes],
        "plain: the empirical threshold is broken in at least 30 %": [one.plain_violated >= 0.3 for one in outcomes],
        "5,000 positives: within a tenth of the oracle": [one.ours.value >= 0.9 * one.oracle for one in many],
        "as much as MAPIE, default and split": [_ratio(one) >= 1 for one in peers],
        "1.1 times MAPIE at a prevalence of at most 0.5 %": [_ratio(one) >= 1.1 for one in rare],
    }
    return [f"{claim}: {sum(kept)} of {len(kept)} rows" for claim, kept in checks.items() if kept]


def _ratio(outcome: Outcome) -> float:
    assert outcome.ours_on_peer_sets is not None
    best = max(peer.value for peer in outcome.peers.values())
    return outcome.ours_on_peer_sets.value / best if best else np.inf


ABOUT = f"""\
Confidence {CONFIDENCE}. Broken: the share of all sets in which a promise was made and is not true; of promised: of
those with one. Plain: the threshold that is best on the set. Reached: the mean true value of the objective, 0 where
nothing was promised; or plain: that of the plain threshold there. MAPIE 1.6's BinaryClassificationController,
default and split fixed sequence (its order learnt on a fifth of the rows), ran on {PEER_SETS} of the sets, where
ours is repeated beside it (same sets)."""


def outcomes(sets: int) -> Iterator[Outcome]:
    """Of every row."""
    return in_two_processes(measure, rows(), sets)


GUARANTEE = Simulation(
    command="guarantee",
    question="What a promise is worth.",
    unit="sets",
    size=2000,
    quick=100,
    about=ABOUT,
    header=HEADER,
    outcomes=outcomes,
    cells=cells,
    claims=lambda found: [*claims(found), cost_of_a_promise()],
)

if __name__ == "__main__":
    sys.exit(main(GUARANTEE))
