"""Scaled and shifted logits whose differences keep every digit, also in float32.

A cross-entropy lives on differences of a * z + b. In float32 a logit of 100 has a spacing of 8e-6, so
rounding a * z + b before the difference is taken costs more than a loss may be wrong by. Hence the
sum is kept in parts: those large ones whose products are exact, and small ones that carry the rest.
"""

from typing import Any

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace

GRAINS = ((2.0**8, 2.0**-4), (2.0**12, 1.0), (2.0**16, 2.0**4))
"""Logits below the first number split into multiples of the second, which have 12 bits, and a rest."""


def _leading_bits(values: Float64Array) -> Float64Array:
    """The values rounded to 12 significant bits, so that a product of two such numbers is exact in float32."""
    mantissa, exponent = np.frexp(values)
    leading: Float64Array = np.ldexp(np.round(mantissa * 4096) / 4096, exponent)
    return leading


def affine_parts(xp: Namespace, z: Array, scale: Float64Array, offset: Float64Array) -> list[Array]:
    """Arrays that sum to scale * z + offset, large parts first.

    Parameters
    ----------
    xp
        The functions of the logits' framework.
    z
        (..., C), finite.
    scale, offset
        Parameters of a recipe: 0-d or (C,).

    Returns
    -------
    list of arrays
        Each (..., C) or (C,) or 0-d; differentiable: the slopes sum to `scale`.

    Examples
    --------
    >>> from counterpoise.arrays import numpy_namespace
    >>> z = np.array([99.3], dtype=np.float32)
    >>> parts = affine_parts(numpy_namespace, z, np.array(0.1), np.array(-9.93))
    >>> bool(abs(sum(part.astype(np.float64) for part in parts) - (0.1 * np.float64(z[0]) - 9.93)) < 1e-8)
    True
    """

    def const(value: Any) -> Array:
        return xp.constant(value, z, z.dtype)

    scaled, shifted = bool((scale != 1).any()), bool((offset != 0).any())
    if z.dtype == xp.float64:
        parts = [z * const(scale) if scaled else z]
        return [*parts, const(offset)] if shifted else parts
    large, small = [], []
    if scaled:
        leading = _leading_bits(scale)
        coarse = _coarse(xp, xp.stop_gradient(z))
        large.append(const(leading) * coarse)
        small.append(const(leading) * (z - coarse) + const(scale - leading) * z)
    else:
        large.append(z)
    if shifted:
        leading = _leading_bits(offset)
        large.append(const(leading))
        small.append(const(offset - leading))
    return large + small


def _coarse(xp: Namespace, z: Array) -> Array:
    """The logits rounded to 12 bits or so, which leaves larger logits than any model has as they are."""
    coarse = z
    for limit, grain in reversed(GRAINS):
        small = (z < limit) & (z > -limit)
        coarse = xp.where(small, xp.round(xp.where(small, z, 0.0) * (1 / grain)) * grain, coarse)
    return coarse


def total(parts: list[Array]) -> Array:
    """The sum of parts, smallest first so that they round once."""
    result = parts[-1]
    for part in reversed(parts[:-1]):
        result = part + result
    return result
