# demo: from a trained network to a checked bitstream. test: everything that must hold.
# All of it happens in .venv, which the first run makes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
EVERYTHING := fpga,verify,import,board,train,events,plot,dask,dev

# mutants: a change in the code that no test notices is a gap (docs/mutants.md).
.PHONY: demo test test-all mutants lint check-tools clean

demo: check-tools $(VENV)/.demo
	@$(BIN)/python examples/demo.py

test: $(VENV)/.everything lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-all: $(VENV)/.everything lint
	$(BIN)/pytest -n 2 --dist worksteal

mutants: $(VENV)/.everything
	$(BIN)/python tests/bench/mutants.py

lint: $(VENV)/.everything
	$(BIN)/ruff check .
	$(BIN)/mypy

check-tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "$(PYTHON) must be Python 3.11 or later: apt install python3 python3-venv (Debian, Ubuntu)" \
	  "or brew install python (macOS), or name another one: make PYTHON=python3.12 demo" >&2; \
	  exit 2; }
	@command -v perl >/dev/null || { echo "the demo's simulator needs perl:" \
	  "apt install perl (Debian, Ubuntu) or brew install perl (macOS)" >&2; exit 2; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
	  echo "the demo's simulator needs a C++ compiler:" \
	  "apt install g++ (Debian, Ubuntu) or xcode-select --install (macOS)" >&2; exit 2; }

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[fpga,verify]"
	@touch $@

$(VENV)/.everything: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[$(EVERYTHING)]"
	@touch $@ $(VENV)/.demo

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis sim_build
