# Everything a stranger needs: `make demo` and `make test`. `make help` lists the rest.
# Only python3 (3.11 to 3.13) with venv and pip, make and git are expected; uv and the packages come from the lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
RUN := .venv/bin

# The interpreter is the machine's own: uv would otherwise try to download one.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
# Where the system has authorities, they count, those of a company's proxy among them; pip does the same.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := true
endif
# Neither the demo nor the tests may touch a Prefect profile or send telemetry.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)))' || \
	  { echo "python 3.11 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv .uv || { echo "python3-venv is needed: apt-get install python3-venv" >&2; exit 2; }
	@.uv/bin/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

.venv/.synced: $(UV) pyproject.toml uv.lock
	@# Bytecode for all at once: every process of a stack reads it, also where Python is told not to write any.
	@$(UV) sync --quiet --locked --all-extras --compile-bytecode
	@touch $@

.PHONY: setup
setup: .venv/.synced ## make .venv from uv.lock

.PHONY: demo
demo: setup ## real flights through a real Prefect into a real Cassandra; KEEP=1 leaves it running
	@$(RUN)/prefect-cassandra demo flows $(if $(KEEP),--keep)

.PHONY: test
test: setup ## every test: unit, chart, and integration against real Cassandra and Prefect
	@$(RUN)/python -m pytest -n 3 --no-loadscope-reorder -m "not long" tests/unit tests/chart tests/integration $(ARGS)

.PHONY: test-unit
test-unit: setup ## the tests that need no server
	@$(RUN)/python -m pytest tests/unit $(ARGS)

.PHONY: test-integration
test-integration: setup ## the tests on real servers
	@$(RUN)/python -m pytest -n 3 --no-loadscope-reorder -m "not long" tests/integration $(ARGS)

# MODEL_SEED=n begins with that seed, as a failure names it.
.PHONY: model
model: setup ## 2,000 random histories of loads on a real node against a model of it, and twenty killed loads
	@$(RUN)/python -m pytest -m long tests/integration/test_ledger_model.py tests/integration/test_ledger_faults.py $(ARGS)

# The same on Kubernetes: Docker, kind, helm and kubectl are expected. KIND_NODE_IMAGE names another node image.
.PHONY: kind-up
kind-up: setup ## a Kubernetes cluster of one node, in Docker
	@$(RUN)/prefect-cassandra kind up

.PHONY: kind-demo
kind-demo: setup ## the demo on kind: images, chart, the flights as a Job, the same count
	@$(RUN)/prefect-cassandra kind demo

.PHONY: e2e
e2e: setup ## the tests on kind; the cluster stays
	@$(RUN)/python -m pytest tests/e2e $(ARGS)

.PHONY: bench
bench: setup ## how soon a flow runs, beside Prefect's own worker on the same kind cluster
	@$(RUN)/python -m pytest tests/bench $(ARGS)

# Their node, files and results are in build/bench. `make bench-load ARGS='sensors --rounds 1 --keep'` adds one round to what is there.
BENCH := $(UV) run --quiet --locked --all-extras --group bench env PYTHONPATH=src:tests:. python -m

.PHONY: bench-load
bench-load: setup ## rows into a real node: cqlsh COPY, DSBulk, the driver, acsylla and we, in turns
	@$(BENCH) bench.load $(ARGS)

.PHONY: bench-unload
bench-unload: setup ## rows out of a real node: cqlsh COPY, DSBulk, the driver and we, in turns
	@$(BENCH) bench.unload $(ARGS)

.PHONY: kind-down
kind-down: setup ## delete the kind cluster with everything in it
	@$(RUN)/prefect-cassandra kind down

.PHONY: images
images: setup ## build the platform and the flow image
	@$(RUN)/prefect-cassandra flows build

.PHONY: push
push: setup ## build both images and push them: make push REGISTRY=registry.example.org/data
	@test -n "$(REGISTRY)" || { echo "name the registry: make push REGISTRY=registry.example.org/data" >&2; exit 2; }
	@$(RUN)/prefect-cassandra flows build --registry "$(REGISTRY)"

# uv builds the packages. Its folder has a Python of its own, which must not be taken for the project's.
RELEASE := PATH="$(CURDIR)/.uv/bin:$$PATH" UV_PYTHON="$(CURDIR)/.venv/bin/python" $(RUN)/python -m release

.PHONY: release-dry-run
release-dry-run: setup ## make a version as the release does, into a registry that is removed again
	@$(RELEASE) dry-run

.PHONY: release
release: setup ## release the tagged commit: make release REGISTRY=registry.example.org/data
	@test -n "$(REGISTRY)" || { echo "name the registry: make release REGISTRY=registry.example.org/data" >&2; exit 2; }
	@$(RELEASE) publish --registry "$(REGISTRY)"

.PHONY: lint
lint: setup ## style, types, layers, YAML, shell and Dockerfiles
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/yamllint --strict .
	@$(RUN)/shellcheck .ci/run
	@$(RUN)/hadolint docker/*.Dockerfile
	@$(UV) lock --check --quiet

.PHONY: format
format: setup ## let ruff mend what it can
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

.PHONY: docs
docs: setup ## write the generated reference pages and the generated files of the chart anew
	@$(RUN)/python docs/generate.py
	@$(RUN)/python charts/generate.py

.PHONY: lock
lock: $(UV) ## resolve the Python packages anew
	@$(UV) lock

.PHONY: lock-jars
lock-jars: setup ## resolve Cassandra's jars anew
	@$(RUN)/python -m prefect_cassandra.local.jarlock

.PHONY: clean
clean: ## delete the environments and caches of this folder
	@rm -rf .uv .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis dist build
