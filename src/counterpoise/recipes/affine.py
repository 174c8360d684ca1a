"""Scaled and shifted logits whose differences keep every digit, also in float32.

A cross-entropy lives on differences of a * z + b. In float32 a logit of 100 has a spacing of 8e-6, so
rounding a * z + b before the difference is taken costs more than a loss may be wrong by. Hence the
sum is kept in two parts: a large one that is exact, and a small one that carries the rest.
"""

import numpy as np

from counterpoise.arrays import Array, Float64Array, Namespace
from counterpoise.recipes.derived import derived

INFINITY = float("inf")
GRAINS = ((2.0**8, 2.0**-4), (2.0**12, 1.0), (float("inf"), 2.0**4))
"""Logits below the first number split into multiples of the second, which have 12 bits, and a rest."""


def _leading_bits(values: Float64Array) -> Float64Array:
    """The values rounded to 12 significant bits, so that a product of two such numbers is exact in float32."""
    mantissa, exponent = np.frexp(values)
    leading: Float64Array = np.ldexp(np.round(mantissa * 4096) / 4096, exponent)
    return leading


def _beyond_leading_bits(values: Float64Array) -> Float64Array:
    rest: Float64Array = values - _leading_bits(values)
    return rest


def _in_single(values: Float64Array) -> Float64Array:
    return values.astype(np.float32).astype(np.float64)


def _beyond_single(values: Float64Array) -> Float64Array:
    rest: Float64Array = values - _in_single(values)
    return rest


def affine_parts(
    xp: Namespace, z: Array, scale: Float64Array, offset: Float64Array, classes: Array | None = None
) -> list[Array]:
    """Arrays that sum to scale * z + offset: the large part and, unless that is all, the small one.

    Parameters
    ----------
    xp
        The functions of the logits' framework.
    z
        Logits (..., C). An infinite logit is unchanged, in the large part.
    scale, offset
        Parameters of a recipe: 0-d or (C,).
    classes
        Class of each logit, if `z` holds one logit of each row.

    Returns
    -------
    list of arrays
        Parts of the shape of `z`; differentiable: the slopes sum to `scale`.

    Examples
    --------
    >>> from counterpoise.arrays import numpy_namespace
    >>> z = np.array([99.3], dtype=np.float32)
    >>> parts = affine_parts(numpy_namespace, z, np.array(0.1), np.array(-9.93))
    >>> bool(abs(sum(part.astype(np.float64) for part in parts) - (0.1 * np.float64(z[0]) - 9.93)) < 1e-8)
    True
    """

    def const(value: Float64Array) -> Array:
        array = xp.parameter(value, z, z.dtype)
        return array if classes is None or value.ndim == 0 else xp.take(array, classes)

    scaled, shifted = bool((scale != 1).any()), bool((offset != 0).any())
    if not scaled and not shifted:
        return [z]
    infinite = (z == INFINITY) | (z == -INFINITY)
    finite = xp.where(infinite, 0.0, z)
    large, small = finite, []
    if scaled and z.dtype == xp.float64:
        large = finite * const(scale)
    elif scaled:
        leading = derived(_leading_bits, scale)
        coarse = _coarse(xp, xp.stop_gradient(finite))
        large = const(leading) * coarse
        small.append(const(leading) * (finite - coarse) + const(derived(_beyond_leading_bits, scale)) * finite)
    if shifted:
        exact = z.dtype == xp.float64
        nearest = const(offset if exact else derived(_in_single, offset))
        before, large = large, large + nearest
        rest = what_rounds_away(xp, before, nearest, large)
        small.append(rest if exact else rest + const(derived(_beyond_single, offset)))
    return [xp.where(infinite, z, large), *([total(small)] if small else [])]


def what_rounds_away(xp: Namespace, a: Array, b: Array, both: Array) -> Array:
    """What the sum `both` of a and b lost, exactly; constant to differentiation, since the sum has the whole slope."""
    a, b, both = (xp.stop_gradient(array) for array in (a, b, both))
    b_got = both - a
    return (a - (both - b_got)) + (b - b_got)


def _coarse(xp: Namespace, z: Array) -> Array:
    """Finite logits rounded to 12 bits or so, also in multiples of few powers of two: a loop without branches."""
    size = xp.where(z < 0, -z, z)
    (_, grain), *coarser = GRAINS
    for (limit, _), (_, next_grain) in zip(GRAINS, coarser, strict=False):
        grain = xp.where(size < limit, grain, next_grain)
    return xp.round(z / grain) * grain


def roughly(xp: Namespace, z: Array, scale: Float64Array, offset: Float64Array) -> Array:
    """scale * z + offset with the rounding of the logits' dtype, held constant by differentiation; for comparisons."""
    z = xp.stop_gradient(z)
    u = z
    if (scale != 1).any():
        u = xp.where(u == -INFINITY, 0.0, u) * xp.parameter(scale, z, z.dtype)
    if (offset != 0).any():
        u = u + xp.parameter(offset, z, z.dtype)
    return u if u is z else xp.where(z == -INFINITY, -INFINITY, u)


def total(parts: list[Array]) -> Array:
    """The sum of parts, smallest first so that they round once."""
    result = parts[-1]
    for part in reversed(parts[:-1]):
        result = part + result
    return result
