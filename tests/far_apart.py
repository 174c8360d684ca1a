"""Arrays whose numbers lie more than 2^31 numbers apart, in memory that is not there until it is used."""

import mmap
import sys

import numpy as np
import pytest

BEYOND = 2**31 + 11
NO_RESERVE = 0x4000  # Linux's MAP_NORESERVE, a name in `mmap` from Python 3.13 on
needs_lazy_memory = pytest.mark.skipif(
    sys.platform != "linux" or sys.maxsize < 2**40, reason="needs address space that takes no memory until it is used"
)


def far_apart(values, numbers):
    """The values at strides given in numbers, in memory of which only the pages that hold them exist."""
    size = sum((length - 1) * step for length, step in zip(values.shape, numbers, strict=True)) + 1
    room = mmap.mmap(-1, size * values.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    strides = [step * values.itemsize for step in numbers]
    view = np.lib.stride_tricks.as_strided(np.frombuffer(room, values.dtype, 1), values.shape, strides, writeable=True)
    view[...] = values
    return view
