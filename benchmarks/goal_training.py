"""Does training for a goal reach it, and does it beat cross-entropy with a chosen threshold?

    python -m benchmarks.goal_training [--quick] [--data FOLDER]

1. A line that must fit a band: the positives of two features lie in a band, so that a linear model must be wrong about
   many rows, and cross-entropy, which minds *how* wrong, gives up recall. The best line is found by trying all.
2. Real tables, a linear model and a small network: each loss is trained in the same loop, the best epoch is taken on
   validation rows, and its decisions are measured on test rows, whose counts are added up over several splits.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

import counterpoise as cp
from benchmarks.tables.data import DATA
from counterpoise.decide import choose_threshold
from counterpoise.goals import Confusion, Goal, goal
from counterpoise.torch import GoalLoss, KeepBest, Loss

BAND_GOAL = "recall where precision >= 0.55"


def band(seed: int, rows: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, 2) and labels: positives in a band, negatives on both its sides, a few of them far off."""
    rng = np.random.default_rng(seed)
    positives, upper, far = int(0.31 * rows), int(0.2 * rows), int(0.0195 * rows)
    near = rows - positives - upper - far
    parts = [
        (rng.uniform(0, 1, positives), rng.uniform(-3, 3, positives)),
        (0.2 - rng.exponential(1.0, near), rng.uniform(-3, 3, near)),
        (0.5 + rng.exponential(0.33, upper), rng.uniform(1.2, 3, upper)),
        (rng.normal(8, 0.5, far), rng.uniform(-3, 1.2, far)),
    ]
    features = np.concatenate([np.stack(part, 1) for part in parts])
    label = np.repeat([1, 0], [positives, rows - positives])
    order = rng.permutation(rows)
    features = (features - features.mean(0)) / features.std(0)
    return features[order].astype(np.float32), label[order]


def recall_by_threshold(score: np.ndarray, label: np.ndarray, precision: float = 0.55) -> float:
    """The highest recall that a threshold on these scores reaches with this precision."""
    found = np.cumsum(label[np.argsort(-score)])
    kept = found / np.arange(1, len(label) + 1) >= precision
    return float(found[kept].max() / label.sum()) if kept.any() else 0.0


def best_line(features: np.ndarray, label: np.ndarray, directions: int = 720) -> float:
    """The recall of the best line, found by trying every direction and every threshold."""
    angles = np.linspace(0, 2 * np.pi, directions, endpoint=False)
    return max(recall_by_threshold(features @ [np.cos(a), np.sin(a)], label) for a in angles)


@dataclass(frozen=True)
class Task:
    """A table, what to leave out, which label is positive, and what is wanted."""

    table: str
    goal: str
    positive: int | str = 1
    leave_out: tuple[str, ...] = ()
    rows: int = 20_000


TASKS = (
    Task("mammography", "recall where precision >= 0.5"),
    Task("mammography", "precision where recall >= 0.8"),
    Task("oil_spill", "recall where precision >= 0.5", leave_out=("patch_id",)),
    Task("machine_failure", "recall where precision >= 0.5", leave_out=("UDI", "TWF", "HDF", "PWF", "OSF", "RNF")),
    Task("thyroid", "recall where precision >= 0.5", positive="hyperthyroid"),
    Task("thyroid", "f1", positive="hyperthyroid"),
    Task("cover", "recall where fpr <= 0.01"),
    Task("bank_marketing", "recall where precision >= 0.5", positive="yes", leave_out=("row_in_time", "duration")),
    Task("lending_club", "recall where alerts <= 0.1", positive="bad"),
)


@dataclass(frozen=True)
class Part:
    """Rows of a table: standardised features and labels."""

    x: Tensor
    y: Tensor


