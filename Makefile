# `make demo` and `make test` build their own environments; they need Python 3.11+, make and a C++ compiler.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --constraint constraints.txt

.PHONY: demo test clean

.venv/test/ready: pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv .venv/test
	.venv/test/bin/python $(PIP_INSTALL) --upgrade pip
	.venv/test/bin/python $(PIP_INSTALL) --editable '.[dev]'
	touch $@

.venv/demo/ready: pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python $(PIP_INSTALL) --upgrade pip
	.venv/demo/bin/python $(PIP_INSTALL) --editable '.[table]' vega-datasets
	touch $@

test: .venv/test/ready
	.venv/test/bin/ruff format --check .
	.venv/test/bin/ruff check .
	.venv/test/bin/mypy
	.venv/test/bin/lint-imports
	.venv/test/bin/python -m pytest --numprocesses 2

demo: .venv/demo/ready
	.venv/demo/bin/python examples/demo.py

clean:
	rm -rf .venv demo-report
