# Calumma's commands. `make demo` and `make test` set up all they need on a fresh machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test check format clean

help:                            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(VENV)/.installed prometheus   ## a virtual environment with everything, and Prometheus

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: prometheus
prometheus: $(VENV)/.installed
	@$(BIN)/calumma install prometheus

demo: setup                      ## the main job, end to end; `make demo KEEP=1` leaves the cluster up
	$(BIN)/calumma demo $(if $(KEEP),--keep)

test: setup                      ## all tests
	$(BIN)/python -m pytest

check: $(VENV)/.installed        ## format, lint, types, import contracts, notebook rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house

format: $(VENV)/.installed       ## bring the code and the notebooks into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/nbstripout $$(git ls-files '*.ipynb')

clean:                           ## the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
