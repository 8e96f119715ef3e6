# `make check` is the one command to run before a change is handed in.
# Tools come from .venv where there is one, else from PATH; BIN=folder/ overrides.
BIN ?= $(if $(wildcard .venv/bin/pytest),.venv/bin/)

# Hundreds of tests start a process; each would read the package from its text.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: check lint laws examples test nightly golden reference types format adapters mutants

# The tests are two lanes for two cores, of one thread of torch each; a lane speaks when it is done.
check: lint types
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -j2 --output-sync=target laws examples

lint:
	$(BIN)ruff format --check .
	$(BIN)ruff check .

# The plug-in of schemathesis takes a second to import, and no quick test is its.
QUICK = $(BIN)pytest --hypothesis-profile=check -p no:schemathesis -m "not slow and not model and not nightly"
# Units are examples; some are here so that the two lanes take the same time.
LAWS = conformance differential fuzz golden packaging property statistical unit/audit unit/chat unit/server unit/testing

laws:
	$(QUICK) $(LAWS:%=tests/%)

examples:
	$(QUICK) $(LAWS:%=--ignore tests/%)

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
	$(BIN)python tests/mutants/run.py --json build/mutants.json
