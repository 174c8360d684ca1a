# `make demo` and `make test` build their own environments; they need Python 3.11+, make and a C++ compiler.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --constraint constraints.txt

# What the tests may lack (tests/absent.py): nothing but the real tables, which are no part of the repository.
export COUNTERPOISE_TESTS_WITHOUT ?= $(if $(wildcard ../shared/data/.),,tables)

.PHONY: demo test quick format tidy sanitize clean

# An editable installation knows the modules that there were when it was made: other names need another one.
NAMES := $(shell find src -name "*.py" | LC_ALL=C sort | cksum | cut -d" " -f1)
TEST_READY = .venv/test/ready-$(NAMES)
DEMO_READY = .venv/demo/ready-$(NAMES)

$(TEST_READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv .venv/test
	.venv/test/bin/python $(PIP_INSTALL) --upgrade pip
	.venv/test/bin/python $(PIP_INSTALL) --editable '.[dev]'
	rm -f $(@D)/ready-*
	touch $@

$(DEMO_READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python $(PIP_INSTALL) --upgrade pip
	.venv/demo/bin/python $(PIP_INSTALL) --editable '.[table]' vega-datasets
	rm -f $(@D)/ready-*
	touch $@

test: $(TEST_READY)
	.venv/test/bin/ruff format --check .
	.venv/test/bin/ruff check .
	.venv/test/bin/mypy
	.venv/test/bin/lint-imports
	.venv/test/bin/clang-format --dry-run --Werror native/*.h native/*.cpp
	.venv/test/bin/python -m pytest --numprocesses 2

# While working: without what trains, starts processes or compiles, and with few examples of each property.
quick: $(TEST_READY)
	.venv/test/bin/ruff check .
	.venv/test/bin/python -m pytest --numprocesses 2 -m "not slow" --hypothesis-profile quick tests

format: $(TEST_READY)
	.venv/test/bin/ruff check --fix .
	.venv/test/bin/ruff format .
	.venv/test/bin/clang-format -i native/*.h native/*.cpp

# Faults that clang sees in the kernels; binding.cpp needs nanobind's headers, which only its build has.
tidy: $(TEST_READY)
	.venv/test/bin/clang-tidy --quiet $(addprefix native/,kernels.cpp dispatch.cpp loss.cpp threads.cpp xla_call.cpp) -- \
		-std=c++17 -DCOUNTERPOISE_ISA=baseline

# The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, by the tests that need no framework.
SANITIZED = $(addprefix tests/losses/test_,elementary.py kernel_layouts.py kernel_out.py kernel_repeats.py \
	kernel_far_apart.py kernel_misuse.py kernel_trees.py)

.venv/sanitize/ready: pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*) $(shell find src -name "*.py")
	$(PYTHON) -m venv .venv/sanitize
	.venv/sanitize/bin/python $(PIP_INSTALL) --upgrade pip
	.venv/sanitize/bin/python $(PIP_INSTALL) numpy ml_dtypes mpmath hypothesis pytest
	.venv/sanitize/bin/python $(PIP_INSTALL) --config-settings=cmake.define.COUNTERPOISE_SANITIZE=ON \
		--config-settings=build-dir=build/sanitize --config-settings=install.strip=false .
	touch $@

sanitize: .venv/sanitize/ready
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		OMP_NUM_THREADS=3 .venv/sanitize/bin/python -m pytest --noconftest --capture=sys $(SANITIZED)

demo: $(DEMO_READY)
	.venv/demo/bin/python examples/demo.py

clean:
	rm -rf .venv demo-report
