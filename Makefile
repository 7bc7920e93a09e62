# Needs Python 3.11+ and the package registries; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
DATA ?=
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help install train test lint tensorboard bench-sound bench-speed clean

help: ## print these lines
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("vae2ch needs Python 3.11 or newer, found " + sys.version.split()[0])'
	@echo "installing into .venv (once, a few minutes: torch is large)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: .venv/installed ## create .venv and install the project into it (done by the others too)

train: .venv/installed ## train a model; settings go in ARGS="latent_dim=64 preset=heavy"
	$(BIN)/python train.py $(ARGS)

test: .venv/installed ## run the tests
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/installed ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

tensorboard: .venv/installed ## look at all runs, at http://localhost:6006
	$(BIN)/tensorboard --logdir outputs --samples_per_plugin audio=200,images=200

bench-sound: .venv/installed ## judge a model beside PCA, Griffin-Lim and the nearest sound; DATA=DIR MINUTES=10
	$(BIN)/python -m vae2ch.bench.sound --data "$(DATA)" --minutes $(MINUTES) $(ARGS)

bench-speed: .venv/installed ## time the step, the data, the start, and collections of up to 100,000 files
	$(BIN)/python -m vae2ch.bench.speed $(ARGS)

clean: ## remove .venv and caches; outputs stay
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
