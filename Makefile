# Replica's verbs. Every verb first makes .venv from requirements.lock when it is missing or stale.
#
#   make reproduce [PAPER="a b"] [PROFILE=smoke|quick|paper] [JOBS=n] [EXECUTOR=slurm] [SNAKEMAKE="..."]
#   make figure PAPER=slug FIG=id [PROFILE=quick]
#   make record [PAPER=slug]     refresh the recorded .ipynb from the last quick run
#   make book | serve            build the book from the results at hand | serve it on localhost
#   make test | check-notebooks | lint | bench
#   make data [DATA=name]        list the data sets | download one
#   make new PAPER=slug PART=kernels
#   make lock                    renew requirements.lock from pyproject.toml
#   make clean                   remove results and build (not .venv)

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= quick
JOBS ?=
PAPER ?=
FIG ?=
PART ?=
DATA ?=
EXECUTOR ?=
SNAKEMAKE ?=
PYTEST ?=
PIP_ARGS ?=
PORT ?= 8000
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# as KEEP_MEMORY in src/replica/book/kernel.py, for kernels that nbval starts
KEEP_MEMORY := MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=268435456

.PHONY: help install reproduce figure record book serve test check-notebooks lint bench data new lock clean

help:
	@sed -n '3,15s/^# \{0,3\}//p' Makefile

# The stamp holds the checksum of what was installed and is written last: a killed install is redone.
install:
	@wanted="$$(cat requirements.lock pyproject.toml | cksum)"; \
	if [ "$$(cat $(VENV)/.installed 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
	set -e; \
	[ -n "$(PYTHON)" ] || { echo "Replica needs Python 3.11; no python3 was found on the PATH." >&2; exit 2; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "Replica needs Python 3.11; $(PYTHON) is $$("$(PYTHON)" -V). Name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }; \
	echo "Installing $$(grep -c == requirements.lock) pinned packages into $(VENV) (one to three minutes)..." >&2; \
	rm -f $(VENV)/.installed; \
	[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .; \
	echo "$$wanted" > $(VENV)/.installed

reproduce: install
	@$(BIN)/replica reproduce $(PAPER) --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) \
	  $(if $(EXECUTOR),--executor $(EXECUTOR)) $(if $(SNAKEMAKE),--snakemake "$(SNAKEMAKE)")

figure: install
	@[ -n "$(PAPER)" ] && [ -n "$(FIG)" ] || { echo "make figure wants PAPER=slug FIG=id; see: $(BIN)/replica list" >&2; exit 2; }
	@$(BIN)/replica figure $(PAPER) $(FIG) --profile $(PROFILE)

record: install
	@$(BIN)/replica record $(PAPER)

book: install
	@$(BIN)/replica book

serve: book
	@echo "http://localhost:$(PORT)/ (Ctrl-C stops it)"; $(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory build/html

# one thread a worker: as many threads as cores in each of them would stand in each other's way
test: install
	@$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST)

# nbval runs each recorded notebook at quick and compares its claims table; one worker a notebook
check-notebooks: install
	@$(ONE_THREAD) $(KEEP_MEMORY) $(BIN)/python -m pytest -p no:cacheprovider -n auto --dist loadfile --nbval-lax --nbval-cell-timeout=600 \
	  $(if $(PAPER),$(foreach p,$(PAPER),notebooks/*/$(p).ipynb),notebooks) $(PYTEST)

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: install
	@$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,rounds --benchmark-sort=name $(PYTEST)

data: install
	@$(BIN)/replica data $(DATA)

new: install
	@[ -n "$(PAPER)" ] && [ -n "$(PART)" ] || { echo "make new wants PAPER=slug PART=part; parts: see $(BIN)/replica new --help" >&2; exit 2; }
	@$(BIN)/replica new $(PAPER) --part $(PART)

# A fresh environment from the bounds in pyproject.toml, frozen; no hashes and no +cpu, so that each
# platform takes its own build of torch.
lock:
	@rm -rf build/lock-venv && "$(PYTHON)" -m venv build/lock-venv
	@build/lock-venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@build/lock-venv/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	@rm -rf build/lock-venv; git --no-pager diff --stat requirements.lock

clean:
	@rm -rf results build .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis .cache
