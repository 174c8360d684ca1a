"""Work on a cluster: in a process of its own, with two nodes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoise as cp
from absent import needs
from counterpoise.cli import main
from counterpoise.table import cluster

SESSION = Path(__file__).with_name("cluster_session.py")


@pytest.mark.slow
def test_two_nodes():
    needs("ray")
    environment = {**os.environ, "PYTHONPATH": str(SESSION.parents[1])}
    done = subprocess.run([sys.executable, str(SESSION)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_without_ray(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(cp.UserError, match=r"ray is not installed: pip install 'counterpoise\[ray\]'"):
        cluster.Cluster("auto")


def test_the_option_may_stand_alone(monkeypatch, tmp_path, capsys):
    asked = []

    def refuse(_, address):
        asked.append(address)
        raise cp.UserError("none here")

    monkeypatch.setattr(cluster.Cluster, "__init__", refuse)
    words = ["train", str(tmp_path / "t.csv"), "--target", "y"]
    for more in (["--cluster"], ["--cluster", "--seed", "1"], ["--cluster", "auto"], ["--cluster=ray://head:10001"]):
        assert main([*words, *more]) == 2
        assert capsys.readouterr().err == "counterpoise: none here\n"
    assert asked == ["local", "local", "auto", "ray://head:10001"]
