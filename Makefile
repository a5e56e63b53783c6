# Animate3D. `make demo` sets up and animates a creature from a sentence; `make test` sets up and runs the tests.
# Everything is installed into .venv from the exact versions of constraints.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# bpy (FBX, Alembic) exists for Python 3.11 only; everything else works without it.
EXTRAS := $(shell $(PYTHON) -c 'import sys; print("dev,eval,train,skeleton,viewer,cluster,blender" if sys.version_info[:2] == (3, 11) else "dev,eval,train,skeleton,viewer,cluster")')

.PHONY: help setup demo train-bundled test test-all test-gpu test-programs lint format bench clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): constraints.txt pyproject.toml
	@echo "Setting up $(VENV) (about 4 GB on disk; a few minutes on the first run)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

setup: $(READY) ## create .venv

demo: $(READY) ## animate a robot, or CREATURE=butterfly, from a sentence: FBX, GLB, USD and a preview in outputs/demo
	@$(BIN)/animate3d demo --out outputs/demo $(if $(CREATURE),--creature $(CREATURE))

train-bundled: $(READY) ## train a small model for any mesh, into outputs/bundled/model (continues where it stopped)
	$(BIN)/python -m animate3d.small_model.train

# Each worker would compile all tests anew, and each program that a test starts the package: 4 s and more.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: $(READY) ## the fast tests
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-all: $(READY) ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-gpu: $(READY) ## the tests that need a CUDA GPU
	$(BIN)/python -m pytest -m cuda

test-programs: $(READY) ## the tests in Chromium (with three.js where npm is), which have to be installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[browser]"
	@command -v npm >/dev/null && npm install --silent --no-save three || echo "npm is not installed: the tests in three.js are skipped"
	$(BIN)/python -m pytest -m programs

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## every hot path against its stated baseline
	@for script in $(filter-out benchmarks/plain% benchmarks/manual_% benchmarks/gpu% benchmarks/foreign% benchmarks/__%,$(wildcard benchmarks/*.py)); do echo; echo "== $$script"; $(BIN)/python $$script || exit 1; done

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and outputs
	rm -rf $(VENV) outputs
