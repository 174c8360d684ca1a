"""The losses and rates of JAX arrays on meshes, in a process of four devices, which JAX fixes at its first import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from absent import needs

needs("jax")

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("jax_mesh_session.py")


def test_a_batch_on_several_devices():
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "all checks passed" in done.stdout
