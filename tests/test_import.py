"""`import counterpoise` is light: it imports no framework."""

import subprocess
import sys

FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "lightgbm", "xgboost", "catboost", "sklearn"}
FRAMEWORKS |= {"polars", "pandas", "scipy", "matplotlib"}


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_brings_no_framework():
    assert not modules_after("import counterpoise") & FRAMEWORKS


def test_a_loss_brings_no_framework_but_that_of_its_arrays():
    statement = """
import numpy as np, counterpoise as cp
cp.loss(np.zeros((2, 3)), [0, 1], cp.softmax.focal())
"""
    assert not modules_after(statement) & FRAMEWORKS


def test_adapters_are_found_on_first_use():
    assert "torch" in modules_after("import counterpoise as cp\ncp.torch.Loss")
