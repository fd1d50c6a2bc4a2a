# Everything is installed into .venv with plain pip: torch's wheels come from wherever pip is told to look.
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check
# The lock files are complete, so nothing is resolved at installation.
INSTALL := $(PIP) install --quiet --no-deps

.PHONY: install test lint lock

install: .venv/installed

test: .venv/installed-test lint
	.venv/bin/python -m pytest

lint: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL) --requirement requirements.lock
	$(INSTALL) --editable .
	touch $@

.venv/installed-test: .venv/installed requirements-test.lock
	$(INSTALL) --requirement requirements-test.lock
	touch $@

# The newest versions that pyproject.toml admits -> requirements.lock (to use) and requirements-test.lock (to develop).
lock:
	benchmarks/../tools/lock.sh
