# make demo, make demo-semtok: train, reconstruct, generate and report on the embedded digits.   make test: lint, types, all tests, the site.
PYTHON ?= python3
# An environment for each Python: .venv, and .venv-python3.13 for `make test PYTHON=python3.13` (a path will do, too).
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
# Everything an installation depends on: touch one of these and the next make installs again.
INPUTS := constraints.txt requirements-dev.txt recipes/pyproject.toml $(wildcard packages/*/pyproject.toml)

# What builds the packages: there first, so that not each of them is built in an environment of its own.
BUILD := hatchling editables setuptools

.PHONY: help install demo demo-semtok demo-vqgan test lint types unit slow nightly oldest dist dist-matrix docs bench gpu clean
help:
	@echo "make demo         run the GloTok demo on the embedded digits (report in runs/demo/report.html)"
	@echo "make demo-semtok  the same with SemTok (report in runs/semtok-demo/report.html)"
	@echo "make demo-vqgan   the same with VQGAN, one codebook (report in runs/vqgan-demo/report.html)"
	@echo "make test         lint, type-check, run all tests and build the site (11 to 17 minutes on 2 cores with AVX-512, 25 on two without)"
	@echo "make slow         the long tests that CI leaves out"
	@echo "make nightly      the property tests with 1,000 random examples each"
	@echo "make oldest       the surface tests with the lowest versions that the metadata allow, in .venv-oldest"
	@echo "make dist         every wheel and source archive into dist, checked; then make dist-matrix: each wheel alone on several Pythons"
	@echo "make docs         the documentation site: docs/_build/html/index.html (a minute)"
	@echo "make bench        run all benchmarks (under 20 minutes on 2 cores; page in benchmarks/results)"
	@echo "make gpu          what needs one CUDA device: its tests, and a table of what held (10 minutes; nothing without one)"
	@echo "make install      make .venv with everything in it"
	@echo "PYTHON=python3.13 behind any of them uses that Python, in .venv-python3.13; 3.11 or newer"

install: $(VENV)/installed
$(VENV)/installed: $(INPUTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("vistok needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt $(BUILD)
	$(BIN)/python -m pip install --quiet --no-compile --no-build-isolation -c constraints.txt -r requirements-dev.txt
	$(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV)/lib || true  # on all cores; a few files are of other Pythons
	touch $@

demo: $(VENV)/installed
	$(BIN)/glotok demo

demo-semtok: $(VENV)/installed
	$(BIN)/semtok demo

demo-vqgan: $(VENV)/installed
	$(BIN)/vqgan demo

test: lint $(VENV)/installed-docs
	$(MAKE) --no-print-directory -j 2 types unit docs
lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: $(VENV)/installed
	$(BIN)/mypy
# All tests of a file in one process: what they share is made once.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder
unit: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SHARED) -m "not slow"
slow: $(VENV)/installed
	$(BIN)/pytest -m slow
nightly: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SHARED) -m "not slow" --hypothesis-profile nightly
# Without xformers, each of whose releases is for one torch; without the tests of the newest versions' pins and of sockets that the
# workbench opens (an HTTP library that the oldest hub client loads looks for IPv6), nor of what the metrics' examples run (joblib of that
# day counts cores by a command).
oldest: $(VENV)/installed
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	PYTHONPATH=tests $(BIN)/python -m surface.oldest_versions > .venv-oldest/constraints.txt
	grep -v xformers requirements-dev.txt | .venv-oldest/bin/python -m pip install --quiet -c .venv-oldest/constraints.txt -r /dev/stdin
	OMP_NUM_THREADS=1 .venv-oldest/bin/pytest -m "not slow" -k "not installation_brings and not opens_no_socket and not (needs_no_network and metrics)" tests/surface
# What is uploaded, and proof that each wheel works alone. make dist-matrix PYTHONS="python3.11 /usr/local/bin/python3.13 3.14"; it downloads
# gigabytes of torch into uv's cache.
dist: $(VENV)/installed-release
	rm -rf dist
	for project in packages/* recipes; do $(BIN)/python -m build --no-isolation --outdir dist $$project > /dev/null || exit 1; done
	$(BIN)/python -m twine check --strict dist/*
dist-matrix: $(VENV)/installed-release
	PYTHONPATH=tests $(BIN)/python -m surface.wheel_matrix $(if $(PYTHONS),--python $(PYTHONS))
$(VENV)/installed-release: requirements-release.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-release.txt
	touch $@
# The site needs packages of its own, and no network once they are there; a warning is an error.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 -c docs -d docs/_build/doctrees . docs/_build/html
$(VENV)/installed-docs: requirements-docs.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-docs.txt
	touch $@
# With checkouts of other projects, rows beside theirs: make bench LLAMAGEN=PATH FLOWMO=PATH
bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py $(if $(LLAMAGEN),--llamagen $(LLAMAGEN)) $(if $(FLOWMO),--flowmo $(FLOWMO))
# Without a CUDA device it says so in a line. VISTOK_GPU_TESTS=cpu make gpu runs the same code on the CPU, to try the code.
gpu: $(VENV)/installed
	$(BIN)/python benchmarks/gpu.py
clean:
	rm -rf .venv .venv-* dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
