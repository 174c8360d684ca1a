"""Losses, rates and goals of counterpoise.torch where several processes hold a batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import counterpoise as cp
from counterpoise.torch import GoalLoss, Loss, RateLoss

SESSION = Path(__file__).parent / "processes_session.py"


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes(count, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SESSION.parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SESSION), str(place), str(count), str(tmp_path / "meeting")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in range(count)
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]
        assert "all checks passed" in output


@pytest.mark.parametrize(
    "make",
    [
        lambda group: Loss(cp.softmax.focal(), group=group),
        lambda group: RateLoss("dice", group=group),
        lambda group: GoalLoss("f1", [9, 1], group=group),
    ],
    ids=["loss", "rate", "goal"],
)
def test_what_is_no_group_is_refused(make):
    with pytest.raises(cp.UserError, match="group is 'all'; pass None, True for the default process group"):
        make("all")
    with pytest.raises(cp.UserError, match=r"torch\.distributed is not initialised; call"):
        make(True)(torch.zeros(2), torch.tensor([0.0, 1.0]))
    assert make(None).group is None
