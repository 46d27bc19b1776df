# make run: install and run the default config.   make test: install and run the tests.
PYTHON ?= python3
CORES ?= $(shell nproc)
BIN := .venv/bin

.PHONY: run report needs test test-full test-faults test-slurm test-gpu docs check clean

# Stage by stage, as Snakemake cuts off early between calls: what is made again with the same bytes ends there. Where
# nothing was made before there is nothing to end.
HOW := $(BIN)/snakemake --cores $(CORES) --resources gpu=1

run: .venv/installed
	[ ! -d results/.snakemake ] || \
	for stage in samples grid volumes "model background truth"; do $(HOW) --until $$stage || exit; done
	$(HOW)

report: run
	$(BIN)/snakemake --cores $(CORES) --report results/report.zip

# What a config will take, counted before it runs: make needs CONFIG=config/paper.yaml
CONFIG ?= config/config.yaml

needs: .venv/installed
	PYTHONPATH=workflow $(BIN)/python -m truemap.needs $(CONFIG)

# Side by side, each with one thread; more processes than 8 would want more memory than time.
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --maxprocesses 8 --dist worksteal

test-full: .venv/installed
	$(BIN)/python -m pytest -m full

test-faults: .venv/installed
	$(BIN)/python -m pytest -m faults

test-slurm: .venv/installed
	$(BIN)/python -m pytest -m slurm tests/cluster

test-gpu: .venv/installed
	$(BIN)/python -m pytest -m gpu tests/gpu

docs: .venv/installed
	PYTHONPATH=workflow $(BIN)/python -m truemap.config.document

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	PYTHONPATH=workflow $(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --dry-run --strict-dag-evaluation functions cyclic-graph periodic-wildcards --quiet

clean:
	rm -rf .venv

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@
