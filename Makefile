# `make bench` and `make test` set everything up by themselves. PYTHON=... picks an interpreter, EXTRAS=dev,cuda more packages.
PYTHON ?= python3
EXTRAS ?= $(or $(shell cat .venv/extras 2>/dev/null),dev)
BIN := .venv/bin
export PYTHONUNBUFFERED := 1
# Its modules are compiled once, and not in each of the processes that a command starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup bench suite test test-cluster gate lint format report lock

setup: .venv/installed-$(EXTRAS)

# The extras are remembered, so that `make setup EXTRAS=dev,cuda` holds for the targets after it.
.venv/installed-$(EXTRAS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, and $(PYTHON) is {v[0]}.{v[1]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@echo $(EXTRAS) > .venv/extras
	@touch $@

# What `run` and the suite measure can be changed: make bench RUN='--workloads tutorial --budget 30' SUITE='-k single'
SUITE ?= -k 'not (wide and m64)'  # whose steps take seconds

bench: setup
	$(BIN)/python -m bench run $(RUN)
	$(MAKE) --no-print-directory suite

suite: setup
	$(BIN)/python -m pytest bench/suite --benchmark-autosave $(SUITE)

# On all cores, but by 4 processes at most: each takes up to 1 GB with the workers that it starts. With TESTS='-n 0' by
# one, with TESTS=-x or any other option of pytest.
test: setup
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal tests --ignore tests/cluster $(TESTS)

# Several processes under the real launchers, mpirun and a Slurm of one node that is started for it, and on two network
# namespaces with a slow link, as root. Debian: apt-get install openmpi-bin slurm-wlm munge iproute2. What isn't
# installed is skipped, but fails where CI is set.
test-cluster: setup
	$(BIN)/python -m pytest tests/cluster --durations 5 $(TESTS)

# Fails if a case is slower than BASE by more than SLOWER, or if that isn't clear. make exits with 2 for either: a CI
# that tells them apart calls `python -m bench gate` itself.
BASE ?= main
SLOWER ?= 3%
gate: setup
	$(BIN)/python -m bench gate --base $(BASE) --slower-than $(SLOWER) $(GATE)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

report: setup
	$(BIN)/python -m bench report results/latest.json
	$(BIN)/python -m bench report results/latest.json --format html -o results/report.html

# Not the extra `peers`: PyTorch's CPU build comes from an index of its own, and one command alone uses it.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	echo "# Versions that are installed, for every Python from 3.11 on; made by 'make lock'." > constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra cuda --extra tpu --extra dev --no-annotate --no-header pyproject.toml >> constraints.txt
