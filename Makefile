# All set-up happens in a virtual environment inside the checkout; the first call of a target makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What hypothesis draws is the same in each run, so that a change alone decides whether it passes.
PYTEST := $(BIN)/python -m pytest -q -n 2 --hypothesis-profile=ci

.PHONY: demo test test-slow fuzz parity lint bench docs gallery training clean

demo: $(READY)  ## train a network described in YAML on real images; report and picture lie in runs/
	$(BIN)/archspec check specs/digits_cnn.yaml
	$(BIN)/archspec summary specs/digits_cnn.yaml
	$(BIN)/archspec train specs/digits_cnn.yaml

test: $(READY)  ## the whole suite but for what is marked slow
	$(PYTEST) -m "not slow"

test-slow: $(READY)  ## what takes longer
	$(PYTEST) -m slow

fuzz: $(READY)  ## the same laws on specs and graphs drawn anew, until interrupted or until one is broken
	while $(BIN)/python -m pytest -q -n 2 -m hypothesis; do :; done

parity: $(VENV)/.parity  ## the same outputs as the models of Hugging Face's transformers
	$(BIN)/python -m pytest -q tests/test_parity_hugging_face.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## the figures of the README, as ratios taken in one run
	$(BIN)/python benchmarks/check.py
	$(BIN)/python benchmarks/elaborate.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/zoo_build.py
	$(BIN)/python benchmarks/draw.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/train_overhead.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/kill.py
	$(BIN)/python benchmarks/optimize.py
	$(BIN)/python benchmarks/runtimes.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/step.py --backend jax mobilenet_v2 densenet121

docs: $(READY)  ## the pages that are made from the specs
	$(BIN)/python docs/make_zoo.py

gallery: $(READY)  ## every spec drawn, with its cost table
	$(BIN)/python docs/make_gallery.py

training: $(READY)  ## networks of every kind trained, with what shows that they learnt
	$(BIN)/python docs/make_training.py

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "archspec needs Python 3.11 or newer: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(READY)

$(VENV)/.parity: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,parity]"
	touch $(VENV)/.parity

clean:
	rm -rf $(VENV)
