"""The kernels are tested with two threads; `pytest -n` gives each worker one."""

import pytest


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
