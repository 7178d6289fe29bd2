# The two commands to begin with: `make demo` runs a workflow through a SIGKILL, `make test` runs the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

# Three at a time, a file each: many tests wait for processes. One at a time: make test PYTEST=.venv/bin/pytest
.PHONY: demo test test-aws test-gcp test-interop test-rules check format lint types contracts rules wheel bench simulate test-others clean help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo ## start a workflow, kill the server with SIGKILL in the middle, see it finish
	$(BIN)/python samples/countdown/demo.py

test: $(VENV)/.dev ## all tests
	$(PYTEST) $(SELECT)

test-aws: $(VENV)/.dev ## those of AWS: real Lambda runtime client, ministack, moto, terraform
	$(PYTEST) -m aws

test-gcp: $(VENV)/.dev ## those of Google Cloud: real functions-framework, the official Firestore emulator, a Cloud Tasks emulator
	$(PYTEST) -m gcp

test-interop: $(VENV)/.dev ## those of other servers and SDKs: resonate-sdk and @resonatehq/sdk, installed into .interop
	$(PYTEST) tests/interop tests/remote

test-rules: $(VENV)/.dev ## what enforces the four rules: linter, guards, patches, test kit, simulation
	$(PYTEST) tests/rules tests/guards tests/harness tests/simulation tests/engine/test_divergence.py tests/engine/test_patches.py \
		tests/engine/test_versions.py samples

check: format lint types contracts rules test wheel ## all that CI runs, on one Python

format: $(VENV)/.dev ## formatting, checked
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## ruff, all rules
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy --strict, sources and tests
	$(BIN)/mypy

contracts: $(VENV)/.dev ## the direction of imports
	PYTHONPATH=core:adapters $(BIN)/lint-imports --no-cache

rules: $(VENV)/.dev ## the four rules, on our own samples
	$(BIN)/resonate-faas check samples

wheel: $(VENV)/.dev ## the wheel, built and used in a fresh environment
	tools/smoke_wheel.sh $(BIN)/python

# One seed with its whole trace: make simulate SEED=7. Some workloads: ONLY=deep,chaining. From a seed on: FIRST=0.
SEEDS ?= 300
simulate: $(VENV)/.dev ## SEEDS=n seeds of the deterministic simulation, or one: SEED=n
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) $(if $(FIRST),--first $(FIRST))) --only "$(ONLY)"

bench: $(VENV)/.dev ## the figures of docs/benchmarks.md
	$(BIN)/python -m bench

test-others: ## on a second Python (3.13), where there is one: all but the slow ones, the clouds' and the official SDKs'
	@python=$$(tools/find_python.sh 3.13); \
	if [ -z "$$python" ]; then echo "no Python 3.13 here: not tested on it"; \
	else $(MAKE) test VENV=.venv-3.13 PYTHON="$$python" SELECT='-m "not aws and not gcp and not interop and not slow"'; fi

$(VENV)/.demo: pyproject.toml constraints.txt tools/venv.sh
	tools/venv.sh $(VENV) $(PYTHON) local,cli
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt tools/venv.sh
	tools/venv.sh $(VENV) $(PYTHON) dev
	@touch $@ $(VENV)/.demo

clean: ## remove environments and caches
	rm -rf .venv .venv-3.13 .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
