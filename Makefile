# Two commands do all on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
OUT ?= demo

.PHONY: help install install-dev demo test types kernels-conv kernels-dense docs lint format browser bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev,docs]'
	touch $@

install: $(VENV)/.installed ## make .venv with what the package needs
install-dev: $(VENV)/.installed-dev ## the same with the test tools

demo: install ## train, transfer, dissect a failed transfer, cure it, write the report
	$(BIN)/crar demo --out $(OUT) --resume

# Tests start many processes, and each would compile the sources again where the environment forbids bytecode.
test: export PYTHONDONTWRITEBYTECODE =
test: install-dev ## lint, type-check, test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs=2 kernels-conv types kernels-dense docs
	$(BIN)/pytest -n auto --dist worksteal

types kernels-conv kernels-dense docs: install-dev # side by side, two at a time: on a fresh checkout each takes a minute or less of a core, convolutions more
types:
	$(BIN)/mypy
kernels-conv kernels-dense: kernels-%:
	$(BIN)/python -m tests.kernels $*
docs: ## the documentation as a site in build/site, offline; fails on a warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: types ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install-dev ## format and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser: install-dev docs ## the pages in a real browser: Debian's Chromium, installed where it is missing
	command -v chromium chromedriver || $(if $(filter 0,$(shell id -u)),,sudo) sh -c 'apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver'
	$(PIP) -e '.[browser]'
	$(BIN)/pytest tests/browser

bench: install ## side-by-side timings, written to benchmarks/results and docs/speed.md
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.training --maze random $(if $(AGAINST),--against $(AGAINST))
	$(BIN)/python -m benchmarks.random_stages
	grep -q amx_bf16 /proc/cpuinfo && $(BIN)/python -m benchmarks.tiles || true
	$(BIN)/python -m benchmarks.landscape
	$(BIN)/python -m benchmarks.landscape_command $(if $(AGAINST),--against $(AGAINST))
	$(BIN)/python -m benchmarks.compile_time
	$(BIN)/python -m benchmarks.page

clean: ## remove the environment and caches
	rm -rf $(VENV) build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