def parts(task: Task, data: Path, seed: int) -> tuple[Part, Part, Part]:
    """Training, validation and test rows: 60, 20 and 20 percent of each class; numeric columns, standardised."""
    table = pl.read_parquet(data / f"{task.table}.parquet")
    columns = [
        name
        for name, kind in table.schema.items()
        if kind.is_numeric() and name != "target" and name not in task.leave_out
    ]
    label = (table["target"] == task.positive).to_numpy().astype(int)
    features = table.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    rng = np.random.default_rng(seed)
    places: list[list[np.ndarray]] = [[], [], []]
    chosen = rng.permutation(len(label))[: task.rows]
    for kind in (0, 1):
        rows = chosen[label[chosen] == kind]
        for part, some in zip(places, np.split(rows, [int(0.6 * len(rows)), int(0.8 * len(rows))]), strict=True):
            part.append(some)
    train, validation, test = (np.concatenate(part) for part in places)
    centre, spread = np.nanmean(features[train], 0), np.nanstd(features[train], 0)
    features = np.nan_to_num((features - centre) / np.where(spread > 0, spread, 1.0)).clip(-8, 8)
    x, y = torch.tensor(features, dtype=torch.float32), torch.tensor(label)
    return Part(x[train], y[train]), Part(x[validation], y[validation]), Part(x[test], y[test])


def linear(width: int) -> torch.nn.Module:
    """A logistic regression."""
    return torch.nn.Linear(width, 1)


