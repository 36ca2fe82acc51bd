# What a developer types. Everything else is a Python program of this repository that says what it does.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export DOCKER_BUILDKIT ?= 0

PY := .venv/bin/python
VENV := .venv/.stamp
DEVCLUSTER := $(PY) -m devcluster
# KUBECONFIG, DOCKER_HOST and PATH of the cluster in use.
WITH_CLUSTER := . .cluster/env;
PYTEST := $(PY) -m pytest
# Tests against real clocks: one that failed is tried again, for a machine that is busy with something else; the summary
# names it; on a cluster once, where runs are measured several times anyway. What computes only (rules, simulation)
# never is.
TRIED_AGAIN := -rR --rerun-show-tracebacks --durations=10 --reruns
SOURCES := operator devcluster demo images bench scripts tests

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- see it work

demo: $(VENV) ## From nothing to a comparison of three engines (REAL=1: real Ollama on the CPU)
	@$(PY) -m demo $(if $(filter-out 0,$(REAL)),--real)

# ---- the cluster

cluster-up: $(VENV) ## A local two-node Kubernetes cluster with one (declared) GPU; CLUSTER=current takes yours
	@$(DEVCLUSTER) up

cluster-down: $(VENV) ## Delete it; what was built for it stays cached
	@$(DEVCLUSTER) down

cluster-status: $(VENV) ## Say how it stands
	@$(DEVCLUSTER) status

cluster-purge: $(VENV) ## Delete it, its container engine and the caches
	@$(DEVCLUSTER) purge

# ---- the operator in it

# A cluster that is up is not touched again.
.cluster-there: $(VENV)
	@$(DEVCLUSTER) status >/dev/null 2>&1 || $(DEVCLUSTER) up

image: .cluster-there ## Build the operator's image for the cluster
	@$(WITH_CLUSTER) base="$$($(DEVCLUSTER) base-image)"; $(PY) -m images.operator.build --base "$$base" >/dev/null

deploy: $(if $(IMAGE),.cluster-there,image) ## Install the operator; IMAGE=registry/name:tag takes that image instead of building one
	@$(WITH_CLUSTER) $(PY) -m images.operator.deploy $(if $(IMAGE),--image $(IMAGE))

undeploy: $(if $(wildcard .cluster/env),$(VENV)) ## Remove the operator, its CRD and with it every run; on your own cluster it asks first
	@if [ ! -f .cluster/env ]; then echo "This checkout has no cluster: nothing to remove."; exit; fi; \
	$(DEVCLUSTER) agree-to-removal; \
	$(WITH_CLUSTER) kubectl delete --ignore-not-found --timeout=120s -k manifests/default

ollama: .cluster-there ## Real Ollama 0.9.2 and a tiny model, built and put into the cluster
	@$(WITH_CLUSTER) $(PY) -m images.ollama.build

kueue: .cluster-there ## Real Kueue, built from its Go module (4 to 8 min the first time) and put into the cluster; installs nothing
	@$(WITH_CLUSTER) $(PY) -m images.kueue.build

guidellm: .cluster-there ## GuideLLM's images, built from PyPI and put into the cluster (VERSIONS="0.2.1 0.8.1")
	@$(WITH_CLUSTER) $(PY) -m images.guidellm.build $(VERSIONS)

vllm: .cluster-there ## Real vLLM 0.32.0 for the CPU and the tiny model, built (2 to 4 min the first time) and put into the cluster
	@$(WITH_CLUSTER) $(PY) -m images.vllm.build

llama-cpp: .cluster-there ## llama.cpp's server for the CPU and the tiny model, built and put into the cluster
	@$(WITH_CLUSTER) $(PY) -m images.llama_cpp.build

# ---- tests

test: test-unit test-simulation test-cluster test-engines ## All; leaves the cluster up (an hour where nothing is cached)

# What mostly waits goes in parallel with its like, away from what computes; what has to keep its times goes alone.
WAITING := tests/unit/loadgen tests/unit/validity
ALONE := tests/unit/bench tests/unit/validity/test_healthy.py tests/unit/validity/test_engine_metrics.py \
  $(patsubst %,tests/unit/loadgen/test_%.py,point closed_loop open_loop saturation monitor)

test-unit: $(VENV) ## Rules as tables, and every part by itself
	@$(PYTEST) -q --numprocesses=auto $(WAITING:%=--ignore=%) --ignore=tests/unit/bench tests/unit
	@$(PYTEST) -q $(TRIED_AGAIN) 2 --numprocesses=2 $(ALONE:%=--ignore=%) $(WAITING)
	@$(PYTEST) -q $(TRIED_AGAIN) 2 $(ALONE)

test-simulation: $(VENV) ## Whole runs on a virtual cluster and clock, with faults
	@$(PYTEST) -q --numprocesses=auto tests/simulation

# Images are built beside each other: Ollama's compiles while others wait for the network and the disk.
test-cluster: $(VENV) ## On a real cluster, with the built image
	@$(MAKE) --jobs=3 deploy ollama guidellm
	@$(PYTEST) -v $(TRIED_AGAIN) 1 tests/cluster

