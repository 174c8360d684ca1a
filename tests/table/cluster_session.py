"""Training and prediction on a Ray cluster of two nodes; run by test_cluster.py.

It is a process of its own: Ray forks, which JAX, once imported, warns of.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

import counterpoise as cp
from counterpoise.table import predict_table, train_table
from counterpoise.table.cluster import Cluster

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # says Ray of itself

ROWS = 2_000
ASKED = {"target": "y", "learners": ("lightgbm", "logistic"), "budget": 600.0}


@pytest.fixture(scope="module", autouse=True)
def address():
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    size, kind = rng.normal(size=ROWS), rng.integers(3, size=ROWS)
    frame = pl.DataFrame({"size": size, "kind": np.array(list("abc"))[kind], "y": size + rng.logistic(size=ROWS) > 3})
    found = tmp_path_factory.mktemp("table") / "t.csv"
    frame.write_csv(found)
    return found


@pytest.fixture(scope="module")
def alone(path, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "m"
    train_table(path, out=out, **ASKED)
    return out


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def kill_workers(stop, killed):
    """Kill a process that is at work, again and again."""
    while not stop.wait(0.5) and len(killed) < 2:
        for one in Path("/proc").glob("[0-9]*/cmdline"):
            if b"ray::learned" in one.read_bytes():
                killed.append(int(one.parent.name))
                os.kill(killed[-1], signal.SIGKILL)
                break


def test_the_same_files_although_workers_are_killed(path, alone, tmp_path):
    stop, killed = threading.Event(), []
    thread = threading.Thread(target=kill_workers, args=(stop, killed))
    thread.start()
    train_table(path, out=tmp_path / "m", cluster="auto", **ASKED)
    stop.set()
    thread.join()
    assert killed
    assert files(tmp_path / "m") == files(alone)


def test_no_row_is_lost_or_doubled(path, alone, tmp_path, monkeypatch):
    monkeypatch.setattr("counterpoise.table.using.stream.ROWS", 100)
    here = predict_table(alone, path, tmp_path / "here.csv")
    there = predict_table(alone, path, tmp_path / "there.csv", cluster="auto")
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert here.decided == there.decided and there.rows == ROWS


def fails(kind):
    if kind == "user":
        raise cp.UserError("no good")
    time.sleep(0.1)
    os._exit(1)


def test_an_error_of_a_worker_is_ours():
    with Cluster("auto") as cluster:
        with pytest.raises(cp.UserError, match=r"^no good$"):
            cluster.result(cluster.start(fails, "user"))
        with pytest.raises(cp.UserError, match="the cluster lost a part of the work"):
            cluster.result(cluster.start(fails, "exit"))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(Path(__file__).parent)]))
