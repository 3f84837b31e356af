# Everything runs in .venv, made here; nothing is installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo release test test-quick test-long test-flux lint format bench helper check-helper hooks

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt python/gitops_rollback/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'missing: python3 3.11 or newer (Debian: apt-get install python3 python3-venv)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo 'missing: the venv module of python3 (Debian: apt-get install python3-venv)' >&2; exit 1; }
	@command -v git >/dev/null || { echo 'missing: git 2.31 or newer (Debian: apt-get install git)' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Installs nothing. KEEP=1 leaves the repositories and prints what to type next.
demo:
	@KEEP=$(KEEP) $(PYTHON) examples/demo/demo.py

# One file to download and run, of the archives that this commit carries.
release:
	@$(PYTHON) tools/release.py

# The Jenkins side beside the rest: each of them waits a third of its time. The last line is pytest's.
# Of long samplings it draws a few; what unit tests alone reach of the pure folders is measured, and
# may not become less. What failed stands at the end, below the scenarios.
test: install
	@mkdir -p build && rm -f build/pytest.status build/pytest.short
	@tests/groovy/run short >build/groovy.log 2>&1 & jenkins=$$!; \
	  { PYTHONPATH=tests/python $(BIN)/python -m pytest -p unit_coverage --numprocesses auto \
	    --dist worksteal; echo $$? >build/pytest.status; } | tee build/pytest.log; \
	  wait $$jenkins; status=$$?; cat build/groovy.log; cat build/pytest.short 2>/dev/null; \
	  grep '^FAILED\|^ERROR' build/pytest.log; tail -n 1 build/pytest.log; \
	  exit $$((status | $$(cat build/pytest.status)))

# Within a minute: the unit tests but for those that build, unpack or wait.
test-quick: install
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m 'not slow' tests/python/unit

# Takes hours: every sampling at its whole length, and each run of the command as a process of its own.
test-long: install
	tests/groovy/run all
	HYPOTHESIS_PROFILE=long GITOPS_LONG_TESTS=1 GITOPS_TEST_PROCESSES=1 GITOPS_FUZZ=50000 \
	  $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# On a real Flux: KUBECONFIG names a cluster that has it; without one every test is skipped.
test-flux: install
	$(BIN)/python -m pytest -n 6 --dist worksteal tests/flux

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	config/codenarc/run

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Tables for docs/performance.md; run it on a quiet machine, with KUBECONFIG for a real Flux.
bench: install
	@$(BIN)/python benchmarks/bench.py $(if $(WRITE),--write)

# The archives that the Jenkins library brings to an agent; each commit carries those of its own source.
helper: install
	$(BIN)/python tools/build_helper.py

# That each commit's are: of all commits since the one in .ci/helper-proven.
check-helper: install
	$(BIN)/python tools/check_helper.py

# Builds them before each commit; what is built is never merged, but built again.
hooks: install
	git config core.hooksPath .ci/hooks
	git config merge.built-helper.driver true
