"""How close to the 100-digit reference every loss, gradient and curvature must be."""

import numpy as np


def close(found, true, dtype):
    """float64: 1e-12 of the value; float32: 1e-6 of the larger of 1 and the value."""
    if dtype == np.float64:
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-290)
    else:
        size = np.where(np.isfinite(true), np.maximum(1, np.abs(true)), 1)
        np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-6)


def close_derivative(found, true, dtype):
    """The same, relative to the largest component of each row, since small ones are differences of large ones."""
    size = np.max(np.abs(true), axis=-1, keepdims=True)
    if dtype == np.float64:
        size = np.where(size < 1e-30, 1, size)  # the reference's own step ends there
        np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-12)
    else:
        size = np.maximum(1, size)
        np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-6)


def close_curvature(found, true, dtype):
    """Relative to the larger of 1 and the largest component of each row: 1e-12; in float32 2e-6, since two terms of
    opposite sign are added."""
    size = np.maximum(1, np.max(np.abs(true), axis=-1, keepdims=True))
    np.testing.assert_allclose(found / size, true / size, rtol=0, atol=1e-12 if dtype == np.float64 else 2e-6)
