# Every target sets up what it needs: a virtual environment in .venv and the package with its dependencies.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TRACES := tests/traces
DEMO := $(TRACES)/linux_smp4_noits

# What `pip install` would build, tested away from the source: the suite imports the packages from site-packages.
COMPILED := .venv-compiled
BUILT_FROM := setup.py pyproject.toml $(wildcard tools/*.py) $(shell find mmio vgic tools -name '*.py' -o -path '*/yardstick/*')

# A process for each CPU; tests of one file share what they set up.
# One that ends in the middle of a test is not started again: it would begin with the same test.
BESIDE := --numprocesses auto --max-worker-restart 0
TOGETHER := $(BESIDE) --dist loadfile

.PHONY: boots demo docs host-pairs judged kernels mutants notebooks test test-slow test-compiled test-pythons wheel wheel-interpreted lint bench rules-table coverage experiments clean help

help: ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vgic needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/run ## Replay the recording of a real Linux boot and show the summary.
	$(BIN)/vgic replay $(DEMO)/trace.core.log.gz --qemu-cmdline $(DEMO)/cmd.txt

kernels: $(VENV)/run ## Fetch the arm64 kernels whose KVM the tests ask, from Debian's packages.
	@$(BIN)/python -m vgic_tools.judges.fetch

boots: $(VENV)/dev ## Boot Debian's kernels on many topologies, replay what is recorded, and time it beside QEMU.
	PYTHONPATH=tests/helpers $(BIN)/python -m boots --qemu

host-pairs: $(VENV)/dev ## Restore VMs on live KVM hosts, every ordered pair of them, and count the verdicts.
	PYTHONPATH=tests/helpers $(BIN)/python -m live_pairs

# On the compiled core, which -P lets be found before the source here.
judged: $(COMPILED)/installed ## Ask every live judge at length, some hours; PARTS names some, as in tests/helpers/live_figures.py.
	PYTHONPATH=tests/helpers $(COMPILED)/bin/python -P -m live_figures $(PARTS)

lint: $(VENV)/dev ## Check format, style and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint ## Check and run the default test suite.
	$(BIN)/pytest -m 'not slow' $(TOGETHER)

test-slow: $(VENV)/dev ## Run the tests that take longer.
	$(BIN)/pytest -m 'slow and not heavy and not timing' $(BESIDE)
	$(BIN)/pytest -m timing

wheel: $(VENV)/run ## Build the wheel with the compiled core, into dist/.
	VGIC_COMPILE=1 $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

wheel-interpreted: $(VENV)/run ## Build the wheel that runs as it is written, into dist/.
	VGIC_COMPILE=0 $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# As old as its beginning: what changes while it is built is built by the next.
$(COMPILED)/installed: $(BUILT_FROM)
	@test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	@touch $(COMPILED)/begun
	VGIC_COMPILE=1 $(COMPILED)/bin/pip install --quiet --disable-pip-version-check '.[dev]'
	@mv $(COMPILED)/begun $@

# Tests of what is compiled, and of what works with it at close hand; on the compiled core the others would show nothing new.
COMPILED_TOO := tests/mmio $(filter-out tests/vgic/identity tests/vgic/host,$(wildcard tests/vgic/*)) tests/properties tests/recordings \
	tests/test_compiled.py tests/test_documentation.py $(filter-out %_batch.py %_cluster.py,$(wildcard tests/tools/test_replay_*.py)) \
	$(wildcard tests/tools/test_bench*.py tests/tools/test_compare*.py) tests/tools/guests/test_programs.py \
	$(addprefix tests/tools/test_,cli.py evaluations.py evidence.py places.py) \
	tests/oracles/test_cases.py $(addprefix tests/oracles/test_live_,nmis.py qemu.py qemu_its.py two_states.py)

test-compiled: $(COMPILED)/installed ## Run the default test suite, and what is heavy, on the compiled core.
	VGIC_COMPILE=1 $(COMPILED)/bin/pytest -m 'not slow' -o pythonpath=tests/helpers $(TOGETHER) $(COMPILED_TOO)
	VGIC_COMPILE=1 $(COMPILED)/bin/pytest -m heavy -o pythonpath=tests/helpers $(BESIDE) tests/properties

test-pythons: ## Run the tests of the library on the other Pythons that are supported, where they are installed.
	.ci/pythons

coverage: $(VENV)/dev ## Run the default test suite and report what it covers.
	$(BIN)/pytest -m 'not slow' --cov --cov-report=term

bench: $(COMPILED)/installed ## Measure the compiled core against its yardsticks, into bench-results/.
	@mkdir -p bench-results
	$(COMPILED)/bin/vgic bench $(DEMO)/trace.full.log.gz --qemu-cmdline $(DEMO)/cmd.txt \
		--json bench-results/bench.json --plot bench-results/bench.png

rules-table: $(VENV)/run ## Ask every judge that is at hand for the rules of specs/, into specs/implementations.md.
	$(BIN)/vgic rules --markdown specs/implementations.md

# How many mutants (or all), which sample, of what, how many beside each other, and other options of the tool: --help.
SAMPLE ?= 300
SEED ?= 1
MODULES ?= vgic mmio
JOBS ?= 2
OPTIONS ?=

mutants: $(VENV)/dev ## Put faults into copies of the code and see whether the tests notice, into mutants-results/.
	PYTHONPATH=tools nice -n 10 $(BIN)/python -m mutants --sample '$(SAMPLE)' --seed '$(SEED)' --jobs '$(JOBS)' $(OPTIONS) $(MODULES)

notebooks: $(VENV)/dev ## Run the example notebooks, and write into them what they show.
	PYTHONPATH=tests/helpers $(BIN)/python -m notebooks

experiments: $(VENV)/dev ## Run the experiments on affinity, into affinity-results/.
	$(BIN)/vgic affinity layouts
	$(BIN)/vgic affinity routing --jobs 1
	$(BIN)/vgic affinity fairness
	$(BIN)/vgic affinity list-registers
	$(BIN)/vgic affinity traps $(TRACES)/linux_smp*/trace.core.log.gz
	$(BIN)/vgic affinity mismatch --jobs 1
	$(BIN)/vgic affinity boots --jobs 1

docs: $(VENV)/dev ## Build the documentation site, into build/site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean: ## Remove everything that can be made again.
	rm -rf $(VENV) $(COMPILED) .venv-3.* bench-results mutants-results build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
