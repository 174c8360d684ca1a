"""exp, expm1, log and log1p of each instruction set against mpmath, over all that they are asked for.

The bounds are those that native/exponential.h states; measured on some 10^7 numbers of each exponent and on all
single-precision numbers of the intervals where the error is largest.
"""

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import counterpoise._kernels as _kernels
from instruction_sets import computed_by, every_instruction_set

FUNCTIONS = ["exp", "log", "log1p", "expm1"]  # by the kernel's numbers
BOUND = {  # in units of the last place of the result
    "exp": {np.float32: 1.2, np.float64: 1.2},
    "expm1": {np.float32: 1.3, np.float64: 1.3},
    "log": {np.float32: 4.0, np.float64: 4.5},
    "log1p": {np.float32: 4.0, np.float64: 5.5},
}
DOMAIN = {
    "exp": {np.float32: (-110.0, 88.7228), np.float64: (-760.0, 709.78)},
    "expm1": {np.float32: (-110.0, 0.0), np.float64: (-760.0, 0.0)},
    "log": {np.float32: (1e-45, np.inf), np.float64: (5e-324, np.inf)},
    "log1p": {np.float32: (0.0, 1.0), np.float64: (0.0, 1.0)},
}
every_precision = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_function = pytest.mark.parametrize("function", FUNCTIONS)


def computed(function, values):
    """The kernel's function of values, in whole vectors."""
    given = np.concatenate([values, np.zeros(-len(values) % 16, values.dtype)])
    found = np.empty_like(given)
    single = values.dtype == np.float32
    _kernels.elementary(FUNCTIONS.index(function), single, given.ctypes.data, found.ctypes.data, len(given))
    return found[: len(values)]


def numbers(function, dtype):
    """Of every exponent in the domain, denormal ones included, its ends and some between; and evenly spread ones."""
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    whole = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    each = 12 if dtype == np.float32 else 4
    exponents = np.arange(2**info.nexp - 1, dtype=whole)
    mantissas = rng.integers(2**info.nmant, size=(len(exponents), each), dtype=whole)
    mantissas[:, 0], mantissas[:, 1] = 0, 2**info.nmant - 1
    sizes = ((exponents[:, None] << whole(info.nmant)) | mantissas).view(dtype).reshape(-1)
    low, high = DOMAIN[function][dtype]
    spread = rng.uniform(max(low, -760), min(high, 760), 4000).astype(dtype)
    near = (1 + rng.uniform(-0.5, 1, 2000)).astype(dtype)  # where a logarithm changes its sign
    found = np.concatenate([sizes, -sizes, spread, near])
    return found[(found >= low) & (found <= high)]


@every_instruction_set
@every_precision
@every_function
def test_error_in_units_of_the_last_place(function, dtype, instruction_set):
    values = numbers(function, dtype)
    with computed_by(instruction_set):
        found = computed(function, values)
    exact, last_place = reference(function, dtype)
    # the exact value in two parts, since it has more digits than the numbers that are compared
    error = np.abs((found.astype(np.float64) - exact[0]) - exact[1]) / last_place
    worst = error.argmax()
    assert error[worst] <= BOUND[function][dtype], (values[worst], found[worst])


def reference(function, dtype, kept={}):  # noqa: B006  (a cache: mpmath is slow, and all instruction sets share it)
    """The exact values as float64 and what is left of them, and the unit of the last place of each."""
    if (function, dtype) not in kept:
        with mpmath.workprec(200):
            exact = [_exactly(function, mpf(float(value))) for value in numbers(function, dtype)]
            leading = np.array([float(value) for value in exact])
            rest = np.array(
                [
                    float(value - mpf(lead)) if np.isfinite(lead) else 0.0
                    for value, lead in zip(exact, leading, strict=True)
                ]
            )
        finite = np.where(np.isfinite(leading), leading, 0)
        kept[function, dtype] = (leading, rest), np.spacing(np.abs(finite).astype(dtype)).astype(np.float64)
    return kept[function, dtype]


def _exactly(function, value):
    return mpf("-inf") if function == "log" and value == 0 else getattr(mpmath, function)(value)


@every_instruction_set
@every_precision
@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("exp", -np.inf, 0.0),
        ("exp", -1e30, 0.0),
        ("exp", np.inf, np.inf),
        ("exp", 1e30, np.inf),
        ("exp", np.nan, np.nan),
        ("expm1", 0.0, 0.0),
        ("expm1", -np.inf, -1.0),
        ("expm1", -1e30, -1.0),
        ("expm1", np.nan, np.nan),
        ("log", 0.0, -np.inf),
        ("log", 1.0, 0.0),
        ("log", np.inf, np.inf),
        ("log", np.nan, np.nan),
        ("log1p", 0.0, 0.0),
        ("log1p", np.nan, np.nan),
    ],
)
def test_special_values(function, given, expected, dtype, instruction_set):
    with computed_by(instruction_set):
        assert computed(function, np.array([given], dtype))[0] == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


@every_instruction_set
@every_precision
def test_smallest_numbers(dtype, instruction_set):
    least = np.finfo(dtype).smallest_subnormal
    with computed_by(instruction_set):
        assert computed("exp", np.log(np.array([least], dtype)))[0] == least
        assert computed("log", np.array([least], dtype))[0] == pytest.approx(np.log(float(least)), rel=1e-6)
        assert computed("expm1", np.array([-least], dtype))[0] == -least
        assert computed("log1p", np.array([2 * least], dtype))[0] == 2 * least


@every_instruction_set
@every_precision
def test_each_lane_computes_alone(dtype, instruction_set):
    values = np.array([np.nan, -np.inf, np.inf, 0.0, -1e30, 1e30, -0.5, 0.5, *np.linspace(-80, 80, 8)], dtype)
    with computed_by(instruction_set):
        together = computed("exp", values)
        alone = [computed("exp", np.array([value]))[0] for value in values]
    np.testing.assert_array_equal(together, alone)


@every_instruction_set
@every_precision
@pytest.mark.parametrize(("function", "low", "high"), [("exp", -100, 80), ("log", 0.01, 100), ("log1p", 0, 1)])
def test_rises(function, low, high, dtype, instruction_set):
    values = np.linspace(low, high, 4001).astype(dtype)
    with computed_by(instruction_set):
        assert (np.diff(computed(function, values)) > 0).all()
