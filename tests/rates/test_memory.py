"""Small batches lie about rates of rare classes; the memory of past batches does not."""

import io

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise import rates
from counterpoise.torch import RateLoss

PREVALENCE, BATCH, BATCHES = 0.01, 64, 1500


def scored_rows():
    """Fixed scores of which 1 % are positive; the rates of all of them are the truth."""
    rng = np.random.default_rng(4)
    target = (rng.uniform(size=BATCH * BATCHES) < PREVALENCE).astype(float)
    return rng.normal(size=len(target)) + 5 * target - 4.5, target


LOGITS, TARGET = scored_rows()


def batches():
    return zip(LOGITS.reshape(BATCHES, BATCH), TARGET.reshape(BATCHES, BATCH), strict=True)


@pytest.mark.parametrize(
    ("name", "truth", "alone", "with_memory"),
    [("f_beta", 0.6514, 0.5349, 0.6548), ("precision", 0.7529, 0.6057, 0.7558)],
)
def test_the_mean_of_batches_is_biased_and_the_memory_is_not(name, truth, alone, with_memory):
    rate = getattr(rates, name)
    np.testing.assert_allclose(rate(LOGITS, TARGET), truth, atol=5e-5)
    mean = np.mean([rate(z, t) for z, t in batches() if t.any()])
    np.testing.assert_allclose(mean, alone, atol=5e-5)
    memory, values = None, []
    for z, t in batches():
        counts, memory = rates.remembered(rates.soft_counts(z, t), memory, decay=0.99)
        values.append(rates.of_counts(name, counts))
    np.testing.assert_allclose(np.mean(values[300:]), with_memory, atol=5e-5)


def gradient(criterion, z, t, weight):
    """The slope of the loss along one direction of a linear model."""
    w = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
    criterion(torch.tensor(z) * w, torch.tensor(t)).backward()
    return w.grad.item()


def test_the_mean_gradient_is_that_of_all_rows():
    whole = gradient(RateLoss("f_beta"), LOGITS, TARGET, 1.0)
    remembering, forgetful = RateLoss("f_beta", memory=0.995), RateLoss("f_beta")
    with_memory = [gradient(remembering, z, t, 1.0) for z, t in batches()][600:]
    alone = [gradient(forgetful, z, t, 1.0) for z, t in batches()][600:]
    np.testing.assert_allclose([whole, np.mean(with_memory), np.mean(alone)], [-0.664, -0.662, -0.267], atol=1e-3)


def test_the_first_batch_is_that_batch():
    z, t = torch.randn(20, 3), torch.arange(20) % 3
    torch.testing.assert_close(RateLoss("dice", memory=0.9)(z, t), rates.dice(z, t))


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_memory_is_the_decayed_mean_of_counts(decay):
    batches = [(torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 3) for _ in range(4)]
    criterion = RateLoss("jaccard", memory=decay)
    found = [criterion(z, t) for z, t in batches][-1]
    weight = decay ** np.repeat(np.arange(3, -1, -1), 9)
    z, t = torch.cat([z for z, _ in batches]), torch.cat([t for _, t in batches])
    torch.testing.assert_close(found, rates.jaccard(z, t, sample_weight=torch.tensor(weight)))


def test_evaluation_neither_uses_nor_changes_the_memory():
    criterion = RateLoss("f_beta", memory=0.9)
    criterion(torch.randn(20), torch.arange(20) % 2)
    before = criterion.state_dict()
    z, t = torch.randn(20), torch.arange(20) % 2
    torch.testing.assert_close(criterion.eval()(z, t), rates.f_beta(z, t))
    for name, value in criterion.state_dict().items():
        assert torch.equal(value, before[name])


