# Two commands do everything: `make run` and `make test`. Nothing but Python ≥ 3.11 has to be there.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
TICKETS ?= $(wildcard ../shared/data/banking77)
PORT    ?= 3000
CONSOLE_PORT ?= $(shell expr $(PORT) + 1)
DEMO    := $(BIN)/assay demo $(if $(TICKETS),--tickets $(TICKETS))
# One more than the usual runner has cores: one worker has what mostly waits (tests/conftest.py), the others compute.
WORKERS ?= 3
# Hundreds of processes import the code: it is compiled once, whatever the caller's shell says of that.
PYTEST  := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# Exit code 3 says "done, but batches were stopped": in the first half of the demo that is the point.
STOPPED_IS_FINE := || test $$? -eq 3

.PHONY: help run test test-fast soak check lint types tests browser screenshots api clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(VENV)/.installed  ## the demo from upstream to predictions, then the UI
	$(DEMO) --until 2026-09-14
	$(BIN)/assay materialize $(STOPPED_IS_FINE)
	$(DEMO)
	$(BIN)/assay materialize
	@$(BIN)/assay tour --port $(PORT) --console-port $(CONSOLE_PORT)
	$(BIN)/assay up --port $(PORT) --console-port $(CONSOLE_PORT)

# The types are checked beside the tests, of which the first mostly wait.
test: $(VENV)/.dev browser lint  ## everything: lint, types, unit, PostgreSQL, crash, browser and end-to-end tests
	@$(MAKE) --no-print-directory -j 2 types tests

test-fast: $(VENV)/.dev lint  ## lint, types and the tests that need no browser, no PostgreSQL and no whole run
	@$(MAKE) --no-print-directory -j 2 types tests CHOSEN='-m "not slow"'

soak: $(VENV)/.dev browser types  ## the same tests at full size, and a second type checker
	$(BIN)/pyright
	SOAK=1 $(PYTEST) --timeout 7200

check: lint types  ## lint and types

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyrefly check

tests: $(VENV)/.dev
	$(PYTEST) $(CHOSEN)

browser:  ## Debian's chromium, for the tests that look at the UI
	@command -v chromium-headless-shell >/dev/null || sh tests/install-chromium.sh

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '.[all]'
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt --group dev
	$(BIN)/python -m pip install -q -c constraints.txt --group marquez --target $(VENV)/marquez --upgrade
	touch $@

screenshots: $(VENV)/.dev browser  ## the README's pictures, of a finished `make run`
	$(BIN)/python docs/screenshots/take.py

api: $(VENV)/.installed  ## the list of exported names and the API reference, from the code
	$(BIN)/python docs/make_api.py

clean:  ## remove the environment, the lake and what was built
	rm -rf $(VENV) var build dist
