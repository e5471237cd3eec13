# Each target sets up what it needs; the second run finds it there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: quickstart test lab clean

quickstart: $(VENV)/.train
	$(BIN)/scalinglab quickstart

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile

lab: $(VENV)/.lab
	$(BIN)/jupyter lab notebooks

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("scalinglab needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.train: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Installing scalinglab and what training needs (the first time takes a few minutes) ..."
	$(PIP) -e ".[train]"
	touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "Installing what the tests need ..."
	$(PIP) -e ".[train,search,report,dev]"
	touch $@

$(VENV)/.lab: $(VENV)/.train
	$(PIP) -e ".[train,notebook]"
	touch $@

clean:
	rm -rf $(VENV)
