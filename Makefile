# `make help` lists the targets. Only what is missing or out of date is done again. On Windows, see docs/install.md.

PYTHON ?= python3
BIN := .venv/bin
RUN := outputs/training/ppe_sample
TEST_PROCESSES ?= auto
MYPY ?= $(BIN)/mypy
SOURCES := $(shell git ls-files "*.py" 2>/dev/null)

.PHONY: help train test setup lint

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 8
	@echo "variables: PYTHON=python3.12 makes .venv with another Python, TEST_PROCESSES=N runs so many tests at a time"

train: $(RUN)/.trained  ## set up, draw the sample dataset, train a small model on it
	@echo "results: $(RUN): best_model.pth, map.png, train_loss_epoch.png, val_pred_0.jpg, results.csv"

$(RUN)/.trained: .venv/.installed data/ppe_sample/made_by_make_sample.json $(SOURCES) data_configs/ppe_sample.yaml
	$(BIN)/python train.py --config data_configs/ppe_sample.yaml --model fasterrcnn_resnet10_fpn_small \
	  --epochs 16 --project-name ppe_sample --exist-ok
	@touch $@

data/ppe_sample/made_by_make_sample.json: | .venv/.installed
	$(BIN)/python data/make_sample.py

test: .venv/.installed-dev  ## set up, install the test tools, run ruff and all tests
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

setup: .venv/.installed  ## make .venv with all that the toolkit needs

.venv/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: $(PYTHON) is older than Python 3.10; name a newer one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -r requirements.txt
	$(BIN)/python -m utils.fix_opencv
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(BIN)/python -m pip install -r requirements-dev.txt
	@touch $@

lint: .venv/.installed-dev  ## ruff check, ruff format and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MYPY) --python-executable $(BIN)/python