def test_memory_is_saved_and_loaded_and_reset():
    criterion = RateLoss("f_beta", beta=2.0, memory=0.9)
    for _ in range(3):
        criterion(torch.randn(20), torch.arange(20) % 2)
    stream = io.BytesIO()
    torch.save(criterion.state_dict(), stream)
    stream.seek(0)
    loaded = RateLoss("f_beta", beta=2.0, memory=0.9)
    loaded.load_state_dict(torch.load(stream))
    z, t = torch.randn(20), torch.arange(20) % 2
    assert torch.equal(loaded(z, t), criterion(z, t))
    loaded.reset()
    torch.testing.assert_close(loaded(z, t), rates.f_beta(z, t, beta=2.0))
    fresh = RateLoss("f_beta", memory=0.9)
    fresh.load_state_dict(fresh.state_dict())
    loaded.load_state_dict(fresh.state_dict())
    assert loaded.memory_sums is None


def test_half_keeps_the_counts():
    criterion = RateLoss("f_beta", memory=0.9)
    criterion(torch.randn(20), torch.arange(20) % 2)
    sums = criterion.memory_sums.clone()
    assert torch.equal(criterion.half().memory_sums, sums)


def test_bad_memory():
    with pytest.raises(cp.UserError, match="memory is 1; it must be"):
        RateLoss("f_beta", memory=1.0)
    with pytest.raises(cp.UserError, match="no counts to remember"):
        RateLoss("roc_auc", memory=0.9)
    with pytest.raises(cp.UserError, match="did you mean 'recall'"):
        RateLoss("recal")
    criterion = RateLoss("f_beta", memory=0.9)
    criterion(torch.randn(6, 3), torch.arange(6) % 3)
    with pytest.raises(cp.UserError, match="the memory is of 3 classes, but the batch has 4"):
        criterion(torch.randn(6, 4), torch.arange(6) % 3)


def test_memory_is_state_in_jax():
    import jax

    @jax.jit
    def step(z, t, memory):
        def value(z):
            counts, after = rates.remembered(rates.soft_counts(z, t), memory, decay=0.9)
            return rates.of_counts("f_beta", counts), after

        return jax.value_and_grad(value, has_aux=True)(z)

    criterion, memory = RateLoss("f_beta", memory=0.9), None
    for seed in range(4):
        draw = np.random.default_rng(seed)
        z, t = draw.normal(size=16).astype(np.float32), draw.integers(2, size=16)
        (value, memory), slope = step(z, t, memory)
        leaf = torch.tensor(z, requires_grad=True)
        theirs = criterion(leaf, torch.tensor(t))
        theirs.backward()
        np.testing.assert_allclose(value, theirs.detach(), rtol=1e-6)
        np.testing.assert_allclose(slope, leaf.grad, rtol=1e-5, atol=1e-7)


def test_module_is_the_function():
    z, t = torch.randn(12, 3, 4), torch.randint(3, (12, 4))
    weight = [1.0, 2.0, 3.0]
    module = RateLoss("tversky", class_axis=1, class_weight=weight, alpha=0.2, beta=0.8)
    function = rates.tversky(z, t, class_axis=1, class_weight=weight, alpha=0.2, beta=0.8)
    assert torch.equal(module(z, t), function)
    assert "beta=0.8" in repr(module)


def test_compiles():
    torch.compiler.reset()
    criterion = RateLoss("f_beta", memory=0.9)
    compiled = torch.compile(criterion, backend="eager")
    z, t = torch.randn(12, 3), torch.arange(12) % 3
    reference = RateLoss("f_beta", memory=0.9)
    for _ in range(3):
        torch.testing.assert_close(compiled(z, t), reference(z, t))


def test_a_batch_with_nan_is_not_remembered():
    criterion, target = RateLoss("f_beta", memory=0.9), torch.tensor([0.0, 1, 0, 1])
    logits = torch.tensor([0.5, 1.0, -1.0, 0.2], requires_grad=True)
    criterion(logits, target)
    before = {name: value.clone() for name, value in criterion.state_dict().items()}
    assert torch.isnan(criterion(torch.full((4,), torch.nan, requires_grad=True), target))
    after = criterion.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if before[name].is_floating_point())
    assert torch.isfinite(criterion(logits, target))
