"""Keras losses where several replicas hold a batch, each in processes of its own: strategies leave their marks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from absent import needs
from free_ports import free_ports

needs("keras", "tensorflow", "jax")

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


def session(script, *arguments, **environment):
    """A session's process, on TensorFlow unless the environment says otherwise."""
    settings = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, str(HERE / script), *arguments],
        env={**os.environ, **settings, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_all_passed(*processes):
    for process in processes:
        out, errors = process.communicate()
        assert process.returncode == 0, out + errors[-4000:]
        assert "all checks passed" in out


def test_mirrored_replicas():
    assert_all_passed(session("replicas_session.py"))


def test_workers_in_two_processes():
    ports = [str(port) for port in free_ports(2)]
    assert_all_passed(*(session("workers_session.py", str(place), *ports) for place in (0, 1)))


def test_data_parallel_on_jax():
    devices = "--xla_force_host_platform_device_count=4"
    assert_all_passed(session("data_parallel_session.py", KERAS_BACKEND="jax", XLA_FLAGS=devices, JAX_PLATFORMS="cpu"))
