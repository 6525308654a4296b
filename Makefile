# Two commands are enough: `make run` and `make test`. Each sets up .venv from the pinned constraints the first time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup run test worlds infra lint types bench bench-fast torture ui clean help

help:
	@echo "make run         the life cycle of a model on the embedded data"
	@echo "make test        all tests but these:  make worlds: verdicts over many generated worlds;  make torture: kill it a thousand times"
	@echo "make infra       servers, workers and ranks as processes of this machine: PostgreSQL, S3, MLflow, Prefect, torchrun"
	@echo "make lint types  style and types;  make bench / bench-fast: every speed claim, measured"
	@echo "make ui          MLflow and Prefect pages on this machine"
	@echo "make setup       .venv from the pinned versions, which the others do by themselves;  make clean: all that was made but .venv"

setup: $(STAMP)

# uv installs in seconds what pip needs minutes for; where uv cannot be had or fails, pip does it.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -qq -c constraints.txt uv || echo "no uv: pip will take some minutes"
	@{ test -x $(BIN)/uv && UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install -qq --python $(BIN)/python -c constraints.txt -e '.[dev]'; } \
		|| $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m flows.warm
	@touch $(STAMP)

run: setup
	@$(BIN)/equipoise tour

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not torture and not worlds and not infra"

worlds: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m worlds

torture: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m torture

infra: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m infra

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/pyright

# Each file checks that both sides agree, times them, and prints one JSON line.
BENCH := $(sort $(basename $(notdir $(wildcard benchmarks/p[0-9]*.py))))
BENCH_FAST := p3_supervision_memory p4_supervision_loss p5_divergence p6_token_losses p7_batches p11_pnl p12_span_labels p13_startup p15_bootstrap

bench: setup
	@for name in $(BENCH); do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-fast: setup
	@for name in $(BENCH_FAST); do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name || exit 1; done

ui: setup
	@EQUIPOISE_STATE="$(STATE)" $(BIN)/python -m flows.pages

clean:
	@rm -rf .equipoise data checkpoints evaluation tuned .pytest_cache .ruff_cache .hypothesis .dvc/tmp .dvc/cache
