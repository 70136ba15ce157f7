# make run    serve examples/ at http://127.0.0.1:8000, or yours: make run APP=pkg:app INTERFACE=asgi
# make test   set up and run everything a change must pass
# The rest are its parts: setup fmt lint types unit e2e budget, and longer work: bench conformance soak twins.

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
APP ?= examples.asgi:app
INTERFACE ?= $(if $(findstring examples.rsgi,$(APP)),rsgi,$(if $(findstring examples.wsgi,$(APP)),wsgi,asgi))
ARGS ?=
E2E_JOBS ?= 3
PYTEST ?= $(VENV)/bin/python -m pytest

SOURCES := granian tests benchmarks examples
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test fmt lint types unit e2e budget bench conformance soak twins clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

# Debian splits venv and ensurepip off python3: fetch them where we may, say what is missing elsewhere.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { command -v apt-get >/dev/null && $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q python3-venv; } \
	  || { echo 'make: $(PYTHON) has no venv module: install your system'"'"'s python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --prefer-binary --only-binary pydantic-core -e .
	@touch $@

$(VENV)/.testable: tests/requirements.txt tests/requirements-alone.txt $(VENV)/.installed
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --prefer-binary --only-binary pydantic-core,hypothesis -r tests/requirements.txt
	-@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: -r tests/requirements-alone.txt 2>/dev/null \
	  || echo 'no Emmett55 for this Python: its test will be skipped'
	-@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --only-binary uvloop uvloop 2>/dev/null \
	  || echo 'no uvloop for this Python: its tests will be skipped'
	@touch $@

setup: $(VENV)/.testable

run: $(VENV)/.installed
	$(VENV)/bin/python -m granian --interface $(INTERFACE) --host $(HOST) --port $(PORT) $(ARGS) $(APP)

# All parts run, whatever one of them says; pytest's closing line is the last.
test: setup
	@failed=0; $(MAKE) lint || failed=1; $(MAKE) types || failed=1; \
	  $(PYTEST) $(PYTEST_ARGS) || failed=1; exit $$failed

fmt: setup
	$(VENV)/bin/ruff check --fix $(SOURCES)
	$(VENV)/bin/ruff format $(SOURCES)

lint: setup
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)

types: setup
	$(VENV)/bin/mypy

unit: setup
	$(PYTEST) -m 'not e2e and not conformance and not soak' --ignore tests/test_budget.py $(PYTEST_ARGS)

e2e: setup
	$(PYTEST) tests/e2e -n $(E2E_JOBS) --dist loadfile $(PYTEST_ARGS)

budget: setup
	$(PYTEST) tests/test_budget.py $(PYTEST_ARGS)

bench: setup
	$(VENV)/bin/python -m benchmarks $(ARGS)

# kosoku brings a pkg_resources of its own: kept out of everything but this.
conformance: setup
	-$(VENV)/bin/python -m pip install -q --disable-pip-version-check 'kosoku>=0.1'
	$(PYTEST) -m conformance $(PYTEST_ARGS)

soak: setup
	$(PYTEST) -m soak $(PYTEST_ARGS)

twins: setup
	$(VENV)/bin/python -m tests.support.twins

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
