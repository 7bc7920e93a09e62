# Needs Python 3.11 or newer and the package registries; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# for a target that was asked for, rather than needed by another
OWN_ARGS = $(if $(filter $@,$(MAKECMDGOALS)),$(ARGS))
DATA ?=
export SOUNDS := $(value DATA)# as it was given, with $ and quotes
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help install train base base-gpu check lint types test torture soak fuzz tensorboard bench-sound bench-speed clean

help: ## print these lines; every other target takes ARGS, options of the program that it runs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("vae2ch needs Python 3.11 or newer, found " + sys.version.split()[0])'
	@echo "installing into .venv (once, a few minutes: torch is large)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' $(if $(filter install,$(MAKECMDGOALS)),$(ARGS))
	@touch $@

install: .venv/installed ## create .venv and install the project (all other targets do this first)

train: .venv/installed ## train a model; settings in ARGS="latent_dim=64 preset=heavy"
	$(BIN)/python train.py $(ARGS)

check: lint types ## lint, types and the fast tests, in about a minute
	$(BIN)/python -m pytest -m "not slow and not torture" $(ARGS)

lint: .venv/installed ## check style and formatting
	$(BIN)/ruff check . $(OWN_ARGS)
	$(BIN)/ruff format --check .

types: .venv/installed ## check types
	$(BIN)/mypy $(OWN_ARGS)

test: .venv/installed ## run all tests, in two processes
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder $(ARGS)

torture: .venv/installed ## kill a training 20 times, compare it with one that was not; every signal in every phase
	$(BIN)/python -m tests.torture --kills 20 $(ARGS)
	$(BIN)/python -m pytest -m torture

soak: .venv/installed ## 2,000 steps; plots memory and open files in soak.png
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: .venv/installed ## read 10,000 damaged sound files and 1,000 damaged checkpoints; ARGS="--seed 1" or "--only 4711"
	$(BIN)/python -m tests.fuzz $(ARGS)

base: .venv/installed ## train a model for other runs to start from, for ten hours; goes on where it stopped
	$(BIN)/python -m vae2ch.bench.recorded outputs/world/recorded
	$(BIN)/python train.py $(if $(wildcard outputs/base/run.json),resume=outputs/base,experiment=base) $(ARGS)
	$(BIN)/python -m vae2ch.bench.base outputs/base outputs/16k.base

base-gpu: .venv/installed ## train outputs/16k.base for seven more minutes on a GPU; also writes it in parts of 16 MiB
	$(BIN)/python train.py $(if $(wildcard outputs/base_gpu/run.json),resume=outputs/base_gpu minutes=+7,experiment=base_gpu) $(ARGS)
	$(BIN)/python -m vae2ch.bench.base outputs/base_gpu outputs/16k.base
	rm -f outputs/16k.base.part-*
	split --bytes=16M outputs/16k.base outputs/16k.base.part-

tensorboard: .venv/installed ## show all runs at http://localhost:6006
	$(BIN)/tensorboard --logdir outputs --samples_per_plugin audio=200,images=200 $(ARGS)

bench-sound: .venv/installed ## compare a model with PCA, Griffin-Lim and the nearest sound; DATA=DIR MINUTES=10
	$(BIN)/python -m vae2ch.bench.sound --data "$$SOUNDS" --minutes $(MINUTES) $(ARGS)

bench-speed: .venv/installed ## time the training step, the data, synthesis and start
	$(BIN)/python -m vae2ch.bench.speed $(ARGS)

clean: ## remove .venv and caches; outputs are kept, but for ARGS=outputs/NAME
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache $(ARGS)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
