# Everything is installed into .venv with plain pip: torch's wheels come from wherever pip is told to look.
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check
# The lock files are complete, so nothing is resolved at installation.
# What has wheels for x86-64 Linux only is left out elsewhere.
FREEZE := .cache/lock/bin/pip freeze --exclude avadclip --exclude uv | LC_ALL=C sort \
	| sed -E 's/^((nvidia|cuda|triton|decord)[^ ]*)$$/\1 ; sys_platform == "linux" and platform_machine == "x86_64"/'
# torch, and what its wheels for a GPU bring along: wheels of one version differ between registries.
TORCH := ^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==
# pip tries hundreds of versions of dvc-s3's packages, one after the other, for longer than a quarter of an hour.
RESOLVED = .cache/lock/bin/uv pip install --quiet --python .cache/lock/bin/python
# Hashes of every wheel and source archive of a version, for all machines.
HASHED = .cache/lock/bin/uv pip compile --quiet --no-deps --universal --generate-hashes --no-header --no-annotate \
	--python-version $$(.cache/lock/bin/python -c "import platform; print(platform.python_version())")
INSTALL := $(PIP) install --quiet --no-deps
# Two processes more than cores, because tests of whole graphs and clusters also wait, up to what 16 GB of memory hold.
# Tests that share something stay together (tests/conftest.py).
PROCESSES := $(shell n=$$(($$(nproc) + 2)); echo $$((n < 8 ? n : 8)))
PYTEST := .venv/bin/python -m pytest --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

.PHONY: install demo check test lint docs gpu lock audit sbom mutants

install: .venv/installed

# Everything that params.yaml says, from nothing: as shipped, the demo world.
demo: .venv/installed
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/dvc repro
	.venv/bin/avadclip results

# What one waits for while working. These tests wait for nothing, and each process more would import all of them once more.
check: lint
	$(PYTEST) --numprocesses $(shell nproc) -m "not slow and not browser and not cluster"

test: lint
	tests/support/install_debian_packages.sh
	$(PYTEST)

lint: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# README, the pages of docs/ and a reference made from docstrings, as a site that needs no network: .cache/site/index.html.
# A warning is an error.
docs: .venv/installed-docs
	.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet -c docs/site -d .cache/doctrees . .cache/site
	cp .cache/site/README.html .cache/site/index.html

# What a GPU gives, in at most eight minutes and without network (docs/benchmarks.md). Where packages cannot be installed, it
# runs with whatever `PYTHON` finds.
gpu:
	$(or $(wildcard .venv/bin/python),$(PYTHON)) -m benchmarks.gpu --json gpu.json

# Known vulnerabilities of what the lock files name: from the network, or, as `make audit DATABASE=<folder or zip>`, from
# advisories on this disk (supply/audit.py says which). pip-audit has an environment of its own.
audit: .venv/installed
ifdef DATABASE
	.venv/bin/python -m supply.audit $(DATABASE)
else
	test -x .cache/audit/bin/pip-audit || ($(PYTHON) -m venv .cache/audit && .cache/audit/bin/pip install --quiet pip-audit)
	.cache/audit/bin/pip-audit --no-deps --disable-pip $(addprefix --requirement ,$(wildcard requirements*.lock))
endif

# Whether a test fails when a line of code is changed (docs/design.md): of all modules that pyproject.toml names for mutmut, which
# takes hours, or of some, as `make mutants OF='avadclip.evaluation.ranking*'`. mutmut has an environment of its own, which
# also sees the packages of .venv.
mutants: .venv/installed-test
	test -x .cache/mutmut/bin/mutmut || ($(PYTHON) -m venv .cache/mutmut && .cache/mutmut/bin/pip install --quiet mutmut==3.8.1)
	echo "$(CURDIR)"/.venv/lib/python3*/site-packages > $$(echo .cache/mutmut/lib/python3*/site-packages)/project.pth
	.cache/mutmut/bin/mutmut run --max-children $(shell nproc) $(OF)
	.cache/mutmut/bin/mutmut results

# What the lock files name as a bill of materials (CycloneDX).
sbom: .venv/installed
	.venv/bin/python -m supply.sbom > sbom.json

.venv/installed: requirements-torch.lock requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL) --requirement requirements-torch.lock
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --editable .
	touch $@

.venv/installed-test: .venv/installed requirements-test.lock
	$(INSTALL) --require-hashes --requirement requirements-test.lock
	touch $@

.venv/installed-docs: .venv/installed-test requirements-docs.lock
	$(INSTALL) --require-hashes --requirement requirements-docs.lock
	touch $@

# The newest versions that pyproject.toml admits. The package wav2clip is the oracle of a test; its own requirements would
# bring a second torch.
lock:
	rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv .
	$(FREEZE) > .cache/lock/all
	$(RESOLVED) '.[test,cluster]'
	$(RESOLVED) --no-deps wav2clip==0.1.0
	$(FREEZE) | comm -13 .cache/lock/all - > .cache/lock/test
	$(RESOLVED) '.[test,cluster,docs]'
	$(FREEZE) | comm -13 .cache/lock/all - | comm -13 .cache/lock/test - > .cache/lock/docs
	grep -E '$(TORCH)' .cache/lock/all > requirements-torch.lock
	grep -vE '$(TORCH)' .cache/lock/all | $(HASHED) --output-file requirements.lock -
	$(HASHED) --output-file requirements-test.lock .cache/lock/test
	$(HASHED) --output-file requirements-docs.lock .cache/lock/docs
	rm -rf .cache/lock
