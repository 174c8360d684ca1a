"""Do decisions keep their goals on new rows? Real tables, beside what scikit-learn offers for the same.

    python -m benchmarks.decisions [--quick] [--write] [--data FOLDER]

Each table is split by class, several times: 60 % of the rows (at most 15,000) to learn and decide on, the rest (at most
45,000) to judge by. A logistic regression and LightGBM are decided for each goal: by `GoalClassifier` on rows set aside
and cross-fitted, by `TunedThresholdClassifierCV` with a scorer for the same goal, by the threshold 0.5, plain and with
class_weight="balanced". No row that judges is seen before. A rate is surely broken where its exact 95 % interval on the
judging rows lies beyond the bound.
"""

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import results
from benchmarks.tables.data import DATA
from counterpoise import goals
from counterpoise.decide.threshold import best_threshold
from counterpoise.goals import Confusion, Constraint, Goal
from counterpoise.sklearn import GoalClassifier

CONFIDENCE = 0.95
LEARN, JUDGE = 15_000, 45_000
USEFUL = 0.05

GOALS = (
    "recall where precision >= 0.5",
    "precision where recall >= 0.8",
    "recall where alerts <= 2%",
    "recall where fpr <= 0.01",
    "f1",
    "cost fn=500 fp=10",
)


@dataclass(frozen=True)
class Table:
    """A file, its positive label, the columns that leak or identify, and whose rows hang together."""

    name: str
    positive: int | str = 1
    leave_out: tuple[str, ...] = ()
    one_row_per: str | None = None


