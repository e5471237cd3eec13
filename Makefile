# Each target sets up what it needs; the second run finds it there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# what is imported is compiled then, which is a small part of it
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile -c constraints.txt

.PHONY: quickstart test lab docs clean

quickstart: $(VENV)/.train
	$(BIN)/scalinglab quickstart

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile

lab: $(VENV)/.lab
	$(BIN)/jupyter lab notebooks

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html, or have it searchable: $(BIN)/python -m http.server -d site"

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
	$(PIP) -e ".[train,search,report,docs,dev]"
	touch $@

$(VENV)/.lab: $(VENV)/.train
	@echo "Installing what the notebooks need ..."
	$(PIP) -e ".[train,report,notebook]"
	touch $@

$(VENV)/.docs: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) site
