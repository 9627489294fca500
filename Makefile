# Two commands do everything: `make demo` and `make test`. The others are their parts.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
BASE   ?=
BRANCH ?=
ROOMS  := echolane capture replayer differ console dashboards
MORE   := compiling

.PHONY: demo setup parts axe helm gitea test check lint types contracts format compiled pure bench accuracy fuzz faults soak judge-kafka clean

demo: $(VENV)/.installed  ## Record, replay and compare a real application at two released versions
	$(BIN)/echolane demo $(if $(BASE),--base $(BASE)) $(if $(BRANCH),--branch $(BRANCH))

setup: $(VENV)/.installed-dev  ## A virtual environment in .venv with .venv/bin/echolane

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -e '.[test,check]'
	@touch $@

parts: setup  ## Apache Kafka for the tests, into .parts/ (needs java and mvn; the tests fetch it by themselves, too)
	$(BIN)/python -m bench.broker

axe: setup  ## axe-core for the tests of the pages, into .parts/ (needs npm; the tests fetch it by themselves, too)
	$(BIN)/python -m bench.axe

helm: setup  ## Helm for the tests of the chart, into .parts/ (Go builds it in minutes; the tests have it built by themselves, too)
	$(BIN)/python -m bench.helm

gitea: setup  ## A real Gitea for the tests of hooks, into .parts/ (Go and gcc build it, in ten minutes; without it those tests skip)
	$(BIN)/python -m bench.gitea

test: check  ## Everything that must hold, in two processes (tests/conftest.py says what may run beside what)
	$(BIN)/python -m pytest -q -n 2 --no-loadscope-reorder

check: setup lint types contracts  ## Format, lint, types, import contracts, house test
	$(BIN)/python -m pytest -q tests/test_house.py

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/basedpyright --level error $(ROOMS) $(MORE)

contracts:
	$(BIN)/lint-imports

format: setup  ## Write the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compiled: setup  ## The differ's hot modules as C extensions in build/compiled (needs a C compiler); `make pure` goes back
	$(PIP) install --quiet -e '.[compiled]'
	$(BIN)/python -m compiling

pure:  ## Drop the compiled form
	rm -rf build/compiled build/compiled.*

bench: setup  ## Measure against the peers; writes bench/RESULTS.md (TABLES="capture chain" ROUNDS=1)
	$(PIP) install --quiet -e '.[bench,compiled]'
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench $(TABLES) --rounds $(or $(ROUNDS),5)

accuracy: setup  ## Planted changes among noise, against Diffy's rule and an A/A' filter; writes bench/ACCURACY.md (QUICK=1: a tenth)
	@test -d .bench/answers || $(BIN)/python -m bench.accuracy_answers
	$(BIN)/python -m bench.accuracy $(if $(QUICK),--quick)

fuzz: setup  ## Every law on new examples, FUZZ times as many (20); a failure prints the example to keep as @example
	ECHOLANE_FUZZ=$(or $(FUZZ),20) $(BIN)/python -m pytest -q -o faulthandler_timeout=3000 tests

faults: setup  ## Fifty kills of each process and twenty restarts; ECHOLANE_SEED=N repeats them
	ECHOLANE_KILLS=50 ECHOLANE_RESTARTS=20 $(BIN)/python -m pytest -q -o faulthandler_timeout=3000 tests/e2e/test_kills.py tests/e2e/test_chain.py \
		tests/floor/test_journal_groups.py tests/floor/test_journal_kafka_faults.py

soak: setup  ## Runs of 10,000 exchanges whose workers, three brokers and store are killed, SEEDS of them (20); ECHOLANE_SEED=N repeats one
	ECHOLANE_SOAK=$(or $(EXCHANGES),10000) ECHOLANE_SEEDS=$(or $(SEEDS),20) $(BIN)/python -m pytest -q -s -o faulthandler_timeout=3000 tests/e2e/test_soak.py

judge-kafka: setup  ## Judge the pairs of ECHOLANE_INPUTS_DIR on a broker, behind ClickHouse's protocol, by workers (PAIRS="httpbin", AA=1)
	$(BIN)/python -m tests.e2e.judge_kafka $(PAIRS) --max-groups=60 $(if $(AA),--aa)

clean:
	rm -rf $(VENV) .parts build dist .pytest_cache .ruff_cache .hypothesis
