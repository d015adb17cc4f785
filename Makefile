# make install | demo | test | test-engines | test-export | clean — needs Python 3.11+ and make, sets up the rest in .venv
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Bytecode is made at once: where Python is told to write none, every start of tme would compile all it imports again.
COMPILE := --compile
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo test test-engines lint clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tme needs Python 3.11 or newer; say which: make install PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(COMPILE) --constraint constraints.txt --editable '.[test]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tme demo --output demo-results

# Where tests run beside each other, an idle thread of OpenBLAS had better sleep at once than keep a core spinning.
test test-%: export OPENBLAS_THREAD_TIMEOUT := 4

test: $(STAMP) lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

# The optional engines, each generation with its own packages; `make test` skips what needs them.
# InstanSeg shares the environment of cellpose 3 (edt and seaborn are what the training of a test network needs),
# the fine-tuning of the bundled network that of cellpose 4: both hold the same torch.
ENGINES := cellpose3 cellpose4 stardist
PARTS_cellpose3 := '.[cellpose,instanseg]' edt seaborn --constraint constraints-instanseg.txt
PARTS_cellpose4 := '.[cellpose,train]'
PARTS_stardist := '.[stardist]'

# The programs exports are made for, and the validators of what a run leaves, have an environment too.
PARTS_export := '.[anndata,spatialdata]' ome-zarr ome-zarr-models roc-validator rocrate squidpy

# Each on its own, so that `make -j2 test-engines` uses two cores; the longest begins.
.PHONY: $(ENGINES:%=test-%) test-learn test-export install-engines
install-engines: $(ENGINES:%=.venv-%/.installed) .venv-export/.installed

test-engines: test-learn $(ENGINES:%=test-%) test-export

$(ENGINES:%=test-%): test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest tests/engines

test-learn: .venv-cellpose4/.installed
	.venv-cellpose4/bin/python -m pytest tests/learn

test-export: .venv-export/.installed
	.venv-export/bin/python -m pytest tests/export

.venv-cellpose3/.installed: constraints-instanseg.txt

.venv-%/.installed: pyproject.toml constraints-%.txt
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --no-compile --constraint constraints-$*.txt \
	  --editable $(PARTS_$*) hypothesis pytest pytest-timeout
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(ENGINES:%=.venv-%) .venv-export demo-results build dist .pytest_cache .mypy_cache .ruff_cache
