"""Runs the Python blocks of README.md and docs/: each document is one namespace, read from top to bottom."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
if "PYTEST_XDIST_WORKER" in os.environ:
    # workers with several threads each wait for one another most of the time
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # most of what JAX and TensorFlow compile runs once: LLVM's optimisations take longer than they save
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from xdist.scheduler import LoadScopeScheduling

# a busy machine is slow, and no test may fail for that
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("any machine"), max_examples=10)
settings.load_profile("any machine")

# scripts that tests start in a process of their own: looking for doctests would run them in this one
collect_ignore_glob = ["*_session.py"]

pytest_plugins = ["absent"]  # tests/absent.py

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["README.md", "docs/*.md"]).pytest()


def pytest_collection_modifyitems(items):
    """What a framework compiles is slow; so are the documents, which train models."""
    for item in items:
        framework = getattr(item, "callspec", None) and item.callspec.params.get("framework")
        if getattr(framework, "compiles", False) or item.path.suffix == ".md":
            item.add_marker("slow")


class DocumentsWhole(LoadScopeScheduling):
    """Under `pytest -n 2`: the blocks of a document need each other, so one worker runs them; tests go anywhere."""

    def _split_scope(self, nodeid):
        path = nodeid.split("::")[0]
        return path if path.endswith(".md") else nodeid


def pytest_xdist_make_scheduler(config, log):
    """The scheduler of `pytest -n`."""
    return DocumentsWhole(config, log)