TABLES = (
    Table("bank_marketing", "yes", ("duration", "row_in_time")),
    Table("diabetes_readmission", 1, ("encounter_id", "patient_nbr", "readmitted"), one_row_per="patient_nbr"),
    Table("lending_club", "bad"),
    Table("oil_spill", 1, ("patch_id",)),
    Table("machine_failure", 1, ("UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF")),
    Table("wine_quality", 8),
    Table("thyroid", "hyperthyroid", ("diagnosis",)),
    Table("mammography"),
    Table("cover"),
    Table("sea_flights", 1, ("date", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum")),
    Table("mine_injuries", 1, ("NUM_INJURIES",)),
)


@dataclass(frozen=True, eq=False)
class Samples:
    """Features, the first `numeric` of them numbers, the others codes of categories, and 0 or 1 for each row."""

    features: NDArray[np.float64]
    numeric: int
    target: NDArray[np.int64]


def read(table: Table, folder: Path) -> Samples:
    """A table, without exact duplicates: a row shall not lie on both sides of a split."""
    frame = pl.read_parquet(folder / f"{table.name}.parquet").unique(maintain_order=True)
    if table.one_row_per is not None:
        frame = frame.unique(subset=[table.one_row_per], keep="first", maintain_order=True)
    features = frame.drop("target", *table.leave_out)
    numbers = features.select(pl.selectors.numeric()).columns
    codes = [name for name in features.columns if name not in numbers]
    as_numbers = features.select(
        *(pl.col(name).cast(pl.Float64) for name in numbers),
        *(pl.col(name).cast(pl.Categorical).to_physical().cast(pl.Float64).fill_null(-1) for name in codes),
    )
    target = (frame["target"].cast(pl.String) == str(table.positive)).to_numpy().astype(np.int64)
    return Samples(as_numbers.to_numpy(), len(numbers), target)


def logistic(numeric: int, columns: int, class_weight: str | None) -> Any:
    """A logistic regression on standardised numbers and one column per category."""
    return make_pipeline(_encoded(numeric, columns), LogisticRegression(max_iter=500, class_weight=class_weight))


def lightgbm(numeric: int, columns: int, class_weight: str | None) -> Any:
    """LightGBM with the regularisation that keeps its leaves finite where positives are very rare."""
    from lightgbm import LGBMClassifier

    trees = LGBMClassifier(
        n_estimators=120, learning_rate=0.05, num_leaves=15, reg_lambda=10.0, class_weight=class_weight, n_jobs=1,
        verbosity=-1,
    )  # fmt: skip
    return make_pipeline(_encoded(numeric, columns), trees)


def _encoded(numeric: int, columns: int) -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    codes = OneHotEncoder(
        min_frequency=20, max_categories=20, handle_unknown="infrequent_if_exist", sparse_output=False, dtype=np.float32
    )
    return make_column_transformer((numbers, list(range(numeric))), (codes, list(range(numeric, columns))))


MODELS = {"logistic": logistic, "LightGBM": lightgbm}


@dataclass(eq=False)
class Fits:
    """The models of one estimator on rows of one table, each fitted once: the goals share them."""

    rows: Samples
    make: Callable[[], Any]
    models: dict[bytes, Any] = field(default_factory=dict, repr=False)
    scores: dict[tuple[bytes, bytes], NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def predict(self, learnt: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probabilities (N, 2) of the rows asked, of the model that learnt from the others."""
        key = learnt.tobytes(), asked.tobytes()
        if key[0] not in self.models:
            self.models[key[0]] = self.make().fit(self.rows.features[learnt], self.rows.target[learnt])
        if key not in self.scores:
            self.scores[key] = self.models[key[0]].predict_proba(self.rows.features[asked])
        return self.scores[key]


class OnRowNumbers(ClassifierMixin, BaseEstimator):
    """The estimator as scikit-learn sees it: its only feature is the number of the row."""

    def __init__(self, fits: Fits) -> None:
        self.fits = fits

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.fits)

    def fit(self, X: NDArray[np.int64], y: Any) -> Self:  # noqa: N803
        self.learnt_ = X[:, 0].copy()
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: N803
        return self.fits.predict(self.learnt_, X[:, 0].copy())

    def predict(self, X: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: N803
        return self.predict_proba(X).argmax(axis=1)


def scorer(goal: Goal) -> Any:
    """The objective where the constraints hold, minus what they lack elsewhere: how such goals are usually tuned."""

    def value(truth: NDArray[np.int64], flagged: NDArray[np.int64]) -> float:
        at = counted(truth == 1, flagged == 1)
        short = sum(float(constraint.shortfall(at)) for constraint in goal.constraints)
        return -short if short else float(goal.score(at))

    return make_scorer(value)


def counted(truth: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> Confusion:
    """The counts of decisions."""
    tp, alerts, positives = int(np.sum(truth & flagged)), int(flagged.sum()), int(truth.sum())
    return Confusion(tp=tp, fp=alerts - tp, fn=positives - tp, tn=len(truth) - positives - alerts + tp)


OURS = ("GoalClassifier, cv=0.3", "GoalClassifier, cv=5")
TUNED = "TunedThreshold"
METHODS = (*OURS, TUNED, "0.5", "balanced")


@dataclass(frozen=True)
class Outcome:
    """What one way to decide did on the judging rows of one split, and whether any threshold could do it there."""

    table: str
    model: str
    goal: str
    method: str
    promised: bool
    said_unmet: bool
    kept: bool
    surely_broken: bool
    value: float
    reachable: bool


def decide(
    method: str, goal: Goal, plain: Fits, balanced: Fits, learn: Any, judge: Any, seed: int
) -> tuple[Any, bool, bool]:
    """Which of the judging rows are flagged, whether that was promised, or said not to meet the goal."""
    if method in ("0.5", "balanced"):
        fits = plain if method == "0.5" else balanced
        return fits.predict(learn, judge)[:, 1] >= 0.5, False, False
    if method == TUNED:
        model = TunedThresholdClassifierCV(OnRowNumbers(plain), scoring=scorer(goal), cv=5)
    else:
        cv: float | int = 0.3 if method == OURS[0] else 5
        model = GoalClassifier(OnRowNumbers(plain), goal, confidence=CONFIDENCE, cv=cv, random_state=seed)
    model.fit(learn[:, None], plain.rows.target[learn])
    flagged = model.predict(judge[:, None]) == 1
    if method == TUNED:
        return flagged, False, False
    return flagged, model.decision_.promised, not model.decision_.met


def judged(at: Confusion, goal: Goal) -> tuple[bool, bool]:
    """Whether the counts keep every bound, and whether some bound is broken by more than the rows' luck."""
    kept = all(not constraint.shortfall(at) for constraint in goal.constraints)
    return kept, any(surely_broken(at, constraint) for constraint in goal.constraints)


def surely_broken(at: Confusion, constraint: Constraint) -> bool:
    """Whether the exact 95 % interval of the rate lies beyond its bound."""
    part, whole = {
        "precision": (at.tp, at.tp + at.fp),
        "recall": (at.tp, at.tp + at.fn),
        "specificity": (at.tn, at.tn + at.fp),
        "fpr": (at.fp, at.tn + at.fp),
        "alerts": (at.tp + at.fp, at.tp + at.fp + at.fn + at.tn),
    }[constraint.rate]
    if not whole:
        return False
    interval = binomtest(int(part), int(whole)).proportion_ci(0.95)
    return bool(interval.high < constraint.bound if constraint.at_least else interval.low > constraint.bound)


def reachable(truth: NDArray[np.bool_], scores: NDArray[np.float64], goal: Goal) -> bool:
    """Whether, with hindsight, some threshold keeps the bounds and is of some use."""
    at = counted(truth, scores >= best_threshold(truth, scores, goal))
    return judged(at, goal)[0] and (not goal.constraints or float(goal.value(at)) >= USEFUL)


def measure(job: tuple[Table, str, int], folder: Path) -> list[Outcome]:
    """Every goal and method on one split of one table."""
    table, model, seed = job
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    warnings.filterwarnings("ignore", message="Found unknown categories")
    rows = read(table, folder)
    numbers = np.arange(len(rows.target))
    learn, judge = train_test_split(
        numbers,
        train_size=min(int(0.6 * len(numbers)), LEARN),
        test_size=min(len(numbers) - int(0.6 * len(numbers)), JUDGE),
        stratify=rows.target,
        random_state=seed,
    )
    shape = rows.numeric, rows.features.shape[1]
    plain, balanced = (Fits(rows, partial(MODELS[model], *shape, weight)) for weight in (None, "balanced"))
    outcomes = []
    for text in GOALS:
        goal = goals.goal(text)
        can = reachable(rows.target[judge] == 1, plain.predict(learn, judge)[:, 1], goal)
        for method in METHODS:
            flagged, promised, unmet = decide(method, goal, plain, balanced, learn, judge, seed)
            at = counted(rows.target[judge] == 1, flagged)
            outcomes.append(
                Outcome(table.name, model, text, method, promised, unmet, *judged(at, goal), float(goal.value(at)), can)
            )
    return outcomes


def _of(outcomes: Iterable[Outcome], goal: str, method: str, table: str | None = None) -> list[Outcome]:
    return [one for one in outcomes if (one.goal, one.method) == (goal, method) and table in (None, one.table)]


def share(flags: Iterable[bool]) -> str:
    """How many of how many.

    Examples
    --------
    >>> share([True, False])
    '50 %'
    """
    flags = list(flags)
    return f"{np.mean(flags):.0%}".replace("%", " %") if flags else "-"


def by_bounded_goal(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Per goal with a bound and method, all tables and models where the goal can be reached."""
    outcomes = [one for one in outcomes if one.reachable]
    head = ["goal", "method", "kept", "surely broken", "promised", "of promised: kept", "surely broken"]
    head += ["said unmet", "surely broken else", "objective where both keep"]
    yield f"| {' | '.join(head)} |"
    yield f"| --- | --- |{' ---: |' * 7} --- |"
    for goal in _goals(outcomes, bounded=True):
        for method in METHODS:
            found, tuned = _of(outcomes, goal, method), _of(outcomes, goal, TUNED)
            cells = [share(one.kept for one in found), share(one.surely_broken for one in found)]
            if method in OURS:
                sure = [one for one in found if one.promised]
                cells += [share(one.promised for one in found), share(one.kept for one in sure)]
                cells += [share(one.surely_broken for one in sure), share(one.said_unmet for one in found)]
                cells += [share(one.surely_broken and not one.said_unmet for one in found)]
            else:
                cells += ["-"] * 5
            both = [
                (own.value, other.value) for own, other in zip(found, tuned, strict=True) if own.kept and other.kept
            ]
            own, other = np.mean(both, axis=0) if both else (np.nan, np.nan)
            yield f"| {goal} | {method} | {' | '.join(cells)} | {own:.3f} to {other:.3f}, {len(both)} splits |"


def by_other_goal(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Per goal without a bound: the mean objective."""
    yield f"| goal | {' | '.join(METHODS)} |"
    yield f"| --- |{' ---: |' * len(METHODS)}"
    for goal in _goals(outcomes, bounded=False):
        means = (np.mean([one.value for one in _of(outcomes, goal, method)]) for method in METHODS)
        yield f"| {goal} | {' | '.join(f'{mean:.3f}' for mean in means)} |"


def _goals(outcomes: Iterable[Outcome], *, bounded: bool) -> list[str]:
    return [
        goal for goal in dict.fromkeys(one.goal for one in outcomes) if bool(goals.goal(goal).constraints) == bounded
    ]


def by_table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Per table and goal: how often each method kept the bound, and its mean objective."""
    yield f"| table | goal | {' | '.join(METHODS)} |"
    yield f"| --- | --- |{' --- |' * len(METHODS)}"
    for table in dict.fromkeys(one.table for one in outcomes):
        for goal in dict.fromkeys(one.goal for one in outcomes):
            cells = []
            for method in METHODS:
                found = _of(outcomes, goal, method, table)
                kept = f"{sum(one.kept for one in found)}/{len(found)}, " if goals.goal(goal).constraints else ""
                cells.append(f"{kept}{np.mean([one.value for one in found]):.3f}")
            yield f"| {table} | {goal} | {' | '.join(cells)} |"


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """All goals with a bound together: how often it was kept, and on how many tables more or less often than tuned."""
    bounded = _goals(outcomes, bounded=True)
    pairs = [(goal, table) for goal in bounded for table in dict.fromkeys(one.table for one in outcomes)]
    tuned = [sum(one.kept for one in _of(outcomes, goal, TUNED, table)) for goal, table in pairs]
    for method in METHODS:
        found = [one for one in outcomes if one.method == method and one.goal in bounded]
        kept = [sum(one.kept for one in _of(outcomes, goal, method, table)) for goal, table in pairs]
        more = sum(own > other for own, other in zip(kept, tuned, strict=True))
        less = sum(own < other for own, other in zip(kept, tuned, strict=True))
        line = f"- {method}: kept {share(one.kept for one in found)}"
        line += f", surely broken {share(one.surely_broken for one in found)}"
        if method != TUNED:
            line += f"; of {len(pairs)} pairs of goal and table kept more often than {TUNED} in {more}, less in {less}"
        yield line


def as_markdown(outcomes: Sequence[Outcome], asked: str, seconds: float) -> str:
    """Its part of RESULTS.md."""
    tables = len({one.table for one in outcomes})
    lines = [
        "# Decisions",
        "",
        f"Written by `python -m benchmarks.decisions {asked}`: {tables} real tables, two models, "
        f"{len(_of(outcomes, GOALS[0], TUNED)) // tables // 2} splits; {seconds:.0f} s.",
        "",
        "Kept: the share of splits where every bound held on the judging rows, by luck or not: a threshold exactly at",
        "its bound keeps it in half of them. Surely broken: where the exact 95 % interval of a rate there lies beyond",
        "its bound. Said unmet: where `decision_.met` is False, because no threshold kept the bound on the rows to",
        "choose on; surely broken else: without that word. Objective where both keep: the method's own mean and",
        f"{TUNED}ClassifierCV's, over the splits where both kept the bound. Promises are of {CONFIDENCE} confidence.",
        "",
        f"- commit measured: {results.commit()}",
        *summary(outcomes),
        "",
        f"Splits where, with hindsight, a threshold on the judging rows keeps the bound with an objective >= {USEFUL}:",
        ", ".join(
            f"{goal}: {share(one.reachable for one in _of(outcomes, goal, TUNED))} of them"
            for goal in _goals(outcomes, bounded=True)
        )
        + ".",
        "",
        *by_bounded_goal(outcomes),
        "",
        "Goals without a bound: the mean objective (of cost, less is better).",
        "",
        *by_other_goal(outcomes),
        "",
        "Each table: in how many splits of both models the bound was kept, and the mean objective, kept or not.",
        "",
        *by_table(outcomes),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two splits of three small tables")
    results.may_write(parser)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the real tables")
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        print(f"no folder {asked.data}: nothing is measured; name one with --data")
        return 0
    start = time.perf_counter()
    tables = TABLES[2:5] if asked.quick else TABLES
    jobs = [(table, model, seed) for table in tables for model in MODELS for seed in range(2 if asked.quick else 5)]
    os.environ["OMP_NUM_THREADS"] = "1"
    outcomes: list[Outcome] = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for some in pool.imap(partial(measure, folder=asked.data), jobs):
            outcomes += some
            print(f"{some[0].table}, {some[0].model}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    text = as_markdown(outcomes, "--quick --write" if asked.quick else "--write", time.perf_counter() - start)
    print(text)
    if asked.write is not None:
        results.write_part(asked.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
