# make help lists what can be made.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
ENV := .venv
RUN := $(ENV)/bin/python
STAMP := $(ENV)/.installed
# A file of tests stays with one worker; long ones begin first. Compiled files are kept, also where Python is told not to:
# each worker, and each program that a test starts, would else compile all of ours again.
TESTS = PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder
ROOMS := config data models modules utils
ORDER := fixed
# What builds the pages has an environment of its own. It is maintained until May 2027; zensical reads the same mkdocs.yml.
PAGES := .venv-docs
# Where the demo goes, and further overrides for its world and its training, e.g. DEMO_TRAINING=seed=1
DEMO := demo
DEMO_WORLD :=
DEMO_TRAINING :=

.PHONY: help env demo test test-fast soak lint docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

env: $(STAMP) ## create .venv and install the locked packages (once)

# A new lock makes a new environment; an unchanged one is never installed twice. Compiled once here, the libraries load
# in a third of the time, also where Python may not write its caches.
$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, for example: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -d $(ENV) || $(PYTHON) -m venv $(ENV)
	@echo "installing the locked packages into $(ENV) (5.8 GB, a minute or two)"
	@$(ENV)/bin/pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@$(ENV)/bin/uv pip install --quiet --compile-bytecode --python $(ENV)/bin/python --requirement requirements.lock
	@touch $(STAMP)

demo: $(STAMP) ## events in, a better detector out: synthetic data, few labels, pseudo labels, table, video (under 20 min)
	$(RUN) scripts/make_synthetic.py world=plain raw_path=$(DEMO)/raw $(DEMO_WORLD)
	$(RUN) scripts/preprocess_dataset.py dataset=synthetic dataset.sensor_hw=[128,128] raw_path=$(DEMO)/raw \
		dataset.path=$(DEMO)/data hardware.num_workers=2
	$(RUN) scripts/self_train.py experiment_name=synthetic/ablation dataset_path=$(DEMO)/data root=$(DEMO)/run \
		labels.train_ratio=0.03 supervised.steps=1400 self_training.steps=600 ema_decay=0.99 $(DEMO_TRAINING)
	@test -f $(DEMO)/detections.mp4 || $(RUN) scripts/visualize.py "$$(ls -d $(DEMO)/data/test/*/ | head -n 1)" \
		--checkpoint $(DEMO)/run/round1/last.ckpt --output $(DEMO)/detections.mp4 --scale 4
	@echo "table and figures: $(DEMO)/run/summary.json   video: $(DEMO)/detections.mp4"

test: $(STAMP) ## run all tests but the soak, on all cores (ORDER=random shuffles them)
	$(TESTS) -m "not soak" $(if $(filter random,$(ORDER)),-p randomly)

test-fast: $(STAMP) ## run the unit tests of one room, e.g. ROOM=data (under a minute)
	@test -d "tests/$(ROOM)" -a -n "$(ROOM)" || \
		{ echo "expected ROOM= with one of: $(ROOMS); got ROOM=$(ROOM); for example: make test-fast ROOM=data"; exit 2; }
	$(TESTS) -m "not soak and not command" tests/$(ROOM)

soak: $(STAMP) ## run the long tests, those of many seeds and of many kills
	$(TESTS) -m soak

lint: $(STAMP) ## formatting, lint rules, types, import rules
	$(ENV)/bin/ruff format --check .
	$(ENV)/bin/ruff check .
	$(ENV)/bin/pyright
	$(ENV)/bin/lint-imports

# Not --quiet: then no warning counts, and --strict lets broken links pass.
docs: $(PAGES)/.installed ## build the pages of docs as a site that a browser opens: site/index.html
	NO_MKDOCS_2_WARNING=1 $(PAGES)/bin/mkdocs build --strict

$(PAGES)/.installed: pyproject.toml
	@test -d $(PAGES) || $(PYTHON) -m venv $(PAGES)
	@$(PAGES)/bin/pip install --quiet --disable-pip-version-check "pip>=25.1" # which knows groups
	@$(PAGES)/bin/pip install --quiet --disable-pip-version-check --group docs
	@touch $@

clean: ## remove caches, the demo and the site
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(DEMO) site
	find . -name __pycache__ -type d -not -path './$(ENV)/*' -prune -exec rm -rf {} +
