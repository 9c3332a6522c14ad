# Everything runs in .venv, which each target makes if need be.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --build-constraint constraints.txt

.PHONY: help test test-deep lint show demo-recovery clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What it takes to run, a good deal less than what it takes to test.
$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or newer as $(PYTHON); set PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(PIP) --editable .
	@touch $@

$(READY): $(RUNS)
	$(PIP) --editable '.[completejourney]' --group dev
	@touch $@

test: $(READY) ## Run all tests; those that need Kafka start one (Docker, or Java 17 with Maven), or skip with the reason.
	$(BIN)/python -m pytest -m 'not deep' $(ARGS)

test-deep: $(READY) ## Run the tests that take too long for every change: what is installed, built and followed from nothing.
	$(BIN)/python -m pytest -m deep $(ARGS)

lint: $(READY) ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

show: $(READY) ## List the demonstrations; NAME=x runs one against its bounds and writes benchmarks/results/x.json.
	@$(BIN)/python -m benchmarks.show $(NAME)

demo-recovery: $(READY) ## Kill the worker 20 times and count what a reader sees lost, doubled or differing (Docker, or Java 17 with Maven).
	@$(BIN)/python -m benchmarks.recovery_demo $(ARGS)

clean: ## Remove what the targets made.
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
