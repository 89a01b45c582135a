# Two commands do all set-up on a fresh machine:
#   make demo    the main job, on a synthetic and a real problem (neither torch nor JAX needed)
#   make test    every fast check
# Both make .venv with the interpreter named by PYTHON= and install what they need with pip.

PYTHON ?= python3
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install -c constraints.txt
STAMPS := $(VENV)/.stamps

# One thread per process: many small matrices, and the tests run in parallel processes.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint types layers wheel unit bench docs notebooks papers clean

help:
	@sed -n 's/^## //p' Makefile

## make demo       predict, simulate and compare optimizers; figures and tables land in demo/
demo: $(STAMPS)/demo
	$(BIN)/hidim demo --out demo

## make test       ruff, mypy, import-linter, the wheel in an empty environment, pytest, doctests
test: lint types layers wheel unit

## make test-slow  the tests that take minutes
test-slow: $(STAMPS)/dev
	$(BIN)/python -m pytest -n $(JOBS) -m "slow and not gpu"

## make bench      ratios and CPU seconds on this machine; rewrites docs/benchmarks/
bench: $(STAMPS)/dev
	for script in benchmarks/*.py; do $(BIN)/python $$script --write || exit 1; done

## make docs       the documentation site, in site/
docs: $(STAMPS)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

## make notebooks the notebooks of the documentation, run anew with their figures
notebooks: $(STAMPS)/docs
	cd docs/notebooks && ../../$(BIN)/python -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False *.ipynb

## make papers     the published figures and tables again, expected beside measured
papers: $(STAMPS)/dev
	$(BIN)/python -m papers
	$(BIN)/python -m papers.real_data

## make clean      remove .venv and everything built
clean:
	rm -rf $(VENV) build dist site demo .pytest_cache .mypy_cache .ruff_cache

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMPS)/dev
	$(BIN)/mypy hidim

layers: $(STAMPS)/dev
	$(BIN)/lint-imports

wheel: $(STAMPS)/dev
	$(BIN)/python tests/check_wheel.py

unit: $(STAMPS)/dev
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow and not gpu"

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("hidim needs Python 3.11 or newer, this is %d.%d: make PYTHON=/path/to/python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/demo $(STAMPS)/docs $(STAMPS)/dev: $(STAMPS)/%: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "installing what this target needs into $(VENV) (once; torch, where needed, is the big one)"
	$(INSTALL) -e ".[$*]"
	@touch $@