# Nothing in these is timed: they run beside the builds, as soon as what they want is there.
WITH_OLLAMA := $(patsubst %,tests/engines/test_%.py,ollama pulls settings same_work prometheus)
WITH_LLAMA_CPP := tests/engines/test_llama_cpp_faults.py
WITH_GUIDELLM := $(patsubst %,tests/engines/guidellm/test_%.py,formulas export)
WITH_VLLM := tests/engines/test_hub.py::test_what_the_hub_refuses_costs_no_engine_where_a_job_fetches
UNTIMED := $(WITH_OLLAMA) $(WITH_LLAMA_CPP) $(WITH_GUIDELLM) $(WITH_VLLM)
# The rest has the machine to itself. It begins with a start of vLLM: meanwhile the disk gets what the builds left to write.
TIMED := $(filter-out $(UNTIMED),$(sort $(wildcard tests/engines/test_*.py)) $(sort $(wildcard tests/engines/*/test_*.py)))

ENGINE_IMAGES := ollama vllm guidellm llama-cpp

test-engines: $(VENV) ## Real vLLM, Ollama and llama.cpp, deployed by the operator; ends with their table
	@$(MAKE) --jobs=6 deploy $(ENGINE_IMAGES) $(patsubst %,.test-with-%,$(ENGINE_IMAGES))
	@BUILT="deploy $(ENGINE_IMAGES)" $(PYTEST) -v $(TRIED_AGAIN) 1 $(WITH_VLLM:%=--deselect=%) $(TIMED)

.test-with-ollama: ollama
	@$(PYTEST) -v $(TRIED_AGAIN) 1 --numprocesses=2 $(WITH_OLLAMA)

.test-with-llama-cpp: deploy ollama llama-cpp
	@BUILT="$^" $(PYTEST) -v $(TRIED_AGAIN) 1 --numprocesses=2 $(WITH_LLAMA_CPP)

.test-with-guidellm: guidellm
	@BUILT="$^" $(PYTEST) -v $(TRIED_AGAIN) 1 $(WITH_GUIDELLM)

.test-with-vllm: deploy ollama vllm
	@BUILT="$^" $(PYTEST) -v $(TRIED_AGAIN) 1 $(WITH_VLLM)

test-kueue: $(VENV) deploy ## A run in the queue of a real Kueue, which is built, installed and removed; no part of `make test`
	@$(PYTEST) -v $(TRIED_AGAIN) 1 tests/kueue

fuzz: $(VENV) ## Look for answers that the load generator's parser fails on or counts wrongly; FUZZ_SECONDS=600
	@PYTHONPATH=operator:. $(PY) -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),600)

# ---- the load generator, measured

# The peers' environments take 10 GB in the cache and are installed by the first run.
BENCH_QUICK := --tools "enginebench,bare reader" --streams 64,256,512 --seconds 10
BENCH_FULL := --tools "enginebench,inference-perf,aiperf,genai-bench,guidellm,bare reader" --modes "one core,best" --seconds 24 --write

bench-loadgen: $(VENV) ## Our load generator and its peers against a server of known timing (QUICK=1: only ours, a minute)
	@PYTHONPATH=operator $(PY) -m bench.loadgen $(if $(filter-out 0,$(QUICK)),$(BENCH_QUICK),$(BENCH_FULL))

soak: $(VENV) ## Half an hour at 256 streams: memory flat, no drift (MINUTES=5: shorter; ONE_POINT=1: as one point)
	@PYTHONPATH=operator $(PY) -m bench.loadgen.soak --minutes $(or $(MINUTES),30) \
	  $(if $(filter-out 0,$(ONE_POINT)),--one-point)

bench-simulation: $(VENV) ## How many whole runs a minute one core simulates; fails below 2,000 (RUNS=1000)
	@$(PY) bench/simulation.py --runs $(or $(RUNS),1000)

# ---- quality

lint: $(VENV) ## ruff, mypy, the layers, the generated CRD
	@.venv/bin/ruff check $(SOURCES)
	@.venv/bin/ruff format --check $(SOURCES)
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) -m enginebench crd --check

fmt: $(VENV) ## Format the code, generate the CRD and the reference of its fields anew
	@.venv/bin/ruff check --fix --exit-zero --quiet $(SOURCES)
	@.venv/bin/ruff format $(SOURCES)
	@$(PY) -m enginebench crd --write
	@$(PY) scripts/make_reference.py

# ---- the environment

LOCK := $(PY) -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
  --annotation-style=line --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# The images with torch are locked by uv, as images/vllm/requirements.in and images/guidellm/0.8.1.in say.
lock-peers: $(VENV) ## Resolve the load generators that bench-loadgen compares with, and images, anew; their versions stand in *.in
	@for file in requirements/peers/*.in images/guidellm/0.2.1.in images/llama_cpp/*.in; do $(LOCK) --upgrade --output-file "$${file%.in}.txt" "$$file"; done

lock: $(VENV) ## Resolve the locked requirements anew; UPGRADE=1 takes newer versions
	@$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements/runtime.txt pyproject.toml
	@$(LOCK) $(if $(UPGRADE),--upgrade) --constraint requirements/runtime.txt --output-file requirements/dev.txt \
	  pyproject.toml requirements/dev.in
	@$(LOCK) --constraint requirements/dev.txt --output-file requirements/installer.txt requirements/installer.in
	@git --no-pager diff --stat -- requirements

# The first Python of these that is new enough and can make a venv.
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3

$(VENV): requirements/dev.txt pyproject.toml
	@for python in $(PYTHONS); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=$$python; break; \
	  fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "EngineBench needs Python 3.11 or later with venv (Debian: apt-get install python3-venv); PYTHON=… names one." >&2; \
	  exit 1; \
	fi; \
	echo "Python environment in .venv, from locked requirements (about a minute the first time)"; \
	$$found -m venv .venv; \
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt; \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $@

.PHONY: help demo cluster-up cluster-down cluster-status cluster-purge .cluster-there image deploy undeploy ollama vllm llama-cpp kueue \
  guidellm test test-unit test-simulation test-cluster test-engines $(patsubst %,.test-with-%,$(ENGINE_IMAGES)) fuzz bench-loadgen \
  bench-simulation soak lint fmt lock lock-peers
