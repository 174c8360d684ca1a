"""Is `counterpoise train`, told nothing but the target, as good as what people would otherwise run? On real tables.

    python -m benchmarks.tables [--data FOLDER] [--cache FOLDER] [--tables NAME ...] [--methods NAME ...] [--write]

Of each table a stratified 20 % is set aside that nobody sees; exact duplicates are dropped, and columns that the
catalogue calls leaking or identifiers are taken from everybody. Each method learns in a process of its own, which gives
its seconds, processor seconds and peak memory. The goal is the default one: F1 of the rarer of two classes, macro-F1 of
more, the mean F1 over several labels. Answers are kept in the cache; `--again NAME ...` asks those methods again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from benchmarks import results
from benchmarks.tables.data import DATA, Task, catalogue, chosen, codes_of, prepare

ROOT = results.FOLDER.parent
CACHE = ROOT / "build" / "tables"

OURS = "counterpoise"
REQUIRED = (
    "LightGBM",
    "LightGBM is_unbalance",
    "LightGBM max_delta_step",
    "logistic balanced",
    "BalancedRandomForest",
    "EasyEnsemble",
)
TOOLS = ("FLAML", "AutoGluon")
OTHERS = ("logistic", "CatBoost", "XGBoost", "ExtraTrees")
METHODS = (OURS, *REQUIRED, *TOOLS, *OTHERS)
RESAMPLES = 2000
TINY = 1e-7


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method said about the test rows, and what that took; or why there is no answer."""

    failed: str = ""
    probability: NDArray[np.float64] | None = None
    decision: NDArray[np.int64] | None = None
    seconds: float = np.nan
    processor_seconds: float = np.nan
    megabytes: float = np.nan
    commit: str = ""


@dataclass(frozen=True)
class Score:
    """How good an answer is."""

    goal: float = np.nan
    average_precision: float = np.nan
    log_loss: float = np.nan


@dataclass(frozen=True)
class Running:
    """How methods are run: threads, the budget of those that have one, the time after which one is stopped."""

    cache: Path
    threads: int
    budget: int
    patience: float
    interpreters: dict[str, str]
    cached: bool


def answer(table: Path, method: str, seed: int, how: Running, *, again: bool) -> Answer:
    """A method's answer, from the cache or now."""
    out = table / f"{method.replace(' ', '_')}-seed{seed}"
    record = out.with_name(out.name + ".run.json")
    if how.cached and not record.exists():
        return Answer("not asked")
    if again or not record.exists():
        record.write_text(json.dumps(_run(table, method, out, seed, how)))
    facts = json.loads(record.read_text())
    if facts["failed"]:
        return Answer(**facts)
    with np.load(out.with_name(out.name + ".npz")) as kept:
        return Answer(probability=kept["probability"].astype(np.float64), decision=kept["decision"], **facts)


def _run(table: Path, method: str, out: Path, seed: int, how: Running) -> dict[str, Any]:
    words = [how.interpreters.get(method, sys.executable), "-m", "benchmarks.tables.peers", table, method, out]
    options = ["--seed", seed, "--threads", how.threads, "--budget", how.budget]
    environment = dict(os.environ, OMP_NUM_THREADS=str(how.threads), OPENBLAS_NUM_THREADS=str(how.threads))
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in (*words, *options)], env=environment, cwd=table, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=how.patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return {"failed": f"no answer in {how.patience:.0f} s"}
    if process.returncode:
        last = (said.strip() or f"exit status {process.returncode}").splitlines()[-1]
        return {"failed": last[:300]}
    facts = json.loads(out.with_name(out.name + ".json").read_text())
    return {"failed": "", "seconds": time.perf_counter() - start, "commit": results.commit(), **facts}


def f1_of(tp: Any, predicted: Any, true: Any) -> Any:
    """F1 from counts; where a class is neither there nor predicted it counts as 0, as in scikit-learn."""
    return 2 * tp / np.maximum(predicted + true, 1)


def goal_value(truth: NDArray[np.int64], decision: NDArray[np.int64], task: Task) -> float:
    """F1 of the positive class, the mean F1 of the classes, or of the labels where they are known."""
    if task.kind == "multilabel":
        known = truth >= 0
        tp, predicted, true = (
            (known & which).sum(axis=0) for which in (decision * truth == 1, decision == 1, truth == 1)
        )
        return float(f1_of(tp, predicted, true)[true > 0].mean())
    weight = np.ones((1, len(truth)))
    return float(_f1_of_classes(truth, decision, weight, classes_judged(truth, task))[0])


