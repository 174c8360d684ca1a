"""Does training for a goal reach it, and does it beat cross-entropy with a chosen threshold?

    python -m benchmarks.goal_training [--quick] [--data FOLDER]

1. A line that must fit a band: the positives of two features lie in a band, so that a linear model must be wrong about many
   rows, and cross-entropy, which minds *how* wrong, gives up recall. The best line is found by trying all.
2. Real tables, a linear model and a small network: each loss is trained in the same loop, the best epoch is taken on
   validation rows, and its decisions are measured on test rows.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import counterpoise as cp
from counterpoise.decide import choose_threshold
from counterpoise.goals import Confusion, Goal, goal
from counterpoise.torch import GoalLoss, KeepBest, Loss

DATA = Path(__file__).parents[1] / "shared" / "data"
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
