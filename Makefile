# Everything sets itself up: `make demo`, `make test` and `make test-docs` on a fresh machine need Python 3.10+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
QUIET := TF_CPP_MIN_LOG_LEVEL=2 PYTHONWARNINGS=ignore::DeprecationWarning
# One thread for each of the two test processes: several torch processes fight over few cores. Files run in their order:
# by number of tests, as xdist would, those of a few long ones come last, and one process waits for the other.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest
TWO := -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"
DOCS := tests/docs

.PHONY: demo test test-docs test-slow fuzz lint bench clean

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("lit-coiba needs Python 3.10 or newer, this is " + sys.version.split()[0] + ": set PYTHON=...") if sys.version_info < (3, 10) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(READY)
	$(QUIET) $(BIN)/lit-coiba demo

# The product.
test: $(READY)
	$(PYTEST) $(TWO) --ignore $(DOCS)

# What is written about it and comes with it: notebooks, guides, demo, shipped checkpoints.
test-docs: $(READY)
	$(PYTEST) $(TWO) $(DOCS)

test-slow: $(READY)
	$(PYTEST) -m slow

# Damaged and hostile files of every kind that is read, 20 minutes at most; what is a fault is kept in runs/fuzz.
fuzz: $(READY)
	$(ONE_THREAD) $(QUIET) $(BIN)/python -m benchmarks.fuzz --cases 6000 --minutes 20

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/coiba_speed.py
	$(BIN)/python benchmarks/leak_table.py

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
