"""A rate as the training loss against cross-entropy, on held-out rows of two real tables.

    python -m benchmarks.rates --data ../shared/data

Three seeds, each a split into 60 % training, 20 % validation (where a threshold for F1 is chosen) and 20 % test; Adam;
15 epochs of batches of 64, 100 of batches of 1,024. Nothing is tuned.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

import counterpoise as cp

COLUMNS = {
    "mammography": None,
    "machine_failure": (
        "Air temperature [K]",
        "Process temperature [K]",
        "Rotational speed [rpm]",
        "Torque [Nm]",
        "Tool wear [min]",
    ),
}
EPOCHS = {64: 15, 1024: 100}
SEEDS = range(3)
CRITERIA: dict[str, Callable[[], torch.nn.Module]] = {
    "cross-entropy": torch.nn.BCEWithLogitsLoss,
    "F1": lambda: cp.torch.RateLoss("f_beta"),
    "F1 with memory": lambda: cp.torch.RateLoss("f_beta", memory=0.98),
}


def model(kind: str, width: int) -> torch.nn.Module:
    """A line, or one hidden layer of 32."""
    if kind == "line":
        return torch.nn.Linear(width, 1)
    return torch.nn.Sequential(torch.nn.Linear(width, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))


def read(folder: Path, name: str) -> tuple[Any, Any]:
    """Numeric features and 0 or 1 for each row of a table."""
    frame = pl.read_parquet(folder / f"{name}.parquet")
    columns = COLUMNS[name] or [column for column in frame.columns if column != "target"]
    target = (frame["target"].cast(pl.Utf8) == "1").to_numpy().astype(np.float32)
    return frame.select(columns).to_numpy().astype(np.float32), target


def best_threshold(target: Any, score: Any) -> float:
    """Where F1 is largest."""
    precision, recall, threshold = precision_recall_curve(target, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(threshold[np.argmax(f1[:-1])])


def trained(kind: str, criterion: torch.nn.Module, features: Any, target: Any, batch: int, seed: int) -> list[float]:
    """Test F1 at probability 1/2, F1 at the threshold chosen on validation, average precision."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(target))
    train, validation, test = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
    x = torch.tensor((features - features[train].mean(0)) / (features[train].std(0) + 1e-9))
    y = torch.tensor(target)
    torch.manual_seed(seed)
    net = model(kind, x.shape[1])
    optimizer = torch.optim.Adam(net.parameters(), 1e-2 if kind == "line" else 3e-3)
    for _ in range(EPOCHS[batch]):
        for rows in torch.tensor(rng.permutation(train)).split(batch):
            optimizer.zero_grad()
            criterion(net(x[rows])[:, 0], y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        score = net(x)[:, 0].double().numpy()
    cut = best_threshold(target[validation], score[validation])
    return [
        f1_score(target[test], score[test] > 0),
        f1_score(target[test], score[test] >= cut),
        average_precision_score(target[test], score[test]),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each table, model, batch and loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    folder = parser.parse_args(arguments).data
    torch.set_num_threads(1)
    print("| table | model | batch | loss | F1 at 1/2 | F1 at chosen | average precision |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in COLUMNS:
        features, target = read(folder, name)
        for kind in ("line", "hidden layer"):
            for batch in EPOCHS:
                for loss, criterion in CRITERIA.items():
                    runs = [trained(kind, criterion(), features, target, batch, seed) for seed in SEEDS]
                    numbers = " | ".join(f"{value:.3f}" for value in np.mean(runs, axis=0))
                    print(f"| {name} | {kind} | {batch} | {loss} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
