# Two commands matter: `make demo` (the main job) and `make test`. Each sets up what it needs by itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
STAMP := $(VENV)/.installed

# The system in containers. BEFORE_DOCKER names a script that is run first where it exists: on a machine that reaches no
# image registry it can bring the images.
BEFORE_DOCKER ?= ../shared/tools/local-images.sh
DOCKER_NEEDS ?= compose python postgres kafka s3 jaeger prometheus
COMPOSE := COMPOSE_BAKE=false docker compose --project-directory deploy/compose -f deploy/compose/compose.yaml

.PHONY: help images up down admin demo test-containers test-compose test-ui test faults soak simulate mutants oracle lint format bench bench-joint contracts lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cohortstream needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "installing the locked requirements into $(VENV)" >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## from sequencer run folders to a released cohort panel (JSON=1, KEEP=dir, DATA=1kg, ENGINE=gatk, STACK=compose)
	@$(BIN)/cohortstream demo $(if $(STACK),--stack $(STACK)) $(if $(JSON),--json) $(if $(KEEP),--keep $(KEEP)) $(if $(DATA),--data $(DATA)) $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

up: images ## the same system in containers, on loopback (PROFILE=glacier: a store that models Glacier)
	@$(BIN)/python -m deploy.compose prepare
	@$(if $(PROFILE),COMPOSE_PROFILES=$(PROFILE)) $(COMPOSE) up --detach --wait --wait-timeout 300 --remove-orphans $(ARGS)
	@$(BIN)/python -m deploy.compose addresses

down: ## stop the containers; what they hold stays (WIPE=1: it goes, all samples and panels)
	@$(COMPOSE) --profile '*' down --remove-orphans $(if $(WIPE),--volumes) $(ARGS)

admin: ## a command with all rights: make admin ARGS="backup /backups"
	@mkdir -p "$${BACKUPS:-deploy/compose/site/backups}"
	@$(COMPOSE) run --rm --no-deps --user $$(id -u):$$(id -g) admin $(ARGS)

images: $(STAMP) ## build the images of all roles and print their sizes
	@if [ -x "$(BEFORE_DOCKER)" ]; then "$(BEFORE_DOCKER)" $(DOCKER_NEEDS) >&2; fi
	@$(COMPOSE) --profile '*' build --quiet
	@$(COMPOSE) --profile '*' config --images | grep '^cohortstream/' | sort -u | xargs -r docker image inspect --format '{{index .RepoTags 0}} {{.Size}}' | awk '{printf "%-42s %6.0f MB\n", $$1, $$2 / 1e6}'

test: $(STAMP) ## every test: unit, ledger on Postgres, messages on Kafka, faults, the whole path
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

test-containers: $(STAMP) ## the main path and every account's rights, against containers of Kafka, Postgres and S3
	@if [ -x "$(BEFORE_DOCKER)" ]; then "$(BEFORE_DOCKER)" $(DOCKER_NEEDS) >&2; fi
	@TESTCONTAINERS_RYUK_DISABLED=true $(BIN)/python -m pytest tests/containers -m containers $(ARGS)

test-compose: images ## the whole of compose.yaml: the demo on it, with a worker and the broker killed on the way
	@$(BIN)/python -m pytest tests/compose -m compose $(ARGS)

test-ui: $(STAMP) ## the operators' page in Chromium
	@$(BIN)/python -m pytest tests/ui -m ui $(ARGS)

faults: $(STAMP) ## what `make test` leaves out: nine faults struck while bwa and GATK run
	@$(BIN)/python -m pytest tests/faults -m real_tools $(ARGS)

soak: $(STAMP) ## a stream of samples while everything is killed at random (SECONDS=600 SEED=7)
	@$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),600) --seed $(or $(SEED),7) $(ARGS)

simulate: $(STAMP) ## a freeze of 3,169 intervals on a spot fleet, the real queue on a virtual clock
	@$(BIN)/python -m tests.simulate $(ARGS)

mutants: $(STAMP) ## take each guard of the protocol out of a copy of the code: which tests notice
	@$(BIN)/python -m tests.mutants $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import directions, generated contracts up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m contracts.generate --check

format: $(STAMP) ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

oracle: $(STAMP) ## the columnar genotyper against GATK on >= 10,000 made sites and all real gVCFs (ARGS="--seed 7 --keep DIR")
	@$(BIN)/python -m tests.oracle $(ARGS)

contracts: $(STAMP) ## write JSON Schemas, AsyncAPI and docs/events.md anew from the models
	@$(BIN)/python -m contracts.generate

bench: $(STAMP) ## the figures of the README's table
	@$(BIN)/python -m tests.bench $(ARGS)

bench-joint: $(STAMP) ## the columnar genotyper beside GATK: speed, memory, bytes, what adding costs (ARGS="--scales 100x100000:20000")
	@$(BIN)/python -m tests.bench.joint $(ARGS)

lock: | $(BIN)/uv ## resolve requirements.lock anew
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --all-extras --python-version 3.11 --no-annotate --no-header pyproject.toml -o requirements.lock

print-%:
	@echo $($*)

clean: ## remove the virtual environment and caches in the checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
