# make demo   set up .venv, install, and build the sample dataset
# make test   set up .venv, install what tests need, and run them all
# make lint   formatting, lint and types
# make lock   write the exact versions of this .venv to constraints.txt

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo_data

.PHONY: demo test lint lock clean

demo: $(VENV)/installed
	$(BIN)/python -m pipeline build --data_dir $(DEMO) --overwrite
	@echo
	@echo "Look at $(DEMO)/fg_bg_depth/1.0.0/images/examples.png and README.md beside it."

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Beam asks for another google-apitools from Python 3.13 on.
lock: $(VENV)/installed-test
	$(BIN)/pip freeze --exclude-editable | grep -v '^-e ' \
		| sed -e 's/+cpu$$//' -e '/^google-apitools==/s/$$/; python_version < "3.13"/' > constraints.txt

clean:
	rm -rf $(VENV) $(DEMO)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

$(VENV)/installed: setup.py constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -qq --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-test: setup.py constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -qq --constraint constraints.txt --editable '.[test]'
	@touch $@
