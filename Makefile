# Every target is one line in `make help`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
DEMO_DIR ?= demo

.PHONY: help demo test lint bench bench-ldap soak test-systemd picture lock clean debian

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.runtime ## a synthetic two-academy region, from delivery to directory (no root, no server)
	$(BIN)/ent-sync demo --dir $(DEMO_DIR)

test: debian .venv/.dev ## everything the tests need, then the linters and the whole suite
	$(MAKE) --no-print-directory lint
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report=term:skip-covered

lint: .venv/.dev ## ruff (check, format), mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

debian:
	@dpkg -s $$(cat requirements-debian.txt) >/dev/null 2>&1 || { \
	  as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	  $$as apt-get update -q && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$(cat requirements-debian.txt); }

picture: .venv/.runtime ## draws docs/img/demo.svg again
	$(BIN)/python docs/picture.py

bench: .venv/.dev ## first load and no-change run against the bare parse of the same files
	$(BIN)/python benchmarks/main_job.py

bench-ldap: debian .venv/.dev ## LDAP reads and writes side by side with OpenLDAP's C tools, 100,000 entries
	$(BIN)/python benchmarks/ldap.py

soak: .venv/.dev ## hundreds of runs of one daemon with random faults: flat memory, flat handles
	$(BIN)/python benchmarks/soak.py

test-systemd: .venv/.runtime ## boots the unit once in a systemd container (root, debootstrap; minutes)
	deploy/systemd-test/run.sh

lock: ## resolve pyproject.toml again into the two lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml requirements-build.in -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml requirements-build.in -c requirements.lock -o requirements-dev.lock

clean: ## what the targets above made
	rm -rf .venv demo .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
