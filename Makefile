# Everything a person or CI runs, from a fresh clone.  `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
INPUTS := setup.cfg constraints.txt

# The first Python of 3.11 to 3.13 that runs here and can make an environment with pip in it.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell $(name) -c '$(FITS)' >/dev/null 2>&1 && echo $(name))))

# The first name constrains what is installed, the second the build of our own package.
PIP_ENVIRONMENT := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
INSTALL = $(PIP_ENVIRONMENT) $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# What pip does on one core, on all of them; a file that does not compile is one nobody imports.
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true

# A process of tests needs 2 GB, so no more than four.  One that has no test left takes the last
# half of another's, so that tests of a file, which share what they work on, stay together.
ON_ALL_CORES := --numprocesses logical --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check check-scripts format clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

install: $(VENV)/.demo  ## Create .venv with cars-bench, OpenVINO, JAX and the offline weights

demo: $(VENV)/.demo  ## Run every stage on the images it draws itself (first time: about 5 minutes)
	$(BIN)/cars-bench demo

test: $(VENV)/.test  ## Run the quick tests, one process a core
	$(BIN)/python -m pytest $(ON_ALL_CORES)

test-all: $(VENV)/.test  ## Run every test: the slow ones, and those on real cars where they are
	$(BIN)/python -m pytest -m ""

check: $(VENV)/.test  ## Lint, formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-scripts: node_modules  ## Lint the report's JavaScript (needs Node.js)
	npm run --silent lint

format: $(VENV)/.test  ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and the tools' caches; datasets, studies and reports stay
	rm -rf $(VENV) node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(if $(PYTHON),,$(error cars-bench needs Python 3.11, 3.12 or 3.13 with venv; install one \
		(on Debian or Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python))
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(INPUTS) | $(BIN)/python
	@echo "Installing cars-bench into $(VENV) (about two minutes the first time)"
	@$(INSTALL) --editable ".[demo]"
	@$(COMPILE)
	@touch $@

$(VENV)/.test: $(INPUTS) | $(BIN)/python
	@echo "Installing cars-bench and its test tools into $(VENV) (about two minutes the first time)"
	@$(INSTALL) --editable ".[demo,test]"
	@$(COMPILE)
	@touch $(VENV)/.demo $@

node_modules: package-lock.json
	npm ci --silent --no-audit --no-fund
	@touch $@
