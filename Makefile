# Everything happens in a local .venv; a fresh machine needs only Python 3.11 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Small networks are slower on two threads of a busy machine; the library sets its own thread count per fit.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test test-all check bench prove-kill fuzz docs clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: .venv/.ready   ## make .venv with the tested versions

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/.ready    ## learn from real data and show it, in under three minutes
	$(BIN)/engram demo --output engram-demo --force

test: .venv/.ready    ## the tests, without the slow ones
	$(BIN)/python -m pytest -m 'not slow' -n 2

test-all: .venv/.ready ## all the tests
	$(BIN)/python -m pytest -n 2

check: .venv/.ready   ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

prove-kill: .venv/.ready ## kill -9 at random moments of fits: make prove-kill [KILLS=40]
	$(BIN)/python tests/proofs/kill.py --kills $(or $(KILLS),40)

fuzz: .venv/.ready    ## read damaged files: make fuzz [COUNT=100000] [SECONDS=3600]
	$(BIN)/python tests/proofs/fuzz.py --count $(or $(COUNT),100000) --seconds $(or $(SECONDS),3600)

bench: .venv/.ready   ## measure beside the peers: make bench [DATA=DIR]
	$(PYTHON) benchmarks/run.py $(if $(DATA),--data $(DATA))

docs: .venv/.ready    ## build the documentation in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean:           ## remove what these targets made
	rm -rf .venv .venv-bench build dist engram-demo docs/_build docs/reference/_generated
