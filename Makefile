# Needs Python 3.11 or newer and make, nothing else. `make help` lists the targets.

# The interpreter that builds .venv: the first one that is new enough and can create environments.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
# A package index to take torch from, for example one with builds for your GPU; empty: the one pip is set up with.
TORCH_INDEX_URL ?=
# Options for the main job: make search ARGS='--constraint macs<=1e6'
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup search test clean
.DELETE_ON_ERROR:

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14

search: $(VENV)/installed ## set up, train a supernet on digits, search it, draw the Pareto front
	$(BIN)/nas search --space mobilenet --data digits $(ARGS)

test: $(VENV)/installed-dev ## set up with the tools, then lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

setup: $(VENV)/installed-dev ## create .venv with everything that working on the project takes

clean: ## remove the environment and every cache; results stay
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv and ensurepip was found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Files with the date of the last successful installation: without a change of INPUTS nothing is installed again.
# torch comes first and alone, so that TORCH_INDEX_URL concerns nothing else.
$(VENV)/installed: $(INPUTS) | $(BIN)/python
	@echo "installing into $(VENV) (torch is the big part)"
	$(PIP) install --quiet --constraint constraints.txt $(if $(TORCH_INDEX_URL),--extra-index-url "$(TORCH_INDEX_URL)") torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
