"""XGBoost and LightGBM on two workers, one of which has no positive: the model of one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost

from free_ports import free_ports

SESSION = Path(__file__).parent / "boosters_session.py"


def session(host, place, ports, folder):
    return subprocess.Popen(
        [sys.executable, str(SESSION), host, place, ",".join(map(str, ports)), str(folder / f"{place}.npz")],
        env={**os.environ, "PYTHONPATH": str(SESSION.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def found_by(sessions, folder):
    for place, one in sessions.items():
        output = one.communicate(timeout=300)[0]
        assert one.returncode == 0, output[-3000:]
        yield np.load(folder / f"{place}.npz")


@pytest.mark.slow
def test_xgboost_on_two_workers_is_xgboost_alone(tmp_path):
    tracker = xgboost.tracker.RabitTracker(host_ip="127.0.0.1", n_workers=2)
    tracker.start()
    ports = [tracker.worker_args()["dmlc_tracker_port"]]
    sessions = {place: session("xgboost", place, ports, tmp_path) for place in ("0", "1", "alone")}
    first, second, alone = found_by(sessions, tmp_path)
    tracker.wait_for()
    np.testing.assert_array_equal(first["probability"], second["probability"])
    np.testing.assert_allclose(first["probability"], alone["probability"], rtol=2e-5)
    # the loss of all rows, and not the mean of the workers' means
    np.testing.assert_allclose([first["value"], second["value"]], alone["value"], atol=1.5e-6)


@pytest.mark.slow
def test_lightgbm_on_two_workers_grows_the_trees_of_its_own_objective(tmp_path):
    """On workers LightGBM grows other trees than alone, with any objective."""
    found = {}
    for host in ("lightgbm", "lightgbm-own"):
        ports = free_ports(2)
        sessions = {place: session(host, place, ports, tmp_path) for place in ("0", "1")}
        first, second = (one["probability"] for one in found_by(sessions, tmp_path))
        np.testing.assert_array_equal(first, second)
        found[host] = first
    np.testing.assert_allclose(found["lightgbm"], found["lightgbm-own"], rtol=1e-5)
