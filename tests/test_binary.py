"""The compiled module: small, and no code of one instruction set can be linked in place of another's."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import counterpoise._kernels as _kernels

pytestmark = pytest.mark.slow

NATIVE = Path(__file__).parents[1] / "native"
FLAGS = {
    "baseline": [],
    "x86_64_v3": ["-march=x86-64-v3"],
    "x86_64_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
NM = shutil.which("nm") or shutil.which("llvm-nm")


def test_module_stays_below_5_megabytes():
    assert Path(_kernels.__file__).stat().st_size < 5e6


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
@pytest.mark.skipif(NM is None, reason="needs nm")
@pytest.mark.parametrize("name", FLAGS)
def test_unoptimised_kernels_hold_no_weak_symbol(name, tmp_path):
    # of an inline function in several objects the linker keeps one body, perhaps AVX-512's
    if FLAGS[name] and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("an instruction set of x86-64")
    made = tmp_path / "kernels.o"
    flags = ["-std=c++17", "-O0", "-fno-exceptions", "-fno-rtti", "-Wno-psabi", *FLAGS[name]]
    definition = f"-DCOUNTERPOISE_ISA={name}"
    subprocess.run([COMPILER, *flags, definition, "-c", NATIVE / "kernels.cpp", "-o", made], check=True, timeout=300)
    symbols = [line.split() for line in subprocess.check_output([NM, made], text=True).splitlines()]
    assert any(name in symbol[-1] for symbol in symbols)
    assert not [symbol for symbol in symbols if symbol[-2] in "wWvVu"]


def included(path, seen):
    """The headers in angle brackets of a file and of all that it includes."""
    for line in path.read_text().splitlines():
        name = line.split()[1] if line.startswith("#include") else ""
        if name.startswith("<"):
            yield name
        elif name and name not in seen:
            seen.add(name)
            yield from included(NATIVE / name.strip('"'), seen)


def test_kernels_include_no_header_of_the_cpp_library():
    assert (
        {"<stdint.h>"} <= set(included(NATIVE / "kernels.cpp", set())) <= {"<stddef.h>", "<stdint.h>", "<immintrin.h>"}
    )


def test_no_flag_that_flushes_denormal_numbers():
    text = (NATIVE.parent / "CMakeLists.txt").read_text()
    flags = [word for line in text.splitlines() if not line.lstrip().startswith("#") for word in line.split()]
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(flags)
