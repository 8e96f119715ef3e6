# `make check` is the one command to run before a change is handed in.
# Tools come from .venv where there is one, else from PATH; BIN=folder/ overrides.
BIN ?= $(if $(wildcard .venv/bin/pytest),.venv/bin/)

# Hundreds of tests start a process; each would read the package from its text.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: check lint laws examples processes test nightly golden reference types format adapters mutants

# The tests are three lanes of one thread of torch each; a lane speaks when it is done. One lane is of
# tests that wait for servers and child processes, so that two cores are busy with three lanes.
check: lint types
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -j3 --output-sync=target laws examples processes

lint:
	$(BIN)ruff format --check .
	$(BIN)ruff check .

# The plug-in of schemathesis takes a second to import, and no quick test is its.
QUICK = $(BIN)pytest --hypothesis-profile=check -p no:schemathesis -m "not slow and not model and not nightly"
# Some units are among the laws so that the lanes take about the same time.
LAWS = differential property statistical unit/audit unit/testing
PROCESSES = adapters packaging unit/chat unit/cli unit/engine unit/kernels unit/server
# The plug-in of logs goes through hundreds of loggers six times a test: it is where tests read logs.
NO_LOGS = -p no:logging

laws:
	$(QUICK) $(NO_LOGS) $(LAWS:%=tests/%)

processes:
	$(QUICK) $(PROCESSES:%=tests/%)

# What is in no other lane.
examples:
	$(QUICK) $(NO_LOGS) $(LAWS:%=--ignore tests/%) $(PROCESSES:%=--ignore tests/%)

test:
	$(BIN)pytest

# Many more examples for every property.
nightly:
	$(BIN)pytest --hypothesis-profile=nightly -m ""

# The adapters with the engines that are installed; tests/adapters/README.md says what to install.
adapters:
	$(BIN)python tests/adapters/run.py $(ENGINES)

# Rewrites what was promised; a change of it breaks everyone who has stored a seed.
golden:
	$(BIN)python tests/golden/test_tokens.py

# Rewrites docs/reference.md.
reference:
	$(BIN)python tests/packaging/reference_page.py

types:
	.ci/types $(BIN)mypy

format:
	$(BIN)ruff check --select I --fix .
	$(BIN)ruff format .

# Small errors in a copy of the code, each of which some quick test must find: an hour.
mutants:
	$(BIN)python tests/mutants/run.py
