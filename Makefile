# Builds, tests and shows vand. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(CURDIR)/target

FUZZ_SECONDS ?= 60

-include benches/bench.mk
-include packaging/package.mk

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## Build vand and vanctl, optimised, in target/release
	cargo build --release --locked -p vand -p vanctl

.PHONY: demo
demo: ## Show the main job on real processes; Ctrl-C ends it
	@scripts/demo.sh

.PHONY: test
test: ## Run every check and test; the last line counts
	@scripts/test.sh

.PHONY: fmt
fmt: ## Format the sources
	cargo fmt --all

.PHONY: lint
lint: ## Check the form of the sources, warnings being errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: deny
deny: ## Check licences, refused crates and sources of the dependencies
	@scripts/deny.sh

.PHONY: unit
unit: ## Run the tests that need no process of their own: unit, property, simulation, in-process
	cargo test --workspace --exclude van-tests --locked

.PHONY: process
process: ## Run the tests over the real processes (VAN_KILLS=100 for the long run)
	cargo build --locked -p vand -p vanctl
	cargo test --locked -p van-tests

.PHONY: metrics
metrics: ## Write docs/metrics.md anew from the table of metrics
	VAN_WRITE_METRICS=1 cargo test --locked -p van-site the_page_of_metrics

.PHONY: test-kube
test-kube: ## Test on real clusters, which are built first; needs root
	@scripts/test-kube.sh

.PHONY: crds
crds: ## Write k8s/crds anew from the types
	VAN_WRITE_CRDS=1 cargo test --locked -p van-crd --test definitions

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZ_SECONDS (60); needs a nightly compiler
	@scripts/fuzz.sh $(FUZZ_SECONDS)

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
