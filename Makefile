# make demo, make demo-semtok: train, reconstruct, generate and report on the embedded digits.   make test: lint, types, all tests.
PYTHON ?= python3
BIN := .venv/bin
# Everything an installation depends on: touch one of these and the next make installs again.
INPUTS := constraints.txt requirements-dev.txt pyproject.toml $(wildcard packages/*/pyproject.toml)

.PHONY: help install demo demo-semtok test lint types unit slow nightly clean
help:
	@echo "make demo         run the GloTok demo on the embedded digits (report in runs/demo/report.html)"
	@echo "make demo-semtok  the same with SemTok (report in runs/semtok-demo/report.html)"
	@echo "make test         lint, type-check and run all tests (under 10 minutes on 2 cores)"
	@echo "make slow         the long tests that CI leaves out"
	@echo "make nightly      the property tests with 1,000 random examples each"
	@echo "make install      make .venv with everything in it"

install: .venv/installed
.venv/installed: $(INPUTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-dev.txt
	touch $@

demo: .venv/installed
	$(BIN)/glotok demo

demo-semtok: .venv/installed
	$(BIN)/semtok demo

test: lint types unit
lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: .venv/installed
	$(BIN)/mypy
unit: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow"
slow: .venv/installed
	$(BIN)/pytest -m slow
nightly: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow" --hypothesis-profile nightly
clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
