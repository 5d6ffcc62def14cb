# make demo        set up .venv, install, and build the sample dataset
# make test        set up .venv, install what the tests need, and run all but the slow ones
# make test-slow   run the slow tests
# make check       lint, types and the fast tests: what to run before a commit
# make lint        formatting, lint, types and who may import whom
# make lock        write the exact versions of this .venv to constraints.txt
# make clean       delete .venv and the demo's data
# make help        print this list

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo_data
# Tests of one file share fixtures, some of which are whole datasets: a file stays with one worker.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

.PHONY: demo test test-slow check lint lock clean help

demo: $(VENV)/installed
	$(BIN)/python -m pipeline build --data_dir $(DEMO) --overwrite
	@echo
	@echo "Look at $(DEMO)/fg_bg_depth/1.0.0/images/examples.png and README.md beside it."

test: $(VENV)/installed-test
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/installed-test
	$(PYTEST) -m slow

check: lint
	$(PYTEST) -m "not slow" --ignore=tests/end_to_end

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# setuptools is pinned as well: tests build the package. PyTorch is left out, with all that only it requires: which build of
# it fits depends on the machine.
# Beam asks for another google-apitools from Python 3.13 on.
lock: $(VENV)/installed-test
	$(BIN)/pip freeze --all --exclude-editable | grep -vE '^(-e |(pip|wheel|torch|triton|sympy|mpmath|nvidia-[^=]*|cuda-[^=]*)==)' \
		| sed -e '/^google-apitools==/s/$$/; python_version < "3.13"/' > constraints.txt

clean:
	rm -rf $(VENV) $(DEMO)

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

$(VENV)/installed: setup.py constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -qq --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-test: setup.py constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -qq --constraint constraints.txt --editable '.[test]'
	@touch $@
