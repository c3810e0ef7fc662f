# `make` lists the targets. All state lies under var/, or where WEIGHHOUSE_HOME says.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export WEIGHHOUSE_HOME ?= $(CURDIR)/var
export PREFECT_HOME := $(WEIGHHOUSE_HOME)/prefect
export DBT_TARGET_PATH := $(WEIGHHOUSE_HOME)/dbt/target
export DBT_LOG_PATH := $(WEIGHHOUSE_HOME)/dbt/logs
export DO_NOT_TRACK := 1
export Q

.PHONY: help run test check format up down docs sql replay-decisions prove-judgement benchmark lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing the locked dependencies into .venv (one to three minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

run: .venv/installed ## replay both tasks over their real data: land, train, score, monitor, judge, promote
	@$(BIN)/python -m flows.replay

test: .venv/installed ## run the whole suite; it starts the servers it needs
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/installed ## format, lint, types, architecture rules; in under a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet tests/architecture

format: .venv/installed ## format the Python code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

up: .venv/installed ## start Prefect, its worker, MLflow and the docs on this machine, and deploy
	@$(BIN)/python -m flows.services up

down: .venv/installed ## end what `make up` started
	@$(BIN)/python -m flows.services down

docs: .venv/installed ## write the dbt docs site and the tasks' pages
	@$(BIN)/python -m flows.docs

sql: .venv/installed ## print a query over the published tables: make sql Q="select ..."
	@$(BIN)/python -m warehouse.query "$$Q"

replay-decisions: .venv/installed ## derive every decision again from a copy of the warehouse, and compare the ids
	@$(BIN)/python -m flows.replay_decisions

prove-judgement: run ## replay, then measure the error rates of the judgement (half an hour; SIZE=small: two minutes)
	@$(BIN)/python -m benchmarks.judgement $(if $(SIZE),--size $(SIZE)) $(if $(filter small,$(SIZE)),--no-peers)

benchmark: .venv/installed ## measure scoring: time and memory, side by side
	@$(BIN)/python -m benchmarks.scoring_throughput
	@$(BIN)/python -m benchmarks.scoring_memory

lock: .venv/installed ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --extra dev --output-file requirements.lock pyproject.toml

clean: ## remove all state (not while `make up` runs); the virtual environment stays
	@test ! -d "$(WEIGHHOUSE_HOME)" || test -d "$(WEIGHHOUSE_HOME)/dbt" || { echo "$(WEIGHHOUSE_HOME) holds no state of this project; nothing is removed"; exit 1; }
	@test -z "$$(ls "$(WEIGHHOUSE_HOME)/services/"*.pid 2>/dev/null)" || { echo "servers are running: make down"; exit 1; }
	rm -rf "$(WEIGHHOUSE_HOME)"
