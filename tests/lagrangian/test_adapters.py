"""GoalLoss in PyTorch, Keras and JAX: state that is saved, learned only where it should be, and a band that is met."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import counterpoise as cp
from counterpoise.lagrangian import GoalState, Lagrangian, goal_loss
from counterpoise.recipes import SigmoidRecipe
from counterpoise.torch import GoalLoss, KeepBest, Loss

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks is a package of the checkout, not of the wheel

from benchmarks.goal_training import BAND_GOAL, Part, band, linear, train  # noqa: E402

GOAL, COUNTS = "recall where precision >= 0.5", cp.ClassCounts([70, 30])
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 1)).astype(np.float32)
TARGET = (RNG.random(40) < 0.3).astype(np.int64)


@pytest.mark.parametrize("seed", [0, 7])
def test_a_line_fits_the_band(seed):
    """The best line finds 0.69 and 0.64, cross-entropy with its best threshold 0.35 and 0.45."""
    features, label = band(seed)
    part = Part(torch.tensor(features), torch.tensor(label))
    torch.manual_seed(seed)
    model, criterion = linear(2), GoalLoss(BAND_GOAL, cp.count(label), warm_up=2)
    keep = KeepBest(model, criterion)
    train(model, criterion, part, 40, lambda: keep.update(model(part.x), part.y))
    keep.restore()
    reached = criterion.judge(model(part.x), part.y)
    assert reached.feasible
    assert reached.value >= 0.62


def test_torch_state_goes_with_the_state_dict():
    torch.manual_seed(0)
    first, second = GoalLoss(GOAL, COUNTS), GoalLoss(GOAL, COUNTS)
    z, y = torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)
    for _ in range(3):
        first(z, y)
    assert first.counted[1] > 0
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(z, y), second(z, y))
    assert torch.equal(first.log_multiplier, second.log_multiplier)


def test_torch_learns_only_in_training():
    criterion = GoalLoss(GOAL, COUNTS)
    z, y = torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)
    with torch.no_grad():
        criterion(z, y)
    criterion.eval()
    criterion(z, y)
    criterion.judge(z, y)
    assert float(criterion.counted.sum()) == 0
    criterion.train()
    criterion(z, y)
    assert float(criterion.counted[[1, 3]].sum()) == 40


def test_torch_state_keeps_its_precision():
    criterion = GoalLoss(GOAL, COUNTS).half().double()
    assert {buffer.dtype for buffer in criterion.buffers()} == {torch.float32}


def test_torch_device_path_gives_the_host_paths_number():
    """Elsewhere than on the processor the state stays in tensors; here both ways can be run."""
    lagrangian = Lagrangian(GOAL, COUNTS, warm_up=0.1)
    z, y = torch.tensor(LOGITS), torch.tensor(TARGET)
    host = lagrangian.initial_state()
    device = GoalState(*(torch.as_tensor(part) for part in host))
    for _ in range(3):
        on_host, host = goal_loss(z, y, host, lagrangian)
        on_device, device = goal_loss(z, y, device, lagrangian)
        torch.testing.assert_close(on_host, on_device, rtol=1e-6, atol=0)


def test_torch_compiled_learns_too():
    plain, compiled = GoalLoss(GOAL, COUNTS), GoalLoss(GOAL, COUNTS)
    step = torch.compile(compiled, backend="aot_eager")
    z, y = torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)
    for _ in range(2):
        torch.testing.assert_close(step(z, y), plain(z, y), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(compiled.counted, plain.counted)


def test_gradient_is_that_of_the_weighted_kernel():
    criterion = GoalLoss(GOAL, COUNTS)
    z, y = torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)
    criterion(z, y).backward()
    state = GoalState(*(getattr(criterion, name).numpy() for name in GoalState._fields))
    pos, neg = criterion.lagrangian.weights(state)
    other = torch.tensor(LOGITS, requires_grad=True)
    Loss(SigmoidRecipe(pos_weight=float(pos / neg * 0.7 / 0.3)))(other, y).backward()
    torch.testing.assert_close(z.grad, other.grad * float(neg / 0.7), rtol=1e-5, atol=1e-8)


def test_jax_is_pure_under_jit():
    jax = pytest.importorskip("jax")
    from counterpoise.jax import goal_loss as jax_goal_loss

    criterion = GoalLoss(GOAL, COUNTS, warm_up=0.1)
    step = jax.jit(
        jax.value_and_grad(lambda z, y, state: jax_goal_loss(z, y, state, GOAL, COUNTS, warm_up=0.1), has_aux=True)
    )
    state = None
    for _ in range(3):
        (value, state), gradient = step(LOGITS, TARGET, state)
        z = torch.tensor(LOGITS, requires_grad=True)
        theirs = criterion(z, torch.tensor(TARGET))
        theirs.backward()
        np.testing.assert_allclose(value, theirs.detach(), rtol=1e-5)
        np.testing.assert_allclose(gradient, z.grad, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(state.counted, criterion.counted, rtol=1e-6)
    assert np.isnan(jax.jit(lambda y: jax_goal_loss(LOGITS, y, None, GOAL, COUNTS)[0])(TARGET * 0.5))


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_keras_on(backend, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    script = Path(__file__).with_name("keras_session.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "all checks passed" in done.stdout