def network(width: int) -> torch.nn.Module:
    """Two hidden layers of 32."""
    layers = torch.nn.Linear(width, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU()
    return torch.nn.Sequential(*layers, torch.nn.Linear(32, 1))


MODELS = {"linear": linear, "network": network}


def train(
    model: torch.nn.Module, criterion: torch.nn.Module, part: Part, epochs: int, after_epoch: Callable[[], Any]
) -> None:
    """An ordinary training loop; the losses that are compared differ in nothing else."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(epochs):
        for rows in torch.randperm(len(part.y)).split(256):
            optimizer.zero_grad()
            criterion(model(part.x[rows]), part.y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            after_epoch()


def scores(model: torch.nn.Module, part: Part) -> np.ndarray:
    """The logits of a part."""
    with torch.no_grad():
        return model(part.x)[:, 0].double().numpy()


def counts_at(logits: np.ndarray, label: Tensor, threshold: float) -> np.ndarray:
    """Found, false alarms, missed, passed; the order of `Confusion`."""
    flagged, positive = logits >= threshold, label.numpy() == 1
    pairs = ((positive, flagged), (~positive, flagged), (positive, ~flagged), (~positive, ~flagged))
    return np.array([float((a & b).sum()) for a, b in pairs])


def chosen_threshold(logits: np.ndarray, label: Tensor, wanted: Goal) -> float:
    """The logit at which a threshold chosen on these rows flags."""
    order = np.unique(logits)
    rank = (np.searchsorted(order, logits) + 1) / (len(order) + 1)  # any rising scores of 0 to 1 will do
    threshold = choose_threshold(label.numpy(), rank, wanted).threshold
    place = int(np.ceil(threshold * (len(order) + 1) - 1))
    return float(order[place]) if place < len(order) else np.inf


Maker = Callable[[int], torch.nn.Module]
Split = tuple[Part, Part, Part]
Decided = Iterator[tuple[str, np.ndarray]]


def by_cross_entropy(make: Maker, split: Split, wanted: Goal, epochs: int) -> Decided:
    """Cross-entropy, the epoch of the lowest validation loss, the threshold chosen on validation rows."""
    training, validation, test = split
    model, criterion = make(training.x.shape[1]), Loss(cp.sigmoid.binary_cross_entropy())
    best: list[Any] = [np.inf, 0.0, None]

    def look() -> None:
        value = float(criterion(model(validation.x), validation.y))
        if value < best[0]:
            best[:] = value, chosen_threshold(scores(model, validation), validation.y, wanted), scores(model, test)

    train(model, criterion, training, epochs, look)
    yield "cross-entropy, chosen threshold", counts_at(best[2], test.y, best[1])


def by_goal(make: Maker, split: Split, wanted: Goal, epochs: int) -> Decided:
    """`GoalLoss`, the epoch that `KeepBest` keeps on validation rows, with its own and with a chosen threshold."""
    training, validation, test = split
    model, criterion = make(training.x.shape[1]), GoalLoss(wanted, cp.count(training.y.numpy()))
    keep = KeepBest(model, criterion)
    train(model, criterion, training, epochs, lambda: keep.update(model(validation.x), validation.y))
    keep.restore()
    threshold = chosen_threshold(scores(model, validation), validation.y, wanted)
    yield "GoalLoss, KeepBest", counts_at(scores(model, test), test.y, 0.0)
    yield "GoalLoss, chosen threshold", counts_at(scores(model, test), test.y, threshold)


def by_recall(make: Maker, split: Split, wanted: Goal, epochs: int) -> Decided:  # noqa: ARG001
    """The naive loss, 1 - soft recall, after the last epoch."""
    training, _, test = split
    model = make(training.x.shape[1])
    train(model, Loss(cp.sigmoid.recall(cp.count(training.y.numpy()))), training, epochs, lambda: None)
    yield "1 - soft recall, logit 0", counts_at(scores(model, test), test.y, 0.0)


METHODS = (by_recall, by_cross_entropy, by_goal)
HOW = (
    "1 - soft recall, logit 0",
    "cross-entropy, chosen threshold",
    "GoalLoss, KeepBest",
    "GoalLoss, chosen threshold",
)


def band_rows(seeds: int, epochs: int) -> Iterator[str]:
    """Table 1: the recall at precision 0.55 on the training rows, for each seed."""
    yield (
        "| seed | cross-entropy, best threshold | GoalLoss, best epoch (KeepBest) | "
        "GoalLoss, last epoch with best threshold | the best line |"
    )
    yield "| --- | --- | --- | --- | --- |"
    for seed in range(seeds):
        features, label = band(seed)
        part = Part(torch.tensor(features), torch.tensor(label))
        torch.manual_seed(seed)
        plain = linear(2)
        train(plain, Loss(cp.sigmoid.binary_cross_entropy()), part, epochs, lambda: None)
        model, criterion = linear(2), GoalLoss(BAND_GOAL, cp.count(label))
        keep = KeepBest(model, criterion)
        train(model, criterion, part, epochs, lambda k=keep, m=model, p=part: k.update(m(p.x), p.y))
        assert keep.best is not None
        reached = [
            recall_by_threshold(scores(plain, part), label),
            keep.best.value if keep.best.feasible else 0.0,
            recall_by_threshold(scores(model, part), label),
            best_line(features, label),
        ]
        yield f"| {seed} | " + " | ".join(f"{recall:.3f}" for recall in reached) + " |"


def table_rows(tasks: tuple[Task, ...], data: Path, splits: int, epochs: int) -> Iterator[str]:
    """Table 2: what was decided on test rows, the counts of all splits added up."""
    yield "| table | goal | model | " + " | ".join(HOW) + " |"
    yield "| --- " * (3 + len(HOW)) + "|"
    for task in tasks:
        wanted = goal(task.goal)
        for name, make in MODELS.items():
            counted = {how: np.zeros(4) for how in HOW}
            for seed in range(splits):
                split = parts(task, data, seed)
                for method in METHODS:
                    torch.manual_seed(seed)
                    for how, counts in method(make, split, wanted, epochs):
                        counted[how] += counts
            cells = [cell(wanted, Confusion(*map(float, counted[how]))) for how in HOW]
            yield f"| {task.table} | {task.goal} | {name} | " + " | ".join(cells) + " |"


def cell(wanted: Goal, confusion: Confusion) -> str:
    """The objective, then each constrained rate, struck where it misses its bound."""
    text = f"{float(wanted.value(confusion)):.3f}"
    for constraint in wanted.constraints:
        rate = f"{constraint.rate} {float(getattr(confusion, constraint.rate)):.3f}"
        text += f", ~~{rate}~~" if constraint.shortfall(confusion) else f", {rate}"
    return text


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goal_training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, one split, two tables")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the real tables")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # for batches of 256 more threads are slower
    start = time.perf_counter()
    for row in band_rows(2 if asked.quick else 10, 80):
        print(row, flush=True)
    print()
    tasks = TASKS[2:4] if asked.quick else TASKS
    if not asked.data.is_dir():
        print(f"no folder {asked.data}: the real tables are skipped")
        return
    for row in table_rows(tasks, asked.data, 1 if asked.quick else 3, 30):
        print(row, flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
