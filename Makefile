# Every target does its own set-up: a virtual environment with pinned versions. Needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/peers
OMNIFOLD := $(VENV)/omnifold
export OMP_NUM_THREADS ?= 1
# glibc gives memory back to the system too eagerly for training on a CPU, which costs up to a third of the speed.
export MALLOC_MMAP_THRESHOLD_ ?= 8589934592
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
DEMO ?= demo
MUTATION ?= mutation
FUZZ ?= fuzz

.PHONY: demo test setup lint docs bench mutation fuzz clean

demo: $(READY)          ## the whole way on simulated jets, ending in demo/report/report.html
	OMP_NUM_THREADS=2 $(BIN)/hepfm demo -o $(DEMO)

test: $(READY)          ## the whole suite
	$(BIN)/pytest -n 2 --dist loadgroup

setup: $(READY)         ## the virtual environment

lint: $(READY)          ## format, style, types, floors
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)          ## the pages in site/
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(READY) $(PEERS)/.ready $(OMNIFOLD)/.ready   ## every benchmark against its peer, results in benchmarks/results/
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/run.py --peer-python $(PEERS)/bin/python \
		--omnifold-python $(OMNIFOLD)/bin/python

mutation: $(READY)      ## how many small changes of the source the tests notice, on a random sample
	mkdir -p $(MUTATION)
	COVERAGE_FILE=$(MUTATION)/coverage $(BIN)/pytest -n 2 --dist loadgroup --cov=hepfm --cov-context=test \
		--cov-report= --durations=0 -vv > $(MUTATION)/durations.txt
	$(BIN)/python tests/mutate.py --coverage $(MUTATION)/coverage --durations $(MUTATION)/durations.txt \
		--output $(MUTATION)/mutants.csv

fuzz: $(READY)          ## damaged files of every format, some 13,000, given to hepfm ingest
	$(BIN)/python tests/fuzz_readers.py -o $(FUZZ)/fuzz.csv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "hepfm needs Python 3.11 to 3.13; say make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U 'pip>=25.1'
	$(BIN)/pip install -q -c constraints.txt -e '.[all]' --group dev
	@touch $@

$(PEERS)/.ready: $(READY)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q -U 'pip>=25.1'
	$(PEERS)/bin/pip install -q torch==2.13.0
	$(PEERS)/bin/pip install -q weaver-core==0.5.3 omnilearned==0.2.0 opt_einsum rich tqdm
	$(PEERS)/bin/pip install -q --no-deps evenet-core==0.3.0  # it pins numpy 1.26, which its network does not need
	@touch $@

$(OMNIFOLD)/.ready: $(READY)
	$(PYTHON) -m venv $(OMNIFOLD)
	$(OMNIFOLD)/bin/python -m pip install -q -U 'pip>=25.1'
	$(OMNIFOLD)/bin/pip install -q tensorflow-cpu==2.21.0 matplotlib PyYAML
	$(OMNIFOLD)/bin/pip install -q --no-deps omnifold==0.1.36  # it asks for tensorflow, which tensorflow-cpu is
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) $(MUTATION) $(FUZZ) build dist site
