# `make chat` asks the embedded model about a picture; `make test` runs the quick tests.
# Both make their own environment in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PICTURE ?= examples/toys.png
QUESTION ?= How many cars are there?
# Two files of tests at a time: each test computes with one thread.
PARALLEL ?= -n 2 --dist loadfile

.PHONY: chat test test-all check lint types clean

chat: $(VENV)/core
	$(BIN)/llava chat $(PICTURE) -p "$(QUESTION)"

test: $(VENV)/dev
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-all: $(VENV)/dev
	$(BIN)/pytest

check: lint types test

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/dev
	$(BIN)/mypy

$(VENV)/core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/dev: $(VENV)/core
	$(BIN)/python -m pip install --quiet -e ".[all,dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
