# Everything that a working copy can do. Needs Python 3.11 or newer, make and git; the rest it gets by itself.
#
#   make dev                a server on 127.0.0.1:7233 that keeps its data in .data/
#   make test               the whole test suite; workers of other SDKs only where go, mvn, npm and a JDK are
#   make check              lint, types, import contracts, fast tests: before every commit
#   make simulate [SEED=n]  simulated worlds: one by its seed, those of SEED=n-m, or a thousand
#   make fuzz               many more generated requests and conversations with the transport than `make test` plays
#   make bench              perdure and the real server side by side
#   make conformance        the Python SDK's own test suite against perdure
#   make captures           record again which requests the workers of each SDK send
#   make docs               write the generated parts of the docs again
#   make lock               choose the newest allowed versions of all packages again
#
# ARGS="…" is passed on by dev, test, fuzz, bench and conformance.

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: dev test check simulate fuzz bench conformance captures docs lock

dev: .venv/.runtime
	@mkdir -p .data
	@exec $(BIN)/perdure server start-dev --db-filename .data/perdure.db $(ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q -m "not slow" -n auto

simulate: .venv/.dev
	$(BIN)/python -m perdure.testing.simulator.simulate $(SEED)

fuzz: .venv/.dev
	PERDURE_HTTP_EXAMPLES=100 PERDURE_HTTP2_EXAMPLES=2000 $(BIN)/python -m pytest \
		tests/frontend/transport/http/test_schemathesis.py tests/frontend/transport/http2 $(ARGS)

bench: .venv/.dev
	$(BIN)/python -m bench $(ARGS)

conformance: .venv/.dev
	$(BIN)/python -m tools.conformance $(ARGS)

captures: .venv/.dev
	PERDURE_RECORD=tests/workers/captured $(BIN)/python -m pytest tests/workers/test_workers.py -k "memory or evicted"

docs: .venv/.dev
	$(BIN)/python -m tools.api_coverage --write
	$(BIN)/python -m tools.settings_table --write
	$(BIN)/python -m tools.life_cycles --write
	$(BIN)/python -m tools.code_map --write

# make writes a stamp again when a file that it depends on is newer. The larger lock file holds all that is in
# the smaller one too.

.venv/.runtime: requirements.lock pyproject.toml tools/environment.py
	@echo "Setting up .venv from requirements.lock"
	@$(PYTHON) tools/environment.py requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock requirements.lock pyproject.toml tools/environment.py
	@echo "Setting up .venv from requirements-dev.lock"
	@$(PYTHON) tools/environment.py requirements-dev.lock
	@touch .venv/.runtime $@

lock: .venv/.dev
	$(COMPILE) --upgrade --group build --output-file requirements.lock
	$(COMPILE) --upgrade --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock
