# Works on a machine that has Python 3.11 or newer, make and a package registry; everything else is set up here.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
PEERS  := .venv-bench

# What was compiled once is used again by every process that is started here, whatever this machine says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test cover lint check run prove bench lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(READY): requirements/dev.txt requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "SignalStack needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@# uv installs the lock in seconds; where it cannot reach the registry that pip knows, pip does it.
	@( $(VENV)/bin/pip install --quiet --require-hashes -r requirements/uv.txt \
	   && $(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements/dev.txt ) \
	 || $(VENV)/bin/pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(READY) ## the whole product against a sandbox, offline; ONCE=1 plays the story unattended
	@$(PY) -m tests.sandbox demo $(if $(ONCE),--once)

lint: $(READY) ## style, types and import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: lint ## all checks and tests, on SQLite and on a real PostgreSQL and Redis
	@# Three workers on two cores, because tests often wait; in our order, which has the long files first.
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

cover: $(READY) ## the same tests, measured: how much of core and of all they reach (slower)
	@$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report --include='core/*' --fail-under=95 --skip-covered --sort=cover | tail -n 25
	@$(PY) -m coverage report --fail-under=90 --format=total

run: $(READY) ## the product with your own .env
	@$(PY) -m bot run

prove: $(READY) ## the long proofs, seeded; each prints its figures
	@$(PY) -m tests.proofs $(ARGS)

$(PEERS)/.ready: requirements/bench.txt | $(READY)
	@echo "Setting up $(PEERS) with the references of the benchmark (once) ..."
	@$(PYTHON) -m venv $(PEERS)
	@$(VENV)/bin/uv pip install --quiet --python $(PEERS)/bin/python --require-hashes -r $< && touch $@

bench: $(READY) ## the benchmark table: ratios against named references, in one run
	@# Without the references the table is shorter, and says so.
	@$(MAKE) --no-print-directory $(PEERS)/.ready || rm -rf $(PEERS)
	@$(PY) -m tests.bench $(ARGS)

lock: ## pin every dependency with hashes again
	$(VENV)/bin/uv pip compile pyproject.toml --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11 -q -o requirements/run.txt
	$(VENV)/bin/uv pip compile pyproject.toml --extra observe -c requirements/run.txt --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11 -q -o requirements/observe.txt
	$(VENV)/bin/uv pip compile pyproject.toml --extra observe --group dev --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11 -q -o requirements/dev.txt
	$(VENV)/bin/uv pip compile --group bench --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11 -q -o requirements/bench.txt

clean: ## forget everything that was built
	rm -rf $(VENV) $(PEERS) .demo .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
