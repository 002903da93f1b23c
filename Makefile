# Everything a person does with a checkout. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup demo start stop status test bench lint docs clean

setup: $(STAMP)

# One environment for running and testing; exact versions from constraints.txt.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("bgpdrift needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another: make setup PYTHON=python3.11" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,plot]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/bgpdrift demo

start: $(STAMP)
	@$(BIN)/python run_all_services.py start

stop: $(STAMP)
	@$(BIN)/python run_all_services.py stop

status: $(STAMP)
	@$(BIN)/python run_all_services.py status

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Unit, contract and system tests on two processes, then every example in docstrings and documents. Files run in the order
# of their names: the long system tests come first, so that neither process ends with one of them alone.
test: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests
	$(BIN)/pytest --doctest-modules --ignore=bgpdrift/store/migrations bgpdrift supervisor retrainers
	$(BIN)/pytest --doctest-glob='*.md' README.md docs

# Speed and memory beside peers, measured in one run; nothing here can fail a build.
bench: $(STAMP)
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
