"""The gradient of micro-batches of one process is that of the whole window."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.torch import Accumulator, GoalLoss, Loss

RNG = np.random.default_rng(0)
FEATURES = torch.tensor(RNG.normal(size=(40, 3)))
CLASSES = torch.tensor(RNG.integers(4, size=40))
IGNORED = torch.where(torch.arange(40) % 3 == 0, -100, CLASSES)
LABELS = torch.tensor(RNG.integers(2, size=(40, 4)).astype(float))
WEIGHT = torch.tensor(RNG.exponential(size=40))
COUNTS = [198, 436, 710, 272]
CASES = [
    (CLASSES, Loss(cp.softmax.weighted(COUNTS), "weighted_mean")),
    (CLASSES, Loss(cp.softmax.focal(COUNTS, weight="inverse"))),
    (IGNORED, Loss(cp.softmax.ldam(COUNTS), "nonzero_mean", ignore_index=-100)),
    (CLASSES, Loss(cp.softmax.expected_cost(np.arange(16.0).reshape(4, 4)), "weighted_mean")),
    (LABELS, Loss(cp.sigmoid.asymmetric(), "weighted_mean")),
]


def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 4).double()


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("ends", [[0, 40], [0, 1, 33, 40], [0, 0, 5, 6, 20, 21, 39, 40]], ids=["1", "3", "7"])
@pytest.mark.parametrize("place", range(len(CASES)))
def test_micro_batches_are_the_batch(place, ends, weight):
    target, criterion = CASES[place]
    whole, parts = layer(), layer()
    true = criterion(whole(FEATURES), target, weight)
    true.backward()
    accumulator = Accumulator(criterion, parts.parameters())
    for _ in range(2):  # and the next window is as the first
        parts.zero_grad()
        for first, last in pairwise(ends):
            rows = slice(first, last)
            accumulator.backward(parts(FEATURES[rows]), target[rows], None if weight is None else weight[rows])
        torch.testing.assert_close(accumulator.finish(), true.detach(), rtol=1e-11, atol=0)
        for found, expected in zip(parts.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-11, atol=1e-14)


def test_a_window_with_nothing_to_count_is_zero():
    model = layer()
    accumulator = Accumulator(Loss(cp.softmax.focal(), ignore_index=-100), model.parameters())
    accumulator.backward(model(FEATURES), torch.full((40,), -100))
    assert accumulator.finish() == 0
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_bad_input():
    model = layer()
    with pytest.raises(cp.UserError, match=r"needs a counterpoise\.torch\.Loss whose reduction is one of"):
        Accumulator(Loss(cp.softmax.focal(), "sum"), model.parameters())
    with pytest.raises(cp.UserError, match=r"needs a counterpoise\.torch\.Loss whose reduction is one of"):
        Accumulator(GoalLoss("f1", [9, 1]), model.parameters())
    with pytest.raises(cp.UserError, match="parameters are empty"):
        Accumulator(Loss(cp.softmax.focal()), [])
    accumulator = Accumulator(Loss(cp.softmax.focal()), model.parameters())
    with pytest.raises(cp.UserError, match=r"finish\(\) without a micro-batch"):
        accumulator.finish()
    model(FEATURES).sum().backward()
    with pytest.raises(cp.UserError, match=r"parameter 0 \(shape \(4, 3\)\) has a gradient already"):
        accumulator.backward(model(FEATURES), CLASSES)
