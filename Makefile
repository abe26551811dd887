# `make demo` shows the main job on real photographs; `make test` passes the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes would each compile the same modules

# pip compiles on one core, compileall on all of them, and a sandboxed child could never keep what it compiled; what does
# not compile is a template for another Python.
define install
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r $(1)
-$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
endef

.PHONY: setup demo test test-fast test-slow check bench schema errors contracts matrix lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements-cpu.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(call install,requirements-cpu.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(call install,requirements-dev.txt)
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/python -m examples.demo

# One process more than cores, since tests also wait, in the files' order, since those of the first folder take longest;
# then, one by one, the tests that need the machine for themselves. `make test T=path` runs only those under a path.
PARALLEL = -n $(shell $(PYTHON) -c 'import os; print(min(8, (os.cpu_count() or 1) + 1))') --dist loadfile --no-loadscope-reorder
ALONE = $$(grep -rl --include='test_*.py' 'mark\.alone' tests)

test: $(VENV)/.ready-dev
	$(BIN)/assent policy check --strict policies
ifdef T
	$(BIN)/python -m pytest $(T) $(PYTEST)
else
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not alone" $(PYTEST)
	$(BIN)/python -m pytest $(ALONE) -m "not slow and alone" $(PYTEST)
endif

# No database, no models, no child processes.
test-fast: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) tests/unit $(PYTEST)

# Minutes each: thousands of malformed files, a hundred kills, hours of people's lives.
test-slow: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "slow and not alone" $(PYTEST)
	$(BIN)/python -m pytest $(ALONE) -m "slow and alone" $(PYTEST)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready-dev
	$(BIN)/python -m tests.bench

# Writes migrations/schema.sql anew after a migration was added.
schema: $(VENV)/.ready-dev
	$(BIN)/python -m tests.integration.test_migrations

# Writes docs/errors.md anew after an error was added.
errors: $(VENV)/.ready-dev
	$(BIN)/python -m tests.unit.test_errors_document

# Writes docs/contracts anew after what is taken or sent changed.
contracts: $(VENV)/.ready-dev
	$(BIN)/python -m tests.contracts

# Writes the console's role matrix in docs/console.md anew after a route or a role changed.
matrix: $(VENV)/.ready-dev
	$(BIN)/python -m tests.unit.test_console_matrix

# Needs uv. The files hold hashes and no addresses.
lock:
	uv lock -q
	uv export -q --extra cpu --no-dev --no-emit-project --no-header --no-annotate -o requirements-cpu.txt
	uv export -q --extra gpu --no-dev --no-emit-project --no-header --no-annotate -o requirements-gpu.txt
	uv export -q --only-group learn --no-emit-project --no-header --no-annotate -o requirements-learn.txt
	uv export -q --only-group dev --no-emit-project --no-header --no-annotate -o requirements-dev.txt

clean:
	rm -rf $(VENV) out dist .mypy_cache .ruff_cache .pytest_cache
