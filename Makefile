# Two commands do everything: `make run` and `make test`. Both set themselves up and repeat no work.

VENV := .venv
BIN := $(VENV)/bin
RUN := runs/cnn
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# TensorFlow has builds for Python 3.11 to 3.13; the first one that answers is taken.
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: run test lint format lock notebook clean

run: $(RUN)/report.html  ## learn, prove, show, read
	$(BIN)/mnistry read --model $(RUN) examples/pictures/*
	$(BIN)/mnistry evaluate $(RUN)
	@echo "Look at $(RUN)/report.html, and try your own picture: $(BIN)/mnistry read PICTURE"

$(RUN)/manifest.json: | $(VENV)/ready
	$(BIN)/mnistry train cnn --out $(RUN)

$(RUN)/report.html: | $(RUN)/manifest.json
	$(BIN)/mnistry report $(RUN)

test: $(VENV)/ready  ## every test; those on the real MNIST where MNISTRY_DATA or ../shared/mnist has it
	$(BIN)/python -m pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebook: $(VENV)/ready  ## run the notebooks anew and keep their outputs
	cd notebooks && ../$(BIN)/jupyter-execute --inplace mnist.ipynb your_own_digits.ipynb

lock: $(VENV)/ready  ## renew requirements.lock from the ranges in pyproject.toml
	$(BIN)/pip install --quiet 'uv>=0.7'
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--upgrade --python-version 3.11 --extra dev pyproject.toml --output-file requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "mnistry needs Python 3.11, 3.12 or 3.13; none was found. Set PYTHON=/path/to/python."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache
