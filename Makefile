# `make` lists what there is to make.

CARGO_LAMBDA_VERSION := 1.9.2
ARCH ?= $(shell uname -m | sed 's/aarch64/arm64/')

# Tools that are not on the machine are installed into this folder, and found there first.
TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help run test test-moto format lint unit-and-end-to-end validate build clean

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: cargo-lambda ## Everything up on this machine, with demo data; Ctrl-C ends it
	@cargo run --package userdocks-local

test: format lint unit-and-end-to-end validate ## Formatting, clippy, all tests, the template

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit-and-end-to-end: cargo-lambda verifiers
	PYTHON=$(TOOLS)/bin/python cargo test --workspace --locked --no-fail-fast

test-moto: cargo-lambda verifiers moto ## The end-to-end tests against moto in place of the embedded services
	EMULATOR=moto PYTHON=$(TOOLS)/bin/python cargo test --package end-to-end --locked --test stack

validate: sam
	AWS_REGION=us-east-1 sam validate --lint

build: cargo-lambda zig ## Release binaries at target/lambda/<function>/bootstrap; ARCH=arm64 or x86_64
	cargo lambda build --release --locked --$(subst x86_64,x86-64,$(ARCH))

clean: ## Deletes what was built; the local stack's data in .local stays
	cargo clean
	rm -rf .aws-sam

# Each tool from where it is, or else from a package registry; with a Python of any recent version, or, for
# cargo-lambda, without one.
.PHONY: cargo-lambda zig verifiers moto sam
cargo-lambda:
	@command -v cargo-lambda >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet cargo-lambda==$(CARGO_LAMBDA_VERSION); } \
	  || cargo install --locked --root $(TOOLS) --version $(CARGO_LAMBDA_VERSION) cargo-lambda

# Links against the C library of Lambda's machines, which may be older than this one's.
zig:
	@command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet ziglang==0.17.1; }

verifiers:
	@$(TOOLS)/bin/python -c 'import jwt, cryptography' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'PyJWT[crypto]==2.15.1'; }
	@test -d tests/verifiers/node_modules || npm ci --silent --prefix tests/verifiers

moto:
	@command -v $(TOOLS)/bin/moto_server >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'moto[server]==5.2.5'; }

sam:
	@command -v sam >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet aws-sam-cli==1.170.0; }
