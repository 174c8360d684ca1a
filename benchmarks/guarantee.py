"""What a promise is worth: thresholds chosen on many calibration sets, judged by the rates they truly have.

    python -m benchmarks.guarantee            # 2,000 calibration sets a row; 5 minutes on 2 cores
    python -m benchmarks.guarantee --quick    # 100
    python -m benchmarks.guarantee --write    # and its part of RESULTS.md

The distribution of the scores is known, so the rates of a threshold are computed, not counted on test rows.
MAPIE (`pip install --no-deps mapie==1.6.*`, where scikit-learn is) is run on the first 20 sets of each row, since it
takes up to a second for each; without it its columns are skipped.
"""

import argparse
import multiprocessing
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, stdtr

from benchmarks import results
from counterpoise import goals
from counterpoise.decide import choose_threshold
from counterpoise.decide.threshold import best_threshold
from counterpoise.goals import Confusion, Goal

CONFIDENCE = 0.95
SLACK = 0.015
PEER_SETS = 20
METHODS = {"default": "bonferroni_holm", "split": "split_fixed_sequence"}
RISKS = {"precision": "precision", "recall": "recall", "fpr": "fpr", "alerts": "predicted_positive_fraction"}
HERE = Path(__file__).parent


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
        if (
            self.scores.digits is not None
        ):  # a rounded score is at least this where the score itself is half a digit less
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
    controller = mapie_controller()
    for seed in range(sets):
        target, score = row.sample(seed)
        decision = choose_threshold(target, score, goal, CONFIDENCE)
        ours.append(decision.threshold if decision.promised else None)
        plain.append(best_threshold(target, score, goal) if decision.promised else decision.threshold)
        if controller is not None and seed < PEER_SETS:
            for name, method in METHODS.items():
                found[name].append(mapie_threshold(controller, method, target.astype(int), score, goal))
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


def mapie_controller() -> Any:
    try:
        from mapie.risk_control import BinaryClassificationController
    except ImportError:
        return None
    return BinaryClassificationController


def mapie_threshold(controller: Any, method: str, target: Any, score: Any, goal: Goal) -> float | None:
    """MAPIE's best threshold, or None; its split sequence learns its order on the first fifth of the rows."""
    risks = [RISKS[one.rate] for one in goal.constraints]
    levels = [one.bound for one in goal.constraints]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = controller(
            lambda one: np.stack([1 - one, one], axis=1),
            risks if len(risks) > 1 else risks[0],
            levels if len(levels) > 1 else levels[0],
            confidence_level=CONFIDENCE,
            best_predict_param_choice=RISKS[goal.objective],
            fwer_method=method,
        )
        if method.startswith("split"):
            fifth = len(score) // 5
            try:
                made.learn_fixed_sequence_order(score[:fifth], target[:fifth])
            except ValueError:  # a fifth without positives
                return None
            target, score = target[fifth:], score[fifth:]
        made.calibrate(score, target)
    return None if made.best_predict_param is None else float(made.best_predict_param)


def cost() -> str:
    """Time and memory for ten million scores, beside NumPy's argsort of them."""
    rng = np.random.default_rng(0)
    score = rng.random(10_000_000)
    target = rng.random(len(score)) < score / 10
    goal = "recall where precision >= 0.08 and alerts <= 20%"
    choose_threshold(target[:1000], score[:1000], goal)  # SciPy is imported
    own, sorting = [], []
    peak = measure_memory(lambda: choose_threshold(target, score, goal))
    for _ in range(5):
        own.append(seconds(lambda: choose_threshold(target, score, goal)))
        sorting.append(seconds(lambda: np.argsort(score)))
    ratio = np.median(np.array(own) / np.array(sorting))
    return (
        f"10 M scores, median of 5 pairs: choose_threshold {np.median(own):.2f} s, argsort {np.median(sorting):.2f} s, "
        f"ratio {ratio:.2f} (bar 1.5); peak of the process {peak} (bar 1 GB)"
    )


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_memory(call: Callable[[], Any]) -> str:
    """The most that this process holds during a call, its inputs and libraries included."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError:
        return "unknown: it is read from Linux's /proc"
    call()
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return f"{int(found[1]) * 1024 / 1e9:.2f} GB" if found else "unknown"


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


def as_markdown(outcomes: Sequence[Outcome], spent: str) -> str:
    """Its part of RESULTS.md."""
    sets = outcomes[0].sets
    lines = [
        "# Guarantee",
        "",
        f"Written by `python -m benchmarks.guarantee --sets {sets} --write`, with confidence {CONFIDENCE}.",
        "Broken: the share of all sets in which a promise was made and is not true; of promised: of those with one.",
        "Plain: the threshold that is best on the set. Reached: the mean true value of the objective, 0 where nothing",
        "was promised; or plain: that of the plain threshold there. MAPIE 1.6's BinaryClassificationController,",
        f"default and split fixed sequence (its order learnt on a fifth of the rows), ran on {PEER_SETS} of the sets,",
        "where ours is repeated beside it (same sets).",
        "",
        *(f"- {claim}" for claim in claims(outcomes)),
        f"- {spent}",
        f"- commit measured: {results.commit()}",
        "",
        f"| {' | '.join(HEADER)} |",
        f"| {' | '.join(['---'] * len(HEADER))} |",
        *(f"| {' | '.join(cells(outcome))} |" for outcome in outcomes),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guarantee", description="What a promise is worth.")
    parser.add_argument("--sets", type=int, default=2000, help="calibration sets a row (2000)")
    parser.add_argument("--quick", action="store_const", dest="sets", const=100, help="100 calibration sets a row")
    parser.add_argument("--write", nargs="?", type=Path, const=HERE, metavar="FOLDER", help="write RESULTS.md")
    asked = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    outcomes = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        spent = pool.apply(cost)
        for outcome in pool.imap(partial(measure, sets=asked.sets), rows()):
            outcomes.append(outcome)
            print(" | ".join(cells(outcome)), flush=True)
    print(*claims(outcomes), spent, sep="\n")
    if asked.write is not None:
        results.write_part(asked.write / "RESULTS.md", as_markdown(outcomes, spent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
