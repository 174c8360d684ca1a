"""The instruction sets that run here: one machine tests them all."""

from contextlib import contextmanager

import pytest

import counterpoise._kernels as _kernels

HERE = _kernels.instruction_sets()

every_instruction_set = pytest.mark.parametrize("instruction_set", HERE)


@contextmanager
def computed_by(instruction_set):
    """Within it, the kernels of this instruction set compute."""
    before = _kernels.instruction_set()
    _kernels.use_instruction_set(instruction_set)
    try:
        yield
    finally:
        _kernels.use_instruction_set(before)
