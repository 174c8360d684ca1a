"""The Keras loss on its three backends, each in a process of its own since Keras fixes its backend at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from absent import needs

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


def run(script, backend, folder):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, str(HERE / script), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "all checks passed" in done.stdout


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras_on(backend, tmp_path):
    needs("keras", backend)
    run("keras_session.py", backend, tmp_path)
    if backend == "tensorflow":
        run("load_session.py", backend, tmp_path)
