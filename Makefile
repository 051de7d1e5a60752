# Users need `make demo` and `make test`. The other targets are for development.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# HOST=0.0.0.0 also needs OPTIONS=--open-to-network, or a token in the database: quart-odds token create.
OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Tests start hundreds of processes. None of them has to compile the program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo serve test check docs bench install endurance clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install, start stand-in bookmakers and the server, print the address (PORT=8000)"
	@echo "make serve      the same with the real bookmakers"
	@echo "make test       install what the tests need, and run them"
	@echo "make check      check formatting, lint and types, and packages for known vulnerabilities"
	@echo "make docs       build the documents as a site, into site/"
	@echo "make bench      run all benchmarks, with their peers"
	@echo "make endurance  run the tests that take minutes"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml client/pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Quart Odds into $(VENV) …"
	$(PIP) install --constraint constraints.txt --editable ./client --editable .
	@touch $@

$(VENV)/.development: pyproject.toml client/pyproject.toml constraints.txt Makefile | $(VENV)/bin/python
	@echo "Installing Quart Odds and its test dependencies into $(VENV) …"
	$(PIP) install --constraint constraints.txt --editable ./client --editable '.[dev,postgres,redis,bench,docs]'
	@# Tests compare with one of its modules, which needs none of the fifty packages that the whole needs.
	$(PIP) install --constraint constraints.txt --no-deps penaltyblog
	@touch $@ $(VENV)/.runtime

install: $(VENV)/.development

demo: $(VENV)/.runtime
	@$(BIN)/quart-odds serve --sandbox --bind $(HOST):$(PORT) $(OPTIONS)

serve: $(VENV)/.runtime
	@$(BIN)/quart-odds serve --bind $(HOST):$(PORT) $(OPTIONS)

test: $(VENV)/.development
	@$(BIN)/python -m pytest -n auto --dist worksteal -m 'not endurance and not alone'
	@$(BIN)/python -m pytest -m 'alone and not endurance'

endurance: $(VENV)/.development
	@$(BIN)/python -m pytest -m endurance --timeout 1800

check: $(VENV)/.development
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@.ci/audit $(BIN)/pip-audit

docs: $(VENV)/.development
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "The documents are at site/index.html."

bench: $(VENV)/.development
	@$(BIN)/python -m benchmarks.fanout
	@$(BIN)/python -m benchmarks.fanout --workers 2 --engine redis
	@$(BIN)/python -m benchmarks.scaling
	@$(BIN)/python -m benchmarks.scrape --events 1300 --latency-ms 100 --body-kb 10
	@$(BIN)/python -m benchmarks.scrape --events 1300 --latency-ms 100
	@$(BIN)/python -m benchmarks.api
	@$(BIN)/python -m benchmarks.value
	@$(BIN)/python -m benchmarks.storage
	@$(BIN)/python -m benchmarks.hostile

clean:
	rm -rf $(VENV) .make site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
