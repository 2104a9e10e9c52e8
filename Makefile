# Two commands: `make demo` and `make test`.  Both need only Python >= 3.11 and make;
# they keep everything in .venv and install again only when pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint clean
.NOTPARALLEL:

help:
	@echo "make demo   simulate a small field and make its mosaics, in demo-out/"
	@echo "make test   run every check"
	@echo "make lint   the checks without the tests"
	@echo "make clean  remove the environment, caches and demo-out/"

demo: $(VENV)/.installed
	@$(BIN)/hapdask demo -o demo-out

# Processes of their own, whole files each, so that what a file simulates is simulated once.
test: lint
	@$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict -p hapdask
	@$(BIN)/lint-imports

# pip, not python, tells that the environment is whole: a venv made without ensurepip lacks it.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hapdask needs Python 3.11 or newer; name one with: make PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	@echo "installing hapdask into $(VENV) (once, some minutes)"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/pip
	@echo "installing hapdask and its test tools into $(VENV) (once, some minutes)"
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
