# The two commands: `make run` and `make test`. Everything is installed into .venv by hash.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.PHONY: run test slow lint bench docs lock clean

run: $(VENV)/.core
	$(BIN)/assentry up --example

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Against large packages of others, which npm fetches.
slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow tests/slow

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# Writes the pages of docs/reference that follow from the code.
docs: $(VENV)/.core
	$(BIN)/python docs/generate.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: requirements/core.lock pyproject.toml sdk/pyproject.toml | $(VENV)/bin/python
	$(PIP) install --no-deps --require-hashes -r requirements/core.lock
	$(PIP) install --no-deps --no-build-isolation -e sdk -e .
	@touch $@

$(VENV)/.test: requirements/test.lock $(VENV)/.core
	$(PIP) install --no-deps --require-hashes -r requirements/test.lock
	@touch $@

# Needs uv on the PATH; what it writes holds hashes and no addresses.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --quiet requirements/core.in -o requirements/core.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --quiet -c requirements/core.lock requirements/test.in \
	  -o requirements/test.lock

clean:
	rm -rf $(VENV)
