"""Class-aware samples: their shares, their rates, and any number of processes."""

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.torch import ClassAwareSampler

COUNTS = [700, 210, 83, 7]
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))
each_scheme = pytest.mark.parametrize("scheme", ["balanced", "square_root", "repeat_factor"])


@each_scheme
@pytest.mark.parametrize("epoch", range(5))
def test_classes_are_drawn_as_the_rates_state(scheme, epoch):
    sampler = ClassAwareSampler(torch.tensor(LABELS), scheme, threshold=0.1)
    sampler.set_epoch(epoch)
    drawn = np.array(list(sampler))
    assert len(drawn) == len(sampler)
    np.testing.assert_array_less(np.abs(np.bincount(LABELS[drawn], minlength=4) - sampler.rates * COUNTS), 1 + 1e-9)
    for k in range(4):  # each row of a class as often as any other, to within one
        times = np.bincount(drawn, minlength=len(LABELS))[k == LABELS]
        assert times.max() - times.min() <= 1


def test_rates_are_those_of_the_schemes():
    n = np.array(COUNTS)
    np.testing.assert_allclose(ClassAwareSampler(LABELS).rates, 250 / n)
    root = np.sqrt(n) / np.sqrt(n).sum()
    np.testing.assert_allclose(ClassAwareSampler(LABELS, "square_root").rates, 1000 * root / n)
    found = ClassAwareSampler(LABELS, "repeat_factor", threshold=0.05).rates
    np.testing.assert_allclose(found, np.maximum(1, np.sqrt(0.05 * 1000 / n)))


def test_mean_number_of_draws_is_exact():
    sampler, drawn = ClassAwareSampler(np.repeat(np.arange(3), [5, 3, 2])), np.zeros(3)
    for epoch in range(3000):
        sampler.set_epoch(epoch)
        drawn += np.bincount(np.repeat(np.arange(3), [5, 3, 2])[list(sampler)], minlength=3) / 3000
    np.testing.assert_allclose(drawn, 10 / 3, atol=0.03)


@each_scheme
@pytest.mark.parametrize("replicas", [2, 3, 7])
def test_replicas_draw_together_what_one_would(scheme, replicas):
    alone = list(ClassAwareSampler(LABELS, scheme, 1, 0, seed=3))
    parts = [list(ClassAwareSampler(LABELS, scheme, replicas, rank, seed=3)) for rank in range(replicas)]
    assert len({len(part) for part in parts}) == 1
    together = np.array(parts).T.reshape(-1)
    np.testing.assert_array_equal(together[: len(alone)], alone)
    assert len(together) - len(alone) < replicas


def test_epochs_and_seeds_differ_and_repeat():
    sampler = ClassAwareSampler(LABELS)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(ClassAwareSampler(LABELS, seed=1)) != first


def test_the_posterior_after_it_is_honest():
    rng = np.random.default_rng(0)
    target = (rng.random(60_000) < 0.03).astype(int)
    feature = rng.normal(size=60_000) + 1.5 * target
    drawn = np.array(list(ClassAwareSampler(target)))
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    x, y = torch.tensor(feature[drawn]), torch.tensor(target[drawn], dtype=torch.float64)
    optimizer = torch.optim.LBFGS([weight], max_iter=50)

    def step():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(weight[0] + weight[1] * x, y)
        value.backward()
        return value

    optimizer.step(step)
    logits = (weight[0] + weight[1] * torch.tensor(feature)).detach().numpy()
    honest = cp.decide.undo_sampling(1 / (1 + np.exp(-logits)), ClassAwareSampler(target).rates)
    assert cp.decide.calibration_error(target, honest) <= 0.01
    assert abs(honest.mean() - target.mean()) < 0.001


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0.5, 1.0],), "pass one integer per row"),
        (([],), "pass one integer per row"),
        (([0, 0, 2],), "labels hold 2, but no 1"),
        (([0, 1], "balance"), "balanced"),
        (([0, 1], "balanced", 2, 2), "rank is 2; it must lie between 0 and num_replicas - 1, 1"),
        (([0, 1], "balanced", 0, 0), "num_replicas is 0; it must be a whole number, at least 1"),
        (([0, 1], "repeat_factor", 1, 0, 0, -1.0), "threshold is -1.0; it must be greater than 0"),
    ],
)
def test_bad_input(arguments, says):
    with pytest.raises(cp.UserError, match=says):
        ClassAwareSampler(*arguments)
