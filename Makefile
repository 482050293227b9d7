# What you can do here: `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test lint parts bench screenshots clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made once and again whenever the dependencies change.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { rm -rf $(VENV); \
	  echo "make: Python 3.11 or newer is needed; say which one: make PYTHON=python3.12" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

run: $(STAMP) ## open the console (ARGS="--stack /srv/shop" for another one); a demo stack when there is none
	@$(BIN)/opsconsole --or-demo $(ARGS)

test: $(STAMP) ## everything: lint, types, and all tests on real engines and databases
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint parts
	$(BIN)/python -m tests.suite $(ARGS)

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

parts: $(STAMP) ## bring the engine and the databases that the tests need onto this machine
	$(BIN)/python -m tests.parts install

bench: $(STAMP) ## measure, side by side within one run
	$(BIN)/python -m tests.bench $(ARGS)

screenshots: $(STAMP) ## draw the screens of the documentation again
	$(BIN)/python -m tests.screenshots $(ARGS)

clean: ## stop our own engine and remove everything that can be made again
	@test ! -x $(BIN)/python || $(BIN)/python -m tests.parts down
	rm -rf $(VENV) .parts dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