def classes_judged(truth: NDArray[np.int64], task: Task) -> NDArray[np.int64]:
    """The classes whose F1 is averaged: the positive one of two, those with a test row of more."""
    return np.array([1]) if task.kind == "binary" else np.unique(truth)


def _f1_of_classes(
    truth: NDArray[np.int64], decision: NDArray[np.int64], weight: NDArray[Any], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    mean = np.zeros(len(weight))
    for one in classes:
        true, predicted = truth == one, decision == one
        mean += f1_of(*(weight @ which for which in (true & predicted, predicted, true)))
    return mean / len(classes)


def difference(
    truth: NDArray[np.int64], ours: NDArray[np.int64], peers: NDArray[np.int64], task: Task
) -> tuple[float, float, float]:
    """Our goal value minus theirs, and the ends of its paired 95 % interval: a bootstrap of the test rows."""
    generator = np.random.default_rng(0)
    if task.kind == "multilabel":
        found = _label_differences(truth, ours, peers, generator)
    else:
        # rows of the same truth and the same two decisions are alike, so their counts are resampled together
        cells, count = np.unique(np.stack([truth, ours, peers], axis=1), axis=0, return_counts=True)
        weight = generator.multinomial(len(truth), count / len(truth), size=RESAMPLES).astype(np.float64)
        classes = classes_judged(truth, task)
        sides = (_f1_of_classes(cells[:, 0], cells[:, k], weight, classes) for k in (1, 2))
        found = np.subtract(*sides)
    low, high = np.quantile(found, [0.025, 0.975])
    return goal_value(truth, ours, task) - goal_value(truth, peers, task), float(low), float(high)


def _label_differences(
    truth: NDArray[np.int64], ours: NDArray[np.int64], peers: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    rows, known = len(truth), truth >= 0
    labels = np.flatnonzero((truth == 1).any(axis=0))
    found = np.empty(RESAMPLES)
    sides = [
        [(known & which)[:, labels].astype(np.float32) for which in (side * truth == 1, side == 1, truth == 1)]
        for side in (ours, peers)
    ]
    for first in range(0, RESAMPLES, 100):
        weight = generator.multinomial(rows, np.full(rows, 1 / rows), size=100).astype(np.float32)
        values = (f1_of(*(weight @ which for which in side)).mean(axis=1) for side in sides)
        found[first : first + 100] = np.subtract(*values)
    return found


def score(truth: NDArray[np.int64], given: Answer, task: Task) -> Score:
    """The goal's value, average precision (mean over classes or labels) and log loss."""
    if given.probability is None or given.decision is None:
        return Score()
    value = goal_value(truth, given.decision, task)
    if task.kind == "multilabel":
        known, p = truth >= 0, np.clip(given.probability, TINY, 1 - TINY)
        losses = -np.where(truth == 1, np.log(p), np.log1p(-p))[known]
        pairs = [(truth[known[:, k], k], p[known[:, k], k]) for k in range(truth.shape[1]) if (truth[:, k] == 1).any()]
        return Score(value, float(np.mean([average_precision_score(*pair) for pair in pairs])), float(losses.mean()))
    p = np.clip(given.probability, TINY, 1)
    p /= p.sum(axis=1, keepdims=True)
    average = [average_precision_score(truth == k, p[:, k]) for k in classes_judged(truth, task)]
    return Score(value, float(np.mean(average)), float(-np.log(p[np.arange(len(truth)), truth]).mean()))


@dataclass(frozen=True, eq=False)
class Measured:
    """All methods on one split of one table."""

    task: Task
    seed: int
    truth: NDArray[np.int64]
    answers: dict[str, Answer]
    scores: dict[str, Score]

    def best_required(self) -> str | None:
        """The strongest of the methods that the claim is about."""
        done = [name for name in REQUIRED if name in self.scores and np.isfinite(self.scores[name].goal)]
        return max(done, key=lambda name: self.scores[name].goal, default=None)


def measure(
    facts: dict[str, Any], seed: int, data: Path, methods: Sequence[str], again: Sequence[str], how: Running
) -> Measured:
    """Ask every method about one split of one table."""
    folder = how.cache / facts["name"] / f"seed{seed}"
    task = prepare(facts, data, folder, seed)
    truth = codes_of(pl.read_parquet(folder / "truth.parquet"), task)
    answers, scores = {}, {}
    for method in methods:
        if task.kind == "multilabel" and method in TOOLS:
            answers[method] = Answer("is for one target")
        else:
            answers[method] = answer(folder, method, seed, how, again=method in again)
        scores[method] = score(truth, answers[method], task)
        print(as_line(task, method, answers[method], scores[method]), file=sys.stderr, flush=True)
    return Measured(task, seed, truth, answers, scores)


def as_line(task: Task, method: str, given: Answer, found: Score) -> str:
    """For whoever waits."""
    if given.failed:
        return f"{task.name:22} {method:24} {given.failed}"
    return (
        f"{task.name:22} {method:24} goal {found.goal:.3f}  AP {found.average_precision:.3f}"
        f"  log loss {found.log_loss:.3f}  {given.seconds:.0f} s  {given.megabytes:.0f} MB"
    )


def grid(
    measured: Sequence[Measured], methods: Sequence[str], value: Callable[[Measured, str], float], digits: int
) -> Iterator[str]:
    """Tables down, methods across; the mean over the splits that have an answer."""
    yield f"| table | {' | '.join(methods)} |"
    yield f"| --- |{' ---: |' * len(methods)}"
    for name in dict.fromkeys(one.task.name for one in measured):
        splits = [one for one in measured if one.task.name == name]
        cells = []
        for method in methods:
            found = [value(one, method) for one in splits if not one.answers[method].failed]
            cells.append(f"{np.mean(found):.{digits}f}" if found else "-")
        yield f"| {name} | {' | '.join(cells)} |"


def ranks(measured: Iterable[Measured], methods: Sequence[str]) -> dict[str, float]:
    """The mean rank of each method by the goal's value; no answer ranks last."""
    rows = [rankdata([-np.nan_to_num(one.scores[method].goal, nan=-1.0) for method in methods]) for one in measured]
    return dict(zip(methods, np.mean(rows, axis=0).tolist(), strict=True))


def verdict(measured: Sequence[Measured], methods: Sequence[str]) -> Iterator[str]:
    """What is claimed of `counterpoise train`, and whether it holds here."""
    if OURS not in methods:
        return
    yield "| table, seed | best of the six | its goal value | ours | difference | paired 95 % interval | |"
    yield "| --- | --- | ---: | ---: | ---: | --- | --- |"
    no_worse = []
    for one in measured:
        peer = one.best_required()
        ours = one.answers[OURS]
        if peer is None or ours.decision is None:
            no_worse.append(peer is None)
            theirs = f"{peer} | {one.scores[peer].goal:.3f}" if peer else "none | -"
            yield f"| {one.task.name}, {one.seed} | {theirs} | {ours.failed or f'{one.scores[OURS].goal:.3f}'} | | | |"
            continue
        against = one.answers[peer].decision
        assert against is not None
        apart, low, high = difference(one.truth, ours.decision, against, one.task)
        no_worse.append(high >= 0)
        word = "better" if low > 0 else "no worse" if high >= 0 else "worse"
        yield (
            f"| {one.task.name}, {one.seed} | {peer} | {one.scores[peer].goal:.3f} | {one.scores[OURS].goal:.3f} "
            f"| {apart:+.3f} | {low:+.3f} to {high:+.3f} | {word} |"
        )
    yield ""
    share = f"{np.mean(no_worse):.0%}".replace("%", " %")
    yield (
        "No worse than the best of the six, within the paired interval, on "
        f"{sum(no_worse)} of {len(no_worse)} ({share})."
    )


def as_markdown(measured: Sequence[Measured], methods: Sequence[str], how: Running) -> str:
    """Its part of RESULTS.md."""
    seeds = sorted({one.seed for one in measured})
    tables = {one.task.name for one in measured}
    commits = sorted({one.answers[OURS].commit for one in measured if OURS in methods and one.answers[OURS].commit})
    needed = [name for name in (OURS, *REQUIRED) if name in methods]
    lines = [
        "# Tables",
        "",
        f"Written by `python -m benchmarks.tables --seeds {' '.join(map(str, seeds))} --write`: a stratified 20 % of",
        f"each of {len(tables)} real tables, seen by nobody, judges; {how.threads} threads.",
        (f"FLAML and AutoGluon (medium_quality) were given {how.budget} s. " if set(TOOLS) & set(methods) else "")
        + f"A method is stopped after {how.patience:.0f} s.",
        "",
        f"- commits measured: {', '.join(commits) or results.commit()}",
        "",
        *verdict(measured, methods),
        "",
        f"Mean rank by the goal's value, of the methods of the claim: {_ranked(measured, needed)}.",
        "",
        *_ranked_of_all(measured, methods),
    ]
    for title, value, digits in COLUMNS:
        lines += ["", title, "", *grid(measured, methods, value, digits)]
    failed = [
        f"- {one.task.name}, {one.seed}, {name}: {given.failed}"
        for one in measured
        for name, given in one.answers.items()
        if given.failed
    ]
    return "\n".join([*lines, "", "No answer:", "", *(failed or ["none"])]) + "\n"


COLUMNS: tuple[tuple[str, Callable[[Measured, str], float], int], ...] = (
    ("Goal value (F1 of the rarer class, macro-F1, or mean F1 of the labels):", lambda one, m: one.scores[m].goal, 3),
    ("Average precision (mean over classes or labels):", lambda one, m: one.scores[m].average_precision, 3),
    ("Log loss:", lambda one, m: one.scores[m].log_loss, 3),
    ("Seconds from start to the answers written:", lambda one, m: one.answers[m].seconds, 0),
    ("Processor seconds:", lambda one, m: one.answers[m].processor_seconds, 0),
    ("Peak memory, MB:", lambda one, m: one.answers[m].megabytes, 0),
)


def _ranked_of_all(measured: Sequence[Measured], methods: Sequence[str]) -> Iterator[str]:
    whole = [one for one in measured if all(np.isfinite(one.scores[method].goal) for method in methods)]
    if whole:
        yield f"Of all, on the {len(whole)} splits where each has an answer: {_ranked(whole, methods)}."


def _ranked(measured: Sequence[Measured], methods: Sequence[str]) -> str:
    ordered = sorted(ranks(measured, methods).items(), key=lambda at: at[1])
    return ", ".join(f"{name} {rank:.2f}" for name, rank in ordered)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print, write."""
    asked = _parser().parse_args(arguments)
    if not asked.data.is_dir():
        print(f"no folder {asked.data}: nothing is measured; name one with --data")
        return 0
    tables = chosen(catalogue(asked.data), asked.tables)
    if tables is None:
        return 2
    interpreters = {name: getattr(asked, name.lower()) for name in TOOLS if getattr(asked, name.lower())}
    apart = () if asked.cached else set(TOOLS) - set(interpreters)
    methods = [m for m in METHODS if m in (asked.methods or METHODS) and m not in apart]
    how = Running(asked.cache.resolve(), asked.threads, asked.budget, asked.patience, interpreters, asked.cached)
    measured = [measure(facts, seed, asked.data, methods, asked.again, how) for facts in tables for seed in asked.seeds]
    text = as_markdown(measured, methods, how)
    print(text)
    if asked.write is not None:
        results.write_part(asked.write, text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the real tables")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where answers are kept (build/tables)")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, metavar="NAME", help="only these: " + ", ".join(METHODS)
    )
    parser.add_argument("--again", nargs="+", choices=METHODS, default=(), metavar="NAME", help="not from the cache")
    parser.add_argument("--cached", action="store_true", help="ask nothing: read what the cache has")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the splits and of the methods (0)")
    parser.add_argument("--threads", type=int, default=2, help="of each method (2)")
    parser.add_argument("--budget", type=int, default=60, help="seconds that FLAML and AutoGluon may take (60)")
    parser.add_argument("--patience", type=float, default=600, help="seconds after which a method is stopped (600)")
    for tool in TOOLS:
        parser.add_argument(
            f"--{tool.lower()}", metavar="PYTHON", help=f"the interpreter of an environment with {tool}"
        )
    results.may_write(parser)
    return parser
