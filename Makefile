# What CI runs is what these targets run. Needed beforehand: Python 3.11 to 3.13, make, git.

PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo dev dbt test oracle check format lock screenshots chaos bench-demo bench-insights bench-landing bench-soak clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# From the lock files alone; again whenever they change. Compiled now, not by each process anew where
# PYTHONDONTWRITEBYTECODE is set.
.venv/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/uv --version 2>/dev/null | grep -qF ' $(UV_VERSION)' || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing what requirements.lock names into .venv"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: .venv/.installed ## Install everything into .venv

demo: install ## Everything on this machine, from an empty state, until Ctrl-C (ARGS="--for 120 --report demo.json")
	@$(BIN)/fleetpulse demo $(ARGS)

dev: install ## A sandbox that stays, and `dagster dev` on it
	@$(BIN)/fleetpulse sandbox up
	@$(BIN)/fleetpulse dbt parse
	@$(BIN)/dagster dev

dbt: install ## The dbt project with all its tests, batch by batch on fixtures; then its docs
	@$(BIN)/python -m tests.fixtures.insights

test: install ## All tests, on a real broker, database and object store
	@$(BIN)/pytest -n auto $(ARGS)

check: install ## Lint, types, import contracts, Dagster's definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_project fleetpulse/migrations
	$(BIN)/fleetpulse dbt parse
	$(BIN)/dagster definitions validate -w workspace.yaml

# ONLY judges one world of the rules again, its log cut into as many BATCHES.
oracle: install ## SQL against the oracle on N random logs (5000), from a seed (N, SEED, ONLY)
	@$(BIN)/python -m tests.oracle $(if $(N),--n $(N)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(BATCHES),--batches $(BATCHES))

# Rounds 1 to n of a seed are the same in every run: ONLY plays one of them again.
chaos: install ## Landing under every fault, from a seed (SEED, ROUNDS, ONLY)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY))

bench-demo: install ## The demo with ten seeds, one after another: found, lost, how fast (ARGS="--rules all")
	@$(BIN)/python -m benchmarks.demo_seeds $(ARGS)

bench-landing: install ## Landing beside the connectors that it replaces: rows/s, CPU, memory (WITH=telegraf)
	@$(BIN)/python -m benchmarks.landing $(if $(WITH),--with $(WITH)) $(ARGS)

bench-insights: install ## A micro-batch of twelve rules at 50,000 devices: seconds, CPU, and by how much a long history slows it
	@$(BIN)/python -m benchmarks.insights $(ARGS)

bench-soak: install ## Ten minutes of landing with a kill every 30 s: is memory flat, is nothing lost?
	@$(BIN)/python -m benchmarks.landing.soak $(ARGS)

format: install ## Format Python
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Resolve the newest versions that pyproject.toml allows into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --only-binary :all: --no-header --no-emit-index-url \
		--python-version 3.11 --extra sandbox --extra dev --upgrade pyproject.toml --output-file requirements.lock

screenshots: install ## Take the pictures in docs/images of a platform that runs (ARGS: --dagster, --servicenow)
	@$(BIN)/python docs/screenshots.py $(ARGS)

clean: install ## End the sandbox and delete all that was made, .venv included
	@$(BIN)/fleetpulse sandbox reset --yes
	rm -rf .fleetpulse .env dbt_project/target dbt_project/logs .mypy_cache .ruff_cache .pytest_cache .hypothesis .venv
