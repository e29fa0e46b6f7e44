# make sweep: set up and run the default sweep.  make test: everything that must hold.
# A Python that the locks have wheels for, 3.12 first, as the GPU lock is for it; `make PYTHON=/path/to/python` picks another.
PYTHON ?= $(or $(shell for p in python3.12 python3 python3.11 python3.13; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done),python3)
# uv from PATH, or our own copy in the project.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
# `make setup-gpu` and `make setup-light` say once what the environment is for; `make setup` then keeps it so.
LOCK := $(if $(wildcard .venv/.gpu),requirements-gpu.lock,$(if $(wildcard .venv/.light),requirements-light.lock,requirements.lock))
SIZE := $(if $(wildcard .venv/.gpu),about 11 GB: verl and vllm,$(if $(wildcard .venv/.light),about .6 GB,about 6 GB: torch and verl))
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	f"Python 3.11, 3.12 or 3.13 is needed, {sys.executable} is {sys.version.split()[0]}: set PYTHON=/path/to/python3.12")'
endef

.PHONY: help setup setup-gpu setup-light verl-record lock scripts clean \
	sweep paper slurm-demo notebooks docs \
	check test lint format soak fuzz \
	benchmark benchmark-driver benchmark-plan benchmark-trl benchmark-loading benchmark-search benchmark-statistics benchmark-growth \
	bench benchmark-report benchmark-tabular benchmark-submit \
	scale guard-table advice-table licences experiments vulnerabilities

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.ready ## create or update the environment from requirements.lock

setup-gpu: ## the environment for GPUs, from requirements-gpu.lock: verl with vllm, on Python 3.12
	@$(PYTHON) -c 'import platform, sys; found = (platform.python_version(), platform.system(), platform.machine()); \
		sys.exit(0 if found[0].startswith("3.12.") and found[1:] == ("Linux", "x86_64") else "requirements-gpu.lock is for \
	Python 3.12 on Linux x86_64, this is Python {} on {} {}: set PYTHON=/path/to/python3.12".format(*found))'
	@[ -f .venv/.gpu ] || { rm -rf .venv && mkdir .venv && touch .venv/.gpu; }
	@$(MAKE) --no-print-directory setup

setup-light: ## the environment that plans, submits, follows, tabulates and draws: no torch, no verl
	@[ -f .venv/.light ] || { rm -rf .venv && mkdir .venv && touch .venv/.light; }
	@$(MAKE) --no-print-directory setup

sweep: setup ## run the default sweep on this machine
	$(BIN)/python sweep.py -m

paper: setup ## every run, figure and table of the paper on the tabular policy (about 10 minutes on 2 idle cores; goes on where it stopped)
	@# Status 1: a run failed, which figures and gallery say; what the user stops or types wrong stops here too.
	$(BIN)/python sweep.py -m +experiment=paper tracking=none || [ $$? -eq 1 ]
	$(BIN)/qae figures paper
	$(BIN)/qae gallery

experiments: setup ## write the experiments of the paper's figures again, from what the figures need
	$(BIN)/python -m analysis.figures.paper.experiments sweeps/conf/experiment

slurm-demo: setup ## a sweep on a real Slurm, brought up on this machine (as root on Debian)
	slurm/local_cluster.sh up
	eval "$$(slurm/local_cluster.sh env)" && $(BIN)/python sweep.py -m +experiment=slurm_demo \
		hydra/launcher=slurm site=local sweep.root=runs/slurm-demo tracking=none
	@echo "The cluster stays up: eval \"\$$(slurm/local_cluster.sh env)\" to use it, slurm/local_cluster.sh down to end it."

# Containers often switch bytecode off; tests start so many Pythons that each would compile the toolkit anew.
test check: export PYTHONDONTWRITEBYTECODE :=

test: setup lint ## lint, types, import contracts and all tests
	$(BIN)/python -m pytest --durations=25 --numprocesses=2 --dist=loadscope --no-loadscope-reorder

check: setup lint ## lint, types, import contracts and the quick tests: about two minutes, for while one works
	$(BIN)/python -m pytest -m "not slow" --durations=5 --durations-min=1 --numprocesses=2 --dist=loadscope --no-loadscope-reorder

lint: setup ## lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(UV) ## resolve the dependencies of pyproject.toml into requirements.lock
	$(UV) pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --output-file requirements.lock
	$(UV) pip compile --quiet pyproject.toml --extra install --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--constraint requirements.lock --output-file requirements-light.lock
	$(UV) pip compile --quiet pyproject.toml --extra vllm --extra dev --python-version 3.12 \
		--python-platform x86_64-manylinux_2_31 --only-binary :all: --no-binary antlr4-python3-runtime --generate-hashes \
		--no-emit-index-url --output-file requirements-gpu.lock
	echo "trl>=1.16,<1.17" | $(UV) pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --output-file requirements-trl.lock -

licences: setup ## write the licences of the locked packages again
	$(BIN)/python -m tests.release.licences

vulnerabilities: $(UV) ## look the locked packages up in PyPI's index of known vulnerabilities (pip-audit)
	$(UV) venv --quiet --allow-existing .uv/pip-audit
	$(UV) pip install --quiet --python .uv/pip-audit/bin/python pip-audit==2.10.1
	for lock in requirements.lock requirements-light.lock requirements-gpu.lock requirements-trl.lock; do \
		.uv/pip-audit/bin/pip-audit --strict --disable-pip --progress-spinner off --requirement $$lock || exit 1; \
	done

