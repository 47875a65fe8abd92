# Everything starts here: `make run` sets up and runs the main job, `make test` sets up and runs all the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INTEGRATION := .run/integration
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
UPGRADE ?= --upgrade
RESOLVE = uv pip compile --universal --python-version 3.11 setup.py --no-header --no-annotate $(UPGRADE)
PYTEST := pytest -ra --durations=15
PARALLEL := -n logical --maxprocesses 4 --dist loadfile
.PHONY: help setup run demo test test-fast test-spark faults integration lint lock docs packages clients first-hour audit clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed  ## Make the environment from the lock

$(VENV)/installed: requirements.lock setup.py
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # pip would compile on one core; some packages ship files for other Pythons
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: setup  ## Set up, then run the main job on the real corpora (PROFILE=smoke: on slices)
	ner run $(if $(PROFILE),--profile $(PROFILE))

demo: setup  ## Set up, then show everything on the bundled invented samples
	ner run --profile demo

lint: setup  ## Check style, the direction of imports, and types
	ruff check .
	ruff format --check .
	lint-imports
	mypy

test: lint  ## Set up, then run all the tests, fast ones first
	$(PYTEST) $(PARALLEL) -m "not slow and not e2e and not integration and not exhaustive"
	$(PYTEST) $(PARALLEL) -m "slow and not e2e and not integration and not exhaustive"
	$(PYTEST) $(PARALLEL) -m "e2e and not exhaustive"

test-fast: lint  ## Set up, then run the tests that take seconds each at most
	$(PYTEST) $(PARALLEL) -m "not slow and not e2e and not integration and not exhaustive"

test-spark: setup  ## Add PySpark (450 MB; wants Java 17 or 21), and compare Spark with processes
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[spark]'
	$(PYTEST) tests/pipeline/bulk/test_spark.py

faults: setup  ## Kill processes, fill disks, lock databases: every fault in docs/reliability.md (an hour or so)
	$(PYTEST) -m "faults and not e2e"
	$(PYTEST) -m "faults and e2e"

integration: setup  ## Run the pipeline in a cluster of processes: PostgreSQL, Redis, S3, Celery (PROFILE=smoke: on slices; TESTS=…: not all)
	tests/integration/servers.sh
	$(BIN)/python tests/integration/environment.py $(INTEGRATION)
	NER_INTEGRATION_PROFILE=$(or $(PROFILE),demo) $(INTEGRATION)/bin/python -m $(PYTEST) -m integration $(or $(TESTS),tests/integration)

lock: setup  ## Resolve the dependencies anew and rewrite both locks (needs uv); UPGRADE= keeps the versions in them
	$(RESOLVE) --all-extras --output-file requirements-all.lock
	$(RESOLVE) --extra test --constraint requirements-all.lock --output-file requirements.lock
	sed -i '1i # Pinned for Python 3.11-3.13 by `make lock`; torch without its CUDA libraries: pip brings what the index offers.' requirements.lock
	sed -i '1i # As requirements.lock, with the packages of every extra of setup.py: images are built with these versions.' requirements-all.lock

docs: setup  ## Build the documentation as a site into build/site; a broken link or page fails
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "open build/site/index.html"

packages: setup  ## Install each extra in an empty environment and use it there (EXTRAS="core infer": only these)
	$(BIN)/python tools/empty_environments.py $(EXTRAS)

clients: setup  ## Ask a running gateway with other tools' client libraries (GATEWAY=URL; CLIENTS="triton": only these)
	$(BIN)/python tools/real_clients.py $(if $(GATEWAY),--gateway $(GATEWAY)) $(CLIENTS)

first-hour: setup  ## Type every line of docs/first-hour.md in a fresh clone (ports 8000, 5000 and 8080 must be free)
	$(BIN)/python tools/first_hour.py

audit: setup  ## Look for known vulnerabilities, write SBOM and licences to build/audit (DATABASE=all.zip: OSV's export, offline)
	$(BIN)/python tools/audit.py $(if $(DATABASE),--database $(DATABASE))

clean:  ## Remove the environment and run state; data, models and the registry stay
	rm -rf $(VENV) .run build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
