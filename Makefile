# `make app` and `make test` set everything up by themselves, once; `make help` lists the rest.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
BROWSER := .venv/.browser

.PHONY: help app lab test lint format reference screenshots clean
.DEFAULT_GOAL := help

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

app: $(READY) ## open the app in a browser
	$(BIN)/workbench app $(ARGS)

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/workbench lab $(ARGS)

test: $(READY) $(BROWSER) ## run all tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(READY) ## write docs/reference.md anew
	PYTHONPATH=. $(BIN)/python docs/reference.py

screenshots: $(READY) $(BROWSER) ## take the pictures of docs/ anew
	PYTHONPATH=. $(BIN)/python docs/screenshots.py

clean: ## remove the environment and everything that was built
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# PyTorch goes first, alone and exact: asked for by range, it may come as several gigabytes of another build.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: install one, or name it: make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --editable ".[lab,energy,dev]" --constraint constraints.txt
	@touch $@

# The tests drive a real Chromium: the system's, where there is or can be one, else Playwright's own.
$(BROWSER): $(READY)
	@command -v chromium >/dev/null \
	|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && export DEBIAN_FRONTEND=noninteractive \
		&& apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	|| $(BIN)/playwright install chromium
	@touch $@