verl-record: setup ## write what a plan knows of verl where it is not installed
	$(BIN)/python -c 'import orjson; from sweeps.verl import source as v; \
		v.RECORD.write_bytes(orjson.dumps(v.recorded(v.installed()), option=orjson.OPT_INDENT_2))'

scripts: setup ## write the shell scripts of verl's models again
	@for model in qwen3-8b-base qwen3-8b-base-8gpus qwen3-8b-base-4gpus qwen3-14b-base qwen2.5-32b; do \
		env -u QAE_DATA $(BIN)/qae verl-command --script model=$$model > scripts/run_$$model.sh && \
		chmod +x scripts/run_$$model.sh; \
	done

benchmark: setup ## our advantages against verl's
	$(BIN)/python -m benchmarks.advantage

benchmark-driver: setup ## what describing a batch of the paper's size costs verl's driver
	$(BIN)/python -m benchmarks.driver

benchmark-plan: setup ## planning 1,000 runs against Hydra's own multirun
	$(BIN)/python -m benchmarks.plan

benchmark-trl: setup ## the embedded trainer against TRL's
	@# Beside the environment, not in it: where TRL is installed, verl imports names that this TRL no longer has.
	$(UV) pip install --quiet --python $(BIN)/python --target .venv/trl --no-deps --require-hashes -r requirements-trl.lock
	PYTHONPATH=.venv/trl $(BIN)/python -m benchmarks.tiny_vs_trl

benchmark-loading: setup ## loading offline W&B files against the SDK's old reader
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv/old-wandb
	$(UV) pip install --quiet --python .venv/old-wandb/bin/python wandb==0.27.0 pandas==3.1.1
	$(BIN)/python -m benchmarks.loading --old-python .venv/old-wandb/bin/python

benchmark-search: setup ## a search of K against the grid on the embedded task (about 20 minutes on 2 idle cores)
	$(BIN)/python -m benchmarks.experiments.search --check

benchmark-submit: setup ## submitting 1,000 runs to a local Slurm against hydra-submitit-launcher (as root on Debian)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv/submitit-launcher
	$(UV) pip install --quiet --python .venv/submitit-launcher/bin/python hydra-submitit-launcher==1.2.0 hydra-core==1.3.8 submitit==1.5.4
	@# A cluster that was up before stays up; one that was brought up here goes, whatever came of the benchmark.
	was=$$(slurm/local_cluster.sh status >/dev/null 2>&1 && echo up); slurm/local_cluster.sh up && \
		eval "$$(slurm/local_cluster.sh env)" && $(BIN)/python -m benchmarks.submit --python .venv/submitit-launcher/bin/python; \
		status=$$?; [ -n "$$was" ] || slurm/local_cluster.sh down; exit $$status

benchmark-growth: setup ## processor's seconds of commands at 10 to 10,000 runs (about 15 minutes on one core)
	$(BIN)/python -m benchmarks.growth

benchmark-statistics: setup ## intervals of aggregates against rliable's
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv/rliable
	$(UV) pip install --quiet --python .venv/rliable/bin/python rliable==1.2.0 pandas==2.3.3
	$(BIN)/python -m benchmarks.statistics --python .venv/rliable/bin/python

benchmark-report: setup ## processor's seconds of `qae report`, with an empty cache and a full one
	$(BIN)/python -m benchmarks.report

benchmark-tabular: setup ## processor's seconds of 60 steps of the tabular policy
	$(BIN)/python -m benchmarks.tabular

bench: setup ## every comparison in one run, into docs/performance.md; BENCH="advantage plan" only prints those
	$(BIN)/python -m benchmarks.bench $(BENCH)

scale: setup ## simulate sweeps on a cluster of thousands of GPUs for docs/scale.md (about 6 minutes on one core)
	$(BIN)/python -m benchmarks.scale

guard-table: setup ## rules of the entropy guard: chosen on seeds 0 to 9 of $$QAE_RUNS or runs/, reported on the others
	$(BIN)/python -m benchmarks.experiments.guard --root $${QAE_RUNS:-runs}

advice-table: setup ## whether first steps name a baseline: chosen on seeds 0 to 9 of $$QAE_RUNS or runs/, reported on the others
	$(BIN)/python -m benchmarks.experiments.advice $${QAE_RUNS:-runs}

docs: setup ## the documentation as a site, into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

notebooks: setup ## execute the notebooks on $$QAE_SOURCE or runs/, into notebooks/executed
	$(BIN)/python -m notebooks.execute

soak: setup ## 200 short runs under random faults on a local Slurm for 15 minutes, then an audit (as root on Debian)
	$(BIN)/python -m tests.slurm.soak $(SOAK)

fuzz: setup ## 100,000 inputs that nobody thought of: command lines, configurations, damaged files, groups (FUZZ=10000 for fewer)
	$(BIN)/python -m tests.fuzz $(FUZZ)

clean: ## remove the environment and caches; runs/ stays
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.ready: $(LOCK) pyproject.toml $(wildcard .venv/.gpu .venv/.light) | $(UV)
	@$(CHECK_PYTHON)
	@echo "Setting up .venv from $(LOCK) ($(SIZE)) …"
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet $(if $(wildcard .venv/.light),,--compile-bytecode) --python $(BIN)/python --require-hashes $(LOCK)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.uv/bin/uv:
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv .uv || { echo "python3-venv is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
	.uv/bin/python -m pip install --quiet uv
