# `make check` is the one command to run before a change is handed in.
# Tools come from .venv where there is one, else from PATH; BIN=folder/ overrides.
BIN ?= $(if $(wildcard .venv/bin/pytest),.venv/bin/)

.PHONY: check test nightly golden types format

check:
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(MAKE) --no-print-directory types
	$(BIN)pytest -m "not slow and not model"

test:
	$(BIN)pytest

# Many more examples for every property.
nightly:
	$(BIN)pytest --hypothesis-profile=nightly

# Rewrites what was promised; a change of it breaks everyone who has stored a seed.
golden:
	$(BIN)python tests/golden/test_tokens.py

types:
	.ci/types $(BIN)mypy

format:
	$(BIN)ruff check --select I --fix .
	$(BIN)ruff format .
