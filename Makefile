# make demo, make test, make bench: each works alone in a fresh clone with Python >= 3.11, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# What make bench measures with: DATA is a folder of data sets (without it ELPV alone), PEERS anomalib's environment.
DATA ?=
PEERS ?= .peers
BENCH ?= bench-output

.PHONY: help install demo test lint bench bench-station clean

help:
	@echo "make demo   fit, inspect and report on real solar-cell images (into demo-output/)"
	@echo "make test   lint, types and tests"
	@echo "make lint   lint and types alone"
	@echo "make bench  measure beside anomalib, for hours, on an idle machine; goes on where it was stopped (docs/benchmarks.md)"
	@echo "make bench-station  measure the station under load (needs h2load); minutes, goes on where it was stopped (docs/station.md)"
	@echo "make clean  remove the environment and what was generated, but not what was measured"

install: $(INSTALLED)

# The stamp is written last, so an installation that was cut off is done again. Without build isolation
# the pinned setuptools builds the package.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "onlygood needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV); torch is large, so this takes a minute or more ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/onlygood demo --output demo-output

# All four run, whatever fails before; the outcome is that of all.
test: $(INSTALLED)
	@failed=""; \
	$(BIN)/ruff check . || failed="$$failed ruff-check"; \
	$(BIN)/ruff format --check . || failed="$$failed ruff-format"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	$(BIN)/python -m pytest -rs || failed="$$failed pytest"; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed" >&2; exit 1; fi; echo "All passed: ruff, mypy, pytest."

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The environment's sizes are written last, so an installation that was cut off is done again.
bench: $(INSTALLED)
	@test -f $(PEERS)/installed.json || PYTHON=$(PYTHON) benchmarks/peers/install.sh $(PEERS)
	$(BIN)/python benchmarks/speed.py --skip-done $(if $(DATA),--data $(DATA)) --peers $(PEERS) --out $(BENCH) --into docs/benchmarks.md
	$(BIN)/python benchmarks/growth.py --skip-done --out $(BENCH) --into docs/benchmarks.md
	$(BIN)/python benchmarks/steady.py --skip-done --out $(BENCH) --into docs/benchmarks.md

bench-station: $(INSTALLED)
	$(BIN)/python benchmarks/station.py --skip-done --out $(BENCH) --into docs/station.md

clean:
	rm -rf $(VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
