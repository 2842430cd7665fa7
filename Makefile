# Two commands do everything: `make run` and `make test`. Both set themselves up and repeat no work. `make run` installs what
# the main job and the notebooks need (requirements-run.lock), `make test` adds Ray, pytest, ruff and mypy (requirements.lock).

VENV := .venv
BIN := $(VENV)/bin
RUN := runs/cnn
PARALLEL := -n auto --maxprocesses 4 --dist loadscope  # whole modules to each process
PIP := $(BIN)/pip --quiet --disable-pip-version-check
NOTEBOOKS := mnist.ipynb your_own_digits.ipynb
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# TensorFlow has builds for Python 3.11 to 3.13; the first one that answers is taken.
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: run reproduce test test-all test-slow lint format notebook notebook-open card build lock clean

run: $(RUN)/report.html  ## learn, prove, show, read
	$(BIN)/mnistry read --model $(RUN) examples/pictures/*
	$(BIN)/mnistry evaluate $(RUN)
	@echo "Look at $(RUN)/report.html, and try your own picture: $(BIN)/mnistry read PICTURE"

$(RUN)/manifest.json: | $(VENV)/ready
	$(BIN)/mnistry train cnn --out $(RUN)

$(RUN)/report.html: | $(RUN)/manifest.json
	$(BIN)/mnistry report $(RUN)

reproduce: $(VENV)/ready  ## train the whole table of docs/results.md anew (it says how long) and say which rows agree
	$(BIN)/python benchmarks/reproduce.py

test: $(VENV)/ready-to-test  ## the tests of minutes; those on the real MNIST where MNISTRY_DATA or ../shared/mnist has it
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-all: test test-slow  ## every test

test-slow: $(VENV)/ready-to-test  # what `make test` leaves out: long trainings, notebooks, Ray, browsers
	$(BIN)/python -m pytest $(PARALLEL) -m slow

lint: $(VENV)/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready-to-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebook: $(VENV)/ready  ## run the notebooks anew and keep their outputs
	cd notebooks && ../$(BIN)/jupyter-execute --inplace $(NOTEBOOKS)

notebook-open: $(VENV)/ready  ## open the notebooks in a browser
	$(BIN)/jupyter lab notebooks/mnist.ipynb

card: $(VENV)/ready  ## the page of the bundled models anew, after one of them has been replaced
	$(BIN)/python -c "from mnistry.training.model_card import write_bundled; write_bundled()"

build: $(VENV)/ready  ## the source archive and the wheel, in dist/
	$(BIN)/python -m hatchling build

lock: $(VENV)/ready  ## renew both lock files from the ranges in pyproject.toml
	$(PIP) install 'uv>=0.7'
	$(COMPILE) --upgrade --extra dev --output-file requirements.lock
	$(COMPILE) --upgrade --extra notebook --constraint requirements.lock --output-file requirements-run.lock

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.11 --group build pyproject.toml

$(VENV)/ready: requirements-run.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "mnistry needs Python 3.11, 3.12 or 3.13; none was found. Set PYTHON=/path/to/python."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --requirement requirements-run.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-to-test: requirements.lock $(VENV)/ready
	$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

clean:
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache
